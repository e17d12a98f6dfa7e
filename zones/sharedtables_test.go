package zones

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
)

// differing is a zone with pools whose members stand in different countries, so
// that no two share their classes or draws.
func differing(t *testing.T, m *geo.Map, numbers ...int) Input {
	t.Helper()
	definition := manyNames(1)
	for _, number := range numbers {
		one := &pool.Pool{
			Name: fmt.Sprintf("dl%d.example.org", number), TTL: 60, Answers: 2, WhenAllDown: pool.AnswerAll,
			Policy: pool.Policy{Nearness: pool.Near, MinCandidates: 2, MaxShare: 1},
		}
		for j := range 5 {
			one.Members = append(one.Members, &pool.Member{
				ID: fmt.Sprint("m", j), Addresses: []netip.Addr{netip.AddrFrom4([4]byte{127, byte(j), byte(number), 1})}, Weight: uint32(1 + j + 10*number),
				Location: &pool.Location{Country: []string{"DE", "FR", "US", "JP", "BR", "IN", "ZA", "AU", "CA", "SE"}[(number+j*j)%10], ASN: uint32(64500 + number)},
			})
		}
		definition.Pools = append(definition.Pools, one)
	}
	static, problems := Parse(definition)
	if static == nil {
		t.Fatal(problems)
	}
	return Input{Definition: definition, Static: static, Now: testNow, Geo: m}
}

// However many different pools come and go, what is shared stays in its bounds,
// those that stay keep what they have, and those without room answer the same.
func TestSharedTablesAreBounded(t *testing.T) {
	places := map[netip.Prefix]geo.Place{}
	for i, country := range []string{"DE", "FR", "US", "JP", "BR", "IN", "ZA", "AU", "CA", "SE"} {
		places[netip.PrefixFrom(netip.AddrFrom4([4]byte{127, byte(16 * i)}), 12)] = geo.Place{Country: country}
	}
	m := geo.NewMap(places)
	free, err := Compile(differing(t, m, 1))
	if err != nil {
		t.Fatal(err)
	}
	bounds := tableBounds{classes: 7 * free.tables.classesSize / 2, draws: 5 * free.tables.drawsSize / 2}
	if free.tables.classesSize == 0 || free.tables.drawsSize == 0 {
		t.Fatal("there are no tables to bound")
	}
	var previous *Table
	for round, numbers := range [][]int{{1, 2, 3, 4, 5, 6}, {11, 12, 13, 1, 2, 3, 4, 5, 6}, {21, 22, 11, 12, 13, 1, 2, 3}, {21, 22, 23, 24}, {31, 32, 33, 34, 35, 21}} {
		in := differing(t, m, numbers...)
		want, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		in.Previous = previous
		table, err := compile(in, bounds)
		if err != nil {
			t.Fatal(err)
		}
		classes, draws, with := 0, 0, 0
		seen := map[any]bool{}
		for i, served := range table.pools {
			f := served.ipv4
			if f.classes != nil {
				with++
				if !seen[f.classes] {
					classes += f.classes.Size()
				}
				seen[f.classes] = true
			}
			for _, d := range f.draws {
				if d != nil && !seen[d] {
					draws += d.Size()
					seen[d] = true
				}
			}
			for _, client := range []string{"127.1.2.3", "127.40.0.1", "::1"} {
				q := Question{Name: served.definition.Name + ".", Type: dns.TypeA, Client: netip.MustParseAddr(client)}
				choice, _ := want.pools[i].ipv4.choose(m, q.Client)
				other, _ := f.choose(m, q.Client)
				if diff := cmp.Diff(choice.Shares, other.Shares); diff != "" {
					t.Errorf("round %d: %s to %s differs:\n%s", round, q.Name, client, diff)
				}
				if table.Answer(q, rand.NewPCG(1, 2)).Drawn != 2 {
					t.Errorf("round %d: %s draws something else than two", round, q.Name)
				}
			}
		}
		if classes > bounds.classes || draws > bounds.draws {
			t.Errorf("round %d: %d bytes of classes and %d of draws, want at most %d and %d", round, classes, draws, bounds.classes, bounds.draws)
		}
		if classes != table.tables.classesSize || draws != table.tables.drawsSize {
			t.Errorf("round %d: %d and %d bytes are counted, %d and %d used", round, table.tables.classesSize, table.tables.drawsSize, classes, draws)
		}
		if with < 2 || with == len(table.pools) {
			t.Errorf("round %d: %d of %d pools have classes: the bound was not tried", round, with, len(table.pools))
		}
		if previous != nil {
			for i, served := range table.pools {
				for _, before := range previous.pools {
					if before.definition.Name == served.definition.Name && before.ipv4.classes != nil && table.pools[i].ipv4.classes != before.ipv4.classes {
						t.Errorf("round %d: %s lost its classes", round, served.definition.Name)
					}
				}
			}
		}
		previous = table
	}
}
