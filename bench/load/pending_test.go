package load

import "testing"

func TestPendingFindsWhatWaits(t *testing.T) {
	p := newPending(4)
	if len(p.slots) != 16 {
		t.Fatalf("%d slots, expected 16", len(p.slots))
	}
	p.next = 65530 // ids begin anew soon
	taken := map[uint16]bool{}
	for i := range 16 {
		s := p.take()
		if s == nil {
			t.Fatalf("no slot for question %d", i)
		}
		s.sent = int64(i + 1)
		p.count++
		taken[s.id] = true
	}
	if len(taken) != 16 {
		t.Fatalf("%d different ids of 16", len(taken))
	}
	if p.take() != nil {
		t.Error("a slot when all are taken")
	}
	for id := range taken {
		if s := p.find(id); s == nil || s.id != id {
			t.Errorf("the question with id %d is not found", id)
		}
		if p.find(id+16) != nil {
			t.Errorf("a question with id %d is found", id+16)
		}
	}
	if lost := p.giveUp(5); lost != 4 || p.count != 12 {
		t.Errorf("%d are given up and %d wait, expected 4 and 12", lost, p.count)
	}
	p.clear()
	if p.count != 0 || p.take() == nil {
		t.Error("not all slots are free")
	}
}
