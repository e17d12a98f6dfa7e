package zones

import "mirrorpool/pool"

// Tally counts what one worker gives from the pools of one definition. It
// belongs to one goroutine at a time.
type Tally struct {
	definition *pool.Definition
	counts     []uint64
}

// NewTally makes one for the table's definition.
func (t *Table) NewTally() *Tally {
	return &Tally{definition: t.Definition, counts: make([]uint64, t.tallies)}
}

// Fits reports whether the tally is for this table: it is for all that are
// compiled from one definition.
func (y *Tally) Fits(t *Table) bool { return y.definition == t.Definition }

// Each gives what was counted: the questions of each pool, by its name, and how
// often each member came first in an answer or stood at another place. What was
// never counted is left out.
func (y *Tally) Each(questions func(pool string, n uint64), given func(pool, member string, first bool, n uint64)) {
	at := 0
	next := func() uint64 {
		at++
		return y.counts[at-1]
	}
	for _, one := range y.definition.Pools {
		if n := next(); n > 0 {
			questions(one.Name, n)
		}
		for _, member := range one.Members {
			for _, first := range []bool{true, false} {
				if n := next(); n > 0 {
					given(one.Name, member.ID, first, n)
				}
			}
		}
	}
}
