package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mirrorpool/pool"
)

// TestNotMadeMovesNothing holds what each sort of probe that was not made does to what is
// known.
func TestNotMadeMovesNothing(t *testing.T) {
	aside := Result{Outcome: Success, NotMade: true, Reason: "not made"}
	program := Result{Outcome: Success, NotMade: true, NoProgram: true, Reason: "not made"}
	schedule := pool.Schedule{Interval: time.Second, DownAfter: 2, UpAfter: 2}
	for _, test := range []struct {
		name         string
		result       Result
		before, want State
	}{
		{"unknown", aside, State{}, State{Reason: "not made"}},
		{"up", aside, State{Verdict: Up, Failures: 1, Reason: "bad"}, State{Verdict: Up, Failures: 1, Reason: "not made"}},
		{"down", aside, State{Verdict: Down, Failures: 2, Reason: "bad"}, State{Verdict: Down, Failures: 2, Reason: "bad"}},
		{"down, half way up", aside, State{Verdict: Down, Successes: 1, Reason: "good"}, State{Verdict: Down, Successes: 1, Reason: "good"}},
		{"unknown without a program", program, State{}, State{Verdict: Up, Successes: 1, Reason: "not made"}},
		{"down by a program that is gone", program, State{Verdict: Down, Failures: 2, Reason: "bad", ByProgram: true}, State{Verdict: Down, Failures: 2, Reason: "bad", ByProgram: true}},
		{"failed by a program that is gone", program, State{Verdict: Up, Failures: 1, ByProgram: true}, State{Verdict: Up, Failures: 1, ByProgram: true, Reason: "not made"}},
		{"down by something else", program, State{Verdict: Down, Failures: 2, Successes: 1}, State{Verdict: Up, Successes: 2, Reason: "not made"}},
		{"failed in what was looked at", Result{Outcome: Missing, NotMade: true, NoProgram: true}, State{Verdict: Up, Failures: 1}, State{Verdict: Down, Failures: 2}},
	} {
		got := test.before.after(test.result, schedule, time.Now(), 0)
		if got.Verdict != test.want.Verdict || got.Failures != test.want.Failures || got.Successes != test.want.Successes ||
			got.Reason != test.want.Reason || got.ByProgram != test.want.ByProgram {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
		if got.Checked.IsZero() {
			t.Errorf("%s: it is not noted that it was asked", test.name)
		}
	}
}

// TestAlteredStaysDown holds that an altered mirror stays down while its origin is away,
// also in the next run, and that a new one gets nothing before it was compared, which is
// soon after the origin is back.
func TestAlteredStaysDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		n := &network{talk: func(address string, c net.Conn) {
			body := map[string]string{"127.0.0.1:80": "bad", "127.0.0.9:80": "good", "127.0.0.2:80": "good"}[address]
			answerWith(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body))(c)
		}}
		dial := func(ctx context.Context, network, address string) (net.Conn, error) {
			if away.Load() && address == "127.0.0.9:80" {
				return nil, errors.New("refused")
			}
			return n.dial(ctx, network, address)
		}
		schedule := pool.Schedule{Interval: time.Hour, DownAfter: 2, UpAfter: 1}
		of := func(mirror string) Target {
			return Target{URL: "http://" + mirror + "/file", Probe: pool.Probe{
				Kind: pool.CheckHTTP, Purpose: pool.PurposeIntegrity, Origin: "http://127.0.0.9/file", Timeout: 10 * time.Second,
			}}
		}
		altered, fresh := of("127.0.0.1"), of("127.0.0.2")
		begun := func(saved []byte, targets ...Target) (*Prober, func()) {
			p := NewProber(Config{Dial: dial})
			if saved != nil {
				if err := p.Restore(saved); err != nil {
					t.Fatal(err)
				}
			}
			p.SetTargets(with(schedule, targets...))
			stop := run(t, p)
			if err := p.WaitKnown(t.Context()); err != nil { // it ends also where something stays unknown
				t.Fatal(err)
			}
			return p, stop
		}
		expectState := func(p *Prober, target Target, verdict Verdict, reason string) {
			t.Helper()
			if s := p.Report().State(target); s.Verdict != verdict || !strings.HasPrefix(s.Reason, reason) {
				t.Errorf("%s is %s: %s", target.URL, s.Verdict, s.Reason)
			}
		}
		p, stop := begun(nil, altered)
		expectState(p, altered, Down, "the file has 3 bytes, the origin's 4")
		away.Store(true)
		time.Sleep(5 * time.Hour)
		expectState(p, altered, Down, "the file has 3 bytes, the origin's 4")
		stop()
		saved, err := p.Save()
		if err != nil {
			t.Fatal(err)
		}
		p, stop = begun(saved, altered, fresh)
		defer stop()
		time.Sleep(5 * time.Hour)
		expectState(p, altered, Down, "the file has 3 bytes, the origin's 4")
		expectState(p, fresh, Unknown, "origin not reachable: not compared")
		away.Store(false)
		time.Sleep(2 * RepeatUnknown)
		expectState(p, fresh, Up, "1 part of 4 bytes are the origin's")
	})
}

// TestShortage holds that what this machine has not enough of is counted against nobody,
// wherever in a probe it is missed.
func TestShortage(t *testing.T) {
	refuses := func(err error) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: err}
		}
	}
	tcp := Target{Address: addr("127.0.0.1"), Probe: pool.Probe{Kind: pool.CheckTCP, Port: 80, Timeout: time.Second}}
	for err, reason := range map[error]string{
		syscall.EMFILE:        "not looked at: this program has no file descriptors left",
		syscall.ENFILE:        "not looked at: this machine has no file descriptors left",
		syscall.EADDRNOTAVAIL: "not looked at: no local address or port for the connection",
		syscall.ENOBUFS:       "not looked at: this machine has no buffers left for connections",
	} {
		got := NewProber(Config{Dial: refuses(err)}).Probe(t.Context(), tcp)
		expect(t, got, Success, reason)
		if !got.NotMade || got.NoProgram {
			t.Errorf("%s: %+v", err, got)
		}
	}
	expect(t, NewProber(Config{Dial: refuses(syscall.ECONNREFUSED)}).Probe(t.Context(), tcp), Connection, "connection refused")

	mirror := Target{URL: "http://m.test/", Probe: pool.Probe{Timeout: time.Second}}
	second := NewProber(Config{
		Resolver: hosts{"m.test": {addr("127.0.0.1"), addr("127.0.0.2")}},
		Dial: func(_ context.Context, _, address string) (net.Conn, error) {
			if address == "127.0.0.1:80" {
				return nil, syscall.ECONNREFUSED
			}
			return nil, syscall.EMFILE
		},
	})
	if got := second.Probe(t.Context(), mirror); !got.NotMade || got.Outcome != Success {
		t.Errorf("%+v", got)
	}
	resolving := NewProber(Config{Resolver: failingNames{"dial udp 127.0.0.1:53: socket: too many open files"}})
	if got := resolving.Probe(t.Context(), mirror); !got.NotMade || got.Outcome != Success {
		t.Errorf("%+v", got)
	}
	unknown := NewProber(Config{Resolver: failingNames{"no such host"}})
	expect(t, unknown.Probe(t.Context(), mirror), Resolution, `resolving "m.test": no such host`)
	for err, admitted := range map[error]bool{
		syscall.EMFILE: false, syscall.EAGAIN: false, syscall.ENOMEM: false, syscall.ENOENT: true, syscall.EACCES: true,
	} {
		a := &attempt{}
		a.unable(notStarted{fmt.Errorf("starting: %w", err)})
		if !a.result.NotMade || a.result.NoProgram != admitted {
			t.Errorf("%s: %+v", err, a.result)
		}
	}
}

// failingNames is a resolver that always says the same.
type failingNames struct{ says string }

func (n failingNames) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	return nil, &net.DNSError{Err: n.says, Name: host}
}

// TestExecGone holds that a mirror that a command took down stays down when the command
// cannot be started any more, and a new one is let in.
func TestExecGone(t *testing.T) {
	p := shell(t, "echo broken; exit 1")
	down := p.Probe(t.Context(), execTarget("look"))
	if !down.ByProgram {
		t.Fatalf("%+v", down)
	}
	schedule := pool.Schedule{Interval: time.Second, DownAfter: 1, UpAfter: 1}
	s := State{}.after(down, schedule, time.Now(), 0)
	p.SetPrograms(Programs{Commands: map[string][]string{"look": {"/nowhere/look"}}})
	gone := p.Probe(t.Context(), execTarget("look"))
	if s = s.after(gone, schedule, time.Now(), 0); s.Verdict != Down || s.Reason != "exit status 1: broken" {
		t.Errorf("%s: %s", s.Verdict, s.Reason)
	}
	if s = (State{}).after(gone, schedule, time.Now(), 0); s.Verdict != Up {
		t.Errorf("a new one is %s: %s", s.Verdict, s.Reason)
	}
}
