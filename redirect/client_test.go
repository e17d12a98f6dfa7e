package redirect

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

var testProxies = proxies{
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("fd00::/8"),
}

func TestClient(t *testing.T) {
	type headers = http.Header
	tests := []struct {
		name    string
		peer    string
		headers headers
		tls     bool
		address string // "" for a client of unknown place
		secure  bool
	}{
		{name: "no proxy", peer: "192.0.2.1:1234", address: "192.0.2.1"},
		{name: "no proxy, IPv6", peer: "[2001:db8::1]:1234", address: "2001:db8::1"},
		{name: "mapped peer", peer: "[::ffff:192.0.2.1]:1234", address: "192.0.2.1"},
		{name: "zone", peer: "[fe80::1%eth0]:1234", address: "fe80::1"},
		{name: "peer unreadable", peer: "@", address: ""},
		{name: "own TLS", peer: "192.0.2.1:1", tls: true, address: "192.0.2.1", secure: true},

		{
			name: "headers from an untrusted peer", peer: "192.0.2.1:1",
			headers: headers{"X-Forwarded-For": {"198.51.100.1"}, "Forwarded": {"for=198.51.100.2;proto=https"}, "X-Forwarded-Proto": {"https"}},
			address: "192.0.2.1",
		},
		{name: "trusted peer without headers", peer: "127.0.0.1:1", address: "127.0.0.1"},
		{name: "mapped trusted peer", peer: "[::ffff:127.0.0.1]:1", headers: headers{"X-Forwarded-For": {"192.0.2.1"}}, address: "192.0.2.1"},

		{name: "one proxy", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-For": {"192.0.2.1"}}, address: "192.0.2.1"},
		{name: "leftmost is hearsay", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-For": {"198.51.100.9, 192.0.2.1"}}, address: "192.0.2.1"},
		{name: "past trusted ones", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-For": {"198.51.100.9,192.0.2.1 , 10.0.0.1, 10.1.1.1"}}, address: "192.0.2.1"},
		{name: "several lines", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-For": {"198.51.100.9", "192.0.2.1", "10.0.0.1"}}, address: "192.0.2.1"},
		{name: "all trusted", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-For": {"10.0.0.3, 10.0.0.2"}}, address: "10.0.0.3"},
		{name: "empty", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-For": {""}}, address: "127.0.0.1"},
		{name: "empty elements", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-For": {",192.0.2.1,, ,"}}, address: "192.0.2.1"},
		{name: "port", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-For": {"192.0.2.1:4711"}}, address: "192.0.2.1"},
		{name: "IPv6", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-For": {"2001:db8::1"}}, address: "2001:db8::1"},
		{name: "IPv6 in brackets", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-For": {"[2001:db8::1]"}}, address: "2001:db8::1"},
		{name: "IPv6 with port", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-For": {"[2001:db8::1]:4711"}}, address: "2001:db8::1"},
		{name: "IPv6 with zone", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-For": {"fe80::1%eth0"}}, address: "fe80::1"},
		{name: "mapped", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-For": {"::ffff:192.0.2.1"}}, address: "192.0.2.1"},
		{name: "mapped proxy", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-For": {"192.0.2.1, ::ffff:10.0.0.1"}}, address: "192.0.2.1"},
		{name: "garbage", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-For": {"garbage"}}, address: "127.0.0.1"},
		{name: "garbage ends the reading", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-For": {"192.0.2.1, garbage, 10.0.0.1"}}, address: "10.0.0.1"},
		{name: "unknown", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-For": {"192.0.2.1, unknown"}}, address: ""},
		{name: "bad port", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-For": {"192.0.2.1:http"}}, address: "127.0.0.1"},
		{name: "IPv4 in brackets", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-For": {"[192.0.2.1]"}}, address: "127.0.0.1"},
		{name: "open bracket", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-For": {"[2001:db8::1"}}, address: "127.0.0.1"},
		{name: "after the bracket", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-For": {"[2001:db8::1]x"}}, address: "127.0.0.1"},

		{name: "Forwarded", peer: "127.0.0.1:1", headers: headers{"Forwarded": {"for=192.0.2.43"}}, address: "192.0.2.43"},
		// The examples of RFC 7239 section 4, each behind a trusted peer.
		{name: "RFC 7239: obfuscated", peer: "127.0.0.1:1", headers: headers{"Forwarded": {`for="_gazonk"`}}, address: ""},
		{name: "RFC 7239: IPv6 with port", peer: "127.0.0.1:1", headers: headers{"Forwarded": {`For="[2001:db8:cafe::17]:4711"`}}, address: "2001:db8:cafe::17"},
		{name: "RFC 7239: parameters", peer: "127.0.0.1:1", headers: headers{"Forwarded": {"for=192.0.2.60;proto=http;by=203.0.113.43"}}, address: "192.0.2.60"},
		{name: "RFC 7239: two", peer: "127.0.0.1:1", headers: headers{"Forwarded": {"for=192.0.2.43, for=198.51.100.17"}}, address: "198.51.100.17"},
		{name: "RFC 7239: section 7.1", peer: "10.0.0.9:1", headers: headers{"Forwarded": {`for=192.0.2.43, for="[2001:db8:cafe::17]"`}}, address: "2001:db8:cafe::17"},
		{name: "past trusted ones", peer: "127.0.0.1:1", headers: headers{"Forwarded": {`for=198.51.100.9, for=192.0.2.1`, `for="[fd00::1]:80", for=10.0.0.1`}}, address: "192.0.2.1"},
		{name: "obfuscated port", peer: "127.0.0.1:1", headers: headers{"Forwarded": {`for="192.0.2.1:_p"`}}, address: "192.0.2.1"},
		{name: "unknown with port", peer: "127.0.0.1:1", headers: headers{"Forwarded": {`for="unknown:80"`}}, address: ""},
		{name: "unknown, any case", peer: "127.0.0.1:1", headers: headers{"Forwarded": {`for=192.0.2.1, FOR=Unknown`}}, address: ""},
		{name: "hidden before a trusted one", peer: "127.0.0.1:1", headers: headers{"Forwarded": {`for=192.0.2.1, for=_a, for=10.0.0.1`}}, address: ""},
		{name: "underscore alone", peer: "127.0.0.1:1", headers: headers{"Forwarded": {`for=_`}}, address: "127.0.0.1"},
		{name: "without for", peer: "127.0.0.1:1", headers: headers{"Forwarded": {`for=192.0.2.1, proto=http`}}, address: "127.0.0.1"},
		{name: "for twice", peer: "127.0.0.1:1", headers: headers{"Forwarded": {`for=192.0.2.1;for=192.0.2.2`}}, address: "127.0.0.1"},
		{name: "comma in quotes", peer: "127.0.0.1:1", headers: headers{"Forwarded": {`for=192.0.2.9, for=192.0.2.1;by="a, for=10.0.0.1"`}}, address: "192.0.2.1"},
		{name: "escaped quote", peer: "127.0.0.1:1", headers: headers{"Forwarded": {`for=192.0.2.9, by="a\", \\";for=192.0.2.1`}}, address: "192.0.2.1"},
		{name: "open quote of a client", peer: "127.0.0.1:1", headers: headers{"Forwarded": {`for="198.51.100.1, for=192.0.2.1`}}, address: "192.0.2.1"},
		{name: "open quote on its own line", peer: "127.0.0.1:1", headers: headers{"Forwarded": {`for="198.51.100.1`, `for=10.0.0.1`}}, address: "10.0.0.1"},
		{name: "escape in quotes", peer: "127.0.0.1:1", headers: headers{"Forwarded": {`for="192\.0.2.1"`}}, address: "192.0.2.1"},
		{name: "IPv6 without quotes", peer: "127.0.0.1:1", headers: headers{"Forwarded": {`for=[2001:db8::1]:80`}}, address: "2001:db8::1"},
		{name: "space and empty pairs", peer: "127.0.0.1:1", headers: headers{"Forwarded": {`; proto=http ; for = 192.0.2.1 ;`}}, address: "192.0.2.1"},
		{name: "after the quote", peer: "127.0.0.1:1", headers: headers{"Forwarded": {`for="192.0.2.1"x`}}, address: "127.0.0.1"},
		{name: "no value", peer: "127.0.0.1:1", headers: headers{"Forwarded": {`for=`}}, address: "127.0.0.1"},
		{name: "no equals sign", peer: "127.0.0.1:1", headers: headers{"Forwarded": {`192.0.2.1`}}, address: "127.0.0.1"},
		{
			name: "X-Forwarded-For goes first", peer: "127.0.0.1:1",
			headers: headers{"X-Forwarded-For": {"192.0.2.1"}, "Forwarded": {"for=198.51.100.1"}}, address: "192.0.2.1",
		},
		{
			name: "X-Forwarded-For goes first, unreadable too", peer: "127.0.0.1:1",
			headers: headers{"X-Forwarded-For": {"garbage"}, "Forwarded": {"for=198.51.100.1"}}, address: "127.0.0.1",
		},

		{name: "https by proxy", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-Proto": {"https"}}, address: "127.0.0.1", secure: true},
		{name: "https by proxy, any case", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-Proto": {"HTTPS"}}, address: "127.0.0.1", secure: true},
		{name: "https, then http inside", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-Proto": {"https, http"}}, address: "127.0.0.1", secure: true},
		{name: "http by proxy", peer: "127.0.0.1:1", headers: headers{"X-Forwarded-Proto": {"http"}}, address: "127.0.0.1"},
		{name: "https by Forwarded", peer: "127.0.0.1:1", headers: headers{"Forwarded": {`for=192.0.2.1;Proto="https"`, "for=10.0.0.1;proto=http"}}, address: "192.0.2.1", secure: true},
		{name: "https in another parameter", peer: "127.0.0.1:1", headers: headers{"Forwarded": {`for=192.0.2.1;host="proto=https"`}}, address: "192.0.2.1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: test.peer, Header: test.headers}
			if test.tls {
				r.TLS = &tls.ConnectionState{}
			}
			got := testProxies.client(r)
			var expected client
			if test.address != "" {
				expected.address = netip.MustParseAddr(test.address)
			}
			expected.secure = test.secure
			if got != expected {
				t.Errorf("got %+v, expected %+v", got, expected)
			}
		})
	}
}

func TestFromRight(t *testing.T) {
	tests := []struct {
		lines    []string
		expected []string
	}{
		{nil, nil},
		{[]string{""}, nil},
		{[]string{",", " , "}, nil},
		{[]string{"a"}, []string{"a"}},
		{[]string{"a, b", "c"}, []string{"c", "b", "a"}},
		{[]string{`a="1,2", b`}, []string{"b", `a="1,2"`}},
		{[]string{`a="1\",2", b`}, []string{"b", `a="1\",2"`}},
		{[]string{`a="1\\", b`}, []string{"b", `a="1\\"`}},
		{[]string{`a="x, b`}, []string{"b", `a="x`}},
	}
	for _, test := range tests {
		if got := slices.Collect(fromRight(test.lines)); !slices.Equal(got, test.expected) {
			t.Errorf("%q: %q, expected %q", test.lines, got, test.expected)
		}
	}
}

// FuzzForwarded holds that whatever a client writes into its headers, a
// trusted proxy that appends the client's address has the last word.
func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{
		"", "for=192.0.2.1", `for="`, `for="\`, `"`, `a="b, c`, `\"`, "for=_x", "unknown", `for="[2001:db8::1]:1"`, ",", `for=10.0.0.1, `,
	} {
		f.Add(seed)
	}
	told := netip.MustParseAddr("192.0.2.77")
	f.Fuzz(func(t *testing.T, made string) {
		for name, word := range map[string]string{"Forwarded": "for=192.0.2.77", "X-Forwarded-For": "192.0.2.77"} {
			for _, lines := range [][]string{{made + ", " + word}, {made, word}} {
				r := &http.Request{RemoteAddr: "127.0.0.1:1", Header: http.Header{name: lines}}
				if got := testProxies.client(r); got.address != told {
					t.Errorf("%s: %q gives %v", name, lines, got.address)
				}
			}
		}
		// A value in quotes is read as it was meant.
		quoted := `for="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(made) + `"`
		if got, ok := forwardedParameter(quoted, "for"); !ok || got != made {
			t.Errorf("%q read as %q, %v", quoted, got, ok)
		}
	})
}
