package zones

import (
	"fmt"
	"strings"

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
	if above.guessed || d.guessed || kind == dns.TypeNS {
		return // delegated; or below a zone of others, who are to delegate it
	}
	line, column := 0, 0
	if set := d.owners[d.apex].set(dns.TypeSOA); set != nil {
		line, column = set.records[0].place()
	}
	if hider != nil {
		p.report(d, line, column, pool.Warning, "zone "+d.apex, "a zone below the DNAME record of "+above.place(hider, kind), "no zone there, or no DNAME")
		return
	}
	if above.mayHold(d.apex, dns.TypeNS) {
		return
	}
	p.report(d, line, column, pool.Warning, "zone "+d.apex,
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
				to := target(r.rr)
				if to == "" || to == "." {
					continue
				}
				if to = canonical(to); within(to, d.apex) {
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
	lost := d.mayHold(to, dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeNS)
	if !exact && node.Wildcard != nil {
		node, exact = node.Wildcard, true
		lost = d.lostSome() // the name may be there, and then no wildcard stands for it
	}
	switch {
	case kind == dns.TypeDNAME, hider == nil && exact && node.set(dns.TypeCNAME) != nil && (!lost || !isWildcard(canonical(node.Name))):
		p.warn(d, r, to+", which is an alias", "a name with addresses of its own: "+what+" records must not point to aliases (RFC 2181, section 10.3)")
	case r.kind != dns.TypeNS, lost:
	case kind == dns.TypeNS:
		// A delegation whose servers lie below another one is found through that.
		if own := d.owners[to]; (hider == o || o.name == d.apex) && own.set(dns.TypeA) == nil && own.set(dns.TypeAAAA) == nil {
			p.refuse(d, r, to+" without glue", "an A or AAAA record of it in this file: it lies below the delegation of "+d.place(hider, kind))
		}
	case !exact || node.Pool < 0 && node.set(dns.TypeA) == nil && node.set(dns.TypeAAAA) == nil:
		p.refuse(d, r, to+", which has no address", "a name with an A or AAAA record")
	}
}

// checkAliases warns of CNAME records that lead back to themselves: whoever
// asks for such a name gets no address. Every loop is reported once, at the
// record that it reaches first.
func (p *parser) checkAliases(d *draft, done map[*Node]bool) {
	for _, name := range d.sortedOwners() {
		at := alias{draft: d, node: d.zone.nodes[name]}
		if at.node == nil || at.node.set(dns.TypeCNAME) == nil {
			continue
		}
		var path []alias
		seen := map[*Node]int{}
		for ok := true; ok && !done[at.node]; at, ok = p.follow(at) {
			if start, again := seen[at.node]; again {
				p.warnLoop(path[start:])
				break
			}
			seen[at.node] = len(path)
			path = append(path, at)
		}
		for _, passed := range path {
			done[passed.node] = true
		}
	}
}

// alias is a node on the way through CNAME records, and the draft of its zone.
type alias struct {
	draft *draft
	node  *Node
}

// follow gives the node to which a node's CNAME record leads, through all zones.
func (p *parser) follow(from alias) (to alias, ok bool) {
	set := from.node.set(dns.TypeCNAME)
	if set == nil {
		return alias{}, false
	}
	cname, ok := set.Records[0].(*dns.CNAME)
	if !ok {
		return alias{}, false
	}
	name := canonical(cname.Target)
	d, ok := deepest(p.drafts, name)
	if !ok {
		return alias{}, false
	}
	if hider, _ := d.cover(name); hider != nil {
		return alias{}, false
	}
	node, exact := d.zone.find(name)
	if !exact && d.lostSome() { // the name may be there
		return alias{}, false
	}
	if !exact {
		node = node.Wildcard
	}
	return alias{d, node}, node != nil
}

// warnLoop reports a loop at its first record in the order of files and lines.
func (p *parser) warnLoop(loop []alias) {
	record := func(a alias) record { return a.draft.owners[canonical(a.node.Name)].set(dns.TypeCNAME).records[0] }
	first := 0
	for i, a := range loop {
		if before := loop[first]; a.draft == before.draft && record(a).line < record(before).line || a.draft.file < before.draft.file {
			first = i
		}
	}
	const most = 8
	var names []string
	for i := range loop[:min(len(loop), most)] {
		names = append(names, record(loop[(first+i)%len(loop)]).name)
	}
	if len(loop) > most {
		names = append(names, fmt.Sprintf("%d others", len(loop)-most))
	}
	p.warn(loop[first].draft, record(loop[first]), "a loop of aliases: "+strings.Join(append(names, names[0]), ", "),
		"aliases that end at a name with other records: nobody gets an answer from these")
}
