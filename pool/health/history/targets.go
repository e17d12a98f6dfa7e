package history

import (
	"maps"
	"slices"
	"time"

	"mirrorpool/pool"
	"mirrorpool/pool/health"
)

// mostLeaving is how many targets and places that are gone wait to be written.
const mostLeaving = 20_000

// SetTargets tells which members there are, from all of the definitions together, and
// which targets are theirs. Incidents of targets that are not probed any more end; what
// is known of members that are gone is kept.
func (h *History) SetTargets(definitions ...*pool.Definition) {
	h.mu.Lock()
	defer h.mu.Unlock()
	tracks, subjects := h.tracks, h.subjects
	h.tracks, h.subjects = map[health.Target]*track{}, map[place]*subject{}
	for _, definition := range definitions {
		for _, one := range namesIn(definition) {
			s := h.subjectOf(one, subjects)
			if one.target != (health.Target{}) {
				h.join(s, h.trackOf(one, tracks), one)
			}
		}
	}
	for target, t := range tracks {
		after := h.tracks[target]
		if after == nil || !after.probed {
			h.stop(t)
		}
		if after == nil {
			h.leaving = append(h.leaving, t)
		}
	}
	for at, s := range subjects {
		if h.subjects[at] == nil {
			h.left = append(h.left, s)
		}
	}
	// Those of targets that came and are not probed, and those of targets that are gone.
	for _, t := range h.tracks {
		if !t.probed {
			h.stop(t)
		}
	}
	for key, open := range h.orphans {
		open.end(open.lastSign(), endedUnchecked)
		h.keepEnded(open)
		delete(h.orphans, key)
	}
	for _, t := range h.tracks {
		maps.DeleteFunc(t.joined, func(s *subject, _ time.Time) bool { return !slices.Contains(t.places, s) })
	}
	h.boundLeaving()
	h.assigned, h.renamed, h.parted = true, true, h.options.Now()
	signal(h.wake)
}

// stop ends what is open of a target that is not probed any more. h.mu is held.
func (h *History) stop(t *track) {
	t.seen, t.frozen = false, false
	if t.incident == nil {
		return
	}
	words, at := endedUnchecked, h.options.Now()
	if t.incident.resumed {
		at = t.incident.lastSign()
	}
	t.incident.end(at, words)
	h.keepEnded(t.incident)
	t.incident = nil
}

func (h *History) boundLeaving() {
	over := max(len(h.leaving)-mostLeaving, 0)
	overLeft := max(len(h.left)-mostLeaving, 0)
	h.metrics.drop(over + overLeft)
	h.leaving, h.left = h.leaving[over:], h.left[overLeft:]
}

// newTrack begins to follow a target, with the incident of an earlier run that goes on.
// h.mu is held.
func (h *History) newTrack(target health.Target) *track {
	t := &track{target: target, key: keyOf(target), joined: map[*subject]time.Time{}}
	if open := h.orphans[t.key]; open != nil {
		open.track, t.incident = t, open
		delete(h.orphans, t.key)
	}
	return t
}

// trackOf gives the track of a target: the one that was there, or another. h.mu is held.
func (h *History) trackOf(one named, before map[health.Target]*track) *track {
	if t := h.tracks[one.target]; t != nil {
		return t
	}
	t := before[one.target]
	if t == nil {
		t = h.newTrack(one.target)
	}
	t.places, t.probed, t.first, t.warning = nil, false, false, 0
	h.tracks[one.target] = t
	return t
}

func (h *History) subjectOf(one named, before map[place]*subject) *subject {
	if s := h.subjects[one.place]; s != nil {
		return s
	}
	s := before[one.place]
	if s == nil {
		s = &subject{place: one.place, look: true, since: h.options.Now()}
	}
	s.tracks, s.probed, s.patience, s.host = nil, false, 0, one.host
	h.subjects[one.place] = s
	return s
}

// join notes that a target stands at a place.
func (h *History) join(s *subject, t *track, one named) {
	s.probed = s.probed || one.probed
	t.probed = t.probed || one.probed
	t.first = t.first || one.first
	t.warning = max(t.warning, one.warning)
	for _, have := range s.tracks {
		if have == t {
			return
		}
	}
	if one.first {
		s.patience = max(s.patience, patienceFor(one.interval, one.target.Probe))
	}
	s.tracks = append(s.tracks, t)
	t.places = append(t.places, s)
	if _, known := t.joined[s]; !known {
		t.joined[s] = h.options.Now()
	}
}

// signal leaves a value in a channel that has room for one, unless it is there.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
