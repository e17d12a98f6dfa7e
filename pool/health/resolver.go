package health

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"mirrorpool/pool"
)

// Resolver finds the addresses of mirrors' names; a NameResolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// NameResolver finds addresses in /etc/hosts and by DNS. Names with a dot in them are
// taken for whole names: a mirror that is gone must not be found as another machine
// within a search domain of /etc/resolv.conf. While its server does not answer at all, or
// fails for every name, a name leads where it led last: that this machine's resolver is
// away is no mirror's fault.
type NameResolver struct {
	server   string // empty: those of /etc/resolv.conf
	resolver net.Resolver
	last     *lastAnswers
}

// NewResolver makes a NameResolver that asks a server, an address and port; empty: those of
// /etc/resolv.conf.
func NewResolver(server string) *NameResolver {
	// Only Go's own resolver gives up when its context ends.
	r := &NameResolver{server, net.Resolver{PreferGo: true}, newLastAnswers()}
	r.dialBy((&net.Dialer{}).DialContext)
	return r
}

// reached is the key of what a look-up's context has to note that a server was asked: an
// answer from /etc/hosts says nothing of servers.
type reached struct{}

func (r *NameResolver) dialBy(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	r.resolver.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if asked, is := ctx.Value(reached{}).(*atomic.Bool); is {
			asked.Store(true)
		}
		if r.server != "" {
			address = r.server
		}
		return dial(ctx, network, address)
	}
}

// Asking is a NameResolver that asks another server, at once, and knows what this one knows.
func (r *NameResolver) Asking(server string) *NameResolver {
	other := NewResolver(server)
	other.last = r.last
	other.last.askAgain()
	return other
}

// Silent is why the server does not answer, by the last look-up that there was; nil: it does.
func (r *NameResolver) Silent() error { return r.last.silent() }

// LookupNetIP is as that of net.Resolver, but for search domains, and for a server that
// does not answer. If it is known where the name led, that takes a quarter of the context's
// time, of a short one more, and no time at all where the server was found silent a moment
// ago. Errors have the name as it was given, and the server that was asked.
func (r *NameResolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	known, ask := r.last.of(network, host, time.Now())
	if !ask {
		return known, nil
	}
	first, second := 1./8, 1./7 // an eighth of the whole each; the rest is for who is asked then
	if known == nil {
		first, second = 3./4, 1./2 // without an address nobody is
	}
	asked := new(atomic.Bool)
	ctx = context.WithValue(ctx, reached{}, asked)
	found, err := r.lookUpWithin(ctx, first, network, host)
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	if gone := isSilence(err); gone || isUnhelpful(err) {
		if gone || !r.answers(ctx, second) {
			if ctx.Err() == nil {
				r.last.unanswered(err, time.Now())
			}
			if known != nil {
				return known, nil
			}
			return nil, err
		}
		if timedOut(err) {
			found, err = r.lookUp(ctx, network, host) // it is this name that takes so long
		}
	}
	r.last.answered(network, host, found, err, asked.Load())
	return found, err
}

// lookUpWithin looks a name up within a part of the context's time.
func (r *NameResolver) lookUpWithin(ctx context.Context, part float64, network, host string) ([]netip.Addr, error) {
	ctx, cancel := partOf(ctx, part)
	defer cancel()
	return r.lookUp(ctx, network, host)
}

func (r *NameResolver) lookUp(ctx context.Context, network, host string) ([]netip.Addr, error) {
	found, err := r.resolver.LookupNetIP(ctx, network, pool.AbsoluteName(host))
	if failed, is := errors.AsType[*net.DNSError](err); is {
		named := *failed
		if named.Name = host; r.server != "" && named.Server != "" {
			named.Server = r.server // and not the one of /etc/resolv.conf
		}
		// The words are the same each time, without the port that was asked from.
		if refused := silenceOf(failed.Err); refused != 0 {
			named.Err = refused.Error()
		}
		err = &named
	}
	return found, err
}

// answers reports whether the server knows anything, within a part of the context's time.
// Every resolver that reaches the internet knows the name servers of the root, or refuses to
// tell; one that does not says of each name, and of these, that it failed (SERVFAIL).
func (r *NameResolver) answers(ctx context.Context, part float64) bool {
	ctx, cancel := partOf(ctx, part)
	defer cancel()
	_, err := r.resolver.LookupNS(ctx, ".")
	return err == nil || ctx.Err() == nil && !isUnhelpful(err) && !isSilence(err)
}

// leastWait is for how long an answer is waited for, however small a part of the time that
// is: a server far away must not be taken for silent where probes are to end soon.
const leastWait = 300 * time.Millisecond

// partOf bounds a context by a part of the time that it has left: leastWait, if half of it
// is as much, or more.
func partOf(ctx context.Context, part float64) (context.Context, context.CancelFunc) {
	deadline, has := ctx.Deadline()
	if !has {
		return context.WithCancel(ctx)
	}
	left := time.Until(deadline)
	return context.WithTimeout(ctx, max(time.Duration(part*float64(left)), min(leastWait, left/2)))
}

func timedOut(err error) bool {
	failed, is := errors.AsType[*net.DNSError](err)
	return is && failed.IsTimeout || errors.Is(err, context.DeadlineExceeded)
}

// silences are the errors of a server that is not there.
var silences = []syscall.Errno{syscall.ECONNREFUSED, syscall.ENETUNREACH, syscall.EHOSTUNREACH}

// silenceOf finds in a resolver's error, which has it in its text alone, that nobody is
// there; 0: it is another one.
func silenceOf(text string) syscall.Errno {
	for _, one := range silences {
		if strings.HasSuffix(text, one.Error()) {
			return one
		}
	}
	return 0
}

// isUnhelpful reports whether nothing is said of the name: it took too long, or the server
// failed.
func isUnhelpful(err error) bool {
	failed, is := errors.AsType[*net.DNSError](err)
	return timedOut(err) || is && failed.IsTemporary
}

func isSilence(err error) bool {
	failed, is := errors.AsType[*net.DNSError](err)
	return is && !failed.IsNotFound && silenceOf(failed.Err) != 0
}
