package geo

import (
	"math"
	"net/netip"

	"github.com/gaissmai/bart"
)

// maxGroupRanges bounds MaxRanges, so that places in a trie have room in its
// slots whatever the ranges are.
const maxGroupRanges = 1 << 21

// sweep goes once through the ranges of all tables side by side, and asks for
// the group of every combination that is new.
type sweep struct {
	m        *Map
	grouping Grouping
	networks *table

	asns    []uint32          // AS numbers that matter; 0 is the first
	asnOf   map[uint32]uint32 // their places in asns
	records []record          // that are told apart; the first one is empty
	indices map[record]uint32 // their places in records
	joined  map[[2]uint32]uint32
	known   map[sweepKey]uint16
}

// sweepKey is all that a group may depend on: the innermost network of the
// operator, the AS number, the record and the innermost network of the grouping.
type sweepKey struct{ given, asn, record, network uint32 }

func newSweep(m *Map, g Grouping) *sweep {
	if m == nil {
		m = &Map{}
	}
	s := &sweep{
		m: m, grouping: g, networks: flattenNetworks(g.Networks),
		asns: []uint32{0}, asnOf: map[uint32]uint32{0: 0},
		records: []record{{}}, indices: map[record]uint32{{}: 0},
		joined: map[[2]uint32]uint32{}, known: map[sweepKey]uint16{},
	}
	for _, number := range g.ASNs {
		if _, twice := s.asnOf[number]; !twice {
			s.asnOf[number] = uint32(len(s.asns))
			s.asns = append(s.asns, number)
		}
	}
	return s
}

// flattenNetworks gives a table of which of the networks is the innermost; it
// tells which all of them are.
func flattenNetworks(networks []netip.Prefix) *table {
	var nested bart.Table[uint32]
	for i, network := range networks {
		if network = unmapPrefix(network); network.IsValid() {
			nested.Insert(network, uint32(i)+1)
		}
	}
	return flatten(&nested)
}

// ranges calls add with the start and the group of every range of one family,
// neighbours merged; an IPv4 address is its number. The mapped addresses in the
// midst of IPv6 have the group inside64. ok is false if add or Group said so.
func (s *sweep) ranges(ipv6 bool, add func(start wide, group uint16) bool) (ok bool) {
	var (
		given     = cursorOf(s.givenTable(), ipv6, same)
		network   = cursorOf(s.networks, ipv6, same)
		asn       = s.asnCursor(ipv6)
		one, two  = s.placeCursors(ipv6)
		apart     = cursorOf(mappedAddresses(), ipv6, same)
		all       = [...]*cursor{one, two, asn, given, network, apart}
		at        wide
		last      = sweepKey{record: math.MaxUint32} // none
		lastGroup uint16
		before    = -1 // the group before; none
	)
	for {
		key := sweepKey{given.current, asn.current, s.join(one.current, two.current), network.current}
		group := uint16(inside64)
		switch {
		case apart.current != 0:
		case key == last:
			group = lastGroup
		default:
			if group, ok = s.groupOf(key, at, ipv6); !ok {
				return false
			}
			last, lastGroup = key, group
		}
		if int(group) != before {
			if !add(at, group) {
				return false
			}
			before = int(group)
		}
		next, more := maxWide, false
		for _, c := range all {
			if c.more && !next.less(c.next) {
				next, more = c.next, true
			}
		}
		if !more {
			return true
		}
		for _, c := range all {
			if c.more && c.next == next {
				c.step()
			}
		}
		at = next
	}
}

// groupOf gives the group of a key, and asks for it where it is new.
func (s *sweep) groupOf(key sweepKey, at wide, ipv6 bool) (group uint16, ok bool) {
	if group, ok = s.known[key]; ok {
		return group, true
	}
	first := at.address()
	if !ipv6 {
		first = address4(uint32(at.low))
	}
	if group, ok = s.grouping.Group(first, s.place(key)); !ok || group > MaxGroup {
		return 0, false
	}
	s.known[key] = group
	return group, true
}

// place is what Lookup gives, without what does not matter.
func (s *sweep) place(key sweepKey) Place {
	place := s.records[key.record].place()
	place.ASN = s.asns[key.asn]
	if key.given != 0 {
		s.m.given.list[key.given-1].apply(&place)
	}
	if !s.grouping.Countries {
		place.Country, place.Continent = "", ""
	}
	if !s.grouping.Coordinates {
		place.HasCoordinates, place.Latitude, place.Longitude = false, 0, 0
	}
	if _, matters := s.asnOf[place.ASN]; !matters {
		place.ASN = 0
	}
	return place
}

func (s *sweep) givenTable() *table {
	if s.m.given == nil {
		return nil
	}
	return s.m.given.table
}

func (s *sweep) asnCursor(ipv6 bool) *cursor {
	if len(s.asns) == 1 {
		return nothing()
	}
	return cursorOf(s.m.asn, ipv6, func(number uint32) uint32 { return s.asnOf[number] })
}

// placeCursors go through the tables that Lookup asks for places; the second
// one is that of what the first does not know. Their values are indices of
// records.
func (s *sweep) placeCursors(ipv6 bool) (one, two *cursor) {
	m := s.m
	switch {
	case !s.grouping.Countries && !s.grouping.Coordinates:
		return nothing(), nothing()
	case m.city == nil && m.country == nil:
		return s.baseCursor(ipv6), nothing()
	case m.country == nil:
		return s.recordCursor(m.city, ipv6), nothing()
	case m.city == nil:
		return s.recordCursor(m.country, ipv6), nothing()
	}
	return s.recordCursor(m.city, ipv6), s.recordCursor(m.country, ipv6)
}

func (s *sweep) baseCursor(ipv6 bool) *cursor {
	base := s.m.base4
	if ipv6 {
		base = s.m.base6
	}
	indices := make([]uint32, len(countries().rows))
	for i := range indices {
		indices[i] = s.index(countries().record(uint16(i)))
	}
	return cursorOf(base, ipv6, func(country uint32) uint32 { return indices[country] })
}

func (s *sweep) recordCursor(t *placeTable, ipv6 bool) *cursor {
	indices := make([]uint32, len(t.records))
	for i, r := range t.records {
		indices[i] = s.index(r)
	}
	return cursorOf(t.table, ipv6, func(record uint32) uint32 { return indices[record] })
}

// index gives the place of a record, without what does not matter, in records.
func (s *sweep) index(r record) uint32 {
	if !s.grouping.Coordinates {
		r.hasCoordinates, r.latitude, r.longitude = false, 0, 0
	}
	index, known := s.indices[r]
	if !known {
		index = uint32(len(s.records))
		s.indices[r] = index
		s.records = append(s.records, r)
	}
	return index
}

// join is the record of what both tables say.
func (s *sweep) join(one, two uint32) uint32 {
	if two == 0 || s.records[one].country != 0 {
		return one
	}
	key := [2]uint32{one, two}
	index, known := s.joined[key]
	if !known {
		index = s.index(s.records[one].completed(s.records[two]))
		s.joined[key] = index
	}
	return index
}

// cursor goes through the ranges of one family of a table. It skips those
// whose value is that of the range before.
type cursor struct {
	walk    *walk // to the range that next is about
	value   func(uint32) uint32
	current uint32
	// more tells that there is a range with another value, which begins at next.
	more   bool
	next   wide
	coming uint32 // its value
}

// cursorOf begins at the first address; the table may be nil. What the function
// makes of the table's values is the cursor's, 0 of 0.
func cursorOf(t *table, ipv6 bool, value func(uint32) uint32) *cursor {
	c := &cursor{walk: t.walk(ipv6), value: value}
	if c.walk.next() {
		c.current = value(c.walk.value)
	}
	c.seek()
	return c
}

// nothing has the value 0 everywhere.
func nothing() *cursor { return cursorOf(nil, false, same) }

func same(value uint32) uint32 { return value }

// mappedAddresses has the value 1 for the IPv4-mapped addresses.
func mappedAddresses() *table {
	var b builder
	b.put6(wide{}, 0)
	b.put6(mapped, 1)
	b.put6(wide{0, 1 << 48}, 0)
	b.full6 = true
	return b.finish()
}

func (c *cursor) step() {
	c.current = c.coming
	c.seek()
}

// seek finds the next range with another value than the current one.
func (c *cursor) seek() {
	c.more = false
	for c.walk.next() {
		if value := c.value(c.walk.value); value != c.current {
			c.more, c.next, c.coming = true, c.walk.start, value
			return
		}
	}
}
