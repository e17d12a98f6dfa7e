package zones

import (
	"encoding/binary"
	"net/netip"

	"github.com/miekg/dns"

	"mirrorpool/pool/selection"
)

// Asked is a question as Append takes it.
type Asked struct {
	Name   WireName
	Type   uint16
	Client netip.Addr // the zero Addr: a client that wants to stay unlocated
	// Limit is how long the message may become, in bytes, without OPT.
	Limit int
}

// Appended is what Append wrote.
type Appended struct {
	Rcode                             int
	Authoritative                     bool
	Answers, Authorities, Additionals uint16
	// PlaceDependent and ScopeBits are as in Answer.
	PlaceDependent bool
	ScopeBits      int
	// Pooled tells that the question was one for a pool; the Tally has counted
	// it. Given is how many records were drawn from it.
	Pooled bool
	Given  int
}

// Append writes what Answer would say to the most common questions behind the
// message, which ends in the question, and has room for Limit bytes. It is
// allowed to write over anything behind the message. It allocates nothing. It is
// not ok, and has written nothing that matters, where the answer has to be made
// by Answer: it does not fit, or is a rare one.
func (t *Table) Append(message []byte, q *Asked, random Random, tally *Tally) (_ []byte, a Appended, ok bool) {
	index := t.static.index
	node, below := index.closest(&q.Name)
	switch {
	case node == nil:
		a.Rcode = dns.RcodeRefused
		return message, a, true
	case node.is(isDelegation):
		if below == 0 && q.Type == dns.TypeDS || node.below == 0 {
			return message, a, false
		}
		return t.fixed(message, q, &index.belowOf(node)[0].rendered, q.Name.length-int(node.length))
	case below == 0:
		if node.is(isApex) && (q.Type == dns.TypeDS || q.Type == dns.TypeSOA) {
			return t.atApex(message, q, node)
		}
		return t.typed(message, q, random, tally, node, index.answersOf(node), 0, node.is(isPartial))
	case node.is(hasDNAME):
		return message, a, false
	case node.is(hasWildcard):
		shift := q.Name.length - int(node.length) - labelShift
		return t.typed(message, q, random, tally, node, index.belowOf(node), shift, node.is(wildcardIsPartial))
	}
	return t.negative(message, q, node, dns.RcodeNameError)
}

// typed answers with what there is of a type.
func (t *Table) typed(message []byte, q *Asked, random Random, tally *Tally, node *indexedNode, all []typed, shift int, partial bool) ([]byte, Appended, bool) {
	r := answer(all, q.Type)
	switch {
	case r == nil && (partial || q.Type == dns.TypeANY):
		return message, Appended{}, false
	case r == nil:
		return t.negative(message, q, node, dns.RcodeSuccess)
	case r.pool >= 0:
		return t.drawn(message, q, random, tally, node, r, shift)
	}
	return t.fixed(message, q, r, shift)
}

// atApex answers for types that have more to them at the top of a zone.
func (t *Table) atApex(message []byte, q *Asked, node *indexedNode) ([]byte, Appended, bool) {
	zone := t.served[node.zone]
	if q.Type != dns.TypeSOA || zone.soaReady.body == nil {
		return message, Appended{}, false
	}
	return t.fixed(message, q, &zone.soaReady, 0)
}

// negative answers that there is no such type or name.
func (t *Table) negative(message []byte, q *Asked, node *indexedNode, rcode int) ([]byte, Appended, bool) {
	zone := t.served[node.zone]
	if zone.negativeReady.body == nil {
		return message, Appended{}, false
	}
	message, a, ok := t.fixed(message, q, &zone.negativeReady, q.Name.length-zone.apexLength)
	a.Rcode = rcode
	return message, a, ok
}

// fixed answers with what is ready.
func (t *Table) fixed(message []byte, q *Asked, r *rendered, shift int) ([]byte, Appended, bool) {
	if len(message)+len(r.body) > q.Limit {
		return message, Appended{}, false
	}
	return r.appendTo(message, shift), Appended{
		Rcode: int(r.rcode), Authoritative: r.authoritative,
		Answers: r.answers, Authorities: r.authorities, Additionals: r.additionals,
	}, true
}

// drawn answers from a pool, behind the aliases that lead to it.
func (t *Table) drawn(message []byte, q *Asked, random Random, tally *Tally, node *indexedNode, r *rendered, shift int) ([]byte, Appended, bool) {
	served := t.pools[r.pool]
	f := served.of(q.Type)
	if !f.served {
		if len(r.body) > 0 {
			return message, Appended{}, false
		}
		message, a, ok := t.negative(message, q, node, dns.RcodeSuccess)
		if a.Pooled = ok; ok {
			tally.counts[served.tally]++
		}
		return message, a, ok
	}
	if len(message)+len(r.body)+f.wire.size > q.Limit {
		return message, Appended{}, false
	}
	choice, scope := f.choose(t.geo, q.Client)
	if len(choice.Shares) == 0 && choice.Mode != selection.Self && len(r.body) > 0 {
		return message, Appended{}, false // before anything is written over what the question came with
	}
	message, a, _ := t.fixed(message, q, r, shift)
	a.PlaceDependent, a.ScopeBits, a.Pooled = f.chooser.PlaceDependent(), scope, true
	first := len(message)
	message = f.wire.draw(message, choice, q.Limit, random, tally.counts[served.tally+1:])
	if len(message) == first {
		message, negative, ok := t.negative(message, q, node, dns.RcodeSuccess)
		negative.PlaceDependent, negative.ScopeBits, negative.Pooled = a.PlaceDependent, a.ScopeBits, ok
		if ok {
			tally.counts[served.tally]++
		}
		return message, negative, ok
	}
	a.Given = (len(message) - first) / f.wire.size
	a.Answers += uint16(a.Given)
	if r.owner != questionPointer {
		f.wire.own(message[first:], r, shift)
	}
	tally.counts[served.tally]++
	return message, a, true
}

// draw appends the records of a draw, as many as fit, and counts the members:
// counts are those of the pool in a Tally.
func (w *wireFamily) draw(message []byte, choice *selection.Choice, limit int, random Random, counts []uint64) []byte {
	room := (limit - len(message)) / w.size
	if choice.Mode == selection.Self {
		return w.give(message, w.self, 0, room)
	}
	var onStack [32]int
	spans := w.of(choice.Mode)
	for i, index := range choice.Draw(random, w.most, onStack[:0]) {
		s := spans[index]
		turn := firstOf(random, int(s.count))
		if room <= 0 || s.count == 0 {
			continue
		}
		message = w.give(message, s, turn, room)
		room -= int(s.count)
		// The first is counted apart from the others.
		counts[2*index+min(i, 1)]++
	}
	return message
}

// give appends a span, from its record number turn on, or as much as there is
// room for.
func (w *wireFamily) give(message []byte, s span, turn, room int) []byte {
	if s.count == 1 {
		at := int(s.first) * w.size
		return append(message, w.records[at:at+w.size]...)
	}
	for i := range min(int(s.count), room) {
		at := (int(s.first) + (turn+i)%int(s.count)) * w.size
		message = append(message, w.records[at:at+w.size]...)
	}
	return message
}

// own writes another owner than the question's into the records.
func (w *wireFamily) own(records []byte, r *rendered, shift int) {
	owner := r.owner
	if r.ownerMoves {
		owner += uint16(shift)
	}
	for ; len(records) > 0; records = records[w.size:] {
		binary.BigEndian.PutUint16(records, owner)
	}
}
