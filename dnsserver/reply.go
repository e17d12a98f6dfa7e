package dnsserver

import (
	"net/netip"

	"mirrorpool/zones"
)

// begin readies the responder for a batch of questions: all of them are answered
// from one table. Every begin is followed by an end before the worker waits for
// anything.
func (r *responder) begin() {
	r.counts.mu.Lock()
	r.settings, r.now = r.shared.Load(), r.config.now()
	if r.table = r.config.Table(); r.table == nil {
		return
	}
	table, ok := r.table.(*zones.Table)
	if !ok {
		return
	}
	r.fast.table = table
	r.fast.tally = r.counts.tallyFor(table)
}

// end finishes the batch. The table is let go of: a worker may wait for long.
func (r *responder) end() {
	r.table, r.fast.table, r.fast.tally = nil, nil, nil
	r.counts.mu.Unlock()
}

// reply answers the packet in buffer[:length]. The answer lies in buffer itself,
// from its start, or in room of the responder's that is good until its next
// reply; nil: silence. What was in the buffer is lost. The client is who sent
// the packet. It is called between begin and end.
func (r *responder) reply(buffer []byte, length int, client netip.Addr, over transport) (answer []byte) {
	defer func() {
		if value := recover(); value != nil {
			answer = r.panicked(value, buffer, over)
		}
	}()
	if answer, ok := r.wire(buffer, length, client, over); ok {
		return answer
	}
	r.scratch = r.respond(r.scratch[:0], buffer[:length], client, over)
	return r.scratch
}
