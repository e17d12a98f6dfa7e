package health

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mirrorpool/pool"
)

// TestHeldIsLetGo holds that what waits for the control addresses is not forgotten when
// it turns out, before they are asked, that they know nothing of it.
func TestHeldIsLetGo(t *testing.T) {
	p := NewProber(Config{})
	p.SetControl(controls)
	p.SetTargets(assign(19, pool.Schedule{Interval: time.Hour, DownAfter: 1, UpAfter: 1}))
	now := p.elapsed()
	found := func(outcome Outcome, from, to int) {
		for _, e := range p.entries[from:to] {
			now++
			e.started = now
			p.record(finding{e, Result{Outcome: outcome, Reason: string(outcome)}, 0, time.Now()}, now)
		}
	}
	w := p.watches[0]
	found(Success, 0, 19)
	found(Resolution, 0, 5)
	found(Connection, 5, 10)
	if !w.wanted || len(w.held) != 1 {
		t.Fatalf("the control addresses are to be asked: %t, and %d wait for it", w.wanted, len(w.held))
	}
	found(Resolution, 10, 11)
	if w.freeze == nil || w.freeze.cause != byNames || len(w.held) != 0 {
		t.Fatalf("%+v, and %d wait", w.freeze, len(w.held))
	}
	for _, e := range p.entries {
		if e.waiting != 0 || e.state.Verdict != Up {
			t.Errorf("%s is %s, and %d findings wait", e.target, e.state.Verdict, e.waiting)
		}
	}
	found(Success, 0, 19)
	p.end(w, now, false)
	if found(Connection, 9, 10); p.entries[9].state.Verdict != Down {
		t.Errorf("it is %s though it fails", p.entries[9].state.Verdict)
	}
}

// silentNames is a resolver that can fall silent.
type silentNames struct{ silent atomic.Bool }

func (n *silentNames) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	if n.silent.Load() {
		<-ctx.Done()
		return nil, &net.DNSError{Err: "i/o timeout", Name: host, IsTimeout: true}
	}
	var last byte
	if _, err := fmt.Sscanf(host, "m%d.test", &last); err != nil {
		return nil, err
	}
	return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, last})}, nil
}

// TestSilentResolver holds that no mirror goes down by a resolver that does not answer,
// though the control addresses do, of which no name is asked.
func TestSilentResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := &silentNames{}
		p := NewProber(Config{Resolver: names, Dial: answering})
		p.SetControl(controls)
		var all []Target
		for i := range leastSites {
			all = append(all, Target{
				URL:   fmt.Sprintf("http://m%d.test/", i+1),
				Probe: pool.Probe{Kind: pool.CheckHTTP, Timeout: 5 * time.Second},
			})
		}
		p.SetTargets(with(everyHalfMinute, all...))
		defer run(t, p)()
		time.Sleep(5 * time.Minute)
		if got := verdictsOf(p, all...); got != "5 up" {
			t.Fatal(got)
		}
		names.silent.Store(true)
		never(t, p, Down, 10*time.Minute, all...)
		freezes := p.Report().Freezes()
		if len(freezes) != 1 || freezes[0].Words != (&freeze{cause: byNames}).words(IPv4) {
			t.Errorf("%+v", freezes)
		}
	})
}

// answering is a connection to a server that answers one request.
func answering(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		readRequest(theirs)
		fmt.Fprint(theirs, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	}()
	return ours, nil
}
