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

// TestFewHoldNobodyUp holds that few probes are under way of those that start processes
// or load the network, that what waits for a place takes no other place meanwhile, that
// none is forgotten, and that they go in the order in which they were due.
func TestFewHoldNobodyUp(t *testing.T) {
	transfer := func(purpose pool.Purpose) func(int) Target {
		return func(i int) Target {
			target := nth(i)
			target.Probe.Kind, target.Probe.Purpose = pool.CheckHTTP, purpose
			return target
		}
	}
	process := func(i int) Target { return execTarget(fmt.Sprintf("look-%03d", i)) }
	t.Run("processes", func(t *testing.T) { holdNobodyUp(t, 100, MaxProcesses, process) })
	t.Run("throughput", func(t *testing.T) { holdNobodyUp(t, 40, MaxTransfers, transfer(pool.PurposeThroughput)) })
	t.Run("integrity", func(t *testing.T) { holdNobodyUp(t, 40, MaxTransfers, transfer(pool.PurposeIntegrity)) })
}

func holdNobodyUp(t *testing.T, targets, atATime int, nth func(int) Target) {
	synctest.Test(t, func(t *testing.T) {
		var mutex sync.Mutex
		running, most := 0, 0
		begun := map[string]time.Time{}
		p := NewProber(Config{
			Random: rand.NewPCG(1, 2), Concurrency: atATime + 4, Rate: 1e6,
			Probe: func(ctx context.Context, target Target) Result {
				mutex.Lock()
				if _, ok := begun[target.String()]; !ok {
					begun[target.String()] = time.Now()
				}
				mutex.Unlock()
				if target.Probe.Kind == pool.CheckTCP {
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
		for i := range targets {
			target := nth(i)
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
		if most != atATime {
			t.Errorf("%d at a time, want %d", most, atATime)
		}
		if late := begun[plain.String()].Sub(start); late > time.Second {
			t.Errorf("a probe that needs no place waited %s", late)
		}
		if rounds := (targets + atATime - 1) / atATime; took.Round(time.Millisecond) != time.Duration(rounds)*4*time.Second {
			t.Errorf("all were known after %s, want %d rounds of 4 s", took, rounds)
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
	if begun != MaxProcesses || len(p.forProcesses.waiting) != 2*MaxProcesses || len(p.queue) != 0 {
		t.Errorf("%d are under way, %d wait for a place, and %d for their time", begun, len(p.forProcesses.waiting), len(p.queue))
	}
}
