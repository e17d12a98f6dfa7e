package health

import (
	"net/netip"
	"strings"

	"mirrorpool/pool"
)

// MemberTarget is the target of one address of a pool's member.
func MemberTarget(p *pool.Pool, address netip.Addr) Target {
	return Target{Probe: p.Health.Probe, Address: address}
}

// MirrorTarget is the target of a redirect host's mirror.
func MirrorTarget(r *pool.Redirect, m *pool.Mirror) Target {
	return Target{
		Probe: r.Health.Probe,
		URL:   m.URLPrefix + strings.TrimPrefix(r.Health.Path, "/"),
	}
}

// Assignment is a target and how often it is to be probed.
type Assignment struct {
	Target   Target
	Schedule pool.Schedule
}
