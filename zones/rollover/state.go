package rollover

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/zones/signing"
)

// State is what one zone's rollover has come to. Its zero value is that of a zone
// in which nothing was ever rolled. Methods give another one and change nothing.
type State struct {
	// Kind is what is under way; empty: nothing.
	Kind Kind `json:"kind,omitempty"`
	// Algorithm is the new key's.
	Algorithm uint8  `json:"algorithm,omitempty"`
	Old       []Role `json:"old,omitempty"`
	New       []Role `json:"new,omitempty"`
	// Turned tells that it was turned back while it waited for the parent: what was Old
	// is New since, and Steps begin there. It is turned once only.
	Turned bool `json:"turned,omitempty"`
	// Steps are those that were reached, and the last is the one that it is in.
	Steps []Reached `json:"steps,omitempty"`

	// Served is when the zone was first served as the step says; zero: not yet.
	Served time.Time `json:"served,omitzero"`
	// Spread is when all secondaries had that; zero: not yet.
	Spread time.Time `json:"spread,omitzero"`
	// Until is when what was served before is out of all caches; zero: not known.
	Until time.Time `json:"until,omitzero"`

	// ParentTTL is the greatest TTL that the DS RRset may have, by what was seen.
	// ParentTTLSaid is what somebody said it is, which counts instead, but for no less
	// than ParentTTLGiven, the greatest that a server gave. Without any it is a day.
	ParentTTL      time.Duration `json:"parent_ttl,omitempty"`
	ParentTTLSaid  time.Duration `json:"parent_ttl_said,omitempty"`
	ParentTTLGiven time.Duration `json:"parent_ttl_given,omitempty"`
	// ParentSeen is when the parent's DS named the new key; ParentSaid tells that
	// somebody said so. Zero: not yet.
	ParentSeen time.Time `json:"parent_seen,omitzero"`
	ParentSaid bool      `json:"parent_said,omitempty"`

	// Withdraw asks the parent to delete the zone's DS records (RFC 8078, section
	// 4), and has since WithdrawSince.
	Withdraw      bool      `json:"withdraw,omitempty"`
	WithdrawSince time.Time `json:"withdraw_since,omitzero"`

	// Last is the rollover that ended last; nil: none ever has.
	Last *Ended `json:"last,omitempty"`
	// Keys and Zone are what caches may hold of RRsets that had greater TTLs.
	Keys Held `json:"keys_held,omitzero"`
	Zone Held `json:"zone_held,omitzero"`
}

// Role is a key and what it does where it does its duty.
type Role struct {
	ID    string `json:"id"` // as signing.Key.ID gives it
	Zone  bool   `json:"zone,omitempty"`
	Entry bool   `json:"entry,omitempty"`
}

// Reached is a step and when it was decided.
type Reached struct {
	Step Step      `json:"step"`
	At   time.Time `json:"at"`
}

// Ended is a rollover that is over.
type Ended struct {
	Kind      Kind      `json:"kind"`
	Old       []Role    `json:"old"`
	New       []Role    `json:"new"`
	Steps     []Reached `json:"steps"`
	Ended     time.Time `json:"ended"`
	Cancelled bool      `json:"cancelled,omitempty"`
	Turned    bool      `json:"turned,omitempty"` // as State has it
}

// Event is something that operators want to hear of.
type Event struct {
	At   time.Time
	Step Step // empty: the rollover is over
	Text string
}

// Errors that tell why something is not done.
var (
	ErrUnderWay   = errors.New("a rollover is under way")
	ErrNone       = errors.New("no rollover is under way")
	ErrNotWaiting = errors.New("the rollover does not wait for the parent now")
	ErrTooEarly   = errors.New("caches may still have CDS records that name the new key, and a parent may act on them: say it once the rollover waits for nothing else")
	ErrTooLate    = errors.New("the parent may know the new key already, or caches need it: it is safe to go on only")
	ErrWithdraw   = errors.New("the parent is asked to delete the zone's DS records: take that back first (--no-withdraw-ds)")
)

// Wanted is a rollover that is to be made.
type Wanted struct {
	Kind      Kind
	Algorithm uint8 // of the new key
	Entry     bool  // the new key is a secure entry point
}

// Choose finds out what a rollover of a zone is. An empty kind is the one that the
// zone's keys allow, if there is only one; algorithm 0 is the one of the zone's keys.
func Choose(base *signing.Plan, kind Kind, algorithm uint8) (Wanted, error) {
	all := slices.Concat(base.Entry, base.Zone)
	if len(all) == 0 {
		return Wanted{}, errors.New("no key signs the zone")
	}
	now := all[0].Algorithm()
	split := slices.ContainsFunc(base.Zone, func(k *signing.Key) bool { return !k.Entry() })
	others := slices.ContainsFunc(all, func(k *signing.Key) bool { return algorithm != 0 && k.Algorithm() != algorithm })
	if algorithm == 0 {
		algorithm = now
		others = slices.ContainsFunc(all, func(k *signing.Key) bool { return k.Algorithm() != now })
	}
	entry := Wanted{Kind: kind, Algorithm: algorithm, Entry: true}
	switch kind {
	case "", CSK, Algorithm:
		switch {
		case others:
			entry.Kind = Algorithm
		case kind == Algorithm:
			return Wanted{}, fmt.Errorf("the zone's keys are of algorithm %s already: name another one", dns.AlgorithmToString[algorithm])
		case kind == "" && split:
			return Wanted{}, errors.New("the zone has keys of two kinds: say which is to be replaced, ksk, zsk, or csk for both by one")
		default:
			entry.Kind = CSK
		}
		return entry, nil
	case KSK, ZSK:
		if !split {
			return Wanted{}, fmt.Errorf("the zone has one key for everything: its kind is csk, not %s", kind)
		}
		if others {
			return Wanted{}, errors.New("another algorithm needs all keys replaced at once: leave the kind out")
		}
		if kind == ZSK {
			entry.Entry = false
		}
		return entry, nil
	}
	return Wanted{}, fmt.Errorf("kind %q: expected csk, ksk or zsk", string(kind))
}

// Start begins a rollover from the keys that the zone is signed with to a new one,
// which is in the key directory already.
func (s State) Start(wanted Wanted, base *signing.Plan, key *signing.Key, now time.Time) (State, []Event, error) {
	rules := rulesOf(wanted.Kind)
	switch {
	case s.Kind != "":
		return s, nil, ErrUnderWay
	case s.Withdraw && wanted.Kind != ZSK:
		return s, nil, ErrWithdraw
	case rules == nil:
		return s, nil, fmt.Errorf("kind %q: expected csk, ksk, zsk or algorithm", string(wanted.Kind))
	case !key.CanSign():
		return s, nil, fmt.Errorf("the private half of key %s is not there", key.ID())
	}
	if wanted.Kind == Algorithm {
		// An algorithm that has a key in the DNSKEY RRset has to sign everything.
		for _, one := range base.Published {
			if !slices.ContainsFunc(slices.Concat(base.Entry, base.Zone), one.Same) {
				return s, nil, fmt.Errorf("key %s is published and does not sign: take it out first, with dnssec-settime -D now", one.ID())
			}
		}
	}
	old := leaving(wanted.Kind, base, key)
	if len(old) == 0 {
		return s, nil, errors.New("no key of the zone is of this kind")
	}
	s.Kind, s.Algorithm, s.Old = wanted.Kind, key.Algorithm(), old
	s.New = []Role{{ID: key.ID(), Zone: wanted.Kind != KSK, Entry: wanted.Kind != ZSK}}
	s.Steps = nil
	s = s.forgetParent()
	s = s.enter(rules[0].step, now)
	return s, []Event{s.event(now, "a rollover begins: "+rules[0].about)}, nil
}

// leaving are the keys that a rollover replaces.
func leaving(kind Kind, base *signing.Plan, key *signing.Key) []Role {
	var old []Role
	for _, one := range slices.Concat(base.Entry, base.Zone) {
		role := Role{ID: one.ID(), Zone: slices.ContainsFunc(base.Zone, one.Same), Entry: slices.ContainsFunc(base.Entry, one.Same)}
		switch {
		case one.Same(key), slices.Contains(old, role):
			continue
		case kind == KSK && !role.Entry, kind == ZSK && role.Entry:
			continue
		}
		old = append(old, role)
	}
	return old
}

// enter puts the rollover into another step.
func (s State) enter(step Step, now time.Time) State {
	s.Steps = append(slices.Clone(s.Steps), Reached{step, now})
	s.Served, s.Spread, s.Until = time.Time{}, time.Time{}, time.Time{}
	return s
}

// Step is the one that the rollover is in; empty: none is under way.
func (s State) Step() Step {
	if s.Kind == "" || len(s.Steps) == 0 {
		return ""
	}
	return s.Steps[len(s.Steps)-1].Step
}

// event tells something, with the keys by their tags. The text of one that ends the
// rollover has them already.
func (s State) event(at time.Time, text string) Event {
	return Event{At: at, Step: s.Step(), Text: s.words(text)}
}

// SayParent takes somebody's word that every server of the parent names the new key
// in its DS records and none of the old, or that the parent is to have none. A ttl
// above 0 is that of the old DS. What those servers say counts against it whenever
// they answer.
func (s State) SayParent(now time.Time, ttl time.Duration) (State, []Event, error) {
	if s.Kind == "" {
		return s, nil, ErrNone
	}
	if s.Step() != StepParent {
		return s, nil, ErrNotWaiting
	}
	if s.turning(now) {
		return s, nil, ErrTooEarly
	}
	s.ParentSaid, s.ParentTTLSaid = true, max(ttl, 0)
	s, events := s.parentSeen(now, "the parent's DS is said to name {to}")
	return s, events, nil
}

// forgetParent forgets what is known of the parent for one rollover.
func (s State) forgetParent() State {
	s.ParentTTL, s.ParentTTLSaid, s.ParentTTLGiven = 0, 0, 0
	s.ParentSeen, s.ParentSaid = time.Time{}, false
	return s
}

func (s State) parentSeen(now time.Time, text string) (State, []Event) {
	s = s.enter(StepParentCaches, now)
	// The zone stays as it is: there is nothing to be served and spread first.
	s.ParentSeen, s.Served, s.Spread = now, now, now
	return s, []Event{s.event(now, text)}
}

// Cancel ends a rollover before the parent or caches depend on the new key. While it
// waits for the parent it is turned back: the parent is to name the old key, or to go on
// doing so, and is waited for in the same way. One that goes back already is left as it
// is, without an event, for who says it twice wants the same.
func (s State) Cancel(now time.Time) (State, []Event, error) {
	if s.Kind == "" {
		return s, nil, ErrNone
	}
	this, _ := find(rulesOf(s.Kind), s.Step())
	switch {
	case s.Turned || s.Step() == StepUndo:
		return s, nil, nil
	case this == nil || this.cancel == cannot:
		return s, nil, ErrTooLate
	case this.cancel == undoing:
		s = s.enter(StepUndo, now)
		return s, []Event{s.event(now, undo.about)}, nil
	case this.cancel == turning:
		s = s.turn(now)
		return s, []Event{s.event(now, "the rollover is turned back: CDS and CDNSKEY name {to} again, and the parent's DS is to name no other key")}, nil
	}
	text := s.words("the rollover is cancelled: {to} is taken out")
	s = s.end(now, true)
	return s, []Event{s.event(now, text)}, nil
}

// turn has old and new keys change places. All are published and sign, whichever the
// parent names.
func (s State) turn(now time.Time) State {
	s.Old, s.New, s.Turned, s.Steps = s.New, s.Old, true, nil
	s.Algorithm = s.New[0].algorithm()
	s.ParentSeen, s.ParentSaid, s.ParentTTLSaid = time.Time{}, false, 0
	return s.enter(StepParent, now)
}

// turning tells that a rollover was turned back, and that the parent may have yet to
// act on CDS records of before.
func (s State) turning(now time.Time) bool {
	return s.Turned && s.Step() == StepParent && (s.Until.IsZero() || now.Before(s.Until))
}

// algorithm is the key's, by its name: K<zone>+<algorithm>+<tag>; 0: it has none.
func (r Role) algorithm() uint8 {
	parts := strings.Split(r.ID, "+")
	if len(parts) < 3 {
		return 0
	}
	number, err := strconv.ParseUint(parts[len(parts)-2], 10, 8)
	if err != nil {
		return 0
	}
	return uint8(number)
}

func (s State) end(now time.Time, cancelled bool) State {
	s.Last = &Ended{Kind: s.Kind, Old: s.Old, New: s.New, Steps: s.Steps, Ended: now, Cancelled: cancelled, Turned: s.Turned}
	s.Kind, s.Algorithm, s.Old, s.New, s.Steps, s.Turned = "", 0, nil, nil, nil, false
	s.Served, s.Spread, s.Until = time.Time{}, time.Time{}, time.Time{}
	s = s.forgetParent()
	return s
}

// SetWithdraw begins or ends to ask the parent for the deletion of all DS records.
func (s State) SetWithdraw(withdraw bool, now time.Time) (State, []Event, error) {
	switch {
	case withdraw == s.Withdraw:
		return s, nil, nil
	case withdraw && s.Kind != "" && s.Kind != ZSK:
		return s, nil, ErrUnderWay
	}
	s.Withdraw, s.WithdrawSince = withdraw, time.Time{}
	if !withdraw {
		return s, []Event{s.event(now, "CDS and CDNSKEY name the zone's keys again")}, nil
	}
	s.WithdrawSince = now
	return s, []Event{s.event(now, "CDS and CDNSKEY ask the parent to delete the zone's DS records")}, nil
}

// Shift moves all waits that run by as much as the clock was set, so that they last
// as long as they should, and the times of steps, which stand in the keys' files and
// must not come to lie in the future.
func (s State) Shift(by time.Duration) State {
	s.Steps = slices.Clone(s.Steps)
	for i := range s.Steps {
		s.Steps[i].At = s.Steps[i].At.Add(by)
	}
	for _, at := range []*time.Time{
		&s.Served, &s.Spread, &s.Until, &s.ParentSeen, &s.Keys.Changed, &s.Keys.Spread, &s.Zone.Changed, &s.Zone.Spread,
	} {
		if !at.IsZero() {
			*at = at.Add(by)
		}
	}
	return s
}
