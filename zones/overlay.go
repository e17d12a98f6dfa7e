package zones

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mirrorpool/pool"
)

// layOver finds every pool's zone, builds the zones, and checks what only all
// of them together can tell.
func (p *parser) layOver() {
	apexes := make([]string, 0, len(p.drafts))
	for apex := range p.drafts {
		apexes = append(apexes, apex)
	}
	slices.Sort(apexes)
	for i, one := range p.definition.Pools {
		p.placePool(i, one, apexes)
	}
	for _, apex := range apexes {
		p.build(p.drafts[apex])
	}
	followed := map[*Node]bool{}
	for _, apex := range apexes {
		d := p.drafts[apex]
		p.linkParent(d)
		p.checkAliases(d, followed)
		p.checkTargets(d)
	}
}

// orPublished is the other way out for a pool that lies in no zone.
const orPublished = ", or a node that publishes it in a zone elsewhere"

// placePool finds the deepest zone that a pool's name lies in.
func (p *parser) placePool(index int, one *pool.Pool, apexes []string) {
	if one.Name == "" {
		return // its name is wrong in itself, which is reported already
	}
	refuse := func(found, expected string) {
		p.add(pool.Problem{
			Position: one.NamePosition, Severity: pool.Error,
			What: fmt.Sprintf("pools[%d].name", index), Found: found, Expected: expected,
		})
	}
	name := canonical(dns.Fqdn(one.Name))
	d, found := deepest(p.drafts, name)
	if !found {
		switch {
		case p.elsewhere[name]: // it is published there
		case p.unreadable: // its zone may be the one that could not be told
		case len(apexes) == 0:
			refuse(fmt.Sprintf("%q, and no zones", one.Name), "a file zones/NAME.zone of a zone that it lies in"+orPublished)
		default:
			refuse(fmt.Sprintf("%q, which lies in no zone", one.Name), "a name in "+listed(apexes)+orPublished)
		}
		return
	}
	if other, taken := d.pools[name]; taken {
		refuse(fmt.Sprintf("%q again", one.Name), fmt.Sprintf("another name: this is pools[%d]'s", other))
		return
	}
	d.pools[name] = index
	switch hider, kind := d.cover(name); {
	case hider == nil:
	case kind == dns.TypeNS && hider.name == name:
		refuse(fmt.Sprintf("%q, which %s delegates", one.Name, d.place(hider, kind)), "a name that the zone itself answers for")
	default:
		refuse(fmt.Sprintf("%q, which lies below the %s record of %s", one.Name, dns.Type(kind), d.place(hider, kind)),
			"a name that the zone itself answers for")
	}
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeCNAME} {
		if set := d.owners[name].set(kind); set != nil {
			p.refuse(d, set.records[0], "a record at a pool's name", fmt.Sprintf("none: the pool at %s gives the addresses", one.NamePosition))
		}
	}
}

func (d *draft) place(o *owner, kind uint16) string {
	return pool.Position{File: d.file, Line: o.set(kind).records[0].line}.String()
}

// listed names at most a handful of names.
func listed(names []string) string {
	const most = 8
	if len(names) > most {
		return fmt.Sprintf("%s, or %d others", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, " or ")
}

// cover gives what hides a name from the zone's own data: the topmost
// delegation at or above it, or DNAME above it. A delegation itself is its own
// cover.
func (d *draft) cover(name string) (hider *owner, kind uint16) {
	if name == d.apex || name == "." {
		return nil, 0
	}
	above := parent(name)
	if hider, kind = d.cover(above); hider != nil {
		return hider, kind
	}
	if o := d.owners[above]; o.set(dns.TypeDNAME) != nil {
		return o, dns.TypeDNAME
	}
	if o := d.owners[name]; o.set(dns.TypeNS) != nil {
		return o, dns.TypeNS
	}
	return nil, 0
}

// build makes the draft's zone.
func (p *parser) build(d *draft) {
	z := &Zone{Apex: d.apex, File: d.file, nodes: map[string]*Node{}}
	d.zone = z
	z.ensure(d.apex)
	for _, o := range d.owners {
		for _, set := range o.sets {
			set.finish()
		}
	}
	servers := d.serverNames()
	for _, name := range d.sortedOwners() {
		p.buildNode(d, d.owners[name], servers)
	}
	for name, index := range d.pools {
		z.ensure(name).Pool = index
		z.pools = append(z.pools, name)
	}
	slices.Sort(z.pools)
	for name := range z.nodes {
		z.names = append(z.names, name)
	}
	slices.Sort(z.names)
	p.addAdditional(d)
	z.Records = d.count()
	if soa := z.nodes[d.apex].set(dns.TypeSOA); soa != nil {
		z.SOA, _ = soa.Records[0].(*dns.SOA)
		z.SOA.Serial = 0
	}
	z.layOut()
}

// buildNode gives the zone what an owner has to serve, and warns of the rest.
func (p *parser) buildNode(d *draft, o *owner, servers map[string]bool) {
	hider, kind := d.cover(o.name)
	var kept []RRset
	for _, set := range o.sets {
		isAddress := set.kind == dns.TypeA || set.kind == dns.TypeAAAA
		switch {
		case hider == nil,
			hider == o && (set.kind == dns.TypeNS || set.kind == dns.TypeDS):
			kept = append(kept, RRset{Type: set.kind, Records: set.rrs()})
		case kind == dns.TypeNS && isAddress && servers[o.name]:
			d.zone.glue = append(d.zone.glue, RRset{Type: set.kind, Records: set.rrs()})
		default:
			set.hidden = true
			p.warn(d, set.records[0], fmt.Sprintf("a name that the %s record of %s hides", dns.Type(kind), d.place(hider, kind)),
				"the record in the other zone; here it is left out")
		}
	}
	if len(kept) == 0 {
		return
	}
	slices.SortFunc(kept, func(a, b RRset) int { return int(a.Type) - int(b.Type) })
	node := d.zone.ensure(o.name)
	node.Sets = kept
	node.Name = kept[0].Records[0].Header().Name
	node.Delegation = hider == o
}

// ensure gives the node of a name, and makes it and those above it.
func (z *Zone) ensure(name string) *Node {
	if node := z.nodes[name]; node != nil {
		return node
	}
	node := &Node{Name: name, Pool: -1}
	z.nodes[name] = node
	if name == z.Apex || name == "." {
		return node
	}
	above := z.ensure(parent(name))
	if isWildcard(name) {
		above.Wildcard = node
	}
	return node
}

// finish gives all records of a set the lowest TTL and one spelling of the
// owner.
func (s *draftSet) finish() {
	lowest, name := s.records[0].rr.Header().Ttl, s.records[0].rr.Header().Name
	for _, r := range s.records {
		lowest = min(lowest, r.rr.Header().Ttl)
	}
	for _, r := range s.records {
		r.rr.Header().Ttl, r.rr.Header().Name = lowest, name
	}
}

func (s *draftSet) rrs() []dns.RR {
	out := make([]dns.RR, len(s.records))
	for i, r := range s.records {
		out[i] = r.rr
	}
	return out
}

// count gives the number of records that are served.
func (d *draft) count() int {
	total := 0
	for _, o := range d.owners {
		for _, set := range o.sets {
			if !set.hidden {
				total += len(set.records)
			}
		}
	}
	return total
}

// serverNames gives the names that the zone's NS records point to.
func (d *draft) serverNames() map[string]bool {
	names := map[string]bool{}
	for _, o := range d.owners {
		if hider, _ := d.cover(o.name); hider != nil && hider != o {
			continue
		}
		if set := o.set(dns.TypeNS); set != nil {
			for _, r := range set.records {
				names[canonical(target(r.rr))] = true
			}
		}
	}
	return names
}

// static gives the zones their common form.
func (p *parser) static() *Static {
	s := &Static{definition: p.definition, zones: map[string]*Zone{}}
	for apex, d := range p.drafts {
		s.zones[apex] = d.zone
		s.sorted = append(s.sorted, d.zone)
	}
	slices.SortFunc(s.sorted, func(a, b *Zone) int { return strings.Compare(a.Apex, b.Apex) })
	for _, one := range p.definition.Pools {
		zone, _ := deepest(s.zones, canonical(dns.Fqdn(one.Name)))
		s.pools = append(s.pools, zone)
	}
	s.index = newNameIndex(s)
	return s
}
