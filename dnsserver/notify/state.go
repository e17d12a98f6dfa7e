package notify

import (
	"maps"
	"slices"
	"strings"
	"time"
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

// Behind counts the zones whose serial is not acknowledged.
func (s *State) Behind() int {
	behind := 0
	for i := range s.Zones {
		if s.Zones[i].Behind() {
			behind++
		}
	}
	return behind
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
	Next           time.Time // when it is told again at the earliest
}

// Behind reports whether the serial that is served is not acknowledged.
func (z *ZoneState) Behind() bool {
	return z.AcknowledgedAt.IsZero() || z.Acknowledged != z.Serial
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
		zone := ZoneState{
			Apex: t.apex, Serial: t.soa.Serial,
			Told: t.told, ToldAt: t.toldAt,
			Acknowledged: t.acknowledged, AcknowledgedAt: t.acknowledgedAt,
			Problem: t.problem,
		}
		if t.place >= 0 {
			zone.Next = later(t.due, s.notBefore)
		}
		state.Zones = append(state.Zones, zone)
	}
	slices.SortFunc(state.Zones, func(a, b ZoneState) int { return strings.Compare(a.Apex, b.Apex) })
	return state
}
