package zones

import (
	"slices"

	"github.com/miekg/dns"

	"mirrorpool/zones/signing"
)

// signatureRecords makes the RRSIG records of an RRset with an owner.
func signatureRecords(signatures []signing.Signature, owner string) []dns.RR {
	out := make([]dns.RR, len(signatures))
	for i := range signatures {
		out[i] = signatures[i].RR(owner)
	}
	return out
}

// sign adds the signatures of an RRset that was taken from a node.
func (l *lookup) sign(node *Node, kind uint16) { l.signAs(node, kind, l.name) }

func (l *lookup) signAs(node *Node, kind uint16, owner string) {
	if l.signed != nil {
		l.append(signatureRecords(l.signed.signaturesOf(node, kind), owner))
	}
}

// signedFamily gives the signatures of the pool that is drawn from; nil: they are not
// asked for, or not there.
func (l *lookup) signedFamily(served *servedPool) *signedFamily {
	if l.signed == nil {
		return nil
	}
	families := l.signed.families[l.node(served).Pool]
	if families == nil {
		return nil
	}
	return families[slices.Index(addressKinds[:], l.question.Type)]
}

// node gives the node of a pool in its zone.
func (l *lookup) node(served *servedPool) *Node { return l.zone.nodes[served.owner] }

// takeSigning answers with what signing adds to a node, and reports whether it did:
// the records of the keys, NSEC, and what questions for any type or for signatures
// get, which is one RRset that is signed (RFC 8482, section 4.1 and 7).
func (l *lookup) takeSigning(node *Node, kind uint16) bool {
	z := l.zone.signed
	if z == nil {
		return false
	}
	if set, signatures := z.set(node, kind); set != nil {
		l.append(owned(set.Records, l.name))
		if l.signed != nil {
			l.append(signatureRecords(signatures, l.name))
		}
		return true
	}
	if kind != dns.TypeNSEC && kind != dns.TypeRRSIG && (kind != dns.TypeANY || l.signed == nil) {
		return false
	}
	index, exact := z.chain.find(canonical(node.Name))
	if !exact {
		return false // an empty non-terminal
	}
	denial := z.link(index).denial
	if kind != dns.TypeRRSIG {
		l.append(owned(denial.records, l.name))
	}
	if kind == dns.TypeRRSIG || l.signed != nil {
		l.append(signatureRecords(denial.signatures, l.name))
	}
	return true
}

// signAdditional adds their signatures to RRsets of the additional section, where
// they come from signed zones of this table. Those that a wildcard gives have none:
// there is no room for the proof.
func (l *lookup) signAdditional(records []dns.RR) []dns.RR {
	if l.signed == nil || len(records) == 0 {
		return records
	}
	var out []dns.RR
	for len(records) > 0 {
		n := setLength(records)
		out = append(out, records[:n]...)
		header := records[0].Header()
		key := canonical(header.Name)
		if zone, found := deepest(l.table.zones, key); found && zone.signed != nil {
			if node := zone.nodes[key]; node != nil && !node.Delegation {
				out = append(out, signatureRecords(zone.signed.signaturesOf(node, header.Rrtype), header.Name)...)
			}
		}
		records = records[n:]
	}
	return out
}

// prove adds an NSEC record with its signatures to those of the authority section. Of
// a pool's there may be two that differ in their types: the one that denies more is
// given alone, since two would be one RRset that nobody has signed.
func (l *lookup) prove(d *denial) {
	if d == nil {
		return
	}
	for i, other := range l.proven {
		if other.replaces(d) {
			return
		}
		if d.replaces(other) {
			l.proven[i] = d
			return
		}
	}
	l.proven = append(l.proven, d)
}

// replaces reports whether a proof is one of the same link that denies as much as
// another.
func (d *denial) replaces(other *denial) bool {
	if d == other {
		return true
	}
	mine, ok := d.records[0].(*dns.NSEC)
	theirs, also := other.records[0].(*dns.NSEC)
	return ok && also && mine.Hdr.Name == theirs.Hdr.Name && mine.NextDomain == theirs.NextDomain && len(mine.TypeBitMap) <= len(theirs.TypeBitMap)
}

// proofs are the NSEC records of what was proven.
func (l *lookup) proofs() (records []dns.RR) {
	for _, d := range l.proven {
		records = append(records, d.records...)
		records = append(records, signatureRecords(d.signatures, d.records[0].Header().Name)...)
	}
	return records
}

// proveNameless proves that the name that is looked for is not there.
func (l *lookup) proveNameless() {
	if l.signed == nil {
		return
	}
	l.nameless++
	l.proveCovered(l.key)
}

// proveNoWildcard proves that there is no wildcard below the closest encloser.
func (l *lookup) proveNoWildcard(encloser *Node) {
	if l.signed == nil {
		return
	}
	name := canonical(encloser.Name)
	if name == "." {
		name = ""
	}
	l.proveCovered("*." + name)
}

func (l *lookup) proveCovered(name string) {
	if l.signed == nil {
		return
	}
	index, _ := l.signed.chain.find(name)
	l.prove(l.signed.link(index).denial)
}

// proveTypeless proves that a node has nothing of a type. An empty non-terminal is
// proven by the NSEC before it, whose next name lies below.
func (l *lookup) proveTypeless(node *Node, kind uint16) {
	if l.signed == nil {
		return
	}
	index, exact := l.signed.chain.find(canonical(node.Name))
	link := l.signed.link(index)
	denial := link.denial
	if at := slices.Index(addressKinds[:], kind); exact && at >= 0 && link.without[at] != nil {
		denial = link.without[at] // others get addresses
	}
	l.prove(denial)
}

// proveDelegation adds the DS records of a delegation, or the proof that it has none.
func (l *lookup) proveDelegation(node *Node) {
	if l.signed == nil {
		return
	}
	set := node.set(dns.TypeDS)
	if set == nil {
		index, _ := l.signed.chain.find(canonical(node.Name))
		l.prove(l.signed.link(index).denial)
		return
	}
	l.answer.Authority = appendShared(l.answer.Authority, set.Records)
	l.answer.Authority = appendShared(l.answer.Authority, signatureRecords(l.signed.signaturesOf(node, dns.TypeDS), node.Name))
}

// isSigningType reports whether signing adds records of a type to a zone.
func isSigningType(kind uint16) bool {
	switch kind {
	case dns.TypeDNSKEY, dns.TypeCDS, dns.TypeCDNSKEY, dns.TypeNSEC, dns.TypeRRSIG:
		return true
	}
	return false
}
