package alert

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// told is what somebody was told of a trouble last.
type told struct {
	At       time.Time `json:"at"`
	Standing standing  `json:"standing"`
	Message  string    `json:"message"` // the one in which it was first told
}

// ledger is what one audience of a way was told: the administrators, or the operators
// of mirrors.
type ledger struct {
	Told map[string]told `json:"told"` // by key
	Sent []time.Time     `json:"sent"` // messages that the limit counts
	// HeldSince is since when the limit holds messages back; zero: it does not.
	HeldSince time.Time `json:"held_since,omitzero"`
	// Mailed are when operators were last told of trouble with one of their mirrors, by
	// address and mirror.
	Mailed map[string]time.Time `json:"mailed,omitempty"`
}

func newLedger() ledger {
	return ledger{Told: map[string]told{}, Mailed: map[string]time.Time{}}
}

// blocked is until when the limit lets no message through; zero: it does.
func (l *ledger) blocked(limit Limit, now time.Time) time.Time {
	l.Sent = slices.DeleteFunc(l.Sent, func(at time.Time) bool {
		return at.After(now) || now.Sub(at) >= limit.Period
	})
	if len(l.Sent) < limit.Count {
		return time.Time{}
	}
	return l.Sent[len(l.Sent)-limit.Count].Add(limit.Period)
}

// draft is a message that is on its way, and what it tells of which keys.
type draft struct {
	*message
	way     string
	mirrors []string // that the operator is told of trouble with
	tells   map[string]told
	ledger  *ledger
}

// pending is what is to be told of a trouble and when at the latest; zero: nothing.
func (w *Way) pending(l *ledger, key string, t *trouble, now time.Time) (what status, due time.Time) {
	stands := t.standing()
	last, was := l.Told[key]
	switch {
	case !was && (stands == over || !w.wants(&t.Event)):
		return "", time.Time{}
	case !was || last.Standing != stands:
		what = map[standing]status{open: statusTrouble, flapping: statusFlapping, over: statusOver}[stands]
		if t.Event.Once && stands != over {
			what = statusNotice
		}
		due = t.Since.Add(w.Wait)
		if patient := sooner(t.First, now).Add(w.StaleAfter); t.Event.Kind == Stale && stands != over && patient.After(due) {
			due = patient
		}
		return what, due
	case stands == over || t.Event.Once || w.Repeat == 0 || !w.wants(&t.Event):
		return "", time.Time{}
	}
	return statusReminder, sooner(last.At, now).Add(w.Repeat)
}

// draftFor makes the message that is due for the administrators; nil: none is. next is
// when to look again; zero: not before something happens.
func (c *Center) draftFor(w *wayState, now time.Time) (d *draft, next time.Time) {
	l := &w.Administrators
	dueNow := false
	for key, t := range c.troubles {
		what, due := w.pending(l, key, t, now)
		switch {
		case what == "":
		case due.After(now):
			next = soonest(next, due)
		default:
			dueNow = true
		}
	}
	if !dueNow {
		return nil, next
	}
	if until := l.blocked(w.AtMost, now); !until.IsZero() {
		if l.HeldSince.IsZero() {
			l.HeldSince = now
			w.held++
		}
		return nil, until
	}
	return c.compose(w, now), time.Time{}
}

// compose puts all that is to be told into a message.
func (c *Center) compose(w *wayState, now time.Time) *draft {
	l := &w.Administrators
	d := &draft{message: newMessage(c.node, now), way: w.Name, tells: map[string]told{}, ledger: l}
	var found []notice
	changes := 0
	for key, t := range c.troubles {
		what, due := w.pending(l, key, t, now)
		if what == "" || what == statusReminder && due.Sub(now) > w.Repeat/remindTogether {
			continue
		}
		if what != statusReminder {
			changes++
		}
		d.tells[key] = told{At: now, Standing: t.standing(), Message: l.Told[key].Message}
		found = append(found, noticeOf(what, t, l.Told[key]))
	}
	if !l.HeldSince.IsZero() {
		d.heldBack, d.heldSince, d.limit = changes, l.HeldSince, w.AtMost
	}
	d.take(found)
	return d
}

// remindTogether: reminders that are due within this part of Way.Repeat come with a
// message that is due now, so that those of a day are one message.
const remindTogether = 8

func noticeOf(what status, t *trouble, last told) notice {
	n := notice{status: what, event: t.Event, first: t.First, begins: len(t.Begins), thread: last.Message}
	if what == statusOver {
		n.end, n.over = t.Changed, t.Over
	}
	return n
}

// mailPause is how long an operator is left alone with a mirror after a mail on trouble
// with it.
const mailPause = 24 * time.Hour

// draftForOperator makes a message that is due for some mirrors' operator; nil: none is.
func (c *Center) draftForOperator(w *wayState, now time.Time) (d *draft, next time.Time) {
	l := &w.Operators
	due, soon := map[string]bool{}, map[string][]string{} // by operator
	believed := !c.anyOpen(Frozen)
	for key, t := range c.troubles {
		at := w.dueForOperator(l, key, t, now)
		if at.IsZero() || !believed && t.standing() != over {
			continue
		}
		if at.After(now) {
			next = soonest(next, at)
		} else {
			due[t.Event.Operator] = true
		}
		if at.Sub(now) <= lettersTogether {
			soon[t.Event.Operator] = append(soon[t.Event.Operator], key)
		}
	}
	if len(due) == 0 {
		return nil, next
	}
	if until := l.blocked(w.AtMost, now); !until.IsZero() {
		return nil, until
	}
	operator := slices.Min(slices.Collect(maps.Keys(due)))
	return c.letterTo(w, operator, soon[operator], now), time.Time{}
}

// lettersTogether is how much later than the first another trouble may be due to be in
// the same mail to a mirror's operator.
const lettersTogether = 10 * time.Minute

// dueForOperator is when to write to a mirror's operator of a trouble; zero: not, as it
// is now.
func (w *Way) dueForOperator(l *ledger, key string, t *trouble, now time.Time) time.Time {
	_, was := l.Told[key]
	switch stands := t.standing(); {
	case t.Event.Operator == "" || t.Event.Mirror == "" || t.Event.Kind != State && t.Event.Kind != Flag:
		return time.Time{}
	case was && stands == over:
		return t.Since.Add(w.Wait)
	case was || stands == over || !w.wants(&t.Event):
		return time.Time{}
	}
	due := sooner(t.First, now).Add(w.Mail.MirrorsAfter)
	if last, mailed := l.Mailed[mailedKey(t)]; mailed {
		if again := sooner(last, now).Add(mailPause); again.After(due) {
			due = again
		}
	}
	return due
}

func mailedKey(t *trouble) string {
	return strings.ToLower(t.Event.Operator) + "\n" + t.Event.Mirror
}

func (c *Center) letterTo(w *wayState, operator string, keys []string, now time.Time) *draft {
	l := &w.Operators
	m := newMessage(c.node, now)
	m.operator = operator
	d := &draft{message: m, way: w.Name, tells: map[string]told{}, ledger: l}
	var found []notice
	for _, key := range keys {
		t := c.troubles[key]
		what := statusTrouble
		switch t.standing() {
		case over:
			what = statusOver
		case flapping:
			what = statusFlapping
		}
		found = append(found, noticeOf(what, t, l.Told[key]))
		d.tells[key] = told{At: now, Standing: t.standing(), Message: l.Told[key].Message}
		if what != statusOver {
			d.mirrors = append(d.mirrors, mailedKey(t))
		}
	}
	m.take(found)
	return d
}

// delivered takes in that a draft has reached its receivers.
func (d *draft) delivered(now time.Time) {
	l := d.ledger
	l.Sent = append(l.Sent, now)
	l.HeldSince = time.Time{}
	for key, one := range d.tells {
		if one.Standing == over {
			delete(l.Told, key)
			continue
		}
		if one.Message == "" {
			one.Message = d.id
		}
		l.Told[key] = one
	}
	for _, mirror := range d.mirrors {
		l.Mailed[mirror] = now
	}
}

// givenUp takes in that a draft reaches nobody. What it tells administrators stays to be
// told. An operator whose address does not work is left alone for as long as one that
// was written to, so that others get theirs.
func (d *draft) givenUp(now time.Time) {
	if d.operator == "" {
		return
	}
	for key, one := range d.tells {
		if one.Standing == over {
			delete(d.ledger.Told, key)
		}
	}
	for _, mirror := range d.mirrors {
		d.ledger.Mailed[mirror] = now
	}
}

// forget drops what is of no use any more: who was told of what is not known, and who
// was written to long ago.
func (l *ledger) forget(troubles map[string]*trouble, now time.Time) {
	maps.DeleteFunc(l.Told, func(key string, _ told) bool { return troubles[key] == nil })
	for key, one := range l.Told {
		if one.At.After(now) { // somebody has set the clock
			one.At = now
			l.Told[key] = one
		}
	}
	maps.DeleteFunc(l.Mailed, func(_ string, at time.Time) bool { return at.After(now) || now.Sub(at) >= mailPause })
}
