package geo

import (
	"math"
	"net/netip"
	"unsafe"
)

// Grouping says what of places matters to whoever sorts addresses into groups.
// What does not matter is left zero in the places that Group is called with,
// and is no boundary. Place.Network is always there.
type Grouping struct {
	// Group gives the group, from 0 to MaxGroup, of the addresses that have this
	// place and lie in the same of Networks as first does. It must depend on
	// nothing else, not on the family either, and is called at least once for
	// each such combination. ok false ends the grouping: there is no good one.
	Group func(first netip.Addr, place Place) (group uint16, ok bool)
	// Networks are further boundaries, such as networks that rules name. Host
	// bits are cut off, IPv4-mapped ones are IPv4, invalid ones left out.
	Networks []netip.Prefix
	// ASNs are the AS numbers that matter; all others are left zero.
	ASNs        []uint32
	Countries   bool // country and continent matter
	Coordinates bool
	// MaxRanges is how many ranges of one group there may be, of both families
	// together: with more of them there is no good grouping. At most 2^21.
	MaxRanges int
}

// MaxGroup is the highest number of a group.
const MaxGroup = math.MaxUint16 - 1

// Groups sorts all addresses into groups. Neighbours of one group are merged,
// so that a look-up reads a few places of memory. It is immutable.
type Groups struct {
	ipv4 trie[uint32]
	ipv6 trie[uint64]
	// deep holds the /64 networks for which ipv6 says inside64.
	deep   deep[uint16]
	ranges int
}

// inside64 stands for a group in the IPv6 trie, and for that of the
// IPv4-mapped addresses, which are looked up as IPv4.
const inside64 = math.MaxUint16

// Group sorts all addresses into groups. ok is false if there are more than
// g.MaxRanges ranges, or g.Group said so. It takes about as long as reading
// all ranges of the map once.
func (m *Map) Group(g Grouping) (groups *Groups, ok bool) {
	s := newSweep(m, g)
	// All is gone through twice, so that nothing has to grow.
	var count [2]int
	left := min(g.MaxRanges, maxGroupRanges)
	for family := range count {
		if !s.ranges(family == 1, func(wide, uint16) bool {
			count[family]++
			left--
			return left >= 0
		}) {
			return nil, false
		}
	}
	steps4 := steps[uint32]{make([]uint32, 0, count[0]), make([]uint16, 0, count[0])}
	s.ranges(false, func(start wide, group uint16) bool {
		steps4.put(uint32(start.low), group)
		return true
	})
	steps6 := steps[uint64]{make([]uint64, 0, count[1]+1), make([]uint16, 0, count[1]+1)}
	cut := deepener[uint16]{put: steps6.put, inside: func(start uint64) { steps6.put(start, inside64) }}
	s.ranges(true, func(start wide, group uint16) bool {
		cut.add(start, group)
		return true
	})
	cut.finish()
	groups = &Groups{
		deep:   deep[uint16]{exactly(cut.starts), exactly(cut.values)},
		ranges: count[0] + count[1] - 1, // one is of the mapped addresses
	}
	least := 1
	if single := cut.value; count == [2]int{1, 3} && cut.values[0] == single && steps4.groups[0] == single {
		steps6 = steps[uint64]{[]uint64{0}, []uint16{single}}
		groups.ranges, groups.deep = 1, deep[uint16]{}
		least = 0
	}
	groups.ipv4 = newTrie(steps4, least)
	groups.ipv6 = newTrie(steps6, least)
	return groups, true
}

// Lookup gives the group of an address, and the length of the widest prefix
// around it that lies within one range of its group, in the address's own
// family: 1 to 32 or 1 to 128. No prefix of an IPv6 address reaches into the
// IPv4-mapped ones. Where all addresses of both families are of one group the
// length is 0. IPv4-mapped addresses are looked up and counted as IPv4; zones
// are ignored. The address must be valid.
func (g *Groups) Lookup(address netip.Addr) (group uint16, bits int) {
	if address.Is4() {
		return g.ipv4.lookup(number4(address))
	}
	whole := wideFrom(address.As16())
	if whole.high == 0 && whole.low>>32 == 0xffff {
		return g.ipv4.lookup(uint32(whole.low))
	}
	group, bits = g.ipv6.lookup(whole.high)
	if group == inside64 {
		return g.deep.lookup(whole)
	}
	return group, bits
}

// Ranges is how many ranges of one group there are.
func (g *Groups) Ranges() int { return g.ranges }

// Size is the memory that the groups take, in bytes.
func (g *Groups) Size() int {
	return int(unsafe.Sizeof(*g)) + g.ipv4.size() + g.ipv6.size() +
		cap(g.deep.starts)*int(unsafe.Sizeof(wide{})) + cap(g.deep.values)*2
}
