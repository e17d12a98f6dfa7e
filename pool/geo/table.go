package geo

import (
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"slices"
)

// table maps every address to a value; 0 is "nothing". It cuts the address
// space into ranges and keeps where each begins: range i reaches from
// starts[i] to the address before starts[i+1]. Neighbours differ in value,
// and where there is any range at all the first one begins at the first
// address. A table is never written after its builder has returned it.
type table[V uint16 | uint32] struct {
	starts4 []uint32
	values4 []V
	starts6 []wide
	values6 []V
	// index4 holds for each value of an address's first bits the last range
	// that begins at or before the first address with these bits. A search has
	// a handful of ranges left.
	index4 []uint32
	shift4 uint8 // by which an address becomes an index of index4
	// top6 is every stride-th start. IPv6 is too uneven for an index; this is
	// small enough to stay in the processor's cache, and leaves the rest of a
	// search within a few cache lines.
	top6 []wide
}

const stride = 64

// lookup gives the value of an address, and the length of the widest prefix
// around it that lies within its range.
func (t *table[V]) lookup(k key) (value V, length int) {
	if k.is4 {
		return t.lookup4(k.narrow)
	}
	return t.lookup6(k.wide)
}

// A prefix around an address lies within a range as long as it reaches
// neither the address before the range nor the one after it: it has to be
// one bit longer than what the address has in common with either.

func (t *table[V]) lookup4(address uint32) (value V, length int) {
	if len(t.starts4) == 0 {
		return 0, 0
	}
	bucket := address >> t.shift4
	low, high := t.index4[bucket], t.index4[bucket+1]
	i := int(low) + last4(t.starts4[low:high+1], address)
	if i > 0 {
		length = common4(address, t.starts4[i]-1) + 1
	}
	if i+1 < len(t.starts4) {
		length = max(length, common4(address, t.starts4[i+1])+1)
	}
	return t.values4[i], length
}

func (t *table[V]) lookup6(address wide) (value V, length int) {
	if len(t.starts6) == 0 {
		return 0, 0
	}
	block := last6(t.top6, address) * stride
	i := block + last6(t.starts6[block:min(block+stride, len(t.starts6))], address)
	if i > 0 {
		length = address.common(t.starts6[i].previous()) + 1
	}
	if i+1 < len(t.starts6) {
		length = max(length, address.common(t.starts6[i+1])+1)
	}
	return t.values6[i], length
}

// last4 is the index of the last start that is not above the address. The
// first start is not above any.
func last4(starts []uint32, address uint32) int {
	low, high := 0, len(starts)
	for low < high {
		middle := int(uint(low+high) >> 1)
		if starts[middle] <= address {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low - 1
}

func last6(starts []wide, address wide) int {
	low, high := 0, len(starts)
	for low < high {
		middle := int(uint(low+high) >> 1)
		if !address.less(starts[middle]) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low - 1
}

// ranges is the number of ranges of both families.
func (t *table[V]) ranges() int { return len(t.starts4) + len(t.starts6) }

// last is the last address of a family that has a value; the first one where
// none has.
func (t *table[V]) last(ipv6 bool) wide {
	// Neighbours differ: what ends before a range of nothing is something.
	if ipv6 {
		n := len(t.starts6)
		switch {
		case n == 0 || n == 1 && t.values6[0] == 0:
			return wide{}
		case t.values6[n-1] != 0:
			return maxWide
		}
		return t.starts6[n-1].previous()
	}
	n := len(t.starts4)
	switch {
	case n == 0 || n == 1 && t.values4[0] == 0:
		return wide{}
	case t.values4[n-1] != 0:
		return wide{low: math.MaxUint32}
	}
	return wide{low: uint64(t.starts4[n-1]) - 1}
}

// builder makes a table of ranges that are added in ascending order, each
// family by itself. What lies between them has the value 0.
type builder[V uint16 | uint32] struct {
	table[V]
	next4 uint64 // the first address that is not yet added; 1<<32: none is left
	next6 wide
	full6 bool // no address is left
}

// add4 adds the range from first to last.
func (b *builder[V]) add4(first, last uint32, value V) error {
	if first > last || uint64(first) < b.next4 {
		return fmt.Errorf("the range %s-%s is out of order", address4(first), address4(last))
	}
	if b.next4 < uint64(first) {
		b.put4(uint32(b.next4), 0)
	}
	b.put4(first, value)
	b.next4 = uint64(last) + 1
	return nil
}

func (b *builder[V]) put4(start uint32, value V) {
	if n := len(b.values4); n > 0 && b.values4[n-1] == value {
		return
	}
	b.starts4 = append(b.starts4, start)
	b.values4 = append(b.values4, value)
}

// add6 adds the range from first to last.
func (b *builder[V]) add6(first, last wide, value V) error {
	if last.less(first) || b.full6 || first.less(b.next6) {
		return fmt.Errorf("the range %s-%s is out of order", first.address(), last.address())
	}
	if b.next6.less(first) {
		b.put6(b.next6, 0)
	}
	b.put6(first, value)
	b.full6 = last == maxWide
	b.next6 = last.next()
	return nil
}

func (b *builder[V]) put6(start wide, value V) {
	if n := len(b.values6); n > 0 && b.values6[n-1] == value {
		return
	}
	b.starts6 = append(b.starts6, start)
	b.values6 = append(b.values6, value)
}

// addRange adds the range from first to last, which are of one family.
func (b *builder[V]) addRange(first, last netip.Addr, value V) error {
	if first.Is4() {
		return b.add4(number4(first), number4(last), value)
	}
	return b.add6(wideFrom(first.As16()), wideFrom(last.As16()), value)
}

// finish gives the table and ends the builder.
func (b *builder[V]) finish() *table[V] {
	if len(b.values4) > 0 && b.next4 <= math.MaxUint32 {
		b.put4(uint32(b.next4), 0)
	}
	if len(b.values6) > 0 && !b.full6 {
		b.put6(b.next6, 0)
	}
	return newTable(slices.Clone(b.starts4), slices.Clone(b.values4),
		slices.Clone(b.starts6), slices.Clone(b.values6))
}

// newTable makes a table of slices that the caller gives up and vouches for.
func newTable[V uint16 | uint32](starts4 []uint32, values4 []V, starts6 []wide, values6 []V) *table[V] {
	t := &table[V]{starts4: starts4, values4: values4, starts6: starts6, values6: values6}
	t.indexStarts4()
	for i := 0; i < len(starts6); i += stride {
		t.top6 = append(t.top6, starts6[i])
	}
	return t
}

// indexStarts4 makes index4 of as many entries as there are ranges, within a
// factor of four, and at most of 2^16, and one more for the end.
func (t *table[V]) indexStarts4() {
	if len(t.starts4) == 0 {
		return
	}
	size := min(max(bits.Len(uint(len(t.starts4)))-2, 0), 16)
	t.shift4 = uint8(32 - size)
	t.index4 = make([]uint32, 1<<size+1)
	last := 0
	for bucket := range 1 << size {
		first := uint32(uint64(bucket) << t.shift4)
		for last+1 < len(t.starts4) && t.starts4[last+1] <= first {
			last++
		}
		t.index4[bucket] = uint32(last)
	}
	t.index4[1<<size] = uint32(len(t.starts4) - 1)
}
