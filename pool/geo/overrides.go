package geo

import (
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
)

// override is what the operator says of one network.
type override struct {
	// place holds what was given, with Network. Where hasPlace is true, what
	// was not given of country, continent and coordinates is filled in, and
	// no database is asked for it.
	place    Place
	hasPlace bool // the country was given
	hasASN   bool
}

// apply lays what was given over what the databases say.
func (o *override) apply(p *Place) {
	p.Network = o.place.Network
	if o.hasASN {
		p.ASN = o.place.ASN
	}
	if o.hasPlace {
		p.Country, p.Continent = o.place.Country, o.place.Continent
		p.HasCoordinates = o.place.HasCoordinates
		p.Latitude, p.Longitude = o.place.Latitude, o.place.Longitude
		return
	}
	if o.place.Continent != "" && o.place.Continent != p.Continent {
		// A country of another continent is wrong, and so is where it lies.
		p.Continent, p.Country = o.place.Continent, ""
		p.HasCoordinates, p.Latitude, p.Longitude = false, 0, 0
	}
	if o.place.HasCoordinates {
		p.HasCoordinates = true
		p.Latitude, p.Longitude = o.place.Latitude, o.place.Longitude
	}
}

// overrides are the operator's networks, cut into ranges: of networks within
// networks the innermost counts. It is immutable.
type overrides struct {
	list  []override
	table *table // values are 1 + index into list
}

// newOverrides takes networks with distinct, masked prefixes.
func newOverrides(list []override) *overrides {
	var nested bart.Table[uint32]
	for i := range list {
		nested.Insert(list[i].place.Network, uint32(i)+1)
	}
	return &overrides{list: list, table: flatten(&nested)}
}

// lookup gives the innermost network around the address, nil if there is
// none, and the length of the widest prefix that no boundary of any network
// cuts.
func (o *overrides) lookup(k key) (*override, int) {
	value, length := o.table.lookup(k)
	if value == 0 {
		return nil, length
	}
	return &o.list[value-1], length
}

// flatten cuts nested networks into ranges: within a range no network begins
// or ends, so that the innermost one of its first address is that of all.
func flatten(nested *bart.Table[uint32]) *table {
	var points4, points6 []netip.Addr
	for prefix := range nested.All() {
		points := &points6
		if prefix.Addr().Is4() {
			points = &points4
		}
		*points = append(*points, prefix.Addr())
		if after := lastAddress(prefix).Next(); after.IsValid() {
			*points = append(*points, after)
		}
	}
	var b builder
	for _, points := range [][]netip.Addr{points4, points6} {
		slices.SortFunc(points, netip.Addr.Compare)
		points = slices.Compact(points)
		for i, first := range points {
			last := lastAddress(netip.PrefixFrom(first, 0))
			if i+1 < len(points) {
				last = points[i+1].Prev()
			}
			value, _ := nested.Lookup(first)
			b.addRange(first, last, value)
		}
	}
	return b.finish()
}

// unmapPrefix writes an IPv4-mapped prefix as IPv4, and cuts off host bits;
// the zero Prefix if that cannot be done.
func unmapPrefix(prefix netip.Prefix) netip.Prefix {
	if prefix.IsValid() && prefix.Addr().Is4In6() {
		if prefix.Bits() < 96 {
			return netip.Prefix{}
		}
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked()
}
