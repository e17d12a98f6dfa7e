package health

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mirrorpool/pool"
)

// wallClock is one that can be set.
type wallClock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *wallClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *wallClock) set(ahead time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead = ahead
}

// TestClockIsSet holds that probes go on as ever when the wall clock is set, and that
// what others count from a moment of the past moves with it.
func TestClockIsSet(t *testing.T) {
	for _, step := range []time.Duration{-72 * time.Hour, -time.Minute, time.Minute, 72 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			f, clock := newFarm(), &wallClock{}
			p, end := begin(t, Config{Now: clock.now}, f, assign(10, pool.Schedule{Interval: 30 * time.Second, DownAfter: 3, UpAfter: 1}))
			defer end()
			time.Sleep(5 * time.Minute)
			f.turn(true, nth(0))
			time.Sleep(2 * time.Minute)
			f.turn(false, nth(0))
			time.Sleep(35 * time.Second)
			f.turn(true, nth(1))
			time.Sleep(35 * time.Second)
			before := p.Report()
			changed(p)
			starts := f.count()
			clock.set(step)
			time.Sleep(time.Second)
			after := p.Report()
			if !changed(p) {
				t.Error("it was not told")
			}
			for i, of := range []func(*Report) time.Time{
				func(r *Report) time.Time { return r.State(nth(0)).Returned },
				func(r *Report) time.Time { return r.State(nth(1)).Change },
			} {
				if of(before).IsZero() || of(after).Sub(of(before))-step > 100*time.Millisecond || of(after).Sub(of(before))-step < -100*time.Millisecond {
					t.Errorf("%s, time %d: was %s, is %s", step, i, of(before), of(after))
				}
			}
			if s := after.State(nth(2)); !s.Returned.IsZero() || !s.Change.IsZero() {
				t.Errorf("%+v", s)
			}
			time.Sleep(time.Minute)
			if n := f.count() - starts; n < 18 || n > 23 {
				t.Errorf("%s: %d probes in a minute", step, n)
			}
		})
	}
}

// TestFailuresByTheClock holds that states freeze if mirrors fail by what a clock says
// that was set, or for want of a resolver, though the control addresses answer.
func TestFailuresByTheClock(t *testing.T) {
	for _, test := range []struct {
		step    time.Duration
		outcome Outcome
		frozen  bool
	}{
		{72 * time.Hour, Content, true},
		{-72 * time.Hour, Certificate, true},
		{0, Resolution, true},
		{0, Content, false},
		{72 * time.Hour, Status, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			clock, c := &wallClock{}, newControl("answers")
			var mu sync.Mutex
			result := Result{Outcome: Success}
			p := NewProber(Config{Now: clock.now, Dial: c.dial, Random: rand.NewPCG(1, 1), Probe: func(context.Context, Target) Result {
				mu.Lock()
				defer mu.Unlock()
				return result
			}})
			p.SetControl(controls)
			all := nths(0, 10)
			p.SetTargets(with(everyHalfMinute, all...))
			defer run(t, p)()
			time.Sleep(5 * time.Minute)
			clock.set(test.step)
			mu.Lock()
			result.Outcome = test.outcome
			mu.Unlock()
			time.Sleep(10 * time.Minute)
			want, freeze := "10 down", ""
			if test.frozen {
				want, freeze = "10 up", "ipv4 10 of 10"
			}
			if got := verdictsOf(p, all...); got != want || frozen(p) != freeze {
				t.Errorf("%+v: %s, frozen: %q", test, got, frozen(p))
			}
			clock.set(0)
			mu.Lock()
			result.Outcome = Success
			mu.Unlock()
			time.Sleep(5 * time.Minute)
			if got := verdictsOf(p, all...); got != "10 up" || frozen(p) != "" {
				t.Errorf("%+v: %s, frozen: %q", test, got, frozen(p))
			}
		})
	}
}

// TestNoBurstAfterAPause holds that what was missed while the machine stood still is
// made up for slowly, and that probes which were under way then say nothing.
func TestNoBurstAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		p := NewProber(Config{Probe: f.probe, Random: rand.NewPCG(3, 4)})
		p.SetTargets(assign(3000, everyHalfMinute))
		end := run(t, p)
		time.Sleep(2 * time.Minute)
		end()
		// The machine stands still while probes are under way: the schedule's clock goes
		// on, and nothing is called.
		now := p.elapsed()
		under := []*entry{}
		for e, _, wait := p.next(t.Context(), now); len(under) < 3; e, _, wait = p.next(t.Context(), now) {
			if now += wait; e != nil {
				under = append(under, e)
			}
		}
		now += 8 * time.Hour
		for _, e := range under {
			p.finish(e, Result{Outcome: Timeout}, time.Hour, true, now)
			if e.state.Failures != 0 {
				t.Errorf("a probe that was under way counts: %+v", e.state)
			}
		}
		perSecond := map[time.Duration]int{}
		for woke := now; now < woke+time.Minute; {
			e, _, wait := p.next(t.Context(), now)
			if e == nil {
				now += wait
				continue
			}
			perSecond[(now-woke)/time.Second]++
			p.finish(e, Result{Outcome: Success}, time.Millisecond, true, now)
		}
		total := 0
		for second, n := range perSecond {
			if total += n; n > 160 { // 100 is the pace of all
				t.Errorf("%d probes in second %d", n, second)
			}
		}
		if total < 5000 || total > 6500 {
			t.Errorf("%d probes in a minute", total)
		}
	})
}

// TestNoBurstAfterAReload holds that neither other thresholds, nor other intervals, nor
// other targets make probes of those that stay come sooner.
func TestNoBurstAfterAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		p, end := begin(t, Config{}, f, assign(900, everyHalfMinute))
		defer end()
		time.Sleep(2 * time.Minute)
		const pace = 30 // probes a second
		most := func(seconds int) (most int) {
			for range seconds {
				before := f.count()
				time.Sleep(time.Second)
				most = max(most, f.count()-before)
			}
			return most
		}
		if n := most(30); n > 2*pace {
			t.Errorf("%d probes in a second, as ever", n)
		}
		for name, assignments := range map[string][]Assignment{
			"the same":         assign(900, everyHalfMinute),
			"other thresholds": assign(900, pool.Schedule{Interval: 30 * time.Second, DownAfter: 1, UpAfter: 1}),
			"longer":           assign(900, pool.Schedule{Interval: 45 * time.Second, DownAfter: 1, UpAfter: 1}),
			"fewer":            assign(600, everyHalfMinute),
			"shorter":          assign(600, pool.Schedule{Interval: 25 * time.Second, DownAfter: 1, UpAfter: 1}),
			"another rate":     nil,
		} {
			if assignments == nil {
				p.SetRate(5000)
				p.SetControl(controls)
			} else {
				p.SetTargets(assignments)
			}
			if n := most(60); n > 2*pace {
				t.Errorf("%s: %d probes in a second", name, n)
			}
			p.SetTargets(assign(900, everyHalfMinute))
			time.Sleep(2 * time.Minute)
		}
		// Of new ones there are no more at once than the rate permits.
		p.SetRate(0)
		p.SetTargets(assign(6000, everyHalfMinute))
		if n := most(10); n > DefaultRate+10 || p.Rate() != DefaultRate {
			t.Errorf("%d new ones in a second, at a rate of %v", n, p.Rate())
		}
	})
}

// TestRate holds that another rate counts at once.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		f.takes = time.Hour
		p, end := begin(t, Config{Rate: 2}, f, assign(3000, everyHalfMinute))
		defer end()
		time.Sleep(time.Minute)
		if n := f.count(); n < 118 || n > 122 {
			t.Errorf("%d probes in a minute at 2 a second", n)
		}
		p.SetRate(200)
		time.Sleep(2 * time.Second)
		if n := f.count(); n < 420 || n > 550 {
			t.Errorf("%d probes", n)
		}
		time.Sleep(10 * time.Second)
		if n := f.busy(); n < 390 || n > 400 { // some end just now
			t.Errorf("%d under way, two seconds of the rate are 400", n)
		}
	})
}
