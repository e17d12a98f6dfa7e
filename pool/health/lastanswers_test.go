package health

import (
	"context"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// moody is a resolver that does as it is told, behind connections in memory.
type moody struct {
	// mute is the name that is not answered, all with "."; broken gets SERVFAIL, gone
	// NXDOMAIN. away tells that nobody is there.
	mute, broken, gone string
	away               bool
}

func (m *moody) dial(context.Context, string, string) (net.Conn, error) {
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
	question := query.Question[0]
	reply := new(dns.Msg)
	reply.SetReply(query)
	switch question.Name {
	case m.mute:
		return nil
	case m.broken, ".":
		reply.Rcode = dns.RcodeServerFailure
	case m.gone:
		reply.Rcode = dns.RcodeNameError
	}
	switch {
	case m.mute == ".":
		return nil
	case reply.Rcode == dns.RcodeSuccess && question.Qtype == dns.TypeA:
		reply.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(127, 0, 0, 42)}}
	}
	return reply
}

// TestNamesWhileTheResolverIsAway holds that names lead where they led last while the
// resolver does not answer, and that what it says of a name, or says only of others, counts.
func TestNamesWhileTheResolverIsAway(t *testing.T) {
	// What the package net keeps for all has to be made outside of the bubble.
	_, _ = NewResolver("127.0.0.1:1").LookupNetIP(t.Context(), "ip4", "localhost")
	synctest.Test(t, func(t *testing.T) {
		r := NewResolver("127.0.0.1:53")
		for _, step := range []struct {
			name       string
			server     moody
			host, want string
			silent     bool
		}{
			{"there", moody{}, "a.test", "127.0.0.42", false},
			{"nobody answers", moody{mute: "."}, "a.test", "127.0.0.42", true},
			{"nobody answers for one that is new", moody{mute: "."}, "new.test", "i/o timeout", true},
			{"there again", moody{}, "b.test", "127.0.0.42", false},
			{"nobody is there", moody{away: true}, "a.test", "127.0.0.42", true},
			{"nobody is there for one that is new", moody{away: true}, "new.test", "lookup new.test on 127.0.0.1:53: connection refused", true},
			{"the name fails", moody{broken: "a.test."}, "a.test", "server misbehaving", false},
			{"the name alone is not answered", moody{mute: "a.test."}, "a.test", "i/o timeout", false},
			{"nobody is there after that", moody{away: true}, "a.test", "127.0.0.42", true},
			{"the name is gone", moody{gone: "a.test."}, "a.test", "no such host", false},
			{"nobody is there, and it was gone", moody{away: true}, "a.test", "connection refused", true},
		} {
			r = r.Asking("127.0.0.1:53")
			r.resolver.Dial = step.server.dial
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
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
		time.Sleep(time.Minute) // Go's resolver goes on for a while with what nobody waits for
	})
}
