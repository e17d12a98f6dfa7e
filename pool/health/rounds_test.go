package health

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mirrorpool/pool"
)

// TestShortRounds holds that it is seen in time that most fail, whatever the phases, also
// where all are asked as often as the prober looks around.
func TestShortRounds(t *testing.T) {
	for seed := range uint64(40) {
		t.Run("", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all := nths(0, 8)
				for i := range all {
					all[i].Probe.Timeout = 500 * time.Millisecond
				}
				silent := all[:6]
				var cut atomic.Bool
				p := NewProber(Config{Random: rand.NewPCG(seed, 1), Probe: func(ctx context.Context, target Target) Result {
					for _, one := range silent {
						if one == target && cut.Load() {
							<-ctx.Done()
							time.Sleep(100 * time.Millisecond) // of a machine that is busy
							return Result{Outcome: Timeout}
						}
					}
					return Result{Outcome: Success}
				}})
				p.SetTargets(with(pool.Schedule{Interval: time.Second, DownAfter: 3, UpAfter: 2}, all...))
				defer run(t, p)()
				time.Sleep(20*time.Second + time.Duration(seed)*25*time.Millisecond)
				cut.Store(true)
				time.Sleep(2 * time.Second)
				if frozen(p) == "" {
					t.Errorf("seed %d: nothing is frozen", seed)
				}
				time.Sleep(5 * time.Second) // others answer, so that it ends in time
				if got := verdictsOf(p, all...); got != "8 up" {
					t.Errorf("seed %d: %s", seed, got)
				}
			})
		})
	}
}
