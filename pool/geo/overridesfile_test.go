package geo

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"mirrorpool/pool"
)

func TestOverridesFile(t *testing.T) {
	const file = `{
  "192.0.2.0/24": {"country": "DE", "asn": 64500},
  "192.0.2.128/25": "NL",
  "198.51.100.0/24": {"continent": "AS"},
  "203.0.113.0/24": {"latitude": -33.5, "longitude": 1.5e2},
  "2001:db8::/32": {"asn": 4294967295},
  "2001:db8:1::/48": {"country": "RU", "continent": "AS", "latitude": 0, "longitude": 0},
  "10.0.0.0/8": {"continent": "EU"}
}
`
	list, err := parseOverrides("nets.json", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	base := countryMap(t, readTestFile(t, "small-geo.mmdb"))
	m := &Map{country: base.country, given: newOverrides(list)}
	under, _ := (&Map{country: base.country}).Lookup(netip.MustParseAddr("10.1.0.1"))
	p := netip.MustParsePrefix
	de, nl := complete(Place{Country: "DE", ASN: 64500, Network: p("192.0.2.0/24")}), complete(Place{Country: "NL", Network: p("192.0.2.128/25")})
	for address, want := range map[string]Place{
		"192.0.2.1":     de, // BR in the database
		"192.0.2.129":   nl, // ZA in the database; nothing is taken from the wider network
		"198.51.100.1":  {Network: p("198.51.100.0/24"), Continent: "AS"},
		"203.0.113.1":   {Network: p("203.0.113.0/24"), HasCoordinates: true, Latitude: -33.5, Longitude: 150},
		"2001:db8::1":   {Network: p("2001:db8::/32"), ASN: 4294967295},
		"2001:db8:1::1": {Network: p("2001:db8:1::/48"), Country: "RU", Continent: "AS", HasCoordinates: true},
		"2001:db8:2::1": func() Place {
			q := complete(Place{Country: "US"})
			q.Network, q.ASN = p("2001:db8::/32"), 4294967295
			q.Latitude, q.Longitude = usPlace(base)
			return q
		}(),
		"10.1.0.1":        {Network: p("10.0.0.0/8"), Country: "DE", Continent: "EU", HasCoordinates: true, Latitude: under.Latitude, Longitude: under.Longitude},
		"10.2.0.1":        {Network: p("10.0.0.0/8"), Continent: "EU"}, // US in the database: not in EU
		"::ffff:10.2.0.1": {Network: p("10.0.0.0/8"), Continent: "EU"},
		"11.0.0.1":        {},
	} {
		if got, _ := m.Lookup(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %+v, want %+v", address, got, want)
		}
	}
}

func usPlace(m *Map) (latitude, longitude float64) {
	p, _ := m.Lookup(netip.MustParseAddr("2001:db8:2::1"))
	return p.Latitude, p.Longitude
}

func TestOverridesMistakes(t *testing.T) {
	tests := []struct {
		name, file string
		want       []string // line:column, and words of the message
	}{
		{"empty", ``, []string{"1:1 the end of the file, expected a whole JSON object"}},
		{"cut short", "{\n \"10.0.0.0/8\": {\"asn\": 1}", []string{"2:26 the end of the file"}},
		{"an array", `[]`, []string{"1:1 found an array, expected an object of prefixes"}},
		{"null", ` null`, []string{"1:2 found null"}},
		{"a comment", "{\n// here\n}", []string{"2:1 invalid character '/'"}},
		{"a comma too many", "{\"10.0.0.0/8\": \"DE\",\n}", []string{"2:1 invalid character '}'"}},
		{"no comma", "{\"10.0.0.0/8\": \"DE\"\n \"11.0.0.0/8\": \"DE\"}", []string{"2:2 invalid character '\"'"}},
		{"no colon", `{"10.0.0.0/8" "DE"}`, []string{"1:15 invalid character '\"'"}},
		{"two objects", "{}\n{}", []string{"2:1 found an object, expected the end of the file"}},
		{"text behind", "{}\nx", []string{"2:1 invalid character 'x'"}},
		{"wrong brace", `{"10.0.0.0/8": {"asn": 1]}`, []string{"1:25 invalid character ']'"}},
		{"no UTF-8", "{\"10.0.0.0/8\":\n \"D\xff\"}", []string{"2:4 found the byte 0xff, expected UTF-8"}},
		{"a byte order mark", "\ufeff{}", []string{"1:1 invalid character"}},
		{"no prefix", `{"10.0.0.0": "DE"}`, []string{`1:2 10.0.0.0: found "10.0.0.0", expected a prefix such as`}},
		{"too long a prefix", `{"10.0.0.0/33": "DE"}`, []string{`1:2 found "10.0.0.0/33"`}},
		{"a zone", `{"fe80::%eth0/64": "DE"}`, []string{`1:2 found "fe80::%eth0/64"`}},
		{"host bits", `{"10.0.0.1/8": "DE"}`, []string{`1:2 expected "10.0.0.0/8": bits behind`}},
		{"IPv4-mapped", `{"::ffff:10.0.0.0/104": "DE"}`, []string{`1:2 expected "10.0.0.0/8": IPv4-mapped`}},
		{"IPv4-mapped and wide", `{"::ffff:0.0.0.0/90": "DE"}`, []string{`1:2 expected an IPv4 prefix`}},
		{"twice", "{\"10.0.0.0/8\": \"DE\",\n  \"10.0.0.0/8\": \"NL\"}", []string{"2:3 expected each prefix once: it is there already in line 1, column 2"}},
		{"twice, written otherwise", "{\"2001:db8::/32\": \"DE\", \"2001:DB8:0::/32\": \"NL\"}", []string{"1:25 each prefix once"}},
		{"nothing given", `{"10.0.0.0/8": {}}`, []string{"1:16 found {}, expected at least one of"}},
		{"unknown key", `{"10.0.0.0/8": {"Country": "DE"}}`, []string{`1:17 10.0.0.0/8: Country: found "Country", expected "country", "continent"`}},
		{"key twice", `{"10.0.0.0/8": {"asn": 1, "asn": 2}}`, []string{`1:27 found "asn" again`}},
		{"country of small letters", `{"10.0.0.0/8": {"country": "de"}}`, []string{`1:28 10.0.0.0/8: country: found "de", expected a country code`}},
		{"no country", `{"10.0.0.0/8": "ZZ"}`, []string{`1:16 10.0.0.0/8: found "ZZ"`}},
		{"country of a kind", `{"10.0.0.0/8": {"country": 5}}`, []string{`1:28 found 5`}},
		{"country null", `{"10.0.0.0/8": {"country": null}}`, []string{`1:28 found null`}},
		{"no continent", `{"10.0.0.0/8": {"continent": "XX"}}`, []string{`1:30 found "XX", expected one of "AF"`}},
		{"empty continent", `{"10.0.0.0/8": {"continent": ""}}`, []string{`1:30 found "", expected one of "AF"`}},
		{"AS 0", `{"10.0.0.0/8": {"asn": 0}}`, []string{`1:24 found 0, expected a whole number from 1 to 4294967295`}},
		{"AS too large", `{"10.0.0.0/8": {"asn": 4294967296}}`, []string{`1:24 found 4294967296`}},
		{"AS with a point", `{"10.0.0.0/8": {"asn": 1.0}}`, []string{`1:24 found 1.0`}},
		{"AS as text", `{"10.0.0.0/8": {"asn": "AS1"}}`, []string{`1:24 found "AS1"`}},
		{"AS true", `{"10.0.0.0/8": {"asn": true}}`, []string{`1:24 found true`}},
		{"latitude alone", `{"10.0.0.0/8": {"latitude": 1}}`, []string{`1:17 found "latitude" alone, expected "longitude" beside it`}},
		{"longitude alone", `{"10.0.0.0/8": {"longitude": 1}}`, []string{`1:17 found "longitude" alone`}},
		{"latitude", `{"10.0.0.0/8": {"latitude": 90.1, "longitude": 1}}`, []string{`1:29 found 90.1, expected a number from -90 to 90`}},
		{"longitude", `{"10.0.0.0/8": {"latitude": 9, "longitude": -180.5}}`, []string{`1:45 found -180.5, expected a number from -180 to 180`}},
		{"degrees too large to be read", `{"10.0.0.0/8": {"latitude": 1e999, "longitude": 1}}`, []string{`1:29 found 1e999`}},
		{"degrees as text", `{"10.0.0.0/8": {"latitude": "1", "longitude": 1}}`, []string{`1:29 found "1"`}},
		{"a number for a network", `{"10.0.0.0/8": 5}`, []string{`1:16 found 5, expected an object, or a country as a string`}},
		{"an array for a network", `{"10.0.0.0/8": [1, [2]], "11.0.0.0/8": "xx"}`, []string{`1:16 found an array`, `1:40 found "xx"`}},
		{"an object for a field", `{"10.0.0.0/8": {"asn": {"a": [1, {}]}, "country": "xx"}}`, []string{`1:24 found an object`, `1:51 found "xx"`}},
		{
			"all in one go", "{\n  \"10.0.0.1/8\": {\"country\": \"xx\", \"asn\": -1},\n  \"x\": {\"y\": 1},\n  \"11.0.0.0/8\": \"DE\",\n  \"11.0.0.0/8\": {}\n}",
			[]string{`2:3 10.0.0.1/8`, `2:29 "xx"`, `2:42 -1`, `3:3 "x"`, `3:9 "y"`, `5:3 each prefix once`, `5:17 {}`},
		},
		{
			"mistakes before one of syntax", "{\"10.0.0.0/8\": \"xx\",\n\"11.0.0.0/8\": oops}",
			[]string{`1:16 "xx"`, `2:15 invalid character 'o'`},
		},
	}
	for _, test := range tests {
		_, err := parseOverrides("nets.json", []byte(test.file))
		var all *OverridesError
		if !errors.As(err, &all) {
			t.Errorf("%s: the error is %v", test.name, err)
			continue
		}
		if len(all.Problems) != len(test.want) {
			t.Errorf("%s: %d mistakes, want %d:\n%v", test.name, len(all.Problems), len(test.want), err)
			continue
		}
		for i, p := range all.Problems {
			place, words, _ := strings.Cut(test.want[i], " ")
			if got := fmt.Sprintf("%d:%d", p.Line, p.Column); got != place || !strings.Contains(p.String(), words) || p.File != "nets.json" || p.Severity != pool.Error {
				t.Errorf("%s: %s\nwant %s and %q", test.name, p, place, words)
			}
		}
	}
}

func TestOverridesManyMistakes(t *testing.T) {
	var b strings.Builder
	for i := range 250 {
		fmt.Fprintf(&b, "%s\"x%d\": 1", map[bool]string{true: "{", false: ","}[i == 0], i)
	}
	_, err := parseOverrides("nets.json", []byte(b.String()+"}"))
	var all *OverridesError
	if !errors.As(err, &all) || len(all.Problems) != 100 || all.More != 400 {
		t.Fatalf("%v", err)
	}
	if text := err.Error(); !strings.HasPrefix(text, "500 mistakes\nnets.json:1:2: error: x0: ") || !strings.HasSuffix(text, "\nand 400 more") {
		t.Errorf("the message is %.100q", text)
	}
}

func FuzzOverrides(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"192.0.2.0/24": {"country": "DE", "asn": 64500}}`, `{"0.0.0.0/0": "DE", "::/0": "NL", "255.255.255.255/32": "FR"}`,
		`{"10.0.0.0/8": {"latitude": 1, "longitude": 2, "continent": "AS"}, "10.0.0.0/9": "US"}`,
		`{"a": [{"b": null}]}`, `{"10.0.0.1/8": true}`, "{\"\\ud800\": \"\"}", `{"::/0": "DE", "ffff::/16": {"asn": 1}}`, `[`, `{"a":1]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseOverrides("f", data)
		if err != nil {
			var all *OverridesError
			if !errors.As(err, &all) || len(all.Problems) == 0 {
				t.Fatalf("the error is %v", err)
			}
			for _, p := range all.Problems {
				if p.Line < 1 || p.Column < 1 || p.Line > strings.Count(string(data), "\n")+1 || p.Column > len(data)+1 || p.Expected == "" {
					t.Fatalf("%+v", p)
				}
			}
			return
		}
		m := &Map{given: newOverrides(list)}
		for _, o := range list {
			prefix := o.place.Network
			if place, length := m.Lookup(prefix.Addr()); !place.Network.IsValid() || place.Network.Bits() < prefix.Bits() || length < prefix.Bits() {
				t.Fatalf("%s is found in %s, /%d", prefix, place.Network, length)
			}
		}
	})
}
