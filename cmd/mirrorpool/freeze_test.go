package main

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"mirrorpool/pool"
	"mirrorpool/pool/health"
)

// TestFreezeIsLoud holds that checks that are not believed are a stage that fails, and
// are told of once when that begins and once when it is over.
func TestFreezeIsLoud(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		prober := health.NewProber(health.Config{Probe: func(context.Context, health.Target) health.Result {
			if down.Load() {
				return health.Result{Outcome: health.Connection, Reason: "refused"}
			}
			return health.Result{Outcome: health.Success}
		}})
		var targets []health.Assignment
		for i := range 6 {
			targets = append(targets, health.Assignment{
				Target:   health.Target{Probe: pool.Probe{Kind: pool.CheckTCP}, Address: netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + i)})},
				Schedule: pool.Schedule{Interval: 30 * time.Second, DownAfter: 3, UpAfter: 5},
			})
		}
		prober.SetTargets(targets)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- prober.Run(ctx) }()
		var log strings.Builder
		var marked []bool
		f := &freezes{logger: zerolog.New(&log), stages: newStages(time.Now), mark: func(_ health.Freeze, over bool) { marked = append(marked, over) }}
		pass := func(long time.Duration) {
			for range int(long / time.Second) {
				time.Sleep(time.Second)
				f.observe(prober.Report())
			}
		}
		pass(3 * time.Minute)
		if log.Len() > 0 || len(f.stages.list()) > 0 {
			t.Errorf("all is well: %s", log.String())
		}
		down.Store(true)
		pass(5 * time.Minute)
		failing := f.stages.list()
		if strings.Count(log.String(), "health is frozen") != 1 || !strings.Contains(log.String(), `"family":"ipv4"`) {
			t.Errorf("it was not told once: %s", log.String())
		}
		if len(failing) != 1 || failing[0].stage != stageProber || !strings.Contains(failing[0].err.Error(), "IPv4 addresses that were up fail") {
			t.Errorf("stages that fail: %+v", failing)
		}
		down.Store(false)
		pass(2 * time.Minute)
		if strings.Count(log.String(), "no longer frozen") != 1 || len(f.stages.list()) > 0 {
			t.Errorf("it is not over: %+v, %s", f.stages.list(), log.String())
		}
		if !slices.Equal(marked, []bool{false, true}) {
			t.Errorf("marked: %v", marked)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
