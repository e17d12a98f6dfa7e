package zones

// nodeLinks are the links of its zone's chain that prove what a node is and has not.
type nodeLinks struct {
	// self is the link of the node, or covers it if it is an empty non-terminal;
	// wildcard is that of the wildcard right below it, or covers it.
	self, wildcard linkNumber
}

// linkNumber is the number of a link, and whether it is the name's own.
type linkNumber uint32

const exactLink linkNumber = 1 << 31

func (n linkNumber) index() int    { return int(n &^ exactLink) }
func (n linkNumber) isExact() bool { return n&exactLink != 0 }

func numberOf(index int, exact bool) linkNumber {
	if exact {
		return linkNumber(index) | exactLink
	}
	return linkNumber(index)
}

// compileSigned renders what questions for signatures get, or takes it over from the
// table before, if nothing of it was signed anew.
func (t *Table) compileSigned(previous *Table) {
	if !t.signing {
		return
	}
	if previous.signsAs(t) {
		t.signedIndex = previous.signedIndex
	} else {
		t.signedIndex = newSignedIndex(t)
	}
	t.signedPools = make([]signedPool, len(t.pools))
	for _, zone := range t.served {
		if zone.signed == nil {
			continue
		}
		for number, families := range zone.signed.families {
			t.signedPools[number] = newSignedPool(families)
		}
	}
}

// signsAs reports whether another table has the same static signatures as one that
// is before it.
func (t *Table) signsAs(other *Table) bool {
	if t == nil || t.signedIndex == nil || t.static != other.static {
		return false
	}
	for i, zone := range t.served {
		if zone.signed.static() != other.served[i].signed.static() {
			return false
		}
	}
	return true
}

func (z *signedZone) static() *staticSignatures {
	if z == nil {
		return nil
	}
	return z.staticSignatures
}

// newSignedIndex renders all that the zone files and the keys decide.
func newSignedIndex(t *Table) *nameIndex {
	b := &indexBuilder{table: unpooled(t.static), signed: true, pooled: map[*denial]bool{}}
	for _, zone := range t.served {
		if zone.signed == nil {
			continue
		}
		signed := &signedZone{staticSignatures: zone.signed.staticSignatures, plan: zone.signed.plan, pools: zone.signed.pools}
		b.table.zones[zone.Apex].signed = signed
		for _, link := range signed.pools {
			b.pooled[link.denial] = true
			for _, without := range link.without {
				if without != nil {
					b.pooled[without] = true
				}
			}
		}
	}
	return indexOf(b)
}

// signing gives the signatures of a zone; nil: there are none, or they are not asked
// for.
func (b *indexBuilder) signing(zone *Zone) *signedZone { return b.table.zones[zone.Apex].signed }

// linksOf finds the links of a node.
func (b *indexBuilder) linksOf(zone *Zone, name string) (links nodeLinks) {
	signed := b.signing(zone)
	if signed == nil {
		return links
	}
	links.self = numberOf(signed.chain.find(name))
	wildcard := "*." + name
	if name == "." {
		wildcard = "*."
	}
	links.wildcard = numberOf(signed.chain.find(wildcard))
	return links
}

// signedPool is how a pool's sets are signed: A and AAAA.
type signedPool [2]struct {
	*signedFamily     // nil: it is not given, or not signed
	size          int // of a set's signatures, in bytes
}

func newSignedPool(families *[2]*signedFamily) (p signedPool) {
	for i, family := range families {
		if p[i].signedFamily = family; family == nil {
			continue
		}
		for _, set := range family.ahead {
			p[i].size = len(set.wire)
			break // all have the same
		}
	}
	return p
}

// of gives the signatures of the family that a type of question is about; nil: it is
// not signed.
func (p *signedPool) of(kind uint16) (family *signedFamily, size int) {
	for i := range addressKinds {
		if addressKinds[i] == kind {
			return p[i].signedFamily, p[i].size
		}
	}
	return nil, 0
}
