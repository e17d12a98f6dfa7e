package geo

import "net/netip"

// Map tells where addresses are. It is immutable. A nil Map knows nothing.
type Map struct {
	// given are the operator's networks.
	given *overrides
	// city and country are databases in the MaxMind format; either may be nil.
	city, country *placeTable
	asn           *table // values are AS numbers; may be nil
	// base4 and base6 are used where there are neither city nor country: the
	// country tables of IPv4 and IPv6, which may be one. They may be nil.
	base4, base6 *table
}

// NewMap makes a map of the given networks alone, as if they were the
// operator's overrides: the longest match wins, Place.Network becomes the
// prefix, and the continent and rough coordinates follow from the country
// where they are missing. Host bits are cut off, invalid prefixes left out.
func NewMap(networks map[netip.Prefix]Place) *Map {
	list := make([]override, 0, len(networks))
	for prefix, place := range networks {
		if place.Network = unmapPrefix(prefix); !place.Network.IsValid() {
			continue
		}
		list = append(list, override{
			place: complete(place), hasASN: true, hasPlace: true,
		})
	}
	return &Map{given: newOverrides(list)}
}

// Lookup gives the place of an address, and the length of the prefix around
// it in which every address has that same place, in the address's own family:
// 0 to 32 for IPv4, 0 to 128 for IPv6. IPv4-mapped addresses are looked up
// and counted as IPv4; zones are ignored. The place may be the unknown one.
// The invalid address has the unknown place and length 0.
func (m *Map) Lookup(address netip.Addr) (Place, int) {
	if m == nil || !address.IsValid() {
		return Place{}, 0
	}
	k := keyOf(address)
	var (
		place  Place
		length int
		given  *override
	)
	if m.given != nil {
		given, length = m.given.lookup(k)
	}
	if given == nil || !given.hasPlace {
		p, n := m.lookupPlace(k)
		place, length = p, max(length, n)
	}
	if m.asn != nil && (given == nil || !given.hasASN) {
		number, n := m.asn.lookup(k)
		place.ASN, length = number, max(length, n)
	}
	if given != nil {
		given.apply(&place)
	}
	if !k.is4 {
		// The IPv4-mapped addresses lie in the middle of the IPv6 ones.
		length = max(length, k.wide.common(mapped)+1)
	}
	return place, length
}

// lookupPlace gives what city and country say. Where the city database names
// no country, what it does not know is taken from the country database.
func (m *Map) lookupPlace(k key) (Place, int) {
	switch {
	case m.city == nil && m.country == nil:
		return m.lookupBase(k)
	case m.country == nil:
		r, length := m.city.lookup(k)
		return r.place(), length
	case m.city == nil:
		r, length := m.country.lookup(k)
		return r.place(), length
	}
	r, length := m.city.lookup(k)
	if r.country == 0 {
		other, n := m.country.lookup(k)
		length = max(length, n)
		r = r.completed(other)
	}
	return r.place(), length
}

func (m *Map) lookupBase(k key) (Place, int) {
	base := m.base6
	if k.is4 {
		base = m.base4
	}
	if base == nil {
		return Place{}, 0
	}
	index, length := base.lookup(k)
	return countries().place(uint16(index)), length
}
