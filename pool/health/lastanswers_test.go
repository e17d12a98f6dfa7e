package health

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// moody is a resolver that does as it is told, behind connections in memory.
type moody struct {
	// mute is the name that is not answered, all with "."; broken gets SERVFAIL, all with
	// "."; gone gets NXDOMAIN, refused REFUSED. away tells that nobody is there.
	mute, broken, gone, refused string
	away                        bool
	asked                       atomic.Int64 // how many questions came
}

func (m *moody) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err() // Go's resolver goes on for a while with what nobody waits for
	}
	if m.away {
		return nil, &net.OpError{Op: "dial", Net: "udp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	ours, theirs := net.Pipe()
	go func() {
		defer ours.Close()
		connection := &dns.Conn{Conn: ours}
		for {
			query, err := connection.ReadMsg()
			if err != nil {
				return
			}
			if reply := m.reply(query); reply != nil {
				_ = connection.WriteMsg(reply) // who asked may be gone
			}
		}
	}()
	return theirs, nil
}

func (m *moody) reply(query *dns.Msg) *dns.Msg {
	m.asked.Add(1)
	question := query.Question[0]
	reply := new(dns.Msg)
	reply.SetReply(query)
	reply.RecursionAvailable = true
	switch {
	case m.mute == ".", m.mute == question.Name:
		return nil
	case m.broken == ".", m.broken == question.Name:
		reply.Rcode = dns.RcodeServerFailure
	case m.refused == question.Name:
		reply.Rcode = dns.RcodeRefused
	case m.gone == question.Name:
		reply.Rcode = dns.RcodeNameError
	}
	if reply.Rcode == dns.RcodeSuccess && question.Qtype == dns.TypeA {
		reply.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(127, 0, 0, 42)}}
	}
	return reply
}

// TestNamesWhileTheResolverIsAway holds that names lead where they led last while the
// resolver does not answer, and that what it says of a name, or says only of others, counts.
func TestNamesWhileTheResolverIsAway(t *testing.T) {
	beforeBubble(t)
	synctest.Test(t, func(t *testing.T) {
		r := NewResolver("127.0.0.1:53")
		for _, step := range []struct {
			name       string
			server     *moody
			host, want string
			silent     bool
		}{
			{"nobody answers from the start", &moody{mute: "."}, "a.test", "i/o timeout", true},
			{"there", &moody{}, "a.test", "127.0.0.42", false},
			{"nobody answers", &moody{mute: "."}, "a.test", "127.0.0.42", true},
			{"nobody answers for one that is new", &moody{mute: "."}, "new.test", "i/o timeout", true},
			{"there again", &moody{}, "b.test", "127.0.0.42", false},
			{"nobody is there", &moody{away: true}, "a.test", "127.0.0.42", true},
			{"nobody is there for one that is new", &moody{away: true}, "new.test", "lookup new.test on 127.0.0.1:53: connection refused", true},
			{"the name fails", &moody{broken: "a.test."}, "a.test", "server misbehaving", false},
			{"the name alone is not answered", &moody{mute: "a.test."}, "a.test", "i/o timeout", false},
			{"nobody is there after that", &moody{away: true}, "a.test", "127.0.0.42", true},
			{"nobody is there, says a name from /etc/hosts nothing of", &moody{away: true}, "localhost", "127.0.0.1", true},
			{"there once more", &moody{}, "a.test", "127.0.0.42", false},
			{"it knows nothing", &moody{broken: "."}, "a.test", "127.0.0.42", true},
			{"it knows nothing of one that is new", &moody{broken: "."}, "new.test", "server misbehaving", true},
			{"one name fails, and the root's are not told", &moody{broken: "a.test.", refused: "."}, "a.test", "server misbehaving", false},
			{"the name is gone", &moody{gone: "a.test."}, "a.test", "no such host", false},
			{"nobody is there, and it was gone", &moody{away: true}, "a.test", "connection refused", true},
		} {
			r = r.Asking("127.0.0.1:53")
			r.dialBy(step.server.dial)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // before Go's resolver gives up
			got, err := r.LookupNetIP(ctx, "ip4", step.host)
			cancel()
			found := "none"
			switch {
			case err != nil:
				found = err.Error()
			case len(got) == 1:
				found = got[0].Unmap().String()
			}
			if !strings.HasSuffix(found, step.want) {
				t.Errorf("%s: %s, want %s", step.name, found, step.want)
			}
			if silent := r.Silent() != nil; silent != step.silent {
				t.Errorf("%s: the resolver is silent: %t", step.name, silent)
			}
		}
		time.Sleep(time.Minute) // what nobody waits for ends
	})
}

// beforeBubble has the package net make what it keeps for all, which has to be outside of
// bubbles.
func beforeBubble(t *testing.T) {
	t.Helper()
	_, _ = NewResolver("127.0.0.1:1").LookupNetIP(t.Context(), "ip4", "localhost")
}

// TestSilentResolverLeavesTime holds that a resolver that drops questions takes little of
// the time of probes whose names are known, and of one only in a while; and that one that
// is there is asked once for each.
func TestSilentResolverLeavesTime(t *testing.T) {
	beforeBubble(t)
	synctest.Test(t, func(t *testing.T) {
		const timeout = 5 * time.Second
		var current atomic.Pointer[moody]
		r := NewResolver("127.0.0.1:53")
		r.dialBy(func(ctx context.Context, network, address string) (net.Conn, error) {
			return current.Load().dial(ctx, network, address)
		})
		for _, step := range []struct {
			name   string
			mute   string
			within time.Duration // how long it may take
			after  time.Duration // since the last step ended
			asked  bool
			silent bool
		}{
			{"new", "", 0, 0, true, false},
			{"known", "", 0, 0, true, false},
			{"silent", ".", timeout / 4, 0, true, true},
			{"at once after that", ".", 0, 0, false, true},
			{"shortly before it is asked again", ".", 0, silentFor - time.Millisecond, false, true},
			{"asked again", ".", timeout / 4, time.Millisecond, true, true},
			{"back, and nobody asks", "", 0, silentFor - time.Millisecond, false, true},
			{"back", "", 0, time.Millisecond, true, false},
			{"after that", "", 0, 0, true, false},
		} {
			time.Sleep(step.after)
			server := &moody{mute: step.mute}
			current.Store(server)
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			begun := time.Now()
			got, err := r.LookupNetIP(ctx, "ip4", "a.test")
			took := time.Since(begun)
			cancel()
			if err != nil || len(got) != 1 || got[0].Unmap().String() != "127.0.0.42" {
				t.Errorf("%s: %v, %v", step.name, got, err)
			}
			if took > step.within {
				t.Errorf("%s: it takes %s of %s, want %s at most", step.name, took, timeout, step.within)
			}
			if asked := server.asked.Load(); (asked > 0) != step.asked || step.mute == "" && asked > 1 {
				t.Errorf("%s: %d questions", step.name, asked)
			}
			if silent := r.Silent() != nil; silent != step.silent {
				t.Errorf("%s: the resolver is silent: %t", step.name, silent)
			}
		}
		time.Sleep(time.Minute) // what nobody waits for ends
	})
}

// TestHostsAskNobody holds that a name from /etc/hosts, which comes first each time, keeps
// nobody from finding that the resolver is back.
func TestHostsAskNobody(t *testing.T) {
	beforeBubble(t)
	synctest.Test(t, func(t *testing.T) {
		var current atomic.Pointer[moody]
		r := NewResolver("127.0.0.1:53")
		r.dialBy(func(ctx context.Context, network, address string) (net.Conn, error) {
			return current.Load().dial(ctx, network, address)
		})
		look := func(server *moody, host string) {
			current.Store(server)
			if _, err := r.LookupNetIP(t.Context(), "ip4", host); err != nil {
				t.Error(err)
			}
		}
		look(&moody{}, "localhost")
		look(&moody{}, "a.test")
		look(&moody{away: true}, "a.test")
		for range 2 {
			time.Sleep(silentFor)
			look(&moody{}, "localhost")
			look(&moody{}, "a.test")
		}
		if err := r.Silent(); err != nil {
			t.Errorf("it is back, and said to be silent: %v", err)
		}
		time.Sleep(time.Minute) // what nobody waits for ends
	})
}

// TestOneAsksTheSilentServer holds that of those who come at one time one asks.
func TestOneAsksTheSilentServer(t *testing.T) {
	l, now := newLastAnswers(), time.Now()
	l.answered("ip", "a.test", []netip.Addr{netip.MustParseAddr("127.0.0.42")}, nil, true)
	l.unanswered(errors.New("it drops questions"), now)
	for _, want := range []bool{true, false} {
		if known, ask := l.of("ip", "a.test", now.Add(silentFor)); ask != want || len(known) != 1 {
			t.Errorf("%v, to be asked: %t, want %t", known, ask, want)
		}
	}
}
