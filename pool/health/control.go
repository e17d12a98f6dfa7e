package health

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// controlTimeout is how long control addresses have to let themselves be connected to.
const controlTimeout = 3 * time.Second

// SetControl tells which addresses and ports are up as long as this machine's own
// network is. They are connected to only when more than half of a family's targets fail
// at once; each family has its own. What is no address is left out.
func (p *Prober) SetControl(control []netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.watches {
		w.control = nil
		for _, one := range control {
			if one.IsValid() && familyOf(one.Addr()) == w.family {
				w.control = append(w.control, netip.AddrPortFrom(one.Addr().Unmap(), one.Port()))
			}
		}
	}
}

// inquiry is one to the control addresses of a family.
type inquiry struct {
	watch     *watch
	addresses []netip.AddrPort
}

// inquiries are those that are to be asked now.
func (p *Prober) inquiries() []inquiry {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []inquiry
	for _, w := range p.watches {
		if w.wanted {
			w.wanted, w.asking = false, true
			all = append(all, inquiry{w, slices.Clone(w.control)})
		}
	}
	return all
}

// ask connects to control addresses, and acts upon what comes of it.
func (p *Prober) ask(ctx context.Context, q inquiry) {
	// With none left to ask, whatever waits goes on as without.
	answered := len(q.addresses) == 0 || p.anyAnswers(ctx, q.addresses)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answered(q.watch, answered, ctx.Err() != nil, p.elapsed())
}

// anyAnswers connects to all addresses at once and reports whether one lets it.
func (p *Prober) anyAnswers(ctx context.Context, addresses []netip.AddrPort) bool {
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	var answered atomic.Bool
	var all sync.WaitGroup
	for _, address := range addresses {
		all.Go(func() {
			connection, err := p.dial(ctx, "tcp", address.String())
			if err != nil {
				return
			}
			connection.Close()
			answered.Store(true)
			cancel()
		})
	}
	all.Wait()
	return answered.Load()
}

// answered acts upon what the control addresses of a family have answered. An answer
// that was cut short, because Run ends, says nothing, and what has waited for it counts
// for nothing either. p.mu is held.
func (p *Prober) answered(w *watch, answered, cut bool, now time.Duration) {
	w.asking, w.asked = false, now
	if cut {
		for _, f := range w.held {
			f.entry.waiting--
		}
		w.held = nil
		return
	}
	if answered {
		w.vouched = now
	}
	if w.freeze == nil {
		if p.look(w, now); !answered && w.seen.mass() {
			p.begin(w, now, &freeze{cause: byControl})
		}
	} else if w.answers++; !answered {
		w.answers = 0
	} else if w.answers >= controlAnswers {
		p.end(w, now, false)
	}
	p.release(w, now)
}

// release lets what has waited for the control addresses count, as far as failures do
// now. p.mu is held.
func (p *Prober) release(w *watch, now time.Duration) {
	held := w.held
	w.held = nil
	for _, f := range held {
		f.entry.waiting--
		if !f.entry.left {
			p.count(f, now)
		}
	}
}
