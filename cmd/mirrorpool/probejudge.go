package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mirrorpool/pool"
	"mirrorpool/pool/health"
)

// probeVerdict is what a mirror is found to be.
type probeVerdict string

const (
	probeGood       probeVerdict = "good"
	probeBad        probeVerdict = "bad"
	probeUnfinished probeVerdict = "unfinished" // it was ended before all was asked, and nothing was bad by then
)

// redFlag is what somebody should know of a mirror that is good otherwise.
type redFlag struct {
	Flag string `json:"flag"`
	Text string `json:"text"`
}

// The red flags.
const (
	flagCertificate = "certificate"
	flagNoIPv6      = "no IPv6"
	flagNoIPv4      = "no IPv4"
	flagHTTPOnly    = "http only"
	flagSlow        = "slow"
	flagNoRanges    = "no ranges"
	flagRedirects   = "redirects"
	flagOldHTTP     = "HTTP/1.0"
	flagNotLookedAt = "not looked at"
)

// judging is what probes are held against.
type judging struct {
	now         time.Time
	certificate time.Duration // before its end a flag is raised; 0: none is
	floor       int64         // bytes a second; 0: none
	alone       bool          // reasons stand beside the mirror's name
}

func (o *probeOptions) judging(now time.Time) judging {
	return judging{now: now, certificate: pool.DefaultCertificateWarning, floor: o.floor}
}

// judge comes to the verdict.
func (f *mirrorFound) judge(by judging) {
	f.verdict = probeGood
	if f.cut {
		f.verdict = probeUnfinished
	}
	if r := f.resolved; r != nil && r.mistake != "" && !f.cut {
		f.reasons = append(f.reasons, "resolving "+r.name+": "+r.mistake)
	}
	passed := 0
	for i := range f.probes {
		p := &f.probes[i]
		for _, flag := range p.flags(by) {
			f.raise(flag)
		}
		switch {
		case !p.judged():
		case p.result.Outcome == health.Success:
			passed++
		default:
			f.reasons = append(f.reasons, p.where(by.alone)+p.result.Reason)
		}
	}
	if r := f.resolved; r != nil && r.mistake == "" {
		f.raise(r.flags()...)
	}
	if passed == 0 && len(f.reasons) == 0 && !f.cut {
		f.reasons = append(f.reasons, "nothing could be looked at from this machine")
	}
	if len(f.reasons) > 0 {
		f.verdict = probeBad
	}
}

// raise adds flags, each once.
func (f *mirrorFound) raise(flags ...redFlag) {
	for _, flag := range flags {
		if !slices.Contains(f.flags, flag) {
			f.flags = append(f.flags, flag)
		}
	}
}

// where is what a reason begins with: which address, and what was asked beside the check.
func (p *probed) where(alone bool) string {
	var words []string
	if !alone && p.what != asksRsync {
		words = append(words, p.label)
	}
	if p.what != asksAnswer {
		words = append(words, p.what)
	}
	if len(words) == 0 {
		return ""
	}
	return strings.Join(words, " ") + ": "
}

// judged reports whether a probe says something of the mirror, and not of this machine.
func (p *probed) judged() bool {
	switch {
	case p.undecided:
		return false
	case p.what == asksHTTPS, p.what == asksRanges, p.what == asksDaemon:
		return false // they raise flags, or tell what there is, and no more
	case p.result.NotMade:
		return p.result.Outcome != health.Success
	}
	return !p.noIPv6Here()
}

// noIPv6Here reports whether this machine has no way to an IPv6 address: no route, or not
// even an address of its own.
func (p *probed) noIPv6Here() bool {
	r := &p.result
	return p.address.Is6() &&
		(r.Outcome == health.Connection && strings.HasPrefix(r.Reason, "network is unreachable") ||
			r.NotMade && strings.Contains(r.Reason, "no local address"))
}

// flags are those that one probe raises.
func (p *probed) flags(by judging) []redFlag {
	var flags []redFlag
	add := func(flag, format string, arguments ...any) {
		flags = append(flags, redFlag{flag, fmt.Sprintf(format, arguments...)})
	}
	r, e := &p.result, &p.result.Evidence
	if p.what == asksDaemon {
		return nil
	}
	if p.what == asksHTTPS {
		if r.Outcome != health.Success {
			add(flagHTTPOnly, "https at %s: %s", p.label, r.Reason)
		}
		return flags
	}
	switch {
	case p.noIPv6Here():
		add(flagNotLookedAt, "%s: this machine has no way to IPv6 addresses", p.label)
	case r.NotMade && r.Outcome == health.Success:
		add(flagNotLookedAt, "%s%s", p.where(by.alone), r.Reason)
	}
	if end := r.CertificateExpiry; !end.IsZero() && by.certificate > 0 && end.Sub(by.now) < by.certificate && end.After(by.now) {
		add(flagCertificate, "the certificate of %s ends %s, in %s", p.certified(), end.Format("2006-01-02 15:04 UTC"), inDays(end.Sub(by.now)))
	}
	if p.what == asksThroughput && by.floor > 0 && r.Outcome == health.Success && e.BytesPerSecond > 0 && e.BytesPerSecond < by.floor {
		add(flagSlow, "%s sends %d kB a second, less than %d", p.label, e.BytesPerSecond/1000, by.floor/1000)
	}
	switch {
	case p.what != asksThroughput && p.what != asksRanges:
	case r.Outcome == health.Success && e.Status == 200:
		add(flagNoRanges, "%s sends whole files where a part is asked for", p.label)
	case r.Outcome != health.Success && p.what == asksRanges:
		add(flagNoRanges, "%s, asked for a part of a file: %s", p.label, r.Reason)
	}
	if e.Version == "HTTP/1.0" {
		add(flagOldHTTP, "%s answers in HTTP/1.0", p.label)
	}
	for _, step := range e.Steps {
		if _, to, redirects := strings.Cut(step.Words, ", redirect to "); redirects {
			add(flagRedirects, "%s sends clients to %s", p.label, to)
		}
	}
	return flags
}

// certified names whose certificate was seen.
func (p *probed) certified() string {
	if p.target.Probe.Host != "" {
		return p.target.Probe.Host + " at " + p.label
	}
	return p.label
}

// flags tell of a family that a name does not have.
func (r *resolvedName) flags() []redFlag {
	if r.literal {
		return nil
	}
	var flags []redFlag
	if !slices.ContainsFunc(r.addresses, netip.Addr.Is6) {
		flags = append(flags, redFlag{flagNoIPv6, r.name + " has no IPv6 address"})
	}
	if !slices.ContainsFunc(r.addresses, netip.Addr.Is4) {
		flags = append(flags, redFlag{flagNoIPv4, r.name + " has no IPv4 address"})
	}
	return flags
}

// inDays writes a time in whole days, or in hours where it is less than two.
func inDays(d time.Duration) string {
	switch hours := d / time.Hour; {
	case hours == 1:
		return "1 hour"
	case hours < 48:
		return fmt.Sprintf("%d hours", hours)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}
