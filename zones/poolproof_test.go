package zones

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
)

// TestProofsDenyNoAddresses: the NSEC record of a name of which some clients get
// addresses denies none to them, whatever the client of which nothing is known gets.
func TestProofsDenyNoAddresses(t *testing.T) {
	for _, when := range []pool.WhenAllDown{pool.AnswerAll, pool.AnswerSelf} {
		in := wideInput(t, 3)
		p := in.Definition.Pools[0]
		p.WhenAllDown = when
		for _, m := range p.Members {
			m.Only = &pool.Rules{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
		}
		in.SelfAddresses = []netip.Addr{netip.MustParseAddr("203.0.113.1")}
		in.Health = reportWithout(p, 0, 1, 2)
		in.Geo = geo.NewMap(nil)
		table := compiled(t, in)
		client := netip.MustParseAddr("192.0.2.7")
		ask := func(kind uint16) Answer {
			return table.Answer(Question{Name: "dl.example.org.", Type: kind, Client: client, Resolver: client, DNSSEC: true}, rand.NewPCG(1, 2))
		}
		a, b := ask(dns.TypeA), ask(dns.TypeTXT)
		if len(a.Answer) == 0 {
			t.Fatalf("%s: the client gets no address", when)
		}
		seen := false
		for _, rr := range b.Authority {
			if nsec, ok := rr.(*dns.NSEC); ok {
				seen = true
				has := false
				for _, k := range nsec.TypeBitMap {
					has = has || k == dns.TypeA
				}
				if !has && len(a.Answer) > 0 {
					t.Errorf("%s: the NSEC record denies A, which this very client gets", when)
				}
			}
		}
		if !seen {
			t.Errorf("%s: nothing is proven", when)
		}
	}
}
