package zones

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/miekg/dns"
)

// chain is the NSEC chain of a zone (RFC 4034, section 4): the names that own
// records, wildcards, delegations and pools among them, in canonical order.
// Empty non-terminals have no link, nor has what a delegation or DNAME hides. It
// depends on the zone file and the pools' names alone, and is immutable.
type chain struct {
	apex  string
	links []link
	// keys are the sort keys of all links, one after another; that of link i
	// starts at starts[i] and ends at starts[i+1]. prefixes are their first eight
	// bytes: most comparisons read nothing else.
	keys       []byte
	starts     []uint32
	prefixes   []uint64
	apexLabels int // without the root
}

// link is one owner name of a chain.
type link struct {
	name string // canonical
	node *Node
}

// maxSortKey is the length of the longest sort key, in bytes: each of a name's
// bytes may take two.
const maxSortKey = 2 * (maxName + 1)

// newChain makes the chain of a zone.
func newChain(z *Zone) *chain {
	c := &chain{apex: z.Apex}
	var name WireName
	if name.set(z.Apex) {
		c.apexLabels = name.labels
	}
	type keyed struct {
		key []byte
		link
	}
	var all []keyed
	size := 0
	for _, owner := range z.names {
		node := z.nodes[owner]
		if !node.exists() || !name.set(owner) {
			continue // a name that cannot be sent was refused with its records
		}
		key := c.appendKey(nil, &name, 0)
		size += len(key)
		all = append(all, keyed{key, link{owner, node}})
	}
	slices.SortFunc(all, func(a, b keyed) int { return bytes.Compare(a.key, b.key) })
	c.links = make([]link, len(all))
	c.keys = make([]byte, 0, size)
	c.starts = make([]uint32, 0, len(all)+1)
	c.prefixes = make([]uint64, len(all))
	for i, one := range all {
		c.links[i] = one.link
		c.starts = append(c.starts, uint32(len(c.keys)))
		c.keys = append(c.keys, one.key...)
		c.prefixes[i] = prefixOf(one.key)
	}
	c.starts = append(c.starts, uint32(len(c.keys)))
	return c
}

// appendKey writes the sort key of a name in the zone without its first labels.
// Keys in the order of their bytes are names in canonical order (RFC 4034, section
// 6.1): the labels below the apex from the right, each with a zero behind it,
// which is less than what stands for any byte of a label.
func (c *chain) appendKey(key []byte, name *WireName, first int) []byte {
	for i := name.labels - c.apexLabels - 1; i >= first; i-- {
		key = appendLabelKey(key, name.wire[int(name.starts[i])+1:][:name.wire[name.starts[i]]])
	}
	return key
}

func appendLabelKey(key, label []byte) []byte {
	for _, c := range label {
		if c < 2 {
			key, c = append(key, 1), c+1 // zero ends a label, and one is what this begins with
		}
		key = append(key, c)
	}
	return append(key, 0)
}

// prefixOf is a key's first eight bytes as a number; what is missing is zero.
func prefixOf(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var first [8]byte
	copy(first[:], key)
	return binary.BigEndian.Uint64(first[:])
}

func (c *chain) key(index int) []byte { return c.keys[c.starts[index]:c.starts[index+1]] }

// find gives the link of a canonical name in the zone, or, not exact, the one that
// covers it: the last one before it.
func (c *chain) find(name string) (index int, exact bool) {
	var wire WireName
	if !wire.set(name) {
		return 0, false
	}
	return c.findWire(&wire, 0)
}

// findWire is find for a name in wire format without its first labels. It
// allocates nothing.
func (c *chain) findWire(name *WireName, first int) (index int, exact bool) {
	var room [maxSortKey]byte
	return c.search(c.appendKey(room[:0], name, first), 0, len(c.links))
}

// search finds a key among the links from low to high, of which the first is not
// behind it.
func (c *chain) search(key []byte, low, high int) (index int, exact bool) {
	prefix := prefixOf(key)
	for high-low > 1 {
		middle := int(uint(low+high) >> 1)
		order := cmp.Compare(c.prefixes[middle], prefix)
		if order == 0 {
			order = bytes.Compare(c.key(middle), key)
		}
		if order > 0 {
			high = middle
		} else {
			low = middle
		}
	}
	return low, bytes.Equal(c.key(low), key)
}

// next gives the link behind one; behind the last it is that of the apex.
func (c *chain) next(index int) int {
	if index++; index < len(c.links) {
		return index
	}
	return 0
}

// types gives the types in the bitmap of a link, in ascending order: those of the
// node's records, NSEC and RRSIG; at the apex those that the signing itself puts
// there, such as DNSKEY; and where a pool is, those that it gives addresses of.
// A resolver takes what is missing here for not there, for all types of the name
// (RFC 8198): none may be.
func (c *chain) types(index int, apex, pool []uint16) []uint16 {
	node := c.links[index].node
	types := make([]uint16, 0, len(node.Sets)+len(apex)+len(pool)+2)
	for i := range node.Sets {
		types = append(types, node.Sets[i].Type)
	}
	if c.links[index].name == c.apex {
		types = append(types, apex...)
	}
	if node.Pool >= 0 {
		types = append(types, pool...)
	}
	types = append(types, dns.TypeNSEC, dns.TypeRRSIG)
	slices.Sort(types)
	return slices.Compact(types)
}

// record makes the NSEC record of a link. Its TTL is that of negative answers (RFC
// 9077, section 3).
func (c *chain) record(index int, ttl uint32, types []uint16) *dns.NSEC {
	return &dns.NSEC{
		Hdr:        dns.RR_Header{Name: c.links[index].name, Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: ttl},
		NextDomain: c.links[c.next(index)].name,
		TypeBitMap: types,
	}
}
