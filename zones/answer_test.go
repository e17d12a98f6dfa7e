package zones

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/health"
)

// TestAnswersDoNotShareGrowth: appending to an answer must not reach the table,
// and so not another answer.
func TestAnswersDoNotShareGrowth(t *testing.T) {
	down := serialInput(t, strings.Replace(serialRepository, "SERIAL", "1", 1)+"www IN CNAME dl\nx IN TXT a\nx IN TXT b\nx IN TXT c\n",
		func(p *pool.Pool) { p.WhenAllDown = pool.AnswerSelf }, "a", "b", "c")
	for i := range 3 {
		down.SelfAddresses = append(down.SelfAddresses, netip.AddrFrom4([4]byte{127, 0, 0, byte(50 + i)}))
	}
	table, err := Compile(down)
	if err != nil {
		t.Fatal(err)
	}
	if self := table.pools[0].ipv4.self; len(self) != 3 || cap(self) == len(self) {
		t.Fatalf("%d records with room for %d: nothing could be seen", len(self), cap(self))
	}
	for _, q := range []Question{
		{Name: "dl.example.org.", Type: dns.TypeA},
		{Name: "www.example.org.", Type: dns.TypeA},
		{Name: "www.example.org.", Type: dns.TypeCNAME},
		{Name: "x.example.org.", Type: dns.TypeTXT},
		{Name: "example.org.", Type: dns.TypeSOA},
	} {
		random := rand.NewPCG(1, 1)
		one, two := table.Answer(q, random), table.Answer(q, random)
		if len(one.Answer) == 0 {
			t.Fatalf("%v got nothing", q)
		}
		mine := append(one.Answer, &dns.NULL{Data: "one"})
		_ = append(two.Answer, &dns.NULL{Data: "two"})
		if last := mine[len(mine)-1].(*dns.NULL); last.Data != "one" {
			t.Errorf("%v: what was appended to one answer is in another", q)
		}
	}
}

// TestSelfAddressesOnce: a node that names an address twice, or in two forms,
// gives it once.
func TestSelfAddressesOnce(t *testing.T) {
	in := serialInput(t, strings.Replace(serialRepository, "SERIAL", "1", 1),
		func(p *pool.Pool) { p.WhenAllDown = pool.AnswerSelf }, "a", "b", "c")
	in.Definition.Pools[0].Members[0].Addresses = append(in.Definition.Pools[0].Members[0].Addresses, netip.MustParseAddr("fd00::1"))
	in.Health = health.NewReport(map[health.Target]health.State{
		health.MemberTarget(in.Definition.Pools[0], netip.MustParseAddr("fd00::1")):    {Verdict: health.Down},
		health.MemberTarget(in.Definition.Pools[0], netip.MustParseAddr("127.0.0.10")): {Verdict: health.Down},
		health.MemberTarget(in.Definition.Pools[0], netip.MustParseAddr("127.0.0.11")): {Verdict: health.Down},
		health.MemberTarget(in.Definition.Pools[0], netip.MustParseAddr("127.0.0.12")): {Verdict: health.Down},
	})
	for _, text := range []string{"127.0.0.5", "fe80::1%a", "::ffff:127.0.0.5", "127.0.0.6", "fe80::1", "127.0.0.5", "fe80::2"} {
		in.SelfAddresses = append(in.SelfAddresses, netip.MustParseAddr(text))
	}
	table, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[uint16][]string{
		dns.TypeA: {"127.0.0.5", "127.0.0.6"}, dns.TypeAAAA: {"fe80::1", "fe80::2"},
	} {
		a := table.Answer(Question{Name: "dl.example.org.", Type: kind}, rand.NewPCG(1, 1))
		var got []string
		for _, rr := range a.Answer {
			got = append(got, addressOf(rr).String())
		}
		if diff := cmp.Diff(want, got); diff != "" || a.Drawn != len(want) {
			t.Errorf("%s, drawn %d (-expected +found):\n%s", dns.Type(kind), a.Drawn, diff)
		}
	}
}

// TestDNAMEOnce: however often a chain of aliases comes through a DNAME, the
// answer has it once.
func TestDNAMEOnce(t *testing.T) {
	zone := strings.Replace(serialRepository, "SERIAL", "1", 1) + `
a IN DNAME b
x.b IN CNAME Y.A
y.b IN A 127.0.0.7
z.b IN CNAME A
one IN DNAME two
two IN DNAME one
deep IN DNAME x.deep
`
	table, err := Compile(serialInput(t, zone, nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		kind    uint16
		dnames  int
		records int
	}{
		{"x.a.example.org.", dns.TypeA, 1, 5},     // DNAME, CNAME to x.b, to Y.A, to Y.b, A
		{"Z.a.example.org.", dns.TypeDNAME, 1, 3}, // DNAME, CNAME to Z.b, to A, which has the DNAME
		{"A.example.org.", dns.TypeDNAME, 1, 1},
		{"x.one.example.org.", dns.TypeA, 2, 4}, // there and back
		{"x.deep.example.org.", dns.TypeA, 1, 1 + maxAliases},
	} {
		a := table.Answer(Question{Name: c.name, Type: c.kind}, nil)
		var owners []string
		for _, rr := range a.Answer {
			if rr.Header().Rrtype == dns.TypeDNAME {
				owners = append(owners, canonical(rr.Header().Name))
			}
		}
		slices.Sort(owners)
		if len(owners) != c.dnames || len(slices.Compact(owners)) != c.dnames || len(a.Answer) != c.records {
			t.Errorf("%s %s: expected %d DNAME among %d records:\n%s", c.name, dns.Type(c.kind), c.dnames, c.records, answerText(a))
		}
	}
}
