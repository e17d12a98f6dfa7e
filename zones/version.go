package zones

import (
	"iter"

	"github.com/miekg/dns"
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

	contents *contents
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
		at := v.cursor()
		for p := at.next(); p != nil; p = at.next() {
			for _, rr := range p.set.Records {
				if !yield(rr) {
					return
				}
			}
			for _, rr := range p.signatures {
				if !yield(rr) {
					return
				}
			}
		}
	}
}

// cursor walks over a version's parts in order.
type cursor struct {
	of                *Version
	static, variables int // how many are behind it
}

func (v *Version) cursor() cursor { return cursor{of: v} }

// next gives the next part; nil behind the last.
func (c *cursor) next() *part {
	v := c.of
	for c.variables < len(v.variable) && v.contents.places[c.variables].before == c.static {
		c.variables++
		if p := v.variable[c.variables-1]; p != nil {
			return p
		}
	}
	if c.static == len(v.contents.parts) {
		return nil
	}
	c.static++
	return &v.contents.parts[c.static-1]
}

// Version gives what is transferred of a zone, given by its apex in any case; nil:
// the table has no such zone.
func (t *Table) Version(apex string) *Version {
	if zone := t.zones[canonical(apex)]; zone != nil {
		return zone.version
	}
	return nil
}

// version makes a zone's version, or takes it over from the table before. What it
// costs grows with the number of the zone's pools, and not with that of its names.
func (t *Table) version(zone *servedZone, before *servedZone) *Version {
	soa := zone.soa[0].(*dns.SOA)
	if before != nil && before.Zone == zone.Zone && before.serial == zone.serial {
		return before.version
	}
	v := &Version{Apex: zone.Apex, SOA: soa, contents: zone.contents}
	if len(zone.contents.places) == 0 {
		return v
	}
	v.variable = make([]*part, len(zone.contents.places))
	for i, place := range zone.contents.places {
		v.variable[i] = t.pools[place.pool].transferred(place.kind)
	}
	return v
}

// transferred is all that a family of the pool gives now, as one RRset; nil: nothing.
func (s *servedPool) transferred(kind uint16) *part {
	if kind == dns.TypeA {
		return s.parts[0]
	}
	return s.parts[1]
}

// transfer makes the parts that transfers give of the pool.
func (s *compiledPool) transfer() (parts [2]*part) {
	for i, f := range []*family{s.ipv4, s.ipv6} {
		set := RRset{Type: [...]uint16{dns.TypeA, dns.TypeAAAA}[i]}
		for _, address := range f.given() {
			set.Records = append(set.Records, addressRecord(s.owner, s.source.TTL, address))
		}
		if len(set.Records) > 0 {
			p := newPart(s.owner, set, nil)
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
			p = &part{owner: key.owner, set: RRset{Type: key.kind}}
			parts[key] = p
		}
		if signs {
			p.signatures = append(p.signatures, rr)
		} else {
			p.set.Records = append(p.set.Records, rr)
		}
	}
	var l layout
	for _, p := range parts {
		if len(p.set.Records) > 0 {
			p.hash = p.set.hash(p.owner)
		}
		l.add(*p)
	}
	return &Version{Apex: canonical(soa.Hdr.Name), SOA: soa, contents: l.contents()}
}
