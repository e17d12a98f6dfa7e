package geo

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"mirrorpool/testdraw"
)

// reduced is a place without what does not matter to a grouping.
func reduced(g Grouping, p Place) Place {
	if !g.Countries {
		p.Country, p.Continent = "", ""
	}
	if !g.Coordinates {
		p.HasCoordinates, p.Latitude, p.Longitude = false, 0, 0
	}
	if !slices.Contains(g.ASNs, p.ASN) {
		p.ASN = 0
	}
	return p
}

// holding lists which of the networks hold an address.
func holding(g Grouping, address netip.Addr) string {
	var list []string
	for _, network := range g.Networks {
		if network = unmapPrefix(network); network.IsValid() && network.Contains(address.Unmap()) {
			list = append(list, network.String())
		}
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), " ")
}

// randomGrouping sorts by the place and the networks, into few groups or many.
func randomGrouping(r *rand.Rand, networks []netip.Prefix, numbers []uint32) Grouping {
	g := Grouping{Countries: r.IntN(4) > 0, Coordinates: r.IntN(3) == 0, MaxRanges: 1 << 20}
	for _, network := range networks {
		if r.IntN(3) == 0 {
			g.Networks = append(g.Networks, network)
		}
	}
	for _, number := range numbers {
		if r.IntN(3) == 0 {
			g.ASNs = append(g.ASNs, number)
		}
	}
	modulus := []uint32{1, 2, 3, 7, 60000}[r.IntN(5)]
	g.Group = func(first netip.Addr, place Place) (uint16, bool) {
		hash := fnv.New32()
		fmt.Fprint(hash, place, holding(g, first))
		return uint16(hash.Sum32() % modulus), true
	}
	return g
}

// mapsToGroup are maps of all kinds with overrides, and where their boundaries are.
func mapsToGroup(t *testing.T, r *rand.Rand, base *table) (maps map[string]*Map, boundaries []netip.Addr) {
	t.Helper()
	prefixes := randomPrefixes(r, 1+r.IntN(60))
	var list []override
	var databases [2]map[string]mmdbtype.DataType
	for i := range databases {
		databases[i] = map[string]mmdbtype.DataType{
			"192.0.2.0/24": mmdbtype.Map{"country_code": text("DE"), "latitude": number(50), "longitude": number(10)},
		}
	}
	numbers := map[string]mmdbtype.DataType{"192.0.2.0/25": mmdbtype.Map{"asn": mmdbtype.Uint32(1)}}
	for i, prefix := range prefixes {
		record := mmdbtype.Map{}
		if r.IntN(2) == 0 {
			record["country_code"] = text(countries().rows[1+r.IntN(20)].code)
		}
		if r.IntN(2) == 0 {
			record["continent_code"] = text(continents[1+r.IntN(7)])
		}
		if r.IntN(2) == 0 {
			record["latitude"], record["longitude"] = number(float64(i+1)), number(1)
		}
		switch r.IntN(5) {
		case 0, 1:
			databases[0][prefix.String()] = record
		case 2:
			databases[1][prefix.String()] = record
		case 3:
			numbers[prefix.String()] = mmdbtype.Map{"asn": mmdbtype.Uint32(1 + r.Uint32N(5))}
		default:
			o := randomOverride(r, prefix, i)
			o.place.ASN %= 7
			list = append(list, o)
		}
	}
	options := mmdbwriter.Options{DisableIPv4Aliasing: true}
	city := cityMap(t, makeDatabase(t, options, databases[0])).city
	country := countryMap(t, makeDatabase(t, options, databases[1])).country
	asns := asnTable(t, makeDatabase(t, options, numbers))
	given := newOverrides(list)
	boundaries = boundariesOf(prefixes)
	for _, address := range []string{"::", "::fffe:ffff:ffff", "::1:0:0:0", "::1:0:0:1", "255.255.255.255", "ffff::", "2001:db8::1"} {
		boundaries = append(boundaries, netip.MustParseAddr(address))
	}
	return map[string]*Map{
		"nil": nil, "nothing": {}, "overrides alone": {given: given},
		"country table":    {base4: base, base6: base, asn: asns, given: given},
		"city":             {city: city, asn: asns, given: given},
		"country":          {country: country, given: given},
		"city and country": {city: city, country: country, asn: asns, given: given},
	}, boundaries
}

// TestGroups holds groups against the places and networks of single addresses.
func TestGroups(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	embedded, _, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	for round := range testdraw.Cases(t, 8) {
		base := randomCountryTable(t, r)
		if round%10 == 0 {
			base = embedded.base4
		}
		all, boundaries := mapsToGroup(t, r, base)
		for name, m := range all {
			var networks []netip.Prefix
			for _, b := range boundaries {
				networks = append(networks, netip.PrefixFrom(b, r.IntN(b.BitLen()+1)))
			}
			g := randomGrouping(r, networks, []uint32{1, 2, 3, 4, 5, 6, 0})
			cuts := append(boundariesOf(g.Networks), boundaries...)
			groups, ok := m.Group(g)
			if !ok {
				t.Fatalf("%s: no groups", name)
			}
			groupOf := func(a netip.Addr) uint16 {
				place, _ := m.Lookup(a)
				group, _ := g.Group(a, reduced(g, place))
				return group
			}
			for range 150 {
				checkGroup(t, r, name, groups, groupOf, randomAddress(r, cuts, r.IntN(2) == 0), cuts)
			}
		}
	}
}

func checkGroup(t *testing.T, r *rand.Rand, name string, groups *Groups, groupOf func(netip.Addr) uint16, address netip.Addr, cuts []netip.Addr) {
	t.Helper()
	group, length := groups.Lookup(address)
	address = address.Unmap()
	if want := groupOf(address); group != want {
		t.Fatalf("%s: %s is in group %d, want %d", name, address, group, want)
	}
	if length == 0 {
		if groups.Ranges() != 1 {
			t.Fatalf("%s: %s has length 0 of %d ranges", name, address, groups.Ranges())
		}
		return
	}
	if length < 0 || length > address.BitLen() {
		t.Fatalf("%s: %s has length %d", name, address, length)
	}
	different := func(prefix netip.Prefix) bool {
		return slices.ContainsFunc(within(r, prefix, cuts), func(a netip.Addr) bool { return !a.Is4In6() && groupOf(a) != group })
	}
	prefix := netip.PrefixFrom(address, length)
	if prefix.Addr().Is6() && contains6(prefix, netip.MustParseAddr("::ffff:1.2.3.4")) {
		t.Fatalf("%s: %s has prefix %s, in which there are IPv4-mapped addresses", name, address, prefix)
	}
	if different(prefix) {
		t.Fatalf("%s: %s is in group %d and has prefix %s, in which there are others", name, address, group, prefix)
	}
	for _, other := range within(r, prefix, cuts) {
		if got, _ := groups.Lookup(other); !other.Is4In6() && got != group {
			t.Fatalf("%s: %s is in group %d and has prefix %s, in which %s is in group %d", name, address, group, prefix, other, got)
		}
	}
}

// TestGroupsAreWide asks that every prefix is the widest that there is.
func TestGroupsAreWide(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 24))
	for range testdraw.Cases(t, 6) {
		g := Grouping{Networks: randomPrefixes(r, 1+r.IntN(2000)), MaxRanges: 1 << 20}
		g.Group = func(first netip.Addr, _ Place) (uint16, bool) {
			return uint16(len(holding(g, first)) % 3), true
		}
		groups, ok := (*Map)(nil).Group(g)
		if !ok {
			t.Fatal("no groups")
		}
		list := boundariesOf(g.Networks)
		for range 40 {
			address := randomAddress(r, list, r.IntN(2) == 0).Unmap()
			group, length := groups.Lookup(address)
			if length <= 1 {
				continue
			}
			wider := netip.PrefixFrom(address, length-1)
			if wider.Addr().Is6() && contains6(wider, netip.MustParseAddr("::ffff:0.0.0.0")) {
				continue
			}
			if !slices.ContainsFunc(within(r, wider, list), func(a netip.Addr) bool {
				other, _ := g.Group(a, Place{})
				return other != group
			}) {
				t.Fatalf("%s has length %d, and %s would do", address, length, wider)
			}
		}
	}
}

// TestGroupingEnds holds the bound on ranges, and that Group may end it all.
func TestGroupingEnds(t *testing.T) {
	networks := map[netip.Prefix]Place{}
	for i := range uint32(100) {
		networks[netip.PrefixFrom(address4(i<<24), 9)] = Place{Country: "DE"}
	}
	m := NewMap(networks)
	g := Grouping{Countries: true, MaxRanges: 1000}
	calls := 0
	g.Group = func(_ netip.Addr, p Place) (uint16, bool) {
		calls++
		return countries().index(p.Country), true
	}
	// Two for each network, and three around and of the mapped addresses.
	for most, want := range map[int]bool{0: false, 1: false, 202: false, 203: true, 1 << 30: true} {
		g.MaxRanges = most
		groups, ok := m.Group(g)
		if ok != want || ok && groups.Ranges() != 202 {
			t.Errorf("at most %d ranges: got %v, %+v", most, ok, groups)
		}
	}
	if calls > 5*101 {
		t.Errorf("Group was called %d times", calls)
	}
	g.MaxRanges = 1000
	for name, group := range map[string]func(netip.Addr, Place) (uint16, bool){
		"refused":             func(_ netip.Addr, p Place) (uint16, bool) { return 0, p.Country == "" },
		"too high":            func(_ netip.Addr, p Place) (uint16, bool) { return MaxGroup + 1, true },
		"refused for nobody":  func(_ netip.Addr, p Place) (uint16, bool) { return 0, p.Country != "" },
		"too high for nobody": func(_ netip.Addr, p Place) (uint16, bool) { return MaxGroup + 1, p.Country == "" },
	} {
		g.Group = group
		if groups, ok := m.Group(g); ok || groups != nil {
			t.Errorf("%s: there are groups", name)
		}
	}
	g.Group = func(_ netip.Addr, p Place) (uint16, bool) { return MaxGroup, true }
	groups, ok := m.Group(g)
	if !ok {
		t.Fatal("no groups")
	}
	for _, address := range []string{"1.2.3.4", "::1", "::ffff:1.2.3.4", "ffff::"} {
		if group, length := groups.Lookup(netip.MustParseAddr(address)); group != MaxGroup || length != 0 {
			t.Errorf("%s: group %d, %d bits", address, group, length)
		}
	}
}

// TestGroupsBesideTheMapped has one group before the mapped addresses and another
// one behind them, so that no range of IPv6 begins or ends anywhere else.
func TestGroupsBesideTheMapped(t *testing.T) {
	g := Grouping{MaxRanges: 10, Networks: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}
	for length := 81; length <= 96; length++ {
		first := wide{low: uint64(0xffff<<(97-length)&0xffff) << 32}
		g.Networks = append(g.Networks, netip.PrefixFrom(first.address(), length))
	}
	for _, inIPv4 := range []uint16{0, 1, 2} {
		g.Group = func(first netip.Addr, _ Place) (uint16, bool) {
			switch holding(g, first) {
			case "":
				return 0, true
			case "0.0.0.0/0":
				return inIPv4, true
			}
			return 1, true
		}
		groups, ok := (*Map)(nil).Group(g)
		if !ok {
			t.Fatal("no groups")
		}
		for address, want := range map[string]struct {
			group  uint16
			length int
		}{
			"::": {1, 81}, "::fffe:ffff:ffff": {1, 96}, "::1:0:0:0": {0, 80}, "1::": {0, 16}, "ffff::": {0, 1},
			"::ffff:1.2.3.4": {inIPv4, 1}, "1.2.3.4": {inIPv4, 1},
		} {
			if group, length := groups.Lookup(netip.MustParseAddr(address)); group != want.group || length != want.length {
				t.Errorf("IPv4 in %d: %s: group %d, %d bits, want %+v", inIPv4, address, group, length, want)
			}
		}
	}
}

// TestGroupsOfDenseRanges fills every kind of node: networks of all lengths, side
// by side and within each other, down to single addresses.
func TestGroupsOfDenseRanges(t *testing.T) {
	r := rand.New(rand.NewPCG(25, 26))
	var networks []netip.Prefix
	for i := range uint32(1 << 13) {
		networks = append(networks,
			netip.PrefixFrom(address4(0x7f00_0000|i), 32), // every other of them
			netip.PrefixFrom(wide{0x2001_0db8_0000_0000 | uint64(i)<<20, 0}.address(), 40+int(i%60)).Masked(),
			netip.PrefixFrom(address4(r.Uint32()), 1+r.IntN(32)).Masked(),
		)
	}
	g := Grouping{Networks: networks, MaxRanges: 1 << 20}
	sizes := map[netip.Prefix]uint16{}
	for i, network := range networks {
		sizes[network] = uint16(i % 3)
	}
	g.Group = func(first netip.Addr, _ Place) (uint16, bool) {
		for length := first.BitLen(); length >= 0; length-- {
			if group, ok := sizes[netip.PrefixFrom(first, length).Masked()]; ok {
				return group, true
			}
		}
		return 3, true
	}
	groups, ok := (*Map)(nil).Group(g)
	if !ok {
		t.Fatal("no groups")
	}
	boundaries := boundariesOf(networks)
	for range 5_000 {
		address := randomAddress(r, boundaries, r.IntN(2) == 0).Unmap()
		group, length := groups.Lookup(address)
		if want, _ := g.Group(address, Place{}); group != want {
			t.Fatalf("%s is in group %d, want %d", address, group, want)
		}
		scope := netip.PrefixFrom(address, length)
		for _, other := range within(r, scope, nil) {
			if got, otherLength := groups.Lookup(other); got != group || otherLength != length {
				t.Fatalf("%s: group %d, %d bits; %s: group %d, %d bits", address, group, length, other, got, otherLength)
			}
		}
	}
}

func TestGroupsAllocateNothing(t *testing.T) {
	m, _, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	groups, _ := m.Group(Grouping{Countries: true, MaxRanges: 1 << 20, Group: func(_ netip.Addr, p Place) (uint16, bool) {
		return countries().index(p.Country) % 5, true
	}})
	addresses := []netip.Addr{
		netip.MustParseAddr("81.2.69.142"), netip.MustParseAddr("2001:218::1"), netip.MustParseAddr("::1"),
		netip.MustParseAddr("::ffff:8.8.8.8"), netip.MustParseAddr("fe80::1%eth0"),
	}
	if n := testing.AllocsPerRun(200, func() {
		for _, address := range addresses {
			groups.Lookup(address)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
