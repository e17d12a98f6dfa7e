package zones

import (
	"slices"

	"github.com/miekg/dns"
)

// maxServiceNames bounds how many names one SVCB RRset makes additional data of.
const maxServiceNames = 32

// additional is the additional data of one RRset while it is collected. What it
// holds is bounded by what one message can: more is never sent.
type additional struct {
	draft *draft
	glue  map[string][]RRset // by canonical name
	kind  uint16             // of the RRset
	named map[string]bool    // canonical names whose addresses were looked for
	most  int                // of named
	size  int                // of out in a message, in bytes, at least
	short bool               // glue that a referral must have does not fit
	out   []Addition
}

// addAdditional gives the RRsets of a zone that is built their additional data.
//
// NS, MX, SRV, AFSDB, RT and KX records get the addresses that the zone has for
// the names that they point to (RFC 1035, section 3.3; RFC 1183; RFC 2230; RFC
// 2782), those that a wildcard gives included. At a delegation that is its glue, and
// what nobody can do without comes first (RFC 9471). SVCB records and those like them get besides, in alias
// mode, the records of the name that they point to (RFC 9460, section 4.1).
// Addresses of pools are drawn for each client, and are never additional data.
func (p *parser) addAdditional(d *draft) {
	glue := map[string][]RRset{}
	for _, set := range d.zone.glue {
		name := canonical(set.Records[0].Header().Name)
		glue[name] = append(glue[name], set)
	}
	for name, node := range d.zone.nodes {
		for i := range node.Sets {
			set := &node.Sets[i]
			a := additional{draft: d, glue: glue, kind: set.Type, named: map[string]bool{}, most: len(set.Records)}
			switch set.Type {
			case dns.TypeNS:
				a.servers(p, name, set)
			case dns.TypeMX, dns.TypeSRV, dns.TypeAFSDB, dns.TypeRT, dns.TypeKX:
				for _, rr := range set.Records {
					a.addresses(p, host(rr))
				}
			case dns.TypeSVCB, dns.TypeHTTPS:
				a.most = maxServiceNames
				a.services(p, name, node, set)
			}
			set.Additional = slices.Clip(a.out)
		}
	}
}

// servers collects the addresses of servers: those below the owner first.
func (a *additional) servers(p *parser, owner string, set *RRset) {
	for _, first := range []bool{true, false} {
		for _, rr := range set.Records {
			name := target(rr)
			key := canonical(name)
			if a.short || within(key, owner) != first {
				continue
			}
			if glue := a.glue[key]; len(glue) == 0 {
				a.addresses(p, name)
			} else if !a.named[key] {
				a.named[key] = true
				for i := range glue {
					a.addGlue(&glue[i], first)
				}
			}
		}
	}
}

// addGlue adds glue. Of that which a referral must have (RFC 9471 section 3.1) what
// does not fit is added as well, once: it makes every message a truncated one.
func (a *additional) addGlue(set *RRset, needed bool) {
	if !a.add(Addition{Records: set.Records}) && needed && !a.short {
		a.short = true
		a.out = append(a.out, Addition{Records: set.Records})
	}
}

// services collects what the SVCB records of an owner point to, each target once.
func (a *additional) services(p *parser, owner string, node *Node, set *RRset) {
	followed := map[string]bool{}
	for _, rr := range set.Records {
		service := serviceOf(rr)
		switch {
		case len(a.named) >= a.most:
			return
		case service == nil:
		case servesItself(rr) && isWildcard(owner):
			if !a.named["."] { // which no target is: it is the name that is asked for
				a.named["."] = true
				a.addressesOf(node, Addition{AtAsked: true})
			}
		case servesItself(rr):
			a.addresses(p, owner)
		case service.Target == ".":
			// The service is not there (RFC 9460, section 2.5.1).
		default:
			key := canonical(service.Target)
			a.addresses(p, service.Target)
			if service.Priority == 0 && !followed[key] {
				followed[key] = true
				a.alias(p, service.Target)
			}
		}
	}
}

// alias adds the records of the name that an SVCB record in alias mode points to.
// Theirs are found when they are asked for: many RRsets may lead to the same.
func (a *additional) alias(p *parser, name string) {
	node := a.find(p, name)
	if node == nil {
		return
	}
	if set := node.set(a.kind); set != nil {
		a.out = append(a.out, Addition{Records: set.Records, Owner: name, Service: set})
	}
}

// addresses adds the addresses of a name, once.
func (a *additional) addresses(p *parser, name string) {
	key := canonical(name)
	if a.named[key] || len(a.named) >= a.most {
		return
	}
	a.named[key] = true
	node := a.find(p, name)
	if node == nil {
		return
	}
	var of Addition
	if isWildcard(canonical(node.Name)) {
		of.Owner = name
	}
	a.addressesOf(node, of)
}

// addressesOf adds the addresses of a node with the owner of a kind of addition.
func (a *additional) addressesOf(node *Node, of Addition) {
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		if set := node.set(kind); set != nil {
			of.Records = set.Records
			a.add(of)
		}
	}
}

// add adds an RRset if it may fit a message behind the others: RRsets are sent
// whole, and in this order.
func (a *additional) add(one Addition) bool {
	size := leastSize(one.Records)
	if a.size+size > maxMessage {
		return false
	}
	a.size += size
	a.out = append(a.out, one)
	return true
}

// find gives the node that this zone answers from for a name; nil: another one
// does, or nothing is there.
func (a *additional) find(p *parser, name string) *Node {
	key := canonical(name)
	if !within(key, a.draft.apex) {
		return nil
	}
	if other, _ := deepest(p.drafts, key); other != a.draft {
		return nil
	}
	node, exact := a.draft.zone.find(key)
	if !exact {
		// Below a delegation or a DNAME there are no nodes, and so no wildcard.
		return node.Wildcard
	}
	return node
}

// target gives the name that an NS, MX or SRV record points to, which must not be
// an alias; or the empty string.
func target(rr dns.RR) string {
	switch rr := rr.(type) {
	case *dns.NS:
		return rr.Ns
	case *dns.MX:
		return rr.Mx
	case *dns.SRV:
		return rr.Target
	}
	return ""
}

// host gives the name whose addresses are additional data of a record, or the
// empty string.
func host(rr dns.RR) string {
	switch rr := rr.(type) {
	case *dns.AFSDB:
		return rr.Hostname
	case *dns.RT:
		return rr.Host
	case *dns.KX:
		return rr.Exchanger
	}
	return target(rr)
}

// serviceOf gives what all records have in common that are made like SVCB; or nil.
func serviceOf(rr dns.RR) *dns.SVCB {
	switch rr := rr.(type) {
	case *dns.SVCB:
		return rr
	case *dns.HTTPS:
		return &rr.SVCB
	}
	return nil
}

// servesItself reports whether a record is of a service at its owner (RFC 9460,
// section 2.5.2).
func servesItself(rr dns.RR) bool {
	service := serviceOf(rr)
	return service != nil && service.Target == "." && service.Priority > 0
}
