package zones

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/pool"
)

// rotationTable has two members with three addresses each of both families, and
// one with a single address.
func rotationTable(t *testing.T) *Table {
	t.Helper()
	one := &pool.Pool{
		Name: "dl.example.org", TTL: 60, Answers: 2, WhenAllDown: pool.AnswerAll,
		Policy: pool.Policy{Nearness: pool.None, MinCandidates: 1, MaxShare: 1},
		Health: pool.Check{Probe: pool.Probe{Kind: pool.CheckNone}},
	}
	for i, id := range []string{"a", "b"} {
		member := &pool.Member{ID: id, Weight: 1}
		for j := range 3 {
			member.Addresses = append(member.Addresses,
				netip.AddrFrom4([4]byte{127, byte(i + 1), 0, byte(j + 1)}), netip.AddrFrom16([16]byte{0: 0xfd, 14: byte(i + 1), 15: byte(j + 1)}))
		}
		one.Members = append(one.Members, member)
	}
	one.Members = append(one.Members, &pool.Member{ID: "single", Weight: 1, Addresses: []netip.Addr{netip.MustParseAddr("127.3.0.1")}})
	definition := &pool.Definition{
		Pools: []*pool.Pool{one},
		Zones: []pool.ZoneFile{{Path: "zones/example.org.zone", Data: []byte("$TTL 60\n@ SOA . . 1 2 3 4 5\n@ NS .\n")}},
	}
	static, problems := Parse(definition)
	if static == nil {
		t.Fatal(problems)
	}
	table, err := Compile(Input{Definition: definition, Static: static, Now: testNow})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// TestAddressesTakeTurns: of a member with several addresses each comes first
// equally often, the others follow in their order, and no address is lost.
func TestAddressesTakeTurns(t *testing.T) {
	table := rotationTable(t)
	const answers = 30_000
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		random, again := rand.NewPCG(7, uint64(kind)), rand.NewPCG(7, uint64(kind))
		first, drawn := map[netip.Addr]int{}, map[string]int{}
		for range answers {
			a := table.Answer(Question{Name: "dl.example.org.", Type: kind}, random)
			if b := table.Answer(Question{Name: "dl.example.org.", Type: kind}, again); !reflect.DeepEqual(a, b) {
				t.Fatalf("the same draws gave\n%s%s", answerText(a), answerText(b))
			}
			records := a.Answer
			for i, id := range a.Members {
				count := 3
				if id == "single" {
					count = 1
				}
				if a.MemberRecords[i] != count {
					t.Fatalf("%s has %d records, of %v", id, count, a.MemberRecords)
				}
				checkTurn(t, records[:count])
				first[addressOf(records[0])]++
				drawn[id]++
				records = records[count:]
			}
			if len(records) > 0 || a.Drawn != len(a.Answer) {
				t.Fatalf("%d records too many:\n%s", len(records), answerText(a))
			}
		}
		for i, member := range table.Definition.Pools[0].Members[:2] {
			// The 99.9th percentile of χ² with two degrees of freedom is 13.8.
			expected, square := float64(drawn[member.ID])/3, 0.0
			for _, address := range member.Addresses {
				if isOf(address, kind) {
					off := float64(first[address]) - expected
					square += off * off / expected
				}
			}
			if expected < answers/10 || square > 13.8 {
				t.Errorf("%s, member %d: χ² %.1f of %v", dns.Type(kind), i, square, first)
			}
		}
	}
}

// checkTurn: addresses end in 1, 2 and 3, and stand so from some start on.
func checkTurn(t *testing.T, records []dns.RR) {
	t.Helper()
	for i := 1; i < len(records); i++ {
		before, bytes := addressOf(records[i-1]).AsSlice(), addressOf(records[i]).AsSlice()
		if last := len(bytes) - 1; bytes[last] != before[last]%3+1 || bytes[last-2] != before[last-2] {
			t.Fatalf("%v after %v", bytes, before)
		}
	}
}
