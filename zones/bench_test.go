package zones

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/health"
)

// benchInput is a zone with pools of eight members each, two of every country.
func benchInput(b *testing.B, pools int) Input {
	b.Helper()
	var zone strings.Builder
	zone.WriteString("$TTL 60\n@ IN SOA ns h 1 2 3 4 5\n@ IN NS ns\nns IN A 127.0.0.1\n*.dl0 IN CNAME dl0\n")
	definition := &pool.Definition{}
	states := map[health.Target]health.State{}
	for i := range pools {
		one := &pool.Pool{
			Name: fmt.Sprintf("dl%d.example.org", i), TTL: 60, Answers: 4, WhenAllDown: pool.AnswerAll,
			Policy: pool.Policy{Nearness: pool.Near, MinCandidates: 3, MaxShare: 0.5},
			Health: pool.Check{Probe: pool.Probe{Kind: pool.CheckTCP, Port: 80}},
		}
		for j := range 8 {
			address := netip.AddrFrom4([4]byte{127, byte(j), byte(i), 1})
			six := netip.AddrFrom16([16]byte{0xfd, 14: byte(i), 15: byte(j)})
			one.Members = append(one.Members, &pool.Member{
				ID: fmt.Sprint("m", j), Addresses: []netip.Addr{address, six}, Weight: uint32(1 + j),
				Location: &pool.Location{Country: []string{"DE", "US", "JP", "FR"}[j%4]},
			})
			for _, a := range []netip.Addr{address, six} {
				states[health.MemberTarget(one, a)] = health.State{Verdict: health.Up}
			}
		}
		definition.Pools = append(definition.Pools, one)
		fmt.Fprintf(&zone, "www%d IN CNAME dl%d\nstatic%d IN A 127.0.0.2\n", i, i, i)
	}
	definition.Zones = []pool.ZoneFile{{Path: "zones/example.org.zone", Data: []byte(zone.String())}}
	static, problems := Parse(definition)
	if static == nil {
		b.Fatal(problems)
	}
	return Input{
		Definition: definition, Static: static, Health: health.NewReport(states), Now: testNow,
		Geo: geo.NewMap(map[netip.Prefix]geo.Place{netip.MustParsePrefix("127.100.0.0/16"): {Country: "DE"}}),
	}
}

func BenchmarkAnswer(b *testing.B) {
	table, err := Compile(benchInput(b, 10))
	if err != nil {
		b.Fatal(err)
	}
	near := netip.MustParseAddr("127.100.0.1")
	for _, c := range []struct {
		name string
		q    Question
	}{
		{"static", Question{Name: "static3.example.org.", Type: dns.TypeA}},
		{"static-0x20", Question{Name: "Static3.Example.org.", Type: dns.TypeA}},
		{"pool", Question{Name: "dl3.example.org.", Type: dns.TypeA, Client: near}},
		{"pool-0x20", Question{Name: "DL3.example.org.", Type: dns.TypeA, Client: near}},
		{"pool-unlocated", Question{Name: "dl3.example.org.", Type: dns.TypeAAAA}},
		{"pool-cname", Question{Name: "www3.example.org.", Type: dns.TypeA, Client: near}},
		{"pool-wildcard", Question{Name: "25.dl0.example.org.", Type: dns.TypeA, Client: near}},
		{"nxdomain", Question{Name: "a.b.nowhere.example.org.", Type: dns.TypeA}},
		{"refused", Question{Name: "www.elsewhere.test.", Type: dns.TypeA}},
	} {
		b.Run(c.name, func(b *testing.B) {
			random := rand.NewPCG(1, 2)
			b.ReportAllocs()
			for b.Loop() {
				table.Answer(c.q, random)
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, pools := range []int{1, 10, 100} {
		b.Run(fmt.Sprint("pools-", pools), func(b *testing.B) {
			in := benchInput(b, pools)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Compile(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
