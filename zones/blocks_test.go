package zones

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/zones/signing"
)

// TestSignedAnswersOfManyPlacesAreWhole: a pool with more choices than can be signed
// for gives as many records with signatures as without, the same first one, and only
// members that the client may have; and nearly as many where the choices are not known.
func TestSignedAnswersOfManyPlacesAreWhole(t *testing.T) {
	countries := []string{"DE", "FR", "NL", "US", "CA", "JP", "CN", "IN", "BR", "AR", "ZA", "EG", "AU", "NZ", "SE", "NO", "FI", "PL", "IT", "ES"}
	in := wideInput(t, 120)
	one := in.Definition.Pools[0]
	one.Policy = pool.Policy{Nearness: pool.Distance, MinCandidates: 30, MaxShare: 0.5}
	for i, member := range one.Members {
		member.Location = &pool.Location{Country: countries[i%len(countries)]}
	}
	embedded, _, err := geo.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	in.Geo = embedded
	plan := in.Signing["example.org."]
	for _, c := range []struct {
		name   string
		bounds tableBounds
		whole  float64 // part of the answers that have all four records, at least
	}{
		{"choices known", defaultBounds, 1},
		{"choices not known", tableBounds{}, 0.4},
	} {
		table, err := compile(in, c.bounds)
		if err != nil {
			t.Fatal(err)
		}
		if known := table.pools[0].ipv4.choices != nil; known != (c.bounds == defaultBounds) {
			t.Fatalf("%s: choices known: %v", c.name, known)
		}
		random := rand.NewPCG(5, 6)
		whole, least := 0, 4
		const draws = 3000
		for range draws {
			client := netip.AddrFrom4([4]byte{byte(1 + random.Uint64()%220), byte(random.Uint64()), byte(random.Uint64()), 1})
			seed := random.Uint64()
			q := Question{Name: "dl.example.org.", Type: dns.TypeA, Client: client, Resolver: client}
			plain := table.Answer(q, rand.NewPCG(seed, 1))
			q.DNSSEC = true
			signed := table.Answer(q, rand.NewPCG(seed, 1))
			if plain.Members[0] != signed.Members[0] {
				t.Fatalf("%s: %s comes first without signatures, %s with", c.name, plain.Members[0], signed.Members[0])
			}
			if len(signed.Answer) == 4 {
				whole++
			}
			least = min(least, len(signed.Answer))
			checkCandidates(t, table, &signed, client, plan)
		}
		if part := float64(whole) / draws; part < c.whole || least < 2 {
			t.Errorf("%s: %.3f of the answers are whole, one has %d records", c.name, part, least)
		}
	}
}

// checkCandidates checks that all that was given is the client's, once, and signed.
func checkCandidates(t *testing.T, table *Table, a *Answer, client netip.Addr, plan *signing.Plan) {
	t.Helper()
	choice, _, _ := table.pools[0].ipv4.locate(table.geo, client, client)
	for i, id := range a.Members {
		at := slices.IndexFunc(table.pools[0].definition.Members, func(m *pool.Member) bool { return m.ID == id })
		if _, has := shareOf(choice, at); !has || slices.Contains(a.Members[:i], id) {
			t.Fatalf("%s is given to %s: %v", id, client, a.Members)
		}
	}
	if len(a.Signatures) != 1 {
		t.Fatalf("%d signatures", len(a.Signatures))
	}
	if err := a.Signatures[0].(*dns.RRSIG).Verify(plan.Published[0].Record, a.Answer); err != nil {
		t.Fatal(err)
	}
}

// TestBlocksDiffer: each round divides the members otherwise, whatever the size, and
// every member is in a block of each.
func TestBlocksDiffer(t *testing.T) {
	places := make([]geo.Place, 13)
	members := make([]int, len(places))
	for i := range members {
		members[i] = i
	}
	for size := 2; size <= 6; size++ {
		b := newBlocks(members, places, size)
		if len(b.rounds) != min(size, blockRounds) {
			t.Errorf("size %d: %d rounds", size, len(b.rounds))
		}
		for round := range b.rounds {
			for _, member := range members {
				if block := b.rounds[round][b.of[round][member]]; !slices.Contains(block, member) || len(block) != size {
					t.Errorf("size %d, round %d: member %d is in %v", size, round, member, block)
				}
			}
			for other := range round {
				if slices.EqualFunc(b.rounds[round], b.rounds[other], func(x, y []int) bool { return slices.Equal(x, y) }) {
					t.Errorf("size %d: rounds %d and %d are the same", size, other, round)
				}
			}
		}
	}
}
