package selection

import (
	"math/bits"
	"math/rand/v2"
)

// DrawTable holds every order that a Choice's candidates can be drawn in, so
// that a whole draw takes one random number and one place of memory. It is
// immutable.
//
// It is an alias table (Walker, 1977; Vose, 1991) over whole numbers: each
// order has its part of 2^64, and a number falls into a column by its first
// bits, and there to one of two orders by the rest. The parts of all orders
// with the same first candidate add up to that one's share of 2^64, less than
// one off: the first one drawn has exactly its share.
type DrawTable struct {
	columns []drawColumn // a power of two of them, at least 2
	shift   uint8        // what is left of a number after it is the column
	count   int
}

// drawColumn is 24 bytes, so that most columns lie in one line of the cache.
type drawColumn struct {
	threshold  uint64 // below it: own
	own, other Order
}

// Order is up to MaxOrder candidates in the order drawn, by their indices in the
// candidates given to New, eight bits each, the first one lowest.
type Order uint64

// At is the index of the candidate that was drawn as number i, from 0 on.
func (o Order) At(i int) int { return int(o >> (8 * i) & 0xFF) }

// Append appends the first count candidates of an order to into.
func (o Order) Append(into []int, count int) []int {
	for i := range count {
		into = append(into, o.At(i))
	}
	return into
}

// MaxOrder is how many candidates are drawn at most by a table.
const MaxOrder = 8

// maxOrders is how many orders a table may have: 24 kB.
const maxOrders = 1024

// DrawTable makes the table of draws of up to n candidates; nil where there is
// nothing to draw, or too much for a table.
func (c *Choice) DrawTable(n int) *DrawTable {
	n = min(n, len(c.Shares))
	if n <= 0 || n > MaxOrder || c.Shares[len(c.Shares)-1].Index > 0xFF {
		return nil
	}
	orders := 1
	for i := range n {
		if orders *= len(c.Shares) - i; orders > maxOrders {
			return nil
		}
	}
	size := max(2, 1<<bits.Len(uint(orders-1)))
	t := &DrawTable{columns: make([]drawColumn, size), shift: uint8(64 - bits.Len(uint(size-1))), count: n}
	if orders == 1 {
		only := Order(c.Shares[0].Index)
		for i := range t.columns {
			t.columns[i] = drawColumn{own: only, other: only}
		}
		return t
	}
	w := orderWriter{choice: c, count: n}
	w.split(0, 0, 0, 0, w.choice.bounds[len(w.choice.bounds)-1])
	t.fill(w.orders)
	return t
}

// Size is the memory that the table takes, in bytes.
func (t *DrawTable) Size() int { return len(t.columns) * 24 }

// Count is how many candidates an order of the table has.
func (t *DrawTable) Count() int { return t.count }

// Draw draws an order. It takes one number.
func (t *DrawTable) Draw(r rand.Source) Order {
	number := r.Uint64()
	column := &t.columns[number>>t.shift]
	if number&(1<<t.shift-1) < column.threshold {
		return column.own
	}
	return column.other
}

// orderPart is an order and its part of 2^64.
type orderPart struct {
	order Order
	part  uint64
}

// orderWriter lists all orders with their parts.
type orderWriter struct {
	choice *Choice
	count  int
	orders []orderPart
}

// split gives each candidate that is not among those drawn its part of a part,
// in proportion to its tickets among those left, and goes on below it. drawn has
// a bit for each position drawn. At depth 0 the part is the whole, 2^64.
func (w *orderWriter) split(depth int, order Order, drawn, part, left uint64) {
	var before, start uint64
	for i := range w.choice.Shares {
		if drawn>>i&1 != 0 {
			continue
		}
		first, last := w.choice.ticketsOf(i)
		before += last - first
		end := portion(part, before, left, depth == 0)
		next := order | Order(w.choice.Shares[i].Index)<<(8*depth)
		if own := end - start; depth+1 == w.count {
			w.orders = append(w.orders, orderPart{next, own})
		} else {
			w.split(depth+1, next, drawn|1<<i, own, left-(last-first))
		}
		start = end
	}
}

// portion is part*before/left, rounded down; of the whole, part is not looked at,
// and all of it is 0.
func portion(part, before, left uint64, whole bool) uint64 {
	high, low := bits.Mul64(part, before)
	if whole {
		high, low, part = before, 0, 0
	}
	if before == left {
		return part
	}
	result, _ := bits.Div64(high, low, left)
	return result
}

// fill pairs orders whose part is smaller than a column with those whose part is
// larger.
func (t *DrawTable) fill(orders []orderPart) {
	capacity := uint64(1) << t.shift
	parts := make([]orderPart, len(t.columns))
	copy(parts, orders) // the rest are of no order, and have no part
	var small, large []int
	for i, p := range parts {
		if p.part < capacity {
			small = append(small, i)
		} else {
			large = append(large, i)
		}
	}
	for at := 0; at < len(small); at++ {
		i := small[at]
		own := parts[i]
		if len(large) == 0 { // only where no part is left over, so that it is full
			t.columns[i] = drawColumn{own.part, own.order, own.order}
			continue
		}
		j := large[len(large)-1]
		t.columns[i] = drawColumn{own.part, own.order, parts[j].order}
		parts[j].part -= capacity - own.part
		if parts[j].part < capacity {
			large = large[:len(large)-1]
			small = append(small, j)
		}
	}
	for _, i := range large {
		t.columns[i] = drawColumn{capacity, parts[i].order, parts[i].order}
	}
}
