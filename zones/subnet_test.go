package zones

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/selection"
)

// A pool that does not use the client subnet gives everybody what their resolver
// gets, for everybody; all others do not look at the resolver.
func TestAnswerForTheResolver(t *testing.T) {
	table := testTable(t, "answers-pools.txtar")
	de, jp := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("203.0.113.77")
	for _, c := range []struct {
		name             string
		client, resolver netip.Addr
		members          string
		scope            int
	}{
		{"near.example.org.", de, jp, "de", 24},
		{"near.example.org.", jp, de, "jp", 24},
		{"resolver.example.org.", de, jp, "jp", 0},
		{"resolver.example.org.", jp, de, "de", 0},
		{"resolver.example.org.", de, de, "de", 0},
		{"resolver.example.org.", netip.Addr{}, de, "de", 0},
		{"toresolver.example.org.", de, jp, "jp", 0},
	} {
		a := table.Answer(Question{Name: c.name, Type: dns.TypeA, Client: c.client, Resolver: c.resolver}, rand.NewPCG(1, 1))
		if got := strings.Join(a.Members, ","); got != c.members || a.ScopeBits != c.scope || a.PlaceDependent != (c.scope > 0) {
			t.Errorf("%s for %v by %v: members %s, scope %d, depends on place: %v; want %s, %d",
				c.name, c.client, c.resolver, got, a.ScopeBits, a.PlaceDependent, c.members, c.scope)
		}
	}
	for name, ignored := range map[string]bool{"near.example.org": false, "resolver.example.org": true} {
		e := table.ExplainPool(name, de, 4, nil)
		if e.SubnetIgnored != ignored || strings.Contains(e.String(), "client_subnet is false") != ignored {
			t.Errorf("%s: the client subnet is ignored: %v, want %v:\n%s", name, e.SubnetIgnored, ignored, e)
		}
	}
}

// A network that is not routed is where the resolver is, unless the map or a rule
// says something of it.
func TestUnroutedNetworks(t *testing.T) {
	table := testTable(t, "answers-pools.txtar")
	de, jp := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("203.0.113.77")
	private := netip.MustParseAddr("192.168.7.0")
	for _, c := range []struct {
		client, resolver netip.Addr
		members          string
		scope            int
	}{
		{private, de, "de", 16},
		{private, jp, "jp", 16},
		{netip.MustParseAddr("fd00::"), jp, "jp", 7},
		{private, private, "de,jp,not-cn,us", 0}, // the resolver itself asks: no matter
		{private, netip.MustParseAddr("10.0.0.1"), "de,jp,not-cn,us", 16},
		{netip.MustParseAddr("192.169.0.0"), jp, "de,jp,not-cn,us", 16},
	} {
		a := table.Answer(Question{Name: "near.example.org.", Type: dns.TypeA, Client: c.client, Resolver: c.resolver}, rand.NewPCG(1, 1))
		slices.Sort(a.Members)
		if got := strings.Join(a.Members, ","); got != c.members || !a.PlaceDependent || c.scope > 0 && a.ScopeBits != c.scope {
			t.Errorf("%v by %v: members %s, scope %d; want %s, %d", c.client, c.resolver, got, a.ScopeBits, c.members, c.scope)
		}
	}
	const note = "this network is not routed"
	for client, noted := range map[netip.Addr]bool{private: true, de: false, {}: false} {
		if got := strings.Contains(table.ExplainPool("near.example.org", client, 4, nil).String(), note); got != noted {
			t.Errorf("explained for %v: noted: %v, want %v", client, got, noted)
		}
	}
	for client, want := range map[string]string{"192.168.7.0": "192.168.0.0/16", "::ffff:192.168.7.0": "192.168.0.0/16", "192.169.0.0": "192.169.0.0/16", "198.51.100.7": "198.51.100.0/24"} {
		if e := table.ExplainPool("near.example.org", netip.MustParseAddr(client), 4, nil); e.Network.String() != want || e.ScopeBits != e.Network.Bits() {
			t.Errorf("explained for %s: %v, scope %d, want %s", client, e.Network, e.ScopeBits, want)
		}
	}
	// With a boundary in it, or a rule that names it, it is a place like another.
	one := table.pools[slices.IndexFunc(table.pools, func(s *servedPool) bool { return s.definition.Name == "near.example.org" })]
	for network, knows := range map[string]bool{"10.0.0.0/8": true, "10.0.0.0/7": true, "10.1.0.0/16": true, "11.0.0.0/8": false} {
		for _, byRule := range []bool{false, true} {
			f := *one.ipv4
			places := table.geo
			if byRule {
				candidates := []selection.Candidate{
					{ID: "a", Weight: 1, Up: true, Exclude: &pool.Rules{Networks: []netip.Prefix{netip.MustParsePrefix(network)}}},
					{ID: "b", Weight: 1, Up: true},
				}
				f.chooser = selection.New(pool.Policy{}, pool.AnswerAll, candidates)
				f.unlocated, _ = f.chooser.Choose(selection.Client{})
			} else {
				places = geo.NewMap(map[netip.Prefix]geo.Place{netip.MustParsePrefix(network): {Country: "JP", Continent: "AS"}})
			}
			f.choices = nil
			if got := f.unlocatedNetworks(places)&1 == 0; got != knows {
				t.Errorf("%s by rule %v: something is said of 10.0.0.0/8: %v, want %v", network, byRule, got, knows)
			}
		}
	}
}

// Every address is found in its network, and no prefix that is told of another
// one holds a network or reaches out of one.
func TestUnroutedSet(t *testing.T) {
	const all = unroutedSet(1<<len(unrouted) - 1)
	r := rand.New(rand.NewPCG(1, 1))
	outside := 0
	check := func(address netip.Addr) {
		want, least := 0, 0
		for i, network := range unrouted {
			if network.Contains(address) {
				want = network.Bits()
				if within, least := (all &^ (1 << i)).find(address); within != 0 || least != want {
					t.Fatalf("%v, which is not in the set, is found with %d, %d", address, within, least)
				}
			}
			for length := 0; network.Addr().Is4() == address.Is4() && length <= network.Bits(); length++ {
				if netip.PrefixFrom(address, length).Masked().Contains(network.Addr()) {
					least = max(least, length+1)
				}
			}
		}
		if want > 0 {
			least = 0
		} else {
			outside++
		}
		if within, got := all.find(address); within != want || got != least {
			t.Fatalf("%v: %d, %d, want %d, %d", address, within, got, want, least)
		}
		if within, least := unroutedSet(0).find(address); within != 0 || least != 0 {
			t.Fatalf("%v is found in no network", address)
		}
	}
	for first := range 256 {
		for range 40 {
			check(netip.AddrFrom4([4]byte{byte(first), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}))
			check(netip.AddrFrom16([16]byte{byte(first), byte(r.Uint32()), byte(r.Uint32()), 15: byte(r.Uint32())}))
		}
	}
	longest := 0
	for _, network := range unrouted {
		longest = max(longest, network.Bits())
		last := lastWithin(network)
		for _, address := range []netip.Addr{network.Addr(), last, network.Addr().Prev(), last.Next()} {
			check(address)
		}
	}
	if longest != longestUnrouted {
		t.Errorf("the longest prefix has %d bits", longest)
	}
	if outside < 15000 {
		t.Errorf("only %d addresses are outside", outside)
	}
}

// With classes or without: everybody within the scope around a client gets the
// same and is told that very scope, and the scopes of IPv6 keep out of the
// IPv4-mapped addresses.
func TestScopesPartTheAddresses(t *testing.T) {
	mapped := netip.MustParsePrefix("::ffff:0:0/96")
	inside, asked := 0, 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 6))
		table, err := Compile(randomInput(t, r))
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range table.pools {
			for _, f := range []*family{one.ipv4, one.ipv6} {
				if seed%2 == 0 {
					f.choices = nil
				}
				for range 50 {
					client := neighbourOfMapped(r)
					if r.IntN(3) > 0 {
						client = randomClient(r).Unmap()
					}
					choice, bits := f.choose(table.geo, client)
					if bits == 0 {
						continue // the client is not located, or it is for everybody
					}
					scope := netip.PrefixFrom(client, bits).Masked()
					asked++
					if client.Is6() && (scope.Contains(mapped.Addr()) || mapped.Contains(client)) {
						t.Fatalf("seed %d, %s: %v has scope %v", seed, one.definition.Name, client, scope)
					}
					for range 5 {
						other := addressWithin(r, scope)
						got, again := f.choose(table.geo, other)
						inside++
						if again != bits || got.Mode != choice.Mode || !slices.Equal(got.Shares, choice.Shares) {
							t.Fatalf("seed %d, %s: %v gets %v for scope %v, but %v in it %v with scope %d",
								seed, one.definition.Name, client, choice.Shares, scope, other, got.Shares, again)
						}
					}
				}
			}
		}
	}
	if asked < 500 || inside < 2500 {
		t.Errorf("only %d scopes and %d neighbours were looked at", asked, inside)
	}
}

// What one resolver is told parts the addresses too, also where a subnet is that
// of the resolver itself.
func TestScopesPartTheAddressesOfAResolver(t *testing.T) {
	table := testTable(t, "answers-pools.txtar")
	for _, resolver := range []string{"9.9.9.9", "10.0.0.1", "11.0.0.1", "100.0.0.1", "172.32.0.1", "192.0.0.1", "fd00::1", "2001:db8::1"} {
		var told []netip.Prefix
		asker := netip.MustParseAddr(resolver)
		for _, subnet := range []string{resolver, "9.9.9.0", "10.0.0.0", "11.0.0.0", "100.0.0.0", "128.0.0.1", "172.32.0.0", "192.0.0.0", "192.168.0.0", "fd00::", "2001:db8::"} {
			client := netip.MustParseAddr(subnet)
			a := table.Answer(Question{Name: "near.example.org.", Type: dns.TypeA, Client: client, Resolver: asker}, rand.NewPCG(1, 1))
			told = append(told, netip.PrefixFrom(client, a.ScopeBits).Masked())
		}
		for _, one := range told {
			for _, other := range told {
				if one != other && one.Overlaps(other) {
					t.Errorf("%s is told of %v and of %v", resolver, one, other)
				}
			}
		}
	}
}

// neighbourOfMapped gives an IPv6 address with few bits, beside the IPv4-mapped
// addresses.
func neighbourOfMapped(r *rand.Rand) netip.Addr {
	address := [16]byte{10: 0xff, 11: 0xff, 12: byte(r.Uint32()), 15: byte(r.Uint32())}
	bit := 95 - r.IntN(40)
	address[bit/8] ^= 0x80 >> (bit % 8)
	return netip.AddrFrom16(address)
}

func lastWithin(network netip.Prefix) netip.Addr {
	address := network.Addr().AsSlice()
	for i := network.Bits(); i < 8*len(address); i++ {
		address[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(address)
	return last
}

func addressWithin(r *rand.Rand, network netip.Prefix) netip.Addr {
	address := network.Addr().AsSlice()
	kind := r.IntN(3) // the first, the last, or any
	for i := network.Bits(); i < 8*len(address); i++ {
		if kind == 1 || kind == 2 && r.IntN(2) == 0 {
			address[i/8] |= 0x80 >> (i % 8)
		}
	}
	inside, _ := netip.AddrFromSlice(address)
	return inside
}
