package zones

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/selection"
)

// Given is all that a pool gives now to a client of which nothing is known, as
// one RRset for each family: what a server that draws nothing should serve.
type Given struct {
	Pool string // without the final dot
	TTL  uint32 // seconds, from the repository
	// IPv4 and IPv6 are sorted by address. Neither has an address where no member
	// with a weight has one of that family, or where all are down and the
	// repository wants no records then (EmptyByWish).
	IPv4, IPv6  []GivenAddress
	EmptyByWish bool
	// Members are all addresses of all members, up or not, sorted.
	Members []netip.Addr
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
	g := Given{
		Pool: s.definition.Name, TTL: s.definition.TTL,
		EmptyByWish: s.definition.WhenAllDown == pool.AnswerEmpty && (s.ipv4.isEmptyByWish() || s.ipv6.isEmptyByWish()),
	}
	weights := s.addressWeights()
	for _, of := range []struct {
		family *family
		into   *[]GivenAddress
	}{{s.ipv4, &g.IPv4}, {s.ipv6, &g.IPv6}} {
		for _, address := range of.family.given() {
			weight, isMembers := weights[address]
			if !isMembers {
				weight = 1 // the node's own
			}
			*of.into = append(*of.into, GivenAddress{address, weight})
		}
	}
	for _, member := range s.definition.Members {
		for _, address := range member.Addresses {
			g.Members = append(g.Members, address.Unmap().WithZone(""))
		}
	}
	slices.SortFunc(g.Members, netip.Addr.Compare)
	g.Members = slices.Compact(g.Members)
	return g
}

// isEmptyByWish reports whether there are members, and none is given.
func (f *family) isEmptyByWish() bool { return f.served && f.mode == selection.Empty }

// addressWeights shares each member's weight out among its addresses of a family.
func (s *servedPool) addressWeights() map[netip.Addr]float64 {
	weights := map[netip.Addr]float64{}
	for _, member := range s.definition.Members {
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
