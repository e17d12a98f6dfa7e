package geo

import (
	"bytes"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/oschwald/maxminddb-golang/v2"
)

func readTestFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "mmdb", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// makeDatabase writes a database in the MaxMind format. Of networks within each
// other the narrower one counts.
func makeDatabase(t testing.TB, options mmdbwriter.Options, networks map[string]mmdbtype.DataType) []byte {
	t.Helper()
	if options.DatabaseType == "" {
		options.DatabaseType = "Test"
	}
	options.BuildEpoch = 1_780_000_000
	options.IncludeReservedNetworks = true
	tree, err := mmdbwriter.New(options)
	if err != nil {
		t.Fatal(err)
	}
	bits := func(network string) int {
		prefix := netip.MustParsePrefix(network)
		return prefix.Bits() + 128 - prefix.Addr().BitLen()
	}
	for _, network := range slices.SortedFunc(maps.Keys(networks), func(a, b string) int { return bits(a) - bits(b) }) {
		_, parsed, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(parsed, networks[network]); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if _, err := tree.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// cityMap and so on are maps of one database.
func cityMap(t testing.TB, data []byte) *Map {
	t.Helper()
	places, _, err := parsePlaces(data, KindCity)
	if err != nil {
		t.Fatal(err)
	}
	return &Map{city: places}
}

func countryMap(t testing.TB, data []byte) *Map {
	t.Helper()
	places, _, err := parsePlaces(data, KindCountry)
	if err != nil {
		t.Fatal(err)
	}
	return &Map{country: places}
}

func asnTable(t testing.TB, data []byte) *table {
	t.Helper()
	numbers, _, err := parseASNs(data)
	if err != nil {
		t.Fatal(err)
	}
	return numbers
}

// TestDatabasesAgainstReader asks the library, with records decoded by
// reflection, for every network of real databases and for random addresses.
func TestDatabasesAgainstReader(t *testing.T) {
	type wholeRecord struct {
		ASN       uint32 `maxminddb:"autonomous_system_number"`
		Continent struct {
			Code string `maxminddb:"code"`
		} `maxminddb:"continent"`
		Country struct {
			Code string `maxminddb:"iso_code"`
		} `maxminddb:"country"`
		Location struct {
			Latitude  *float64 `maxminddb:"latitude"`
			Longitude *float64 `maxminddb:"longitude"`
		} `maxminddb:"location"`
	}
	r := rand.New(rand.NewPCG(5, 6))
	for _, name := range []string{"GeoLite2-City-Test.mmdb", "GeoLite2-Country-Test.mmdb", "GeoLite2-ASN-Test.mmdb", "small-geo.mmdb"} {
		data := readTestFile(t, name)
		reader, err := maxminddb.OpenBytes(data)
		if err != nil {
			t.Fatal(err)
		}
		m := &Map{}
		if strings.Contains(name, "ASN") || strings.HasPrefix(name, "small") {
			m.asn = asnTable(t, data)
		}
		if !strings.Contains(name, "ASN") {
			m.country = countryMap(t, data).country
		}
		var addresses []netip.Addr
		for result := range reader.Networks() {
			first, last := result.Prefix().Addr(), lastAddress(result.Prefix())
			for _, address := range []netip.Addr{first.Prev(), first, last, last.Next()} {
				if address.IsValid() {
					addresses = append(addresses, address)
				}
			}
		}
		for range 2000 {
			addresses = append(addresses, address4(r.Uint32()), randomAddress(r, addresses, false))
		}
		found := 0
		for _, address := range addresses {
			if address.Is6() && (address.Is4In6() || !address.IsGlobalUnicast() || wideFrom(address.As16()).high>>48 == 0x2002 || wideFrom(address.As16()).high>>32 == 0x2001_0000 || wideFrom(address.As16()).high == 0) {
				continue // aliases of IPv4 in the tree, which are not followed
			}
			var record wholeRecord
			result := reader.Lookup(address)
			if err := result.Decode(&record); err != nil {
				t.Fatal(err)
			}
			want := Place{ASN: record.ASN, Country: record.Country.Code, Continent: record.Continent.Code}
			if m.asn == nil {
				want.ASN = 0
			}
			if l := record.Location; l.Latitude != nil && l.Longitude != nil {
				want.HasCoordinates, want.Latitude, want.Longitude = true, *l.Latitude, *l.Longitude
			}
			want = complete(want)
			got, length := m.Lookup(address)
			if got != want {
				t.Fatalf("%s: %s: %+v, want %+v", name, address, got, want)
			}
			if length > address.BitLen() {
				t.Fatalf("%s: %s: prefix length %d", name, address, length)
			}
			if result.Found() {
				found++
				if length > result.Prefix().Bits() {
					t.Fatalf("%s: %s: prefix length %d, and the database's network is %s", name, address, length, result.Prefix())
				}
			}
		}
		if found < 10 {
			t.Errorf("%s: only %d of %d addresses were found", name, found, len(addresses))
		}
	}
}

func TestKnownPlaces(t *testing.T) {
	m := cityMap(t, readTestFile(t, "GeoLite2-City-Test.mmdb"))
	m.asn = asnTable(t, readTestFile(t, "GeoLite2-ASN-Test.mmdb"))
	for address, want := range map[string]Place{
		"81.2.69.142":        {Country: "GB", Continent: "EU", HasCoordinates: true, Latitude: 51.5142, Longitude: -0.0931},
		"::ffff:81.2.69.142": {Country: "GB", Continent: "EU", HasCoordinates: true, Latitude: 51.5142, Longitude: -0.0931},
		"89.160.20.112":      {Country: "SE", Continent: "EU", ASN: 29518, HasCoordinates: true, Latitude: 58.4167, Longitude: 15.6167},
		"198.51.100.1":       {},
		"fe80::1%eth0":       {},
	} {
		if got, _ := m.Lookup(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %+v, want %+v", address, got, want)
		}
	}
}

// text and number make values for databases.
func text(s string) mmdbtype.DataType    { return mmdbtype.String(s) }
func number(f float64) mmdbtype.DataType { return mmdbtype.Float64(f) }

func TestSchemas(t *testing.T) {
	de := complete(Place{Country: "DE"})
	berlin := Place{Country: "DE", Continent: "EU", HasCoordinates: true, Latitude: 52.5, Longitude: 13.4}
	nested := func(country mmdbtype.Map, rest mmdbtype.Map) mmdbtype.Map {
		m := mmdbtype.Map{"country": country}
		for k, v := range rest {
			m[k] = v
		}
		return m
	}
	code := func(c string) mmdbtype.Map { return mmdbtype.Map{"iso_code": text(c)} }
	tests := []struct {
		name   string
		record mmdbtype.Map
		want   Place
	}{
		{"nested", nested(code("DE"), mmdbtype.Map{"location": mmdbtype.Map{"latitude": number(52.5), "longitude": number(13.4)}}), berlin},
		{"nested, other kinds of number", nested(code("DE"), mmdbtype.Map{"location": mmdbtype.Map{"latitude": mmdbtype.Float32(52.5), "longitude": number(13.4)}}), berlin},
		{"nested, without coordinates", nested(code("DE"), nil), de},
		{"nested, latitude alone", nested(code("DE"), mmdbtype.Map{"location": mmdbtype.Map{"latitude": number(52.5)}}), de},
		{"nested, 0,0", nested(code("DE"), mmdbtype.Map{"location": mmdbtype.Map{"latitude": number(0), "longitude": number(0)}}), de},
		{"0,0 and no country", mmdbtype.Map{"location": mmdbtype.Map{"latitude": number(0), "longitude": number(0)}}, Place{}},
		{"accuracy alone", mmdbtype.Map{"location": mmdbtype.Map{"accuracy_radius": mmdbtype.Uint16(5)}}, Place{}},
		{"on the equator", mmdbtype.Map{"latitude": number(0), "longitude": number(32.5)}, Place{HasCoordinates: true, Longitude: 32.5}},
		{"continent alone", mmdbtype.Map{"continent": mmdbtype.Map{"code": text("AF")}}, Place{Continent: "AF"}},
		{"the continent of the database wins", nested(code("TR"), mmdbtype.Map{"continent": mmdbtype.Map{"code": text("EU")}}), func() Place {
			p := complete(Place{Country: "TR"})
			p.Continent = "EU"
			return p
		}()},
		{"flat", mmdbtype.Map{"country_code": text("DE"), "continent_code": text("EU"), "latitude": number(52.5), "longitude": number(13.4)}, berlin},
		{"flat, coordinates as text", mmdbtype.Map{"country": text("DE"), "lat": text("52.5"), "lng": text("13.4")}, berlin},
		{"flat, names beside codes", mmdbtype.Map{"country": text("Germany"), "country_code": text("DE"), "continent": text("Europe"), "continent_code": text("EU")}, de},
		{"flat, codes without names", mmdbtype.Map{"country": text("DE"), "country_name": text("Germany"), "continent": text("EU"), "continent_name": text("Europe")}, de},
		{"flat, small letters", mmdbtype.Map{"country_code": text("de"), "continent_code": text("eu")}, de},
		{"flat, empty", mmdbtype.Map{"country_code": text(""), "lat": text(""), "lng": text("")}, Place{}},
		{"EU for a country", mmdbtype.Map{"country_code": text("EU")}, Place{Continent: "EU"}},
		{"UK for GB", mmdbtype.Map{"country_code": text("UK")}, complete(Place{Country: "GB"})},
		{"no country", mmdbtype.Map{"country_code": text("ZZ")}, Place{}},
		{"other things", mmdbtype.Map{"names": mmdbtype.Slice{text("x")}, "country_code": text("DE"), "n": mmdbtype.Map{"a": mmdbtype.Map{"b": text("c")}}}, de},
	}
	for _, test := range tests {
		m := countryMap(t, makeDatabase(t, mmdbwriter.Options{}, map[string]mmdbtype.DataType{
			"192.0.2.0/24":  test.record,
			"2001:db8::/32": test.record,
			"10.0.0.0/8":    mmdbtype.Map{"country_code": text("NL")},
		}))
		for _, address := range []string{"192.0.2.77", "2001:db8::77"} {
			if got, _ := m.Lookup(netip.MustParseAddr(address)); got != test.want {
				t.Errorf("%s: %s: %+v, want %+v", test.name, address, got, test.want)
			}
		}
	}
}

func TestASNSchemas(t *testing.T) {
	for name, record := range map[string]mmdbtype.Map{
		"nested":        {"autonomous_system_number": mmdbtype.Uint32(64500), "autonomous_system_organization": text("Example")},
		"16 bits":       {"autonomous_system_number": mmdbtype.Uint16(64500)},
		"64 bits":       {"asn": mmdbtype.Uint64(64500)},
		"text":          {"asn": text("AS64500"), "country": text("DE")},
		"text, digits":  {"asn": text("64500")},
		"text, as":      {"asn": text("as64500")},
		"text and rest": {"asn": text("AS64500"), "as_name": text("Example"), "as_domain": text("example.org")},
	} {
		m := &Map{asn: asnTable(t, makeDatabase(t, mmdbwriter.Options{IPVersion: 4}, map[string]mmdbtype.DataType{"192.0.2.0/24": record}))}
		if got, length := m.Lookup(netip.MustParseAddr("192.0.2.77")); got != (Place{ASN: 64500}) || length != 24 {
			t.Errorf("%s: %+v, %d", name, got, length)
		}
		if got, _ := m.Lookup(netip.MustParseAddr("2001:db8::1")); got.Known() {
			t.Errorf("%s: an IPv4 database knows an IPv6 address: %+v", name, got)
		}
	}
}

func TestRecordsThatAreWrong(t *testing.T) {
	good := mmdbtype.Map{"country_code": text("NL"), "latitude": number(52), "longitude": number(5), "asn": text("AS1")}
	for name, test := range map[string]struct {
		record mmdbtype.DataType
		say    string
	}{
		"no map":            {text("DE"), "expected Map"},
		"country of a kind": {mmdbtype.Map{"country_code": mmdbtype.Uint32(1)}, "country_code"},
		"latitude":          {mmdbtype.Map{"latitude": number(91), "longitude": number(5)}, "-90 to 90"},
		"longitude":         {mmdbtype.Map{"latitude": number(52), "longitude": number(-181)}, "-180 to 180"},
		"NaN":               {mmdbtype.Map{"latitude": number(math.NaN()), "longitude": number(5)}, "latitude"},
		"infinite text":     {mmdbtype.Map{"lat": text("inf"), "lng": number(5)}, "lat"},
		"text":              {mmdbtype.Map{"lat": text("north"), "lng": number(5)}, `"north"`},
		"AS of a kind":      {mmdbtype.Map{"asn": number(5)}, "asn"},
		"AS text":           {mmdbtype.Map{"asn": text("ASX")}, `"ASX"`},
		"AS too large":      {mmdbtype.Map{"asn": mmdbtype.Uint64(1 << 40)}, "32 bits"},
	} {
		data := makeDatabase(t, mmdbwriter.Options{}, map[string]mmdbtype.DataType{"192.0.2.0/24": test.record, "198.51.100.0/24": good})
		_, _, err := parsePlaces(data, KindCity)
		if err == nil || !strings.Contains(err.Error(), test.say) || !strings.Contains(err.Error(), "192.0.2.0/24") {
			t.Errorf("%s: %v, want an error with %q and the network", name, err, test.say)
		}
	}
}

func TestSlots(t *testing.T) {
	for _, test := range []struct {
		file string
		kind Kind
		say  string // empty: it fits
	}{
		{"GeoLite2-City-Test.mmdb", KindCity, ""},
		{"GeoLite2-City-Test.mmdb", KindCountry, ""},
		{"GeoLite2-City-Test.mmdb", KindASN, `"GeoLite2-City" and holds no AS numbers`},
		{"GeoLite2-Country-Test.mmdb", KindCity, "name it as the country database"},
		{"GeoLite2-Country-Test.mmdb", KindCountry, ""},
		{"GeoLite2-Country-Test.mmdb", KindASN, "no AS numbers"},
		{"GeoLite2-ASN-Test.mmdb", KindCity, `"GeoLite2-ASN" and names no countries`},
		{"GeoLite2-ASN-Test.mmdb", KindCountry, "names no countries"},
		{"GeoLite2-ASN-Test.mmdb", KindASN, ""},
		{"MaxMind-DB-test-ipv4-24.mmdb", KindCountry, "names no countries"},
	} {
		var err error
		var database Database
		if test.kind == KindASN {
			_, database, err = parseASNs(readTestFile(t, test.file))
		} else {
			_, database, err = parsePlaces(readTestFile(t, test.file), test.kind)
		}
		switch {
		case test.say == "" && (err != nil || database.Kind != test.kind || database.Entries == 0 || database.Built.Year() < 2020 || database.Type == ""):
			t.Errorf("%s as %s: %+v, %v", test.file, test.kind, database, err)
		case test.say != "" && (err == nil || !strings.Contains(err.Error(), test.say)):
			t.Errorf("%s as %s: %v, want an error with %q", test.file, test.kind, err, test.say)
		}
	}
}

// TestNoIPv4Tree has one network above the place of IPv4 in the tree, whose
// record another network has too.
func TestNoIPv4Tree(t *testing.T) {
	record := mmdbtype.Map{"country_code": text("DE")}
	m := countryMap(t, makeDatabase(t, mmdbwriter.Options{DisableIPv4Aliasing: true}, map[string]mmdbtype.DataType{
		"::/64": record, "2001:db8::/32": record, "2001:db9::/32": mmdbtype.Map{"country_code": text("NL")},
	}))
	for address, want := range map[string]string{"192.0.2.1": "DE", "255.255.255.255": "DE", "2001:db8::1": "DE", "2001:db9::1": "NL", "2001:dba::1": "", "::5:0:0:0": "DE"} {
		if got, length := m.Lookup(netip.MustParseAddr(address)); got.Country != want {
			t.Errorf("%s is in %q (/%d), want %q", address, got.Country, length, want)
		}
	}
}

// TestAliasesAreNotFollowed holds that the copies of the IPv4 tree, for 6to4
// and the like, say nothing.
func TestAliasesAreNotFollowed(t *testing.T) {
	m := countryMap(t, makeDatabase(t, mmdbwriter.Options{}, map[string]mmdbtype.DataType{"81.2.69.0/24": mmdbtype.Map{"country_code": text("GB")}}))
	if got, _ := m.Lookup(netip.MustParseAddr("2002:5102:4501::1")); got.Known() {
		t.Errorf("a 6to4 address: %+v", got)
	}
	if got, length := m.Lookup(netip.MustParseAddr("::ffff:81.2.69.1")); got.Country != "GB" || length != 24 {
		t.Errorf("an IPv4-mapped address: %+v, %d", got, length)
	}
	if got, _ := m.Lookup(netip.MustParseAddr("::81.2.69.1")); got.Known() {
		t.Errorf("an IPv4-compatible address: %+v", got)
	}
}
