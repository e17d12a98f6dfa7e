package zones

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"mirrorpool/pool"
)

// Given is all that a pool gives now to a client of which nothing is known, as
// one RRset for each family: what a server that draws nothing should serve.
type Given struct {
	Pool        string // without the final dot
	TTL         uint32 // seconds, from the repository
	WhenAllDown pool.WhenAllDown
	IPv4, IPv6  GivenFamily
	// Members are all addresses of all members, up or not, sorted.
	Members []netip.Addr
}

// GivenFamily is what a pool gives of one address family.
type GivenFamily struct {
	// Served: a member that has a weight has an address of this family.
	Served bool
	// Disabled: all of those are disabled on this node, by an administrator's word. No
	// address is given then, and what was put elsewhere is not to stay there.
	Disabled  bool
	Addresses []GivenAddress // sorted by address
}

// GivenAddress is an address with its part of its member's weight, above 0.
type GivenAddress struct {
	Address netip.Addr
	Weight  float64
}

// Given gives what a pool gives now; false: the table has no such pool. The name
// may have any case and a final dot or none. The slices are the caller's.
func (t *Table) Given(name string) (Given, bool) {
	key := canonical(dns.Fqdn(name))
	for _, served := range t.pools {
		if served.owner == key {
			return served.given(), true
		}
	}
	return Given{}, false
}

func (s *servedPool) given() Given {
	g := Given{Pool: s.definition.Name, TTL: s.definition.TTL, WhenAllDown: s.definition.WhenAllDown}
	weights := s.addressWeights()
	g.IPv4, g.IPv6 = s.ipv4.weighted(weights), s.ipv6.weighted(weights)
	for _, member := range s.definition.Members {
		for _, address := range member.Addresses {
			g.Members = append(g.Members, address.Unmap().WithZone(""))
		}
	}
	slices.SortFunc(g.Members, netip.Addr.Compare)
	g.Members = slices.Compact(g.Members)
	return g
}

// weighted gives what a family gives now, each address with its weight.
func (f *family) weighted(weights map[netip.Addr]float64) GivenFamily {
	g := GivenFamily{Served: f.served, Disabled: f.disabled()}
	for _, address := range f.given() {
		weight, isMembers := weights[address]
		if !isMembers {
			weight = 1 // the node's own
		}
		g.Addresses = append(g.Addresses, GivenAddress{address, weight})
	}
	return g
}

// addressWeights shares each member's weight out among its addresses of a family.
func (s *servedPool) addressWeights() map[netip.Addr]float64 {
	weights := map[netip.Addr]float64{}
	for i, member := range s.definition.Members {
		if s.standing.disables(i) {
			continue
		}
		for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
			count := 0
			for _, address := range member.Addresses {
				if isOf(address, kind) {
					count++
				}
			}
			for _, address := range member.Addresses {
				if isOf(address, kind) && member.Weight > 0 {
					weights[address.Unmap().WithZone("")] += float64(member.Weight) / float64(cmp.Or(count, 1))
				}
			}
		}
	}
	return weights
}
