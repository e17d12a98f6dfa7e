package geo

import (
	"math/bits"
	"slices"
	"unsafe"
)

// trie finds the group of a key of 64 bits; an IPv4 address is the upper half
// of one. A look-up reads the slot of the key's first bits, and goes from node
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
	// buckets hold the ranges; the first one of every bucket begins at 0.
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

// step is where a range begins.
type step struct {
	key   uint64
	group uint16
}

// lookup gives the group of a key, and the length of the widest prefix around
// it within one range.
func (t *trie[E]) lookup(key uint64) (group uint16, length int) {
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
	shift := 64 - uint(unsafe.Sizeof(E(0)))*8
	own := E(key>>shift) | 0xffff
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
	return bits.LeadingZeros64(uint64(a^b)) - (64 - int(unsafe.Sizeof(a))*8)
}

func (t *trie[E]) size() int {
	return cap(t.slots)*4 + cap(t.buckets)*int(unsafe.Sizeof(E(0)))
}

// newTrie makes a trie of steps in ascending order, the first at 0, neighbours
// of different groups. No prefix is shorter than least.
func newTrie[E uint32 | uint64](steps []step, least int) trie[E] {
	b := trieBuilder[E]{steps: steps, least: least}
	if len(steps) > 1 {
		b.root = rootBits
		if unsafe.Sizeof(E(0)) == 4 && len(steps) >= denseRoot {
			b.root = bucketDepth
		}
	}
	b.slots = make([]uint32, 1<<b.root)
	b.fill(node{width: uint(b.root)}, 0, len(steps))
	return trie[E]{root: b.root, slots: slices.Clone(b.slots), buckets: slices.Clone(b.buckets)}
}

type trieBuilder[E uint32 | uint64] struct {
	trie[E]
	steps []step
	least int
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
		for from+1 < to && b.steps[from+1].key <= first {
			from++
		}
		behind := from + 1
		for behind < to && b.steps[behind].key <= last {
			behind++
		}
		b.slots[n.place+i] = b.slot(first, n.used+n.width, from, behind)
		from = behind - 1
	}
}

// slot makes the slot of the keys that begin with the first bits of key, used
// of them, and lie in these steps.
func (b *trieBuilder[E]) slot(key uint64, used uint, from, to int) uint32 {
	count := to - from
	switch {
	case count == 1:
		return leafSlot | b.length(key, from)<<16 | uint32(b.steps[from].group)
	case used >= bucketDepth && count <= bucketSize:
		place := len(b.buckets)
		shift := 64 - uint(unsafe.Sizeof(E(0)))*8
		for i, s := range b.steps[from:to] {
			start := s.key << used
			if i == 0 {
				start = 0
			}
			b.buckets = append(b.buckets, E(start>>shift)|E(s.group))
		}
		return bucketSlot | uint32(count)<<placeBits | uint32(place)
	}
	width := min(uint(bits.Len(uint(count)))-1, widestNode)
	if used < bucketDepth {
		width = bucketDepth - used
	}
	place := len(b.slots)
	b.slots = append(b.slots, make([]uint32, 1<<width)...)
	b.fill(node{place, width, key, used}, from, to)
	return uint32(width)<<placeBits | uint32(place)
}

// length is that of the widest prefix around a key within its step.
func (b *trieBuilder[E]) length(key uint64, at int) uint32 {
	length := b.least
	if at > 0 {
		length = max(length, bits.LeadingZeros64(key^(b.steps[at].key-1))+1)
	}
	if at+1 < len(b.steps) {
		length = max(length, bits.LeadingZeros64(key^b.steps[at+1].key)+1)
	}
	return uint32(length)
}
