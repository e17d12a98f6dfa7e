package geo

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// prefixesOf are the boundaries of a set of prefixes: their first addresses,
// and those behind them.
func boundariesOf(prefixes []netip.Prefix) []netip.Addr {
	var list []netip.Addr
	for _, prefix := range prefixes {
		list = append(list, prefix.Addr())
		if next := lastAddress(prefix).Next(); next.IsValid() {
			list = append(list, next)
		}
	}
	return list
}

// randomPrefixes lie within each other often.
func randomPrefixes(r *rand.Rand, n int) []netip.Prefix {
	seen := map[netip.Prefix]bool{}
	var list []netip.Prefix
	for len(list) < n {
		var address netip.Addr
		switch r.IntN(3) {
		case 0:
			address = address4(r.Uint32())
		case 1:
			address = wide{0x2001_0db8_0000_0000 | r.Uint64()>>r.IntN(64), r.Uint64()}.address()
		default:
			if len(list) == 0 {
				continue
			}
			parent := list[r.IntN(len(list))]
			address = within(r, parent, nil)[r.IntN(10)]
		}
		prefix := netip.PrefixFrom(address, r.IntN(address.BitLen()+1)).Masked()
		if !seen[prefix] && !prefix.Addr().Is4In6() {
			seen[prefix] = true
			list = append(list, prefix)
		}
	}
	return list
}

// TestLookupProperty holds for maps of all kinds that every address in a
// result's prefix has an equal place.
func TestLookupProperty(t *testing.T) {
	embedded, _, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	city := cityMap(t, readTestFile(t, "GeoLite2-City-Test.mmdb")).city
	country := countryMap(t, readTestFile(t, "GeoLite2-Country-Test.mmdb")).country
	numbers := asnTable(t, readTestFile(t, "GeoLite2-ASN-Test.mmdb"))
	r := rand.New(rand.NewPCG(9, 10))
	for range 12 {
		prefixes := randomPrefixes(r, 1+r.IntN(60))
		boundaries := boundariesOf(prefixes)
		// Networks beside and within those of the databases.
		for _, s := range []string{"81.2.69.128/26", "81.2.69.144/30", "2001:218::/34", "8.8.8.8/32", "2a02:cf80::/30", "89.160.20.0/24", "2001:1700::/27", "0.0.0.0/0", "::/0"} {
			prefix := netip.MustParsePrefix(s)
			if !slices.Contains(prefixes, prefix) && r.IntN(3) > 0 {
				prefixes = append(prefixes, prefix)
				boundaries = append(boundaries, boundariesOf(prefixes[len(prefixes)-1:])...)
			}
		}
		var list []override
		for i, prefix := range prefixes {
			list = append(list, randomOverride(r, prefix, i))
		}
		given := newOverrides(list)
		for _, address := range []string{"81.2.69.142", "89.160.20.112", "67.43.156.1", "2001:218::1", "2a02:cf80::1", "::fffe:ffff:ffff", "::1:0:0:0", "1.128.0.0"} {
			boundaries = append(boundaries, netip.MustParseAddr(address))
		}
		for name, m := range map[string]*Map{
			"overrides alone":  {given: given},
			"embedded":         embedded,
			"embedded and all": {base4: embedded.base4, base6: embedded.base6, asn: numbers, given: given},
			"city":             {city: city, given: given},
			"city and country": {city: city, country: country, asn: numbers, given: given},
			"nothing":          {},
		} {
			for range 300 {
				address := randomAddress(r, boundaries, r.IntN(2) == 0)
				checkResult(t, r, name, m, address, boundaries)
			}
		}
	}
}

// randomOverride gives any subset of the fields.
func randomOverride(r *rand.Rand, prefix netip.Prefix, i int) override {
	o := override{place: Place{Network: prefix}}
	if r.IntN(2) == 0 {
		o.hasASN, o.place.ASN = true, uint32(i+1)
	}
	if r.IntN(3) == 0 {
		o.place.Continent = continents[1+r.IntN(7)]
	}
	if r.IntN(3) == 0 {
		o.place.HasCoordinates, o.place.Latitude = true, float64(i)
	}
	if r.IntN(2) == 0 {
		o.hasPlace, o.place.Country = true, countries().rows[1+r.IntN(250)].code
		o.place = complete(o.place)
	}
	return o
}

func checkResult(t *testing.T, r *rand.Rand, name string, m *Map, address netip.Addr, boundaries []netip.Addr) {
	t.Helper()
	place, length := m.Lookup(address)
	if address.Is4In6() {
		address = address.Unmap()
	}
	if length < 0 || length > address.BitLen() {
		t.Fatalf("%s: %s: prefix length %d", name, address, length)
	}
	if place.HasCoordinates && place.Latitude == 0 && place.Longitude == 0 && !place.Network.IsValid() {
		t.Fatalf("%s: %s lies at 0,0: %+v", name, address, place)
	}
	prefix := netip.PrefixFrom(address, length)
	mappedOnes := []netip.Addr{netip.MustParseAddr("::ffff:0:0"), netip.MustParseAddr("::ffff:81.2.69.142")}
	for _, other := range append(within(r, prefix, boundaries), mappedOnes...) {
		if !prefix.Masked().Contains(other) && !(prefix.Addr().Is6() && other.Is4In6() && contains6(prefix, other)) {
			continue
		}
		if other.Is4In6() && prefix.Addr().Is6() {
			t.Fatalf("%s: %s has prefix %s, in which the IPv4-mapped %s lies", name, address, prefix, other)
		}
		if got, _ := m.Lookup(other); got != place {
			t.Fatalf("%s: %s is at %+v with prefix %s, in which %s is at %+v", name, address, place, prefix, other, got)
		}
	}
}

// contains6 looks at the bits alone; netip keeps IPv4-mapped addresses out of
// prefixes.
func contains6(prefix netip.Prefix, address netip.Addr) bool {
	return wideFrom(prefix.Addr().As16()).common(wideFrom(address.As16())) >= prefix.Bits()
}

// TestOverridesAreNoNarrowerThanNeeded asks that the next wider prefix is cut
// by a boundary of a network, or reaches the IPv4-mapped addresses.
func TestOverridesAreNoNarrowerThanNeeded(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for range 50 {
		prefixes := randomPrefixes(r, 1+r.IntN(40))
		networks := map[netip.Prefix]Place{}
		for _, prefix := range prefixes {
			networks[prefix] = Place{ASN: 1}
		}
		m := NewMap(networks)
		boundaries := boundariesOf(prefixes)
		for range 300 {
			address := randomAddress(r, boundaries, r.IntN(2) == 0)
			if address.Is4In6() {
				continue
			}
			place, length := m.Lookup(address)
			var want netip.Prefix
			for _, prefix := range prefixes {
				if prefix.Contains(address) && (!want.IsValid() || prefix.Bits() > want.Bits()) {
					want = prefix
				}
			}
			if place.Network != want {
				t.Fatalf("%s lies in %s, want %s", address, place.Network, want)
			}
			if length == 0 {
				continue
			}
			wider := netip.PrefixFrom(address, length-1).Masked()
			cut := slices.ContainsFunc(boundaries, func(b netip.Addr) bool { return wider.Contains(b) && b != wider.Addr() })
			if !cut && !(address.Is6() && contains6(wider, netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff}))) {
				t.Fatalf("%s has prefix length %d, and %s would do", address, length, wider)
			}
		}
	}
}

func TestNewMap(t *testing.T) {
	p := netip.MustParsePrefix
	m := NewMap(map[netip.Prefix]Place{
		p("10.0.0.0/8"):             {Country: "DE"},
		p("10.1.2.3/16"):            {Country: "NL", ASN: 64500},
		p("10.1.128.0/17"):          {},
		p("::ffff:192.0.2.0/120"):   {Country: "FR"},
		p("2001:db8::/32"):          {Continent: "AS"},
		{}:                          {Country: "US"},
		p("2001:db8:0:1::/64"):      {HasCoordinates: true, Latitude: 1, Longitude: 2},
		netip.PrefixFrom(addr0, 99): {Country: "US"},
	})
	de, nl, fr := complete(Place{Country: "DE"}), complete(Place{Country: "NL", ASN: 64500}), complete(Place{Country: "FR"})
	at := func(place Place, network string) Place {
		place.Network = p(network)
		return place
	}
	for address, want := range map[string]struct {
		place  Place
		length int
	}{
		"10.9.0.0":           {at(de, "10.0.0.0/8"), 13},
		"10.0.0.0":           {at(de, "10.0.0.0/8"), 16},
		"10.255.255.255":     {at(de, "10.0.0.0/8"), 9},
		"10.1.0.0":           {at(nl, "10.1.0.0/16"), 17},
		"10.1.200.0":         {at(Place{}, "10.1.128.0/17"), 17},
		"11.0.0.0":           {Place{}, 8},
		"192.0.2.9":          {at(fr, "192.0.2.0/24"), 24},
		"::ffff:192.0.2.9":   {at(fr, "192.0.2.0/24"), 24},
		"192.0.3.9":          {Place{}, 24},
		"255.0.0.0":          {Place{}, 3},
		"2001:db8::1%eth0":   {at(Place{Continent: "AS"}, "2001:db8::/32"), 64},
		"2001:db8:0:1::":     {at(Place{HasCoordinates: true, Latitude: 1, Longitude: 2}, "2001:db8:0:1::/64"), 64},
		"2001:db8:8000::":    {at(Place{Continent: "AS"}, "2001:db8::/32"), 33},
		"::":                 {Place{}, 81},
		"4000::":             {Place{}, 2},
		"::ffff:0:10.9.0.0":  {Place{}, 65},
		"::fffe:0:0":         {Place{}, 96},
		"2001:db8:0:2::ffff": {at(Place{Continent: "AS"}, "2001:db8::/32"), 63},
	} {
		place, length := m.Lookup(netip.MustParseAddr(address))
		if place != want.place || length != want.length {
			t.Errorf("%s: %+v /%d, want %+v /%d", address, place, length, want.place, want.length)
		}
	}
}

var addr0 = netip.IPv4Unspecified()

func TestLookupOfNothing(t *testing.T) {
	var none *Map
	for _, m := range []*Map{none, {}, NewMap(nil)} {
		if place, length := m.Lookup(netip.Addr{}); place.Known() || length != 0 {
			t.Errorf("the invalid address: %+v, %d", place, length)
		}
		if place, length := m.Lookup(netip.MustParseAddr("192.0.2.1")); place.Known() || length != 0 {
			t.Errorf("192.0.2.1: %+v, %d", place, length)
		}
		if place, _ := m.Lookup(netip.MustParseAddr("2001:db8::1")); place.Known() {
			t.Errorf("2001:db8::1: %+v", place)
		}
	}
}

// TestCityAndCountry holds that the country database is asked for what the
// city database does not know.
func TestCityAndCountry(t *testing.T) {
	city := cityMap(t, readTestFile(t, "GeoLite2-City-Test.mmdb")).city
	country := countryMap(t, readTestFile(t, "small-geo.mmdb")).country
	m := &Map{city: city, country: country}
	for address, want := range map[string]string{"81.2.69.142": "GB", "10.1.2.3": "DE", "127.0.0.11": "FR", "2001:db8:2::1": "US", "203.0.113.1": ""} {
		place, _ := m.Lookup(netip.MustParseAddr(address))
		if place.Country != want {
			t.Errorf("%s is in %q, want %q", address, place.Country, want)
		}
	}
}

// TestCompletedPlaces holds what each of the two gives.
func TestCompletedPlaces(t *testing.T) {
	spot := mmdbtype.Map{"latitude": number(52.5), "longitude": number(13.25)}
	city := cityMap(t, makeDatabase(t, mmdbwriter.Options{}, map[string]mmdbtype.DataType{
		"10.0.0.0/24": mmdbtype.Map{"latitude": number(52.5), "longitude": number(13.25)},
		"10.0.1.0/24": mmdbtype.Map{"continent_code": text("AS")},
		"10.0.2.0/24": mmdbtype.Map{"continent_code": text("AS"), "location": spot},
		"10.0.3.0/24": mmdbtype.Map{"country_code": text("FR")},
		"10.0.4.0/24": mmdbtype.Map{"location": spot},
		"10.0.5.0/24": mmdbtype.Map{"continent_code": text("AS")},
	})).city
	country := countryMap(t, makeDatabase(t, mmdbwriter.Options{}, map[string]mmdbtype.DataType{
		"10.0.0.0/22": mmdbtype.Map{"country_code": text("DE")},
		"10.0.4.0/22": mmdbtype.Map{"continent_code": text("EU"), "latitude": number(1), "longitude": number(2)},
		"10.0.8.0/24": mmdbtype.Map{"country_code": text("NL")},
	})).country
	m := &Map{city: city, country: country}
	de := complete(Place{Country: "DE"})
	near := Place{HasCoordinates: true, Latitude: 52.5, Longitude: 13.25}
	with := func(place Place, country, continent string) Place {
		place.Country, place.Continent = country, continent
		return place
	}
	for address, want := range map[string]Place{
		"10.0.0.1": with(near, "DE", "EU"),
		"10.0.1.1": de,
		"10.0.2.1": with(near, "DE", "EU"),
		"10.0.3.1": complete(Place{Country: "FR"}),
		"10.0.4.1": with(near, "", "EU"),
		"10.0.5.1": {Continent: "AS", HasCoordinates: true, Latitude: 1, Longitude: 2},
		"10.0.6.1": {Continent: "EU", HasCoordinates: true, Latitude: 1, Longitude: 2},
		"10.0.8.1": complete(Place{Country: "NL"}),
		"10.0.9.1": {},
	} {
		if got, _ := m.Lookup(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %+v, want %+v", address, got, want)
		}
	}
}

// TestLookupPropertyOfTwoDatabases has networks of the one within those of the
// other, both ways, so that either may cut the prefix of a result.
func TestLookupPropertyOfTwoDatabases(t *testing.T) {
	r := rand.New(rand.NewPCG(19, 20))
	for range 20 {
		prefixes := randomPrefixes(r, 40)
		boundaries := boundariesOf(prefixes)
		networks := [2]map[string]mmdbtype.DataType{
			{"192.0.2.0/24": mmdbtype.Map{"country_code": text("DE"), "latitude": number(50), "longitude": number(10)}},
			{"192.0.2.0/24": mmdbtype.Map{"country_code": text("DE")}},
		}
		for i, prefix := range prefixes {
			record := mmdbtype.Map{}
			if r.IntN(2) == 0 {
				record["country_code"] = text(countries().rows[1+r.IntN(250)].code)
			}
			if r.IntN(2) == 0 {
				record["continent_code"] = text(continents[1+r.IntN(7)])
			}
			if r.IntN(2) == 0 {
				record["latitude"], record["longitude"] = number(float64(i+1)), number(1)
			}
			networks[r.IntN(2)][prefix.String()] = record
		}
		m := &Map{
			city:    cityMap(t, makeDatabase(t, mmdbwriter.Options{DisableIPv4Aliasing: true}, networks[0])).city,
			country: countryMap(t, makeDatabase(t, mmdbwriter.Options{DisableIPv4Aliasing: true}, networks[1])).country,
		}
		for range 300 {
			checkResult(t, r, "two databases", m, randomAddress(r, boundaries, r.IntN(2) == 0), boundaries)
		}
	}
}

// maps that the benchmarks and the test of allocations look into.
func mapsToMeasure(t testing.TB) map[string]*Map {
	t.Helper()
	embedded, _, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	networks := map[netip.Prefix]Place{}
	for _, prefix := range randomPrefixes(rand.New(rand.NewPCG(13, 14)), 1000) {
		networks[prefix] = Place{Country: "DE"}
	}
	overridden := NewMap(networks)
	overridden.base4, overridden.base6 = embedded.base4, embedded.base6
	data := readTestFile(t, "GeoLite2-City-Test.mmdb")
	return map[string]*Map{
		"embedded":                    embedded,
		"overrides":                   NewMap(networks),
		"overrides over the embedded": overridden,
		"city and AS":                 {city: cityMap(t, data).city, asn: asnTable(t, readTestFile(t, "GeoLite2-ASN-Test.mmdb"))},
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	addresses := []netip.Addr{
		netip.MustParseAddr("81.2.69.142"), netip.MustParseAddr("2001:218::1"),
		netip.MustParseAddr("::ffff:8.8.8.8"), netip.MustParseAddr("fe80::1%eth0"),
	}
	for name, m := range mapsToMeasure(t) {
		if n := testing.AllocsPerRun(200, func() {
			for _, address := range addresses {
				m.Lookup(address)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	measured := mapsToMeasure(b)
	r := rand.New(rand.NewPCG(15, 16))
	addresses4, addresses6 := make([]netip.Addr, 4096), make([]netip.Addr, 4096)
	for i := range addresses4 {
		addresses4[i] = address4(r.Uint32())
		addresses6[i] = wide{0x2000_0000_0000_0000 | r.Uint64()>>3, r.Uint64()}.address()
	}
	for _, name := range slices.Sorted(maps.Keys(measured)) {
		m := measured[name]
		for family, addresses := range map[string][]netip.Addr{"IPv4": addresses4, "IPv6": addresses6} {
			b.Run(name+"/"+family, func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					m.Lookup(addresses[i&4095])
					i++
				}
			})
		}
	}
}

func BenchmarkEmbedded(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Embedded(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkInstalled reads the text of tor-geoipdb.
func BenchmarkInstalled(b *testing.B) {
	data, err := os.ReadFile("/usr/share/tor/geoip6")
	if err != nil {
		b.Skip(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseCountryText(data, true); err != nil {
			b.Fatal(err)
		}
	}
}
