package zones

import (
	"net/netip"
	"net/url"
	"strings"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/health"
	"mirrorpool/pool/selection"
)

// Host is a redirect host as a table serves it. It is immutable.
type Host struct {
	Redirect *pool.Redirect
	// List is the mirrors file of the host, to be served byte for byte.
	List *pool.MirrorList
	// Mirrors are what the indices of a Choice point to.
	Mirrors []HostMirror

	health        *health.Report
	standing      *standing
	geo           *geo.Map
	plain, secure hostFamily
}

// HostMirror is one mirror of a Host.
type HostMirror struct {
	Mirror  *pool.Mirror
	Country string // ISO 3166-1 alpha-2, upper case; empty: unknown
	Place   geo.Place
}

// hostFamily is what clients that came by one scheme get.
type hostFamily struct {
	chooser   *selection.Chooser
	fallbacks []string
}

// Choose applies the rule of choice for a client; the zero Addr is a client of
// which nothing may be known. A client that came by https is never sent to
// http. Draw from the Choice; indices are those of Mirrors. While no mirror is
// up the Choice's mode is selection.Empty if there are Fallbacks.
func (h *Host) Choose(client netip.Addr, secure bool) *selection.Choice {
	choice, _ := h.of(secure).chooser.Choose(clientAt(h.geo, client))
	return choice
}

// Fallbacks are the URL prefixes for such clients while no mirror is up, in
// order of preference. They go before when_all_down "all": naming a fallback is
// the explicit word, sending clients to mirrors that are down the last resort.
// The caller must not write to them.
func (h *Host) Fallbacks(secure bool) []string { return h.of(secure).fallbacks }

func (h *Host) of(secure bool) *hostFamily {
	if secure {
		return &h.secure
	}
	return &h.plain
}

// compileHost prepares everything about a redirect host that does not depend
// on who asks.
func compileHost(in *Input, redirect *pool.Redirect, standing *standing) *Host {
	h := &Host{Redirect: redirect, List: redirect.List, health: in.Health, standing: standing, geo: in.Geo}
	if redirect.List != nil {
		for _, mirror := range redirect.List.Mirrors {
			place := h.mirrorPlace(mirror)
			h.Mirrors = append(h.Mirrors, HostMirror{Mirror: mirror, Country: place.Country, Place: place})
		}
	}
	h.plain = h.compileFamily(false)
	h.secure = h.compileFamily(true)
	return h
}

// mirrorPlace tells where a mirror stands by its address: the one in its URL,
// or the one to which its last probe went.
func (h *Host) mirrorPlace(mirror *pool.Mirror) geo.Place {
	address := urlAddress(mirror.URLPrefix)
	if !address.IsValid() {
		address = h.health.Mirror(h.Redirect, mirror).Address
	}
	place, _ := lookUp(h.geo, address)
	return place
}

// urlAddress gives the IP address that stands in a URL in place of a name.
func urlAddress(prefix string) netip.Addr {
	parsed, err := url.Parse(prefix)
	if err != nil {
		return netip.Addr{}
	}
	address, err := netip.ParseAddr(parsed.Hostname())
	if err != nil {
		return netip.Addr{} // it is a name
	}
	return address.WithZone("")
}

// compileFamily makes the candidates for clients of one scheme.
func (h *Host) compileFamily(secure bool) hostFamily {
	family := schemeIndex(secure)
	candidates := make([]selection.Candidate, len(h.Mirrors))
	for i, m := range h.Mirrors {
		state := h.health.Mirror(h.Redirect, m.Mirror)
		candidates[i] = selection.Candidate{
			ID:     m.Mirror.URLPrefix,
			Weight: m.Mirror.Weight,
			Up:     h.standing.counts(i, 0, family),
			Health: h.standing.mirrorWords(state, i, family),
			Place:  m.Place,
		}
		candidates[i].Sixteenths = h.standing.comingOf(0, i).sixteenths
		candidates[i].Unusable, candidates[i].Disabled = h.standing.disabled(i, m.Mirror.Weight)
		if !usableFor(m.Mirror.URLPrefix, secure) {
			candidates[i].Unusable = "http, the client came by https"
		}
	}
	var f hostFamily
	for _, fallback := range h.Redirect.Fallbacks {
		if usableFor(fallback, secure) {
			f.fallbacks = append(f.fallbacks, fallback)
		}
	}
	whenAllDown := h.Redirect.WhenAllDown
	if len(f.fallbacks) > 0 {
		whenAllDown = pool.AnswerEmpty
	}
	f.chooser = selection.New(h.Redirect.Policy, whenAllDown, candidates)
	return f
}

// usableFor reports whether a client may be sent to a URL.
func usableFor(prefix string, secure bool) bool {
	const https = "https://"
	return !secure || len(prefix) >= len(https) && strings.EqualFold(prefix[:len(https)], https)
}

// hostKey is the form in which hosts are kept: lower case, no final dot.
func hostKey(name string) string { return strings.TrimSuffix(lower(name), ".") }
