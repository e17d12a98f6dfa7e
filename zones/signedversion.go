package zones

import (
	"github.com/miekg/dns"

	"mirrorpool/zones/signing"
)

// layOut gives the contents of the zone as it is signed: behind each RRset its
// signatures, with NSEC and what the keys put at the apex.
func (s *staticSignatures) layOut() *contents {
	var l layout
	for _, p := range s.zone.contents.parts {
		if index, exact := s.chain.find(p.owner); exact {
			p.signatures = s.ofSet(index, p.set.Type)
		}
		l.add(p)
	}
	for i := range s.links {
		if denial := s.links[i].denial; denial != nil {
			l.add(denial.part(s.chain.links[i].name))
		}
	}
	for i := range s.apex {
		own := RRset{Type: s.apex[i].Type, Records: copies(s.apex[i].Records)}
		p := newPart(s.zone.Apex, &own)
		p.signatures = s.apexSignatures[i]
		l.add(p)
	}
	l.reserve(s.zone.Apex, dns.TypeSOA, -1)
	l.reservePools(s.zone, dns.TypeA, dns.TypeAAAA, dns.TypeNSEC)
	return l.contents()
}

// ofSet gives the signatures of an RRset of the zone file.
func (s *staticSignatures) ofSet(index int, kind uint16) []signing.Signature {
	sets := s.chain.links[index].node.Sets
	for i := range sets {
		if sets[i].Type == kind {
			return s.links[index].sets[i]
		}
	}
	return nil
}

func (d *denial) part(owner string) part {
	return part{owner: owner, set: &RRset{Type: dns.TypeNSEC, Records: d.records}, signatures: d.signatures}
}

// body puts what pools give, and the SOA's signatures, to what the zone file and
// the keys decide.
func (z *signedZone) body(given [][2]*part) *body {
	b := &body{contents: z.contents()}
	b.variable = make([]*part, len(b.places))
	numbers := make(map[int]int, len(given)) // in zone.pools, by the pool's number
	for i, name := range z.zone.pools {
		numbers[z.zone.nodes[name].Pool] = i
	}
	for i, place := range b.places {
		switch place.kind {
		case dns.TypeSOA:
			b.variable[i] = &part{owner: z.zone.Apex, set: &RRset{Type: dns.TypeSOA}, rrsigs: z.soa}
		case dns.TypeNSEC:
			index, _ := z.chain.find(z.zone.pools[numbers[place.pool]])
			p := z.pools[index].transferred.part(z.zone.pools[numbers[place.pool]])
			b.variable[i] = &p
		default:
			b.variable[i] = z.given(place, given[numbers[place.pool]])
		}
	}
	return b
}

// given signs what a pool gives of a type.
func (z *signedZone) given(at place, given [2]*part) *part {
	index := kindIndex(at.kind)
	family := z.families[at.pool][index]
	if given[index] == nil || family == nil || family.transferred == nil {
		return given[index]
	}
	p := *given[index]
	p.signatures = family.transferred.signatures
	return &p
}
