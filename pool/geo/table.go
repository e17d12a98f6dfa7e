package geo

import (
	"fmt"
	"iter"
	"math"
	"net/netip"
	"slices"
)

// table maps every address to a value; 0 is "nothing". It cuts the address
// space into ranges that begin where the value changes. A table is never
// written after its builder has returned it. A nil table maps to nothing.
type table struct {
	// ipv4 and ipv6 have values plus 1. The keys of ipv6 are the upper halves of
	// addresses, and its value is within64 where not all of a /64 network has
	// one value: those are in deep.
	ipv4 packed[uint32]
	ipv6 packed[uint64]
	deep deep[uint32]
}

// within64 is the value, plus 1, of a /64 network that is in a table's deep.
const within64 = 0

// lookup gives the value of an address, and the length of the widest prefix
// around it that lies within its range.
func (t *table) lookup(k key) (value uint32, length int) {
	if k.is4 {
		return t.lookup4(k.narrow)
	}
	return t.lookup6(k.wide)
}

func (t *table) lookup4(address uint32) (value uint32, length int) {
	if t.ipv4.count == 0 {
		return 0, 0
	}
	code, length := t.ipv4.lookup(address)
	return uint32(code - 1), length
}

func (t *table) lookup6(address wide) (value uint32, length int) {
	if t.ipv6.count == 0 {
		return 0, 0
	}
	code, length := t.ipv6.lookup(address.high)
	if code == within64 {
		return t.deep.lookup(address)
	}
	return uint32(code - 1), length
}

// all gives the start and the value of every range of one family in ascending
// order. An IPv4 address is its number.
func (t *table) all(ipv6 bool) iter.Seq2[wide, uint32] {
	return func(yield func(wide, uint32) bool) {
		for w := t.walk(ipv6); w.next(); {
			if !yield(w.start, w.value) {
				return
			}
		}
	}
}

// walk goes through the ranges of one family; the table may be nil.
func (t *table) walk(ipv6 bool) *walk {
	if t == nil {
		t = &table{}
	}
	return &walk{table: t, ipv6: ipv6}
}

// walk is at a range once next has said so.
type walk struct {
	table *table
	ipv6  bool
	start wide
	value uint32

	begun  bool
	narrow walkPacked[uint32]
	wide   walkPacked[uint64]
	inside bool // wide is at a network that is in deep
	deep   int  // ranges of deep that are behind it
}

// next goes to the next range, if there is one.
func (w *walk) next() bool {
	before := w.value
	for w.step() {
		// Neighbours differ, but where one of them is cut at a /64 network.
		if !w.begun || w.value != before {
			w.begun = true
			return true
		}
	}
	return false
}

func (w *walk) step() bool {
	if !w.ipv6 {
		start, code, ok := w.narrow.next(&w.table.ipv4)
		w.start, w.value = wide{low: uint64(start)}, uint32(code-1)
		return ok
	}
	d := &w.table.deep
	if w.inside && w.deep < len(d.starts) && d.starts[w.deep].high == w.start.high {
		w.start, w.value = d.starts[w.deep], d.values[w.deep]
		w.deep++
		return true
	}
	start, code, ok := w.wide.next(&w.table.ipv6)
	w.start, w.inside = wide{high: start}, code == within64
	if w.inside && ok {
		return w.step()
	}
	w.value = uint32(code - 1)
	return ok
}

// walkPacked goes through a packed table.
type walkPacked[K uint32 | uint64] struct {
	ranges[K]
	count, at int // of those that were read
	blocks    int // behind it
}

// next gives the next range, if there is one.
func (w *walkPacked[K]) next(p *packed[K]) (start K, value uint64, ok bool) {
	if w.at == w.count {
		if w.blocks == len(p.blocks) {
			return 0, 0, false
		}
		w.count, w.at = p.read(w.blocks, &w.ranges), 0
		w.blocks++
	}
	w.at++
	return w.starts[w.at-1], w.values[w.at-1], true
}

// last is the last address of a family that has a value; the first one where
// none has.
func (t *table) last(ipv6 bool) wide {
	var start wide
	value := uint32(0)
	for start, value = range t.all(ipv6) {
		continue
	}
	// Neighbours differ: what ends before a range of nothing is something.
	switch {
	case value != 0 && ipv6:
		return maxWide
	case value != 0:
		return wide{low: math.MaxUint32}
	case start == wide{}:
		return wide{}
	}
	return start.previous()
}

// deep holds the ranges within those /64 networks in which not all addresses
// have one value. Each of them begins with its first address.
type deep[V uint16 | uint32] struct {
	starts []wide
	values []V
}

// lookup looks into such a network. There is a boundary in it, so that what lies
// before and behind it cannot be nearer to the address.
func (d *deep[V]) lookup(address wide) (value V, length int) {
	i, found := slices.BinarySearchFunc(d.starts, address, wide.compare)
	if !found {
		i--
	}
	if i > 0 {
		length = address.common(d.starts[i].previous()) + 1
	}
	if i+1 < len(d.starts) {
		length = max(length, address.common(d.starts[i+1])+1)
	}
	return d.values[i], length
}

// deepener cuts ranges of IPv6 to whole /64 networks, which it puts, and keeps
// those within one. The put of a start that was put before is in its place.
type deepener[V uint16 | uint32] struct {
	deep[V]
	put    func(start uint64, value V)
	inside func(start uint64) // puts a network that is in deep
	last   wide               // where the range begins that was added last
	value  V                  // its value
}

// add adds a range; the first one begins at the first address.
func (d *deepener[V]) add(start wide, value V) {
	if start.high != d.last.high {
		d.finish()
	}
	if start.low == 0 {
		d.put(start.high, value)
	} else {
		if n := len(d.starts); n == 0 || d.starts[n-1].high != start.high {
			d.starts = append(d.starts, wide{high: start.high})
			d.values = append(d.values, d.value)
		}
		d.starts = append(d.starts, start)
		d.values = append(d.values, value)
		d.inside(start.high)
	}
	d.last, d.value = start, value
}

// finish gives what is left of the last range its own start, if it began within
// a /64 network.
func (d *deepener[V]) finish() {
	if d.last.low != 0 && d.last.high != math.MaxUint64 {
		d.put(d.last.high+1, d.value)
	}
}

// builder makes a table of ranges that are added in ascending order, each
// family by itself. What lies between them has the value 0.
type builder struct {
	narrow packer[uint32]
	wide   packer[uint64]
	deepener[uint32]
	has4, has6 bool   // a range was added
	next4      uint64 // the first address that is not yet added; 1<<32: none is left
	next6      wide
	full6      bool // no address is left
}

// add4 adds the range from first to last.
func (b *builder) add4(first, last uint32, value uint32) error {
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

func (b *builder) put4(start uint32, value uint32) {
	b.has4 = true
	b.narrow.put(start, uint64(value)+1)
}

// add6 adds the range from first to last.
func (b *builder) add6(first, last wide, value uint32) error {
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

func (b *builder) put6(start wide, value uint32) {
	if b.has6 && value == b.value {
		return
	}
	if !b.has6 {
		b.has6 = true
		b.put = func(start uint64, value uint32) { b.wide.put(start, uint64(value)+1) }
		b.inside = func(start uint64) { b.wide.put(start, within64) }
	}
	b.add(start, value)
}

// addRange adds the range from first to last, which are of one family.
func (b *builder) addRange(first, last netip.Addr, value uint32) error {
	if first.Is4() {
		return b.add4(number4(first), number4(last), value)
	}
	return b.add6(wideFrom(first.As16()), wideFrom(last.As16()), value)
}

// finish gives the table and ends the builder.
func (b *builder) finish() *table {
	if b.has4 && b.next4 <= math.MaxUint32 {
		b.put4(uint32(b.next4), 0)
	}
	if b.has6 && !b.full6 {
		b.put6(b.next6, 0)
	}
	b.deepener.finish()
	return &table{
		ipv4: b.narrow.finish(), ipv6: b.wide.finish(),
		deep: deep[uint32]{exactly(b.starts), exactly(b.values)},
	}
}
