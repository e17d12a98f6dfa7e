package health

import (
	"container/heap"

	"mirrorpool/pool"
)

// MaxTransfers is how many probes of throughput and integrity are under way at the same
// time. More would measure this machine's own network, of which each had a part.
const MaxTransfers = 2

// places bound how many probes of one kind are under way, apart from all others. They
// are guarded by the Prober's mu.
type places struct {
	most, taken int
	waiting     []*entry // that are due
}

// placesOf are those that a probe needs one of; nil: it needs none. p.mu is held.
func (p *Prober) placesOf(probe pool.Probe) *places {
	switch {
	case startsProcess(probe):
		return &p.forProcesses
	case probe.Purpose == pool.PurposeThroughput, probe.Purpose == pool.PurposeIntegrity:
		return &p.forTransfers
	}
	return nil
}

// take gives an entry that is due a place, or has it wait, so that those that need none
// do not wait behind it. p.mu is held.
func (p *Prober) take(e *entry) bool {
	s := p.placesOf(e.target.Probe)
	switch {
	case s == nil:
		return true
	case s.taken < s.most:
		s.taken++
		return true
	}
	s.waiting = append(s.waiting, e)
	return false
}

// leavePlace gives the place of an entry whose probe has ended to the one that waits the
// longest. p.mu is held.
func (p *Prober) leavePlace(e *entry) {
	s := p.placesOf(e.target.Probe)
	if s == nil {
		return
	}
	s.taken--
	if len(s.waiting) > 0 {
		heap.Push(&p.queue, s.waiting[0])
		s.waiting = s.waiting[1:]
	}
}
