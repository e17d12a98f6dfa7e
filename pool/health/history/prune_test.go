package history

import (
	"testing"
	"time"

	"mirrorpool/pool/health"
)

func TestAYearIsKept(t *testing.T) {
	w := newWorld(t, definitionOf("wiki", "edge"))
	w.probes(1, time.Hour, good())
	w.h.SetTargets(definitionOf("wiki"))
	for range 450 / 5 {
		w.now = w.now.Add(5*dayLength - 10*time.Minute)
		w.probes(0, 5*time.Minute, bad(health.Timeout, "no answer"))
		w.probes(0, 5*time.Minute, good())
		w.turn()
	}
	got := w.look("wiki")
	if oldest := got.Incidents[len(got.Incidents)-1]; len(got.Incidents) < 72 || len(got.Incidents) > 75 || got.Omitted != 0 || oldest.Started.Before(begin) {
		t.Errorf("%d incidents and %d more", len(got.Incidents), got.Omitted)
	}
	answer, err := w.h.Look(t.Context(), Question{Member: patternOf(t, "edge")})
	if err != nil || len(answer.Members) != 0 {
		t.Errorf("a member that left more than a year ago: %+v, %v", answer.Members, err)
	}
}

// TestAClockYearsAheadRemovesNothing: a machine that starts with a wrong clock keeps what
// it has.
func TestAClockYearsAheadRemovesNothing(t *testing.T) {
	w := newWorld(t, definitionOf("wiki"))
	w.probes(0, time.Hour, bad(health.Timeout, "no answer"))
	w.probes(0, time.Hour, good())
	w.restart(20 * 365 * dayLength)
	w.turn()
	w.now = w.now.Add(-20 * 365 * dayLength)
	if got := w.look("wiki"); len(got.Incidents) != 1 {
		t.Errorf("%+v", got.Incidents)
	}
}

// TestAClockThatJumpsRemovesNothing in a run that has gone on for days; after a day with the
// clock as it is, it is believed.
func TestAClockThatJumpsRemovesNothing(t *testing.T) {
	w := newWorld(t, definitionOf("wiki"))
	w.probes(0, time.Hour, bad(health.Timeout, "no answer"))
	for range 5 {
		w.probes(0, time.Hour, good())
		w.turn()
		w.now = w.now.Add(12 * time.Hour)
	}
	w.jump(20 * 365 * dayLength)
	for range 10 {
		w.turn()
		w.now = w.now.Add(2 * time.Hour)
	}
	w.jump(-20 * 365 * dayLength)
	if got := w.look("wiki"); len(got.Incidents) != 1 {
		t.Errorf("%+v", got.Incidents)
	}
	w.jump(20 * 365 * dayLength)
	w.turn()
	w.now = w.now.Add(clockTrial)
	w.turn()
	w.now = w.now.Add(clockTrial)
	w.turn()
	if got := w.look("wiki"); len(got.Incidents) != 0 {
		t.Errorf("a clock that is right after all: %+v", got.Incidents)
	}
}
