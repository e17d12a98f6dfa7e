package health

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"mirrorpool/pool"
)

// TestProvenStands holds that what was found wrong stays wrong while there is nothing
// to hold it against, and that nothing else stays down so.
func TestProvenStands(t *testing.T) {
	good, bad := content(1000), content(999)
	closed := listen(t, "127.0.0.1")
	away := addressOf(closed)
	closed.Close()
	_, origin := serveFile(t, good)
	served, mirror := serveFile(t, bad)
	c := newChecker(Config{}, time.Now)
	target := member(pool.CheckHTTP, mirror, func(p *pool.Probe) {
		p.Purpose, p.Path, p.Origin, p.Timeout = pool.PurposeIntegrity, "/file", fmt.Sprintf("http://%s/file", origin), 30*time.Second
	})
	ask := func() Result { return c.probe(t.Context(), target) }
	dial := c.dial
	cut := false
	c.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if cut && address == origin.String() {
			address = away.String()
		}
		return dial(ctx, network, address)
	}
	expect(t, ask(), Altered, "the file has 999 bytes, the origin's 1000")
	cut = true
	ask() // as often as one likes
	got := ask()
	expect(t, got, Success, "origin not reachable: not compared; found before: the file has 999 bytes, the origin's 1000")
	if !got.Stands || !got.NotMade {
		t.Errorf("%+v", got)
	}
	schedule := pool.Schedule{Interval: time.Second, DownAfter: 2, UpAfter: 1}
	for _, s := range []State{{Verdict: Down, Failures: 2}, {Verdict: Up, Failures: 1, Successes: 0}} {
		if after := s.after(got, schedule, time.Now(), 0); after.Verdict != s.Verdict || after.Failures != s.Failures || after.Successes != s.Successes {
			t.Errorf("%+v became %+v", s, after)
		}
	}
	if after := (State{}).after(got, schedule, time.Now(), 0); after.Verdict != Up {
		t.Errorf("%+v", after)
	}
	cut = false
	served.mutex.Lock()
	served.content["/file"] = good
	served.mutex.Unlock()
	if got = ask(); got.Outcome != Success || got.Stands || got.NotMade {
		t.Errorf("%+v", got)
	}
	cut = true
	if got = ask(); got.Outcome != Success || got.Stands || !got.NotMade {
		t.Errorf("%+v", got)
	}
}

func TestProvenIsBounded(t *testing.T) {
	var p proven
	for i := range maxProven + 100 {
		p.learn(Target{URL: fmt.Sprint(i), Probe: pool.Probe{Purpose: pool.PurposeContents}}, Result{Outcome: Missing})
	}
	if len(p.wrong) != maxProven {
		t.Errorf("%d are kept", len(p.wrong))
	}
	p.learn(Target{}, Result{Outcome: Missing})
	if _, known := p.of(Target{}); known {
		t.Error("kept of a check that looks at no files")
	}
}
