package health

import (
	"net/netip"
	"time"

	"mirrorpool/pool"
)

// MemberTargets are all targets of one address of a pool's member: that of the check,
// and then those of its inspections.
func MemberTargets(p *pool.Pool, address netip.Addr) []Target {
	all := make([]Target, 0, 1+len(p.Health.Inspections))
	all = append(all, MemberTarget(p, address))
	for _, inspection := range p.Health.Inspections {
		all = append(all, Target{Probe: inspection.Probe, Address: address})
	}
	return all
}

// MirrorTargets are all targets of a redirect host's mirror, that of the check first.
func MirrorTargets(r *pool.Redirect, m *pool.Mirror) []Target {
	all := make([]Target, 0, 1+len(r.Health.Inspections))
	all = append(all, MirrorTarget(r, m))
	for _, inspection := range r.Health.Inspections {
		all = append(all, mirrorTarget(inspection.Probe, m))
	}
	return all
}

// Member is what is known of an address of a pool's member, from all of its targets.
func (r *Report) Member(p *pool.Pool, address netip.Addr) State {
	if len(p.Health.Inspections) == 0 {
		return r.State(MemberTarget(p, address))
	}
	return r.together(MemberTargets(p, address))
}

// Mirror is what is known of a redirect host's mirror, from all of its targets.
func (r *Report) Mirror(host *pool.Redirect, m *pool.Mirror) State {
	if len(host.Health.Inspections) == 0 {
		return r.State(MirrorTarget(host, m))
	}
	return r.together(MirrorTargets(host, m))
}

// together is the state of the check, with the verdict of the worst: one that is down
// takes all down, and one that is unknown leaves all unknown.
func (r *Report) together(targets []Target) State {
	states := make([]State, len(targets))
	for i, t := range targets {
		states[i] = r.State(t)
	}
	all := states[0]
	for _, s := range states[1:] {
		if worse(s.Verdict, all.Verdict) {
			all.Verdict, all.Reason, all.Since = s.Verdict, s.Reason, s.Since
			all.Checked, all.Failures, all.Successes, all.Duration = s.Checked, s.Failures, s.Successes, s.Duration
		}
		if s.Returned.After(all.Returned) {
			all.Returned = s.Returned
		}
		if e := s.CertificateExpiry; !e.IsZero() && (all.CertificateExpiry.IsZero() || e.Before(all.CertificateExpiry)) {
			all.CertificateExpiry = e
		}
		if s.Throughput > 0 {
			all.Throughput = s.Throughput
		}
		all.Frozen = all.Frozen || s.Frozen
	}
	all.Change = changeOf(states, all.Verdict)
	return all
}

// changeOf is the soonest change of all: the first of any to go down, but the last to
// come up of those that are down, if all of them are near it.
func changeOf(states []State, verdict Verdict) time.Time {
	change := time.Time{}
	for _, s := range states {
		switch {
		case verdict == Up && !s.Change.IsZero() && (change.IsZero() || s.Change.Before(change)):
			change = s.Change
		case verdict == Down && s.Verdict == Down && s.Change.IsZero(), verdict == Down && s.Verdict == Unknown:
			return time.Time{}
		case verdict == Down && s.Verdict == Down && s.Change.After(change):
			change = s.Change
		}
	}
	return change
}

// worse reports whether a verdict is worse than another: down, unknown, up.
func worse(a, b Verdict) bool {
	return a == Down && b != Down || a == Unknown && b == Up
}
