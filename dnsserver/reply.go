package dnsserver

import "net/netip"

// begin readies the responder for a batch of questions: what is the same for
// all of them is looked up once. Every begin is followed by an end before the
// worker waits for anything.
func (r *responder) begin() {}

// end finishes the batch.
func (r *responder) end() {}

// reply answers the packet in buffer[:length]. The answer lies in buffer itself,
// from its start, or in room of the responder's that is good until its next
// reply; nil: silence. What was in the buffer is lost. The client is who sent
// the packet. It is called between begin and end.
func (r *responder) reply(buffer []byte, length int, client netip.Addr, over transport) []byte {
	r.scratch = r.respond(r.scratch[:0], buffer[:length], client, over)
	return r.scratch
}
