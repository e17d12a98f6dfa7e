package alert

import (
	"slices"
	"time"
)

// standing is how it is with a trouble, as people are told of it.
type standing string

const (
	open     standing = "open"
	flapping standing = "flapping" // it comes and goes
	over     standing = "over"
)

// A trouble that has begun flapBegins times within flapWindow comes and goes, until
// nothing has happened for flapQuiet.
const (
	flapBegins = 3
	flapWindow = time.Hour
	flapQuiet  = 30 * time.Minute
)

// onceKept is how long something without an end is remembered after it was reported.
const onceKept = 48 * time.Hour

// trouble is what is known of one key.
type trouble struct {
	Event Event `json:"event"`
	// Open says whether it is so now, Changed since when that is.
	Open    bool      `json:"open"`
	Changed time.Time `json:"changed"`
	// Over is how it ended, in words.
	Over string `json:"over,omitempty"`
	// First is when it began, with all the times that it came and went.
	First time.Time `json:"first"`
	// Begins are the last flapBegins times that it began.
	Begins   []time.Time `json:"begins"`
	Flapping bool        `json:"flapping,omitempty"`
	// Since is when its standing changed.
	Since time.Time `json:"since"`
	// Reported is when it was last reported.
	Reported time.Time `json:"reported"`
}

func (t *trouble) standing() standing {
	switch {
	case t.Flapping:
		return flapping
	case t.Open:
		return open
	}
	return over
}

// report takes in that the trouble is there.
func (t *trouble) report(e Event, now time.Time) {
	t.Reported = now
	if t.Open {
		e.Begin = t.Event.Begin
		t.Event = e
		return
	}
	before := t.standing()
	t.Event, t.Open, t.Changed, t.Over = e, true, now, ""
	if !t.Flapping {
		t.First = e.Begin
	}
	t.Begins = append(slices.Clone(t.Begins[max(len(t.Begins)-flapBegins+1, 0):]), now)
	if len(t.Begins) == flapBegins && now.Sub(t.Begins[0]) <= flapWindow && !e.Once {
		t.Flapping = true
		t.First = sooner(t.First, t.Begins[0])
	}
	t.moved(before, now)
}

// resolve takes in that it is not there any more.
func (t *trouble) resolve(words string, now time.Time) {
	if !t.Open {
		return
	}
	before := t.standing()
	t.Open, t.Changed, t.Over = false, now, clean(words, maxWords)
	t.moved(before, now)
}

// pass takes in that time passes, and reports whether the standing is another one.
func (t *trouble) pass(now time.Time) bool {
	if t.Since.After(now) || t.Changed.After(now) { // somebody has set the clock
		t.Since, t.Changed = sooner(t.Since, now), sooner(t.Changed, now)
	}
	before := t.standing()
	if t.Flapping && now.Sub(t.Changed) >= flapQuiet {
		t.Flapping, t.Begins = false, nil
	}
	t.moved(before, now)
	return t.standing() != before
}

func (t *trouble) moved(before standing, now time.Time) {
	if t.standing() != before {
		t.Since = now
	}
}

// next is when pass has something to do; zero: never.
func (t *trouble) next() time.Time {
	if t.Flapping {
		return t.Changed.Add(flapQuiet)
	}
	return time.Time{}
}

// spent reports whether nothing of it is of use any more to those who were not told.
func (t *trouble) spent(now time.Time) bool {
	if t.Event.Once && t.Open {
		return now.Sub(t.Reported) >= onceKept
	}
	return t.standing() == over && now.Sub(t.Changed) >= flapWindow
}

// sooner is the earlier of two times.
func sooner(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// soonest is the earlier of two times of which the zero time is never.
func soonest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
