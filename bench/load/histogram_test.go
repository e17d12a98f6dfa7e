package load

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestQuantilesAreThoseOfTheDurations(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	var all []time.Duration
	for range 20_000 {
		d := time.Duration(math.Exp(random.Float64() * 20)) // up to half a second
		all = append(all, d)
		h.Add(d)
	}
	slices.Sort(all)
	for _, part := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		exact := all[max(int(part*float64(len(all))+0.5), 1)-1]
		got := h.Quantile(part)
		if got < exact || float64(got-exact) > float64(exact)/60 {
			t.Errorf("the quantile %g is %s, exactly %s", part, got, exact)
		}
	}
	if h.Max() != all[len(all)-1] || h.Quantile(1) != h.Max() || h.Count() != 20_000 {
		t.Errorf("the longest is %s of %d, expected %s", h.Max(), h.Count(), all[len(all)-1])
	}
}

func TestBucketsCoverAllDurations(t *testing.T) {
	last := -1
	for shift := range 63 {
		for _, n := range []uint64{1<<shift - 1, 1 << shift, 1<<shift + 1<<shift>>1} {
			i := bucket(n)
			if i < last || i >= buckets {
				t.Fatalf("%d is counted in %d after %d, of %d", n, i, last, buckets)
			}
			if largest(i) < n || i > 0 && largest(i-1) >= n {
				t.Errorf("%d is counted in %d, which ends at %d after %d", n, i, largest(i), largest(i-1))
			}
			last = i
		}
	}
}

func TestAnEmptyHistogramHasNoQuantiles(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 || h.Max() != 0 {
		t.Error("an empty histogram has a duration")
	}
	h.Add(-time.Second)
	if h.Quantile(0.5) != 0 || h.Count() != 1 {
		t.Error("a negative duration is not counted as 0")
	}
}
