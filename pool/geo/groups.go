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
	// nothing else, and is called at least once for each such combination. ok
	// false ends the grouping: there is no good one.
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
	// deep holds those /64 networks whole of which not all addresses have one
	// group; for them ipv6 says inside64. Each begins with its first address.
	deepStarts []wide
	deepGroups []uint16
	ranges     int
}

// inside64 stands for a group in the IPv6 trie, and for that of the
// IPv4-mapped addresses, which are looked up as IPv4.
const inside64 = math.MaxUint16

// Group sorts all addresses into groups. ok is false if there are more than
// g.MaxRanges ranges, or g.Group said so. It takes about as long as reading
// all ranges of the map once.
func (m *Map) Group(g Grouping) (groups *Groups, ok bool) {
	s := newSweep(m, g)
	ranges4, ok := s.ranges(false)
	if !ok {
		return nil, false
	}
	ranges6, ok := s.ranges(true)
	if !ok {
		return nil, false
	}
	groups = &Groups{ranges: len(ranges4) + len(ranges6)}
	// The mapped addresses cut every other group of IPv6 in two or three.
	least := 1
	if first := ranges4[0].group; len(ranges4) == 1 && len(ranges6) == 3 && ranges6[0].group == first && ranges6[2].group == first {
		least = 0
		ranges6 = ranges6[:1]
		groups.ranges = 1
	}
	steps4 := make([]step, len(ranges4))
	for i, r := range ranges4 {
		steps4[i] = step{r.start.low << 32, r.group}
	}
	groups.ipv4 = newTrie[uint32](steps4, least)
	groups.ipv6 = newTrie[uint64](groups.steps6(ranges6), least)
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
		return g.ipv4.lookup(uint64(number4(address)) << 32)
	}
	whole := wideFrom(address.As16())
	if whole.high == 0 && whole.low>>32 == 0xffff {
		return g.ipv4.lookup(whole.low << 32)
	}
	group, bits = g.ipv6.lookup(whole.high)
	if group == inside64 {
		return g.lookupDeep(whole)
	}
	return group, bits
}

// lookupDeep looks into a /64 network. There is a boundary in it, so that what
// lies before and behind it cannot be nearer to the address.
func (g *Groups) lookupDeep(address wide) (group uint16, bits int) {
	i := last6(g.deepStarts, address)
	if i > 0 {
		bits = address.common(g.deepStarts[i].previous()) + 1
	}
	if i+1 < len(g.deepStarts) {
		bits = max(bits, address.common(g.deepStarts[i+1])+1)
	}
	return g.deepGroups[i], bits
}

// Ranges is how many ranges of one group there are.
func (g *Groups) Ranges() int { return g.ranges }

// Size is the memory that the groups take, in bytes.
func (g *Groups) Size() int {
	return int(unsafe.Sizeof(*g)) + g.ipv4.size() + g.ipv6.size() +
		cap(g.deepStarts)*int(unsafe.Sizeof(wide{})) + cap(g.deepGroups)*2
}

// steps6 cuts the ranges to whole /64 networks and fills deep with the rest.
func (g *Groups) steps6(ranges []groupRange) []step {
	var steps []step
	put := func(key uint64, group uint16) {
		if n := len(steps); n > 0 && steps[n-1].key == key {
			steps[n-1].group = group
			return
		}
		steps = append(steps, step{key, group})
	}
	for i, r := range ranges {
		if r.start.low == 0 {
			put(r.start.high, r.group)
			continue
		}
		before := ranges[i-1] // the first range begins at ::
		if before.start.high != r.start.high || before.start.low == 0 {
			g.deepStarts = append(g.deepStarts, wide{high: r.start.high})
			g.deepGroups = append(g.deepGroups, before.group)
		}
		g.deepStarts = append(g.deepStarts, r.start)
		g.deepGroups = append(g.deepGroups, r.group)
		put(r.start.high, inside64)
		// What is left of the range begins with the next /64, unless another
		// range begins there or before.
		if r.start.high != math.MaxUint64 && (i+1 == len(ranges) || ranges[i+1].start.high > r.start.high) {
			put(r.start.high+1, r.group)
		}
	}
	return steps
}
