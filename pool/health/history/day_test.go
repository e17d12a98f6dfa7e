package history

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestQuantiles(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var all []int64
	var parts [3]sample
	for range 10_000 {
		value := int64(math.Exp(random.NormFloat64()*1.5 + 9))
		all = append(all, value)
		parts[random.IntN(3)].put(value)
	}
	slices.Sort(all)
	var whole sample
	for _, part := range parts {
		part.buckets = decodeBuckets(part.encode())
		whole.merge(part)
	}
	for _, q := range []float64{0, 0.01, 0.5, 0.95, 0.999, 1} {
		want := float64(all[min(int(q*float64(len(all))), len(all)-1)])
		if got := float64(whole.quantile(q)); math.Abs(got/want-1) > 0.06 {
			t.Errorf("quantile %v: %v, expected %v", q, got, want)
		}
	}
	if whole.Min != all[0] || whole.Max != all[len(all)-1] || whole.Count != 10_000 {
		t.Errorf("%+v", whole)
	}
	for _, value := range []int64{math.MinInt64, 0, 1, math.MaxInt64} {
		var one sample
		one.put(value)
		if got := one.quantile(0.5); got != max(value, 1) && math.Abs(float64(got)/float64(value)-1) > 0.06 {
			t.Errorf("%d: %d", value, got)
		}
	}
}

func FuzzBuckets(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		s := sample{Count: 1, buckets: decodeBuckets(data)}
		_ = s.quantile(0.5)
		if again := decodeBuckets(s.encode()); !slices.Equal(again, s.buckets) {
			t.Errorf("%v becomes %v", s.buckets, again)
		}
	})
}
