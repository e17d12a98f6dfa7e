package main

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oschwald/maxminddb-golang/v2"
)

// few are divisions like the real ones, with some thousand networks.
func few() []division {
	return []division{
		{whole: netip.MustParsePrefix("0.0.0.0/0"), shortest: 10, longest: 16, split: 0.5},
		{whole: netip.MustParsePrefix("2000::/3"), shortest: 12, longest: 33, split: 0.4},
	}
}

func list(t *testing.T, divisions []division) []network {
	t.Helper()
	var found []network
	if err := networks(divisions, func(n network) error {
		found = append(found, n)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// The networks of a division follow one another without gap or overlap.
func TestNetworks(t *testing.T) {
	all := list(t, divisions())
	// The notes of the peers tell how many there are.
	const four, six = 159_022, 137_234
	if len(all) != four+six {
		t.Fatalf("%d networks, want %d", len(all), four+six)
	}
	for i, found := range [][]network{all[:four], all[four:]} {
		d := divisions()[i]
		next := d.whole.Addr()
		for _, n := range found {
			for _, left := range embedding() {
				if left.Contains(next) {
					next = after(left)
				}
			}
			if n.prefix.Addr() != next || n.prefix.Masked() != n.prefix {
				t.Fatalf("%v follows what ends before %v: a gap or an overlap", n.prefix, next)
			}
			if n.prefix.Bits() < d.shortest || n.prefix.Bits() > d.longest {
				t.Errorf("%v: want a length of %d to %d", n.prefix, d.shortest, d.longest)
			}
			next = after(n.prefix)
		}
		if want := after(d.whole); next != want {
			t.Errorf("the last network ends before %v, want %v", next, want)
		}
	}
}

// after is the first address after a prefix, invalid after the last of all.
func after(prefix netip.Prefix) netip.Addr {
	bytes := prefix.Addr().AsSlice()
	for bit := prefix.Bits(); bit < prefix.Addr().BitLen(); bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last.Next()
}

func TestDatabase(t *testing.T) {
	var first, second bytes.Buffer
	for _, w := range []io.Writer{&first, &second} {
		if err := writeDatabase(w, few()); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two runs wrote different databases")
	}
	database, err := maxminddb.OpenBytes(first.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if database.Metadata.DatabaseType != "GeoLite2-City" || database.Metadata.IPVersion != 6 {
		t.Errorf("metadata %+v, want a city database for IPv6", database.Metadata)
	}
	type city struct {
		Continent struct {
			Code string `maxminddb:"code"`
		} `maxminddb:"continent"`
		Country struct {
			Code string `maxminddb:"iso_code"`
		} `maxminddb:"country"`
		City struct {
			Names map[string]string `maxminddb:"names"`
		} `maxminddb:"city"`
		Location struct {
			Latitude  float64 `maxminddb:"latitude"`
			Longitude float64 `maxminddb:"longitude"`
		} `maxminddb:"location"`
	}
	for _, n := range list(t, few()) {
		var got city
		result := database.Lookup(n.prefix.Addr())
		if err := result.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if result.Prefix() != n.prefix {
			t.Fatalf("%v is found as %v", n.prefix, result.Prefix())
		}
		if got.Continent.Code != n.place.country.continent || got.Country.Code != n.place.country.code || got.City.Names["en"] != n.place.city ||
			got.Location.Latitude != n.place.latitude || got.Location.Longitude != n.place.longitude {
			t.Fatalf("%v: got %+v, want %+v", n.prefix, got, n.place)
		}
	}
}

func TestPlacesAreOnEarth(t *testing.T) {
	for _, p := range newPlaces(rand.New(rand.NewPCG(1, 2))) {
		if p.latitude < -90 || p.latitude > 90 || p.longitude < -180 || p.longitude > 180 {
			t.Errorf("%+v is not on Earth", p)
		}
	}
}

func TestKnotSubnets(t *testing.T) {
	var text strings.Builder
	if err := writeKnotSubnets(&text, few(), "name.test", []string{"192.0.2.1,192.0.2.2,2001:db8::1", "192.0.2.3,2001:db8::3,2001:db8::4"}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	if lines[0] != "name.test:" {
		t.Errorf("it starts with %q, want the owner name", lines[0])
	}
	views := lines[1:]
	seen := map[string]int{}
	for i, n := range list(t, few()) {
		if want := "  - net: " + n.prefix.String(); views[3*i] != want {
			t.Fatalf("view %d starts with %q, want %q", i, views[3*i], want)
		}
		seen[views[3*i+1]+"\n"+views[3*i+2]]++
	}
	if len(seen) != 2 || seen["    A: [192.0.2.1, 192.0.2.2]\n    AAAA: [2001:db8::1]"] < 100 || seen["    A: [192.0.2.3]\n    AAAA: [2001:db8::3, 2001:db8::4]"] < 100 {
		t.Errorf("answers %v: want both, many times", seen)
	}
}

func TestRunWritesWholeFilesAlone(t *testing.T) {
	directory := t.TempDir()
	name := filepath.Join(directory, "file")
	if err := replace(name, func(w io.Writer) error { _, err := io.WriteString(w, "whole"); return err }); err != nil {
		t.Fatal(err)
	}
	failure := errors.New("no more")
	if err := replace(name, func(w io.Writer) error { _, _ = io.WriteString(w, "half"); return failure }); !errors.Is(err, failure) {
		t.Errorf("a write that fails: %v, want %v", err, failure)
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != "whole" {
		t.Errorf("after a write that failed the file has %q, %v; want what it had", text, err)
	}
	for _, c := range []struct{ format, pools, want string }{
		{"csv", "", `unknown -format "csv"`},
		{"knot-subnets", "", "needs -pools"},
	} {
		if err := run(c.format, name, "name.test", c.pools); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("run(%q): %v, want %q", c.format, err, c.want)
		}
	}
	if err := run("mmdb", filepath.Join(directory, "missing", "file"), "", ""); err == nil {
		t.Error("a directory that is not there: no error")
	}
	if entries, err := os.ReadDir(directory); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v; want the file alone", entries, err)
	}
}
