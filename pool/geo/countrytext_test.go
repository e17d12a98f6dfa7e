package geo

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

const head = `# This file has been converted from the IPFire Location database
#
# Location Database Export
#
# Generated: Fri, 26 Jun 2026 04:33:59 GMT
# Vendor:    IPFire Project
# License:   CC BY-SA 4.0
#
`

func TestCountryText(t *testing.T) {
	text4, err := parseCountryText([]byte(head+"16777216,16777471,AU\n16777472,16778239,AU\r\n\n16778496,16779263,??\n3221225984,3221226239,UK\n4294967040,4294967295,ZZ\n"), false)
	if err != nil {
		t.Fatal(err)
	}
	text6, err := parseCountryText([]byte(head+"2001:200::,2001:200:134:ffff:ffff:ffff:ffff:ffff,JP\n2001:506:9::4,2001:506:9::5,BR\nffff::,ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff,DE\n"), true)
	if err != nil {
		t.Fatal(err)
	}
	generated := time.Date(2026, 6, 26, 4, 33, 59, 0, time.UTC)
	if !text4.generated.Equal(generated) || text4.licence != "CC BY-SA 4.0" || text4.entries != 5 || text6.entries != 3 {
		t.Errorf("%+v, %+v", text4, text6)
	}
	m := &Map{base4: text4.table, base6: text6.table}
	for address, want := range map[string]struct {
		country string
		length  int
	}{
		"1.0.0.0": {"AU", 22}, "1.0.2.5": {"AU", 22}, "1.0.3.255": {"AU", 22}, "1.0.4.0": {"", 22}, "1.0.5.0": {"", 22}, "0.255.255.255": {"", 8},
		"192.0.2.9": {"GB", 24}, "255.255.255.255": {"", 3},
		"2001:200::": {"JP", 40}, "2001:200:134:ffff::": {"JP", 48}, "2001:200:135::": {"", 48},
		"2001:506:9::3": {"", 126}, "2001:506:9::4": {"BR", 127}, "2001:506:9::6": {"", 127}, "ffff::1": {"DE", 16}, "fffe::": {"", 16},
	} {
		place, length := m.Lookup(netip.MustParseAddr(address))
		if place.Country != want.country || length != want.length {
			t.Errorf("%s is in %q, /%d, want %q, /%d", address, place.Country, length, want.country, want.length)
		}
	}
}

func TestCountryTextMistakes(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		ipv6 bool
		say  string
	}{
		"empty":                {"", false, "no ranges"},
		"head alone":           {head, false, "no ranges"},
		"cut within a line":    {"1,2,DE\n3,4,D", false, "cut short"},
		"cut before the end":   {"1,2,DE\n3,4,DE", false, "cut short"},
		"two fields":           {"1,2\n", false, "line 1"},
		"four fields":          {"1,2,DE,x\n", false, "line 1"},
		"a long code":          {"1,2,DE\n3,4,DEU\n", false, "line 2"},
		"no number":            {"1,x,DE\n", false, `"x"`},
		"too large a number":   {"1,4294967296,DE\n", false, "last address"},
		"negative":             {"-1,2,DE\n", false, "first address"},
		"backwards":            {"5,4,DE\n", false, "out of order"},
		"overlap":              {"1,4,DE\n4,5,NL\n", false, "line 2: the range 0.0.0.4-0.0.0.5 is out of order"},
		"IPv6 in IPv4":         {"2001:db8::,2001:db8::1,DE\n", false, "first address"},
		"IPv4 in IPv6":         {"1,4,DE\n", true, "first address"},
		"dotted in IPv6":       {"10.0.0.0,10.0.0.1,DE\n", true, "expected an IPv6 address"},
		"a zone":               {"fe80::%x,fe80::1%x,DE\n", true, "first address"},
		"overlap in IPv6":      {"2001:db8::,2001:db8::4,DE\n2001:db8::4,2001:db8::5,NL\n", true, "line 2"},
		"a date that is none":  {"# Generated: yesterday\n1,2,DE\n", false, "line 1: reading the date"},
		"binary":               {"\x00\x01\x02\n", false, "line 1"},
		"a page of a web site": {"<!DOCTYPE html>\n", false, "line 1"},
	} {
		if _, err := parseCountryText([]byte(test.text), test.ipv6); err == nil || !strings.Contains(err.Error(), test.say) {
			t.Errorf("%s: %v, want an error with %q", name, err, test.say)
		}
	}
}

func TestEncodeCountryDataMistakes(t *testing.T) {
	good4, good6 := head+"1,2,DE\n", head+"2001:db8::,2001:db8::1,DE\n"
	if _, database, err := EncodeCountryData([]byte(good4), []byte(good6)); err != nil || database.Entries != 2 {
		t.Errorf("%+v, %v", database, err)
	}
	for name, test := range map[string]struct{ ipv4, ipv6, say string }{
		"IPv4":    {"x", good6, "IPv4 ranges"},
		"IPv6":    {good4, "x", "IPv6 ranges"},
		"licence": {strings.Replace(good4, "CC BY-SA 4.0", "secret", 1), good6, `"secret"`},
		"date":    {good4, strings.Replace(good6, "Generated", "Made", 1), "when it was generated"},
	} {
		if _, _, err := EncodeCountryData([]byte(test.ipv4), []byte(test.ipv6)); err == nil || !strings.Contains(err.Error(), test.say) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzCountryText(f *testing.F) {
	for _, seed := range []string{head + "16777216,16777471,AU\n", "0,4294967295,DE\n", "1,2,??\n3,3,uk\n", "# Generated:\n", "2,1,DE\n", ",,,\n"} {
		f.Add([]byte(seed), false)
	}
	for _, seed := range []string{head + "2001:200::,2001:200:134:ffff:ffff:ffff:ffff:ffff,JP\n", "::,ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff,NL\n", "::1.2.3.4,::2.3.4.5,DE\n"} {
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, ipv6 bool) {
		text, err := parseCountryText(data, ipv6)
		if err != nil {
			return
		}
		table := text.table
		encoded, err := encodeCountries(countryHeader{}, table, table)
		if err != nil {
			t.Fatal(err)
		}
		_, decoded, err := decodeCountries(encoded)
		if err != nil {
			t.Fatal(err)
		}
		for _, address := range []string{"0.0.0.0", "1.0.0.1", "255.255.255.255", "::", "2001:200::", "ffff::"} {
			k := keyOf(netip.MustParseAddr(address))
			v1, n1 := table.lookup(k)
			v2, n2 := decoded.lookup(k)
			if v1 != v2 || n1 != n2 {
				t.Fatalf("%s: %d /%d, and after a round trip %d /%d", address, v1, n1, v2, n2)
			}
		}
	})
}
