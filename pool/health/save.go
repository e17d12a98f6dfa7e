package health

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"mirrorpool/pool"
)

// savedVersion is the version of the form below.
const savedVersion = 2

// saved is the form in which states are kept on disk. Targets have their probes in
// common, which may be long.
type saved struct {
	Version int           `json:"version"`
	Saved   time.Time     `json:"saved"`
	Freezes []savedFreeze `json:"freezes,omitempty"`
	Probes  []pool.Probe  `json:"probes"`
	Targets []savedTarget `json:"targets"`
}

type savedFreeze struct {
	Family Family    `json:"family"`
	Since  time.Time `json:"since"`
	Cause  cause     `json:"cause,omitempty"`
}

type savedTarget struct {
	Probe   int        `json:"probe"` // place in Probes
	Address netip.Addr `json:"address,omitzero"`
	URL     string     `json:"url,omitempty"`
	State   savedState `json:"state"`
}

type savedState struct {
	Verdict           string        `json:"verdict"` // "up" or "down"
	Since             time.Time     `json:"since"`
	Checked           time.Time     `json:"checked"`
	Reason            string        `json:"reason"`
	Failures          int           `json:"failures"`
	Successes         int           `json:"successes"`
	Duration          time.Duration `json:"duration_ns"`
	Address           netip.Addr    `json:"address,omitzero"`
	CertificateExpiry time.Time     `json:"certificate_expiry,omitzero"`
	Returned          time.Time     `json:"returned,omitzero"`
	Frozen            bool          `json:"frozen,omitempty"`
	Throughput        int64         `json:"throughput,omitempty"`
	ByProgram         bool          `json:"by_program,omitempty"`
}

// carried is what was restored.
type carried struct {
	states  map[Target]State
	freezes map[Family]freeze
}

// Save gives what is known of all targets as JSON, for Restore in a later run.
func (p *Prober) Save() ([]byte, error) {
	form := saved{Version: savedVersion, Saved: stamp(p.now()), Probes: []pool.Probe{}, Targets: []savedTarget{}}
	place := map[pool.Probe]int{}
	for t, s := range p.Report().All() {
		if s.Verdict == Unknown {
			continue
		}
		at, there := place[t.Probe]
		if !there {
			at = len(form.Probes)
			place[t.Probe] = at
			form.Probes = append(form.Probes, t.Probe)
		}
		form.Targets = append(form.Targets, savedTarget{
			Probe: at, Address: t.Address, URL: t.URL,
			State: savedState{
				Verdict: s.Verdict.String(), Since: s.Since, Checked: s.Checked, Reason: s.Reason,
				Failures: s.Failures, Successes: s.Successes, Duration: s.Duration,
				Address: s.Address, CertificateExpiry: s.CertificateExpiry,
				Returned: s.Returned, Frozen: s.Frozen, Throughput: s.Throughput, ByProgram: s.ByProgram,
			},
		})
	}
	p.mu.Lock()
	for _, w := range p.watches {
		if f := w.freeze; f != nil {
			form.Freezes = append(form.Freezes, savedFreeze{Family: w.family, Since: f.since, Cause: f.cause})
		}
	}
	p.mu.Unlock()
	data, err := json.MarshalIndent(form, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("saving the health state: %w", err)
	}
	return append(data, '\n'), nil
}

// Restore takes over what Save gave in an earlier run. The state of a target
// counts if it was checked less than two of the target's intervals ago and is
// not known already; other targets are probed as if they were new. It may be
// called before the first SetTargets, for the targets of that call, or after
// it. Data that is not whole is an error and changes nothing.
func (p *Prober) Restore(data []byte) error {
	restored, err := parseSaved(data, stamp(p.now()))
	if err != nil {
		return fmt.Errorf("restoring the health state: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.restored = restored
	if !p.assigned {
		return nil
	}
	now := p.elapsed()
	for t, s := range restored.states {
		if e := p.lookup(t); e != nil && e.state.Verdict == Unknown {
			p.adopt(e, s, now)
			if e.state.Verdict != Unknown {
				signal(p.changed)
			}
		}
	}
	p.refreeze(now)
	p.restored = carried{}
	p.requeue()
	p.stale.Store(true)
	signal(p.wake)
	return nil
}

// parseSaved reads the form that Save writes.
func parseSaved(data []byte, now time.Time) (carried, error) {
	var any struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &any); err != nil {
		return carried{}, err
	}
	if any.Version != savedVersion {
		return carried{}, fmt.Errorf("its form is version %d, of another mirrorpool, and this one reads version %d: its states are left out", any.Version, savedVersion)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var form saved
	if err := decoder.Decode(&form); err != nil {
		return carried{}, err
	}
	restored := carried{states: make(map[Target]State, len(form.Targets)), freezes: map[Family]freeze{}}
	for _, f := range form.Freezes {
		restored.freezes[f.Family] = freeze{since: notAfter(stamp(f.Since), now), cause: f.Cause}
	}
	for i, f := range form.Targets {
		if f.Probe < 0 || f.Probe >= len(form.Probes) {
			return carried{}, fmt.Errorf("targets[%d]: there is no probe %d", i, f.Probe)
		}
		t := Target{Probe: form.Probes[f.Probe], Address: f.Address, URL: f.URL}
		if _, twice := restored.states[t]; twice {
			return carried{}, fmt.Errorf("targets[%d]: %s stands there twice", i, t)
		}
		s, err := f.State.state(now)
		if err != nil {
			return carried{}, fmt.Errorf("targets[%d].state: %w", i, err)
		}
		restored.states[t] = s
	}
	return restored, nil
}

// notAfter is the earlier of two times: what has happened is past, though the clock was
// set back since.
func notAfter(t, now time.Time) time.Time {
	if t.After(now) {
		return now
	}
	return t
}

func (f savedState) state(now time.Time) (State, error) {
	s := State{
		Since: stamp(f.Since), Checked: stamp(f.Checked), Reason: f.Reason,
		Failures: f.Failures, Successes: f.Successes, Duration: f.Duration,
		Address: f.Address, CertificateExpiry: stamp(f.CertificateExpiry),
		Returned: notAfter(stamp(f.Returned), now), Frozen: f.Frozen, Throughput: f.Throughput, ByProgram: f.ByProgram,
	}
	switch f.Verdict {
	case "up":
		s.Verdict = Up
	case "down":
		s.Verdict = Down
	default:
		return State{}, fmt.Errorf("verdict is %q, expected \"up\" or \"down\"", f.Verdict)
	}
	switch {
	case f.Checked.IsZero() || f.Since.IsZero():
		return State{}, errors.New("since or checked is missing")
	case f.Failures < 0 || f.Successes < 0 || f.Duration < 0 || f.Throughput < 0:
		return State{}, errors.New("failures, successes, duration_ns and throughput must not be negative")
	}
	return s, nil
}
