package geo

import (
	"encoding/binary"
	"math"
	"net/netip"
	"testing"
)

// FuzzDatabase reads any bytes as a database in the MaxMind format: reading ends,
// whatever they are, and what was taken for a database answers for every address
// within its bounds.
func FuzzDatabase(f *testing.F) {
	f.Add(readTestFile(f, "small-geo.mmdb"), uint64(1))
	f.Add(readTestFile(f, "MaxMind-DB-test-ipv4-24.mmdb"), uint64(2))
	f.Add(readTestFile(f, "MaxMind-DB-no-ipv4-search-tree.mmdb"), uint64(3))
	f.Add([]byte("\xab\xcd\xefMaxMind.com\xe0"), uint64(4))
	f.Add([]byte{}, uint64(5))
	f.Fuzz(func(t *testing.T, data []byte, client uint64) {
		var addresses [2]netip.Addr
		var bytes [16]byte
		binary.BigEndian.PutUint64(bytes[:], client)
		addresses[0] = netip.AddrFrom16(bytes)
		addresses[1] = netip.AddrFrom4([4]byte(bytes[4:]))
		for _, kind := range []Kind{KindCity, KindCountry} {
			places, database, err := parsePlaces(data, kind)
			if err != nil {
				if places != nil {
					t.Fatalf("a database and the error %v", err)
				}
				continue
			}
			if database.Kind != kind || database.Entries < 1 || database.Built.Before(earliestBuild) || database.Built.After(latestBuild) {
				t.Fatalf("the database is %+v", database)
			}
			checkPlaces(t, &Map{country: places}, addresses[:])
		}
		if numbers, _, err := parseASNs(data); err == nil {
			checkPlaces(t, &Map{asn: numbers}, addresses[:])
		} else if numbers != nil {
			t.Fatalf("a database and the error %v", err)
		}
	})
}

// checkPlaces holds that places are places, and that their prefixes are of the
// address that was asked for.
func checkPlaces(t *testing.T, m *Map, addresses []netip.Addr) {
	t.Helper()
	for _, address := range addresses {
		place, bits := m.Lookup(address)
		if bits < 0 || bits > address.BitLen() {
			t.Fatalf("%s: a prefix of %d bits", address, bits)
		}
		if place.Country != "" && len(place.Country) != 2 {
			t.Fatalf("%s: the country %q", address, place.Country)
		}
		if place.HasCoordinates && (math.Abs(place.Latitude) > 90 || math.Abs(place.Longitude) > 180) {
			t.Fatalf("%s: coordinates %v, %v", address, place.Latitude, place.Longitude)
		}
		// Both ends of the prefix get the same.
		prefix, err := address.Prefix(bits)
		if err != nil {
			t.Fatal(err)
		}
		for _, end := range []netip.Addr{prefix.Addr(), lastAddress(prefix)} {
			if end.Is4In6() {
				continue // is of the other family
			}
			if other, _ := m.Lookup(end); other != place {
				t.Fatalf("%s in %s is at %+v, and %s at %+v", address, prefix, place, end, other)
			}
		}
	}
}
