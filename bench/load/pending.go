package load

import "math/bits"

// pending are the questions of one socket that wait for their answers, in a
// ring by id. It is as small as can be, to stay in the processor's cache.
type pending struct {
	slots []slot
	next  uint16 // id
	count int
}

// slot is a question that was sent.
type slot struct {
	sent     int64 // nanoseconds; 0: the slot is free
	written  uint64
	question int32
	id       uint16
	untimed  bool // this process was late in sending it
}

// newPending makes room for at least that many questions.
func newPending(most int) pending {
	// Four times as many, so that a late one is seldom in the way.
	return pending{slots: make([]slot, 1<<bits.Len(uint(4*most-1)))}
}

// take gives a free slot, or nil when every one is taken. It counts once sent
// is set.
func (p *pending) take() *slot {
	mask := uint16(len(p.slots) - 1)
	for range p.slots {
		id := p.next
		p.next++
		if s := &p.slots[id&mask]; s.sent == 0 {
			s.id = id
			return s
		}
	}
	return nil
}

// find gives the slot of a question that waits, or nil.
func (p *pending) find(id uint16) *slot {
	s := &p.slots[id&uint16(len(p.slots)-1)]
	if s.sent == 0 || s.id != id {
		return nil
	}
	return s
}

func (p *pending) release(s *slot) {
	s.sent = 0
	p.count--
}

// giveUp frees the slots of questions sent before a time, and returns how many.
func (p *pending) giveUp(before int64) (lost int) {
	if p.count == 0 {
		return 0
	}
	for i := range p.slots {
		if s := &p.slots[i]; s.sent != 0 && s.sent < before {
			p.release(s)
			lost++
		}
	}
	return lost
}

// clear frees every slot.
func (p *pending) clear() {
	for i := range p.slots {
		p.slots[i].sent = 0
	}
	p.count = 0
}
