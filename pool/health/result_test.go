package health

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"mirrorpool/pool"
)

// play runs results through the thresholds: "+" is a success, "-" a failure.
// It gives the verdict after each: "u" up, "d" down.
func play(s State, schedule pool.Schedule, results string) (string, State) {
	var verdicts strings.Builder
	now := time.Unix(1000, 0)
	for _, r := range results {
		now = now.Add(time.Second)
		result := Result{Outcome: Success}
		if r == '-' {
			result.Outcome = Status
		}
		s = s.after(result, schedule, now, 0)
		verdicts.WriteByte(s.Verdict.String()[0])
	}
	return verdicts.String(), s
}

func TestThresholds(t *testing.T) {
	for _, test := range []struct {
		down, up          int
		results, verdicts string
	}{
		// The first decides.
		{3, 5, "+", "u"},
		{3, 5, "-", "d"},
		// down_after failures in a row.
		{3, 5, "+---", "uuud"},
		{1, 1, "+-+-", "udud"},
		// Back after up_after successes in a row, not before.
		{3, 5, "-+++++", "dddddu"},
		{3, 5, "-++++-+++++", "ddddddddddu"},
		// A failure at the start counts when the target has come up: not.
		{3, 2, "---++--+-", "dddduuuud"},
		// One success in three does not save.
		{3, 5, "+-+--", "uuuud"},
		{3, 5, "+--+--+", "uuuuddd"},
		{3, 5, "++-++-++-", "uuuuuuuud"},
		// A run of successes clears the failures.
		{3, 5, "+--+++++--", "uuuuuuuuuu"},
		{3, 5, "+--+++++---", "uuuuuuuuuud"},
		{3, 5, "+--++++-", "uuuuuuud"},
		{3, 1, "+--+--+--", "uuuuuuuuu"},
	} {
		schedule := pool.Schedule{Interval: time.Second, DownAfter: test.down, UpAfter: test.up}
		t.Run(fmt.Sprintf("%d %d %s", test.down, test.up, test.results), func(t *testing.T) {
			if got, _ := play(State{}, schedule, test.results); got != test.verdicts {
				t.Errorf("%s\ngot  %s\nwant %s", test.results, got, test.verdicts)
			}
		})
	}
}

func TestStateAfter(t *testing.T) {
	schedule := pool.Schedule{Interval: 10 * time.Second, DownAfter: 2, UpAfter: 2}
	at := func(n int64) time.Time { return time.Unix(n, 0).UTC() }
	s := State{}.after(Result{Outcome: Success, Reason: "status 200", Address: addr("127.0.0.1"), CertificateExpiry: at(99)}, schedule, at(1), time.Second)
	want := State{
		Verdict: Up, Since: at(1), Checked: at(1), Reason: "status 200", Successes: 1,
		Duration: time.Second, Address: addr("127.0.0.1"), CertificateExpiry: at(99),
	}
	if s != want {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
	// What a failed probe has not seen stays known.
	s = s.after(Result{Outcome: Timeout, Reason: "late"}, schedule, at(2), 2*time.Second)
	want.Checked, want.Reason, want.Duration, want.Failures, want.Successes = at(2), "late", 2*time.Second, 1, 0
	want.Change = at(12)
	if s != want {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
	s = s.after(Result{Reason: "late"}, schedule, at(3), 2*time.Second)
	want.Checked, want.Since, want.Verdict, want.Failures, want.Change = at(3), at(3), Down, 2, time.Time{}
	if s != want {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
}

// TestThresholdsModel holds the state against a plain reading of the whole
// history, for random histories.
func TestThresholdsModel(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		schedule := pool.Schedule{DownAfter: 1 + random.IntN(5), UpAfter: 1 + random.IntN(5)}
		odds := random.Float64()
		history := make([]byte, 60)
		for i := range history {
			history[i] = "-+"[min(1, int(random.Float64()+odds))]
		}
		got, s := play(State{}, schedule, string(history))
		if want := verdicts(string(history), schedule); got != want {
			t.Fatalf("%+v\n%s\ngot  %s\nwant %s", schedule, history, got, want)
		}
		if s.Failures > schedule.DownAfter || s.Successes > schedule.UpAfter {
			t.Fatalf("%+v counts past %+v", s, schedule)
		}
	}
}

// verdicts reads each prefix of a history by the words of the package comment.
func verdicts(history string, schedule pool.Schedule) string {
	run := strings.Repeat("+", schedule.UpAfter)
	var out strings.Builder
	since := 0 // what counts begins here
	verdict := byte('?')
	for i := range history {
		counted := history[since : i+1]
		switch {
		case i == 0 && history[0] == '+':
			verdict = 'u'
		case i == 0:
			verdict = 'd'
		case verdict == 'd' && strings.HasSuffix(counted, run):
			verdict, since = 'u', i+1
		case verdict == 'u':
			tail := counted
			if cleared := strings.LastIndex(counted, run); cleared >= 0 {
				tail = counted[cleared+len(run):]
			}
			if strings.Count(tail, "-") >= schedule.DownAfter {
				verdict, since = 'd', i+1
			}
		}
		out.WriteByte(verdict)
	}
	return out.String()
}
