package health

import "time"

const (
	// beatEvery is how often the Prober looks after all that goes by time.
	beatEvery = time.Second
	// longestBeat is how long it may take until it does: if it was longer, the machine
	// has stood still.
	longestBeat = 5 * time.Second
	// makeUp is the time over which what was missed meanwhile is made up for.
	makeUp = time.Minute
	// clockStep is the least by which the wall clock moves against the monotonic one so
	// that it was set, and not merely adjusted.
	clockStep = 2 * time.Second
)

// tend looks after all that goes by time. p.mu is held.
func (p *Prober) tend(now time.Duration) {
	p.watchBeat(now)
	p.beat = now
	p.watchClock(now)
	for _, w := range p.watches {
		if w.freeze != nil {
			p.keepFrozen(w, now)
		} else if w.failed {
			p.suspect(w, now)
		}
	}
}

// watchBeat finds that the machine has stood still, with its clocks going on: the
// program was stopped, or a virtual machine paused. What ought to have been probed
// meanwhile is spread over some time, and what fails of the probes that were under way
// has failed by it. p.mu is held.
func (p *Prober) watchBeat(now time.Duration) {
	if p.beat >= 0 && now-p.beat > longestBeat {
		p.stood = now
		p.spread(now)
	}
}

// spread moves what is over due to times to come, each by its phase, so that there is no
// burst. What is not known yet waits no longer. p.mu is held.
func (p *Prober) spread(now time.Duration) {
	for _, e := range p.entries {
		if e.asked && e.cancel == nil && e.due < now {
			e.due = now + time.Duration(e.phase*float64(min(e.schedule.Interval, makeUp)))
		}
	}
	p.requeue()
}

// watchClock finds that the wall clock was set: forth, back, or while the machine was
// suspended. What counts from a moment of the past, as ramps do, moves with it. p.mu is
// held.
func (p *Prober) watchClock(now time.Duration) {
	wall := stamp(p.now())
	step := wall.Sub(p.wall) - (now - p.wallAt)
	first := p.wall.IsZero()
	p.wall, p.wallAt = wall, now
	if first || step.Abs() < clockStep {
		return
	}
	p.turned = now
	for _, e := range p.entries {
		e.state = e.state.moved(step)
		if e.fell != nil {
			*e.fell = e.fell.moved(step)
		}
	}
	p.stale.Store(true)
	p.tellNow(now)
}

// moved is the state with what others count from or to moved by a step of the clock.
func (s State) moved(step time.Duration) State {
	if !s.Returned.IsZero() {
		s.Returned = s.Returned.Add(step)
	}
	if !s.Change.IsZero() {
		s.Change = s.Change.Add(step)
	}
	return s
}
