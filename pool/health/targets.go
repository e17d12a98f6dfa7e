package health

import (
	"net/netip"
	"strconv"
	"strings"

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

// MemberTarget is the target of one address of a pool's member.
func MemberTarget(p *pool.Pool, address netip.Addr) Target {
	return Target{Probe: p.Health.Probe, Address: address}
}

// MirrorTarget is the target of a redirect host's mirror. The URL says all
// that is asked, so the probe's kind is the URL's scheme (or none), and what
// the URL makes superfluous is left out: two redirect hosts that fetch the same
// URL share a target.
func MirrorTarget(r *pool.Redirect, m *pool.Mirror) Target {
	return mirrorTarget(r.Health.Probe, m)
}

func mirrorTarget(probe pool.Probe, m *pool.Mirror) Target {
	switch probe.Kind {
	case pool.CheckRsync:
		return mirrorRsync(probe, m)
	case pool.CheckExec:
		return Target{Probe: probe, URL: m.URLPrefix}
	}
	url := m.URLPrefix + strings.TrimPrefix(probe.Path, "/")
	probe.Host, probe.Port, probe.Path = "", 0, ""
	if !unchecked(probe) {
		probe.Kind = pool.CheckHTTP
		if len(url) > 6 && strings.EqualFold(url[:6], "https:") {
			probe.Kind = pool.CheckHTTPS
		}
	}
	return Target{Probe: probe, URL: url}
}

// mirrorRsync is the target of a mirror's rsync_url; one without a check for a mirror
// that has none.
func mirrorRsync(probe pool.Probe, m *pool.Mirror) Target {
	if m.RsyncURL == "" {
		return Target{Probe: pool.Probe{Kind: pool.CheckNone}, URL: m.URLPrefix}
	}
	url := m.RsyncURL
	if path := strings.TrimLeft(probe.Path, "/"); path != "" {
		url = strings.TrimRight(url, "/") + "/" + path
	}
	probe.Host, probe.Port, probe.Path, probe.Module = "", 0, "", ""
	return Target{Probe: probe, URL: url}
}

// unchecked reports whether nothing is asked: CheckNone, or the zero Probe.
func unchecked(p pool.Probe) bool { return p.Kind == pool.CheckNone || p.Kind == "" }

// String names the target for people: the URL that is fetched,
// "http://127.0.0.1:80/project/trace", or "tcp://127.0.0.1:80". Targets that
// differ in other things asked of them may have the same name.
func (t Target) String() string {
	if t.URL != "" {
		return t.URL
	}
	if unchecked(t.Probe) {
		return t.Address.String()
	}
	port := strconv.Itoa(int(t.Probe.Port))
	host := t.Address.String()
	if t.Address.Is6() {
		host = "[" + host + "]"
	}
	switch t.Probe.Kind {
	case pool.CheckRsync:
		return "rsync://" + host + ":" + port + "/" + strings.TrimLeft(t.Probe.Module+"/"+strings.TrimLeft(t.Probe.Path, "/"), "/")
	case pool.CheckExec:
		return "exec:" + t.Probe.Command + " " + t.Address.String()
	}
	return string(t.Probe.Kind) + "://" + host + ":" + port + t.Probe.Path
}

// Assignment is a target and how often it is to be probed.
type Assignment struct {
	Target   Target
	Schedule pool.Schedule
}

// Targets gives everything in a definition that is to be probed, each target
// once, in the order in which they stand there. Where the same target stands
// several times, its schedule is the strictest of all: the smallest interval,
// the smallest DownAfter, the largest UpAfter. Members and mirrors of weight 0
// are given to nobody, and so are not probed; nor is what has no check.
func Targets(def *pool.Definition) []Assignment {
	if def == nil {
		return nil
	}
	var all []Assignment
	for _, p := range def.Pools {
		if unchecked(p.Health.Probe) {
			continue
		}
		for _, m := range p.Members {
			if m.Weight == 0 {
				continue
			}
			for _, address := range m.Addresses {
				for i, t := range MemberTargets(p, address) {
					all = append(all, Assignment{t, scheduleOf(p.Health, i)})
				}
			}
		}
	}
	for _, r := range def.Redirects {
		if unchecked(r.Health.Probe) || r.List == nil {
			continue
		}
		for _, m := range r.List.Mirrors {
			if m.Weight == 0 {
				continue
			}
			for i, t := range MirrorTargets(r, m) {
				if unchecked(t.Probe) {
					continue // no rsync_url
				}
				all = append(all, Assignment{t, scheduleOf(r.Health, i)})
			}
		}
	}
	return merge(all)
}

// scheduleOf is that of the check or of one of its inspections, in the order of their
// targets.
func scheduleOf(c pool.Check, i int) pool.Schedule {
	if i == 0 {
		return c.Schedule
	}
	return c.Inspections[i-1].Schedule
}

// merge leaves each target once, with the strictest schedule.
func merge(all []Assignment) []Assignment {
	merged := make([]Assignment, 0, len(all))
	index := make(map[Target]int, len(all))
	for _, a := range all {
		i, ok := index[a.Target]
		if !ok {
			index[a.Target] = len(merged)
			merged = append(merged, a)
			continue
		}
		merged[i].Schedule = strictest(merged[i].Schedule, a.Schedule)
	}
	return merged
}

// strictest is the schedule that does justice to both.
func strictest(a, b pool.Schedule) pool.Schedule {
	return pool.Schedule{
		Interval:  min(a.Interval, b.Interval),
		DownAfter: min(a.DownAfter, b.DownAfter),
		UpAfter:   max(a.UpAfter, b.UpAfter),
	}
}
