package zones

import (
	"slices"

	"github.com/miekg/dns"
)

// maxServiceNames bounds how many names one SVCB RRset makes additional data of.
const maxServiceNames = 32

// additional is the additional data of one RRset while it is collected.
type additional struct {
	draft  *draft
	glue   map[string][]RRset // by canonical name
	kind   uint16             // of the RRset
	named  map[string]bool    // canonical names whose addresses were looked for
	most   int                // of named
	served []*Node            // whose records of the same type there are
	// own is the wildcard whose own addresses are added when the name that it
	// stands for is known; or nil.
	own *Node
	out []Addition
}

// addAdditional gives the RRsets of a zone that is built their additional data.
//
// NS, MX, SRV, AFSDB, RT and KX records get the addresses that the zone has for
// the names that they point to (RFC 1035, section 3.3; RFC 1183; RFC 2230; RFC
// 2782), those that a wildcard gives included. At a delegation that is its glue, and those that nobody can do without
// come first (RFC 9471). SVCB records and those like them get besides, in alias
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
				a.served, a.most = []*Node{node}, maxServiceNames
				if isWildcard(name) && slices.ContainsFunc(set.Records, servesItself) {
					a.own, set.OwnAddresses = node, true
				}
				a.services(p, name, set.Records)
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
			if within(canonical(name), owner) != first {
				continue
			}
			if glue := a.glue[canonical(name)]; len(glue) == 0 {
				a.addresses(p, name)
			} else if !a.named[canonical(name)] {
				a.named[canonical(name)] = true
				for _, set := range glue {
					a.out = append(a.out, Addition{Records: set.Records})
				}
			}
		}
	}
}

// services collects what SVCB records of an owner point to.
func (a *additional) services(p *parser, owner string, records []dns.RR) {
	for _, rr := range records {
		service := serviceOf(rr)
		switch {
		case service == nil:
		case servesItself(rr):
			a.addresses(p, owner)
		case service.Target == ".":
			// The service is not there (RFC 9460, section 2.5.1).
		default:
			a.addresses(p, service.Target)
			if service.Priority == 0 {
				a.alias(p, service.Target)
			}
		}
	}
}

// alias adds the records of the name that an SVCB record in alias mode points to.
func (a *additional) alias(p *parser, name string) {
	node := a.find(p, name)
	if node == nil || slices.Contains(a.served, node) || len(a.served) > maxAliases {
		return
	}
	set := node.set(a.kind)
	if set == nil {
		return
	}
	a.served = append(a.served, node)
	a.out = append(a.out, Addition{Records: set.Records, Owner: name})
	a.services(p, name, set.Records)
}

// addresses adds the addresses of a name, once.
func (a *additional) addresses(p *parser, name string) {
	key := canonical(name)
	if a.named[key] || len(a.named) >= a.most {
		return
	}
	a.named[key] = true
	node := a.find(p, name)
	if node == nil || node == a.own {
		return
	}
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		if set := node.set(kind); set != nil {
			addition := Addition{Records: set.Records}
			if isWildcard(canonical(node.Name)) {
				addition.Owner = name
			}
			a.out = append(a.out, addition)
		}
	}
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

// additions gives the records that are additional data of an RRset whoever asks.
func (s *RRset) additions() []dns.RR {
	switch {
	case len(s.Additional) == 0:
		return nil
	case len(s.Additional) == 1:
		return s.Additional[0].records()
	}
	count := 0
	for i := range s.Additional {
		count += len(s.Additional[i].Records)
	}
	out := make([]dns.RR, 0, count)
	for i := range s.Additional {
		out = append(out, s.Additional[i].records()...)
	}
	return out
}

// records gives the records with the owner that they are to have.
func (a *Addition) records() []dns.RR {
	if a.Owner == "" {
		return a.Records
	}
	return owned(a.Records, a.Owner)
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
