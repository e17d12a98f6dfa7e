package selection

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
)

// spread gives n candidates with skewed weights, spread over the world.
func spread(n int) []Candidate {
	r := seeded(7)
	candidates := make([]Candidate, n)
	for i := range candidates {
		place := country(pick(r, someCountries[1:]), "")
		place.Continent = continentOf[place.Country]
		place.ASN = uint32(1 + r.IntN(n))
		place.HasCoordinates, place.Latitude, place.Longitude = true, r.Float64()*160-80, r.Float64()*360-180
		candidates[i] = candidate(fmt.Sprintf("m%d", i), uint32(1+r.IntN(1000)), within(place))
	}
	candidates[0].Exclude = &pool.Rules{Countries: []string{"FR"}, Networks: networks("127.0.0.0/16", "2001:db8::/32").Networks}
	return candidates
}

func BenchmarkChoose(b *testing.B) {
	berlin := geo.Place{ASN: 3, Country: "DE", Continent: "EU", HasCoordinates: true, Latitude: 52.5, Longitude: 13.4}
	for _, policy := range []pool.Policy{atLeast(near1, 3), atLeast(distance1, 3)} {
		c := New(policy, pool.AnswerAll, spread(50))
		client := Client{Address: netip.MustParseAddr("127.1.2.3"), Place: berlin, Bits: 24}
		b.Run(string(policy.Nearness)+" from memory", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Choose(client)
			}
		})
		b.Run(string(policy.Nearness)+" from memory, parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					c.Choose(client)
				}
			})
		})
		for _, n := range []int{50, 1000} {
			c := New(policy, pool.AnswerAll, spread(n))
			b.Run(fmt.Sprintf("%s, %d candidates, the rule itself", policy.Nearness, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					c.decide(client)
				}
			})
		}
	}
}

func BenchmarkDraw(b *testing.B) {
	for _, of := range []int{5, 50, 1000} {
		choice, _ := New(capped(plain, 0.3), pool.AnswerAll, spread(of)).Choose(Client{})
		for _, n := range []int{1, 4} {
			b.Run(fmt.Sprintf("%d of %d", n, of), func(b *testing.B) {
				source := rand.NewChaCha8([32]byte{1, 2})
				into := make([]int, 0, n)
				b.ReportAllocs()
				for b.Loop() {
					into = choice.Draw(source, n, into[:0])
				}
			})
		}
	}
}

// members gives n candidates with skewed weights in some of these countries.
func members(n int, countries ...string) []Candidate {
	r := seeded(11)
	candidates := make([]Candidate, n)
	for i := range candidates {
		place := geo.Resolve(&pool.Location{Country: countries[i%len(countries)]})
		candidates[i] = candidate(fmt.Sprintf("m%d", i), uint32(1+r.IntN(1000)), within(place))
	}
	return candidates
}

var manyCountries = []string{"DE", "FR", "US", "JP", "IN", "BR", "ZA", "AU", "NL", "SE", "GB", "CA", "SG", "PL", "IT", "ES"}

// classesToMeasure are lists of candidates at the embedded countries.
func classesToMeasure(b *testing.B) (m *geo.Map, lists map[string]struct {
	policy     pool.Policy
	candidates []Candidate
},
) {
	b.Helper()
	m, _, err := geo.Embedded()
	if err != nil {
		b.Fatal(err)
	}
	return m, map[string]struct {
		policy     pool.Policy
		candidates []Candidate
	}{
		"near 1, 5 in 5 countries":        {near1, members(5, manyCountries[:5]...)},
		"near 3, 50 in 16 countries":      {atLeast(near1, 3), members(50, manyCountries...)},
		"near 3, 1000 in 16 countries":    {atLeast(near1, 3), members(1000, manyCountries...)},
		"distance 3, 50 in 16 countries":  {atLeast(distance1, 3), members(50, manyCountries...)},
		"none, 5 with a network in rules": {plain, append(members(5, manyCountries...), candidate("x", 1, exclude(networks("127.0.0.0/16", "2001:db8::/32"))))},
	}
}

func BenchmarkClassesNew(b *testing.B) {
	m, lists := classesToMeasure(b)
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		list := lists[name]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var classes *Classes
			for b.Loop() {
				classes, _ = NewClasses(list.policy, list.candidates, m)
			}
			b.ReportMetric(float64(classes.Size()), "size-B")
			b.ReportMetric(float64(classes.Ranges()), "ranges")
			b.ReportMetric(float64(classes.Len()), "classes")
		})
	}
}

func BenchmarkClassesKey(b *testing.B) {
	_, lists := classesToMeasure(b)
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				ClassesKey(lists[name].policy, lists[name].candidates)
			}
		})
	}
}

// BenchmarkClassesOf asks for random addresses.
func BenchmarkClassesOf(b *testing.B) {
	m, lists := classesToMeasure(b)
	r := seeded(12)
	families := map[string][]netip.Addr{"IPv4": make([]netip.Addr, 1<<16), "IPv6": make([]netip.Addr, 1<<16)}
	for i := range 1 << 16 {
		families["IPv4"][i] = netip.AddrFrom4([4]byte{byte(1 + r.IntN(223)), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
		// Within what registries have given out, mostly.
		six := [16]byte{0x2a, byte(r.IntN(16)), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}
		families["IPv6"][i] = netip.AddrFrom16(six)
	}
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		classes, ok := NewClasses(lists[name].policy, lists[name].candidates, m)
		if !ok {
			b.Fatal("no classes")
		}
		for _, family := range []string{"IPv4", "IPv6"} {
			addresses := families[family]
			b.Run(name+"/"+family, func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					classes.Of(addresses[i&(1<<16-1)])
					i++
				}
			})
		}
	}
}

func BenchmarkNew(b *testing.B) {
	candidates := spread(1000)
	for _, policy := range []pool.Policy{plain, atLeast(near1, 3), atLeast(distance1, 3)} {
		b.Run(fmt.Sprintf("%s, 1000 candidates", policy.Nearness), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				New(policy, pool.AnswerAll, candidates)
			}
		})
	}
}
