package health

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"time"

	"mirrorpool/pool"
)

// Verdict is what the prober holds a target for.
type Verdict int

// A target is Unknown until its first probe has ended.
const (
	Unknown Verdict = iota
	Up
	Down
)

func (v Verdict) String() string {
	switch v {
	case Up:
		return "up"
	case Down:
		return "down"
	}
	return "unknown"
}

// State is what is known of a target. Times are UTC.
type State struct {
	Verdict   Verdict
	Since     time.Time     // when the verdict last changed
	Checked   time.Time     // when the last probe ended
	Reason    string        // the last probe's result in words, such as "status 503, expected 200"
	Failures  int           // counted towards down_after
	Successes int           // in a row, counted towards up_after
	Duration  time.Duration // of the last probe
	// Address is what a mirror's host name led to in the last probe that
	// connected; the target's own for members.
	Address netip.Addr
	// CertificateExpiry is the end of the server certificate's validity, for
	// https; zero otherwise.
	CertificateExpiry time.Time
	// Returned is when the target last came back from being down; zero: it has not, as
	// far as is known. While it ramps up it counts from here.
	Returned time.Time
	// Change is the soonest moment at which the verdict may turn: that of the probe which
	// would make enough of the failures, or successes, that are counted so far; zero: none
	// are, so that no change is near. It may have passed where probes are late.
	Change time.Time
	// Frozen tells that failures are not counted now, since they are taken for this
	// machine's own.
	Frozen bool
	// Throughput is the last that was measured, in bytes a second; 0: none was.
	Throughput int64
	// ByProgram tells that among the failures since it was up last some were found by a
	// program of this machine, without which it is not found right again.
	ByProgram bool
}

// Report is what was known of all targets at one moment. It is immutable, and
// a nil Report knows nothing.
type Report struct {
	targets []Target       // in the order in which they were set; shared between reports
	index   map[Target]int // place in targets; shared between reports
	states  []State        // of targets, in their order
	freezes []Freeze
}

// Freezes are the families whose failures do not count now; usually none. Nobody must
// write to it.
func (r *Report) Freezes() []Freeze {
	if r == nil {
		return nil
	}
	return r.freezes
}

// NewReport makes a report of the given states. It keeps nothing of the map.
func NewReport(states map[Target]State) *Report {
	r := &Report{
		targets: make([]Target, 0, len(states)),
		index:   make(map[Target]int, len(states)),
		states:  make([]State, 0, len(states)),
	}
	for t := range states {
		r.targets = append(r.targets, t)
	}
	slices.SortFunc(r.targets, func(a, b Target) int { return cmp.Compare(a.String(), b.String()) })
	for i, t := range r.targets {
		r.index[t] = i
		r.states = append(r.states, states[t])
	}
	return r
}

// State gives a target's state; the zero State (Unknown) for one that the
// report does not hold. Targets without a check are always up.
func (r *Report) State(t Target) State {
	if r != nil {
		if i, ok := r.index[t]; ok && t.Probe.Kind != pool.CheckNone {
			return r.states[i]
		}
	}
	if unchecked(t.Probe) {
		return State{Verdict: Up, Reason: "not checked", Address: t.Address}
	}
	return State{}
}

// Len is how many targets the report holds.
func (r *Report) Len() int {
	if r == nil {
		return 0
	}
	return len(r.targets)
}

// All yields every target that the report holds with its state, in the order
// in which the targets were set.
func (r *Report) All() iter.Seq2[Target, State] {
	return func(yield func(Target, State) bool) {
		if r == nil {
			return
		}
		for i, t := range r.targets {
			if !yield(t, r.states[i]) {
				return
			}
		}
	}
}
