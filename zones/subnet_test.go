package zones

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// A pool that does not use the client subnet gives everybody what their resolver
// gets, for everybody; all others do not look at the resolver.
func TestAnswerForTheResolver(t *testing.T) {
	table := testTable(t, "answers-pools.txtar")
	de, jp := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("203.0.113.77")
	for _, c := range []struct {
		name             string
		client, resolver netip.Addr
		members          string
		scope            int
	}{
		{"near.example.org.", de, jp, "de", 24},
		{"near.example.org.", jp, de, "jp", 24},
		{"resolver.example.org.", de, jp, "jp", 0},
		{"resolver.example.org.", jp, de, "de", 0},
		{"resolver.example.org.", de, de, "de", 0},
		{"resolver.example.org.", netip.Addr{}, de, "de", 0},
		{"toresolver.example.org.", de, jp, "jp", 0},
	} {
		a := table.Answer(Question{Name: c.name, Type: dns.TypeA, Client: c.client, Resolver: c.resolver}, rand.NewPCG(1, 1))
		if got := strings.Join(a.Members, ","); got != c.members || a.ScopeBits != c.scope || a.PlaceDependent != (c.scope > 0) {
			t.Errorf("%s for %v by %v: members %s, scope %d, depends on place: %v; want %s, %d",
				c.name, c.client, c.resolver, got, a.ScopeBits, a.PlaceDependent, c.members, c.scope)
		}
	}
	for name, ignored := range map[string]bool{"near.example.org": false, "resolver.example.org": true} {
		e := table.ExplainPool(name, de, 4, nil)
		if e.SubnetIgnored != ignored || strings.Contains(e.String(), "client_subnet is false") != ignored {
			t.Errorf("%s: the client subnet is ignored: %v, want %v:\n%s", name, e.SubnetIgnored, ignored, e)
		}
	}
}
