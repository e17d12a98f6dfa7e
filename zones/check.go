package zones

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mirrorpool/pool"
)

// settle tells a draft's apex, groups its records by name and type, and checks
// what one zone alone can tell.
func (p *parser) settle(d *draft) {
	soa := p.findApex(d)
	if other := p.drafts[d.apex]; other != nil && !other.guessed {
		if d.guessed {
			return
		}
		line, column := soa.place()
		p.report(d, line, column, pool.Error, "zone "+d.apex, "a second file for the zone of "+other.file, "one file for every zone")
		return
	}
	p.drafts[d.apex] = d
	for _, r := range d.records {
		if p.belongs(d, r) {
			p.group(d, r)
		}
	}
	d.records = nil
	if soa != nil && !d.mayHold(d.apex, dns.TypeNS) && d.owners[d.apex].set(dns.TypeNS) == nil {
		p.report(d, soa.line, soa.column, pool.Error, "zone "+d.apex, "no NS record at the apex", "at least one")
	}
	for _, name := range d.sortedOwners() {
		p.checkOwner(d, d.owners[name])
	}
}

// findApex finds the SOA record; its owner is the apex, or else the origin is.
func (p *parser) findApex(d *draft) *record {
	var soa *record
	for i := range d.records {
		r := &d.records[i]
		switch {
		case r.kind != dns.TypeSOA:
		case soa == nil:
			soa = r
		default:
			p.refuse(d, *r, "a second SOA record", fmt.Sprintf("one in the zone: it is on line %d", soa.line))
		}
	}
	d.apex = d.origin
	switch {
	case soa != nil:
		d.apex = soa.name
	case d.lostSOA:
		d.guessed, p.unreadable = true, true
	case d.empty:
		p.report(d, 0, 0, pool.Error, "zone "+d.apex, "no records", "an SOA record, NS records, and what the zone is for")
	default:
		p.report(d, 0, 0, pool.Error, "zone "+d.apex, "no SOA record", "one, at the zone's apex")
	}
	return soa
}

// place gives line and column; 0 of no record.
func (r *record) place() (line, column int) {
	if r == nil {
		return 0, 0
	}
	return r.line, r.column
}

// belongs reports whether a record is to be served from this zone.
func (p *parser) belongs(d *draft, r record) bool {
	switch {
	case d.guessed && !within(r.name, d.apex):
	case !within(r.name, d.apex):
		p.refuse(d, r, "a name outside the zone", "names in "+d.apex+" (a name that is whole ends with a dot)")
	case r.kind == dns.TypeSOA:
		return r.name == d.apex && d.owners[d.apex].set(dns.TypeSOA) == nil
	case slices.Contains(signingTypes, r.kind):
		p.warn(d, r, "a DNSSEC record", "none: it is left out; zones are signed when they are served")
	case r.kind == dns.TypeDS && r.name == d.apex:
		p.warn(d, r, "a DS record at the apex", "it in the parent zone; here it is left out")
	case isWildcard(r.name) && (r.kind == dns.TypeNS || r.kind == dns.TypeDNAME):
		p.warn(d, r, "a wildcard", "another name: what this means is undefined (RFC 4592, section 4), and it is left out")
	default:
		return true
	}
	return false
}

// signingTypes are made when a zone is signed, and not taken from files.
var signingTypes = []uint16{
	dns.TypeSIG, dns.TypeNXT, dns.TypeRRSIG, dns.TypeNSEC, dns.TypeDNSKEY,
	dns.TypeNSEC3, dns.TypeNSEC3PARAM, dns.TypeCDS, dns.TypeCDNSKEY,
}

// group puts a record into its RRset. No owner without sets comes of it, and no set
// without records.
func (p *parser) group(d *draft, r record) {
	const (
		perRecord = 12                    // a compressed name, type, class, TTL, length
		room      = dns.MaxMsgSize - 1024 // a name, the question and EDNS go beside it
	)
	if size := perRecord + len(r.data); size > room {
		d.lose(r.name, r.kind)
		p.refuse(d, r, fmt.Sprintf("a record of %d bytes, more than one message holds", len(r.data)), fmt.Sprintf("at most %d", room-perRecord))
		return
	}
	o := d.owners[r.name]
	if o == nil {
		o = &owner{name: r.name}
		d.owners[r.name] = o
	}
	set := o.set(r.kind)
	if set == nil {
		set = &draftSet{kind: r.kind, seen: map[string][]record{}}
		o.sets = append(o.sets, set)
	}
	key := lower(r.data)
	for _, other := range set.seen[key] {
		if dns.IsDuplicate(other.rr, r.rr) {
			p.warn(d, r, fmt.Sprintf("the record of line %d again", other.line), "it once: the second is left out")
			return
		}
	}
	if size := set.size + perRecord + len(r.data); size > room {
		if set.size <= room {
			p.refuse(d, r, "more records of this name and type than one message holds", "fewer")
		}
		set.size = size
		return
	}
	set.size += perRecord + len(r.data)
	set.seen[key] = append(set.seen[key], r)
	first := r
	if len(set.records) > 0 {
		first = set.records[0]
	}
	if ttl, firstTTL := r.rr.Header().Ttl, first.rr.Header().Ttl; ttl != firstTTL && !r.guessedTTL && !first.guessedTTL {
		p.warn(d, r, fmt.Sprintf("TTL %d", ttl),
			fmt.Sprintf("the TTL of line %d, %d: the lowest is used for all (RFC 2181, section 5.2)", first.line, firstTTL))
	}
	set.records = append(set.records, r)
}

// checkOwner checks what stands together at one name.
func (p *parser) checkOwner(d *draft, o *owner) {
	if aliases := o.set(dns.TypeCNAME); aliases != nil {
		r := aliases.records[0]
		for _, other := range aliases.records[1:] {
			p.refuse(d, other, "a second CNAME record at its name", fmt.Sprintf("one: it is on line %d", r.line))
		}
		if len(o.sets) > 1 {
			p.refuse(d, r, "other records at the name of a CNAME: "+o.otherTypes(dns.TypeCNAME), "a CNAME alone at its name (RFC 1034, section 3.6.2)")
		}
	}
	if set := o.set(dns.TypeDNAME); set != nil {
		for _, other := range set.records[1:] {
			p.refuse(d, other, "a second DNAME record at its name", fmt.Sprintf("one: it is on line %d", set.records[0].line))
		}
		if o.name != d.apex && o.set(dns.TypeNS) != nil {
			p.refuse(d, set.records[0], "a DNAME at a delegation", "one of the two (RFC 6672, section 2.3)")
		}
	}
	if set := o.set(dns.TypeDS); set != nil && o.set(dns.TypeNS) == nil && !d.mayHold(o.name, dns.TypeNS) {
		p.warn(d, set.records[0], "a DS record where nothing is delegated", "NS records beside it; it is left out")
		o.sets = slices.DeleteFunc(o.sets, func(s *draftSet) bool { return s == set })
		if len(o.sets) == 0 {
			delete(d.owners, o.name)
		}
	}
}

func (o *owner) otherTypes(kind uint16) string {
	var types []string
	for _, set := range o.sets {
		if set.kind != kind {
			types = append(types, dns.Type(set.kind).String())
		}
	}
	slices.Sort(types)
	return strings.Join(types, ", ")
}

func (d *draft) sortedOwners() []string {
	names := make([]string, 0, len(d.owners))
	for name := range d.owners {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
