package health

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"mirrorpool/pool"
)

// nth6 is a target of the other family.
func nth6(i int) Target {
	t := nth(i)
	t.Address = netip.AddrFrom16([16]byte{0: 0xfd, 14: byte(i >> 8), 15: byte(i)})
	return t
}

func nths(from, to int) []Target {
	var all []Target
	for i := from; i < to; i++ {
		all = append(all, nth(i))
	}
	return all
}

func with(schedule pool.Schedule, targets ...Target) []Assignment {
	var all []Assignment
	for _, t := range targets {
		all = append(all, Assignment{t, schedule})
	}
	return all
}

// control is a control address of a simulated network.
type control struct {
	asked atomic.Int64
	state atomic.Value // "answers", "refuses" or "silent"
}

func newControl(state string) *control {
	c := &control{}
	c.state.Store(state)
	return c
}

var controls = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53"), netip.MustParseAddrPort("[fd00::ffff]:53")}

func (c *control) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	c.asked.Add(1)
	switch c.state.Load() {
	case "answers":
		ours, theirs := net.Pipe()
		theirs.Close()
		return ours, nil
	case "silent":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, errors.New("network is unreachable")
}

// verdictsOf counts the verdicts of targets: "8 up, 2 down".
func verdictsOf(p *Prober, targets ...Target) string {
	count, report := map[Verdict]int{}, p.Report()
	for _, t := range targets {
		count[report.State(t).Verdict]++
	}
	var parts []string
	for _, v := range []Verdict{Up, Down, Unknown} {
		if count[v] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[v], v))
		}
	}
	return strings.Join(parts, ", ")
}

func frozen(p *Prober) string {
	var all []string
	for _, f := range p.Report().Freezes() {
		all = append(all, fmt.Sprintf("%s %d of %d", string(f.Family), f.Failing, f.Up))
	}
	return strings.Join(all, ", ")
}

// never checks every tenth of a second of some time that targets have not a verdict.
func never(t *testing.T, p *Prober, verdict Verdict, during time.Duration, targets ...Target) {
	t.Helper()
	var seen *Report // is as it was
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		report := p.Report()
		if report == seen {
			continue
		}
		seen = report
		for _, target := range targets {
			if s := report.State(target); s.Verdict == verdict {
				t.Fatalf("after %s %s is %s: %+v", during-time.Until(end), target, verdict, s)
			}
		}
	}
}

// TestEverythingFailsAtOnce holds that states stay while nothing can be reached.
func TestEverythingFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, all := newFarm(), nths(0, 10)
		told := 0
		p, end := begin(t, Config{Observe: func(o Observation) {
			if o.Before.Frozen && o.Result.Outcome != Success && !o.TakenBack {
				told++
			}
		}}, f, with(everyHalfMinute, all...))
		defer end()
		time.Sleep(5 * time.Minute)
		since := p.Report().State(nth(3)).Since
		changed(p)
		at := time.Now()
		f.turn(true, all...)
		never(t, p, Down, time.Hour, all...)
		freezes := p.Report().Freezes()
		if len(freezes) != 1 || freezes[0].Family != IPv4 || freezes[0].Failing != 10 || freezes[0].Up != 10 ||
			!strings.Contains(freezes[0].Words, "more than half of all IPv4 addresses") {
			t.Fatalf("%+v", freezes)
		}
		if took := freezes[0].Since.Sub(at); took < 10*time.Second || took > 22*time.Second {
			t.Errorf("frozen after %s, half of a round is 15 s", took)
		}
		if s := p.Report().State(nth(3)); !s.Frozen || !s.Change.IsZero() || s.Since != since || s.Reason != "connection refused" || time.Since(s.Checked) > 35*time.Second {
			t.Errorf("%+v", s)
		}
		if !changed(p) || testutil.ToFloat64(p.metrics.frozen.WithLabelValues("ipv4")) != 1 || testutil.ToFloat64(p.metrics.frozen.WithLabelValues("ipv6")) != 0 {
			t.Error("it was not told")
		}
		if told != 0 {
			t.Errorf("%d failures that do not count were told as if they did", told)
		}
		f.turn(false, all...)
		f.turn(true, nth(3))
		time.Sleep(70 * time.Second)
		if frozen(p) != "" || !changed(p) || testutil.ToFloat64(p.metrics.frozen.WithLabelValues("ipv4")) != 0 {
			t.Errorf("frozen still: %s", frozen(p))
		}
		// Failures are counted from zero, and then as ever.
		if s := p.Report().State(nth(3)); s.Verdict != Up || s.Frozen || s.Failures > 2 {
			t.Errorf("%+v", s)
		}
		time.Sleep(85 * time.Second)
		if got := verdictsOf(p, all...); got != "9 up, 1 down" {
			t.Errorf("%s", got)
		}
	})
}

// TestFailuresBeforeAFreeze holds that after a freeze failures are counted from zero:
// what failed before it is not added to.
func TestFailuresBeforeAFreeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, all := newFarm(), nths(0, 10)
		p, end := begin(t, Config{}, f, with(pool.Schedule{Interval: 30 * time.Second, DownAfter: 3, UpAfter: 50}, all...))
		defer end()
		time.Sleep(5 * time.Minute)
		f.turn(true, nth(0))
		for p.Report().State(nth(0)).Failures < 2 && !t.Failed() {
			time.Sleep(time.Second)
		}
		f.turn(false, nth(0))
		time.Sleep(time.Minute)
		f.turn(true, all...)
		time.Sleep(5 * time.Minute)
		if got := verdictsOf(p, all...); got != "10 up" || frozen(p) == "" {
			t.Errorf("%s, frozen: %s", got, frozen(p))
		}
		f.turn(false, all...)
		time.Sleep(75 * time.Second)
		for _, target := range all {
			if s := p.Report().State(target); s.Frozen || s.Failures != 0 || !s.Change.IsZero() {
				t.Errorf("%s: %+v", target, s)
			}
		}
	})
}

// TestSingleFailuresAreNotHeldUp holds that the freeze is only for more than half.
func TestSingleFailuresAreNotHeldUp(t *testing.T) {
	for failing := 1; failing <= 5; failing++ {
		for _, state := range []string{"none", "answers", "silent"} {
			t.Run(fmt.Sprintf("%d %s", failing, state), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f, all, c := newFarm(), nths(0, 10), newControl(state)
					p, end := begin(t, Config{Dial: c.dial}, f, with(everyHalfMinute, all...))
					defer end()
					if state != "none" {
						p.SetControl(controls)
					}
					time.Sleep(5 * time.Minute)
					f.turn(true, nths(0, failing)...)
					time.Sleep(95 * time.Second)
					if got, want := verdictsOf(p, all...), fmt.Sprintf("%d up, %d down", 10-failing, failing); got != want || frozen(p) != "" || c.asked.Load() != 0 {
						t.Errorf("%s, frozen %q, control asked %d times", got, frozen(p), c.asked.Load())
					}
				})
			})
		}
	}
}

// TestMostFailForGood holds that failures are believed after ten rounds, where others
// answer all the time.
func TestMostFailForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, all := newFarm(), nths(0, 10)
		p, end := begin(t, Config{}, f, with(everyHalfMinute, all...))
		defer end()
		time.Sleep(5 * time.Minute)
		f.turn(true, nths(0, 6)...)
		never(t, p, Down, 5*time.Minute, all...)
		if frozen(p) != "ipv4 6 of 10" {
			t.Errorf("frozen: %s", frozen(p))
		}
		time.Sleep(75 * time.Second)
		if got := verdictsOf(p, all...); got != "4 up, 6 down" || frozen(p) != "" {
			t.Errorf("%s, frozen: %s", got, frozen(p))
		}
		// They do not freeze the others again.
		f.turn(true, nth(6))
		time.Sleep(95 * time.Second)
		if got := verdictsOf(p, all...); got != "3 up, 7 down" {
			t.Errorf("%s", got)
		}
		f.turn(false, all...)
		time.Sleep(3 * time.Minute)
		if got := verdictsOf(p, all...); got != "10 up" {
			t.Errorf("%s", got)
		}
	})
}

// TestCutOffThenSomeAnswer holds that ten rounds count from when others answer again.
func TestCutOffThenSomeAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, all := newFarm(), nths(0, 10)
		p, end := begin(t, Config{}, f, with(everyHalfMinute, all...))
		defer end()
		time.Sleep(5 * time.Minute)
		f.turn(true, all...)
		never(t, p, Down, 20*time.Minute, all...)
		f.turn(false, nths(6, 10)...)
		never(t, p, Down, 5*time.Minute, all...)
		time.Sleep(80 * time.Second)
		if got := verdictsOf(p, all...); got != "4 up, 6 down" || frozen(p) != "" {
			t.Errorf("%s, frozen: %s", got, frozen(p))
		}
	})
}

func TestFewTargets(t *testing.T) {
	for n := 1; n <= 5; n++ {
		for _, state := range []string{"none", "answers", "refuses", "silent"} {
			t.Run(fmt.Sprintf("%d %s", n, state), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f, all, c := newFarm(), nths(0, n), newControl(state)
					p, end := begin(t, Config{Dial: c.dial}, f, with(everyHalfMinute, all...))
					defer end()
					if state != "none" {
						p.SetControl(controls)
					}
					time.Sleep(5 * time.Minute)
					f.turn(true, all...)
					time.Sleep(10 * time.Minute)
					want, freeze := fmt.Sprintf("%d down", n), ""
					if state == "refuses" || state == "silent" || n == 5 && state == "none" {
						want, freeze = fmt.Sprintf("%d up", n), fmt.Sprintf("ipv4 %d of %d", n, n)
					}
					if got := verdictsOf(p, all...); got != want || frozen(p) != freeze {
						t.Errorf("%s, frozen: %q", got, frozen(p))
					}
				})
			})
		}
	}
}

// TestWhatFellIsUpAgain holds that what went down by the same failures is taken back,
// and what had gone down before is not.
func TestWhatFellIsUpAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, all := newFarm(), nths(0, 10)
		var taken []Observation
		atOnce := pool.Schedule{Interval: 30 * time.Second, DownAfter: 1, UpAfter: 5}
		p, end := begin(t, Config{Observe: func(o Observation) {
			if o.TakenBack {
				taken = append(taken, o)
			}
		}}, f, with(atOnce, all...))
		defer end()
		time.Sleep(5 * time.Minute)
		f.turn(true, nth(0))
		time.Sleep(5 * time.Minute)
		before := p.Report()
		f.turn(true, all...)
		at := time.Now()
		for frozen(p) == "" {
			if time.Sleep(10 * time.Millisecond); time.Since(at) > 22*time.Second {
				t.Fatal("not frozen yet")
			}
		}
		if got := verdictsOf(p, all...); got != "9 up, 1 down" {
			t.Errorf("%s", got)
		}
		for target, s := range p.Report().All() {
			if was := before.State(target); s.Since != was.Since || s.Returned != was.Returned || s.Verdict != was.Verdict {
				t.Errorf("%s is %+v, was %+v", target, s, was)
			}
		}
		if len(taken) < 4 || taken[0].Before.Verdict != Down || taken[0].After.Verdict != Up {
			t.Errorf("taken back: %+v", taken)
		}
		never(t, p, Down, time.Hour, all[1:]...)
		if got := verdictsOf(p, all[0]); got != "1 down" {
			t.Errorf("%s", got)
		}
		// Successes count meanwhile.
		f.turn(false, nth(0))
		time.Sleep(3 * time.Minute)
		if s := p.Report().State(nth(0)); s.Verdict != Up || !s.Frozen || s.Returned.IsZero() {
			t.Errorf("%+v", s)
		}
	})
}

// TestControlAnswers holds that mirrors that have really failed go down as ever, most of
// them or all.
func TestControlAnswers(t *testing.T) {
	for _, downAfter := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			f, all, c := newFarm(), nths(0, 10), newControl("answers")
			p, end := begin(t, Config{Dial: c.dial}, f, with(pool.Schedule{Interval: 30 * time.Second, DownAfter: downAfter, UpAfter: 5}, all...))
			defer end()
			p.SetControl(controls)
			time.Sleep(5 * time.Minute)
			f.turn(true, all...)
			time.Sleep(time.Duration(downAfter)*33*time.Second + controlTimeout)
			if got := verdictsOf(p, all...); got != "10 down" || frozen(p) != "" {
				t.Errorf("%s, frozen: %s", got, frozen(p))
			}
			if n := c.asked.Load(); n < 1 || n > 20 {
				t.Errorf("control was asked %d times", n)
			}
			// A freeze is for those that were up.
			time.Sleep(time.Minute)
			n := c.asked.Load()
			time.Sleep(time.Hour)
			if c.asked.Load() != n {
				t.Error("control is asked though nothing was up")
			}
		})
	}
}

// TestControlIsAwaited holds that nothing is taken down before the control addresses
// have had time to answer.
func TestControlIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := newFarm(), newControl("silent")
		one := nth(0)
		p, end := begin(t, Config{Dial: c.dial}, f, with(pool.Schedule{Interval: 30 * time.Second, DownAfter: 1, UpAfter: 1}, one))
		defer end()
		p.SetControl(controls)
		time.Sleep(5 * time.Minute)
		f.turn(true, one)
		never(t, p, Down, 10*time.Minute, one)
		if frozen(p) != "ipv4 1 of 1" {
			t.Errorf("frozen: %s", frozen(p))
		}
		// One answer may be chance; two end it.
		c.state.Store("answers")
		time.Sleep(4 * controlEvery)
		if frozen(p) != "" {
			t.Errorf("frozen: %s", frozen(p))
		}
		time.Sleep(33 * time.Second)
		if got := verdictsOf(p, one); got != "1 down" {
			t.Errorf("%s", got)
		}
		f.turn(false, one)
		time.Sleep(time.Minute)
		// The addresses are taken away while one waits for them.
		c.state.Store("silent")
		f.turn(true, one)
		for n, at := c.asked.Load(), time.Now(); c.asked.Load() == n; time.Sleep(100 * time.Millisecond) {
			if time.Since(at) > time.Minute {
				t.Fatal("the control addresses are not asked")
			}
		}
		if got := verdictsOf(p, one); got != "1 up" {
			t.Errorf("while it is awaited: %s", got)
		}
		p.SetControl(nil)
		time.Sleep(controlTimeout + time.Minute)
		if got := verdictsOf(p, one); got != "1 up" || frozen(p) == "" {
			t.Errorf("%s, frozen: %q", got, frozen(p))
		}
	})
}

// TestControlFlaps holds that a control address that answers now and then neither takes
// everything down nor keeps it frozen for good.
func TestControlFlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, all := newFarm(), nths(0, 10)
		var asked, answers atomic.Int64
		c := newControl("answers")
		dial := func(ctx context.Context, network, address string) (net.Conn, error) {
			if n := asked.Add(1); n%2 == 0 && answers.Load() == 0 {
				return c.dial(ctx, network, address)
			}
			return nil, errors.New("network is unreachable")
		}
		p, end := begin(t, Config{Dial: dial}, f, with(everyHalfMinute, all...))
		defer end()
		p.SetControl(controls[:1])
		time.Sleep(5 * time.Minute)
		f.turn(true, all...)
		never(t, p, Down, time.Hour, all...)
		f.turn(false, all...)
		time.Sleep(70 * time.Second)
		if frozen(p) != "" {
			t.Errorf("frozen: %s", frozen(p))
		}
	})
}

// TestDeadControl holds that a control address that was forgotten does not keep failures
// from being believed for good.
func TestDeadControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, all, c := newFarm(), nths(0, 10), newControl("silent")
		p, end := begin(t, Config{Dial: c.dial}, f, with(everyHalfMinute, all...))
		defer end()
		p.SetControl(controls)
		time.Sleep(5 * time.Minute)
		f.turn(true, nths(0, 6)...)
		time.Sleep(7 * time.Minute)
		if got := verdictsOf(p, all...); got != "4 up, 6 down" || frozen(p) != "" {
			t.Errorf("%s, frozen: %s", got, frozen(p))
		}
	})
}

// TestOneFamilyIsCutOff holds that the other one goes on as ever.
func TestOneFamilyIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		four, six := nths(0, 6), []Target(nil)
		for i := range 6 {
			six = append(six, nth6(i))
		}
		mirror := Target{Probe: pool.Probe{Kind: pool.CheckHTTP}, URL: "http://m.test/"}
		never4 := Target{Probe: pool.Probe{Kind: pool.CheckExec}, URL: "http://m.test/"}
		f.address[mirror] = nth6(50).Address
		p, end := begin(t, Config{}, f, with(everyHalfMinute, append(append(four, six...), mirror, never4)...))
		defer end()
		time.Sleep(5 * time.Minute)
		f.turn(true, append(six, mirror, nth(0), never4)...)
		time.Sleep(5 * time.Minute)
		if got, others := verdictsOf(p, append(six, mirror)...), verdictsOf(p, four...); got != "7 up" || others != "5 up, 1 down" || frozen(p) != "ipv6 7 of 7" {
			t.Errorf("IPv6 %s, IPv4 %s, frozen %s", got, others, frozen(p))
		}
		// What has no known address is frozen only where everything is.
		if got := verdictsOf(p, never4); got != "1 down" {
			t.Errorf("of unknown family: %s", got)
		}
		f.turn(false, never4)
		time.Sleep(5 * time.Minute)
		f.turn(true, append(four, never4)...)
		time.Sleep(5 * time.Minute)
		if got := verdictsOf(p, never4); got != "1 up" || frozen(p) != "ipv4 5 of 5, ipv6 7 of 7" {
			t.Errorf("of unknown family: %s, frozen %s", got, frozen(p))
		}
		// A mirror that is reached over the other family belongs there.
		f.turn(false, append(four, mirror)...)
		f.mu.Lock()
		f.address[mirror] = nth(50).Address
		f.mu.Unlock()
		time.Sleep(2 * time.Minute)
		if s := p.Report().State(mirror); s.Frozen || s.Verdict != Up || frozen(p) != "ipv6 6 of 6" {
			t.Errorf("%+v, frozen %s", s, frozen(p))
		}
	})
}

// TestIntervalsDiffer holds that those that are asked seldom neither hide that all fail,
// nor are frozen for a few that are asked often.
func TestIntervalsDiffer(t *testing.T) {
	fast, slow := nths(0, 6), nths(10, 40)
	seldom := pool.Schedule{Interval: 20 * time.Minute, DownAfter: 2, UpAfter: 1}
	hourly := nth(0)
	hourly.Probe.Path = "/inspected"
	all := append(with(everyHalfMinute, fast...), with(seldom, append(slow, hourly)...)...)
	t.Run("all fail", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFarm()
			p, end := begin(t, Config{}, f, all)
			defer end()
			time.Sleep(time.Hour)
			f.turn(true, append(append(fast, slow...), hourly)...)
			never(t, p, Down, 2*time.Hour, append(fast, slow...)...)
			if frozen(p) != "ipv4 36 of 36" {
				t.Errorf("frozen: %s", frozen(p))
			}
			// Others answer again: the ten rounds count from when they are asked, which
			// is soon.
			f.turn(false, append(append(fast, slow...), hourly)...)
			time.Sleep(45 * time.Minute)
			if frozen(p) != "" {
				t.Errorf("frozen: %s", frozen(p))
			}
		})
	})
	t.Run("those asked often fail", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFarm()
			p, end := begin(t, Config{}, f, all)
			defer end()
			time.Sleep(time.Hour)
			starts := f.count()
			f.turn(true, fast...)
			time.Sleep(95 * time.Second)
			if got := verdictsOf(p, append(fast, slow...)...); got != "30 up, 6 down" || frozen(p) != "" {
				t.Errorf("%s, frozen: %s", got, frozen(p))
			}
			if n := f.count() - starts; n > 20+3*30 {
				t.Errorf("%d probes", n)
			}
		})
	})
	t.Run("what is asked seldom fails", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFarm()
			p, end := begin(t, Config{}, f, all)
			defer end()
			time.Sleep(time.Hour)
			f.turn(true, slow[:18]...)
			f.turn(true, hourly)
			time.Sleep(44 * time.Minute)
			if got := verdictsOf(p, append(slow, hourly)...); got != "12 up, 19 down" || frozen(p) != "" {
				t.Errorf("%s, frozen: %s", got, frozen(p))
			}
		})
	})
}

// TestSeldomAskedAnswer holds that those that are asked seldom are asked when a freeze
// begins, so that it does not last for hours because nobody knows that they answer.
func TestSeldomAskedAnswer(t *testing.T) {
	for _, test := range []struct {
		fast, slow int
		control    bool
		want       string
	}{{8, 4, false, "4 up, 8 down"}, {4, 3, true, "3 up, 4 down"}} {
		synctest.Test(t, func(t *testing.T) {
			f, c, fast, slow := newFarm(), newControl("silent"), nths(0, test.fast), nths(10, 10+test.slow)
			seldom := pool.Schedule{Interval: 12 * time.Hour, DownAfter: 2, UpAfter: 1}
			p, end := begin(t, Config{Dial: c.dial}, f, append(with(everyHalfMinute, fast...), with(seldom, slow...)...))
			defer end()
			if test.control {
				p.SetControl(controls)
			}
			time.Sleep(24 * time.Hour)
			f.turn(true, fast...)
			time.Sleep(10 * time.Minute)
			if got := verdictsOf(p, append(fast, slow...)...); got != test.want || frozen(p) != "" {
				t.Errorf("%s, frozen: %s", got, frozen(p))
			}
		})
	}
}

// TestInspectionsOfOneAddress holds that what fails beside a check that answers is no
// failure of the network, however many do.
func TestInspectionsOfOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		checks, inspections := nths(0, 10), nths(0, 10)
		for i := range inspections {
			inspections[i].Probe.Path = "/needed"
		}
		p, end := begin(t, Config{}, f, with(everyHalfMinute, append(checks, inspections...)...))
		defer end()
		time.Sleep(5 * time.Minute)
		f.turn(true, inspections...)
		time.Sleep(100 * time.Second)
		if got := verdictsOf(p, inspections...); got != "10 down" || verdictsOf(p, checks...) != "10 up" || frozen(p) != "" {
			t.Errorf("%s, %s, frozen: %s", got, verdictsOf(p, checks...), frozen(p))
		}
	})
}

// TestOtherThingsAnswer holds that what is asked less often tells that an address is
// reached, too.
func TestOtherThingsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		checks, inspections := nths(0, 10), nths(0, 10)
		for i := range inspections {
			inspections[i].Probe.Path = "/needed"
		}
		seldom := pool.Schedule{Interval: 50 * time.Second, DownAfter: 2, UpAfter: 1}
		p, end := begin(t, Config{}, f, append(with(everyHalfMinute, checks...), with(seldom, inspections...)...))
		defer end()
		time.Sleep(5 * time.Minute)
		f.turn(true, checks...)
		time.Sleep(5 * time.Minute)
		if got := verdictsOf(p, checks...); got != "10 down" || frozen(p) != "" {
			t.Errorf("%s, frozen: %s", got, frozen(p))
		}
	})
}

// TestDecay holds that mirrors that fail one by one go down one by one, to the last.
func TestDecay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, all := newFarm(), nths(0, 12)
		p, end := begin(t, Config{}, f, with(everyHalfMinute, all...))
		defer end()
		time.Sleep(5 * time.Minute)
		for i := range all {
			f.turn(true, nth(i))
			time.Sleep(40 * time.Second)
			if frozen(p) != "" {
				t.Errorf("frozen after %d: %s", i+1, frozen(p))
			}
		}
		time.Sleep(time.Minute)
		if got := verdictsOf(p, all...); got != "12 down" {
			t.Errorf("%s", got)
		}
	})
}

// TestRestartWhileFrozen holds that a freeze goes on over a restart.
func TestRestartWhileFrozen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, all := newFarm(), nths(0, 10)
		atOnce := pool.Schedule{Interval: 30 * time.Second, DownAfter: 1, UpAfter: 5}
		p, end := begin(t, Config{}, f, with(atOnce, all...))
		time.Sleep(5 * time.Minute)
		f.turn(true, all...)
		time.Sleep(5 * time.Minute)
		end()
		data, err := p.Save()
		if err != nil {
			t.Fatal(err)
		}
		for _, early := range []bool{true, false} {
			q := NewProber(Config{Probe: f.probe, Random: rand.NewPCG(9, 9)})
			if !early {
				q.SetTargets(with(atOnce, all...))
			}
			if err := q.Restore(data); err != nil {
				t.Fatal(err)
			}
			if early {
				q.SetTargets(with(atOnce, all...))
			}
			if got := q.Report().Freezes(); len(got) != 1 || got[0].Since != p.Report().Freezes()[0].Since || !changed(q) {
				t.Errorf("%+v", got)
			}
			end := run(t, q)
			never(t, q, Down, 10*time.Minute, all...)
			end()
			if data, err = q.Save(); err != nil {
				t.Fatal(err)
			}
		}
		// One that is over ends.
		f.turn(false, all...)
		q := NewProber(Config{Probe: f.probe, Random: rand.NewPCG(9, 9)})
		q.SetTargets(with(atOnce, all...))
		if err := q.Restore(data); err != nil {
			t.Fatal(err)
		}
		defer run(t, q)()
		time.Sleep(70 * time.Second)
		if frozen(q) != "" || verdictsOf(q, all...) != "10 up" {
			t.Errorf("%s, frozen: %s", verdictsOf(q, all...), frozen(q))
		}
	})
}

// TestStartBeforeTheNetwork holds that a machine that starts before its network does
// takes nothing down that it has not seen.
func TestStartBeforeTheNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, all, c := newFarm(), nths(0, 3), newControl("refuses")
		f.turn(true, all...)
		p := NewProber(Config{Probe: f.probe, Dial: c.dial})
		p.SetControl(controls)
		p.SetTargets(with(everyHalfMinute, all...))
		defer run(t, p)()
		at := time.Now()
		if err := p.WaitKnown(t.Context()); err != nil || time.Since(at) > 5*time.Second {
			t.Errorf("%v after %s", err, time.Since(at))
		}
		time.Sleep(10 * time.Minute)
		if got := verdictsOf(p, all...); got != "3 unknown" || frozen(p) != "ipv4 3 of 3" {
			t.Errorf("%s, frozen: %s", got, frozen(p))
		}
		f.turn(false, all...)
		c.state.Store("answers")
		time.Sleep(34 * time.Second) // an interval, and as much sooner and later as two probes may be
		if got := verdictsOf(p, all...); got != "3 up" {
			t.Errorf("%s", got)
		}
	})
}

// TestManyTargetsCutOff holds that the freeze is there in time, and bounded in work,
// also where every probe takes all of its time.
func TestManyTargetsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, all := newFarm(), nths(0, 2000)
		p, end := begin(t, Config{}, f, with(everyHalfMinute, all...))
		defer end()
		time.Sleep(2 * time.Minute)
		f.mu.Lock()
		f.takes = time.Hour
		f.mu.Unlock()
		for range 40 { // what is taken for down stays so for longer than that
			time.Sleep(15 * time.Second)
			if got := verdictsOf(p, all...); got != "2000 up" {
				t.Fatal(got)
			}
		}
		if !strings.HasPrefix(frozen(p), "ipv4 2000 of 2000") {
			t.Error(frozen(p))
		}
	})
}
