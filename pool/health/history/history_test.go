package history

import (
	"math"
	"testing"
	"time"

	"mirrorpool/pool/health"
)

func TestAnIncidentIsKeptWithItsEvidence(t *testing.T) {
	w := newWorld(t, definitionOf("wiki", "edge"))
	w.probes(0, time.Hour, good())
	began := w.now
	refused := bad(health.Connection, "connection refused")
	refused.Evidence = health.Evidence{Steps: []health.Step{{Name: "connect", Took: 3 * time.Millisecond, Words: "127.0.0.1:80"}}}
	w.probes(0, 10*time.Minute, refused)
	wrong := bad(health.Status, "status 503, expected 200")
	wrong.Evidence = health.Evidence{Status: 503, Bytes: 17, FirstBytes: "abcd"}
	w.probes(0, 5*time.Minute, wrong)
	w.probes(0, time.Hour, good())
	got := w.look("wiki")

	if len(got.Incidents) != 1 {
		t.Fatalf("%d incidents, expected 1: %+v", len(got.Incidents), got.Incidents)
	}
	i := got.Incidents[0]
	if want := began.Add(90 * time.Second); !i.Started.Equal(want) {
		t.Errorf("started %s, expected %s", i.Started, want)
	}
	if want := began.Add(30 * time.Second); !i.Failing.Equal(want) {
		t.Errorf("failing since %s, expected %s", i.Failing, want)
	}
	if want := began.Add(16 * time.Minute); !i.Ended.Equal(want) {
		t.Errorf("ended %s, expected %s", i.Ended, want)
	}
	if i.Target != "wiki of dl.example.org (127.0.0.1): http" || i.Check != "http" || i.Address != "127.0.0.1" {
		t.Errorf("target %q, check %q, address %q", i.Target, i.Check, i.Address)
	}
	if i.Reason != "connection refused" || i.Outcome != health.Status || i.Failures != 28 || i.Voided {
		t.Errorf("reason %q, worst %q, %d failures, voided %t", i.Reason, i.Outcome, i.Failures, i.Voided)
	}
	if i.First == nil || len(i.First.Steps) != 1 || i.First.Steps[0].Milliseconds != 3 {
		t.Errorf("first evidence %+v", i.First)
	}
	if i.Last == nil || i.Last.Status != 503 || i.Last.Bytes != 17 || i.Last.FirstBytes != "abcd" || i.Worst.Outcome != health.Status {
		t.Errorf("last evidence %+v, worst %+v", i.Last, i.Worst)
	}
	if got.Verdict != "first failure in six months: disable it for a while, write to its operator (known only since 2026-03-02)" {
		t.Errorf("verdict %q", got.Verdict)
	}
	if a := got.Availability[0]; a.Down != int64((14*time.Minute+30*time.Second)/time.Second) {
		t.Errorf("down %d s, expected 870: %+v", a.Down, a)
	}
	if other := w.look("edge"); other.Verdict != "no failure since it is known: 2026-03-02" || other.Availability[0].Percent != nil {
		t.Errorf("edge: %q, %+v", other.Verdict, other.Availability)
	}
}

func TestTimeWithoutProbesIsUnknown(t *testing.T) {
	w := newWorld(t, definitionOf("wiki"))
	w.probes(0, time.Hour, good())
	w.restart(10 * time.Hour)
	w.probes(0, time.Hour, good())
	w.now = w.now.Add(3 * time.Hour) // nothing is probed, though it runs
	w.probes(0, 30*time.Minute, good())
	got := w.look("wiki").Availability[0]
	// Up: one probe interval less than the time in which probes were made, in each part.
	if got.Up != int64((2*time.Hour+30*time.Minute-90*time.Second)/time.Second) || got.Down != 0 {
		t.Errorf("up %d s, down %d s", got.Up, got.Down)
	}
	if want := int64((13*time.Hour + 90*time.Second) / time.Second); math.Abs(float64(got.Unknown-want)) > 60 {
		t.Errorf("unknown %d s, expected %d", got.Unknown, want)
	}
	if *got.Percent != 100 {
		t.Errorf("%v %%", *got.Percent)
	}
}

func TestOpenIncidentsOverARestart(t *testing.T) {
	for name, one := range map[string]struct {
		after     health.Result
		incidents int
		open      bool
		ending    string
	}{
		"still down":   {bad(health.Timeout, "no answer"), 1, true, ""},
		"up meanwhile": {good(), 1, false, endedAbsent},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, definitionOf("wiki"))
			w.probes(0, time.Hour, good())
			w.probes(0, time.Hour, bad(health.Connection, "connection refused"))
			last := w.now
			w.restart(2 * time.Hour)
			w.probes(0, 10*time.Minute, one.after)
			got := w.look("wiki")
			if len(got.Incidents) != one.incidents {
				t.Fatalf("%+v", got.Incidents)
			}
			i := got.Incidents[0]
			if i.Ended.IsZero() != one.open || i.Ending != one.ending {
				t.Errorf("ended %s with %q", i.Ended, i.Ending)
			}
			if !one.open && !i.Ended.Equal(last) {
				t.Errorf("ended %s, expected its last sign, %s", i.Ended, last)
			}
			if i.Started.After(last) || i.First.Reason != "connection refused" {
				t.Errorf("started %s, %+v", i.Started, i.First)
			}
		})
	}
}

func TestSingleErrorsAreCountedAndIncidentsAreNotAmongThem(t *testing.T) {
	w := newWorld(t, definitionOf("wiki"))
	w.probes(0, time.Minute, good())
	for range 5 {
		w.probes(0, 30*time.Second, bad(health.Timeout, "no answer"))
		w.probes(0, 2*time.Minute, good())
	}
	w.probes(0, 10*time.Minute, bad(health.Timeout, "no answer"))
	w.probes(0, 10*time.Minute, good())
	got := w.look("wiki")
	var singles, failures int64
	for _, p := range got.Trend {
		singles += p.Singles
		failures += p.Failures
	}
	if singles != 5 || failures != 25 {
		t.Errorf("%d single errors of %d failures, expected 5 of 25", singles, failures)
	}
}

func TestWhatTheProberTakesBackDoesNotCount(t *testing.T) {
	w := newWorld(t, definitionOf("wiki"))
	w.probes(0, time.Hour, good())
	w.probes(0, 5*time.Minute, bad(health.Timeout, "no answer"))
	// The prober has found that it was its own fault.
	before := w.states[w.target(0)]
	after := before
	after.Verdict, after.Failures, after.Frozen = health.Up, 0, true
	w.states[w.target(0)] = after
	w.h.Observe(health.Observation{Target: w.target(0), Before: before, After: after, TakenBack: true})
	w.probes(0, 30*time.Second, good())
	got := w.look("wiki")
	if len(got.Incidents) != 1 || !got.Incidents[0].Voided || got.Failures != 0 {
		t.Fatalf("%d failures, %+v", got.Failures, got.Incidents)
	}
	if a := got.Availability[0]; a.Down != 0 || a.Frozen == 0 {
		t.Errorf("%+v", a)
	}
}

func TestAMemberThatIsRemovedKeepsItsHistory(t *testing.T) {
	w := newWorld(t, definitionOf("wiki", "edge"))
	w.probes(1, time.Hour, good())
	w.probes(1, time.Hour, bad(health.Connection, "connection refused"))
	w.h.SetTargets(definitionOf("wiki"))
	got := w.look("edge")
	if got.Present || len(got.Incidents) != 1 || got.Incidents[0].Ending != endedUnchecked {
		t.Fatalf("present %t, %+v", got.Present, got.Incidents)
	}
	if percent := *got.Availability[0].Percent; percent < 49 || percent > 52 {
		t.Errorf("%.1f %% up", percent)
	}
	w.restart(time.Minute)
	if got := w.look("edge"); len(got.Incidents) != 1 {
		t.Errorf("after a restart: %+v", got.Incidents)
	}
}

func TestAKilledServerLosesNoClosedIncident(t *testing.T) {
	w := newWorld(t, definitionOf("wiki"))
	w.probes(0, time.Hour, good())
	w.probes(0, time.Hour, bad(health.Connection, "connection refused"))
	w.probes(0, 10*time.Minute, good())
	if err := w.h.turn(false); err != nil { // as Run does when an incident ends
		t.Fatal(err)
	}
	w.kill(time.Minute)
	if got := w.look("wiki"); len(got.Incidents) != 1 || got.Incidents[0].Ended.IsZero() {
		t.Errorf("%+v", got.Incidents)
	}
}
