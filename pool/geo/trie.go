package geo

import (
	"math/bits"
	"unsafe"
)

// trie finds the group of a key, an IPv4 address or the upper half of an IPv6
// address. A look-up reads the slot of the key's first bits, and goes from node
// to node, each by as many of the next bits as suit the number of boundaries
// there, until a slot says the group of all keys below it or names a bucket of
// a few ranges that lie side by side in memory.
//
// E is the number that a bucket has for each range, the group in its lower 16
// bits and above them what the first 16 bits leave of the key where the range
// begins: uint32 for IPv4, uint64 for the upper halves of IPv6.
type trie[E uint32 | uint64] struct {
	root  uint8 // how many bits lead from the root
	slots []uint32
	// buckets hold the ranges; the first one of every bucket begins in it or
	// before it.
	buckets []E
}

// A slot is a leaf, the number of a bucket's first range and how many it has,
// or the number of a node's first slot and how many bits lead from it.
const (
	leafSlot   = 1 << 31 // then the length of the prefix in 8 bits, the group in 16
	bucketSlot = 1 << 30 // then the count in 4 bits, the place in 26
	placeBits  = 26
	placeMask  = 1<<placeBits - 1
)

const (
	bucketSize = 8 // ranges; at most 15
	widestNode = 12
	rootBits   = 8
	// bucketDepth is how many bits lead to a bucket at least.
	bucketDepth = 16
	// denseRoot is the number of IPv4 ranges from which on the root has all of
	// these bits.
	denseRoot = 1 << 13
)

// steps are where ranges begin, in ascending order, the first at 0.
type steps[E uint32 | uint64] struct {
	keys   []E
	groups []uint16
}

// put adds a step, or changes the last one.
func (s *steps[E]) put(key E, group uint16) {
	if n := len(s.keys); n > 0 && s.keys[n-1] == key {
		s.groups[n-1] = group
		return
	}
	s.keys = append(s.keys, key)
	s.groups = append(s.groups, group)
}

// lookup gives the group of a key, and the length of the widest prefix around
// it within one range.
func (t *trie[E]) lookup(of E) (group uint16, length int) {
	key := upper(of)
	slot := t.slots[key>>(64-t.root)]
	used := uint32(t.root)
	key <<= t.root
	for slot < bucketSlot {
		width := slot >> placeBits
		slot = t.slots[uint64(slot&placeMask)+key>>(64-width)]
		key <<= width
		used += width
	}
	if slot >= leafSlot {
		return uint16(slot), int(slot >> 16 & 0xff)
	}
	first := slot & placeMask
	bucket := t.buckets[first : first+slot>>placeBits&0xf]
	// own has the key where a range has its start, and is above all ranges that
	// begin there.
	own := E(key>>(64-sizeOf[E]())) | 0xffff
	i := 0
	for i+1 < len(bucket) && bucket[i+1] <= own {
		i++
	}
	// The widest prefix reaches neither the key before the range nor the one
	// after it. What lies outside of the bucket is farther than both.
	var common int
	if i > 0 {
		common = t.common(own, bucket[i]-1<<16)
	}
	if i+1 < len(bucket) {
		common = max(common, t.common(own, bucket[i+1]))
	}
	return uint16(bucket[i]), int(used) + common + 1
}

// common is how many leading bits two numbers of a bucket share. They differ
// above the group.
func (t *trie[E]) common(a, b E) int {
	return bits.LeadingZeros64(upper(a ^ b))
}

// sizeOf is how many bits a key has.
func sizeOf[E uint32 | uint64]() uint { return uint(unsafe.Sizeof(E(0))) * 8 }

// upper is a key as the first bits of 64.
func upper[E uint32 | uint64](key E) uint64 { return uint64(key) << (64 - sizeOf[E]()) }

func (t *trie[E]) size() int {
	return cap(t.slots)*4 + cap(t.buckets)*int(unsafe.Sizeof(E(0)))
}

// newTrie makes a trie of steps, neighbours of different groups or of inside64.
// No prefix is shorter than least.
func newTrie[E uint32 | uint64](s steps[E], least int) trie[E] {
	b := trieBuilder[E]{steps: s, least: least}
	if len(s.keys) > 1 {
		b.root = rootBits
		if sizeOf[E]() == 32 && len(s.keys) >= denseRoot {
			b.root = bucketDepth
		}
	}
	// The first time only counts, so that nothing has to grow.
	for _, b.counting = range []bool{true, false} {
		b.slots, b.buckets = make([]uint32, b.slotCount), make([]E, 0, b.bucketCount)
		b.slotCount, b.bucketCount = 1<<b.root, 0
		b.fill(node{width: uint(b.root)}, 0, len(s.keys))
	}
	return b.trie
}

type trieBuilder[E uint32 | uint64] struct {
	trie[E]
	steps[E]
	least    int
	counting bool
	// slotCount and bucketCount are how many slots and bucket ranges there are
	// so far.
	slotCount, bucketCount int
}

// node is where the slots of a node are, and which keys are below it: those
// that begin with the first bits of key, used of them.
type node struct {
	place int
	width uint
	key   uint64
	used  uint
}

// fill sets the slots of a node whose keys lie in the steps from one to the
// one before the other.
func (b *trieBuilder[E]) fill(n node, from, to int) {
	below := 64 - n.used - n.width // bits of a key below a slot
	for i := range 1 << n.width {
		first := n.key | uint64(i)<<below
		last := first | (1<<below - 1)
		for from+1 < to && upper(b.keys[from+1]) <= first {
			from++
		}
		behind := from + 1
		for behind < to && upper(b.keys[behind]) <= last {
			behind++
		}
		slot := b.slot(first, n.used+n.width, from, behind)
		if !b.counting {
			b.slots[n.place+i] = slot
		}
		from = behind - 1
	}
}

// slot makes the slot of the keys that begin with the first bits of key, used
// of them, and lie in these steps.
func (b *trieBuilder[E]) slot(key uint64, used uint, from, to int) uint32 {
	count := to - from
	switch {
	case count == 1:
		return leafSlot | b.length(key, from)<<16 | uint32(b.groups[from])
	case used >= bucketDepth && count <= bucketSize:
		place := b.bucketCount
		b.bucketCount += count
		if !b.counting {
			b.bucket(used, from, to)
		}
		return bucketSlot | uint32(count)<<placeBits | uint32(place)
	}
	width := min(uint(bits.Len(uint(count)))-1, widestNode, sizeOf[E]()-used)
	if used < bucketDepth {
		width = bucketDepth - used
	}
	place := b.slotCount
	b.slotCount += 1 << width
	b.fill(node{place, width, key, used}, from, to)
	return uint32(width)<<placeBits | uint32(place)
}

// bucket adds the steps to the buckets.
func (b *trieBuilder[E]) bucket(used uint, from, to int) {
	for i := from; i < to; i++ {
		// Where the first one begins is not looked at.
		b.buckets = append(b.buckets, b.keys[i]<<used|E(b.groups[i]))
	}
}

// length is that of the widest prefix around a key within its step.
func (b *trieBuilder[E]) length(key uint64, at int) uint32 {
	length := b.least
	if at > 0 {
		length = max(length, bits.LeadingZeros64(key^upper(b.keys[at]-1))+1)
	}
	if at+1 < len(b.keys) {
		length = max(length, bits.LeadingZeros64(key^upper(b.keys[at+1]))+1)
	}
	return uint32(length)
}
