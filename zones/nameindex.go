package zones

import (
	"hash/maphash"
	"math/bits"
	"slices"

	"github.com/miekg/dns"
)

// nameIndex finds the answers of the static zones by names in wire format. It
// is made once for each commit and never written after that.
//
// With many names, what costs is the memory that a look-up reads: a slot, a
// node, its name with the answers' bytes right behind it, and what is said of
// them. All are in one piece each, which also leaves the garbage collector little
// to follow.
type nameIndex struct {
	seed  maphash.Seed
	slots []slot // open addressing: a power of two of them, at most half full
	nodes []indexedNode
	typed []typed // of nodes, one after another
	wire  []byte  // the names of nodes, each with the bodies of its answers behind it
	// deepest is the most labels that a name has.
	deepest int
}

// slot is one place of the hash table; node is 1 + an index, 0: it is free.
type slot struct{ hash, node uint32 }

// indexedNode is a Node of the zone that answers for its name.
type indexedNode struct {
	name  uint32 // where it starts in nameIndex.wire
	zone  uint32 // in Static.sorted
	typed uint32 // where its answers start in nameIndex.typed
	// answers is how many there are, by type, for the name itself; below is how
	// many follow them for names below it that do not exist: those of a wildcard,
	// by type, or a referral, which is the only one.
	answers, below uint16
	length         uint8 // of the name
	flags          nodeFlags
}

type nodeFlags uint8

const (
	isApex nodeFlags = 1 << iota
	isDelegation
	hasDNAME
	hasWildcard
	// isPartial tells that types without an answer are not for this index: what
	// they get depends on more than the zone file; wildcardIsPartial the same of
	// names below.
	isPartial
	wildcardIsPartial
)

func (n *indexedNode) is(f nodeFlags) bool { return n.flags&f != 0 }

// typed is the answer of a type.
type typed struct {
	kind uint16
	rendered
}

// answersOf gives a node's answers for its own name.
func (x *nameIndex) answersOf(n *indexedNode) []typed {
	return x.typed[n.typed : n.typed+uint32(n.answers)]
}

// belowOf gives a node's answers for names below it.
func (x *nameIndex) belowOf(n *indexedNode) []typed {
	first := n.typed + uint32(n.answers)
	return x.typed[first : first+uint32(n.below)]
}

// answer gives the answer of a type, or nil.
func answer(all []typed, kind uint16) *rendered {
	for i := range all {
		if all[i].kind == kind {
			return &all[i].rendered
		}
	}
	return nil
}

func (x *nameIndex) hash(name []byte) uint32 { return uint32(maphash.Bytes(x.seed, name)) }

// find gives the node of a name in wire format and lower case, or nil.
func (x *nameIndex) find(name []byte) *indexedNode {
	hash := x.hash(name)
	mask := uint32(len(x.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := x.slots[i]
		if s.node == 0 {
			return nil
		}
		if s.hash != hash {
			continue
		}
		node := &x.nodes[s.node-1]
		if equal(x.wire[node.name:node.name+uint32(node.length)], name) {
			return node
		}
	}
}

// closest gives the node of a name, or else of its closest encloser (RFC 4592
// section 3.3.1), and how many labels lie below it; nil where no zone has it.
func (x *nameIndex) closest(name *WireName) (node *indexedNode, below int) {
	if name.labels <= x.deepest {
		if node = x.find(name.from(0)); node != nil {
			return node, 0
		}
	}
	for below = max(1, name.labels-x.deepest); below <= name.labels; below++ {
		if node = x.find(name.from(below)); node != nil {
			return node, below
		}
	}
	return nil, 0
}

// newNameIndex renders all that the zone files alone decide.
func newNameIndex(s *Static) *nameIndex {
	total := 0
	for _, zone := range s.sorted {
		total += len(zone.names)
	}
	x := &nameIndex{
		seed:  maphash.MakeSeed(),
		slots: make([]slot, 1<<bits.Len(uint(2*total))),
		nodes: make([]indexedNode, 0, total),
	}
	b := indexBuilder{index: x, table: unpooled(s)}
	for number, zone := range s.sorted {
		for _, name := range zone.names {
			// A zone below answers for its names itself.
			if served, _ := deepest(s.zones, name); served == zone {
				b.add(uint32(number), zone, name)
			}
		}
	}
	x.settle()
	return x
}

// settle gives what was appended bit by bit its final place: the bodies move
// from where they were made into the one piece that the names are in.
func (x *nameIndex) settle() {
	size := len(x.wire)
	for i := range x.typed {
		size += len(x.typed[i].body)
	}
	names := x.wire
	x.wire = make([]byte, 0, size)
	x.typed = slices.Clone(x.typed)
	for i := range x.nodes {
		n := &x.nodes[i]
		name := names[n.name : n.name+uint32(n.length)]
		n.name = uint32(len(x.wire))
		x.wire = append(x.wire, name...)
		for j := n.typed; j < n.typed+uint32(n.answers)+uint32(n.below); j++ {
			start := len(x.wire)
			x.wire = append(x.wire, x.typed[j].body...)
			x.typed[j].body = x.wire[start:len(x.wire):len(x.wire)]
		}
	}
}

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
		t.pools = append(t.pools, &servedPool{definition: one, compiledPool: &compiledPool{ipv4: &family{}, ipv6: &family{}}})
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
		if b.keep(dns.TypeNone, func(uint16) (rendered, bool) { return b.moving(name, dns.TypeA) }) {
			one.below = 1
		}
	} else {
		var partial bool
		one.answers, partial = b.answers(node, func(kind uint16) (rendered, bool) { return b.exact(name, kind) })
		one.flag(isPartial, partial)
	}
	if w := node.Wildcard; w != nil && !node.Delegation && !one.is(hasDNAME) {
		var partial bool
		one.below, partial = b.answers(w, func(kind uint16) (rendered, bool) {
			if b.returns(zone, name, kind) {
				return rendered{}, false
			}
			return b.moving(below(name, 1), kind)
		})
		one.flag(hasWildcard, true)
		one.flag(wildcardIsPartial, partial)
	}
	x.nodes = append(x.nodes, one)
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
func (b *indexBuilder) answers(node *Node, render func(uint16) (rendered, bool)) (count uint16, partial bool) {
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
	a, pool, ok := b.ask(name, kind)
	if !ok {
		return rendered{}, false
	}
	r, ok := b.render(name, &a)
	if ok && pool >= 0 {
		ok = r.drawing(pool)
	}
	return r, ok
}

// moving renders the answer to questions for names that end in a name, of which
// first is the shortest.
func (b *indexBuilder) moving(first string, kind uint16) (rendered, bool) {
	longer := below(first, 1)
	a, pool, ok := b.ask(first, kind)
	if !ok {
		return rendered{}, false
	}
	other, otherPool, ok := b.ask(longer, kind)
	if !ok || pool != otherPool {
		return rendered{}, false
	}
	r, ok := b.render(first, &a)
	if !ok {
		return rendered{}, false
	}
	second, ok := b.render(longer, &other)
	if !ok || !r.movable(&second, labelShift) {
		return rendered{}, false
	}
	if pool >= 0 {
		return r, r.drawing(pool)
	}
	return r, true
}

// returns reports whether the aliases that a wildcard starts, or its services,
// lead to a name that the wildcard stands for as well: whoever asks for that name
// gets another answer than those who ask for others.
func (b *indexBuilder) returns(zone *Zone, encloser string, kind uint16) bool {
	asked := below(encloser, 1)
	a, _, _ := b.ask(asked, kind)
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

// ask asks the table without pools. Where the answer ends in a pool's records,
// it gives the pool's number and one record that stands in for them. It is not
// ok where the answer depends on a serial.
func (b *indexBuilder) ask(name string, kind uint16) (a Answer, pool int, ok bool) {
	l := b.table.follow(Question{Name: name, Type: kind}, nil)
	a = l.answer
	if l.pooled == nil {
		return a, -1, !l.denied
	}
	a.Answer = append(slices.Clip(a.Answer), &dns.A{
		Hdr: dns.RR_Header{Name: l.name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: make([]byte, 4),
	})
	a.Drawn = 1
	return a, slices.Index(b.table.pools, l.pooled), true
}
