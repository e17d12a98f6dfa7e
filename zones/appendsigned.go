package zones

import (
	"encoding/binary"

	"github.com/miekg/dns"

	"mirrorpool/pool/selection"
)

// Answers with signatures, put together of what is ready: records and signatures of
// the zone file, the SOA's of this table, those of a set that was drawn, and NSEC
// records that fit the question's name. Nothing is signed here.

// maxPointer is the last place in a message that a name can point to, and one more.
const maxPointer = 1 << 14

// proofs are the denials of one answer.
type proofs struct {
	all   [2]placed
	count int
	size  int // in bytes
}

func (p *proofs) add(d *denial, name *WireName) {
	p.all[p.count] = d.place(name)
	p.size += p.all[p.count].size
	p.count++
}

// fit reports whether the denials fit behind a message of a size.
func (p *proofs) fit(size int, q *Asked) bool {
	return size+p.size <= min(q.Limit, maxPointer)
}

// appendTo writes the denials into the authority section.
func (p *proofs) appendTo(message []byte, a *Appended) []byte {
	for i := range p.count {
		message = p.all[i].appendTo(message)
		a.Authorities += p.all[i].records
	}
	return message
}

// denial gives that of a link.
func (z *signedZone) denial(index int) *denial {
	if d := z.links[index].denial; d != nil {
		return d
	}
	return z.pools[index].denial
}

// covering gives the denial that there is such a name as the one asked for.
func (at *spot) covering(q *Asked) *denial {
	index, _ := at.signed.chain.findWire(&q.Name, 0)
	return at.signed.denial(index)
}

// typeless gives the denial that a name has a type: where others get addresses of a
// pool, it is one without that type.
func (at *spot) typeless(number linkNumber, kind uint16) *denial {
	link := at.signed.link(number.index())
	if number.isExact() {
		for i := range addressKinds {
			if addressKinds[i] == kind && link.without[i] != nil {
				return link.without[i]
			}
		}
	}
	return link.denial
}

// deny answers that there is no such type or name, with the proof (RFC 4035, section
// 3.1.3).
func (at *spot) deny(message []byte, q *Asked, a *Appended, rcode int) ([]byte, bool) {
	ready := &at.zone.negativeSigned
	if ready.body == nil {
		return message, false
	}
	links := at.index.links[at.number]
	var p proofs
	if at.below == 0 {
		p.add(at.typeless(links.self, q.Type), &q.Name)
	} else {
		first, second := at.covering(q), at.typeless(links.wildcard, q.Type)
		if rcode == dns.RcodeNameError {
			second = at.signed.denial(links.wildcard.index())
		}
		if !second.replaces(first) {
			p.add(first, &q.Name)
		}
		p.add(second, &q.Name)
	}
	if !p.fit(len(message)+len(ready.body), q) {
		return message, false
	}
	message, _ = a.fixed(message, q, ready, q.Name.length-at.zone.apexLength)
	a.Rcode = rcode
	return p.appendTo(message, a), true
}

// expanded answers with what a wildcard has, and the proof that there is no such name
// (RFC 4035, section 3.1.3.3).
func (at *spot) expanded(message []byte, q *Asked, a *Appended, r *rendered, shift int) ([]byte, bool) {
	var p proofs
	p.add(at.covering(q), &q.Name)
	if !p.fit(len(message)+len(r.body), q) {
		return message, false
	}
	a.all(r)
	return r.appendAround(message, shift, &p, a), true
}

// drawnSigned is drawn where the answer has signatures: those of the set, which is
// given whole or not at all, or the proof that a wildcard stands for the name. Family
// is nil where the pool's own zone is not signed. Size is that of a set's signatures.
func (t *Table) drawnSigned(message []byte, q *Asked, random Random, counts []uint64, a *Appended, at *spot, r *rendered, shift int, family *signedFamily, size int) (_ []byte, ok bool) {
	f := t.pools[r.pool].of(q.Type)
	choice, placeDependent, scope := f.locate(t.geo, q.Client, q.Resolver)
	if len(choice.Shares) == 0 && choice.Mode != selection.Self {
		message, ok = at.undrawn(message, q, a, r, f, &counts[0])
		a.PlaceDependent, a.ScopeBits = placeDependent, scope
		return message, ok
	}
	var p proofs
	if r.nameless {
		p.add(at.covering(q), &q.Name)
	}
	if !p.fit(len(message)+len(r.body)+f.wire.largest*f.wire.size+size, q) {
		return message, false
	}
	message = r.appendTo(message, shift)
	first := len(message)
	message, set := f.drawSet(message, choice, q.Limit, random, counts[1:], family)
	counts[0]++
	a.Authoritative, a.Pooled = r.authoritative, true
	a.PlaceDependent, a.ScopeBits = placeDependent, scope
	a.Given = (len(message) - first) / f.wire.size
	a.Answers = r.answers + uint16(a.Given)
	if r.owner != questionPointer {
		f.wire.own(message[first:], r, shift)
	}
	if set != nil {
		first = len(message)
		message = append(message, set.wire...)
		a.Answers += uint16(len(set.signatures))
		if f.ttl != family.ttl {
			stamp(message[first:], f.ttl)
		}
		if r.owner != questionPointer {
			ownSignatures(message[first:], r, shift)
		}
	}
	return p.appendTo(message, a), true
}

// drawSet appends the records of a draw that is signed, and gives its signatures; nil:
// there are none.
func (f *family) drawSet(message []byte, choice *selection.Choice, limit int, random Random, counts []uint64, family *signedFamily) ([]byte, *signedSet) {
	w := &f.wire
	if family == nil {
		return f.draw(message, choice, limit, random, counts), nil
	}
	if choice.Mode == selection.Self {
		return w.give(message, w.self, 0, (limit-len(message))/w.size), family.find(family.self)
	}
	spans := w.up
	if choice.Mode == selection.All {
		spans = w.all
	}
	var onStack [32]int
	order, set := family.settle(choice, f.order(choice, random, onStack[:0]), random)
	return w.giveAll(message, order, spans, limit, random, counts), set
}

// ownSignatures writes another owner than the question's into the signatures of a
// drawn set.
func ownSignatures(records []byte, r *rendered, shift int) {
	owner := r.owner
	if r.ownerMoves {
		owner += uint16(shift)
	}
	for len(records) > 0 {
		binary.BigEndian.PutUint16(records, owner)
		length := int(binary.BigEndian.Uint16(records[2+recordFixed-2:]))
		records = records[2+recordFixed+length:]
	}
}
