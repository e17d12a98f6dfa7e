package zones

import (
	"cmp"
	"slices"

	"mirrorpool/pool/geo"
	"mirrorpool/pool/selection"
)

// blockRounds is in how many ways a family's members are divided into blocks.
const blockRounds = 4

// blocks divide the members that may be given together in a mode of the choice into
// sets of neighbours, of as many as an answer has. Where there are too many choices
// to sign sets for each, the members of a block that a choice has stand in for what
// was drawn: neighbours are mostly in the same choices, so that few sets are enough.
type blocks struct {
	rounds [][][]int // the blocks of each round
	of     [][]int32 // by round and member: its block; -1: it is in none
}

// newBlocks divides members that stand at places into blocks of a size.
func newBlocks(members []int, places []geo.Place, size int) *blocks {
	members = slices.Clone(members)
	slices.SortFunc(members, func(i, j int) int {
		a, b := &places[i], &places[j]
		return cmp.Or(cmp.Compare(a.Continent, b.Continent), cmp.Compare(a.Country, b.Country), cmp.Compare(a.ASN, b.ASN), i-j)
	})
	size = min(size, len(members))
	b := &blocks{}
	rounds := min(blockRounds, size)
	for round := range rounds {
		var all [][]int
		of := make([]int32, len(places))
		for i := range of {
			of[i] = -1
		}
		turn := round * size / rounds
		turned := slices.Concat(members[turn:], members[:turn])
		for first := 0; first < len(turned); first += size {
			start := min(first, len(turned)-size) // the last one shares members with the one before
			block := turned[start : start+size]
			for _, member := range turned[first:min(first+size, len(turned))] {
				of[member] = int32(len(all))
			}
			all = append(all, block)
		}
		b.rounds, b.of = append(b.rounds, all), append(b.of, of)
	}
	return b
}

// appendBlock appends the other members of a member's block that a choice has.
func (b *blocks) appendBlock(order []int, round, member int, choice *selection.Choice) []int {
	number := b.of[round][member]
	if number < 0 {
		return order
	}
	for _, other := range b.rounds[round][number] {
		if other == member {
			continue
		}
		if _, has := shareOf(choice, other); has {
			order = append(order, other)
		}
	}
	return order
}

// shareOf finds a member among a choice's Shares.
func shareOf(choice *selection.Choice, member int) (at int, found bool) {
	return slices.BinarySearchFunc(choice.Shares, member, func(share selection.Share, index int) int { return share.Index - index })
}

// blocksOf gives the blocks for a mode; nil: there are none.
func (s *signedFamily) blocksOf(mode selection.Mode) *blocks {
	if int(mode) >= len(s.blocks) {
		return nil
	}
	return s.blocks[mode]
}

// inBlock puts, behind the first of an order, those that stand in for the others, and
// gives the set's signatures; nil: no such set is signed.
func (s *signedFamily) inBlock(choice *selection.Choice, order []int, random Random) ([]int, *signedSet) {
	b := s.blocksOf(choice.Mode)
	if b == nil {
		return nil, nil
	}
	var found *signedSet
	var onStack [32]int
	most, other := 1, onStack[:0]
	start := firstOf(random, len(b.rounds))
	for i := range b.rounds {
		other = b.appendBlock(append(other[:0], order[0]), (start+i)%len(b.rounds), order[0], choice)
		if len(other) <= most {
			continue
		}
		if set := s.find(s.keyOf(choice.Mode, other)); set != nil {
			found, most = set, len(other)
			order = append(order[:0], other...)
			if most == min(s.wire.most, len(choice.Shares)) {
				break // none has more
			}
		}
	}
	if found == nil {
		return nil, nil
	}
	return order, found
}

// addChoiceBlocks divides the candidates of each choice into blocks, and gives the
// orders that begin with each.
func (w *aheadWork) addChoiceBlocks(places []geo.Place, choices []*selection.Choice, rounds int) {
	for _, choice := range choices {
		if choice.ID < 0 {
			continue
		}
		members := make([]int, len(choice.Shares))
		for i, share := range choice.Shares {
			members[i] = share.Index
		}
		b := newBlocks(members, places, w.family.wire.most)
		orders := make([][][]int, len(choice.Shares))
		for round := range min(rounds, len(b.rounds)) {
			for i, share := range choice.Shares {
				order := b.appendBlock([]int{share.Index}, round, share.Index, choice)
				w.addOrder(choice.Mode, order)
				orders[i] = append(orders[i], order)
			}
		}
		w.family.setInstead(choice.ID, orders)
	}
}

func (s *signedFamily) setInstead(id int, orders [][][]int) {
	for len(s.instead) <= id {
		s.instead = append(s.instead, nil)
	}
	s.instead[id] = orders
}

// addBlocks adds the blocks of all modes, and what the known choices have of them, as
// far as there is room.
func (w *aheadWork) addBlocks(places []geo.Place, choices []*selection.Choice) {
	s := w.family
	var members [selection.All + 1][]int
	for i := range s.members {
		m := &s.members[i]
		switch {
		case m.disabled:
			continue
		case len(m.up) == 0:
		case m.reserve:
			members[selection.Reserve] = append(members[selection.Reserve], i)
		default:
			if members[selection.Kept] = append(members[selection.Kept], i); !m.kept {
				members[selection.Normal] = append(members[selection.Normal], i)
			}
		}
		if len(m.all) > 0 {
			members[selection.All] = append(members[selection.All], i)
		}
	}
	if len(members[selection.Kept]) == len(members[selection.Normal]) {
		members[selection.Kept] = nil // there is no such mode
	}
	s.blocks = make([]*blocks, len(members))
	for mode, list := range members {
		if len(list) == 0 {
			continue
		}
		b := newBlocks(list, places, s.wire.most)
		s.blocks[mode] = b
		for _, round := range b.rounds {
			for _, block := range round {
				w.addOrder(selection.Mode(mode), block)
			}
		}
	}
	most := len(w.keys) + w.most
	var room []int
	for _, choice := range choices {
		b := s.blocksOf(choice.Mode)
		if b == nil {
			continue
		}
		for round := range b.rounds {
			for _, share := range choice.Shares {
				if len(w.keys) >= most {
					return
				}
				room = b.appendBlock(append(room[:0], share.Index), round, share.Index, choice)
				w.addOrder(choice.Mode, room)
			}
		}
	}
}
