package health

import (
	"context"
	"fmt"
	"slices"
)

// WaitKnown returns when every target that was set at the moment of the call has
// been probed once, or has left. Its verdict is known then, unless the probe
// failed while states are frozen. It returns the context's error
// when that ends first. Something has to Run meanwhile.
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
