package health

import (
	"net/netip"

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
	all := r.State(targets[0])
	for _, t := range targets[1:] {
		s := r.State(t)
		if worse(s.Verdict, all.Verdict) {
			all.Verdict, all.Reason, all.Since = s.Verdict, s.Reason, s.Since
			all.Checked, all.Failures, all.Successes, all.Duration = s.Checked, s.Failures, s.Successes, s.Duration
		}
		if s.Returned.After(all.Returned) {
			all.Returned = s.Returned
		}
		if !s.Change.IsZero() && (all.Change.IsZero() || s.Change.Before(all.Change)) {
			all.Change = s.Change
		}
		if e := s.CertificateExpiry; !e.IsZero() && (all.CertificateExpiry.IsZero() || e.Before(all.CertificateExpiry)) {
			all.CertificateExpiry = e
		}
		if s.Throughput > 0 {
			all.Throughput = s.Throughput
		}
		all.Frozen = all.Frozen || s.Frozen
	}
	return all
}

// worse reports whether a verdict is worse than another: down, unknown, up.
func worse(a, b Verdict) bool {
	rank := map[Verdict]int{Up: 0, Unknown: 1, Down: 2}
	return rank[a] > rank[b]
}
