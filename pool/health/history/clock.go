package history

import "time"

const (
	// absence is how far the clock may be from where it was expected for what is old to be
	// removed by it: after more, that goes only when the program has run for a day with the
	// clock as it is. A clock that is years ahead must not cost the history.
	absence = 2 * dayLength
	// clockTrial is how long the program has to run with a clock that has jumped.
	clockTrial = dayLength
	// clockSlack is how far ahead of the clock may be what was noted under a clock that
	// was right.
	clockSlack = time.Hour
)

// wallClock judges the clock by the time that has gone by since it was looked at last. The
// zero wallClock has not been looked at.
type wallClock struct {
	shown time.Time // by the clock
	at    time.Time // in the time that goes by
	tried time.Time // in that time: since when the clock has gone without a jump; zero: always
}

// look takes in what the clock shows, where a time goes by that never jumps, and reports
// whether the clock is to be believed. Of the last run, the last write is what was shown.
func (c *wallClock) look(shown, at, lastRun time.Time) bool {
	expected := lastRun
	if !c.shown.IsZero() {
		expected = c.shown.Add(at.Sub(c.at))
	}
	if !expected.IsZero() && absDuration(shown.Sub(expected)) > absence {
		c.tried = at
	}
	c.shown, c.at = shown, at
	return c.tried.IsZero() || at.Sub(c.tried) >= clockTrial
}

func absDuration(d time.Duration) time.Duration { return max(d, -d) }
