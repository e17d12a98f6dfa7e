package health

import (
	"container/heap"
	"time"
)

// finding is what a probe has found of an entry.
type finding struct {
	entry  *entry
	result Result
	took   time.Duration
	at     time.Time
}

// finish takes in what a probe has found and puts the entry back into the
// queue.
func (p *Prober) finish(e *entry, result Result, took time.Duration, counts bool, now time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	p.metrics.ended()
	e.cancel()
	e.cancel = nil
	p.leavePlace(e)
	signal(p.wake)
	if e.left {
		return
	}
	// Not before the next phase, and never at the same time as the last
	// probe; if that took so long that the start is over due, at once.
	e.due = e.following(e.started+e.schedule.Interval/2, p.random)
	if e.state.Verdict == Unknown && seldom(e.schedule) && (result.Outcome != Success || result.saysNothing(e.state)) {
		e.due = now + RepeatUnknown
	}
	heap.Push(&p.queue, e)
	p.watchBeat(now)
	if result.Outcome != Success && e.started < p.stood {
		counts = false // the machine stood still meanwhile
	}
	if counts {
		p.metrics.observe(kindOf(e.target), result.Outcome, took)
		p.record(finding{e, result, took, stamp(p.now())}, now)
	}
}

// record takes in a finding, unless it is to wait for what the control addresses say.
// p.mu is held.
func (p *Prober) record(f finding, now time.Duration) {
	p.watchClock(now)
	e := f.entry
	if f.result.Address.IsValid() && !e.target.Address.IsValid() && f.result.Address != e.state.Address {
		e.state.Address = f.result.Address
		e.state.Frozen = p.isFrozen(e.state.Address)
		signal(p.changed)
	}
	w := p.watchOf(e.state.Address)
	e.note(f.result)
	if w == nil {
		p.count(f, now)
		return
	}
	if f.result.Outcome != Success {
		w.failed = true
		falls := e.falls()
		if falls || e.streak == 1 { // it may be the one with which most fail
			p.suspect(w, now)
		}
		if falls {
			if (w.wanted || w.asking) && w.freeze == nil {
				e.waiting++
				w.held = append(w.held, f)
				return
			}
		}
	}
	if e.waiting > 0 {
		e.waiting++
		w.held = append(w.held, f)
		return
	}
	p.count(f, now)
}

// note keeps what a freeze goes by.
func (e *entry) note(r Result) {
	if r.Outcome != Success {
		if e.failing < 0 {
			e.failing = e.started
		}
		e.streak++
		e.cause = bySome
		switch r.Outcome {
		case Certificate, Content:
			e.cause = byClock
		case Resolution:
			e.cause = byNames
		}
		return
	}
	e.failing, e.streak = -1, 0
	if !r.NotMade {
		e.answered = e.started
	}
}

// falls reports whether one more failure takes the entry down.
func (e *entry) falls() bool {
	return !e.state.Frozen && e.state.Verdict != Down &&
		(e.state.Verdict == Unknown && !seldom(e.schedule) || e.state.Failures+1 >= e.schedule.DownAfter)
}

// count moves an entry's state on and tells of a change. p.mu is held.
func (p *Prober) count(f finding, now time.Duration) {
	e := f.entry
	before := e.state
	e.state = before.after(f.result, e.schedule, f.at, f.took)
	if e.target.Address.IsValid() {
		e.state.Address = e.target.Address
	}
	p.stale.Store(true)
	if e.state.Verdict != Unknown || e.state.Failures == 0 || e.state.Frozen {
		e.nowKnown()
	}
	if p.observe != nil && (f.result.Outcome == Success || !before.Frozen) {
		p.observe(Observation{Target: e.target, Result: f.result, Before: before, After: e.state})
	}
	switch {
	case before.Verdict != e.state.Verdict:
		e.fell = nil
		if e.state.Verdict == Down {
			fell := before
			e.fell = &fell
		}
		p.tellNow(now)
	case nearer(before.Change, e.state.Change):
		p.tellLater(nearerEvery, now)
	case farther(before.Change, e.state.Change):
		p.tellLater(fartherEvery, now)
	}
}
