package selection

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"mirrorpool/pool"
)

func weighted(weights ...uint32) []Candidate {
	candidates := make([]Candidate, len(weights))
	for i, w := range weights {
		candidates[i] = candidate(fmt.Sprintf("m%d", i), w)
	}
	return candidates
}

func chooseAmong(policy pool.Policy, weights ...uint32) *Choice {
	choice, _ := New(policy, pool.AnswerAll, weighted(weights...)).Choose(Client{})
	return choice
}

// script is a source that gives the numbers that it is told to, so that a
// test decides which tickets are drawn.
type script struct {
	numbers []uint64
	asked   int
}

func (s *script) Uint64() uint64 {
	s.asked++
	return s.numbers[s.asked-1]
}

// ticketNumber gives a number of a source that draws the given one of all
// tickets: the middle of those that do.
func ticketNumber(ticket, all uint64) uint64 {
	number, _ := bits.Div64(ticket, 1<<63, all)
	return number
}

// Every sequence of tickets is drawn once: the orders come out exactly as
// often as the formula says.
func TestDrawEveryTicket(t *testing.T) {
	for _, weights := range [][]uint32{{1, 2, 3, 4, 5}, {1, 1, 1, 1, 1}, {9, 1, 1, 2, 1}, {7}, {3, 5}} {
		for n := 1; n <= min(4, len(weights)); n++ {
			choice := chooseAmong(plain, weights...)
			got := map[string]*big.Rat{}
			drawEvery(choice, weights, n, nil, big.NewRat(1, 1), got)
			want := map[string]*big.Rat{}
			orders(weights, n, nil, big.NewRat(1, 1), want)
			if len(got) != len(want) {
				t.Errorf("%v: %d of them: got %d orders, want %d", weights, n, len(got), len(want))
			}
			for order, probability := range want {
				if got[order] == nil || got[order].Cmp(probability) != 0 {
					t.Errorf("%v: order %s: got %v, want %v", weights, order, got[order], probability)
				}
			}
		}
	}
}

// drawEvery draws with every sequence of tickets, as many as are to be drawn,
// and adds up how probable each order is.
func drawEvery(choice *Choice, weights []uint32, n int, numbers []uint64, probability *big.Rat, into map[string]*big.Rat) {
	drawn := choice.Draw(&script{numbers: append(slices.Clone(numbers), 1<<63)}, len(numbers), nil)
	if len(numbers) == n {
		key := fmt.Sprint(drawn)
		if into[key] == nil {
			into[key] = new(big.Rat)
		}
		into[key].Add(into[key], probability)
		return
	}
	var left uint64
	for i, w := range weights {
		if !slices.Contains(drawn, i) {
			left += uint64(w)
		}
	}
	next := new(big.Rat).Mul(probability, big.NewRat(1, int64(left)))
	for ticket := range left {
		drawEvery(choice, weights, n, append(slices.Clone(numbers), ticketNumber(ticket, left)), next, into)
	}
}

// orders gives the probability of every order of n of the weights by the
// formula of successive draws.
func orders(weights []uint32, n int, drawn []int, probability *big.Rat, into map[string]*big.Rat) {
	if n == 0 {
		into[fmt.Sprint(drawn)] = probability
		return
	}
	var left int64
	for i, w := range weights {
		if !slices.Contains(drawn, i) {
			left += int64(w)
		}
	}
	for i, w := range weights {
		if !slices.Contains(drawn, i) {
			p := new(big.Rat).Mul(probability, big.NewRat(int64(w), left))
			orders(weights, n-1, append(slices.Clone(drawn), i), p, into)
		}
	}
}

// successive gives the probability of every order of n of the shares, like
// orders, with shares that no whole weights stand for.
func successive(shares []Share, n int, drawn []int, probability float64, into map[string]float64) {
	if n == 0 {
		into[fmt.Sprint(drawn)] = probability
		return
	}
	left := 0.0
	for _, s := range shares {
		if !slices.Contains(drawn, s.Index) {
			left += s.Share
		}
	}
	for _, s := range shares {
		if !slices.Contains(drawn, s.Index) {
			successive(shares, n-1, append(slices.Clone(drawn), s.Index), probability*s.Share/left, into)
		}
	}
}

// A million draws each, of skewed weights, with and without a cap.
func TestDrawFrequencies(t *testing.T) {
	const draws = 200_000
	for _, test := range []struct {
		policy  pool.Policy
		weights []uint32
		n       int
	}{
		{plain, []uint32{1000, 300, 50, 7, 3}, 1},
		{plain, []uint32{1000, 300, 50, 7, 3}, 4},
		{plain, []uint32{5, 5, 5, 5, 5}, 4},
		{plain, []uint32{10000, 1, 1, 1, 1, 1, 1, 1}, 3},
		{capped(plain, 0.4), []uint32{1000, 300, 50, 7, 3}, 1},
		{capped(plain, 0.4), []uint32{1000, 300, 50, 20, 30}, 4},
		{capped(plain, 1./3), []uint32{1000, 900, 50, 20}, 2},
		{capped(plain, 0.1), []uint32{1000, 900, 50, 20}, 4},
	} {
		t.Run(fmt.Sprintf("%v of %v, cap %.2f", test.n, test.weights, test.policy.MaxShare), func(t *testing.T) {
			choice := chooseAmong(test.policy, test.weights...)
			source := rand.NewPCG(2, uint64(test.n))
			first, included := make([]float64, len(test.weights)), make([]float64, len(test.weights))
			byOrder := map[string]float64{}
			names := map[[4]int]string{}
			var drawn []int
			for range draws {
				drawn = choice.Draw(source, test.n, drawn[:0])
				first[drawn[0]]++
				key := [4]int{-1, -1, -1, -1}
				copy(key[:], drawn)
				name, known := names[key]
				if !known {
					name = fmt.Sprint(drawn)
					names[key] = name
				}
				byOrder[name]++
				for _, i := range drawn {
					included[i]++
				}
			}
			expected := map[string]float64{}
			successive(choice.Shares, test.n, nil, draws, expected)

			// The first record against the shares.
			var shares []float64
			for _, s := range choice.Shares {
				shares = append(shares, s.Share*draws)
			}
			expectFit(t, "first record", first, shares)
			// Every order against the formula.
			var got, want []float64
			for order, e := range expected {
				got, want = append(got, byOrder[order]), append(want, e)
			}
			expectFit(t, "orders", got, want)
			// Being drawn at all, each member by itself: it is or it is not.
			for i := range test.weights {
				chance := 0.0
				for order, e := range expected {
					var members []int
					parse(order, &members)
					if slices.Contains(members, i) {
						chance += e
					}
				}
				expectFit(t, fmt.Sprintf("member %d drawn at all", i),
					[]float64{included[i], draws - included[i]}, []float64{chance, draws - chance})
			}
		})
	}
}

// parse reads what fmt.Sprint writes of a slice of digits.
func parse(order string, into *[]int) {
	for _, c := range order {
		if c >= '0' && c <= '9' {
			*into = append(*into, int(c-'0'))
		}
	}
}

// expectFit fails if counts fit what is expected worse than once in a million.
func expectFit(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if p := fit(got, want); p < 1e-6 {
		t.Errorf("%s: p = %g of the χ² test", what, p)
	}
}

// fit gives the probability that counts fit what is expected no better than
// these (χ² test; cells of which fewer than 5 are expected are taken together).
func fit(got, want []float64) float64 {
	var statistic, smallGot, smallWant float64
	cells := 0
	add := func(g, w float64) {
		statistic += (g - w) * (g - w) / w
		cells++
	}
	for i := range got {
		if want[i] < 5 {
			smallGot += got[i]
			smallWant += want[i]
			continue
		}
		add(got[i], want[i])
	}
	if smallWant >= 5 {
		add(smallGot, smallWant)
	}
	if cells < 2 {
		return 1
	}
	return chiSquareSurvival(statistic, cells-1)
}

// chiSquareSurvival gives the probability that χ² is at least x: the upper
// regularised incomplete gamma function of half of both, by its series below
// the mean and its continued fraction above (Lentz).
func chiSquareSurvival(x float64, degrees int) float64 {
	a, z := float64(degrees)/2, x/2
	if z <= 0 {
		return 1
	}
	logGamma, _ := math.Lgamma(a)
	scale := math.Exp(a*math.Log(z) - z - logGamma)
	if z < a+1 {
		term := 1 / a
		sum := term
		for k := 1; k < 10_000 && term > sum*1e-16; k++ {
			term *= z / (a + float64(k))
			sum += term
		}
		return 1 - scale*sum
	}
	b := z + 1 - a
	c, d := math.Inf(1), 1/b
	fraction := d
	for k := 1; k < 10_000; k++ {
		numerator := -float64(k) * (float64(k) - a)
		b += 2
		d = 1 / (numerator*d + b)
		c = b + numerator/c
		fraction *= c * d
		if math.Abs(c*d-1) < 1e-15 {
			break
		}
	}
	return scale * fraction
}

func TestChiSquareSurvival(t *testing.T) {
	for _, test := range []struct {
		x       float64
		degrees int
		want    float64
	}{
		{3.841458820694124, 1, 0.05},
		{5.991464547107979, 2, 0.05},
		{9.487729036781154, 4, 0.05},
		{124.34211340400407, 100, 0.05},
		{2 * math.Log(1e6), 2, 1e-6}, // exact: exp(-x/2)
		{0.001, 4, 1 - 1.2495834e-7}, // 1-exp(-z)(1+z)
	} {
		if got := chiSquareSurvival(test.x, test.degrees); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("χ² %v, %d degrees: got %v, want %v", test.x, test.degrees, got, test.want)
		}
	}
}

// The test of frequencies sees a coin that is off by 0.3 % in a million throws,
// and takes one that is off by 0.1 % for fair.
func TestFit(t *testing.T) {
	if p := fit([]float64{503_000, 497_000}, []float64{500_000, 500_000}); p > 1e-6 {
		t.Errorf("an uneven coin fits with p = %g", p)
	}
	if p := fit([]float64{500_500, 499_500}, []float64{500_000, 500_000}); p < 0.3 || p > 0.33 {
		t.Errorf("a fair coin one standard deviation off: got p = %g, want 0.317", p)
	}
}

// A DNS answer's first record and the one redirect target are the same draw:
// from the same numbers, DNS (several records) and HTTP (one) put the same
// candidate first.
func TestDNSAndHTTPShareAlike(t *testing.T) {
	for seed := range uint64(300) {
		r := seeded(seed)
		candidates := r.candidates()
		policy, whenAllDown, client := r.policy(), r.whenAllDown(), r.client()
		forDNS, _ := New(policy, whenAllDown, candidates).Choose(client)
		forHTTP, _ := New(policy, whenAllDown, candidates).Choose(client)
		if !slices.Equal(forDNS.Shares, forHTTP.Shares) {
			t.Fatalf("seed %d: shares %v and %v", seed, forDNS.Shares, forHTTP.Shares)
		}
		for k := range uint64(100) {
			records := forDNS.Draw(rand.NewPCG(seed, k), 4, nil)
			target := forHTTP.Draw(rand.NewPCG(seed, k), 1, nil)
			if len(records) != min(4, len(forDNS.Shares)) || len(target) != min(1, len(records)) {
				t.Fatalf("seed %d: drew %v and %v of %d", seed, records, target, len(forDNS.Shares))
			}
			if len(target) == 1 && records[0] != target[0] {
				t.Fatalf("seed %d: first record %d, redirect to %d", seed, records[0], target[0])
			}
		}
	}
}

func TestDrawBounds(t *testing.T) {
	choice := chooseAmong(plain, 1, 2, 3)
	many := make([]uint32, 200)
	for i := range many {
		many[i] = uint32(i*i + 1)
	}
	for _, test := range []struct {
		name   string
		choice *Choice
		n      int
		want   int
	}{
		{"none", choice, 0, 0},
		{"fewer than none", choice, -1, 0},
		{"more than there are", choice, 10, 3},
		{"all of many", chooseAmong(plain, many...), 200, 200},
		{"many of many", chooseAmong(capped(plain, 0.01), many...), 65, 65},
		{"a choice of nobody", &Choice{Mode: Empty}, 3, 0},
		{"a choice made elsewhere", &Choice{Shares: []Share{{0, 1}}}, 3, 0},
	} {
		drawn := test.choice.Draw(rand.NewPCG(1, 2), test.n, []int{-7})
		if len(drawn) != 1+test.want || drawn[0] != -7 {
			t.Errorf("%s: got %v, want -7 and %d more", test.name, drawn, test.want)
		}
		sorted := slices.Sorted(slices.Values(drawn))
		if len(slices.Compact(sorted)) != len(drawn) {
			t.Errorf("%s: somebody was drawn twice: %v", test.name, drawn)
		}
	}
}

type stuck uint64

func (s stuck) Uint64() uint64 { return uint64(s) }

func TestDrawEndsWithASourceThatIsStuck(t *testing.T) {
	for _, number := range []stuck{0, 1, math.MaxUint64} {
		if drawn := chooseAmong(capped(plain, 0.4), 100, 7, 3).Draw(number, 3, nil); len(drawn) != 3 {
			t.Errorf("source of %d: drew %v", number, drawn)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	candidates := weighted(5, 4, 3, 2, 1)
	for i := range candidates {
		candidates[i].Place = country("DE", "EU")
	}
	candidates[4].Place = country("JP", "AS")
	candidates[3].Exclude = &pool.Rules{Networks: networks("127.0.0.0/16", "2001:db8::/32").Networks, ASNs: []uint32{4}}
	client := from(country("DE", "EU"))
	c := New(atLeast(near1, 2), pool.AnswerAll, candidates)
	into := make([]int, 0, 4)
	source := rand.NewPCG(1, 2)
	choice, _ := c.Choose(client)
	if got := testing.AllocsPerRun(100, func() { choice, _ = c.Choose(client) }); got != 0 {
		t.Errorf("Choose from memory allocates %v times", got)
	}
	if got := testing.AllocsPerRun(100, func() { into = choice.Draw(source, 4, into[:0]) }); got != 0 {
		t.Errorf("Draw allocates %v times", got)
	}
}

// scripted gives values in their order.
type scripted []uint64

func (s *scripted) Uint64() uint64 {
	first := (*s)[0]
	*s = (*s)[1:]
	return first
}

// 2⁶⁴ is no multiple of 3: one value in 2⁶⁴ has to be refused, or the first
// ticket would have a value more than the others.
func TestUnevenValuesAreRefused(t *testing.T) {
	source := &scripted{0, math.MaxUint64}
	if got := below(source, 3); got != 2 || len(*source) != 0 {
		t.Errorf("drew %d with %d values left, want the second value's 2", got, len(*source))
	}
	for _, weights := range [][]uint32{{1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}} { // few and many
		source := &scripted{0, math.MaxUint64}
		drawn := chooseAmong(plain, weights...).Draw(source, 1, nil)
		if drawn[0] != len(weights)-1 || len(*source) != 0 {
			t.Errorf("drew %v of %d with %d values left, want the last one by the second value", drawn, len(weights), len(*source))
		}
	}
}
