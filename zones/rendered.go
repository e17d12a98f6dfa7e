package zones

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/miekg/dns"
)

// rendered is an answer to a kind of question in wire format: what stands behind
// the question. Names in it point into the question, or to each other. It was
// made for a question whose name has a certain length; in an answer to a longer
// one, each pointer moves on by the difference.
type rendered struct {
	body []byte
	// pointers are where in body there are pointers that move; those to the
	// name that was asked for itself, at the start of the question, do not.
	pointers                          []uint16
	answers, authorities, additionals uint16
	authoritative                     bool
	rcode                             uint8
	// pool is the number of the pool whose records are drawn and follow the
	// answer section, which is all of body; -1: none. Owner is their owner
	// name, a pointer, which moves if ownerMoves.
	pool       int32
	owner      uint16
	ownerMoves bool
	// nameless: the proof that there is no such name is the authority section, and
	// stands in the body at inside. Pointers from moved on point behind it.
	nameless      bool
	inside, moved uint16
}

// pointerFlags are the first bits of a compressed name (RFC 1035 section 4.1.4).
const pointerFlags = 0xC000

// questionPointer is the owner name of records at the name that was asked for.
const questionPointer = pointerFlags | messageHeader

// appendTo writes the answer behind a message with a question that is longer by
// shift bytes than the one that it was made for.
func (r *rendered) appendTo(message []byte, shift int) []byte {
	start := len(message)
	message = append(message, r.body...)
	if shift != 0 {
		for _, at := range r.pointers {
			pointer := message[start+int(at):]
			binary.BigEndian.PutUint16(pointer, binary.BigEndian.Uint16(pointer)+uint16(shift))
		}
	}
	return message
}

// appendAround is appendTo with a proof inside.
func (r *rendered) appendAround(message []byte, shift int, p *proofs, a *Appended) []byte {
	start, size := len(message), 0
	message = append(message, r.body[:r.inside]...)
	message = p.appendTo(message, a)
	message = append(message, r.body[r.inside:]...)
	for _, at := range r.pointers {
		if size = 0; at >= r.inside {
			size = p.size
		}
		pointer := message[start+int(at)+size:]
		value := binary.BigEndian.Uint16(pointer)
		if value >= r.moved {
			value += uint16(p.size)
		}
		binary.BigEndian.PutUint16(pointer, value+uint16(shift))
	}
	return message
}

// renderer makes answers ready to send, as the Packer writes them.
type renderer struct {
	packer Packer
}

// render writes an answer to a question for a name. It is not ok where the
// answer has to be made when it is asked for.
func (r *renderer) render(name string, a *Answer) (out rendered, ok bool) {
	var wire [maxName + 1]byte
	length, err := dns.PackDomainName(name, wire[:], 0, nil, false)
	if err != nil {
		return rendered{}, false
	}
	question := append(wire[:length:length], 0, 0, 0, 0)
	if r.packer.Begin(question, name, maxMessage) != nil || r.packer.Fill(a) != nil || r.packer.Truncated {
		return rendered{}, false
	}
	start := messageHeader + len(question)
	return rendered{
		inside:        uint16(r.packer.additional - start),
		moved:         pointerFlags + uint16(r.packer.additional),
		body:          append([]byte(nil), r.packer.Message()[start:]...),
		answers:       r.packer.Answers,
		authorities:   r.packer.Authorities,
		additionals:   r.packer.Additionals,
		authoritative: a.Authoritative,
		rcode:         uint8(a.Rcode),
		pool:          -1,
	}, true
}

// movable finds the pointers that move, by comparing an answer with the same
// one to a question that is longer by shift bytes. It is not ok where more than
// pointers differs.
func (r *rendered) movable(longer *rendered, shift int) bool {
	if len(r.body) != len(longer.body) || r.answers != longer.answers ||
		r.authorities != longer.authorities || r.additionals != longer.additionals {
		return false
	}
	moved := func(at int) bool {
		return at >= 0 && at+1 < len(r.body) && r.body[at]&0xC0 == 0xC0 &&
			int(binary.BigEndian.Uint16(longer.body[at:])) == int(binary.BigEndian.Uint16(r.body[at:]))+shift
	}
	for i := 0; i < len(r.body); i++ {
		switch {
		case r.body[i] == longer.body[i]:
			continue
		case moved(i):
			r.pointers = append(r.pointers, uint16(i))
			i++
		case moved(i - 1): // the first byte stayed the same
			r.pointers = append(r.pointers, uint16(i-1))
		default:
			return false
		}
	}
	return !slices.ContainsFunc(r.pointers, func(at uint16) bool {
		// It could move out of a pointer's reach.
		return binary.BigEndian.Uint16(r.body[at:]) > math.MaxUint16-maxName
	})
}

// drawing makes an answer one that ends in records drawn from a pool: the last
// record stands in for them, and is taken off.
func (r *rendered) drawing(pool int) bool {
	const standIn = 2 + recordFixed + 4 // an A record whose owner is a pointer
	at := len(r.body) - standIn
	if at < 0 || r.answers == 0 || r.authorities+r.additionals > 0 {
		return false
	}
	r.owner = binary.BigEndian.Uint16(r.body[at:])
	if r.owner < pointerFlags || binary.BigEndian.Uint16(r.body[at+2:]) != dns.TypeA {
		return false
	}
	r.pool, r.body = int32(pool), r.body[:at:at]
	r.answers--
	if n := len(r.pointers); n > 0 && int(r.pointers[n-1]) == at {
		r.pointers, r.ownerMoves = r.pointers[:n-1], true
	}
	return true
}

// render makes ready to send what a zone's serial is in.
func (z *servedZone) render(r *renderer) {
	var name WireName
	if !name.set(z.Apex) {
		return
	}
	z.apexLength = name.length
	z.soaReady, z.negativeReady = z.renderSOA(r, z.soa, z.negative)
	if z.signed != nil {
		z.soaSigned, z.negativeSigned = z.renderSOA(r, appendShared(z.soa, z.signed.soa), appendShared(z.negative, z.signed.negative))
	}
}

// renderSOA makes ready the answers that have the SOA records; those that cannot be
// have no body.
func (z *servedZone) renderSOA(r *renderer, soa, negative []dns.RR) (positive, denying rendered) {
	if ready, ok := r.render(z.Apex, &Answer{Authoritative: true, Answer: soa}); ok {
		positive = ready
	}
	answer := Answer{Authoritative: true, Authority: negative}
	ready, ok := r.render(z.Apex, &answer)
	longer, also := r.render(below(z.Apex, 1), &answer)
	if ok && also && ready.movable(&longer, labelShift) {
		denying = ready
	}
	return positive, denying
}
