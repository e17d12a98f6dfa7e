package health

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
)

// mostAnswers are kept: of more names than there are mirrors, but for those that mirrors'
// redirects make up.
const mostAnswers = 20_000

// lastAnswers are where names led last. It is safe for concurrent use.
type lastAnswers struct {
	mutex sync.Mutex
	found map[nameAsked][]netip.Addr
	err   error // why the last question was not answered; nil: it was
}

// nameAsked is a name, and for what addresses it was asked.
type nameAsked struct{ network, host string }

func newLastAnswers() *lastAnswers {
	return &lastAnswers{found: map[nameAsked][]netip.Addr{}}
}

// of gives where a name led last; nil: it is not known.
func (l *lastAnswers) of(network, host string) []netip.Addr {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return slices.Clone(l.found[nameAsked{network, host}])
}

// answered takes in an answer. A name that is gone leads nowhere any more.
func (l *lastAnswers) answered(network, host string, found []netip.Addr, err error) {
	asked := nameAsked{network, host}
	failed, is := errors.AsType[*net.DNSError](err)
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.err = nil
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
func (l *lastAnswers) unanswered(err error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.err = err
}

func (l *lastAnswers) silent() error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.err
}
