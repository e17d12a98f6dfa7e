package zones

import (
	"slices"

	"github.com/miekg/dns"
)

// maxReady is how many bytes the answers that are ready may have together.
// Aliases and targets repeat the records that they lead to, so that a small file
// could make very many. Answers beyond it are made when they are asked for.
const maxReady = 64 << 20

// indexBuilder adds one name after another.
type indexBuilder struct {
	index *nameIndex
	table *Table // that answers
	name  WireName
	size  int // of the answers that are ready
	// signed: they are those to questions for signatures. Of denials in pooled, the
	// types depend on what pools give.
	signed bool
	pooled map[*denial]bool
	renderer
}

// unpooled makes a table in which pools give nothing, so that its answers show
// where a pool comes in.
func unpooled(s *Static) *Table {
	t := &Table{static: s, zones: make(map[string]*servedZone, len(s.sorted))}
	for _, zone := range s.sorted {
		t.zones[zone.Apex] = &servedZone{Zone: zone}
	}
	for _, one := range s.definition.Pools {
		t.pools = append(t.pools, &servedPool{
			definition: one, families: [2]*family{{}, {}},
			compiledPool: &compiledPool{owner: canonical(dns.Fqdn(one.Name)), ipv4: &family{}, ipv6: &family{}},
		})
	}
	return t
}

func (b *indexBuilder) add(number uint32, zone *Zone, name string) {
	x := b.index
	if !b.name.set(name) {
		return // it can be in no question either
	}
	wire := b.name.from(0)
	node := zone.nodes[name]
	one := indexedNode{
		name: uint32(len(x.wire)), length: uint8(len(wire)), zone: number, typed: uint32(len(x.typed)),
	}
	one.flag(isApex, name == zone.Apex)
	one.flag(isDelegation, node.Delegation)
	one.flag(hasDNAME, node.set(dns.TypeDNAME) != nil)
	x.wire = append(x.wire, wire...)
	x.deepest = max(x.deepest, b.name.labels)
	if node.Delegation {
		if b.keep(dns.TypeNone, func(uint16) (rendered, bool) { return b.moving(name, dns.TypeA, false) }) {
			one.below = 1
		}
	} else {
		var partial bool
		one.answers, partial = b.answers(zone, node, func(kind uint16) (rendered, bool) { return b.exact(name, kind) })
		one.flag(isPartial, partial)
	}
	if w := node.Wildcard; w != nil && !node.Delegation && !one.is(hasDNAME) {
		var partial bool
		one.below, partial = b.answers(zone, w, func(kind uint16) (rendered, bool) {
			if b.returns(zone, name, kind) {
				return rendered{}, false
			}
			return b.moving(below(name, 1), kind, true)
		})
		one.flag(hasWildcard, true)
		one.flag(wildcardIsPartial, partial)
	}
	x.nodes = append(x.nodes, one)
	if b.signed {
		x.links = append(x.links, b.linksOf(zone, name))
	}
	hash, mask := x.hash(wire), uint32(len(x.slots)-1)
	i := hash & mask
	for x.slots[i].node != 0 {
		i = (i + 1) & mask
	}
	x.slots[i] = slot{hash, uint32(len(x.nodes))}
}

func (n *indexedNode) flag(f nodeFlags, set bool) {
	if set {
		n.flags |= f
	}
}

// answers renders what a node has, and gives the number of answers. It reports
// whether types that are not among them have to be answered when they are asked
// for.
func (b *indexBuilder) answers(zone *Zone, node *Node, render func(uint16) (rendered, bool)) (count uint16, partial bool) {
	var kinds []uint16
	for i := range node.Sets {
		kinds = append(kinds, node.Sets[i].Type)
	}
	if node.set(dns.TypeCNAME) != nil {
		// Other types follow it as well, but are hardly asked for.
		kinds, partial = []uint16{dns.TypeA, dns.TypeCNAME, dns.TypeAAAA}, true
	} else if node.Pool >= 0 {
		kinds = append(kinds, dns.TypeA, dns.TypeAAAA)
	}
	if signed := b.signing(zone); signed != nil && node == zone.nodes[zone.Apex] {
		kinds = append(kinds, signed.apexTypes()...)
	}
	for _, kind := range kinds {
		if kind == dns.TypeSOA {
			continue // it has a serial, which is each table's
		}
		if b.keep(kind, render) {
			count++
		} else {
			partial = true
		}
	}
	return count, partial
}

// keep renders the answer of a type, and reports whether it could be.
func (b *indexBuilder) keep(kind uint16, render func(uint16) (rendered, bool)) bool {
	if b.size >= maxReady {
		return false
	}
	r, ok := render(kind)
	if ok {
		b.size += len(r.body)
		b.index.typed = append(b.index.typed, typed{kind, r})
	}
	return ok
}

// labelShift is by how many bytes below makes a name longer for each label.
const labelShift = 2

// below is a name with so many labels in front that nobody has.
func below(name string, labels int) string {
	if name == "." {
		name = ""
	}
	for range labels {
		name = `\001.` + name
	}
	if name == "" {
		return "."
	}
	return name
}

// exact renders the answer to a question for a name itself.
func (b *indexBuilder) exact(name string, kind uint16) (rendered, bool) {
	f, ok := b.ask(name, kind, false)
	if !ok {
		return rendered{}, false
	}
	r, ok := b.render(name, &f.Answer)
	if ok && f.pool >= 0 {
		ok = r.drawing(f.pool)
	}
	return r, ok
}

// moving renders the answer to questions for names that end in a name, of which
// first is the shortest. Wildcard tells that they come from one.
func (b *indexBuilder) moving(first string, kind uint16, wildcard bool) (rendered, bool) {
	longer := below(first, 1)
	f, ok := b.ask(first, kind, wildcard)
	if !ok {
		return rendered{}, false
	}
	other, ok := b.ask(longer, kind, wildcard)
	if !ok || f.pool != other.pool || f.nameless != other.nameless {
		return rendered{}, false
	}
	r, ok := b.render(first, &f.Answer)
	if !ok {
		return rendered{}, false
	}
	second, ok := b.render(longer, &other.Answer)
	if !ok || !r.movable(&second, labelShift) {
		return rendered{}, false
	}
	r.nameless = f.nameless
	if f.pool >= 0 {
		return r, r.drawing(f.pool)
	}
	return r, true
}

// returns reports whether the aliases that a wildcard starts, or its services,
// lead to a name that the wildcard stands for as well: whoever asks for that name
// gets another answer than those who ask for others.
func (b *indexBuilder) returns(zone *Zone, encloser string, kind uint16) bool {
	asked := below(encloser, 1)
	a := b.table.Answer(Question{Name: asked, Type: kind}, nil)
	back := func(name string) bool {
		if name = canonical(name); !within(name, encloser) || name == asked {
			return false
		}
		node, exact := zone.find(name)
		return !exact && node == zone.nodes[encloser]
	}
	return slices.ContainsFunc(a.Answer, func(rr dns.RR) bool {
		cname, ok := rr.(*dns.CNAME)
		return ok && back(cname.Target)
	}) || slices.ContainsFunc(a.Answer, servesItself) && slices.ContainsFunc(a.Additional, func(rr dns.RR) bool {
		return back(rr.Header().Name)
	})
}

// found is an answer of the table without pools.
type found struct {
	Answer
	pool int // whose records it ends in: one stands in for them; -1: none
	// nameless: the proof that there is no such name as the one asked for is left
	// out. It is another for each name.
	nameless bool
}

// ask asks the table without pools. It is not ok where the answer depends on a
// serial, or on which name a wildcard stands for in more than a proof, or where a
// proof depends on what pools give.
func (b *indexBuilder) ask(name string, kind uint16, wildcard bool) (f found, ok bool) {
	l := b.table.follow(Question{Name: name, Type: kind, DNSSEC: b.signed}, nil)
	f = found{Answer: l.answer, pool: -1}
	if l.pooled == nil && l.denied {
		return f, false
	}
	if zone, _ := deepest(b.table.zones, canonical(name)); wildcard && b.signing(zone.Zone) != nil {
		proofs := 1
		if l.pooled != nil {
			proofs = 2 // that the pool gives nothing is not what is proven then
		}
		if l.nameless != 1 || len(l.proven) > proofs || l.pooled == nil && len(f.Authority) != len(l.proofs()) {
			return f, false
		}
		f.nameless, f.Authority = true, nil
	} else if l.nameless > 0 && l.pooled != nil || l.pooled == nil && slices.ContainsFunc(l.proven, func(d *denial) bool { return b.pooled[d] }) {
		return f, false
	}
	if l.pooled != nil {
		f.Authority = nil
		f.Answer.Answer = append(slices.Clip(f.Answer.Answer), &dns.A{
			Hdr: dns.RR_Header{Name: l.name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: make([]byte, 4),
		})
		f.Drawn = 1
		f.pool = slices.Index(b.table.pools, l.pooled)
	}
	return f, true
}
