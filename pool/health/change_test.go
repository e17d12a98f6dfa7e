package health

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mirrorpool/pool"
)

// TestChange holds when the verdict may turn, and when a target came back.
func TestChange(t *testing.T) {
	schedule := pool.Schedule{Interval: 30 * time.Second, DownAfter: 3, UpAfter: 2}
	for _, test := range []struct {
		results string
		probes  int // until it may turn; 0: it may not
		back    bool
	}{
		{"+", 0, false},
		{"+-", 2, false},
		{"+--", 1, false},
		{"+-+", 2, false}, // what is counted stays until it is cleared
		{"+-++", 0, false},
		{"+---", 0, false},
		{"+---+", 1, false},
		{"+---+-", 0, false},
		{"+---++", 0, true},
		{"+---++-", 2, true},
		{"-++", 0, true},
		{"-+", 1, false},
	} {
		_, s := play(State{}, schedule, test.results)
		change := time.Time{}
		if test.probes > 0 {
			change = s.Checked.Add(time.Duration(test.probes) * schedule.Interval)
		}
		if s.Change != change || s.Returned.IsZero() == test.back {
			t.Errorf("%s: change %s (checked %s, expected after %d probes), came back %s", test.results, s.Change, s.Checked, test.probes, s.Returned)
		}
	}
	// A threshold that was lowered since.
	_, s := play(State{}, pool.Schedule{DownAfter: 9, UpAfter: 9}, "+-----")
	if got := s.change(schedule); got != s.Checked.Add(schedule.Interval) {
		t.Errorf("%s", got)
	}
}

func TestFrozenCountsNoFailures(t *testing.T) {
	schedule := pool.Schedule{Interval: 30 * time.Second, DownAfter: 3, UpAfter: 2}
	_, up := play(State{}, schedule, "+--")
	_, down := play(State{}, schedule, "+---+")
	for _, s := range []State{up, down} {
		s.Frozen = true
		verdicts, after := play(s, schedule, "------")
		if strings.Trim(verdicts, s.Verdict.String()[:1]) != "" || after.Failures != s.Failures || after.Successes != s.Successes {
			t.Errorf("%s: %+v", verdicts, after)
		}
		if after.Reason != "" || !after.Checked.After(s.Checked) {
			t.Errorf("the last probe is not told: %+v", after)
		}
	}
	down.Frozen, up.Frozen = true, true
	if verdicts, _ := play(down, schedule, "-+"); verdicts != "du" {
		t.Errorf("successes do not count: %s", verdicts)
	}
	if up.change(schedule) != (time.Time{}) {
		t.Errorf("a change is near though failures do not count")
	}
	if verdicts, _ := play(State{Frozen: true}, schedule, "--+"); verdicts != "uuu" { // unknown, unknown, up
		t.Errorf("%s", verdicts)
	}
}

func TestThroughputIsKept(t *testing.T) {
	s := State{}.after(Result{Outcome: Success, Evidence: Evidence{BytesPerSecond: 7}}, everyHalfMinute, time.Unix(1, 0), 0)
	s = s.after(Result{Outcome: Slow}, everyHalfMinute, time.Unix(2, 0), 0)
	if s.Throughput != 7 {
		t.Errorf("%+v", s)
	}
}

// TestChangedIsBounded holds that very many targets, of which some fail now and then,
// have everything compiled anew once a second at most, and healthy ones never.
func TestChangedIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		p, end := begin(t, Config{}, f, assign(1000, everyHalfMinute))
		defer end()
		time.Sleep(2 * time.Minute)
		fires := func(seconds int) (n int) {
			for range seconds * 50 {
				time.Sleep(20 * time.Millisecond)
				if changed(p) {
					n++
				}
			}
			return n
		}
		fires(1)
		if n := fires(60); n != 0 {
			t.Errorf("%d changes told of healthy targets", n)
		}
		for i := range 300 {
			f.turn(true, nth(i))
		}
		at := time.Now()
		for !changed(p) && time.Since(at) < time.Minute {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(at); took > time.Second {
			t.Errorf("the first change was told after %s", took)
		}
		if n := fires(25); n < 20 || n > 30 {
			t.Errorf("%d changes told in 25 s", n)
		}
		for i := range 300 {
			f.turn(false, nth(i))
		}
		// Until they have cleared their failures; and what goes away is told too.
		fires(120)
		f.turn(true, nth(0))
		fires(40)
		f.turn(false, nth(0))
		if n := fires(180); n < 2 || n > 12 {
			t.Errorf("%d changes told of one target that gets well", n)
		}
	})
}
