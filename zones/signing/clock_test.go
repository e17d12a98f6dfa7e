package signing_test

import (
	"strings"
	"testing"
	"time"

	"mirrorpool/zones/signing"
)

// step is one look at the clocks: the monotonic one shows so much since the start,
// and the wall clock is off by so much from now at the start and what went by.
type step struct {
	after, off time.Duration
	state      signing.ClockState
	nowOff     time.Duration // of the time to sign as of, as off
	words      string
}

func TestClock(t *testing.T) {
	const minute, hour, day = time.Minute, time.Hour, 24 * time.Hour
	for _, one := range []struct {
		name                string
		remembered, created time.Duration // from now; 0: nothing
		steps               []step
	}{
		{name: "steady", remembered: -day, created: -9 * day, steps: []step{
			{0, 0, "steady", 0, ""}, {minute, 0, "steady", 0, ""}, {2 * minute, time.Second, "steady", time.Second, ""},
		}},
		{name: "nothing is known", steps: []step{{0, 0, "steady", 0, ""}, {day, 0, "steady", 0, ""}}},
		{name: "small corrections add up", steps: []step{
			{0, 0, "steady", 0, ""},
			{1 * minute, 4 * minute, "steady", 4 * minute, ""},
			{2 * minute, 8 * minute, "steady", 8 * minute, ""},
			{3 * minute, 12 * minute, "steady", 12 * minute, ""},
			{4 * minute, 8 * minute, "steady", 8 * minute, ""},
		}},
		{name: "jumps ahead and is taken after an hour", steps: []step{
			{0, 0, "steady", 0, ""},
			{minute, day, "jumped", 0, "jumped by 24h0m0s to 2026-11-24 12:01:00 UTC"},
			{40 * minute, day, "jumped", 0, "21m0s from now"},
			{61 * minute, day, "steady", day, ""},
			{62 * minute, day, "steady", day, ""},
		}},
		{name: "jumps back and is taken after an hour", remembered: -minute, steps: []step{
			{0, 0, "steady", 0, ""},
			{minute, -9 * day, "jumped", 0, "jumped by -9 days"},
			{61 * minute, -9 * day, "steady", -9 * day, ""},
			{62 * minute, -9 * day, "steady", -9 * day, ""},
		}},
		{name: "jumps and comes back", steps: []step{
			{0, 0, "steady", 0, ""},
			{minute, 6 * minute, "jumped", 0, "jumped by 6m0s"},
			{2 * minute, minute, "steady", minute, ""},
			{59 * minute, 20 * minute, "jumped", minute, ""},
			{118 * minute, 20 * minute, "jumped", minute, "1m0s from now"},
			{119 * minute, 20 * minute, "steady", 20 * minute, ""},
		}},
		{name: "jumps within the tolerance", steps: []step{
			{0, 0, "steady", 0, ""}, {minute, 5 * minute, "steady", 5 * minute, ""}, {2 * minute, 0, "steady", 0, ""},
		}},
		{name: "starts in the past and is set later", remembered: -minute, steps: []step{
			{0, -50 * 365 * day, "behind", -minute, "which is 18250 days before the last time that is known here"},
			{3 * hour, -50 * 365 * day, "behind", -minute, "set it right"},
			{4 * hour, 2 * day, "steady", 2 * day, ""},
		}},
		{name: "starts in the past and nothing but the keys is known", created: -day, steps: []step{
			{0, -9 * day, "behind", -day, "8 days before"}, {hour, 0, "steady", 0, ""},
		}},
		{name: "starts a little before", remembered: 2 * minute, steps: []step{
			{0, 0, "steady", 2 * minute, ""}, {minute, 0, "steady", 0, ""},
		}},
		{name: "jumps when it had been behind", remembered: -minute, steps: []step{
			{0, -day, "behind", -minute, ""}, {minute, 0, "steady", 0, ""}, {2 * minute, -day, "jumped", 0, ""},
		}},
		{name: "a key from the future", remembered: -day, created: 9 * day, steps: []step{
			{0, 0, "doubted", 0, "a key was made 9 days later"},
			{minute, 0, "doubted", 0, ""},
			{10 * day, 0, "steady", 0, ""},
		}},
		{name: "a key of a moment ago elsewhere", remembered: -day, created: minute, steps: []step{{0, 0, "steady", 0, ""}}},
	} {
		t.Run(one.name, func(t *testing.T) {
			from := func(offset time.Duration) time.Time {
				if offset == 0 {
					return time.Time{}
				}
				return now.Add(offset)
			}
			clock := signing.NewClock(from(one.remembered), from(one.created))
			for _, step := range one.steps {
				const monotonic = 77 * time.Hour // at the start
				reading := clock.Read(now.Add(step.after+step.off), monotonic+step.after, from(one.created))
				if reading.State != step.state || !reading.Now.Equal(now.Add(step.after+step.nowOff)) {
					t.Errorf("after %s: %s with the time off by %s, expected %s and %s",
						step.after, reading.State, reading.Now.Sub(now.Add(step.after)), step.state, step.nowOff)
				}
				if (reading.Words == "") != (reading.State == "steady") || !strings.Contains(reading.Words, step.words) {
					t.Errorf("after %s: words %q, expected %q", step.after, reading.Words, step.words)
				}
			}
		})
	}
}

// A restart in the middle of a jump does not make time go back: what is
// remembered counts.
func TestClockGoesOnAfterARestart(t *testing.T) {
	clock := signing.NewClock(time.Time{}, time.Time{})
	clock.Read(now, 0, time.Time{})
	jumped := clock.Read(now.Add(-24*time.Hour), time.Minute, time.Time{})
	clock = signing.NewClock(jumped.Now, time.Time{})
	if again := clock.Read(now.Add(-24*time.Hour), 0, time.Time{}); again.State != signing.ClockBehind || !again.Now.Equal(jumped.Now) {
		t.Errorf("%+v after %+v", again, jumped)
	}
}
