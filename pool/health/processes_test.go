package health

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mirrorpool/pool"
)

// TestProcessesHoldNobodyUp holds that probes which wait for a place for their process
// take no other place meanwhile, that none is forgotten, and that they go in the order in
// which they were due.
func TestProcessesHoldNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mutex sync.Mutex
		running, most := 0, 0
		begun := map[string]time.Time{}
		p := NewProber(Config{
			Random: rand.NewPCG(1, 2), Concurrency: MaxProcesses + 4, Rate: 1e6,
			Probe: func(ctx context.Context, target Target) Result {
				mutex.Lock()
				if _, ok := begun[target.String()]; !ok {
					begun[target.String()] = time.Now()
				}
				mutex.Unlock()
				if !startsProcess(target.Probe) {
					return Result{Outcome: Success}
				}
				mutex.Lock()
				running++
				most = max(most, running)
				mutex.Unlock()
				time.Sleep(4 * time.Second)
				mutex.Lock()
				running--
				mutex.Unlock()
				if ctx.Err() != nil {
					return Result{Outcome: Timeout}
				}
				return Result{Outcome: Success}
			},
		})
		schedule := pool.Schedule{Interval: 10 * time.Minute, DownAfter: 1, UpAfter: 1}
		var all []Assignment
		for i := range 100 {
			target := execTarget(fmt.Sprintf("look-%03d", i))
			target.Probe.Timeout = 5 * time.Second
			all = append(all, Assignment{target, schedule})
		}
		plain := Target{Address: netip.MustParseAddr("127.0.0.9"), Probe: pool.Probe{Kind: pool.CheckTCP, Port: 1, Timeout: time.Second}}
		all = append(all, Assignment{plain, schedule})
		p.SetTargets(all)
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		time.Sleep(time.Second)
		p.SetTargets(slices.Clone(all)) // the queue is made anew while some are parked
		if err := p.WaitKnown(ctx); err != nil {
			t.Fatal(err)
		}
		took := time.Since(start)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if most != MaxProcesses {
			t.Errorf("%d processes at a time, want %d", most, MaxProcesses)
		}
		if late := begun[plain.String()].Sub(start); late > time.Second {
			t.Errorf("a probe without a process waited %s", late)
		}
		if want := 7 * 4 * time.Second; took.Round(time.Millisecond) != want { // 100 in rounds of 16
			t.Errorf("all were known after %s, want %s", took, want)
		}
		for target, state := range p.Report().All() {
			if state.Verdict != Up {
				t.Errorf("%s is %s: %s", target, state.Verdict, state.Reason)
			}
		}
	})
}

// TestWaitingForAPlaceIsNotKeptTwice holds that what waits for a place is not kept once
// more each time that the queue is made anew.
func TestWaitingForAPlaceIsNotKeptTwice(t *testing.T) {
	p := NewProber(Config{Rate: 1e9})
	var all []Target
	for i := range 3 * MaxProcesses {
		all = append(all, execTarget(fmt.Sprintf("look-%02d", i)))
	}
	begun := 0
	for range 5 {
		p.SetTargets(with(everyHalfMinute, all...))
		for {
			e, _, _ := p.next(t.Context(), p.elapsed()+time.Second)
			if e == nil {
				break
			}
			begun++
		}
	}
	if begun != MaxProcesses || len(p.parked) != 2*MaxProcesses || len(p.queue) != 0 {
		t.Errorf("%d are under way, %d wait for a place, and %d for their time", begun, len(p.parked), len(p.queue))
	}
}
