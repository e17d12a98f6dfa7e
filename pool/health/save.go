package health

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"mirrorpool/pool"
)

// savedVersion is the version of the form below.
const savedVersion = 2

// saved is the form in which states are kept on disk.
type saved struct {
	Version int           `json:"version"`
	Saved   time.Time     `json:"saved"`
	Targets []savedTarget `json:"targets"`
}

type savedTarget struct {
	Check           pool.CheckKind `json:"check"`
	Port            uint16         `json:"port,omitempty"`
	Host            string         `json:"host,omitempty"`
	Path            string         `json:"path,omitempty"`
	Statuses        pool.StatusSet `json:"statuses,omitempty"`
	Body            string         `json:"body,omitempty"`
	FollowRedirects bool           `json:"follow_redirects,omitempty"`
	MaxAge          time.Duration  `json:"max_age_ns,omitempty"`
	Timeout         time.Duration  `json:"timeout_ns,omitempty"`
	Address         netip.Addr     `json:"address,omitzero"`
	URL             string         `json:"url,omitempty"`
	State           savedState     `json:"state"`
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
}

// Save gives what is known of all targets as JSON, for Restore in a later run.
func (p *Prober) Save() ([]byte, error) {
	form := saved{Version: savedVersion, Saved: stamp(p.now()), Targets: []savedTarget{}}
	for t, s := range p.Report().All() {
		if s.Verdict == Unknown {
			continue
		}
		form.Targets = append(form.Targets, savedTarget{
			Check: t.Probe.Kind, Port: t.Probe.Port, Host: t.Probe.Host, Path: t.Probe.Path,
			Statuses: t.Probe.Statuses, Body: t.Probe.Body, FollowRedirects: t.Probe.FollowRedirects,
			MaxAge: t.Probe.MaxAge, Timeout: t.Probe.Timeout,
			Address: t.Address, URL: t.URL,
			State: savedState{
				Verdict: s.Verdict.String(), Since: s.Since, Checked: s.Checked, Reason: s.Reason,
				Failures: s.Failures, Successes: s.Successes, Duration: s.Duration,
				Address: s.Address, CertificateExpiry: s.CertificateExpiry,
			},
		})
	}
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
	states, err := parseSaved(data)
	if err != nil {
		return fmt.Errorf("restoring the health state: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.assigned {
		p.restored = states
		return nil
	}
	now := p.elapsed()
	for t, s := range states {
		if e := p.lookup(t); e != nil && e.state.Verdict == Unknown {
			p.adopt(e, s, now)
			if e.state.Verdict != Unknown {
				signal(p.changed)
			}
		}
	}
	p.queue = newQueue(p.entries)
	p.stale.Store(true)
	signal(p.wake)
	return nil
}

// parseSaved reads the form that Save writes.
func parseSaved(data []byte) (map[Target]State, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var form saved
	if err := decoder.Decode(&form); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more data after the end")
	}
	if form.Version != savedVersion {
		return nil, fmt.Errorf("version is %d, expected %d", form.Version, savedVersion)
	}
	states := make(map[Target]State, len(form.Targets))
	for i, f := range form.Targets {
		t := f.target()
		if _, twice := states[t]; twice {
			return nil, fmt.Errorf("targets[%d]: %s stands there twice", i, t)
		}
		s, err := f.State.state()
		if err != nil {
			return nil, fmt.Errorf("targets[%d].state: %w", i, err)
		}
		states[t] = s
	}
	return states, nil
}

func (f savedTarget) target() Target {
	return Target{
		Probe: pool.Probe{
			Kind: f.Check, Port: f.Port, Host: f.Host, Path: f.Path,
			Statuses: f.Statuses, Body: f.Body, FollowRedirects: f.FollowRedirects,
			MaxAge: f.MaxAge, Timeout: f.Timeout,
		},
		Address: f.Address, URL: f.URL,
	}
}

func (f savedState) state() (State, error) {
	s := State{
		Since: stamp(f.Since), Checked: stamp(f.Checked), Reason: f.Reason,
		Failures: f.Failures, Successes: f.Successes, Duration: f.Duration,
		Address: f.Address, CertificateExpiry: stamp(f.CertificateExpiry),
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
	case f.Failures < 0 || f.Successes < 0 || f.Duration < 0:
		return State{}, errors.New("failures, successes and duration_ns must not be negative")
	}
	return s, nil
}
