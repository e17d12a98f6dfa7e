package zones

import (
	"bytes"
	"crypto/sha256"
	"slices"

	"github.com/miekg/dns"
)

// part is one RRset as a transfer gives it: its records, and behind them their
// signatures where the zone is signed. It is immutable.
type part struct {
	owner      string // canonical
	set        RRset
	signatures []dns.RR
	// hash is that of owner, type, TTL and data. Parts with the same one have the
	// same records.
	hash [16]byte
}

func newPart(owner string, set RRset, signatures []dns.RR) part {
	return part{owner: owner, set: set, signatures: signatures, hash: set.hash(owner)}
}

// hash digests an RRset, in any order of its records.
func (s RRset) hash(owner string) (hash [16]byte) {
	d := newDigest()
	d.set(owner, s)
	copy(hash[:], d.Sum(nil))
	return hash
}

// contents is what a zone's versions have in common: the parts that the zone file
// decides, and the places between them of those that change. Versions share it.
type contents struct {
	parts  []part  // in canonical order (RFC 4034, section 6.1), then by type
	places []place // in the order of the parts before which they are
}

// place is where a part stands that a version decides: before that many of the
// parts of the contents.
type place struct {
	before int
	kind   uint16
	pool   int // whose records these are; -1: the apex's
}

// laid is a part or a place while contents are put in order.
type laid struct {
	key  []byte
	kind uint16
	part *part // nil: a place
	pool int
}

// layout collects what contents are made of.
type layout struct{ all []laid }

func (l *layout) add(p part) {
	l.all = append(l.all, laid{key: orderKey(p.owner), kind: p.set.Type, part: &p})
}

func (l *layout) reserve(owner string, kind uint16, pool int) {
	l.all = append(l.all, laid{key: orderKey(owner), kind: kind, pool: pool})
}

// contents puts all in order.
func (l *layout) contents() *contents {
	slices.SortStableFunc(l.all, func(a, b laid) int {
		if order := bytes.Compare(a.key, b.key); order != 0 {
			return order
		}
		return int(a.kind) - int(b.kind)
	})
	c := &contents{parts: make([]part, 0, len(l.all))}
	for _, one := range l.all {
		if one.part != nil {
			c.parts = append(c.parts, *one.part)
		} else {
			c.places = append(c.places, place{len(c.parts), one.kind, one.pool})
		}
	}
	return c
}

// layOut gives the contents of the zone as it is without signatures, and the digest
// of all that the zone file decides. The SOA record is each version's own. It packs
// records, which writes to them, and must not be called once the zone is shared.
func (z *Zone) layOut() {
	var l layout
	d := newDigest()
	d.text(z.Apex)
	for _, name := range z.names {
		node := z.nodes[name]
		for _, set := range node.Sets {
			if set.Type == dns.TypeSOA {
				d.set(name, set)
			} else {
				l.add(newPart(name, set, nil))
			}
		}
		if node.Pool >= 0 {
			l.reserve(name, dns.TypeA, node.Pool)
			l.reserve(name, dns.TypeAAAA, node.Pool)
		}
	}
	for _, set := range z.glue {
		l.add(newPart(set.owner(), set, nil))
	}
	z.contents = l.contents()
	for i := range z.contents.parts {
		_, _ = d.Write(z.contents.parts[i].hash[:])
	}
	z.digest = [sha256.Size]byte(d.Sum(nil))
}

// orderKey gives what sorts names in canonical order by its bytes (RFC 4034,
// section 6.1): the labels from the right, each with a zero behind it, which is
// less than what stands for any byte of a label.
func orderKey(name string) []byte {
	var wire WireName
	if !wire.set(name) {
		return []byte(name) // it is in no message, and stands anywhere
	}
	key := make([]byte, 0, wire.length+4)
	for i := wire.labels - 1; i >= 0; i-- {
		start := int(wire.starts[i])
		for _, c := range wire.wire[start+1:][:wire.wire[start]] {
			if c < 2 {
				key, c = append(key, 1), c+1 // zero ends a label, and one is what this begins with
			}
			key = append(key, c)
		}
		key = append(key, 0)
	}
	return key
}
