package selection

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
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
				source := rand.NewPCG(1, 2)
				into := make([]int, 0, n)
				b.ReportAllocs()
				for b.Loop() {
					into = choice.Draw(source, n, into[:0])
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
