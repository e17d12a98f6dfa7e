package selection

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// Bounds of what one Chooser remembers. Past them it computes every answer
// anew: only a distance policy with very many different coordinates, or a very
// large list of candidates, comes near them.
const (
	maxClasses = 1 << 16 // classes of clients, and choices; about 100 bytes each
	maxShares  = 1 << 20 // shares of all kept choices together, 24 bytes each
)

// memo remembers the choices of the classes of clients that have come. load is
// without locks: the table is an open-addressed hash table whose entries are
// only ever added, and which is at most half full, so that a search ends. When
// it fills up, a larger copy takes its place whole.
type memo struct {
	seed  maphash.Seed
	table atomic.Pointer[memoTable]

	mu sync.Mutex // held to write; guards all that follows
	// entries counts those in the table.
	entries int
	// choices are all that are kept, by mode and candidates.
	choices map[string]*Choice
	shares  int // of all choices together
}

type memoTable struct {
	slots []atomic.Pointer[memoEntry] // a power of two of them
}

type memoEntry struct {
	class  class
	choice *Choice
}

func newMemo() *memo {
	m := &memo{seed: maphash.MakeSeed(), choices: map[string]*Choice{}}
	m.table.Store(&memoTable{slots: make([]atomic.Pointer[memoEntry], 16)})
	return m
}

// load gives the choice of a class, or nil if it is not remembered.
func (m *memo) load(k class) *Choice {
	t := m.table.Load()
	for i := m.slot(t, k); ; i = (i + 1) % len(t.slots) {
		e := t.slots[i].Load()
		if e == nil {
			return nil
		}
		if e.class == k {
			return e.choice
		}
	}
}

func (m *memo) slot(t *memoTable, k class) int {
	return int(maphash.Comparable(m.seed, k) & uint64(len(t.slots)-1))
}

// keep gives the choice of what was decided for a class, and remembers it
// while there is room.
func (m *memo) keep(c *Chooser, k class, d *decision) *Choice {
	m.mu.Lock()
	defer m.mu.Unlock()
	choice := m.intern(c, d)
	if choice.ID >= 0 && m.entries < maxClasses && m.load(k) == nil {
		if t := m.table.Load(); 2*(m.entries+1) > len(t.slots) {
			m.grow(t)
		}
		m.insert(m.table.Load(), &memoEntry{k, choice})
		m.entries++
	}
	return choice
}

// intern gives the one choice of these candidates in this mode.
func (m *memo) intern(c *Chooser, d *decision) *Choice {
	set := make([]byte, 1+(len(c.candidates)+7)/8)
	set[0] = byte(d.mode)
	for _, i := range d.chosen {
		set[1+i/8] |= 1 << (i % 8)
	}
	if choice := m.choices[string(set)]; choice != nil {
		return choice
	}
	if m.shares+len(d.chosen) > maxShares || len(m.choices) >= maxClasses {
		return c.makeChoice(-1, d.mode, d.chosen)
	}
	choice := c.makeChoice(len(m.choices), d.mode, d.chosen)
	m.choices[string(set)] = choice
	m.shares += len(d.chosen)
	return choice
}

// grow puts a table of twice the size in the place of t. Readers that still
// search t find what was in it, or come here and look again.
func (m *memo) grow(t *memoTable) {
	larger := &memoTable{slots: make([]atomic.Pointer[memoEntry], 2*len(t.slots))}
	for i := range t.slots {
		if e := t.slots[i].Load(); e != nil {
			m.insert(larger, e)
		}
	}
	m.table.Store(larger)
}

func (m *memo) insert(t *memoTable, e *memoEntry) {
	i := m.slot(t, e.class)
	for t.slots[i].Load() != nil {
		i = (i + 1) % len(t.slots)
	}
	t.slots[i].Store(e)
}
