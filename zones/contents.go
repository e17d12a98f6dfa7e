package zones

import (
	"bytes"
	"crypto/sha256"
	"slices"

	"github.com/miekg/dns"

	"mirrorpool/zones/signing"
)

// part is one RRset as a transfer gives it: its records, and behind them their
// signatures where the zone is signed. It is immutable.
type part struct {
	owner string // canonical
	set   *RRset
	// signatures are those of the set, which are made into records when they are
	// asked for; or else rrsigs are they.
	signatures []signing.Signature
	rrsigs     []dns.RR
	// hash is that of owner, type, TTL and data. Parts with the same one have the
	// same records; zero: it is not known.
	hash [16]byte
}

// newPart makes a part without signatures. It packs the records, which writes to
// them: they must not be shared yet.
func newPart(owner string, set *RRset) part {
	p := part{owner: owner, set: set}
	d := newDigest()
	d.set(owner, *set)
	copy(p.hash[:], d.Sum(nil))
	return p
}

// signatureRecords are the set's RRSIG records.
func (p *part) signatureRecords() []dns.RR {
	if p.signatures == nil {
		return p.rrsigs
	}
	return signatureRecords(p.signatures, p.set.Records[0].Header().Name)
}

// size is how many bytes the part takes in wire format, without compression.
func (p *part) size() int {
	size := 0
	for _, rr := range p.set.Records {
		size += dns.Len(rr)
	}
	for _, rr := range p.rrsigs {
		size += dns.Len(rr)
	}
	for i := range p.signatures {
		s := &p.signatures[i]
		size += len(s.Data) + dns.Len(&dns.RRSIG{Hdr: dns.RR_Header{Name: p.owner}, SignerName: s.Key.Record.Hdr.Name})
	}
	return size
}

// contents is what a zone's versions have in common: the parts that the zone file
// and the keys decide, and the places between them of those that change. Versions
// share it.
type contents struct {
	parts  []part  // in canonical order (RFC 4034, section 6.1), then by type
	places []place // in the order of the parts before which they are
	size   int     // of the parts, in bytes
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
	part int // -1: a place
	pool int
}

// layout collects what contents are made of.
type layout struct {
	parts []part
	all   []laid
}

func (l *layout) add(p part) {
	l.all = append(l.all, laid{key: orderKey(p.owner), kind: p.set.Type, part: len(l.parts)})
	l.parts = append(l.parts, p)
}

func (l *layout) reserve(owner string, kind uint16, pool int) {
	l.all = append(l.all, laid{key: orderKey(owner), kind: kind, part: -1, pool: pool})
}

// reservePools keeps places for what the zone's pools give.
func (l *layout) reservePools(z *Zone, kinds ...uint16) {
	for _, name := range z.pools {
		for _, kind := range kinds {
			l.reserve(name, kind, z.nodes[name].Pool)
		}
	}
}

// contents puts all in order.
func (l *layout) contents() *contents {
	slices.SortStableFunc(l.all, func(a, b laid) int {
		if order := bytes.Compare(a.key, b.key); order != 0 {
			return order
		}
		return int(a.kind) - int(b.kind)
	})
	c := &contents{parts: make([]part, 0, len(l.parts))}
	for _, one := range l.all {
		if one.part >= 0 {
			c.parts = append(c.parts, l.parts[one.part])
			c.size += l.parts[one.part].size()
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
		sets := z.nodes[name].Sets
		for i := range sets {
			if sets[i].Type == dns.TypeSOA {
				d.set(name, sets[i])
			} else {
				l.add(newPart(name, &sets[i]))
			}
		}
	}
	for i := range z.glue {
		l.add(newPart(z.glue[i].owner(), &z.glue[i]))
	}
	l.reservePools(z, dns.TypeA, dns.TypeAAAA)
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
		key = appendLabelKey(key, wire.wire[start+1:][:wire.wire[start]])
	}
	return key
}
