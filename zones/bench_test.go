package zones

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/health"
)

// benchInput is a zone with pools of eight members each, two of every country.
func benchInput(b testing.TB, pools int) Input {
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

// BenchmarkCompile is a new commit: everything is compiled, zones included.
func BenchmarkCompile(b *testing.B) {
	for _, pools := range []int{1, 10, 100, 1000} {
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

// BenchmarkCompileHealth is a change of one member's health.
func BenchmarkCompileHealth(b *testing.B) {
	for _, pools := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint("pools-", pools), func(b *testing.B) {
			in := benchInput(b, pools)
			var reports [2]*health.Report
			for i, verdict := range []health.Verdict{health.Up, health.Down} {
				states := map[health.Target]health.State{}
				for target, state := range in.Health.All() {
					states[target] = state
				}
				one := in.Definition.Pools[0]
				states[health.MemberTarget(one, one.Members[0].Addresses[0])] = health.State{Verdict: verdict}
				reports[i] = health.NewReport(states)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				in.Health = reports[i%2]
				table, err := Compile(in)
				if err != nil {
					b.Fatal(err)
				}
				in.Previous = table
			}
		})
	}
}

// BenchmarkCompileTTL is a change of one member that comes near, so that the TTL is
// another one, and of nothing else: all pools have that member's target.
func BenchmarkCompileTTL(b *testing.B) {
	for _, signed := range []bool{false, true} {
		for _, pools := range []int{1, 10, 100, 1000} {
			b.Run(fmt.Sprint("pools-", pools, "-signed-", signed), func(b *testing.B) {
				in := benchInput(b, pools)
				if signed {
					signInput(b, &in, dns.ECDSAP256SHA256)
				}
				var reports [2]*health.Report
				for i := range reports {
					states := map[health.Target]health.State{}
					for target, state := range in.Health.All() {
						if strings.HasPrefix(target.Address.String(), "127.0.") {
							state.Change = in.Now.Add(time.Duration(40+i) * time.Second)
						}
						states[target] = state
					}
					reports[i] = health.NewReport(states)
				}
				var err error
				if in.Previous, err = Compile(in); err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					in.Health = reports[i%2]
					table, err := Compile(in)
					if err != nil {
						b.Fatal(err)
					}
					in.Previous = table
				}
			})
		}
	}
}

// BenchmarkParse is the zone file of a new commit with so many names.
func BenchmarkParse(b *testing.B) {
	for _, names := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprint("names-", names), func(b *testing.B) {
			definition := manyNames(names)
			b.ReportAllocs()
			for b.Loop() {
				if static, problems := Parse(definition); static == nil {
					b.Fatal(problems)
				}
			}
		})
	}
}

func manyNames(names int) *pool.Definition {
	var zone strings.Builder
	zone.WriteString("$TTL 60\n@ IN SOA ns h 1 2 3 4 5\n@ IN NS ns\nns IN A 127.0.0.1\n")
	for i := range names {
		fmt.Fprintf(&zone, "host%d IN A 127.%d.%d.%d\n", i, i>>16, i>>8&255, i&255)
	}
	return &pool.Definition{Zones: []pool.ZoneFile{{Path: "zones/example.org.zone", Data: []byte(zone.String())}}}
}

// BenchmarkAppend is the cost of a question on the wire path, which is not to
// grow with what is served.
func BenchmarkAppend(b *testing.B) {
	run := func(name string, table *Table, names []string) {
		b.Run(name, func(b *testing.B) {
			// As packets come: one piece of memory, read in order.
			var packets []byte
			for _, name := range names {
				var wire [256]byte
				length, err := dns.PackDomainName(name, wire[:], 0, nil, false)
				if err != nil {
					b.Fatal(err)
				}
				packets = append(packets, wire[:length]...)
			}
			q := Asked{Type: dns.TypeA, Client: netip.MustParseAddr("127.100.0.1"), Limit: 1232}
			var a Appended
			random, tally, message := rand.NewChaCha8([32]byte{1}), table.NewTally(), make([]byte, 64, 4096)
			b.ReportAllocs()
			for at := 0; b.Loop(); at %= len(packets) {
				at, _ = q.Name.Read(packets, at)
				if _, ok := table.Append(message, &q, random, tally, &a); !ok {
					b.Fatal("not answered")
				}
			}
		})
	}
	compiled := func(in Input) *Table {
		table, err := Compile(in)
		if err != nil {
			b.Fatal(err)
		}
		return table
	}
	for _, pools := range []int{1, 10, 100, 1000} {
		var names []string
		for i := range pools {
			names = append(names, fmt.Sprintf("dl%d.example.org.", i))
		}
		run(fmt.Sprint("pools-", pools), compiled(benchInput(b, pools)), names)
	}
	nothing := benchInput(b, 1)
	nothing.Definition.Pools[0].WhenAllDown, nothing.Definition.Pools[0].TTL = pool.AnswerEmpty, 4
	down := map[health.Target]health.State{}
	for target := range nothing.Health.All() {
		down[target] = isDown
	}
	nothing.Health = health.NewReport(down)
	run("nothing", compiled(nothing), []string{"dl0.example.org."})
	for _, members := range []int{10, 100, 1000} {
		run(fmt.Sprint("members-", members), compiled(manyMembers(b, members)), []string{"dl.example.org."})
	}
	for _, count := range []int{1, 1000, 100_000} {
		definition := manyNames(count)
		static, problems := Parse(definition)
		if static == nil {
			b.Fatal(problems)
		}
		var names, missing []string
		for i := range min(count, 10_000) {
			names = append(names, fmt.Sprintf("host%d.example.org.", i*7919%count))
			missing = append(missing, fmt.Sprintf("nobody%d.example.org.", i))
		}
		table := compiled(Input{Definition: definition, Static: static, Now: testNow})
		run(fmt.Sprint("names-", count), table, names)
		run(fmt.Sprint("missing-", count), table, missing)
	}
}

// manyMembers is a zone with one pool of so many members in many countries.
func manyMembers(b *testing.B, members int) Input {
	b.Helper()
	one := &pool.Pool{
		Name: "dl.example.org", TTL: 60, Answers: 4, WhenAllDown: pool.AnswerAll,
		Policy: pool.Policy{Nearness: pool.Near, MinCandidates: 3, MaxShare: 0.5},
	}
	for j := range members {
		one.Members = append(one.Members, &pool.Member{
			ID: fmt.Sprint("m", j), Addresses: []netip.Addr{netip.AddrFrom4([4]byte{127, 1, byte(j >> 8), byte(j)})}, Weight: uint32(1 + j%50),
			Location: &pool.Location{Country: []string{"DE", "US", "JP", "FR", "BR", "IN", "ZA", "AU"}[j%8]},
		})
	}
	definition := manyNames(1)
	definition.Pools = []*pool.Pool{one}
	static, problems := Parse(definition)
	if static == nil {
		b.Fatal(problems)
	}
	return Input{
		Definition: definition, Static: static, Now: testNow,
		Geo: geo.NewMap(map[netip.Prefix]geo.Place{netip.MustParsePrefix("127.100.0.0/16"): {Country: "DE"}}),
	}
}
