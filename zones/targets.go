package zones

import (
	"fmt"

	"github.com/miekg/dns"

	"mirrorpool/pool"
)

// linkParent finds the zone above, and warns if it does not know this one.
func (p *parser) linkParent(d *draft) {
	if d.apex == "." {
		return
	}
	above, found := deepest(p.drafts, parent(d.apex))
	if !found {
		return
	}
	d.zone.parent = above.zone
	hider, kind := above.cover(d.apex)
	if above.broken || kind == dns.TypeNS {
		return // delegated; or below a zone of others, who are to delegate it
	}
	line := 0
	if set := d.owners[d.apex].set(dns.TypeSOA); set != nil {
		line = set.records[0].line
	}
	if hider != nil {
		p.report(d, line, pool.Warning, "zone "+d.apex, "a zone below the DNAME record of "+above.place(hider, kind), "no zone there, or no DNAME")
		return
	}
	p.report(d, line, pool.Warning, "zone "+d.apex,
		fmt.Sprintf("no NS records for it in %s, so that other servers than this do not find it", above.file), "a delegation there")
}

// checkTargets checks what NS, MX and SRV records point to inside the zone.
func (p *parser) checkTargets(d *draft) {
	for _, name := range d.sortedOwners() {
		o := d.owners[name]
		for _, set := range o.sets {
			if set.hidden {
				continue
			}
			for _, r := range set.records {
				if to := target(r.rr); to != "" && to != "." && within(to, d.apex) {
					p.checkTarget(d, o, r, to)
				}
			}
		}
	}
}

func (p *parser) checkTarget(d *draft, o *owner, r record, to string) {
	hider, kind := d.cover(to)
	if other, _ := deepest(p.drafts, to); other != d && kind != dns.TypeNS {
		return // that zone's own affair
	}
	what := dns.Type(r.kind).String()
	node, exact := d.zone.find(to)
	if !exact && node.Wildcard != nil {
		node, exact = node.Wildcard, true
	}
	switch {
	case kind == dns.TypeDNAME, hider == nil && exact && node.set(dns.TypeCNAME) != nil:
		p.warn(d, r, to+", which is an alias", "a name with addresses of its own: "+what+" records must not point to aliases (RFC 2181, section 10.3)")
	case r.kind != dns.TypeNS:
	case kind == dns.TypeNS:
		// A delegation whose servers lie below another one is found through that.
		if own := d.owners[to]; (hider == o || o.name == d.apex) && own.set(dns.TypeA) == nil && own.set(dns.TypeAAAA) == nil {
			p.refuse(d, r, to+" without glue", "an A or AAAA record of it in this file: it lies below the delegation of "+d.place(hider, kind))
		}
	case !exact || node.Pool < 0 && node.set(dns.TypeA) == nil && node.set(dns.TypeAAAA) == nil:
		p.refuse(d, r, to+", which has no address", "a name with an A or AAAA record")
	}
}
