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
	// Resolver is as in Question.
	Resolver netip.Addr
	DNSSEC   bool // as in Question
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
// allowed to write over anything behind the message, and tells in a what it
// wrote. It allocates nothing. It is not ok, and has written nothing, where the
// answer has to be made by Answer: it does not fit, or is a rare one.
func (t *Table) Append(message []byte, q *Asked, random Random, tally *Tally, a *Appended) (_ []byte, ok bool) {
	*a = Appended{}
	at := spot{index: t.static.index}
	if t.signing && q.DNSSEC {
		at.index = t.signedIndex
	}
	number, below := at.index.closest(&q.Name)
	if number < 0 {
		a.Rcode = dns.RcodeRefused
		return message, true
	}
	index, node := at.index, &at.index.nodes[number]
	at.node, at.number, at.below, at.zone = node, number, below, t.served[node.zone]
	if q.DNSSEC {
		at.signed = at.zone.signed
	}
	switch {
	case node.is(isDelegation):
		if below == 0 && (q.Type == dns.TypeDS || t.signing && isSigningType(q.Type)) || node.below == 0 {
			return message, false
		}
		return a.fixed(message, q, &index.belowOf(node)[0].rendered, q.Name.length-int(node.length))
	case below == 0:
		if node.is(isApex) && (q.Type == dns.TypeDS || q.Type == dns.TypeSOA) {
			return at.soa(message, q, a)
		}
		r := answer(index.answersOf(node), q.Type)
		if r == nil && (node.is(isPartial) || at.zone.signed != nil && isSigningType(q.Type)) {
			return message, false
		}
		return t.typed(message, q, random, tally, a, &at, r, 0)
	case node.is(hasDNAME):
		return message, false
	case node.is(hasWildcard):
		r := answer(index.belowOf(node), q.Type)
		if r == nil && (node.is(wildcardIsPartial) || at.zone.signed != nil && isSigningType(q.Type)) {
			return message, false
		}
		return t.typed(message, q, random, tally, a, &at, r, q.Name.length-int(node.length)-labelShift)
	}
	return at.negative(message, q, a, dns.RcodeNameError)
}

// spot is what a question's name came to.
type spot struct {
	index  *nameIndex
	node   *indexedNode // of the name, or its closest encloser
	number int          // of the node
	below  int          // labels of the name below the node's
	zone   *servedZone
	signed *signedZone // nil: the zone is not signed, or signatures are not asked for
}

// typed answers with what there is of a type; nil: nothing.
func (t *Table) typed(message []byte, q *Asked, random Random, tally *Tally, a *Appended, at *spot, r *rendered, shift int) ([]byte, bool) {
	switch {
	case r == nil && q.Type == dns.TypeANY:
		return message, false
	case r == nil:
		return at.negative(message, q, a, dns.RcodeSuccess)
	case r.pool >= 0:
		return t.drawn(message, q, random, tally, a, at, r, shift)
	case r.nameless:
		return at.expanded(message, q, a, r, shift)
	}
	return a.fixed(message, q, r, shift)
}

// soa answers for the types that have more to them at the top of a zone.
func (at *spot) soa(message []byte, q *Asked, a *Appended) ([]byte, bool) {
	ready := &at.zone.soaReady
	if at.signed != nil {
		ready = &at.zone.soaSigned
	}
	if q.Type != dns.TypeSOA || ready.body == nil {
		return message, false
	}
	return a.fixed(message, q, ready, 0)
}

// negative answers that there is no such type or name.
func (at *spot) negative(message []byte, q *Asked, a *Appended, rcode int) ([]byte, bool) {
	if at.signed != nil {
		return at.deny(message, q, a, rcode)
	}
	if at.zone.negativeReady.body == nil {
		return message, false
	}
	message, ok := a.fixed(message, q, &at.zone.negativeReady, q.Name.length-at.zone.apexLength)
	a.Rcode = rcode
	return message, ok
}

// fixed answers with what is ready.
func (a *Appended) fixed(message []byte, q *Asked, r *rendered, shift int) ([]byte, bool) {
	if len(message)+len(r.body) > q.Limit {
		return message, false
	}
	a.all(r)
	return r.appendTo(message, shift), true
}

// all tells of all that is ready.
func (a *Appended) all(r *rendered) {
	a.Rcode, a.Authoritative = int(r.rcode), r.authoritative
	a.Answers, a.Authorities, a.Additionals = r.answers, r.authorities, r.additionals
}

// drawn answers from a pool, behind the aliases that lead to it.
func (t *Table) drawn(message []byte, q *Asked, random Random, tally *Tally, a *Appended, at *spot, r *rendered, shift int) (_ []byte, ok bool) {
	served := t.pools[r.pool]
	f := served.of(q.Type)
	counts := tally.counts[served.tally:][:1+2*len(f.members)]
	if !f.served {
		return at.undrawn(message, q, a, r, f, &counts[0])
	}
	if q.DNSSEC && t.signing {
		if family, size := t.signedPools[r.pool].of(q.Type); family != nil || r.nameless {
			return t.drawnSigned(message, q, random, counts, a, at, r, shift, family, size)
		}
	}
	if len(message)+len(r.body)+f.wire.size > q.Limit {
		return message, false
	}
	var choice *selection.Choice
	choice, a.PlaceDependent, a.ScopeBits = f.locate(t.geo, q.Client, q.Resolver)
	if len(choice.Shares) == 0 && choice.Mode != selection.Self {
		return at.undrawn(message, q, a, r, f, &counts[0])
	}
	if len(r.body) > 0 {
		message = r.appendTo(message, shift)
	}
	first := len(message)
	message = f.draw(message, choice, q.Limit, random, counts[1:])
	counts[0]++
	a.Authoritative, a.Pooled = r.authoritative, true
	a.Given = (len(message) - first) / f.wire.size
	a.Answers = r.answers + uint16(a.Given)
	if r.owner != questionPointer {
		f.wire.own(message[first:], r, shift)
	}
	return message, true
}

// undrawn answers where a pool gives nothing: there is no such type, which may be
// for now. Behind aliases that is said by Answer.
func (at *spot) undrawn(message []byte, q *Asked, a *Appended, r *rendered, f *family, count *uint64) (_ []byte, ok bool) {
	if len(r.body) > 0 {
		return message, false
	}
	start := len(message)
	if message, ok = at.negative(message, q, a, dns.RcodeSuccess); ok {
		a.Pooled = true
		*count++
		if f.served {
			lowerTTL(message[start:], f.ttl)
		}
	}
	return message, ok
}

// draw appends the records of a draw, as many as fit, and counts the members:
// counts are those of the pool's members in a Tally.
func (f *family) draw(message []byte, choice *selection.Choice, limit int, random Random, counts []uint64) []byte {
	w := &f.wire
	if choice.Mode == selection.Self {
		return w.give(message, w.self, 0, (limit-len(message))/w.size)
	}
	spans, single := w.up, w.upSingle
	if choice.Mode == selection.All {
		spans, single = w.all, w.allSingle
	}
	if table := f.drawTable(choice); table != nil {
		order := table.Draw(random)
		if single && len(message)+table.Count()*w.size <= min(limit, cap(message)) {
			return w.deal(message, order, table.Count(), spans, counts)
		}
		var onStack [selection.MaxOrder]int
		return w.giveAll(message, order.Append(onStack[:0], table.Count()), spans, limit, random, counts)
	}
	var onStack [32]int
	return w.giveAll(message, choice.Draw(random, w.most, onStack[:0]), spans, limit, random, counts)
}

// deal writes the one record that each of count members in an order has at the
// end of the message, where there is room for them.
func (w *wireFamily) deal(message []byte, order selection.Order, count int, spans []span, counts []uint64) []byte {
	start := len(message)
	message = message[:start+count*w.size]
	first := 0 // 1 once the first, which is counted apart, is
	for to := message[start:]; len(to) > 0; to = to[w.size:] {
		index := order.At(0)
		order >>= 8
		from := w.records[int(spans[index].first)*w.size:]
		if w.size == addressSize4 {
			*(*[addressSize4]byte)(to) = *(*[addressSize4]byte)(from)
		} else {
			*(*[addressSize6]byte)(to) = *(*[addressSize6]byte)(from)
		}
		counts[2*index+first]++
		first = 1
	}
	return message
}

// giveAll appends the records of members in the order drawn.
func (w *wireFamily) giveAll(message []byte, drawn []int, spans []span, limit int, random Random, counts []uint64) []byte {
	room := (limit - len(message)) / w.size
	for i, index := range drawn {
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
