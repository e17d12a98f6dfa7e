package history

import (
	"testing"
	"time"

	"mirrorpool/pool"
	"mirrorpool/pool/health"
)

// TestATargetOfTwoPools is probed once, and its incident is one of both members.
func TestATargetOfTwoPools(t *testing.T) {
	definition := definitionOf("wiki")
	second := definitionOf("other").Pools[0]
	second.Name = "two.example.org"
	definition.Pools = append(definition.Pools, second)
	w := newWorld(t, definition)
	w.probes(0, time.Hour, bad(health.Timeout, "no answer"))
	for _, name := range []string{"wiki", "other"} {
		if got := w.look(name); len(got.Incidents) != 1 || got.Incidents[0].Target != "wiki of dl.example.org (127.0.0.1), other of two.example.org (127.0.0.1): http" {
			t.Errorf("%s: %+v", name, got.Incidents)
		}
	}
}

// TestAnInspectionTakesTheMemberDown: its time down is the member's, and counts once.
func TestAnInspectionTakesTheMemberDown(t *testing.T) {
	definition := definitionOf("wiki")
	check := &definition.Pools[0].Health
	check.Inspections = []pool.Inspection{{
		Probe:    pool.Probe{Kind: pool.CheckHTTP, Purpose: pool.PurposeThroughput, Port: 80, Host: testPool, Path: "/big", MinRate: 1000, Timeout: time.Minute},
		Schedule: pool.Schedule{Interval: time.Hour, DownAfter: 1, UpAfter: 1},
	}}
	w := newWorld(t, definition)
	inspection := health.MemberTargets(definition.Pools[0], definition.Pools[0].Members[0].Addresses[0])[1]
	w.probes(0, time.Hour, good())
	slow := bad(health.Slow, "10 B/s, expected 1000")
	slow.Evidence.BytesPerSecond = 10
	for range 3 {
		w.probe(inspection, slow)
	}
	w.probes(0, time.Hour, good())
	got := w.look("wiki")
	if len(got.Incidents) != 1 || got.Incidents[0].Check != "throughput" || got.Incidents[0].Last.BytesPerSecond != 10 {
		t.Fatalf("%+v", got.Incidents)
	}
	if a := got.Availability[0]; a.Down != 3600 || a.Up != 3570 {
		t.Errorf("%+v", a)
	}
	if last := got.Trend[len(got.Trend)-1]; last.Delivery == nil || last.Delivery.Mean != 10 || last.Response == nil || last.Response.Mean != 20 {
		t.Errorf("%+v", last)
	}
}
