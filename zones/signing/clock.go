package signing

import (
	"fmt"
	"time"
)

// ClockTolerance is how far a clock may be from where it is expected before anything
// is said. Corrections by the time service are far smaller, and Backdate is larger.
const ClockTolerance = 5 * time.Minute

// ClockPatience is how long signatures go on as of the time that went on steadily
// after the clock has jumped, before the new time is taken.
const ClockPatience = time.Hour

// Clock judges the time that signatures are made as of. A wrong one makes a zone
// bogus to every validator: in the past signatures have ended, in the future they
// have not begun. It is a state machine without a clock of its own, and not for use
// by many at once.
type Clock struct {
	state ClockState
	// expected is what the wall clock should have shown at the monotonic time at;
	// zero: nothing is known yet.
	expected time.Time
	at       time.Duration
	started  bool
	jumped   time.Duration // the monotonic time of the jump
}

// ClockState is what is wrong with a clock.
type ClockState string

// The states of a clock.
const (
	ClockSteady ClockState = "steady"
	// ClockJumped: it moved against the monotonic clock, which nobody sets. Either
	// it was wrong before, or it is now.
	ClockJumped ClockState = "jumped"
	// ClockBehind: it shows a time from before the last run, or before the keys.
	ClockBehind ClockState = "behind"
	// ClockDoubted: a key is from the future. It may have been made elsewhere.
	ClockDoubted ClockState = "doubted"
)

// ClockReading is what came of looking at the clocks.
type ClockReading struct {
	State ClockState
	// Now is the time to sign as of. The latest is to be remembered for the next
	// run, whatever the state is.
	Now time.Time
	// Words tell people what is wrong and what to do; empty: nothing is.
	Words string
}

// NewClock starts with the time that was remembered from the last run or, where
// nothing is (zero), with the latest creation of a key (zero: there is none). The
// time is not before that.
func NewClock(remembered, created time.Time) *Clock {
	c := &Clock{expected: remembered}
	if remembered.IsZero() {
		c.expected = created
	}
	return c
}

// Read judges the wall clock by the monotonic one, which tells the time since any
// moment that stays the same, and by the latest creation of a key that is in use.
// That key alone does not move the time when it is from the future: who made it may
// have had the wrong one. It is to be called every few minutes at least.
func (c *Clock) Read(wall time.Time, monotonic time.Duration, created time.Time) ClockReading {
	if !c.started {
		c.started, c.at = true, monotonic
		if c.expected.IsZero() || wall.After(c.expected) {
			c.expected = wall // how long the last run is ago is not known
		}
	}
	steady := c.expected.Add(monotonic - c.at)
	off := wall.Sub(steady)
	switch {
	case c.state == ClockBehind && off > 0, off.Abs() <= ClockTolerance:
		c.state = ClockSteady
	case c.state == ClockJumped && monotonic-c.jumped >= ClockPatience:
		c.state = ClockSteady
	case c.state == "":
		c.state = ClockBehind
	case c.state == ClockSteady:
		c.state, c.jumped = ClockJumped, monotonic
	}
	switch c.state {
	case ClockJumped:
		return ClockReading{ClockJumped, steady, fmt.Sprintf(
			"the clock has jumped by %s to %s: signatures are made as of %s, as if it had not, and as of its own time %s from now; set it right",
			words(off), stamp(wall), stamp(steady), words(ClockPatience-(monotonic-c.jumped)))}
	case ClockBehind:
		return ClockReading{ClockBehind, steady, fmt.Sprintf(
			"the clock shows %s, which is %s before the last time that is known here: signatures are made as of %s; set it right, "+
				"or where it is, let what is remembered be forgotten", stamp(wall), words(-off), stamp(steady))}
	}
	if first := c.at == monotonic; !first || wall.After(c.expected) {
		c.expected, c.at = wall, monotonic
	}
	if ahead := created.Sub(wall); !created.IsZero() && ahead > ClockTolerance {
		return ClockReading{ClockDoubted, c.expected, fmt.Sprintf(
			"the clock shows %s, and a key was made %s later: if the clock is behind, set it right; if the key was made where one was ahead, "+
				"change its times with dnssec-settime", stamp(wall), words(ahead))}
	}
	return ClockReading{ClockSteady, c.expected, ""}
}

// words is a duration as people read it, without parts that do not matter.
func words(d time.Duration) string {
	if d.Abs() > 48*time.Hour {
		return fmt.Sprintf("%d days", d.Round(24*time.Hour)/(24*time.Hour))
	}
	return d.Round(time.Second).String()
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05 UTC") }
