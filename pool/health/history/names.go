package history

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"time"

	"mirrorpool/pool"
	"mirrorpool/pool/health"
)

// Member names a pool's member, or a redirect host's mirror.
type Member struct {
	// Pool is the pool's name, or the redirect host's.
	Pool     string `json:"pool"`
	Redirect bool   `json:"redirect"`
	// ID is the member's id, or the mirror's URL prefix.
	ID string `json:"member"`
}

func (m Member) String() string { return m.ID + " of " + m.Pool }

// place is one address of a member, or a mirror: what is up or down as a whole.
type place struct {
	Member
	Address netip.Addr // the zero Addr for mirrors
}

func (p place) String() string {
	if p.Address.IsValid() {
		return fmt.Sprintf("%s (%s)", p.Member, p.Address)
	}
	return p.Member.String()
}

// named is what a definition says of a target at one place.
type named struct {
	place
	target   health.Target // the zero Target for places that are not checked
	first    bool          // it is that of the check, and not of an inspection
	probed   bool          // its weight is not 0
	host     string
	interval time.Duration
	// warning is how long before its end a certificate is told of; 0: never.
	warning time.Duration
}

// namesIn lists all targets of a definition with their places, members of weight 0 too, and
// places that are not checked.
func namesIn(definition *pool.Definition) []named {
	if definition == nil {
		return nil
	}
	var all []named
	add := func(at place, host string, weight uint32, check pool.Check, targets []health.Target) {
		if unchecked(check) {
			all = append(all, named{place: at, host: host})
			return
		}
		for i, target := range targets {
			interval := check.Interval
			if i > 0 {
				interval = check.Inspections[i-1].Interval
			}
			all = append(all, named{
				place: at, target: target, first: i == 0, probed: weight > 0, host: host,
				interval: interval, warning: check.CertificateWarning,
			})
		}
	}
	for _, p := range definition.Pools {
		for _, m := range p.Members {
			host := m.Mirror
			if host == "" {
				host = m.HostName
			}
			for _, address := range m.Addresses {
				at := place{Member{Pool: p.Name, ID: m.ID}, address}
				add(at, host, m.Weight, p.Health, health.MemberTargets(p, address))
			}
		}
	}
	for _, r := range definition.Redirects {
		if r.List == nil {
			continue
		}
		for _, m := range r.List.Mirrors {
			at := place{Member: Member{Pool: r.Host, Redirect: true, ID: m.URLPrefix}}
			add(at, hostIn(m.URLPrefix), m.Weight, r.Health, health.MirrorTargets(r, m))
		}
	}
	return all
}

func unchecked(check pool.Check) bool { return check.Kind == "" || check.Kind == pool.CheckNone }

// hostIn is the host name of a URL, in lower case; empty if it has none.
func hostIn(text string) string {
	parsed, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return strings.ToLower(parsed.Hostname())
}

// checkName says what is asked of a target: the purpose, or the kind of check.
func checkName(probe pool.Probe) string {
	if probe.Purpose != pool.PurposeAnswer {
		return string(probe.Purpose)
	}
	return string(probe.Kind)
}

// keyOf names a target in the file: readable, and another one for each thing that may be
// asked. What a later version adds to probes changes nothing where it is not used.
func keyOf(target health.Target) string {
	digest := sha256.New()
	probe := reflect.ValueOf(target.Probe)
	for i := range probe.NumField() {
		if field := probe.Field(i); !field.IsZero() {
			fmt.Fprintf(digest, "%s=%v\n", probe.Type().Field(i).Name, field.Interface())
		}
	}
	where := target.URL
	if where == "" {
		where = target.Address.String()
	}
	return fmt.Sprintf("%s %s %s", checkName(target.Probe), where, hex.EncodeToString(digest.Sum(nil)[:8]))
}
