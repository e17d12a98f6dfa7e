package history

import (
	"context"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"mirrorpool/pool"
	"mirrorpool/pool/administrative"
	"mirrorpool/pool/health"
)

// begin is when most tests begin: a Monday, some hours after midnight.
var begin = time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)

const testPool = "dl.example.org"

// definitionOf makes a pool whose members each have one address, 127.0.0.1 and on.
func definitionOf(ids ...string) *pool.Definition {
	p := &pool.Pool{Name: testPool, Health: pool.Check{
		Probe:    pool.Probe{Kind: pool.CheckHTTP, Port: 80, Host: testPool, Path: "/", Timeout: 5 * time.Second},
		Schedule: pool.Schedule{Interval: 30 * time.Second, DownAfter: 3, UpAfter: 2},
	}}
	for i, id := range ids {
		address := netip.AddrFrom4([4]byte{127, 0, byte((i + 1) >> 8), byte(i + 1)})
		p.Members = append(p.Members, &pool.Member{ID: id, Mirror: id + ".example.org", Addresses: []netip.Addr{address}, Weight: 10})
	}
	return &pool.Definition{Pools: []*pool.Pool{p}}
}

// world leads a History through time, as a prober would.
type world struct {
	t          *testing.T
	h          *History
	now        time.Time
	definition *pool.Definition
	states     map[health.Target]health.State
	flagged    []Flag
	reports    []error
	jumped     time.Duration // how far the clock has jumped ahead, in which no time went by
}

func newWorld(t *testing.T, definition *pool.Definition) *world {
	t.Helper()
	w := &world{t: t, now: begin, definition: definition, states: map[health.Target]health.State{}}
	w.open(filepath.Join(t.TempDir(), "history.db"))
	return w
}

func (w *world) open(path string) {
	w.t.Helper()
	h, err := Open(path, Options{
		Now:     func() time.Time { return w.now },
		Flagged: func(f Flag) { w.flagged = append(w.flagged, f) },
		Report:  func(err error) { w.reports = append(w.reports, err) },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.h = h
	h.elapsed = func() time.Time { return w.now.Add(-w.jumped) }
	h.SetTargets(w.definition)
	w.t.Cleanup(func() { _ = h.Close() })
}

// restart closes the file and opens it again after a time in which nothing runs.
func (w *world) restart(away time.Duration) {
	w.t.Helper()
	w.turn()
	w.kill(away)
}

// kill is a restart that writes nothing before.
func (w *world) kill(away time.Duration) {
	w.t.Helper()
	path := w.h.path
	w.h.writing.Lock()
	if err := w.h.drop(); err != nil {
		w.t.Fatal(err)
	}
	w.h.writing.Unlock()
	w.now = w.now.Add(away)
	w.states = map[health.Target]health.State{}
	w.open(path)
}

// jump sets the clock while the program runs.
func (w *world) jump(by time.Duration) {
	w.now, w.jumped = w.now.Add(by), w.jumped+by
}

// turn writes all that waits and looks for flags.
func (w *world) turn() {
	w.t.Helper()
	if err := w.h.turn(true); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) target(member int) health.Target {
	p := w.definition.Pools[0]
	return health.MemberTarget(p, p.Members[member].Addresses[0])
}

// good and bad are results of probes.
func good() health.Result { return health.Result{Outcome: health.Success, Reason: "status 200"} }

func bad(outcome health.Outcome, reason string) health.Result {
	return health.Result{Outcome: outcome, Reason: reason}
}

// probe makes one probe of a target now, and moves its state by the thresholds, as the
// prober does.
func (w *world) probe(target health.Target, r health.Result) health.State {
	schedule := w.definition.Pools[0].Health.Schedule
	before := w.states[target]
	after := before
	after.Checked, after.Duration, after.Reason = w.now, 20*time.Millisecond, r.Reason
	if r.Outcome == health.Success {
		after.Successes = min(before.Successes+1, schedule.UpAfter)
		if before.Verdict == health.Unknown || after.Successes >= schedule.UpAfter {
			after.Verdict, after.Failures = health.Up, 0
		}
	} else {
		after.Successes, after.Failures = 0, min(before.Failures+1, schedule.DownAfter)
		if before.Verdict == health.Unknown || after.Failures >= schedule.DownAfter {
			after.Verdict = health.Down
		}
	}
	if after.Verdict != before.Verdict {
		after.Since = w.now
	}
	w.states[target] = after
	w.h.Observe(health.Observation{Target: target, Result: r, Before: before, After: after})
	return after
}

// probes makes probes of a member every 30 seconds for a time.
func (w *world) probes(member int, length time.Duration, r health.Result) {
	for end := w.now.Add(length); w.now.Before(end); {
		w.now = w.now.Add(30 * time.Second)
		w.probe(w.target(member), r)
	}
}

// look asks about one member.
// patternOf reads the name of members; "" is that of all.
func patternOf(t testing.TB, name string) (p administrative.Pattern) {
	t.Helper()
	if name == "" {
		return p
	}
	p, err := administrative.ParsePattern(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *world) look(member string) MemberHistory {
	w.t.Helper()
	answer, err := w.h.Look(context.Background(), Question{Member: patternOf(w.t, member), Since: w.now.AddDate(-1, 0, 0)})
	if err != nil {
		w.t.Fatal(err)
	}
	if len(answer.Members) != 1 {
		w.t.Fatalf("the history knows %d members by the name %q, expected 1", len(answer.Members), member)
	}
	return answer.Members[0]
}
