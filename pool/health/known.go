package health

import (
	"context"
	"fmt"
	"slices"
	"time"

	"mirrorpool/pool"
)

const (
	// RepeatUnknown is when a target that is asked seldom is asked again of which nothing
	// is known yet, since its first probe has failed or was not made.
	RepeatUnknown = 10 * time.Second
	// oftenEnough is the longest interval after which a first failure is soon made good.
	oftenEnough = time.Minute
)

// seldom reports whether a target is asked so seldom, as those of inspections are, that
// a first failure by itself would keep it down for long.
func seldom(schedule pool.Schedule) bool { return schedule.Interval > oftenEnough }

// WaitKnown returns when the verdict of every target that was set at the moment of the
// call is known, or it has left. One that could not be probed, or failed while states are
// frozen, counts as known though its verdict is not. It returns the context's error when
// that ends first. Something has to Run meanwhile.
func (p *Prober) WaitKnown(ctx context.Context) error {
	var unknown []*entry
	p.do(func() {
		for _, e := range p.entries {
			if !e.asked {
				unknown = append(unknown, e)
			}
		}
	})
	for i, e := range unknown {
		select {
		case <-e.known:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the first probes: %d targets not yet known: %w",
				stillUnknown(unknown[i:]), context.Cause(ctx))
		}
	}
	return nil
}

func stillUnknown(entries []*entry) int {
	return len(slices.DeleteFunc(entries, func(e *entry) bool {
		select {
		case <-e.known:
			return true
		default:
			return false
		}
	}))
}
