package rollover

import (
	"time"

	"mirrorpool/zones/signing"
)

// Never is the time that key files give to what a key is not to do before its
// rollover says so.
var Never = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// Inert are the times of a new key before its rollover begins.
func Inert(now time.Time) signing.Times {
	return signing.Times{Created: now, Publish: Never, Activate: Never}
}

// Times are what a key's files should say by now, and whether the rollover under
// way, or the last one, is about that key at all. So key files alone tell how the
// zone is signed now, should the state be lost, and for good once the rollover is
// over.
func (s State) Times(key *signing.Key) (times signing.Times, ours bool) {
	kind, steps, old, new := s.Kind, s.Steps, s.Old, s.New
	turned, cancelled, ended := s.Turned, false, time.Time{}
	if kind == "" && s.Last != nil {
		kind, steps, old, new = s.Last.Kind, s.Last.Steps, s.Last.Old, s.Last.New
		turned, cancelled, ended = s.Last.Turned, s.Last.Cancelled, s.Last.Ended
	}
	for _, role := range old {
		if role.ID == key.ID() {
			times = oldTimes(key.Times, rulesOf(kind), steps)
			if !role.Entry {
				times.SyncPublish, times.SyncDelete = key.Times.SyncPublish, key.Times.SyncDelete
			}
			return times, true
		}
	}
	for _, role := range new {
		if role.ID != key.ID() {
			continue
		}
		if turned {
			return stayingTimes(key.Times, role, steps), true
		}
		times = newTimes(key.Times, rulesOf(kind), steps)
		if !role.Entry {
			times.SyncPublish = time.Time{}
		}
		if cancelled {
			times.Inactive, times.Delete = ended, ended
		}
		return times, true
	}
	return key.Times, false
}

// stayingTimes are those of a key that was to go, and stays: it never ceased to sign,
// and CDS names it again.
func stayingTimes(times signing.Times, role Role, steps []Reached) signing.Times {
	if !role.Entry || len(steps) == 0 {
		return times
	}
	if !times.SyncDelete.IsZero() || times.SyncPublish.IsZero() {
		times.SyncPublish = steps[0].At
	}
	times.SyncDelete = time.Time{}
	return times
}

// newTimes are those of a key that comes.
func newTimes(times signing.Times, rules []rule, steps []Reached) signing.Times {
	times.Publish, times.Activate, times.SyncPublish = Never, Never, time.Time{}
	begin := func(at *time.Time, does bool, reached time.Time) {
		if does && (at.IsZero() || at.Equal(Never)) {
			*at = reached
		}
	}
	for _, one := range steps {
		this, _ := find(rules, one.Step)
		if this == nil {
			continue
		}
		begin(&times.Publish, this.new&published != 0, one.At)
		begin(&times.Activate, this.new&signs != 0, one.At)
		begin(&times.SyncPublish, this.new&child != 0, one.At)
	}
	return times
}

// oldTimes are those of a key that goes. It is deleted when it does not sign any
// more either: there is no word for a key that signs and is not published.
func oldTimes(times signing.Times, rules []rule, steps []Reached) signing.Times {
	end := func(at *time.Time, ends bool, reached time.Time) {
		if ends && (at.IsZero() || reached.Before(*at)) {
			*at = reached
		}
	}
	named := len(rules) > 0 && rules[0].old&child != 0
	if named && times.SyncPublish.IsZero() && len(steps) > 0 {
		// Where any key says when CDS names it, that of others is not guessed.
		times.SyncPublish = steps[0].At
	}
	for _, one := range steps {
		this, _ := find(rules, one.Step)
		if this == nil || one.Step == StepUndo {
			continue
		}
		end(&times.SyncDelete, named && this.old&child == 0, one.At)
		end(&times.Inactive, this.old&signs == 0, one.At)
		end(&times.Delete, this.old&(signs|published) == 0, one.At)
	}
	return times
}
