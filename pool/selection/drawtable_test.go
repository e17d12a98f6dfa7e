package selection

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"mirrorpool/pool"
)

// parts counts, of all 2^64 numbers, those that each order of a table is drawn
// by.
func (t *DrawTable) parts() map[string]*big.Int {
	all := map[string]*big.Int{}
	add := func(o Order, n uint64) {
		if n == 0 {
			return
		}
		var order []int
		for i := range t.count {
			order = append(order, o.At(i))
		}
		key := fmt.Sprint(order)
		if all[key] == nil {
			all[key] = new(big.Int)
		}
		all[key].Add(all[key], new(big.Int).SetUint64(n))
	}
	for _, c := range t.columns {
		add(c.own, c.threshold)
		add(c.other, 1<<t.shift-c.threshold)
	}
	return all
}

// Of all numbers that a source can give, each order gets as many as its
// probability says, less than one for each candidate drawn off; and each first
// candidate its share, less than one off.
func TestDrawTableEveryNumber(t *testing.T) {
	for _, c := range []struct {
		policy  pool.Policy
		weights []uint32
	}{
		{plain, []uint32{1, 2, 3, 4, 5}},
		{plain, []uint32{1, 1, 1, 1, 1}},
		{plain, []uint32{10000, 1, 1, 1, 1, 1}},
		{plain, []uint32{7}},
		{plain, []uint32{3, 5}},
		{plain, []uint32{10000, 9999, 3, 1, 1, 1, 1}},
		{pool.Policy{Nearness: pool.None, MinCandidates: 1, MaxShare: 0.3}, []uint32{1, 2, 50, 4, 5}},
		{pool.Policy{Nearness: pool.None, MinCandidates: 1, MaxShare: 0.1}, []uint32{1, 2, 50, 4, 5}},
	} {
		choice := chooseAmong(c.policy, c.weights...)
		tickets := make([]uint32, len(c.weights))
		exact := make([]*big.Rat, len(c.weights))
		whole := new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), 64))
		for i := range choice.Shares {
			first, last := choice.ticketsOf(i)
			tickets[i] = uint32(last - first)
			exact[i] = new(big.Rat).SetFrac(new(big.Int).SetUint64(last-first), new(big.Int).SetUint64(choice.bounds[len(c.weights)]))
			exact[i].Mul(exact[i], whole)
		}
		for n := 1; n <= min(6, len(c.weights)); n++ {
			table := choice.DrawTable(n)
			if table == nil {
				continue
			}
			firsts := make([]*big.Int, len(c.weights))
			for i := range firsts {
				firsts[i] = new(big.Int)
			}
			sum := new(big.Int)
			parts := table.parts()
			for order, part := range parts {
				var drawn []int
				parse(order, &drawn)
				firsts[drawn[0]].Add(firsts[drawn[0]], part)
				sum.Add(sum, part)
			}
			if sum.Cmp(whole.Num()) != 0 {
				t.Errorf("%v, %d drawn: %v of 2^64 numbers draw", c.weights, n, sum)
			}
			for i, part := range firsts {
				off := new(big.Rat).Sub(new(big.Rat).SetInt(part), exact[i])
				if off.Abs(off).Cmp(big.NewRat(1, 1)) >= 0 {
					t.Errorf("%v, %d drawn: candidate %d comes first by %v numbers, want %v", c.weights, n, i, part, exact[i].FloatString(1))
				}
			}
			if c.policy.MaxShare < 1 {
				continue // the tickets do not fit the formula's weights
			}
			want := map[string]*big.Rat{}
			orders(tickets, n, nil, big.NewRat(1, 1), want)
			for order, probability := range want {
				part := parts[order]
				if part == nil {
					part = new(big.Int)
				}
				off := new(big.Rat).Sub(new(big.Rat).SetInt(part), new(big.Rat).Mul(probability, whole))
				if off.Abs(off).Cmp(big.NewRat(int64(n), 1)) >= 0 {
					t.Errorf("%v: %s is drawn by %v numbers, want %s", c.weights, order, part, new(big.Rat).Mul(probability, whole).FloatString(1))
				}
			}
			if len(parts) > len(want) {
				t.Errorf("%v, %d drawn: %d orders, want at most %d", c.weights, n, len(parts), len(want))
			}
		}
	}
}

// A table and Draw give the same frequencies.
func TestDrawTableFrequencies(t *testing.T) {
	const draws = 100_000
	choice := chooseAmong(pool.Policy{Nearness: pool.None, MinCandidates: 1, MaxShare: 0.4}, 1, 2, 50, 4, 5, 6)
	table := choice.DrawTable(3)
	want := map[string]float64{}
	successive(choice.Shares, 3, nil, 1, want)
	got := map[string]float64{}
	random := rand.NewPCG(7, 7)
	for range draws {
		order := table.Draw(random)
		got[fmt.Sprint([]int{order.At(0), order.At(1), order.At(2)})]++
	}
	var a, b []float64
	for order, probability := range want {
		a, b = append(a, got[order]), append(b, probability*draws)
	}
	if len(got) > len(want) {
		t.Errorf("%d orders, want at most %d", len(got), len(want))
	}
	expectFit(t, "orders", a, b)
}

func TestDrawTableBounds(t *testing.T) {
	even := func(n int) *Choice {
		weights := make([]uint32, n)
		for i := range weights {
			weights[i] = 1
		}
		return chooseAmong(plain, weights...)
	}
	for _, c := range []struct {
		candidates, n int
		made          bool
	}{{1, 1, true}, {1, 4, true}, {5, 4, true}, {5, 0, false}, {7, 4, true}, {8, 4, false}, {6, 6, true}, {256, 1, true}, {257, 1, false}, {1024, 1, false}, {9, 9, false}} {
		table := even(c.candidates).DrawTable(c.n)
		if made := table != nil; made != c.made {
			t.Errorf("%d of %d: a table was made: %v", c.n, c.candidates, made)
		} else if made && table.Count() != min(c.n, c.candidates) {
			t.Errorf("%d of %d: orders of %d", c.n, c.candidates, table.Count())
		}
	}
	if (&Choice{}).DrawTable(1) != nil {
		t.Error("a table of nothing")
	}
	for _, number := range []uint64{0, math.MaxUint64, 1 << 63} {
		if order := even(1).DrawTable(1).Draw(stuck(number)); order.At(0) != 0 {
			t.Errorf("one candidate: drew %d", order.At(0))
		}
	}
}

func BenchmarkDrawTable(b *testing.B) {
	table := chooseAmong(plain, 10, 20, 30, 40, 50).DrawTable(4)
	random := rand.NewChaCha8([32]byte{1})
	b.ReportAllocs()
	var sum Order
	for b.Loop() {
		sum += table.Draw(random)
	}
	_ = sum
}
