package dnsserver

import (
	"encoding/binary"
	"net/netip"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

// begin readies the responder for a batch of questions: all of them are answered
// from one table. Every begin is followed by an end before the worker waits for
// anything.
func (r *responder) begin() {
	r.counts.mu.Lock()
	r.settings, r.now = r.shared.Load(), r.config.now()
	r.tick = r.settings.limiter.at(r.now)
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
	r.signs = false
	answer, ok := r.wire(buffer, length, client, over)
	if !ok {
		r.scratch = r.respond(r.scratch[:0], buffer[:length], client, over)
		answer = r.scratch
	}
	if r.settings.limiter == nil || over != overUDP || len(answer) == 0 || r.cookie == cookieGood {
		return answer
	}
	limited := r.limit(answer, client)
	if r.signs && limited != nil && len(limited) < len(answer) { // what was cut off has the signature in it
		return r.signature.SignAnswer(limited, r.now)
	}
	return limited
}

// What becomes of answers over the rate limit; values of a label.
const (
	actionDropped   = "dropped"
	actionTruncated = "truncated"
	actionBadCookie = "badcookie"
	actionSlipped   = "slipped" // an error, or a cookie that was all that was asked for
)

// limit gives the answer back while its client's network is within the rate
// limit. Over it, what slips through has no records, no options but a cookie, and
// sends the client to TCP, or back with the cookie that it now has; an error, which
// would be the same over TCP, keeps its code. For the rest there is silence.
func (r *responder) limit(answer []byte, client netip.Addr) []byte {
	kind := kindOf(answer)
	switch {
	case r.settings.limiter.passes(client, kind, r.tick):
	case !r.settings.limiter.slips(r.random.Uint64()):
		r.counts.limited(kind, actionDropped)
		return nil
	case answer[3]&15 == dns.RcodeSuccess && binary.BigEndian.Uint16(answer[4:]) == 0:
		r.counts.limited(kind, actionSlipped) // RFC 7873 section 5.4 wants NOERROR
		answer = r.withoutRecords(answer)
	case r.cookie != cookieAbsent:
		r.counts.limited(kind, actionBadCookie)
		answer = r.withoutRecords(answer)
		answer[2] &^= flagAA >> 8 // nothing is said of the zone
		answer[3] |= dns.RcodeBadCookie & 15
		answer[r.optAt+optRcode] = dns.RcodeBadCookie >> 4
	case kind == kindError:
		r.counts.limited(kind, actionSlipped)
		low, high := answer[3]&15, byte(0)
		if r.optAt > 0 {
			high = answer[r.optAt+optRcode]
		}
		answer = r.withoutRecords(answer)
		answer[3] |= low
		if r.optAt > 0 {
			answer[r.optAt+optRcode] = high
		}
	default:
		r.counts.limited(kind, actionTruncated)
		if answer[2]&(flagTC>>8) == 0 {
			r.counts.truncated(overUDP)
		}
		answer = r.withoutRecords(answer)
		answer[2] |= flagTC >> 8
	}
	return answer
}

// kindOf tells what kind of answer a message is, by its header.
func kindOf(answer []byte) responseKind {
	authoritative := answer[2]&(flagAA>>8) != 0
	switch rcode := answer[3] & 15; {
	case rcode == dns.RcodeNameError:
		return kindNXDOMAIN
	case rcode == dns.RcodeSuccess && authoritative:
		return kindAnswer
	case rcode == dns.RcodeSuccess && binary.BigEndian.Uint16(answer[8:]) > 0:
		return kindReferral
	}
	return kindError
}

// withoutRecords leaves of an answer its question and an OPT with at most the
// cookie, and no response code.
func (r *responder) withoutRecords(answer []byte) []byte {
	questions := binary.BigEndian.Uint16(answer[4:])
	end := headerSize
	if questions > 0 {
		end, _ = plainName(answer, headerSize) // it was read in the question
		end += 4
	}
	answer[3] &^= 15
	binary.BigEndian.PutUint64(answer[4:], uint64(questions)<<48)
	if r.optAt == 0 {
		return answer[:end]
	}
	answer[11] = 1
	fixed := answer[r.optAt:][:optFixed]
	r.optAt = end
	answer = append(answer[:end], fixed...)
	answer[end+optRcode] = 0
	length := answer[end+optLength:][:2]
	if r.cookie == cookieAbsent {
		binary.BigEndian.PutUint16(length, 0)
		return answer
	}
	binary.BigEndian.PutUint16(length, optionFixed+wholeCookieSize)
	return append(appendOption(answer, optionCookie, wholeCookieSize), r.cookieAnswer[:]...)
}
