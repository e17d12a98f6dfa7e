package zones

import (
	"fmt"
	"time"
)

// wholeWeight is how many sixteenths are all of a weight: see
// selection.Candidate.Sixteenths.
const wholeWeight = 16

// leastStep is how long each part of a weight stands at least.
const leastStep = time.Second

// coming is how far something has come that has come back. The zero coming is something
// that has all of its weight.
type coming struct {
	sixteenths uint8     // 1 to 15
	whole      time.Time // when it has all of its weight
	next       time.Time // when it has the next part
}

// comingBack tells how far something has come that is back since a time, of a weight
// that grows over ramp in equal steps, from one sixteenth on. The steps of all ramps of
// one length fall on the same times, however many come back one after another, so that
// no more tables are made than one ramp has steps; it ends up to one step early.
func comingBack(returned time.Time, ramp time.Duration, now time.Time) coming {
	if returned.IsZero() || ramp <= 0 {
		return coming{}
	}
	step := max((ramp+wholeWeight-2)/(wholeWeight-1), leastStep)
	start := returned.UTC().Truncate(step)
	gone := now.UTC().Sub(start) / step * step
	switch {
	case gone >= ramp, gone <= -ramp: // the clock was set back since
		return coming{}
	case gone < 0: // it came back while this table was being made
		gone = 0
	}
	whole := start.Add((ramp + step - 1) / step * step)
	return coming{uint8(1 + (wholeWeight-1)*gone/ramp), whole, start.Add(gone + step)}
}

// further gives the one of two that has come further: a member is back as soon as one of
// its addresses is.
func (c coming) further(other coming) coming {
	if c.sixteenths == 0 || other.sixteenths != 0 && c.whole.Before(other.whole) {
		return c
	}
	return other
}

// words are what people are told of something that has not all of its weight yet.
func (c coming) words(health string) string {
	if c.sixteenths == 0 {
		return health
	}
	return fmt.Sprintf("%s; it has come back: %d/%d of its weight, all of it at %s",
		health, c.sixteenths, wholeWeight, c.whole.Format("2006-01-02 15:04:05 UTC"))
}

// returning notes how far a member has come in a family, by when each of its addresses
// that are up has come back. Of mirrors, family 0 tells for both.
func (s *standing) returning(family, member, members int, returned []time.Time, ramp time.Duration, now time.Time) {
	if len(returned) == 0 || s.forces(member) {
		return
	}
	far := comingBack(returned[0], ramp, now)
	for _, other := range returned[1:] {
		far = far.further(comingBack(other, ramp, now))
	}
	if far.sixteenths == 0 {
		return
	}
	if s.coming[family] == nil {
		s.coming[family] = make([]coming, members)
	}
	s.coming[family][member] = far
	s.step = earliest(s.step, far.next)
}

// comingOf is how far a member has come in a family.
func (s *standing) comingOf(family, member int) coming {
	if s.coming[family] == nil {
		return coming{}
	}
	return s.coming[family][member]
}
