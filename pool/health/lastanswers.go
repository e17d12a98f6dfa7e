package health

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// mostAnswers are kept: of more names than there are mirrors, but for those that mirrors'
// redirects make up.
const mostAnswers = 20_000

// silentFor is how long a server that does not answer is not asked for names of which it is
// known where they led: each question costs a probe time that it needs for the mirror.
const silentFor = 5 * time.Second

// lastAnswers are where names led last. It is safe for concurrent use.
type lastAnswers struct {
	mutex sync.Mutex
	found map[nameAsked][]netip.Addr
	err   error     // why the last question was not answered; nil: it was
	again time.Time // while it was not: when one is asked for a known name again
}

// nameAsked is a name, and for what addresses it was asked.
type nameAsked struct{ network, host string }

func newLastAnswers() *lastAnswers {
	return &lastAnswers{found: map[nameAsked][]netip.Addr{}}
}

// of gives where a name led last, nil if it is not known, and whether to ask now. Of those
// who come while the server is silent, one is to ask each time that silentFor is over.
func (l *lastAnswers) of(network, host string, now time.Time) (known []netip.Addr, ask bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	known = slices.Clone(l.found[nameAsked{network, host}])
	switch {
	case known == nil || l.err == nil:
		return known, true
	case now.Before(l.again):
		return known, false
	}
	l.again = now.Add(silentFor)
	return known, true
}

// askAgain has the next who comes ask.
func (l *lastAnswers) askAgain() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.again = time.Time{}
}

// answered takes in an answer, of the server or of /etc/hosts. A name that is gone leads
// nowhere any more.
func (l *lastAnswers) answered(network, host string, found []netip.Addr, err error, byServer bool) {
	asked := nameAsked{network, host}
	failed, is := errors.AsType[*net.DNSError](err)
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.again = time.Time{} // where nobody asked the server, the next one does
	if byServer {
		l.err = nil
	}
	switch {
	case is && failed.IsNotFound:
		delete(l.found, asked)
	case err == nil && len(found) > 0:
		if _, known := l.found[asked]; !known && len(l.found) >= mostAnswers {
			maps.DeleteFunc(l.found, func(nameAsked, []netip.Addr) bool { return len(l.found) >= mostAnswers })
		}
		l.found[asked] = slices.Clone(found)
	}
}

// unanswered takes in that there was none.
func (l *lastAnswers) unanswered(err error, now time.Time) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.err, l.again = err, now.Add(silentFor)
}

func (l *lastAnswers) silent() error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.err
}
