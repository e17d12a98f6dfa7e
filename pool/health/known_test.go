package health

import (
	"testing"
	"testing/synctest"
	"time"

	"mirrorpool/pool"
)

// TestFirstErrorOfAnInspection holds that a target that is asked seldom is neither up nor
// down by a single error, and is asked again soon, until it is known.
func TestFirstErrorOfAnInspection(t *testing.T) {
	seldomAsked := pool.Schedule{Interval: 6 * time.Hour, DownAfter: 3, UpAfter: 1}
	for _, test := range []struct {
		name     string
		schedule pool.Schedule
		heals    time.Duration // 0: it does not
		verdict  Verdict
		known    time.Duration
		probes   int // in the first hour
	}{
		{"works", seldomAsked, 1, Up, 0, 1},
		{"heals", seldomAsked, 15 * time.Second, Up, 2 * RepeatUnknown, 3},
		{"is broken", seldomAsked, 0, Down, 2 * RepeatUnknown, 4},
		{"asked often", everyHalfMinute, 15 * time.Second, Down, 0, 120},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, target := newFarm(), nth(1)
				f.takes = time.Millisecond
				f.turn(test.heals != 1, target)
				p, end := begin(t, Config{}, f, []Assignment{{target, test.schedule}})
				defer end()
				start := time.Now()
				if test.heals > 1 {
					time.AfterFunc(test.heals, func() { f.turn(false, target) })
				}
				time.Sleep(time.Second)
				if s := p.Report().State(target); test.known > 0 && (s.Verdict != Unknown || s.Failures != 1) {
					t.Errorf("after a single error: %+v", s)
				}
				if err := p.WaitKnown(t.Context()); err != nil {
					t.Fatal(err)
				}
				took := time.Since(start).Round(time.Second)
				if s := p.Report().State(target); s.Verdict != test.verdict || took != max(test.known, time.Second) {
					t.Errorf("%s after %s, want %s after %s", s.Verdict, took, test.verdict, test.known)
				}
				time.Sleep(time.Hour - time.Since(start))
				if n := len(f.of(target)); n < test.probes-2 || n > test.probes+2 || test.probes < 100 && n != test.probes {
					t.Errorf("%d probes in an hour, want %d", n, test.probes)
				}
			})
		})
	}
}
