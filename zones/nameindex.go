package zones

import (
	"hash/maphash"
	"math/bits"
	"slices"
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
	// links are the proofs of nodes in signed zones; nil: this is not the index of
	// signed answers.
	links []nodeLinks
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

// find gives the number of the node of a name in wire format and lower case; -1:
// there is none.
func (x *nameIndex) find(name []byte) int {
	hash := x.hash(name)
	mask := uint32(len(x.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := x.slots[i]
		if s.node == 0 {
			return -1
		}
		if s.hash != hash {
			continue
		}
		node := &x.nodes[s.node-1]
		if equal(x.wire[node.name:node.name+uint32(node.length)], name) {
			return int(s.node - 1)
		}
	}
}

// closest gives the number of the node of a name, or else of its closest encloser
// (RFC 4592 section 3.3.1), and how many labels lie below it; -1 where no zone has
// it.
func (x *nameIndex) closest(name *WireName) (number, below int) {
	if name.labels <= x.deepest {
		if number = x.find(name.from(0)); number >= 0 {
			return number, 0
		}
	}
	for below = max(1, name.labels-x.deepest); below <= name.labels; below++ {
		if number = x.find(name.from(below)); number >= 0 {
			return number, below
		}
	}
	return -1, 0
}

// newNameIndex renders all that the zone files alone decide.
func newNameIndex(s *Static) *nameIndex { return indexOf(&indexBuilder{table: unpooled(s)}) }

// indexOf renders what the table of a builder answers.
func indexOf(b *indexBuilder) *nameIndex {
	s := b.table.static
	total := 0
	for _, zone := range s.sorted {
		total += len(zone.names)
	}
	x := &nameIndex{
		seed:  maphash.MakeSeed(),
		slots: make([]slot, 1<<bits.Len(uint(2*total))),
		nodes: make([]indexedNode, 0, total),
	}
	if b.index = x; b.signed {
		x.links = make([]nodeLinks, 0, total)
	}
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
