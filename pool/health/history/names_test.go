package history

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorpool/pool"
	"mirrorpool/pool/health"
)

func TestNames(t *testing.T) {
	definition := definitionOf("wiki", "off")
	definition.Pools[0].Members[1].Weight = 0
	definition.Pools[0].Members[0].Addresses = append(definition.Pools[0].Members[0].Addresses, netip.MustParseAddr("::1"))
	definition.Pools = append(definition.Pools, &pool.Pool{Name: "unchecked", Members: []*pool.Member{{ID: "x", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.9")}}}})
	var got []string
	for _, one := range namesIn(definition) {
		words := one.place.String()
		if !one.probed {
			words += " not probed"
		}
		got = append(got, words)
	}
	want := []string{"wiki of dl.example.org (127.0.0.1)", "wiki of dl.example.org (::1)", "off of dl.example.org (127.0.0.2) not probed", "x of unchecked (127.0.0.9) not probed"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, expected %q", got, want)
	}
	target := health.Target{Probe: pool.Probe{Kind: pool.CheckHTTP, Port: 80}, Address: netip.MustParseAddr("127.0.0.1")}
	other := target
	other.Probe.MaxAge = time.Hour
	if a, b := keyOf(target), keyOf(other); a == b || !strings.HasPrefix(a, "http 127.0.0.1 ") {
		t.Errorf("keys %q and %q", a, b)
	}
}
