package history

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"time"
)

// dayNumber is a day in UTC, counted from 1 January 1970.
type dayNumber int64

const dayLength = 24 * time.Hour

func dayOf(t time.Time) dayNumber {
	seconds := t.Unix()
	day := seconds / 86_400
	if seconds%86_400 < 0 {
		day--
	}
	return dayNumber(day)
}

func (d dayNumber) start() time.Time { return time.Unix(int64(d)*86_400, 0).UTC() }

// figures are a target's probes on one day, or a part of them.
type figures struct {
	Probes   int64
	Failures int64
	Singles  int64 // failures that did not take the target down
	Altered  int64
	Slow     int64
	Late     int64 // content that is too old or not what it should be
	Response sample
	Delivery sample // bytes a second
	// less is to be taken off what the file has already; nil: nothing is.
	less *figures
}

func (f *figures) add(o figures) {
	f.Probes += o.Probes
	f.Failures += o.Failures
	f.Singles += o.Singles
	f.Altered += o.Altered
	f.Slow += o.Slow
	f.Late += o.Late
	f.Response.merge(o.Response)
	f.Delivery.merge(o.Delivery)
	if o.less != nil {
		f.takeOff(*o.less)
	}
}

// takeOff has what was found before be taken off when the figures are written.
func (f *figures) takeOff(o figures) {
	if f.less == nil {
		f.less = &figures{}
	}
	f.less.add(o)
}

// settle takes off what is to be taken off; nothing gets less than nothing.
func (f *figures) settle() {
	if f.less == nil {
		return
	}
	less := *f.less
	f.less = nil
	f.Probes = max(f.Probes-less.Probes, 0)
	f.Failures = max(f.Failures-less.Failures, 0)
	f.Singles = max(f.Singles-less.Singles, 0)
	f.Altered = max(f.Altered-less.Altered, 0)
	f.Slow = max(f.Slow-less.Slow, 0)
	f.Late = max(f.Late-less.Late, 0)
	f.Response.remove(less.Response)
	f.Delivery.remove(less.Delivery)
}

// sample sums up numbers of which only a few figures are wanted.
type sample struct {
	Count    int64
	Sum      float64
	Min, Max int64
	buckets  []bucket // ascending
}

// bucket counts the numbers from growth^i up to growth^(i+1).
type bucket struct {
	i     uint16
	count uint64
}

// growth is the ratio between two buckets: a quantile is off by 5 % at most.
const growth = 1.1

var logGrowth = math.Log(growth)

// put takes in a number; what is under 1 counts as 1.
func (s *sample) put(value int64) {
	value = max(value, 1)
	s.merge(sample{
		Count: 1, Sum: float64(value), Min: value, Max: value,
		buckets: []bucket{{uint16(math.Log(float64(value)) / logGrowth), 1}},
	})
}

func (s *sample) merge(o sample) {
	if o.Count == 0 {
		return
	}
	if s.Count == 0 {
		s.Min, s.Max = o.Min, o.Max
	}
	s.Count += o.Count
	s.Sum += o.Sum
	s.Min, s.Max = min(s.Min, o.Min), max(s.Max, o.Max)
	for _, b := range o.buckets {
		at, found := slices.BinarySearchFunc(s.buckets, b.i, func(have bucket, i uint16) int { return cmp.Compare(have.i, i) })
		if found {
			s.buckets[at].count += b.count
		} else {
			s.buckets = slices.Insert(s.buckets, at, b)
		}
	}
}

// remove takes out numbers that were put in before. The least and the greatest number stay
// as they were, unless none is left.
func (s *sample) remove(o sample) {
	if o.Count >= s.Count {
		*s = sample{}
		return
	}
	s.Count -= o.Count
	s.Sum = max(s.Sum-o.Sum, 0)
	for _, b := range o.buckets {
		at, found := slices.BinarySearchFunc(s.buckets, b.i, func(have bucket, i uint16) int { return cmp.Compare(have.i, i) })
		if found {
			s.buckets[at].count -= min(s.buckets[at].count, b.count)
		}
	}
	s.buckets = slices.DeleteFunc(s.buckets, func(b bucket) bool { return b.count == 0 })
}

func (s sample) mean() int64 {
	if s.Count == 0 {
		return 0
	}
	return int64(s.Sum / float64(s.Count))
}

// quantile gives the number that the part q of all does not exceed, from 0 to 1.
func (s sample) quantile(q float64) int64 {
	var total uint64
	for _, b := range s.buckets {
		total += b.count
	}
	if total == 0 {
		return s.mean()
	}
	rank := uint64(math.Ceil(q * float64(total)))
	var seen uint64
	for _, b := range s.buckets {
		if seen += b.count; seen >= max(rank, 1) {
			middle := int64(math.Pow(growth, float64(b.i)+0.5))
			return min(max(middle, s.Min), s.Max)
		}
	}
	return s.Max
}

// encode writes the buckets: for each the distance from the last one, and its count.
func (s sample) encode() []byte {
	out := []byte{} // not nil, which is NULL in the file
	last := uint16(0)
	for _, b := range s.buckets {
		out = binary.AppendUvarint(out, uint64(b.i-last))
		out = binary.AppendUvarint(out, b.count)
		last = b.i
	}
	return out
}

// mostBuckets is more than numbers of 63 bits have.
const mostBuckets = 512

// decodeBuckets reads what encode has written; what is damaged gives no buckets.
func decodeBuckets(data []byte) []bucket {
	var all []bucket
	i := uint64(0)
	for len(data) > 0 {
		step, size := binary.Uvarint(data)
		if size <= 0 {
			return nil
		}
		count, more := binary.Uvarint(data[size:])
		if more <= 0 || step > mostBuckets || (len(all) > 0 && step == 0) || count > math.MaxInt64 {
			return nil
		}
		if i += step; i > mostBuckets {
			return nil
		}
		all = append(all, bucket{uint16(i), count})
		data = data[size+more:]
	}
	return all
}

// spent is how long something was in each condition on one day.
type spent struct {
	Up, Down, Frozen time.Duration
}

func (s *spent) add(o spent) {
	s.Up += o.Up
	s.Down += o.Down
	s.Frozen += o.Frozen
}

func (s spent) known() time.Duration { return s.Up + s.Down }

// waiting holds what was found on each day and is not written yet, oldest first.
type waiting[T any] []dated[T]

type dated[T any] struct {
	day   dayNumber
	value T
}

// mostWaiting is how many days wait to be written at most.
const mostWaiting = 8

// of gives the value of a day. Where there are too many days, the oldest is dropped, which
// it reports.
func (w *waiting[T]) of(day dayNumber) (value *T, dropped bool) {
	at, found := slices.BinarySearchFunc(*w, day, func(have dated[T], day dayNumber) int { return cmp.Compare(have.day, day) })
	if found {
		return &(*w)[at].value, false
	}
	*w = slices.Insert(*w, at, dated[T]{day: day})
	if len(*w) <= mostWaiting {
		return &(*w)[at].value, false
	}
	*w = slices.Delete(*w, 0, 1)
	return &(*w)[max(at-1, 0)].value, true
}
