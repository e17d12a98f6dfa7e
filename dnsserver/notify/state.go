package notify

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Counts are how often each result came since the start.
type Counts map[Result]uint64

// State is what is known of one secondary, as it was when it was asked for.
type State struct {
	Address string // with the port
	Key     string // that signs; empty: none
	// Answered is when the last answer came, whatever it said; the zero time: none
	// yet.
	Answered time.Time
	// Silent tells that what was sent last had no answer.
	Silent bool
	Zones  []ZoneState // by name
}

// ZoneState is what one secondary was told of one zone. Times are zero where
// there was nothing yet.
type ZoneState struct {
	Apex           string // canonical
	Serial         uint32 // that is served
	Told           uint32 // in the last NOTIFY
	ToldAt         time.Time
	Acknowledged   uint32 // in the last NOTIFY that was acknowledged
	AcknowledgedAt time.Time
	Problem        string    // why the last NOTIFY was not acknowledged, in words
	Refused        bool      // it has answered that it takes none of this zone
	Next           time.Time // when it is told again at the earliest
}

// Standing is how a secondary stands to a zone.
type Standing string

// The standings.
const (
	StandsCurrent Standing = "current" // it has acknowledged the serial that is served
	StandsRefused Standing = "refused" // it is no secondary of the zone, or takes no NOTIFY from here
	StandsBehind  Standing = "behind"  // it has not acknowledged the serial yet
)

// Standings are all of them.
func Standings() []Standing { return []Standing{StandsCurrent, StandsRefused, StandsBehind} }

// Standing tells how the secondary stands to the zone.
func (z *ZoneState) Standing() Standing {
	switch {
	case z.Refused:
		return StandsRefused
	case !z.AcknowledgedAt.IsZero() && z.Acknowledged == z.Serial:
		return StandsCurrent
	}
	return StandsBehind
}

// Behind reports whether the serial that is served is not acknowledged yet, by a
// secondary of the zone.
func (z *ZoneState) Behind() bool { return z.Standing() == StandsBehind }

// Count counts the zones to which a secondary stands so.
func (s *State) Count(standing Standing) int {
	count := 0
	for i := range s.Zones {
		if s.Zones[i].Standing() == standing {
			count++
		}
	}
	return count
}

// Behind reports whether a secondary has yet to acknowledge the serial of a zone
// that is served. Those that refuse are not waited for.
func (n *Notifier) Behind(apex string) bool {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	apex = dns.CanonicalName(apex)
	return slices.ContainsFunc(n.secondaries, func(s *secondary) bool {
		t := s.tellings[apex]
		if t == nil {
			return false
		}
		state := t.state(s.notBefore)
		return state.Behind()
	})
}

// States are those of all secondaries, in their order.
func (n *Notifier) States() []State {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	states := make([]State, len(n.secondaries))
	for i, s := range n.secondaries {
		states[i] = s.state()
	}
	return states
}

// Counts are those of all secondaries, those that are gone among them.
func (n *Notifier) Counts() Counts {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return maps.Clone(n.counts)
}

func (s *secondary) state() State {
	state := State{Address: s.Address.String(), Answered: s.answered, Silent: s.isSilent(), Zones: make([]ZoneState, 0, len(s.tellings))}
	if s.Key != nil {
		state.Key = s.Key.Name()
	}
	for _, t := range s.tellings {
		state.Zones = append(state.Zones, t.state(s.notBefore))
	}
	slices.SortFunc(state.Zones, func(a, b ZoneState) int { return strings.Compare(a.Apex, b.Apex) })
	return state
}

func (t *telling) state(notBefore time.Time) ZoneState {
	state := ZoneState{
		Apex: t.apex, Serial: t.soa.Serial,
		Told: t.told, ToldAt: t.toldAt,
		Acknowledged: t.acknowledged, AcknowledgedAt: t.acknowledgedAt,
		Problem: t.problem, Refused: t.refused,
	}
	if t.place >= 0 {
		state.Next = later(t.due, notBefore)
	}
	return state
}
