package selection

import (
	"math"
	"math/bits"
	"slices"
)

// tickets gives every candidate a whole number of tickets, so that its share
// is its part of all tickets (step 4): in proportion to the weights, and none
// above maxShare; what is cut off goes to the others in proportion to their
// weights, and so on until it holds. If there are too few candidates for the
// cap, all get one ticket. The weights are over 0, and less than 2^62 in all.
//
// Candidates that the cap does not touch have tickets in exact proportion to
// their weights; those it cuts have one ticket fewer at most than the exact
// cap would give, of at least 2^55. A heavier candidate never has fewer
// tickets than a lighter one. All arithmetic is on whole numbers, so that a
// share never passes the cap by rounding.
func tickets(weights []uint64, maxShare float64) []uint64 {
	given := make([]uint64, len(weights))
	var rest uint64 // weight of those that are not cut off
	for _, w := range weights {
		rest += w
	}
	// one is how many tickets there are, before rounding. With more of them,
	// drawing would have to refuse more of the source's numbers.
	exponent := 56
	if rest >= 1<<40 {
		exponent = 62
	}
	one := uint64(1) << exponent
	limit := one
	if maxShare < 1 {
		limit = uint64(math.Ldexp(maxShare, exponent))
	}
	// The heaviest are cut first: once the next one is under the cap, all
	// after it are. room is what those that are not cut off share.
	order := heaviestFirst(weights)
	room, cut := one, 0
	for cut < len(order) && productAbove(weights[order[cut]], room, limit, rest) {
		room -= limit // room > limit here, since rest is at least the weight
		rest -= weights[order[cut]]
		cut++
	}
	switch cut {
	case 0: // the weights themselves are the tickets
		copy(given, weights)
		return given
	case len(order): // too few for the cap: all of them are above it
		return even(given)
	}
	// Whole tickets per unit of weight; the cut ones are scaled down along, so
	// that they keep to the cap of what there is in all.
	perWeight := room / rest
	high, low := bits.Mul64(limit, perWeight*rest)
	most, _ := bits.Div64(high, low, room) // high < room, since limit < 2^64
	for _, i := range order[:cut] {
		given[i] = most
	}
	for _, i := range order[cut:] {
		given[i] = perWeight * weights[i]
	}
	return given
}

func even(tickets []uint64) []uint64 {
	for i := range tickets {
		tickets[i] = 1
	}
	return tickets
}

func heaviestFirst(weights []uint64) []int {
	order := make([]int, len(weights))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case weights[a] > weights[b]:
			return -1
		case weights[a] < weights[b]:
			return 1
		}
		return 0
	})
	return order
}

// productAbove reports whether a*b > c*d.
func productAbove(a, b, c, d uint64) bool {
	leftHigh, leftLow := bits.Mul64(a, b)
	rightHigh, rightLow := bits.Mul64(c, d)
	return leftHigh > rightHigh || leftHigh == rightHigh && leftLow > rightLow
}

// wholeWeight is how many Sixteenths are all of a weight.
const wholeWeight = 16

// sixteenths are the part of its weight that a candidate has in a mode.
func (c *Candidate) sixteenths(mode Mode) uint64 {
	if !c.Up || c.Sixteenths == 0 || c.Sixteenths >= wholeWeight || mode != Normal && mode != Reserve {
		return wholeWeight
	}
	return uint64(c.Sixteenths)
}

// weights are those that count of the candidates in chosen: in sixteenths where any
// has but a part of its own.
func (c *rule) weights(mode Mode, chosen []int) []uint64 {
	unit := uint64(1)
	for _, index := range chosen {
		if c.candidates[index].sixteenths(mode) != wholeWeight {
			unit = wholeWeight
			break
		}
	}
	weights := make([]uint64, len(chosen))
	for i, index := range chosen {
		candidate := &c.candidates[index]
		weights[i] = uint64(candidate.Weight) * candidate.sixteenths(mode) / (wholeWeight / unit)
	}
	return weights
}

// makeChoice gives the candidates in chosen, which are ascending, their shares.
func (c *Chooser) makeChoice(id int, mode Mode, chosen []int) *Choice {
	choice := &Choice{ID: id, Mode: mode}
	if len(chosen) == 0 {
		return choice
	}
	weights := c.weights(mode, chosen)
	choice.Shares = make([]Share, len(chosen))
	own := tickets(weights, c.policy.MaxShare)
	choice.bounds = make([]uint64, len(own)+1)
	for i := range own {
		choice.bounds[i+1] = choice.bounds[i] + own[i]
	}
	all := choice.bounds[len(own)]
	highest := 1.0
	if capHolds(len(chosen), c.policy.MaxShare) {
		// Dividing two rounded numbers may pass the cap by a last digit; but
		// where the cap holds by the margin only, 1/n is right and above it.
		highest = max(c.policy.MaxShare, 1/float64(len(chosen)))
	}
	for i, index := range chosen {
		choice.Shares[i] = Share{Index: index, Share: min(float64(own[i])/float64(all), highest)}
	}
	return choice
}
