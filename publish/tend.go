package publish

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// tend looks at the primary and puts right what is not as it should be. What others
// do at the same time is looked at once more.
func (w *worker) tend(ctx context.Context, want *wanted) error {
	if w.primary == nil {
		var err error
		if w.primary, err = newPrimary(w.entry, &w.of.Config, w.of.slotsOf(w.entry.Server)); err != nil {
			return err
		}
	}
	err := w.tendOnce(ctx, want)
	if errors.Is(err, errMoved) {
		err = w.tendOnce(ctx, want)
	}
	return err
}

func (w *worker) tendOnce(ctx context.Context, want *wanted) error {
	found, err := w.primary.look(ctx)
	if err != nil {
		return err
	}
	m := w.of.keeper.recall(w.entry.place())
	p := judge(w.entry, want, found, m)
	w.change(func(s *State) { s.LastLook, s.Found = w.of.Now(), found.flat() })
	w.noted(p.notes)
	if w.entry.DryRun {
		return w.rehearse(p, m)
	}
	if w.letSettle(p) {
		return nil
	}
	w.tellForeign(p)
	if !p.changes() {
		w.good()
		w.remember(memory{done: p.settled(m, true)})
		return nil
	}
	return w.carryOut(ctx, p, m)
}

// rehearse says what would be sent.
func (w *worker) rehearse(p *plan, m memory) error {
	if !p.changes() {
		w.change(func(s *State) { s.WouldSend = "" })
		w.good()
		return nil
	}
	text := ""
	if u := p.update(variant{asSeen: true}, m); u != nil {
		text = u.String()
	}
	news := false
	w.change(func(s *State) {
		news = s.Condition != Differs || text != s.WouldSend
		s.Condition, s.WouldSend = Differs, text
	})
	if p.has(blocked) {
		return p.blockedError()
	}
	if news {
		w.tell(WouldSend, text, nil)
	}
	return nil
}

// letSettle reports whether a change by others is let be for now.
func (w *worker) letSettle(p *plan) bool {
	now := w.of.Now()
	switch {
	case !p.settles:
		w.settled = time.Time{}
		return false
	case w.settled.IsZero():
		w.settled = now.Add(settling)
		if !p.commits {
			w.settled = now.Add(min(settling, w.entry.Interval))
		}
	case !now.Before(w.settled):
		w.settled = time.Time{}
		return false
	}
	w.change(func(s *State) { s.Condition = Settling })
	return true
}

// tellForeign tells of what others did.
func (w *worker) tellForeign(p *plan) {
	if len(p.foreign) == 0 {
		w.foreignSaid = ""
		return
	}
	text := joined(p.foreign)
	if text == w.foreignSaid {
		return // it is what was found before, and could not be put right yet
	}
	w.foreignSaid = text
	w.change(func(s *State) { s.ForeignChanges, s.Foreign, s.ForeignTime = s.ForeignChanges+1, text, w.of.Now() })
	w.tell(Foreign, text, nil)
}

// good notes that the primary has what it should.
func (w *worker) good() {
	w.foreignSaid = ""
	w.change(func(s *State) { s.Condition, s.LastGood = Published, w.of.Now() })
}

// errMoved: what was seen was not there any more when the update came.
var errMoved = errors.New("the records changed between the look and the update: looking again")

// carryOut sends the plan. What is about to be sent is written down before.
func (w *worker) carryOut(ctx context.Context, p *plan, m memory) error {
	trying := m
	trying.trying = p.settled(m, true)
	w.remember(trying)
	all, sent, err := w.trySending(ctx, p, m)
	switch {
	case err == nil && sent != nil:
		trying.trying = p.settled(m, all)
		w.remember(trying)
		w.change(func(s *State) { s.Updates, s.LastUpdate = s.Updates+1, w.of.Now() })
		if err = w.confirm(ctx, p, trying.trying); err == nil {
			w.remember(memory{done: trying.trying})
		}
		w.tell(Sent, sent.String(), nil)
	case err == nil, isRefusal(err):
		w.remember(m) // it is known that nothing was done
	}
	if err == nil && p.has(blocked) && !all {
		return p.blockedError()
	}
	if err == nil {
		w.good()
	}
	return err
}

// remember keeps what is where. That it cannot be does not keep anything from being
// published.
func (w *worker) remember(m memory) {
	if err := w.of.keeper.remember(w.entry.place(), m); err != nil {
		w.notKept = err
	}
}

// trySending tries the ways to word the plan until one's prerequisites hold, and
// tells which update was taken, and whether it was all of the plan. No update and no
// error is what others' records leave to be done: nothing.
func (w *worker) trySending(ctx context.Context, p *plan, m memory) (all bool, sent *update, err error) {
	for _, v := range p.variants() {
		u := p.update(v, m)
		if u == nil {
			continue
		}
		err := w.primary.send(ctx, u)
		if err == nil {
			return v.all || !p.has(blocked), u, nil
		}
		var refused *refusal
		if !errors.As(err, &refused) || !refused.isPrerequisite() {
			return false, nil, err
		}
	}
	if p.seen.alias != "" {
		return false, nil, p.blockedError()
	}
	if p.has(blocked) {
		return false, nil, nil
	}
	return false, nil, errMoved
}

func isRefusal(err error) bool {
	var refused *refusal
	var inTheWay *blockage
	return errors.As(err, &refused) || errors.As(err, &inTheWay) || errors.Is(err, errMoved)
}

// confirm looks whether the primary has what it said that it took.
func (w *worker) confirm(ctx context.Context, p *plan, expected *put) error {
	found, err := w.primary.look(ctx)
	if err != nil {
		return err
	}
	w.change(func(s *State) { s.LastLook, s.Found = w.of.Now(), found.flat() })
	for family, action := range p.actions {
		there, should := withTTL(found.sets[family], found.ttls[family]), withTTL(expected.sets[family], expected.ttl)
		switch {
		case len(expected.sets[family]) > 0 && there != should:
			return fmt.Errorf("the primary at %s took the update, and has %s now, not %s", w.entry.Server, there, should)
		case action == remove && there == withTTL(p.seen.sets[family], p.seen.ttls[family]):
			// Anything else may be what a wildcard makes up.
			return fmt.Errorf("the primary at %s took the update that removes records, and has all of them still: %s", w.entry.Server, there)
		}
	}
	return nil
}
