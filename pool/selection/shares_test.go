package selection

import (
	"encoding/binary"
	"math"
	"math/big"
	"testing"

	"mirrorpool/pool"
	"mirrorpool/testdraw"
)

func TestTicketsByTheCap(t *testing.T) {
	for _, test := range []struct {
		weights  []uint64
		maxShare float64
		want     []float64
	}{
		{[]uint64{1}, 1, []float64{1}},
		{[]uint64{1, 3}, 1, []float64{0.25, 0.75}},
		{[]uint64{1, 3}, 0.75, []float64{0.25, 0.75}},
		{[]uint64{1, 3}, 0.7, []float64{0.3, 0.7}},
		{[]uint64{1, 3}, 0.5, []float64{0.5, 0.5}},
		{[]uint64{1, 3}, 0.3, []float64{0.5, 0.5}}, // cannot hold
		{[]uint64{8, 1, 1}, 0.5, []float64{0.5, 0.25, 0.25}},
		// Cutting the first pushes the second over, cutting it the third.
		{[]uint64{60, 30, 10}, 0.4, []float64{0.4, 0.4, 0.2}},
		{[]uint64{100, 50, 40, 5, 5}, 0.3, []float64{0.3, 0.3, 0.3, 0.05, 0.05}},
		{[]uint64{5, 100, 40, 50, 5}, 0.3, []float64{0.05, 0.3, 0.3, 0.3, 0.05}},
		{[]uint64{10_000, 1, 1}, 1. / 3, []float64{1. / 3, 1. / 3, 1. / 3}},
		{[]uint64{10_000, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 0.1, []float64{.1, .1, .1, .1, .1, .1, .1, .1, .1, .1}},
		{[]uint64{math.MaxUint32, 1, 1}, 0.5, []float64{0.5, 0.25, 0.25}},
		{nil, 0.5, nil},
	} {
		checkShares(t, test.weights, test.maxShare, tickets(test.weights, test.maxShare))
		got := ratios(tickets(test.weights, test.maxShare))
		for i, want := range test.want {
			if math.Abs(got[i]-want) > 1e-15 {
				t.Errorf("%v, cap %v: got %v, want %v", test.weights, test.maxShare, got, test.want)
				break
			}
		}
	}
}

func ratios(tickets []uint64) []float64 {
	var all uint64
	for _, n := range tickets {
		all += n
	}
	shares := make([]float64, len(tickets))
	for i, n := range tickets {
		shares[i] = float64(n) / float64(all)
	}
	return shares
}

// waterFill is step 4 as it reads, in fractions: what is above the cap goes to
// the others in proportion to their weights, again and again.
func waterFill(weights []uint64, maxShare *big.Rat) []*big.Rat {
	shares := make([]*big.Rat, len(weights))
	cut := make([]bool, len(weights))
	for again := true; again; {
		again = false
		room, rest := big.NewRat(1, 1), new(big.Rat)
		for i, w := range weights {
			if cut[i] {
				room.Sub(room, maxShare)
			} else {
				rest.Add(rest, big.NewRat(int64(w), 1))
			}
		}
		for i, w := range weights {
			if cut[i] {
				shares[i] = maxShare
				continue
			}
			shares[i] = new(big.Rat).Mul(big.NewRat(int64(w), 1), room)
			shares[i].Quo(shares[i], rest)
		}
		for i := range weights {
			if !cut[i] && shares[i].Cmp(maxShare) > 0 {
				cut[i], again = true, true
			}
		}
	}
	return shares
}

// checkShares holds tickets to what step 4 promises.
func checkShares(t *testing.T, weights []uint64, maxShare float64, given []uint64) {
	t.Helper()
	n := len(weights)
	if n == 0 {
		return
	}
	all := new(big.Int)
	for _, g := range given {
		all.Add(all, new(big.Int).SetUint64(g))
	}
	if !all.IsUint64() || all.Uint64() > 1<<62 && maxShare < 1 {
		t.Fatalf("%v, cap %v: %v tickets in all", weights, maxShare, all)
	}
	cap := new(big.Rat).SetFloat64(maxShare)
	holds := new(big.Rat).Mul(cap, big.NewRat(int64(n), 1)).Cmp(big.NewRat(1, 1)) >= 0
	var want []*big.Rat
	if holds {
		want = waterFill(weights, cap)
	}
	for i := range weights {
		if given[i] == 0 {
			t.Fatalf("%v, cap %v: no ticket for %d", weights, maxShare, i)
		}
		share := new(big.Rat).SetFrac(new(big.Int).SetUint64(given[i]), all)
		if !holds {
			if got, _ := share.Float64(); math.Abs(got-1/float64(n)) > capMargin {
				t.Fatalf("%v, cap %v cannot hold: share %v of %d", weights, maxShare, got, i)
			}
			continue
		}
		if share.Cmp(cap) > 0 && share.Cmp(big.NewRat(1, int64(n))) != 0 {
			t.Fatalf("%v, cap %v: share %v of %d is above it", weights, maxShare, share.FloatString(20), i)
		}
		off := new(big.Rat).Sub(share, want[i])
		if off.Abs(off).Cmp(big.NewRat(1, 1<<52)) > 0 {
			t.Fatalf("%v, cap %v: share %v of %d, want %v", weights, maxShare, share.FloatString(20), i, want[i].FloatString(20))
		}
	}
	for i := range weights {
		for j := range weights {
			if weights[i] >= weights[j] && given[i] < given[j] {
				t.Fatalf("%v, cap %v: %d is no lighter than %d but has fewer tickets: %v", weights, maxShare, i, j, given)
			}
		}
	}
}

// So much weight in all takes more tickets than usual.
func TestTicketsOfHeavyCandidates(t *testing.T) {
	weights := []uint64{1, 2, 70_000}
	for i := range uint64(300) {
		weights = append(weights, wholeWeight*(math.MaxUint32-i*i))
	}
	for _, maxShare := range []float64{1, 0.0034, 0.00335, 0.003} {
		checkShares(t, weights, maxShare, tickets(weights, maxShare))
	}
}

func TestTicketsByChance(t *testing.T) {
	for seed := range uint64(testdraw.Cases(t, 1500)) {
		r := seeded(seed)
		weights := make([]uint64, 1+r.IntN(20))
		for i := range weights {
			weights[i] = 1 + uint64(r.IntN(1<<r.IntN(14)))
		}
		maxShare := pick(r, []float64{1, 1, r.Float64(), 1 / float64(len(weights)), 1 / float64(1+r.IntN(20)), 0.5, 0.1})
		if maxShare == 0 {
			continue
		}
		checkShares(t, weights, maxShare, tickets(weights, maxShare))
	}
}

// The shares of a Choice: they add up to 1, keep to the cap wherever it can
// hold, and the heavier never has less.
func TestSharesOfChoices(t *testing.T) {
	capped := 0
	for seed := range uint64(5000) {
		r := seeded(seed)
		candidates, policy := r.candidates(), r.policy()
		c := New(policy, r.whenAllDown(), candidates)
		choice, _ := c.Choose(r.client())
		sum := 0.0
		for _, s := range choice.Shares {
			sum += s.Share
			if s.Share <= 0 {
				t.Fatalf("seed %d: share %v", seed, s)
			}
			holds := capHolds(len(choice.Shares), policy.MaxShare)
			if holds && s.Share > policy.MaxShare && s.Share > 1/float64(len(choice.Shares)) {
				t.Fatalf("seed %d: share %v is above %v", seed, s.Share, policy.MaxShare)
			}
			if s.Share == policy.MaxShare && policy.MaxShare < 1 {
				capped++
			}
			for _, other := range choice.Shares {
				if counted(choice, &candidates[s.Index]) >= counted(choice, &candidates[other.Index]) && s.Share < other.Share {
					t.Fatalf("seed %d: %s", seed, show(choice, candidates))
				}
			}
		}
		if len(choice.Shares) > 0 && math.Abs(sum-1) > 1e-12 {
			t.Fatalf("seed %d: shares add up to %v", seed, sum)
		}
		if noShares := choice.Mode == Self || choice.Mode == Empty; noShares != (len(choice.Shares) == 0) {
			t.Fatalf("seed %d: %s", seed, show(choice, candidates))
		}
		// The cap can hold in the field: then it does in what was taken of it.
		field := c.possibleField()
		if !c.rules.any() && capHolds(len(field), policy.MaxShare) && len(field) > 0 && !capHolds(len(choice.Shares), policy.MaxShare) {
			t.Fatalf("seed %d: cap %v: %d candidates of %d were taken", seed, policy.MaxShare, len(choice.Shares), len(field))
		}
	}
	if capped < 100 {
		t.Errorf("only %d shares were at the cap", capped)
	}
}

func FuzzTickets(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 3}, 0.5)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 1}, 0.34)
	f.Add([]byte{0, 0, 0x27, 0x10, 0, 0, 0, 1, 0, 0, 0, 1}, 1./3)
	f.Add([]byte{0, 0, 0, 9}, 1e-300)
	f.Add([]byte{0, 0, 0, 9, 0, 0, 0, 9}, 0.49999999999)
	f.Fuzz(func(t *testing.T, octets []byte, maxShare float64) {
		if !(maxShare > 0 && maxShare <= 1) || len(octets) > 400 {
			return
		}
		var weights []uint64
		for ; len(octets) >= 4; octets = octets[4:] {
			if w := wholeWeight * uint64(binary.BigEndian.Uint32(octets)); w > 0 {
				weights = append(weights, w)
			}
		}
		given := tickets(weights, maxShare)
		if len(given) != len(weights) {
			t.Fatalf("%d tickets for %d weights", len(given), len(weights))
		}
		checkShares(t, weights, maxShare, given)
	})
}

// counted is what a choice takes a candidate's weight for, in sixteenths: the part that
// one who has come back has by now, in the modes in which that counts.
func counted(choice *Choice, c *Candidate) uint64 {
	if c.Up && c.Sixteenths > 0 && (choice.Mode == Normal || choice.Mode == Reserve) {
		return uint64(c.Weight) * uint64(c.Sixteenths)
	}
	return uint64(c.Weight) * 16
}

// Those that have come back have exactly their part of their weight, under the cap and
// without, and the draw keeps to it.
func TestSharesOfThoseThatComeBack(t *testing.T) {
	for _, test := range []struct {
		name       string
		policy     pool.Policy
		candidates []Candidate
		want       string
	}{
		{
			"one of three", plain,
			[]Candidate{candidate("a", 16), candidate("b", 16), candidate("c", 16, back(1))},
			"normal a:0.4848 b:0.4848 c:0.0303", // 16, 16 and 1 of 33
		},
		{
			"weights that 16 does not divide", plain,
			[]Candidate{candidate("a", 1), candidate("b", 3, back(5))},
			"normal a:0.5161 b:0.4839", // 16 and 15 of 31
		},
		{
			"all of them come back: what they have relative to each other counts", plain,
			[]Candidate{candidate("a", 10, back(1)), candidate("b", 10, back(3))},
			"normal a:0.2500 b:0.7500",
		},
		{
			"all by the same part", plain,
			[]Candidate{candidate("a", 10, back(7)), candidate("b", 30, back(7))},
			"normal a:0.2500 b:0.7500",
		},
		{
			"what the cap cuts off goes to them by their part", capped(plain, 0.5),
			[]Candidate{candidate("a", 160), candidate("b", 10), candidate("c", 10, back(4))},
			"normal a:0.5000 b:0.4000 c:0.1000",
		},
		{
			"as many as the cap needs: it goes before", capped(plain, 0.5),
			[]Candidate{candidate("a", 10), candidate("b", 10, back(1))},
			"normal a:0.5000 b:0.5000",
		},
		{
			"the reserve comes back as well", plain,
			[]Candidate{candidate("a", 1, isDown), candidate("b", 10, isReserve, back(4)), candidate("c", 10, isReserve)},
			"reserve b:0.2000 c:0.8000",
		},
		{
			"what is down has all of its weight where all are given", plain,
			[]Candidate{candidate("a", 1, isDown, back(1)), candidate("b", 1, isDown)},
			"all a:0.5000 b:0.5000",
		},
		{
			"beside those that are kept nobody has less", plain,
			[]Candidate{candidate("a", 1, back(1)), candidate("b", 1, isKept), candidate("c", 1, isDown)},
			"kept a:0.5000 b:0.5000",
		},
		{
			"no such part", plain,
			[]Candidate{candidate("a", 1, back(16)), candidate("b", 1, back(200))},
			"normal a:0.5000 b:0.5000",
		},
	} {
		choice, _ := New(test.policy, pool.AnswerAll, test.candidates).Choose(Client{})
		if got := show(choice, test.candidates); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

// Without a cap a share is the counted weight's part of all, to the last ticket.
func TestPartsAreExact(t *testing.T) {
	for seed := range uint64(2000) {
		r := seeded(seed)
		candidates := r.candidates()
		choice, _ := New(plain, r.whenAllDown(), candidates).Choose(r.client())
		var all, tickets uint64
		for i, s := range choice.Shares {
			all += counted(choice, &candidates[s.Index])
			tickets += choice.Tickets(i)
		}
		for i, s := range choice.Shares {
			if choice.Tickets(i)*all != counted(choice, &candidates[s.Index])*tickets {
				t.Fatalf("seed %d: %s", seed, show(choice, candidates))
			}
		}
	}
}
