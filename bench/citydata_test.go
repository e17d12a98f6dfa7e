//go:build linux

package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/oschwald/maxminddb-golang/v2"
)

// TestCityDatabaseIsReadAsOne reads an invented database with the library of
// those who make the format.
func TestCityDatabaseIsReadAsOne(t *testing.T) {
	file := filepath.Join(t.TempDir(), "city.mmdb")
	small := cityOptions{cities: 55, split4: 0.8, split6: 0.7, longest4: 16, longest6: 20, seed: 7}
	if err := writeCityDatabase(file, small); err != nil {
		t.Fatal(err)
	}
	db, err := maxminddb.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Verify(); err != nil {
		t.Fatal(err)
	}
	networks, cities := 0, map[string]bool{}
	for result := range db.Networks() {
		var record struct {
			City struct {
				Names map[string]string `maxminddb:"names"`
			} `maxminddb:"city"`
			Continent struct {
				Code string `maxminddb:"code"`
			} `maxminddb:"continent"`
			Country struct {
				ISO string `maxminddb:"iso_code"`
			} `maxminddb:"country"`
			Location struct {
				Latitude  *float64 `maxminddb:"latitude"`
				Longitude *float64 `maxminddb:"longitude"`
			} `maxminddb:"location"`
		}
		if err := result.Decode(&record); err != nil {
			t.Fatal(err)
		}
		if len(record.Country.ISO) != 2 || len(record.Continent.Code) != 2 || record.Location.Latitude == nil || record.Location.Longitude == nil {
			t.Fatalf("%s has no whole place: %+v", result.Prefix(), record)
		}
		networks++
		cities[record.City.Names["en"]] = true
	}
	if networks < 500 || len(cities) != 55 {
		t.Errorf("%d networks in %d cities, expected more", networks, len(cities))
	}
	for address, known := range map[string]bool{
		"127.0.0.1": false, "10.1.2.3": false, "240.0.0.1": false, "8.8.8.8": true, "223.1.1.1": true,
		"2001:db8::1": true, "fe80::1": false, "4000::1": false,
	} {
		if got := db.Lookup(netip.MustParseAddr(address)).Found(); got != known {
			t.Errorf("%s is found: %v, expected %v", address, got, known)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Size() < 50_000 {
		t.Errorf("the file is too small: %v, %v", info, err)
	}
}
