package geo

import (
	"bytes"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// put writes a file as careful people do, by renaming, at the given minute:
// files of one size that follow each other fast are told apart by it.
func put(t *testing.T, path string, data []byte, minute int) {
	t.Helper()
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 7, 1, 0, minute, 0, 0, time.UTC)
	if err := os.Chtimes(path+".new", at, at); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// mustRefresh refreshes and says what was expected of it; say is empty where
// no error is.
func mustRefresh(t *testing.T, s *Source, changed bool, say string) {
	t.Helper()
	got, err := s.Refresh()
	if got != changed {
		t.Errorf("Refresh reports changed %v, want %v (%v)", got, changed, err)
	}
	if say == "" && err != nil || say != "" && (err == nil || !strings.Contains(err.Error(), say)) {
		t.Errorf("Refresh reports %v, want %q", err, say)
	}
}

func mustCountry(t *testing.T, s *Source, address, want string) {
	t.Helper()
	if place, _ := s.Map().Lookup(netip.MustParseAddr(address)); place.Country != want {
		t.Errorf("%s is in %q, want %q", address, place.Country, want)
	}
}

func kinds(databases []Database) string {
	var list []string
	for _, d := range databases {
		list = append(list, string(d.Kind)+" "+filepath.Base(d.Path)+" "+d.Families)
	}
	return strings.Join(list, "; ")
}

func TestOpenWithoutFiles(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "geoip")
	s, err := Open(Config{InstalledIPv4: missing, InstalledIPv6: missing})
	if err != nil {
		t.Fatal(err)
	}
	mustCountry(t, s, "8.8.8.8", "US")
	mustRefresh(t, s, false, "")
	if got := kinds(s.Description()); got != "country . IPv4, IPv6" {
		t.Errorf("it is made of %s", got)
	}
	// What is handed out is the caller's.
	s.Description()[0].Licence = "none"
	if s.Description()[0].Licence != "CC BY-SA 4.0" {
		t.Error("the description can be written from outside")
	}
}

func TestOpenIsStrict(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	put(t, path("short.mmdb"), readTestFile(t, "GeoLite2-City-Test.mmdb")[:9000], 1)
	put(t, path("empty.mmdb"), nil, 1)
	put(t, path("asn.mmdb"), readTestFile(t, "GeoLite2-ASN-Test.mmdb"), 1)
	put(t, path("nets.json"), []byte("{\n \"10.0.0.1/8\": \"DE\"\n}"), 1)
	for _, test := range []struct {
		config Config
		say    []string
	}{
		{Config{City: path("none.mmdb")}, []string{"the city database", path("none.mmdb"), "no such file"}},
		{Config{City: path("short.mmdb")}, []string{"the city database", path("short.mmdb"), "put a whole file"}},
		{Config{Country: path("empty.mmdb")}, []string{"the country database", path("empty.mmdb")}},
		{Config{Country: dir}, []string{dir, "no regular file"}},
		{Config{Country: "/dev/zero"}, []string{"/dev/zero", "no regular file"}},
		{Config{City: path("asn.mmdb")}, []string{path("asn.mmdb"), "no city database"}},
		{Config{Overrides: path("nets.json")}, []string{path("nets.json") + ":2:2: error: ", `expected "10.0.0.0/8"`}},
		{Config{City: path("none.mmdb"), ASN: path("short.mmdb"), Overrides: path("nets.json")}, []string{"none.mmdb", "short.mmdb", "nets.json:2:2"}},
	} {
		_, err := Open(test.config)
		if err == nil {
			t.Errorf("%+v was opened", test.config)
			continue
		}
		for _, words := range test.say {
			if !strings.Contains(err.Error(), words) {
				t.Errorf("%+v: %v\nwant %q in it", test.config, err, words)
			}
		}
	}
	if _, err := Open(Config{City: path("none.mmdb")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the reason is lost: %v", err)
	}
	var all *OverridesError
	if _, err := Open(Config{Overrides: path("nets.json")}); !errors.As(err, &all) || all.Problems[0].Line != 2 {
		t.Errorf("the problems are lost: %v", err)
	}
}

func TestRefreshOfDatabases(t *testing.T) {
	dir := t.TempDir()
	config := Config{City: filepath.Join(dir, "city.mmdb"), ASN: filepath.Join(dir, "asn.mmdb"), Overrides: filepath.Join(dir, "nets.json")}
	city, small := readTestFile(t, "GeoLite2-City-Test.mmdb"), readTestFile(t, "small-geo.mmdb")
	put(t, config.City, city, 1)
	put(t, config.ASN, readTestFile(t, "GeoLite2-ASN-Test.mmdb"), 1)
	put(t, config.Overrides, []byte(`{"198.51.100.0/24": "DE"}`), 1)
	s, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	if got := kinds(s.Description()); got != "city city.mmdb IPv4, IPv6; asn asn.mmdb IPv4, IPv6; overrides nets.json " {
		t.Errorf("it is made of %s", got)
	}
	mustCountry(t, s, "81.2.69.142", "GB")
	mustCountry(t, s, "10.1.0.1", "")
	mustCountry(t, s, "8.8.8.8", "") // the program's own table is not used
	mustCountry(t, s, "198.51.100.1", "DE")
	first := s.Map()
	mustRefresh(t, s, false, "")
	if s.Map() != first {
		t.Error("the map was made anew without a reason")
	}

	put(t, config.City, small, 2)
	mustRefresh(t, s, true, "")
	mustCountry(t, s, "10.1.0.1", "DE")
	mustCountry(t, s, "81.2.69.142", "")
	if place, _ := first.Lookup(netip.MustParseAddr("81.2.69.142")); place.Country != "GB" {
		t.Error("a map that was handed out has changed")
	}

	// Cut short in place, under the map that is in use.
	if err := os.Truncate(config.City, 900); err != nil {
		t.Fatal(err)
	}
	second := s.Map()
	mustRefresh(t, s, false, config.City)
	mustRefresh(t, s, false, config.City) // as long as it is so
	if s.Map() != second {
		t.Error("the map was made anew of a file that is cut short")
	}
	mustCountry(t, s, "10.1.0.1", "DE")

	// One that fails does not hold up another one.
	put(t, config.Overrides, []byte(`{"198.51.100.0/24": "NL"}`), 3)
	mustRefresh(t, s, true, config.City)
	mustCountry(t, s, "198.51.100.1", "NL")
	mustCountry(t, s, "10.1.0.1", "DE")

	// Written in place, byte by byte as it were, with the same inode.
	if err := os.WriteFile(config.City, city, 0o600); err != nil {
		t.Fatal(err)
	}
	mustRefresh(t, s, true, "")
	mustCountry(t, s, "81.2.69.142", "GB")

	// The size and the time are the same, the file is another one.
	put(t, config.Overrides, []byte(`{"198.51.100.0/24": "FR"}`), 3)
	mustRefresh(t, s, true, "")
	mustCountry(t, s, "198.51.100.1", "FR")

	if err := os.Rename(config.City, config.City+".away"); err != nil {
		t.Fatal(err)
	}
	mustRefresh(t, s, false, config.City)
	mustCountry(t, s, "81.2.69.142", "GB")
	if err := os.Rename(config.City+".away", config.City); err != nil {
		t.Fatal(err)
	}
	mustRefresh(t, s, false, "")

	put(t, config.Overrides, []byte(`{"198.51.100.0/24": "FR"`), 4)
	mustRefresh(t, s, false, config.Overrides+":1:25: error: ")
	put(t, config.Overrides, []byte(`{}`), 5)
	mustRefresh(t, s, true, "")
	mustCountry(t, s, "198.51.100.1", "")
}

// installedText makes both files with a date.
func installedText(day, country string) (ipv4, ipv6 []byte) {
	head := "# Generated: " + day + " 04:33:59 GMT\n# License:   CC BY-SA 4.0\n"
	return []byte(head + "134744064,134744319," + country + "\n134744320,134744575,??\n"),
		[]byte(head + "2001:db8::,2001:db8:ffff:ffff:ffff:ffff:ffff:ffff," + country + "\n2001:db9::,2001:db9::1,??\n")
}

func TestInstalled(t *testing.T) {
	dir := t.TempDir()
	config := Config{InstalledIPv4: filepath.Join(dir, "geoip"), InstalledIPv6: filepath.Join(dir, "geoip6")}
	own := measure{generated: time.Date(2026, 6, 25, 4, 33, 59, 0, time.UTC), entries: 2}
	const older, same, newer, newest = "Wed, 24 Jun 2026", "Thu, 25 Jun 2026", "Fri, 26 Jun 2026", "Sat, 27 Jun 2026"
	old4, old6 := installedText(older, "FR")
	same4, _ := installedText(same, "FR")
	new4, new6 := installedText(newer, "NL")
	newest4, newest6 := installedText(newest, "IT")

	put(t, config.InstalledIPv4, old4, 1)
	put(t, config.InstalledIPv6, old6, 1)
	s, err := open(config, nil, own, own)
	if err != nil {
		t.Fatal(err)
	}
	const ip4, ip6 = "8.8.8.8", "2001:db8::1"
	mustCountry(t, s, ip4, "US")
	mustCountry(t, s, ip6, "")
	if got := kinds(s.Description()); got != "country . IPv4, IPv6" {
		t.Errorf("it is made of %s", got)
	}
	put(t, config.InstalledIPv4, same4, 2)
	mustRefresh(t, s, false, "")
	mustCountry(t, s, ip4, "US")

	put(t, config.InstalledIPv4, new4, 3)
	mustRefresh(t, s, true, "")
	mustCountry(t, s, ip4, "NL")
	mustCountry(t, s, ip6, "")
	if got := kinds(s.Description()); got != "country geoip IPv4; country . IPv6" {
		t.Errorf("it is made of %s", got)
	}
	put(t, config.InstalledIPv6, new6, 3)
	mustRefresh(t, s, true, "")
	mustCountry(t, s, ip6, "NL")
	databases := s.Description()
	if got := kinds(databases); got != "country geoip IPv4; country geoip6 IPv6" {
		t.Errorf("it is made of %s", got)
	}
	if d := databases[0]; d.Entries != 2 || d.Licence != "CC BY-SA 4.0" || !d.Built.Equal(time.Date(2026, 6, 26, 4, 33, 59, 0, time.UTC)) {
		t.Errorf("the installed table is described as %+v", d)
	}

	put(t, config.InstalledIPv4, newest4[:len(newest4)-3], 4)
	mustRefresh(t, s, false, config.InstalledIPv4)
	put(t, config.InstalledIPv4, newest4[:len(newest4)-len("134744320,134744575,??\n")], 5)
	mustRefresh(t, s, false, "it holds 1 ranges, expected at least 2")
	mustCountry(t, s, ip4, "NL")
	put(t, config.InstalledIPv4, newest4, 6)
	put(t, config.InstalledIPv6, newest6, 6)
	mustRefresh(t, s, true, "")
	mustCountry(t, s, ip4, "IT")
	mustCountry(t, s, ip6, "IT")

	// Older than the program's, or gone: that is used again.
	put(t, config.InstalledIPv4, old4, 7)
	mustRefresh(t, s, true, "")
	mustCountry(t, s, ip4, "US")
	mustCountry(t, s, ip6, "IT")
	if got := kinds(s.Description()); got != "country geoip6 IPv6; country . IPv4" {
		t.Errorf("it is made of %s", got)
	}
	mustRefresh(t, s, false, "")
	remove := func(path string) {
		t.Helper()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	remove(config.InstalledIPv6)
	mustRefresh(t, s, true, "")
	mustCountry(t, s, ip6, "")
	if got := kinds(s.Description()); got != "country . IPv4, IPv6" {
		t.Errorf("it is made of %s", got)
	}
	remove(config.InstalledIPv4) // it was not in use
	mustRefresh(t, s, false, "")

	// The same file again is read again; what was wrong with one goes with it.
	put(t, config.InstalledIPv6, newest6, 6)
	mustRefresh(t, s, true, "")
	mustCountry(t, s, ip6, "IT")
	put(t, config.InstalledIPv6, newest6[:len(newest6)-1], 8)
	mustRefresh(t, s, false, config.InstalledIPv6)
	remove(config.InstalledIPv6)
	mustRefresh(t, s, true, "")
	mustCountry(t, s, ip6, "")
}

func TestInstalledThatIsBroken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "geoip")
	put(t, path, []byte("x\n"), 1)
	s, err := Open(Config{InstalledIPv4: path})
	if err != nil {
		t.Fatalf("a file that nobody named keeps the program from starting: %v", err)
	}
	mustCountry(t, s, "8.8.8.8", "US")
	mustRefresh(t, s, false, path)
	mustRefresh(t, s, false, path)
	// A newer one with next to nothing in it is held against the program's.
	new4, _ := installedText("Fri, 26 Jun 2099", "FR")
	put(t, path, new4, 2)
	mustRefresh(t, s, false, "it holds 2 ranges, expected at least ")
	mustCountry(t, s, "8.8.8.8", "US")
}

func TestInstalledWithoutDate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "geoip")
	own := measure{generated: time.Date(2026, 6, 25, 0, 0, 0, 0, time.UTC)}
	put(t, path, []byte("134744064,134744319,NL\n"), 1) // written on the first of July
	s, err := open(Config{InstalledIPv4: path}, nil, own, own)
	if err != nil {
		t.Fatal(err)
	}
	mustCountry(t, s, "8.8.8.8", "NL")
	if built := s.Description()[0].Built; !built.Equal(time.Date(2026, 7, 1, 0, 1, 0, 0, time.UTC)) {
		t.Errorf("it is of %s", built)
	}
}

// TestInstalledIsNotUsedBesideDatabases holds also for files that are broken.
func TestInstalledIsNotUsedBesideDatabases(t *testing.T) {
	dir := t.TempDir()
	config := Config{Country: filepath.Join(dir, "country.mmdb"), InstalledIPv4: filepath.Join(dir, "geoip")}
	put(t, config.Country, readTestFile(t, "small-geo.mmdb"), 1)
	put(t, config.InstalledIPv4, []byte("x\n"), 1)
	s, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	mustRefresh(t, s, false, "")
	if got := kinds(s.Description()); got != "country country.mmdb IPv4, IPv6" {
		t.Errorf("it is made of %s", got)
	}
}

// TestRealInstalled reads the package's files in place of an older table.
func TestRealInstalled(t *testing.T) {
	readInstalled(t, torIPv4)
	readInstalled(t, torIPv6)
	s, err := open(Config{InstalledIPv4: torIPv4, InstalledIPv6: torIPv6}, nil, measure{entries: 300_000}, measure{entries: 200_000})
	if err != nil {
		t.Fatal(err)
	}
	mustRefresh(t, s, false, "")
	mustCountry(t, s, "8.8.8.8", "US")
	mustCountry(t, s, "2001:638::1", "DE")
	if got := kinds(s.Description()); got != "country geoip IPv4; country geoip6 IPv6" {
		t.Errorf("it is made of %s", got)
	}
	if s.embedded != nil {
		t.Error("the program's own table takes memory for nothing")
	}
}

// TestInstalledCutShort cuts the package's files at the end of a line, which
// leaves nothing wrong but the end that is missing.
func TestInstalledCutShort(t *testing.T) {
	ipv4, ipv6 := readInstalled(t, torIPv4), readInstalled(t, torIPv6)
	measures := func(data []byte, ipv6 bool) measure {
		text, err := parseCountryText(data, ipv6)
		if err != nil {
			t.Fatal(err)
		}
		return measure{entries: text.entries, last: text.table.last(ipv6)}
	}
	own4, own6 := measures(ipv4, false), measures(ipv6, true)
	dir := t.TempDir()
	config := Config{InstalledIPv4: filepath.Join(dir, "geoip"), InstalledIPv6: filepath.Join(dir, "geoip6")}
	put(t, config.InstalledIPv4, ipv4, 1)
	put(t, config.InstalledIPv6, ipv6, 1)
	s, err := open(config, nil, own4, own6)
	if err != nil {
		t.Fatal(err)
	}
	mustRefresh(t, s, false, "")
	cut := func(data []byte, percent int) []byte {
		part := data[:len(data)*percent/100]
		return part[:bytes.LastIndexByte(part, '\n')+1]
	}
	before := s.Map()
	for i, test := range []struct {
		path string
		data []byte
		say  string
	}{
		{config.InstalledIPv4, cut(ipv4, 60), " ranges, expected at least "},
		{config.InstalledIPv4, cut(ipv4, 89), " ranges, expected at least "},
		{config.InstalledIPv4, cut(ipv4, 95), ", expected near 223.255."},
		{config.InstalledIPv4, ipv4, ""},
		{config.InstalledIPv6, cut(ipv6, 60), " ranges, expected at least "},
		{config.InstalledIPv6, cut(ipv6, 97), ", expected near 2c0f:"},
	} {
		put(t, test.path, test.data, i+2)
		changed, err := s.Refresh()
		switch {
		case test.say == "" && (err != nil || !changed):
			t.Errorf("the whole file again: changed %v, %v", changed, err)
		case test.say != "" && (changed || err == nil || !strings.Contains(err.Error(), test.say) || !strings.Contains(err.Error(), test.path)):
			t.Errorf("changed %v, %v; want %q and %s", changed, err, test.say, test.path)
		case test.say != "" && s.Map() != before:
			t.Error("the map was made anew of a file that is cut short")
		}
		before = s.Map()
	}
	if got := kinds(s.Description()); got != "country geoip IPv4; country geoip6 IPv6" {
		t.Errorf("it is made of %s", got)
	}
	// At the start there is nothing to keep but the program's own.
	if s, err = open(config, nil, own4, own6); err != nil {
		t.Fatal(err)
	}
	mustRefresh(t, s, false, config.InstalledIPv6)
	if got := kinds(s.Description()); got != "country geoip IPv4; country . IPv6" {
		t.Errorf("it is made of %s", got)
	}
}

// TestMeasure has tables at the limits.
func TestMeasure(t *testing.T) {
	own4 := measure{entries: 100, last: wide{low: 0xdfff_ffff}}
	own6 := measure{entries: 100, last: wide{0x2c0f_ffff_ffff_ffff, 0xffff_ffff_ffff_ffff}}
	for _, test := range []struct {
		ipv6    bool
		entries int
		last    string
		whole   bool
	}{
		{false, 90, "223.255.255.255", true},
		{false, 89, "223.255.255.255", false},
		{false, 200, "222.255.255.255", true},
		{false, 200, "222.255.255.254", false},
		{false, 100, "255.255.255.255", true},
		{true, 90, "2c0e:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
		{true, 90, "2c0e:ffff:ffff:ffff:ffff:ffff:ffff:fffe", false},
		{true, 89, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
		{true, 90, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
	} {
		var b builder
		last := netip.MustParseAddr(test.last)
		if err := b.addRange(last, last, 1); err != nil {
			t.Fatal(err)
		}
		own := own4
		if test.ipv6 {
			own = own6
		}
		err := own.hold(&countryText{table: b.finish(), entries: test.entries}, test.ipv6)
		if (err == nil) != test.whole {
			t.Errorf("%d ranges to %s: %v", test.entries, test.last, err)
		}
	}
	if got := (&table{}).last(true); got != (wide{}) {
		t.Errorf("an empty table ends at %v", got)
	}
}

// TestMeasureOfEmbedded holds that the program's own table is measured.
func TestMeasureOfEmbedded(t *testing.T) {
	base, err := loadEmbedded()
	if err != nil {
		t.Fatal(err)
	}
	for _, own := range []measure{base.ipv4, base.ipv6} {
		if own.entries < 200_000 || !own.generated.Equal(base.database.Built) {
			t.Errorf("measured %+v", own)
		}
	}
	if base.ipv4.last.low>>24 != 223 || base.ipv6.last.high>>48 != 0x2c0f {
		t.Errorf("the countries end at %v and %s", base.ipv4.last, base.ipv6.last.address())
	}
}

func TestReadersWhileRefreshing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nets.json")
	put(t, path, []byte(`{"10.0.0.0/8": "DE"}`), 0)
	s, err := Open(Config{Overrides: path})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				place, length := s.Map().Lookup(netip.MustParseAddr("10.1.2.3"))
				if !slices.Contains([]string{"DE", "NL"}, place.Country) || length != 8 {
					t.Errorf("10.1.2.3 is at %+v /%d", place, length)
					return
				}
				if len(s.Description()) != 2 {
					t.Error(kinds(s.Description()))
					return
				}
			}
		})
	}
	readers.Go(func() {
		for range 20 {
			if _, err := s.Refresh(); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 20 {
		put(t, path, []byte(`{"10.0.0.0/8": "`+[]string{"NL", "DE"}[i%2]+`"}`), i+1)
		if _, err := s.Refresh(); err != nil {
			t.Error(err)
		}
	}
	close(done)
	readers.Wait()
}

// TestRefreshesWaitForEachOther counts those that read at the same time. A file
// that is missing is noted at every look, which the race detector sees.
func TestRefreshesWaitForEachOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nets.json")
	put(t, path, []byte("{}"), 0)
	s, err := Open(Config{Overrides: path, InstalledIPv4: path + ".missing"})
	if err != nil {
		t.Fatal(err)
	}
	var reading, reads atomic.Int32
	for range 4 {
		s.add(&slot{name: "the file of the test", path: path, limit: 100, parse: func([]byte, time.Time) (func(*Map), Database, error) {
			if n := reading.Add(1); n != 1 {
				t.Errorf("%d of them read at once", n)
			}
			for range 100 {
				runtime.Gosched()
			}
			reading.Add(-1)
			reads.Add(1)
			return nil, Database{}, nil
		}})
	}
	var all sync.WaitGroup
	start := make(chan struct{})
	for range 8 {
		all.Go(func() {
			<-start
			for range 5 {
				if _, err := s.Refresh(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	close(start)
	all.Wait()
	if n := reads.Load(); n != 4 {
		t.Errorf("four files that do not change were read %d times", n)
	}
}

// TestFilesTooLarge has files of zeros that take no room on the disk.
func TestFilesTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nets.json")
	for size, say := range map[int64]string{
		maxOverrides:     path + ":1:1: error: ",
		maxOverrides + 1: path + " has 16777217 bytes, expected at most 16777216",
	} {
		put(t, path, nil, 1)
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		_, err := Open(Config{Overrides: path})
		if err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%d bytes: %v, want %q", size, err, say)
		}
	}
}
