package dnsserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/health"
	"mirrorpool/testdraw"
	"mirrorpool/zones"
)

// subnetWorld is a table of random pools over random databases. Its networks are
// few and close together, so that they begin and end in each other and in the
// networks of rules.
type subnetWorld struct {
	table *zones.Table
	pools []*pool.Pool
	// edges are the first and last addresses of all networks, and those beside
	// them.
	edges []netip.Addr
}

func newSubnetWorld(t testing.TB, r *rand.Rand) *subnetWorld {
	t.Helper()
	w := &subnetWorld{}
	source, err := geo.Open(w.databases(t, r))
	if err != nil {
		t.Fatal(err)
	}
	definition, problems := pool.Parse(fstest.MapFS{
		"pools.json":              {Data: w.poolsFile(t, r)},
		"zones/example.test.zone": {Data: []byte("$TTL 60\n@ IN SOA ns h 1 2 3 4 5\n@ IN NS ns\nns IN A 127.0.0.1\n*.alias IN CNAME p0\n")},
	})
	if definition == nil {
		t.Fatalf("parsing pools: %v", problems)
	}
	static, problems := zones.Parse(definition)
	if static == nil {
		t.Fatalf("parsing zones: %v", problems)
	}
	states := map[health.Target]health.State{}
	for _, assignment := range health.Targets(definition) {
		if r.IntN(5) == 0 {
			states[assignment.Target] = health.State{Verdict: health.Down}
		} else {
			states[assignment.Target] = health.State{Verdict: health.Up}
		}
	}
	w.table, err = zones.Compile(zones.Input{
		Definition: definition, Static: static, Health: health.NewReport(states), Geo: source.Map(),
		SelfAddresses: []netip.Addr{netip.MustParseAddr("127.0.9.9")}, Now: time.Unix(1_700_000_000, 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.pools = definition.Pools
	return w
}

// databases writes some of the databases that there may be.
func (w *subnetWorld) databases(t testing.TB, r *rand.Rand) geo.Config {
	var config geo.Config
	directory := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if r.IntN(3) > 0 {
		config.City = write("city.mmdb", w.database(t, r, "City", func() mmdbtype.DataType {
			record := mmdbtype.Map{}
			if r.IntN(5) > 0 {
				record["country"] = mmdbtype.Map{"iso_code": mmdbtype.String(oneOf(r, subnetCountries))}
			}
			if r.IntN(2) == 0 {
				record["location"] = mmdbtype.Map{
					"latitude":  mmdbtype.Float64(r.IntN(4) * 20),
					"longitude": mmdbtype.Float64(r.IntN(4) * 30),
				}
			}
			return record
		}))
	}
	// With neither, there are the places of all countries.
	if r.IntN(3) == 0 || config.City == "" && !testdraw.Many(t) {
		config.Country = write("country.mmdb", w.database(t, r, "Country", func() mmdbtype.DataType {
			return mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(oneOf(r, subnetCountries))}}
		}))
	}
	if r.IntN(2) == 0 {
		config.ASN = write("asn.mmdb", w.database(t, r, "ASN", func() mmdbtype.DataType {
			return mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(oneOf(r, subnetASNs))}
		}))
	}
	if r.IntN(2) == 0 {
		overrides := map[string]any{}
		for range r.IntN(12) {
			place := map[string]any{}
			if r.IntN(2) == 0 {
				place["country"] = oneOf(r, subnetCountries)
			} else {
				place["continent"] = oneOf(r, []string{"EU", "AS", "NA"})
			}
			if r.IntN(2) == 0 {
				place["asn"] = oneOf(r, subnetASNs)
			}
			overrides[w.network(r).String()] = place
		}
		config.Overrides = write("overrides.json", marshal(t, overrides))
	}
	return config
}

// database writes a database of nested networks.
func (w *subnetWorld) database(t testing.TB, r *rand.Rand, kind string, record func() mmdbtype.DataType) []byte {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: kind, BuildEpoch: 1_780_000_000, IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	networks := map[netip.Prefix]bool{}
	for range 1 + r.IntN(30) {
		networks[w.network(r)] = true
	}
	wideFirst := func(a, b netip.Prefix) int {
		return a.Bits() - a.Addr().BitLen() - b.Bits() + b.Addr().BitLen()
	}
	ordered := slices.SortedFunc(maps.Keys(networks), netip.Prefix.Compare)
	slices.SortStableFunc(ordered, wideFirst)
	for _, network := range ordered {
		_, parsed, err := net.ParseCIDR(network.String())
		if err != nil {
			t.Fatal(err)
		}
		// One that holds what the format gives to IPv4 is not taken: never mind.
		_ = tree.Insert(parsed, record())
	}
	// Without one that says all, a database is refused for being of another kind.
	_, whole, _ := net.ParseCIDR("fd98::/16")
	if err := tree.Insert(whole, mmdbtype.Map{
		"country":                  mmdbtype.Map{"iso_code": mmdbtype.String("ZA")},
		"location":                 mmdbtype.Map{"latitude": mmdbtype.Float64(-30), "longitude": mmdbtype.Float64(25)},
		"autonomous_system_number": mmdbtype.Uint32(65009),
	}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := tree.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// poolsFile writes pools of every policy, with rules of every kind.
func (w *subnetWorld) poolsFile(t testing.TB, r *rand.Rand) []byte {
	t.Helper()
	var pools []any
	for i, policy := range []string{"near", "distance", "none", oneOf(r, []string{"near", "distance", "none"})} {
		var members []any
		for j := range 1 + r.IntN(8) {
			member := map[string]any{
				"id": fmt.Sprint("m", j), "weight": r.IntN(6), "reserve": r.IntN(6) == 0,
				"addresses": []string{fmt.Sprintf("127.200.%d.%d", i, j), fmt.Sprintf("fd99:%x::%x", i, j)}[r.IntN(2):],
			}
			switch r.IntN(4) {
			case 0:
				member["location"] = map[string]any{"country": oneOf(r, subnetCountries)}
			case 1:
				member["location"] = map[string]any{"country": oneOf(r, subnetCountries), "asn": oneOf(r, subnetASNs)}
			case 2:
				member["location"] = map[string]any{"latitude": float64(r.IntN(90)), "longitude": float64(r.IntN(90))}
			}
			if r.IntN(4) == 0 {
				member["exclude"] = w.rules(r)
			}
			if r.IntN(6) == 0 {
				member["only"] = w.rules(r)
			}
			members = append(members, member)
		}
		pools = append(pools, map[string]any{
			"name": fmt.Sprintf("p%d.example.test", i), "ttl": 60, "answers": 8,
			"health": map[string]any{"check": "tcp", "port": 80}, "members": members,
			"when_all_down": oneOf(r, []string{"all", "empty", "self"}),
			"geo": map[string]any{
				"policy": policy, "min_candidates": 1 + r.IntN(3), "max_share": oneOf(r, []float64{1, 0.5, 0.34}),
				"client_subnet": r.IntN(12) > 0,
			},
		})
	}
	return marshal(t, map[string]any{"version": 1, "pools": pools})
}

func (w *subnetWorld) rules(r *rand.Rand) map[string]any {
	rules := map[string]any{}
	for len(rules) == 0 {
		if r.IntN(3) == 0 {
			rules["countries"] = []string{oneOf(r, subnetCountries)}
		}
		if r.IntN(3) == 0 {
			rules["asns"] = []uint32{oneOf(r, subnetASNs)}
		}
		if r.IntN(5) == 0 {
			rules["continents"] = []string{"EU"}
		}
		if r.IntN(2) == 0 {
			rules["networks"] = []string{w.network(r).String(), w.network(r).String()}
		}
	}
	return rules
}

// network gives a network and notes its edges.
func (w *subnetWorld) network(r *rand.Rand) netip.Prefix {
	address := subnetAddress(r)
	least := 0
	if r.IntN(4) > 0 {
		least = address.BitLen() / 4 // the wide ones are few
	}
	network, err := address.Prefix(least + r.IntN(address.BitLen()-least+1))
	if err != nil {
		panic(err)
	}
	first, last := network.Addr(), lastOf(network)
	for _, edge := range []netip.Addr{first, last, first.Prev(), last.Next()} {
		if edge.IsValid() {
			w.edges = append(w.edges, edge)
		}
	}
	return network
}

// client gives an address, often one at an edge, in one of its forms.
func (w *subnetWorld) client(r *rand.Rand) netip.Addr {
	address := subnetAddress(r)
	if r.IntN(3) > 0 && len(w.edges) > 0 {
		address = oneOf(r, w.edges)
	}
	if address.Is4() && r.IntN(4) == 0 {
		return netip.AddrFrom16(address.As16())
	}
	return address
}

var (
	subnetCountries = []string{"DE", "FR", "US", "JP", "BR", "AU"}
	subnetASNs      = []uint32{65001, 65002, 65003, 4294967294}
)

func oneOf[T any](r *rand.Rand, all []T) T { return all[r.IntN(len(all))] }

// subnetAddress gives an address that is likely to be near to others, in its own
// form.
func subnetAddress(r *rand.Rand) netip.Addr {
	switch small := byte(r.IntN(3)); r.IntN(8) {
	case 0:
		return netip.AddrFrom4([4]byte{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
	case 1: // beside the IPv4-mapped ones, and within one /64 with them
		return netip.AddrFrom16([16]byte{7: byte(r.IntN(3) / 2), 10: 0xff, 11: []byte{0xfe, 0xfd, 0x80}[small], 15: byte(r.Uint32())})
	case 2:
		return netip.AddrFrom16([16]byte{byte(r.Uint32()), byte(r.Uint32()), 15: 1})
	case 3, 4:
		return netip.AddrFrom16([16]byte{0xfd, small, 0, byte(r.IntN(3)), 7: byte(r.Uint32()), 8: byte(r.IntN(2)) << 7, 15: byte(r.Uint32())})
	default:
		return netip.AddrFrom4([4]byte{127, small, byte(r.IntN(3)), byte(r.Uint32())})
	}
}

// lastOf is the last address of a network.
func lastOf(network netip.Prefix) netip.Addr {
	address := network.Masked().Addr().AsSlice()
	for i := network.Bits(); i < 8*len(address); i++ {
		address[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(address)
	return last
}

// within gives an address of a network: an edge in it, where there is one, its
// first or its last, or any.
func (w *subnetWorld) within(r *rand.Rand, network netip.Prefix) netip.Addr {
	switch r.IntN(4) {
	case 0:
		return network.Masked().Addr()
	case 1:
		return lastOf(network)
	case 2:
		for range min(20, len(w.edges)) {
			if edge := oneOf(r, w.edges); network.Contains(edge) {
				return edge
			}
		}
	}
	address := network.Masked().Addr().AsSlice()
	for i := network.Bits(); i < 8*len(address); i++ {
		address[i/8] |= byte(r.IntN(2)<<7) >> (i % 8)
	}
	inside, _ := netip.AddrFromSlice(address)
	return inside
}

// shares tells what the rule of choice gives to a client.
func (w *subnetWorld) shares(t testing.TB, one *pool.Pool, client netip.Addr, family int) string {
	t.Helper()
	e := w.table.ExplainPool(one.Name, client.Unmap(), family, nil)
	if e == nil {
		t.Fatalf("no explanation of %s", one.Name)
	}
	var out strings.Builder
	fmt.Fprint(&out, e.Mode)
	for _, c := range e.Candidates {
		fmt.Fprintf(&out, " %s=%.9f", c.ID, c.Share)
	}
	return out.String()
}

// unlocatedResolver gives an address that gets what a client gets of which nothing
// is known. With it, those in networks that are not routed get that too.
func (w *subnetWorld) unlocatedResolver(t testing.TB, r *rand.Rand, one *pool.Pool) (address netip.Addr, ok bool) {
	t.Helper()
	want4, want6 := w.shares(t, one, netip.Addr{}, 4), w.shares(t, one, netip.Addr{}, 6)
	for range 30 {
		address = subnetAddress(r)
		if w.shares(t, one, address, 4) == want4 && w.shares(t, one, address, 6) == want6 {
			return address, true
		}
	}
	return address, false
}

func marshal(t testing.TB, value any) []byte {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
