package selection

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
)

// Mode tells which candidates a Choice is made of.
type Mode int

// The modes, in the order in which the rule of choice falls back. Kept is also what
// stands in for All where there is somebody to keep.
const (
	Normal  Mode = iota // those that are up
	Kept                // too few are up: they, and those who were up when there were enough
	Reserve             // the reserve that is up
	All                 // nothing is up: as if all were
	Self                // nothing is up: the node's own addresses; no shares
	Empty               // nothing to give; no shares
)

var modeNames = [...]string{Normal: "normal", Kept: "kept", Reserve: "reserve", All: "all", Self: "self", Empty: "empty"}

// String gives the mode's name: normal, kept, reserve, all, self or empty.
func (m Mode) String() string {
	if m < 0 || int(m) >= len(modeNames) {
		return fmt.Sprintf("mode %d", int(m))
	}
	return modeNames[m]
}

// MarshalText gives the mode's name.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads a mode's name.
func (m *Mode) UnmarshalText(text []byte) error {
	for i, name := range modeNames {
		if name == string(text) {
			*m = Mode(i)
			return nil
		}
	}
	return fmt.Errorf("reading a mode of choice: found %q, expected normal, kept, reserve, all, self or empty", text)
}

// Share is one candidate's probability of being drawn first.
type Share struct {
	Index int     // in the candidates given to New
	Share float64 // over 0, at most 1; the shares of a Choice add up to 1
}

// Choice is what one set of clients gets. It is immutable.
type Choice struct {
	// ID names the Choice within its Chooser: clients with the same mode and
	// candidates get the same *Choice. IDs count from 0 in the order in which
	// choices are first needed, so that what hangs on a Choice may be kept in
	// a slice. -1: the Chooser's memory is full and this Choice is not kept;
	// the next client with the same candidates gets another like it.
	ID     int
	Mode   Mode
	Shares []Share // in the order of the candidates
	// bounds are the first tickets (see tickets) of each of Shares, and then the
	// number of all tickets; nil where there are no shares.
	bounds []uint64
}

// Tickets is how many of all tickets candidate i of Shares holds: its share is
// their part of all.
func (c *Choice) Tickets(i int) uint64 { return c.bounds[i+1] - c.bounds[i] }

// fewCandidates is up to how many Draw goes through all of them for each one
// drawn, which is faster than a search.
const fewCandidates = 8

// drawnOnStack is how many candidates Draw draws of many without allocating.
const drawnOnStack = 64

// Draw draws up to n candidates without replacement, each draw in proportion
// to the shares of those left, and appends their indices in the candidates
// given to New to into, in the order drawn. It appends fewer than n if there
// are fewer, and none in the modes Self and Empty.
//
// The first one drawn has exactly its share: candidates hold whole numbers of
// tickets, and every ticket is equally likely. (Where max_share cuts off, the
// number of tickets is the share rounded to 2^-54; otherwise it is the weight.)
// Draw takes a time that grows with the square of n. It allocates only if into
// lacks capacity or more than 64 are drawn.
func (c *Choice) Draw(r rand.Source, n int, into []int) []int {
	n = min(n, len(c.bounds)-1)
	if n <= 0 {
		return into
	}
	if len(c.bounds)-1 <= fewCandidates {
		return c.drawOfFew(r, n, into)
	}
	return c.drawOfMany(r, n, into)
}

// drawOfFew takes the tickets of those drawn out of a copy of bounds. Its loops
// have no branch that depends on the ticket: a processor guesses those wrong
// more often than not, which costs more than all the rest.
func (c *Choice) drawOfFew(r rand.Source, n int, into []int) []int {
	var own [fewCandidates]uint64
	ends := c.bounds[1:]
	for {
		left := ends[len(ends)-1]
		ticket, low := bits.Mul64(r.Uint64(), left)
		if low < left {
			ticket = decide(r, left, ticket, low)
		}
		at := uint64(len(ends))
		for _, end := range ends {
			_, before := bits.Sub64(ticket, end, 0) // 1 if the ticket lies before the end
			at -= before
		}
		into = append(into, c.Shares[at].Index)
		if n--; n == 0 {
			return into
		}
		width := c.bounds[at+1] - c.bounds[at]
		rest := own[:len(ends)]
		for i, end := range ends {
			_, before := bits.Sub64(ticket, end, 0)
			rest[i] = end - width&-before
		}
		ends = rest
	}
}

// drawOfMany draws tickets among those left, and steps over the candidates drawn
// so far.
func (c *Choice) drawOfMany(r rand.Source, n int, into []int) []int {
	// drawn are the positions drawn so far, ascending.
	var onStack [drawnOnStack]int
	drawn := onStack[:]
	if n > len(drawn) {
		drawn = make([]int, n)
	}
	left := c.bounds[len(c.bounds)-1]
	for count := range n {
		// The ticket counts among those left: step over the drawn candidates
		// that lie before it.
		ticket, at := below(r, left), 0
		for at < count {
			start, end := c.ticketsOf(drawn[at])
			if ticket < start {
				break
			}
			ticket += end - start
			at++
		}
		i := c.holder(ticket)
		copy(drawn[at+1:count+1], drawn[at:count])
		drawn[at] = i
		start, end := c.ticketsOf(i)
		left -= end - start
		into = append(into, c.Shares[i].Index)
	}
	return into
}

// ticketsOf gives the first ticket of the candidate at a position, and the one
// after its last.
func (c *Choice) ticketsOf(i int) (start, end uint64) { return c.bounds[i], c.bounds[i+1] }

// holder gives the position of the candidate that holds a ticket.
func (c *Choice) holder(ticket uint64) int {
	low, high := 0, len(c.bounds)-2
	for low < high {
		middle := int(uint(low+high) / 2)
		if c.bounds[middle+1] > ticket {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low
}

// below gives a uniform number below limit, which is over 0, by the upper half
// of a product; values whose lower half would favour some numbers are drawn
// again (Lemire, "Fast Random Integer Generation in an Interval", 2019). Since
// limit is at most 2^62, a value is refused with a probability under 1/4, and
// the bound on tries, which keeps a stuck source from hanging the program,
// costs an error under 2^-128.
func below(r rand.Source, limit uint64) uint64 {
	high, low := bits.Mul64(r.Uint64(), limit)
	if low < limit {
		high = decide(r, limit, high, low)
	}
	return high
}

// decide is what below does where the lower half of the product is less than
// the limit, which is seldom: such a value may be one to refuse.
func decide(r rand.Source, limit, high, low uint64) uint64 {
	refused := -limit % limit
	for tries := 0; low < refused && tries < 64; tries++ {
		high, low = bits.Mul64(r.Uint64(), limit)
	}
	return high
}
