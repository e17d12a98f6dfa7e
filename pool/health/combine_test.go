package health

import (
	"testing"
	"time"

	"mirrorpool/pool"
)

// TestMemberOfSeveralTargets holds what a member counts as whose check has inspections.
func TestMemberOfSeveralTargets(t *testing.T) {
	at := func(seconds int64) time.Time {
		if seconds == 0 {
			return time.Time{}
		}
		return time.Unix(seconds, 0).UTC()
	}
	// A state by its verdict, when it may change, and when it came back.
	state := func(v Verdict, change, returned int64) State {
		return State{Verdict: v, Reason: v.String(), Change: at(change), Returned: at(returned)}
	}
	for _, test := range []struct {
		name              string
		check, inspection State
		want              State
	}{
		{"both up", state(Up, 0, 0), state(Up, 0, 0), state(Up, 0, 0)},
		{"the sooner to go down", state(Up, 90, 0), state(Up, 70, 0), state(Up, 70, 0)},
		{"one is near it", state(Up, 0, 0), state(Up, 70, 0), state(Up, 70, 0)},
		{"the inspection is down", state(Up, 60, 0), state(Down, 0, 0), state(Down, 0, 0)},
		{"the check is down", state(Down, 0, 0), state(Up, 60, 0), state(Down, 0, 0)},
		{"down and coming up", state(Up, 50, 0), state(Down, 80, 0), state(Down, 80, 0)},
		{"both down, the later to come up", state(Down, 60, 0), state(Down, 80, 0), state(Down, 80, 0)},
		{"both down, one is not coming up", state(Down, 60, 0), state(Down, 0, 0), state(Down, 0, 0)},
		{"not inspected yet", state(Up, 60, 0), state(Unknown, 0, 0), state(Unknown, 0, 0)},
		{"down and not inspected", state(Down, 60, 0), state(Unknown, 0, 0), state(Down, 0, 0)},
		{"the last to come back", state(Up, 0, 40), state(Up, 0, 30), state(Up, 0, 40)},
		{"the inspection came back", state(Up, 0, 0), state(Up, 0, 30), state(Up, 0, 30)},
	} {
		p := &pool.Pool{Health: pool.Check{
			Probe:       pool.Probe{Kind: pool.CheckTCP, Port: 80},
			Inspections: []pool.Inspection{{Probe: pool.Probe{Kind: pool.CheckHTTP, Port: 80, Purpose: pool.PurposeThroughput}}},
		}}
		targets := MemberTargets(p, addr("127.0.0.1"))
		report := NewReport(map[Target]State{targets[0]: test.check, targets[1]: test.inspection})
		if got := report.Member(p, addr("127.0.0.1")); got != test.want {
			t.Errorf("%s: %+v, expected %+v", test.name, got, test.want)
		}
	}
	var nothing *Report
	if nothing.Freezes() != nil || nothing.Member(&pool.Pool{}, addr("127.0.0.1")).Verdict != Up {
		t.Error("a report that knows nothing")
	}
}
