package health

import (
	"net/netip"
	"time"

	"mirrorpool/pool"
)

// Target is one thing that is probed: an address of a pool member or a URL of
// a mirror, with what is asked of it. Targets are comparable: the same target
// in two pools is probed once, and keeps its state through reloads.
type Target struct {
	Probe   pool.Probe
	Address netip.Addr // members; the zero Addr for mirrors
	URL     string     // mirrors: the whole URL that is fetched; empty for members
}

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

// State is what is known of a target.
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
}

// Report is what was known of all targets at one moment. It is immutable.
type Report struct {
	states map[Target]State
}

// NewReport makes a report of the given states, which the caller gives up.
func NewReport(states map[Target]State) *Report { return &Report{states: states} }

// State gives a target's state; the zero State (Unknown) for one that the
// report does not hold. Targets with pool.CheckNone are always up. A nil
// Report knows nothing.
func (r *Report) State(t Target) State {
	if t.Probe.Kind == pool.CheckNone {
		return State{Verdict: Up, Reason: "not checked", Address: t.Address}
	}
	if r == nil {
		return State{}
	}
	return r.states[t]
}
