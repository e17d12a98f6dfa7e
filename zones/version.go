package zones

import (
	"iter"
	"slices"
	"sync"

	"github.com/miekg/dns"

	"mirrorpool/zones/signing"
)

// Version is the whole content of a zone at one serial, as it is transferred: what
// the zone file holds, with delegations and glue, and for each pool all members
// that are up, so that a server that draws nothing serves a plain round robin. It
// is immutable.
//
// What the zone file alone decides is shared by all versions of one commit: a
// version of its own has only what the pools give.
type Version struct {
	Apex string // canonical
	SOA  *dns.SOA

	body func() *body
}

// body is what a version consists of. It is put together when it is first asked
// for: who transfers nothing does not pay for it.
type body struct {
	*contents
	// variable are the parts at the places of the contents; nil: there is none.
	variable []*part
}

// Records are all records but the SOA itself, in the canonical order of their
// owners (RFC 4034, section 6.1), then by type; the records of one RRset stand
// together, and its signatures right behind it, also those of the SOA. The records
// are shared: copy before writing, and before packing with dns.PackRR, which writes
// the length.
func (v *Version) Records() iter.Seq[dns.RR] {
	return func(yield func(dns.RR) bool) {
		for one := range v.Transferred() {
			rr := one.Record
			if rr == nil {
				rr = one.signature.RR(one.owner)
			}
			if !yield(rr) {
				return
			}
		}
	}
}

// Transferred is a record of a version, or a signature that is not made into one:
// making them takes longer than all else that a transfer does.
type Transferred struct {
	Record    dns.RR // nil: it is a signature
	signature *signing.Signature
	owner     string
}

// Owner is the name that the signature belongs to.
func (t Transferred) Owner() string { return t.owner }

// AppendRest appends what stands behind the name of the signature's record in wire
// format.
func (t Transferred) AppendRest(wire []byte) []byte { return t.signature.AppendRecord(wire) }

// Transferred gives the same as Records does, at less cost.
func (v *Version) Transferred() iter.Seq[Transferred] {
	return func(yield func(Transferred) bool) {
		at := cursor{of: v.body()}
		for p := at.next(); p != nil; p = at.next() {
			for _, rr := range p.set.Records {
				if !yield(Transferred{Record: rr}) {
					return
				}
			}
			for i := range p.signatures {
				if !yield(Transferred{signature: &p.signatures[i], owner: p.set.Records[0].Header().Name}) {
					return
				}
			}
			if p.signatures != nil {
				continue
			}
			for _, rr := range p.rrsigs {
				if !yield(Transferred{Record: rr}) {
					return
				}
			}
		}
	}
}

// Size is how many bytes the records take in wire format, without compression, or up
// to two more for each key.
func (v *Version) Size() int {
	b := v.body()
	size := b.size
	for _, p := range b.variable {
		if p != nil {
			size += p.size()
		}
	}
	return size
}

// cursor walks over a version's parts in order.
type cursor struct {
	of                *body
	static, variables int // how many are behind it
}

// next gives the next part; nil behind the last.
func (c *cursor) next() *part {
	for c.variables < len(c.of.variable) && c.of.places[c.variables].before == c.static {
		c.variables++
		if p := c.of.variable[c.variables-1]; p != nil {
			return p
		}
	}
	if c.static == len(c.of.parts) {
		return nil
	}
	c.static++
	return &c.of.parts[c.static-1]
}

// Version gives what is transferred of a zone, given by its apex in any case; nil:
// there is no such zone. The catalog zone is one, and one of the repository that has
// its name is none.
func (t *Table) Version(apex string) *Version {
	apex = canonical(apex)
	if clash, is := t.catalogProblem.(*catalogClash); is && clash.apex == apex {
		return nil
	}
	if zone := t.zones[apex]; zone != nil {
		return zone.version
	}
	if t.catalog != nil && t.catalog.version.Apex == apex {
		return t.catalog.version
	}
	return nil
}

// SOA gives the SOA of a zone of the repository, given by its canonical apex, whether
// it is transferred or not; nil: there is no such zone. The record is shared.
func (t *Table) SOA(apex string) *dns.SOA {
	if zone := t.zones[apex]; zone != nil {
		return zone.version.SOA
	}
	return nil
}

// version makes a zone's version, or takes it over from the table before. What it
// costs grows with the number of the zone's pools, and not with that of its names.
func (t *Table) version(zone *servedZone, before *servedZone) *Version {
	if before != nil && before.Zone == zone.Zone && before.serial == zone.serial {
		return before.version
	}
	given := make([][2]*part, len(zone.pools)) // as in zone.pools
	for i, name := range zone.pools {
		given[i] = t.pools[zone.nodes[name].Pool].parts
	}
	// What is made later knows of this zone, and not of the table.
	static, signed := zone.Zone, zone.signed
	return &Version{
		Apex: zone.Apex, SOA: zone.soa[0].(*dns.SOA),
		body: sync.OnceValue(func() *body {
			if signed != nil {
				return signed.body(given)
			}
			return static.body(given)
		}),
	}
}

// body puts what pools give to what the zone file holds.
func (z *Zone) body(given [][2]*part) *body {
	b := &body{contents: z.contents}
	if len(z.contents.places) == 0 {
		return b
	}
	b.variable = make([]*part, len(z.contents.places))
	pools := make(map[int][2]*part, len(given))
	for i, name := range z.pools {
		pools[z.nodes[name].Pool] = given[i]
	}
	for i, place := range z.contents.places {
		b.variable[i] = pools[place.pool][kindIndex(place.kind)]
	}
	return b
}

// kindIndex is where an address type stands in addressKinds.
func kindIndex(kind uint16) int { return slices.Index(addressKinds[:], kind) }

// transfer makes the parts that transfers give of the pool.
func (s *compiledPool) transfer() (parts [2]*part) {
	for i, f := range []*family{s.ipv4, s.ipv6} {
		set := &RRset{Type: addressKinds[i]}
		for _, address := range f.given() {
			set.Records = append(set.Records, addressRecord(s.owner, s.source.TTL, address))
		}
		if len(set.Records) > 0 {
			p := newPart(s.owner, set)
			parts[i] = &p
		}
	}
	return parts
}

// NewVersion makes a version of records in any order, as a transfer gives them,
// without the SOA itself. They belong to the version from then on.
func NewVersion(soa *dns.SOA, records []dns.RR) *Version {
	type name struct {
		owner string
		kind  uint16
	}
	parts := map[name]*part{}
	for _, rr := range records {
		header := rr.Header()
		key := name{canonical(header.Name), header.Rrtype}
		signature, signs := rr.(*dns.RRSIG)
		if signs {
			key.kind = signature.TypeCovered
		}
		p := parts[key]
		if p == nil {
			p = &part{owner: key.owner, set: &RRset{Type: key.kind}}
			parts[key] = p
		}
		if signs {
			p.rrsigs = append(p.rrsigs, rr)
		} else {
			p.set.Records = append(p.set.Records, rr)
		}
	}
	var l layout
	for _, p := range parts {
		whole := part{owner: p.owner, set: p.set}
		if len(p.set.Records) > 0 {
			whole = newPart(p.owner, p.set)
		}
		whole.rrsigs = p.rrsigs
		l.add(whole)
	}
	own := &body{contents: l.contents()}
	return &Version{Apex: canonical(soa.Hdr.Name), SOA: soa, body: func() *body { return own }}
}
