package health

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"mirrorpool/pool"
)

// farm answers the probes of a simulated network and notes when each begins.
type farm struct {
	mu      sync.Mutex
	start   time.Time
	starts  map[Target][]time.Duration
	order   []time.Duration
	running map[Target]bool
	most    int           // probes at the same time
	overlap int           // probes of a target that was being probed
	takes   time.Duration // a probe
	deaf    bool          // probes do not listen to their context
	down    map[Target]bool
	address map[Target]netip.Addr
}

func newFarm() *farm {
	return &farm{
		start: time.Now(), starts: map[Target][]time.Duration{}, running: map[Target]bool{},
		down: map[Target]bool{}, address: map[Target]netip.Addr{},
	}
}

func (f *farm) probe(ctx context.Context, t Target) Result {
	f.mu.Lock()
	at := time.Since(f.start)
	f.starts[t] = append(f.starts[t], at)
	f.order = append(f.order, at)
	if f.running[t] {
		f.overlap++
	}
	f.running[t] = true
	f.most = max(f.most, len(f.running))
	takes, deaf := f.takes, f.deaf
	f.mu.Unlock()
	err := error(nil)
	if deaf {
		time.Sleep(takes)
	} else if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.running, t)
	switch {
	case err != nil:
		return Result{Outcome: Timeout, Reason: err.Error()}
	case f.down[t]:
		return Result{Outcome: Connection, Reason: "connection refused"}
	}
	return Result{Outcome: Success, Reason: "status 200", Address: f.address[t]}
}

func (f *farm) turn(down bool, targets ...Target) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range targets {
		f.down[t] = down
	}
}

func (f *farm) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.order)
}

// of gives the starts of a target's probes so far.
func (f *farm) of(t Target) []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.starts[t])
}

func (f *farm) busy() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.running)
}

// nth is a target of a simulated network.
func nth(i int) Target {
	return Target{
		Probe:   pool.Probe{Kind: pool.CheckTCP, Port: 80, Timeout: 5 * time.Second},
		Address: netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}),
	}
}

var everyHalfMinute = pool.Schedule{Interval: 30 * time.Second, DownAfter: 3, UpAfter: 5}

func assign(n int, schedule pool.Schedule) []Assignment {
	all := make([]Assignment, n)
	for i := range all {
		all[i] = Assignment{nth(i), schedule}
	}
	return all
}

// begin runs a prober on a farm; the function that it gives ends it.
func begin(t *testing.T, config Config, f *farm, assignments []Assignment) (*Prober, func()) {
	t.Helper()
	config.Probe = f.probe
	if config.Random == nil {
		config.Random = rand.NewPCG(3, 4)
	}
	p := NewProber(config)
	p.SetTargets(assignments)
	return p, run(t, p)
}

// run runs a prober; the function that it gives ends it.
func run(t *testing.T, p *Prober) func() {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func changed(p *Prober) bool {
	select {
	case <-p.Changed():
		return true
	default:
		return false
	}
}

func TestFirstRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		p, end := begin(t, Config{Rate: 100}, f, assign(20, everyHalfMinute))
		defer end()
		if err := p.WaitKnown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(f.start); took > 200*time.Millisecond {
			t.Errorf("the first round took %s", took)
		}
		for target, s := range p.Report().All() {
			if s.Verdict != Up || s.Address != target.Address || s.Since.Location() != time.UTC {
				t.Errorf("%s: %+v", target, s)
			}
		}
		if !changed(p) || changed(p) {
			t.Error("no change was told, or twice")
		}
		end()
		for i := 2; i < len(f.order); i++ { // one start may be made up for
			if gap := f.order[i] - f.order[i-2]; gap < 10*time.Millisecond {
				t.Errorf("starts %d and %d are %s apart", i-2, i, gap)
			}
		}
	})
}

// TestSpread holds the rhythm of single targets and the evenness of all.
func TestSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, rounds = 300, 20
		f := newFarm()
		f.takes = 4 * time.Second // the next start counts from the start
		_, end := begin(t, Config{}, f, assign(n, everyHalfMinute))
		time.Sleep(rounds * 30 * time.Second)
		end()
		interval := everyHalfMinute.Interval
		for target, starts := range f.starts {
			if len(starts) < rounds-1 || len(starts) > rounds+1 {
				t.Errorf("%s: %d probes in %d rounds", target, len(starts), rounds)
			}
			for i := 1; i < len(starts); i++ {
				gap, least, most := starts[i]-starts[i-1], interval*89/100, interval*111/100
				if i == 1 {
					least, most = interval*45/100, interval*156/100
				}
				if gap < least || gap > most {
					t.Errorf("%s: start %d comes %s after the last", target, i, gap)
				}
				// The phase is kept: no drift over the rounds.
				drift := (starts[i] - starts[1]).Round(interval) - (starts[i] - starts[1])
				if drift.Abs() > interval/9 {
					t.Errorf("%s: start %d is %s off its phase", target, i, drift)
				}
			}
		}
		perSecond := map[int]int{}
		for _, at := range f.order {
			if at > 45*time.Second {
				perSecond[int(at/time.Second)]++
			}
		}
		for second, n := range perSecond {
			if n > 30 { // 10 on average
				t.Errorf("%d probes in second %d", n, second)
			}
		}
	})
}

func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		f.turn(true, nth(7))
		p, end := begin(t, Config{Rate: 100}, f, assign(100, everyHalfMinute))
		defer end()
		time.Sleep(10 * time.Minute)
		before, starts := p.Report(), f.count()
		seven := before.State(nth(7))
		for range 100 { // nothing but reloads for ten seconds
			p.SetTargets(assign(100, everyHalfMinute))
			time.Sleep(100 * time.Millisecond)
		}
		if n := f.count() - starts; n < 20 || n > 47 { // 33 on average
			t.Errorf("%d probes in ten seconds of reloads", n)
		}
		if s := p.Report().State(nth(7)); s.Verdict != Down || s.Since != seven.Since {
			t.Errorf("state was lost: %+v, was %+v", s, seven)
		}
		for target := range p.Report().All() {
			at := f.of(target)
			if gap := at[len(at)-1] - at[len(at)-2]; gap < 26*time.Second {
				t.Errorf("%s was probed after %s", target, gap)
			}
		}

		// Others thresholds and intervals keep the state, without a burst.
		starts = f.count()
		p.SetTargets(assign(100, pool.Schedule{Interval: 60 * time.Second, DownAfter: 1, UpAfter: 1}))
		time.Sleep(time.Second)
		p.SetTargets(assign(100, pool.Schedule{Interval: 20 * time.Second, DownAfter: 1, UpAfter: 1}))
		time.Sleep(time.Second)
		if n := f.count() - starts; n > 30 {
			t.Errorf("%d probes in two seconds after the intervals changed", n)
		}
		if s := p.Report().State(nth(7)); s.Verdict != Down || s.Since != seven.Since {
			t.Errorf("state was lost: %+v, was %+v", s, seven)
		}
		starts = f.count()
		time.Sleep(20 * time.Second)
		if n := f.count() - starts; n < 80 || n > 120 {
			t.Errorf("%d probes in a round of 100", n)
		}
		for target := range p.Report().All() {
			at := f.of(target)
			for i := len(at) - 3; i < len(at)-1; i++ {
				if gap := at[i+1] - at[i]; gap < 9*time.Second {
					t.Errorf("%s was probed after %s", target, gap)
				}
			}
		}
		f.turn(false, nth(7))
		time.Sleep(21 * time.Second)
		if s := p.Report().State(nth(7)); s.Verdict != Up {
			t.Errorf("the new threshold does not count: %+v", s)
		}

		// Half of them leave, new ones come and are known soon.
		fresh := append(assign(50, everyHalfMinute), Assignment{nth(1000), everyHalfMinute})
		p.SetTargets(fresh)
		if p.Report().Len() != 51 {
			t.Error("the report does not show the new targets")
		}
		at := time.Now()
		if err := p.WaitKnown(t.Context()); err != nil || time.Since(at) > 100*time.Millisecond {
			t.Errorf("known after %s: %v", time.Since(at), err)
		}
		last := len(f.of(nth(70)))
		time.Sleep(time.Minute)
		if len(f.of(nth(70))) != last || p.Report().State(nth(70)) != (State{}) {
			t.Error("a target that has left is still probed or known")
		}
		if before.Len() != 100 {
			t.Error("an old report has changed")
		}
		// Not even after a pause do many start at once.
		p.SetTargets(nil)
		time.Sleep(time.Hour)
		starts = f.count()
		p.SetTargets(assign(100, everyHalfMinute))
		time.Sleep(101 * time.Millisecond)
		if n := f.count() - starts; n < 10 || n > 12 {
			t.Errorf("%d probes in a tenth of a second, at 100 a second", n)
		}
		// Who comes back is unknown.
		p.SetTargets(nil)
		p.SetTargets(assign(100, everyHalfMinute))
		if s := p.Report().State(nth(70)); s.Verdict != Unknown {
			t.Errorf("a target that came back: %+v", s)
		}
	})
}

func TestVerdictsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		p, end := begin(t, Config{}, f, assign(5, everyHalfMinute))
		defer end()
		time.Sleep(5 * time.Minute)
		changed(p)
		f.turn(true, nth(2))
		time.Sleep(55 * time.Second) // at most two probes
		if s := p.Report().State(nth(2)); s.Verdict != Up || !changed(p) {
			t.Errorf("too early, or a change that is near was not told: %+v", s)
		}
		time.Sleep(40 * time.Second)
		s := p.Report().State(nth(2))
		if s.Verdict != Down || s.Reason != "connection refused" || !changed(p) {
			t.Errorf("after three failures: %+v", s)
		}
		f.turn(false, nth(2))
		time.Sleep(115 * time.Second)
		if s := p.Report().State(nth(2)); s.Verdict != Down || s.Successes < 3 || !changed(p) {
			t.Errorf("too early, or a change that is near was not told: %+v", s)
		}
		time.Sleep(45 * time.Second)
		if s := p.Report().State(nth(2)); s.Verdict != Up || !changed(p) {
			t.Errorf("after five successes: %+v", s)
		}
	})
}

func TestAddressChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		mirror := Target{Probe: pool.Probe{Kind: pool.CheckHTTP}, URL: "http://m.test/"}
		f.address[mirror] = addr("127.0.0.1")
		p, end := begin(t, Config{}, f, []Assignment{{mirror, everyHalfMinute}})
		defer end()
		time.Sleep(2 * time.Minute)
		if s := p.Report().State(mirror); !changed(p) || s.Address != addr("127.0.0.1") {
			t.Errorf("%+v", s)
		}
		time.Sleep(2 * time.Minute)
		if changed(p) {
			t.Error("nothing changed")
		}
		f.mu.Lock()
		f.address[mirror] = addr("127.0.0.2")
		f.mu.Unlock()
		time.Sleep(time.Minute)
		if s := p.Report().State(mirror); !changed(p) || s.Address != addr("127.0.0.2") {
			t.Errorf("%+v", s)
		}
	})
}

func TestConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		f.takes = time.Hour // until the timeout
		p, end := begin(t, Config{Rate: 1e6, Concurrency: 16}, f, assign(100, everyHalfMinute))
		if err := p.WaitKnown(t.Context()); err != nil {
			t.Fatal(err)
		}
		end()
		if took := time.Since(f.start); f.most != 16 || took < 35*time.Second || took > 36*time.Second {
			t.Errorf("%d at a time, took %s", f.most, took)
		}
		if s := p.Report().State(nth(1)); s.Verdict != Down || s.Duration != 5*time.Second {
			t.Errorf("%+v", s)
		}
	})
}

// TestSlowProbes holds that a target is never probed twice at the same time,
// even by probes that outlive their interval.
func TestSlowProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		f.takes, f.deaf = 50*time.Second, true
		_, end := begin(t, Config{}, f, assign(10, everyHalfMinute))
		time.Sleep(10 * time.Minute)
		end()
		if f.overlap != 0 {
			t.Errorf("%d probes of a target that was being probed", f.overlap)
		}
		if n := len(f.starts[nth(1)]); n < 9 || n > 12 {
			t.Errorf("%d probes", n)
		}
	})
}

// TestOverload holds that too many targets share the rate evenly.
func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		_, end := begin(t, Config{Rate: 5}, f, assign(300, everyHalfMinute)) // 10 a second wanted
		time.Sleep(20 * time.Minute)
		end()
		if n := f.count(); n < 5950 || n > 6005 {
			t.Errorf("%d probes in 20 minutes", n)
		}
		for target, starts := range f.starts {
			if len(starts) < 17 || len(starts) > 23 {
				t.Errorf("%s was probed %d times, 20 is its due", target, len(starts))
			}
		}
	})
}

func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		f.takes = 3 * time.Second
		p, end := begin(t, Config{}, f, assign(10, everyHalfMinute))
		time.Sleep(time.Second)
		if err := p.Run(t.Context()); !errors.Is(err, errRunning) {
			t.Errorf("second Run: %v", err)
		}
		at := time.Now()
		end()
		if took := time.Since(at); took != 0 || f.busy() != 0 {
			t.Errorf("Run ended after %s with %d probes", took, f.busy())
		}
		// What was cut short is neither up nor down, and not counted.
		for target, s := range p.Report().All() {
			if s.Verdict != Unknown {
				t.Errorf("%s: %+v", target, s)
			}
		}
		if n := testutil.CollectAndCount(p.metrics.total); n != 0 {
			t.Errorf("%d results counted", n)
		}
		if n := testutil.ToFloat64(p.metrics.running); n != 0 {
			t.Errorf("%v probes running", n)
		}
		// It may run again.
		end = run(t, p)
		if err := p.WaitKnown(t.Context()); err != nil {
			t.Error(err)
		}
		end()
		if n := testutil.ToFloat64(p.metrics.total.WithLabelValues("success")); n != 10 {
			t.Errorf("%v successes counted", n)
		}
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(p.Collectors()...)
		if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
			t.Errorf("metrics: %v %v", problems, err)
		}
		want := `
			# HELP mirrorpool_probes_total Health probes that have ended, by result.
			# TYPE mirrorpool_probes_total counter
			mirrorpool_probes_total{result="success"} 10
		`
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "mirrorpool_probes_total"); err != nil {
			t.Error(err)
		}
		if n := testutil.CollectAndCount(p.metrics.duration); n != 1 {
			t.Errorf("%v durations", n)
		}
	})
}

// TestLeavingMidway holds that the probe of a target that leaves is ended.
func TestLeavingMidway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		f.takes = 4 * time.Second
		p, end := begin(t, Config{}, f, assign(2, everyHalfMinute))
		defer end()
		time.Sleep(time.Second)
		p.SetTargets(assign(1, everyHalfMinute))
		synctest.Wait()
		if n := f.busy(); n != 1 {
			t.Errorf("%d probes running", n)
		}
		time.Sleep(500 * time.Millisecond)
		p.SetTargets(assign(2, everyHalfMinute))
		time.Sleep(3 * time.Second)
		if s := p.Report().State(nth(0)); s.Verdict != Up || s.Duration != 4*time.Second {
			t.Errorf("who stayed: %+v", s)
		}
		if s := p.Report().State(nth(1)); s.Verdict != Unknown {
			t.Errorf("who came back: %+v", s)
		}
		time.Sleep(2 * time.Second)
		if s := p.Report().State(nth(1)); s.Verdict != Up {
			t.Errorf("who came back: %+v", s)
		}
		// Who leaves for good midway is not started again.
		p.SetTargets(append(assign(1, everyHalfMinute), Assignment{nth(9), everyHalfMinute}))
		time.Sleep(time.Second)
		p.SetTargets(assign(1, everyHalfMinute))
		time.Sleep(5 * time.Minute)
		if n := len(f.of(nth(9))); n != 1 {
			t.Errorf("who left was probed %d times", n)
		}
	})
}

func TestWaitKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewProber(Config{Probe: newFarm().probe})
		if err := p.WaitKnown(t.Context()); err != nil {
			t.Errorf("without targets: %v", err)
		}
		p.SetTargets(append(assign(3, everyHalfMinute), Assignment{Target: Target{Probe: pool.Probe{Kind: pool.CheckNone}}}, Assignment{}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := p.WaitKnown(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "3 targets") {
			t.Errorf("nobody runs: %v", err)
		}
		// Those that leave are not waited for.
		waited := make(chan error, 1)
		go func() { waited <- p.WaitKnown(t.Context()) }()
		synctest.Wait()
		p.SetTargets(nil)
		if err := <-waited; err != nil {
			t.Errorf("all have left: %v", err)
		}
	})
}

func TestSchedulesInRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		p, end := begin(t, Config{Rate: -1, Concurrency: -1}, f, assign(3, pool.Schedule{}))
		defer end()
		time.Sleep(10 * time.Minute)
		if n := f.count(); n < 57 || n > 63 {
			t.Errorf("%d probes", n)
		}
		f.turn(true, nth(0))
		time.Sleep(35 * time.Second)
		if s := p.Report().State(nth(0)); s.Verdict != Down {
			t.Errorf("%+v", s)
		}
	})
}

// TestPanickingProbe holds that a panic takes the target down, not the program.
func TestPanickingProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewProber(Config{Probe: func(context.Context, Target) Result { panic("oh") }})
		p.SetTargets(assign(1, everyHalfMinute))
		defer run(t, p)()
		if err := p.WaitKnown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := p.Report().State(nth(0)); s.Verdict != Down || s.Reason != "the probe panicked: oh" {
			t.Errorf("%+v", s)
		}
	})
}

// TestSimulatedNetwork runs the http check itself over pipes, with a mirror
// that dies and a clock that is not the machine's.
func TestSimulatedNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		alive := true
		var servers sync.WaitGroup
		defer servers.Wait()
		dial := func(_ context.Context, _, address string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			servers.Go(func() {
				defer theirs.Close()
				if _, err := http.ReadRequest(bufio.NewReader(theirs)); err != nil {
					return
				}
				mu.Lock()
				answers := alive || strings.HasPrefix(address, "127.1.0.0:")
				mu.Unlock()
				if !answers {
					io.Copy(io.Discard, theirs) // until the prober gives up
					return
				}
				body := fmt.Sprint(time.Now().Add(-time.Hour).Unix())
				fmt.Fprintf(theirs, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			})
			return ours, nil
		}
		target := func(i int) Target {
			x := nth(i)
			x.Probe.Kind, x.Probe.Host, x.Probe.MaxAge = pool.CheckHTTP, "dl.test", 26*time.Hour
			return x
		}
		p := NewProber(Config{Dial: dial, Random: rand.NewPCG(5, 6)})
		p.SetTargets([]Assignment{{target(0), everyHalfMinute}, {target(1), everyHalfMinute}})
		defer run(t, p)()
		if err := p.WaitKnown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := p.Report().State(target(1)); s.Verdict != Up || s.Reason != "status 200, trace is 1h0m old" {
			t.Errorf("%+v", s)
		}
		mu.Lock()
		alive = false
		mu.Unlock()
		time.Sleep(150 * time.Second)
		if s := p.Report().State(target(1)); s.Verdict != Down || s.Reason != "no answer within 5s (waiting for the answer)" || s.Duration != 5*time.Second {
			t.Errorf("%+v", s)
		}
		if s := p.Report().State(target(0)); s.Verdict != Up {
			t.Errorf("%+v", s)
		}
	})
}

// TestTogether uses everything at once, for the race detector.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		f.takes = time.Second
		p, end := begin(t, Config{}, f, assign(50, everyHalfMinute))
		var all sync.WaitGroup
		for worker := range 4 {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			all.Go(func() {
				for range 200 {
					time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
					switch random.IntN(4) {
					case 0:
						p.SetTargets(assign(random.IntN(80), everyHalfMinute))
					case 1:
						data, err := p.Save()
						if err == nil {
							err = p.Restore(data)
						}
						if err != nil {
							t.Error(err)
						}
					case 2:
						for _, s := range p.Report().All() {
							_ = s.Verdict
						}
					case 3:
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						p.WaitKnown(ctx)
						cancel()
					}
				}
			})
		}
		all.Wait()
		end()
	})
}
