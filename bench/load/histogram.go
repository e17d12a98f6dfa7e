package load

import (
	"math/bits"
	"time"
)

const (
	stepBits = 6 // 64 steps for each doubling: an error below 1.6 %
	buckets  = (64 - stepBits + 1) << stepBits
)

// Histogram counts durations in steps that grow with them. The zero value is
// an empty one. Adding allocates nothing.
type Histogram struct {
	counts [buckets]uint64
	total  uint64
	max    time.Duration
}

// Add counts one duration; a negative one counts as 0.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(uint64(d))]++
	h.total++
	h.max = max(h.max, d)
}

// Count is how many durations there are.
func (h *Histogram) Count() uint64 { return h.total }

// Max is the longest duration.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile is the duration that a part, from 0 to 1, of all does not exceed, to
// 1.6 % above it; 0 when there is none.
func (h *Histogram) Quantile(part float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := max(uint64(part*float64(h.total)+0.5), 1)
	var below uint64
	for i, count := range h.counts {
		if below += count; below >= rank {
			return min(time.Duration(largest(i)), h.max)
		}
	}
	return h.max
}

// bucket is where a number of nanoseconds is counted.
func bucket(n uint64) int {
	if n < 1<<stepBits {
		return int(n)
	}
	shift := bits.Len64(n) - 1 - stepBits
	return shift<<stepBits + int(n>>shift)
}

// largest is the largest number of nanoseconds that a bucket counts.
func largest(i int) uint64 {
	if i < 1<<stepBits {
		return uint64(i)
	}
	shift := i>>stepBits - 1
	return (uint64(i)-uint64(shift)<<stepBits+1)<<shift - 1
}
