package history

import (
	"testing"
	"time"

	"mirrorpool/pool/health"
)

// freeze has the prober find that the failures of a target are its own: what took the
// target down is taken back, and until the freeze ends failures do not count.
func (w *world) freeze(target health.Target) {
	before := w.states[target]
	after := before
	after.Verdict, after.Failures, after.Frozen = health.Up, 0, true
	w.states[target] = after
	if before.Verdict == health.Down {
		w.h.Observe(health.Observation{Target: target, Before: before, After: after, TakenBack: true})
	}
}

// TestWhatAFreezeTakesBackCondemnsNobody: not what had taken the target down, written or
// not, nor what was about to, nor what fails while it is frozen.
func TestWhatAFreezeTakesBackCondemnsNobody(t *testing.T) {
	for name, failing := range map[string]time.Duration{"down": 90 * time.Second, "not down yet": 30 * time.Second} {
		for _, written := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				definition := definitionOf("wiki")
				definition.Pools[0].Health.MinRate, definition.Pools[0].Health.MaxAge = 1000, time.Hour
				w := newWorld(t, definition)
				target := w.target(0)
				w.probes(0, time.Hour, good())
				slow := bad(health.Slow, "10 B/s, expected 1000")
				slow.Evidence.BytesPerSecond = 10
				for _, r := range []health.Result{bad(health.Altered, "not what the origin has"), slow, bad(health.Content, "too old")} {
					w.probes(0, failing, r)
					if written {
						w.turn()
					}
					w.freeze(target)
					w.now = w.now.Add(30 * time.Second)
					w.h.Observe(health.Observation{Target: target, Result: r, Before: w.states[target], After: frozenAt(w.states[target], w.now)})
					after := w.states[target]
					after.Frozen = false
					w.states[target] = after
					w.probes(0, time.Hour, good())
				}
				w.turn()
				got := w.look("wiki")
				if got.Verdict != "no failure since it is known: 2026-03-02" || len(got.Flags) > 0 {
					t.Errorf("verdict %q, flags %+v", got.Verdict, got.Flags)
				}
				if last := got.Trend[len(got.Trend)-1]; last.Failures != 0 || last.Singles != 0 || last.Delivery != nil || last.Probes != 4*120 {
					t.Errorf("%+v", last)
				}
			})
		}
	}
}

func frozenAt(s health.State, now time.Time) health.State {
	s.Checked, s.Frozen = now, true
	return s
}

// TestAFreezeOverMidnight takes back what each of the days has.
func TestAFreezeOverMidnight(t *testing.T) {
	w := newWorld(t, definitionOf("wiki"))
	w.now = time.Date(2026, 3, 2, 22, 0, 0, 0, time.UTC)
	w.probes(0, 100*time.Minute, good())
	w.turn()
	w.probes(0, 40*time.Minute, bad(health.Timeout, "no answer"))
	w.freeze(w.target(0))
	w.turn()
	got := w.look("wiki").Availability[0]
	if want := int64((38*time.Minute + 30*time.Second) / time.Second); got.Down != 0 || got.Frozen != want || *got.Percent != 100 {
		t.Errorf("%+v, expected %d s frozen and none down", got, want)
	}
}
