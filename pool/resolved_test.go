package pool

import (
	"net/netip"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const namedPools = `{"pools": [
	{"name": "a.example", "health": {"check": "none"}, "members": [
		{"id": "named", "host": "m.example", "weight": 1},
		{"id": "fixed", "addresses": ["8.8.8.1"], "weight": 1},
		{"id": "other", "host": "n.example", "weight": 1},
		{"id": "off", "host": "off.example", "weight": 0}
	]},
	{"name": "b.example", "health": {"check": "none"}, "members": [{"id": "fixed", "addresses": ["8.8.8.1"], "weight": 1}]},
	{"name": "c.example", "health": {"check": "none"}, "members": [
		{"id": "inside", "addresses": ["127.0.0.1"], "weight": 1},
		{"id": "named", "host": "m.example", "weight": 1},
		{"id": "home", "host": "home.example", "weight": 1}
	]}
]}`

func TestResolved(t *testing.T) {
	definition, problems := Parse(fstest.MapFS{PoolsPath: {Data: []byte(namedPools)}})
	if definition == nil {
		t.Fatal(format(problems))
	}
	// A name that a public pool has too may not lead inside.
	want := []HostName{{"home.example", true}, {"m.example", false}, {"n.example", false}}
	if got := definition.HostNames(); !slices.Equal(got, want) {
		t.Errorf("host names %v, want %v", got, want)
	}
	before, _ := Parse(fstest.MapFS{PoolsPath: {Data: []byte(namedPools)}})
	var asked []string
	resolved := definition.Resolved(func(host string) []netip.Addr {
		asked = append(asked, host)
		return map[string][]netip.Addr{
			"m.example": addresses("8.8.8.1", "8.8.8.2", "2606:4700::1"),
			"n.example": addresses("8.8.8.2", "8.8.8.3"),
		}[host]
	})
	if diff := cmp.Diff(before, definition, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("the definition was written to:\n%s", diff)
	}
	got := map[string][]netip.Addr{}
	for _, pool := range resolved.Pools {
		for _, member := range pool.Members {
			got[pool.Name+" "+member.ID] = member.Addresses
		}
	}
	// What another member has is not given twice: that of a fixed one stays there.
	expected := map[string][]netip.Addr{
		"a.example named": addresses("8.8.8.2", "2606:4700::1"), "a.example fixed": addresses("8.8.8.1"), "a.example other": addresses("8.8.8.3"), "a.example off": nil,
		"b.example fixed":  addresses("8.8.8.1"),
		"c.example inside": addresses("127.0.0.1"), "c.example named": addresses("8.8.8.1", "8.8.8.2", "2606:4700::1"), "c.example home": nil,
	}
	if diff := cmp.Diff(expected, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	if resolved.Pools[1] != definition.Pools[1] || resolved.Pools[0].Members[1] != definition.Pools[0].Members[1] {
		t.Error("what has no host name is not shared")
	}
	if resolved.Pools[0].Members[0].HostName != "m.example" {
		t.Error("the name is lost")
	}
	without := &Definition{Pools: definition.Pools[1:2]}
	if without.Resolved(nil) != without || len(without.HostNames()) != 0 {
		t.Error("a definition without host names is another one")
	}
}

func TestHostNameRefuses(t *testing.T) {
	for text, want := range map[string][2]string{ // public, inside
		"8.8.8.8":         {"", ""},
		"2606:4700::1":    {"", ""},
		"10.0.0.1":        {"a private address", ""},
		"127.0.0.1":       {"a loopback address", ""},
		"::1":             {"a loopback address", ""},
		"fd00::1":         {"a private address", ""},
		"100.64.0.1":      {"a shared address of carrier-grade NAT", ""},
		"2002:a00:1::1":   {"a 6to4 address", ""},
		"64:ff9b::a00:1":  {"an address for translation to IPv4", ""},
		"169.254.169.254": {"a link-local address", "a link-local address"},
		"fe80::1":         {"a link-local address", "a link-local address"},
		"0.0.0.0":         {`an address of "this network"`, `an address of "this network"`},
		"::":              {"the unspecified address", "the unspecified address"},
		"255.255.255.255": {"the broadcast address", "the broadcast address"},
		"239.1.1.1":       {"a multicast address", "a multicast address"},
		"ff02::1":         {"a multicast address", "a multicast address"},
		"::ffff:8.8.8.8":  {"an IPv4 address in the form of an IPv6 one", "an IPv4 address in the form of an IPv6 one"},
	} {
		address := netip.MustParseAddr(text)
		got := [2]string{HostName{}.Refuses(address), HostName{Inside: true}.Refuses(address)}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	if (HostName{Inside: true}).Refuses(netip.Addr{}) == "" {
		t.Error("no address at all is taken")
	}
}
