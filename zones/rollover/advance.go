package rollover

import (
	"fmt"
	"time"
)

// Facts are what waits are made of. Who calls Advance finds them out anew for each
// call; a wait is computed when it begins.
type Facts struct {
	// KeyTTL is that of DNSKEY, CDS and CDNSKEY, and ZoneTTL the greatest of all
	// other RRsets of the zone, as it is served now.
	KeyTTL, ZoneTTL time.Duration
	// ParentTTL is the TTL of the zone's DS RRset at the parent; 0: nobody has seen it.
	// ParentTTLGiven is the greatest that a server gave, which may be what is left in a
	// cache, and then ParentTTL is greater.
	ParentTTL, ParentTTLGiven time.Duration
	// Propagation is how long a secondary may serve what was before, at most.
	Propagation time.Duration
	// Since is from when on this zone has been served without a break.
	Since time.Time
	// Served tells that the zone is served as Plan says.
	Served bool
	// Behind tells that a secondary is known not to have what is served now. It is
	// waited for, but not for longer than Expire: then it does not answer any more.
	Behind bool
	Expire time.Duration
	// ParentDelay is how long after it has read CDS a parent may act on it.
	ParentDelay time.Duration
	// Parent is what the parent's servers say of the zone's DS.
	Parent ParentDS
	// ParentDue tells that the parent's servers can be asked, and were not since Until:
	// the wait for copies of the old DS, or of CDS of before, has ended.
	ParentDue bool
}

// ParentDS is what the servers of the parent say of the DS records of the zone.
type ParentDS int

// What the parent's servers say, all of them.
const (
	// ParentUnknown: nobody was asked, or not everybody has answered.
	ParentUnknown ParentDS = iota
	// ParentChanged: each names the new key, and none names an old one.
	ParentChanged
	// ParentUnchanged: some do not yet, or do not any more.
	ParentUnchanged
	// ParentNone: who has answered has no DS at all.
	ParentNone
)

// unknownParentTTL is taken for the TTL of DS records that nobody has seen.
const unknownParentTTL = 24 * time.Hour

// Resolvers keep for some seconds what has a smaller TTL, and count in whole ones.
const (
	leastKept = 5 * time.Second
	rounding  = time.Second
)

// kept is how long a copy with a TTL is kept at most.
func kept(ttl time.Duration) time.Duration { return max(ttl, leastKept) + rounding }

// Held is what caches may hold of RRsets that had a greater TTL than they have now:
// TTL is the one of now, Before the greater one, Changed when that ended, and Spread
// when all secondaries had noticed. The zero Changed: there is none.
type Held struct {
	TTL     time.Duration `json:"ttl,omitempty"`
	Before  time.Duration `json:"before,omitempty"`
	Changed time.Time     `json:"changed,omitzero"`
	Spread  time.Time     `json:"spread,omitzero"`
}

// note takes down the TTL of now.
func (h Held) note(now time.Time, ttl time.Duration, facts Facts) Held {
	if ttl < h.TTL {
		h.Before, h.Changed, h.Spread = max(h.TTL, h.Before), now, time.Time{}
	}
	h.TTL = ttl
	if h.Changed.IsZero() {
		return h
	}
	if spread := latest(h.Changed, facts.Since).Add(facts.Propagation); h.Spread.IsZero() && !now.Before(spread) {
		h.Spread = now
	}
	if !h.Spread.IsZero() && now.After(h.Spread.Add(kept(h.Before))) {
		h.Before, h.Changed, h.Spread = 0, time.Time{}, time.Time{}
	}
	return h
}

// out is when all copies of before a change that has spread are out of caches; not
// known until a smaller TTL has spread as well.
func (h Held) out(spread time.Time) (at time.Time, known bool) {
	at = spread.Add(kept(h.TTL))
	switch {
	case h.Changed.IsZero():
		return at, true
	case h.Spread.IsZero():
		return at, false
	}
	return latest(at, h.Spread.Add(kept(h.Before))), true
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Advance takes the rollover on as far as it can go now: by one step at most, for
// the next one has to be served first. It is called at least whenever the table
// that is served changed, and at the time that Next tells.
func (s State) Advance(now time.Time, facts Facts) (State, []Event) {
	return s.advance(rulesOf(s.Kind), now, facts)
}

func (s State) advance(rules []rule, now time.Time, facts Facts) (State, []Event) {
	s.Keys, s.Zone = s.Keys.note(now, facts.KeyTTL, facts), s.Zone.note(now, facts.ZoneTTL, facts)
	this, next := find(rules, s.Step())
	if s.Kind == "" || this == nil {
		return s, nil
	}
	s = s.noteParentTTL(facts)
	if this.step == StepParentCaches && s.deniedBy(facts.Parent) {
		return s.denied(now)
	}
	if this.step == StepParentCaches && s.ParentSaid && facts.Parent == ParentChanged {
		// Nobody knows since when it is so: whoever said it may have been too early.
		s.ParentSaid, s.ParentSeen, s.Until = false, now, time.Time{}
		return s, []Event{s.event(now, "every server of the parent has the DS of {to}, as was said; copies of the DS of before run out from now on")}
	}
	if this.wait&parentHas != 0 {
		s = s.serve(now, facts)
		if s.Turned && s.Until.IsZero() && !s.Spread.IsZero() {
			s.Until = s.until(this, facts)
		}
		if facts.Parent != ParentChanged || s.turning(now) || s.Turned && facts.ParentDue {
			return s, nil
		}
		s, events := s.parentSeen(now, "every server of the parent has the DS of {to}")
		return s, events
	}
	if s = s.serve(now, facts); s.Spread.IsZero() {
		return s, nil
	}
	if s.Until.IsZero() {
		s.Until = s.until(this, facts)
	}
	if s.Until.IsZero() || now.Before(s.Until) || this.wait&parentCaches != 0 && facts.ParentDue {
		return s, nil
	}
	if next == nil {
		cancelled, text := this.step == StepUndo, "the rollover to {to} is done"
		switch {
		case cancelled:
			text = "the cancelled rollover to {to} is undone"
		case s.Turned:
			text = "the rollover is turned back to {to}, and over"
		}
		text = s.words(text)
		s = s.end(now, cancelled)
		return s, []Event{s.event(now, text)}
	}
	s = s.enter(next.step, now)
	return s, []Event{s.event(now, next.about)}
}

// noteParentTTL takes down the greatest TTLs of the DS RRset.
func (s State) noteParentTTL(facts Facts) State {
	s.ParentTTL = max(s.ParentTTL, facts.ParentTTL)
	s.ParentTTLGiven = max(s.ParentTTLGiven, facts.ParentTTLGiven)
	return s
}

// deniedBy tells that the parent's servers say otherwise than what is waited upon. A
// word stands for those that do not answer, and for a parent that is to have no DS.
func (s State) deniedBy(parent ParentDS) bool {
	return parent == ParentUnchanged || parent == ParentNone && !s.ParentSaid
}

// denied waits for the parent again. CDS is what it was, so that nothing else has to
// be waited for anew by a rollover that was turned back: it was waited for before the
// parent was believed.
func (s State) denied(now time.Time) (State, []Event) {
	seen := s.ParentSeen
	s.ParentSeen, s.ParentSaid, s.ParentTTLSaid = time.Time{}, false, 0
	if s = s.enter(StepParent, now); s.Turned {
		s.Served, s.Spread, s.Until = seen, seen, seen
	}
	return s, []Event{s.event(now, "the parent's DS does not name {to} alone everywhere any more: waiting for that again")}
}

// serve takes down that the zone is served as the step says, and that all
// secondaries have that. A node that has begun anew starts over: nobody knows how
// long it was away, and what its secondaries had fetched before.
func (s State) serve(now time.Time, facts Facts) State {
	if s.Served.IsZero() && facts.Served {
		s.Served = now
	}
	if s.Served.IsZero() || !s.Spread.IsZero() {
		return s
	}
	from := latest(s.Served, facts.Since)
	spread := from.Add(facts.Propagation)
	if facts.Behind && now.Before(from.Add(facts.Expire)) {
		return s
	}
	if !now.Before(spread) {
		s.Spread = now
	}
	return s
}

// until is when what a step waits for is out of caches; zero: that is not known.
func (s State) until(this *rule, facts Facts) time.Time {
	until, wait := s.Spread, this.wait
	turned := s.Turned && wait&parentHas != 0
	if turned {
		wait |= keyCaches // which have CDS
	}
	for _, one := range []struct {
		wait caches
		held Held
	}{{keyCaches, s.Keys}, {zoneCaches, s.Zone}} {
		if wait&one.wait == 0 {
			continue
		}
		out, known := one.held.out(s.Spread)
		if !known {
			return time.Time{}
		}
		until = latest(until, out)
	}
	if turned {
		until = until.Add(facts.ParentDelay)
	}
	if wait&parentCaches != 0 {
		until = latest(until, s.ParentSeen.Add(kept(s.parentTTL())))
	}
	return until
}

func (s State) parentTTL() time.Duration {
	switch {
	case s.ParentTTLSaid > 0:
		return max(s.ParentTTLSaid, s.ParentTTLGiven)
	case s.ParentTTL > 0:
		return s.ParentTTL
	}
	return unknownParentTTL
}

// Next is when Advance may have something to do if nothing else happens; zero: only
// then.
func (s State) Next(now time.Time, facts Facts) time.Time {
	this, _ := find(rulesOf(s.Kind), s.Step())
	switch {
	case s.Kind == "" || this == nil || s.Served.IsZero():
		return time.Time{}
	case s.Turned && this.wait&parentHas != 0 && !s.turning(now):
		return time.Time{} // the parent alone is waited for
	case s.Spread.IsZero():
		return latest(s.Served, facts.Since).Add(facts.Propagation)
	}
	return s.Until
}

// Waiting says what a rollover waits for, and until when as far as that is known.
func (s State) Waiting(now time.Time, facts Facts) (what string, until time.Time) {
	this, _ := find(rulesOf(s.Kind), s.Step())
	switch {
	case s.Kind == "":
		return "", time.Time{}
	case this == nil:
		return fmt.Sprintf("step %q is none of this version", s.Step()), time.Time{}
	case s.Served.IsZero():
		return "the zone is not yet served so", time.Time{}
	case this.wait&parentHas != 0 && s.turning(now) && !s.Until.IsZero():
		return "caches are to lose the CDS of before, and a parent that has read it to have acted on it", s.Until
	case this.wait&parentHas != 0 && !s.turning(now):
		return s.words("the parent's DS is to name {to}, and no other key"), time.Time{}
	case s.Spread.IsZero() && facts.Behind && !now.Before(s.Next(now, facts)):
		return "a secondary is behind", time.Time{}
	case s.Spread.IsZero():
		spread := s.Next(now, facts)
		copied := s
		copied.Spread = spread
		return "secondaries are to have it, and caches to lose what was before", latest(spread, copied.until(this, facts))
	case this.wait&parentCaches != 0 && facts.ParentDue && !s.Until.IsZero() && !now.Before(s.Until):
		return "the parent's servers are to be asked once more", time.Time{}
	}
	return "caches are to lose what was before", s.Until
}

// Ahead is a step that is still to come, or the one of now.
type Ahead struct {
	Step  Step          `json:"step"`
	About string        `json:"about"`
	Wait  time.Duration `json:"wait"` // how long it lasts at least
	// Parent tells that it lasts until the parent has changed its DS.
	Parent bool `json:"parent,omitempty"`
}

// Forecast tells the steps from the one of now on, and how long each one lasts.
func (s State) Forecast(facts Facts) []Ahead {
	rules := rulesOf(s.Kind)
	if s.Step() == StepUndo {
		rules = []rule{undo}
	}
	for len(rules) > 0 && rules[0].step != s.Step() {
		rules = rules[1:]
	}
	ahead := make([]Ahead, 0, len(rules))
	for _, one := range rules {
		step := Ahead{Step: one.step, About: s.words(one.about), Parent: one.wait&parentHas != 0}
		if one.wait&parentHas != 0 && s.Turned {
			step.Wait = facts.Propagation + kept(facts.KeyTTL) + facts.ParentDelay
			if !s.Until.IsZero() {
				step.Wait = max(s.Until.Sub(s.Steps[len(s.Steps)-1].At), 0)
			}
		}
		if one.wait&keyCaches != 0 {
			step.Wait = max(step.Wait, facts.Propagation+kept(facts.KeyTTL))
		}
		if one.wait&zoneCaches != 0 {
			step.Wait = max(step.Wait, facts.Propagation+kept(facts.ZoneTTL))
		}
		if one.wait&parentCaches != 0 {
			step.Wait = kept(s.noteParentTTL(facts).parentTTL())
		}
		ahead = append(ahead, step)
	}
	return ahead
}
