package zones

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/administrative"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/health"
	"mirrorpool/pool/selection"
)

// ZoneDescription says what a zone of the table is.
type ZoneDescription struct {
	Apex        string   `json:"apex"` // with the final dot
	File        string   `json:"file"`
	Serial      Serial   `json:"serial"`
	Records     int      `json:"records"` // from the file
	Names       int      `json:"names"`   // with data or a pool
	Delegations int      `json:"delegations"`
	Pools       []string `json:"pools"` // without the final dot, sorted
}

// PoolDescription says what a pool is and what is known of its members.
type PoolDescription struct {
	Name        string              `json:"name"` // without the final dot
	Zone        string              `json:"zone"` // apex, with the final dot; empty: none of the table's
	TTL         uint32              `json:"ttl"`  // seconds
	Answers     int                 `json:"answers"`
	Policy      pool.Policy         `json:"policy"`
	WhenAllDown pool.WhenAllDown    `json:"when_all_down"`
	IPv4        FamilyDescription   `json:"ipv4"`
	IPv6        FamilyDescription   `json:"ipv6"`
	Members     []MemberDescription `json:"members"` // as in the file
}

// FamilyDescription says what questions of one address family get.
type FamilyDescription struct {
	// Served is false where no member that has a weight has an address.
	Served bool `json:"served"`
	// Mode is what a client of which nothing is known gets.
	Mode selection.Mode `json:"mode"`
	// TTL is that of what is given now, in seconds: less than the pool's while a
	// change of health is near.
	TTL uint32 `json:"ttl"`
	// Kept are the ids of those that are given though they are not up, since fewer
	// members than min_members are.
	Kept []string `json:"kept,omitempty"`
}

// MemberDescription says what a pool's member is and what is known of it.
type MemberDescription struct {
	ID        string               `json:"id"`
	Mirror    string               `json:"mirror,omitempty"`
	HostName  string               `json:"host,omitempty"` // that has the addresses; empty: they are given
	Weight    uint32               `json:"weight"`         // 0: disabled
	Reserve   bool                 `json:"reserve"`
	Place     geo.Place            `json:"place"`
	Notes     string               `json:"notes,omitempty"`
	Addresses []AddressDescription `json:"addresses"`
	// Word is what was said of the member on this node when the table was made; nil:
	// nothing.
	Word *administrative.Word `json:"word,omitempty"`
}

// AddressDescription says what is known of a member's address.
type AddressDescription struct {
	Address netip.Addr    `json:"address"`
	Target  health.Target `json:"target"`
	State   health.State  `json:"state"`
	// Up tells that it counts as up in the rule of choice, and is not disabled here;
	// of an address that was not probed yet the state alone does not tell.
	Up bool `json:"up"`
}

// HostDescription says what a redirect host is and what is known of its
// mirrors.
type HostDescription struct {
	Host        string              `json:"host"`
	StripPrefix string              `json:"strip_prefix"`
	MirrorsFile string              `json:"mirrors_file"`
	Policy      pool.Policy         `json:"policy"`
	WhenAllDown pool.WhenAllDown    `json:"when_all_down"`
	Fallbacks   []string            `json:"fallbacks"`
	Plain       string              `json:"plain"`   // the mode of an http client of which nothing is known, or ModeFallbacks
	Secure      string              `json:"secure"`  // the same of an https client
	Mirrors     []MirrorDescription `json:"mirrors"` // as in the file
}

// ModeFallbacks is how clients of a redirect host are served that get no mirror
// while it has fallbacks for them.
const ModeFallbacks = "fallbacks"

// MirrorDescription says what a mirror is and what is known of it.
type MirrorDescription struct {
	URLPrefix string        `json:"url_prefix"`
	Weight    uint32        `json:"weight"` // 0: disabled
	Place     geo.Place     `json:"place"`
	Target    health.Target `json:"target"`
	State     health.State  `json:"state"`
	// Up tells that it counts as up in the rule of choice for http clients.
	Up bool `json:"up"`
	// Word is what was said of the mirror on this node when the table was made; nil:
	// nothing.
	Word *administrative.Word `json:"word,omitempty"`
}

// Zones describes the zones, sorted by apex.
func (t *Table) Zones() []ZoneDescription {
	out := make([]ZoneDescription, 0, len(t.static.sorted))
	for _, zone := range t.static.sorted {
		d := ZoneDescription{
			Apex: zone.Apex, File: zone.File, Serial: t.zones[zone.Apex].serial,
			Records: zone.Records, Pools: []string{},
		}
		for _, name := range zone.names {
			node := zone.nodes[name]
			if node.exists() {
				d.Names++
			}
			if node.Delegation {
				d.Delegations++
			}
			if node.Pool >= 0 {
				d.Pools = append(d.Pools, t.pools[node.Pool].definition.Name)
			}
		}
		slices.Sort(d.Pools)
		out = append(out, d)
	}
	return out
}

// Pools describes the pools, sorted by name. Health is told by live, which may
// be newer than the table; nil: by the report that the table was made of. What
// counts as up is the table's in any case.
func (t *Table) Pools(live *health.Report) []PoolDescription {
	out := make([]PoolDescription, 0, len(t.pools))
	for _, served := range t.pools {
		out = append(out, served.describe(newer(live, t.health)))
	}
	slices.SortFunc(out, func(a, b PoolDescription) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func newer(live, compiled *health.Report) *health.Report {
	if live == nil {
		return compiled
	}
	return live
}

// apex is that of the pool's zone; empty if it lies in none.
func (s *servedPool) apex() string {
	if s.zone == nil {
		return ""
	}
	return s.zone.Apex
}

func (s *servedPool) describe(live *health.Report) PoolDescription {
	d := PoolDescription{
		Name: s.definition.Name, Zone: s.apex(), TTL: s.definition.TTL, Answers: s.definition.Answers,
		Policy: s.definition.Policy, WhenAllDown: s.definition.WhenAllDown,
		IPv4:    s.describeFamily(0),
		IPv6:    s.describeFamily(1),
		Members: make([]MemberDescription, 0, len(s.definition.Members)),
	}
	for i, member := range s.definition.Members {
		m := MemberDescription{
			ID: member.ID, Mirror: member.Mirror, HostName: member.HostName, Weight: member.Weight, Reserve: member.Reserve,
			Place: s.places[i], Notes: member.Notes, Word: s.standing.word(i),
			Addresses: make([]AddressDescription, 0, len(member.Addresses)),
		}
		for k, address := range member.Addresses {
			target := health.MemberTarget(s.definition, address)
			m.Addresses = append(m.Addresses, AddressDescription{
				Address: address, Target: target, State: live.Member(s.definition, address),
				Up: s.standing.shown(i, k, familyOf(address), member.Weight),
			})
		}
		d.Members = append(d.Members, m)
	}
	return d
}

func (s *servedPool) describeFamily(index int) FamilyDescription {
	f := s.families[index]
	return FamilyDescription{Served: f.served, Mode: f.mode, TTL: f.ttl, Kept: s.standing.keptIDs(s.definition, index)}
}

// Hosts describes the redirect hosts, sorted by name; live is as for Pools.
func (t *Table) Hosts(live *health.Report) []HostDescription {
	out := make([]HostDescription, 0, len(t.hosts))
	for _, host := range t.hosts {
		out = append(out, host.describe(newer(live, t.health)))
	}
	slices.SortFunc(out, func(a, b HostDescription) int { return strings.Compare(a.Host, b.Host) })
	return out
}

func (h *Host) describe(live *health.Report) HostDescription {
	d := HostDescription{
		Host: h.Redirect.Host, StripPrefix: h.Redirect.StripPrefix, Policy: h.Redirect.Policy,
		WhenAllDown: h.Redirect.WhenAllDown, Fallbacks: slices.Clone(h.Redirect.Fallbacks),
		Plain:   h.mode(false),
		Secure:  h.mode(true),
		Mirrors: make([]MirrorDescription, 0, len(h.Mirrors)),
	}
	if h.List != nil {
		d.MirrorsFile = h.List.Path
	}
	for i, m := range h.Mirrors {
		target := health.MirrorTarget(h.Redirect, m.Mirror)
		d.Mirrors = append(d.Mirrors, MirrorDescription{
			URLPrefix: m.Mirror.URLPrefix, Weight: m.Mirror.Weight, Place: m.Place,
			Target: target, State: live.Mirror(h.Redirect, m.Mirror), Up: h.standing.shown(i, 0, 0, m.Mirror.Weight),
			Word: h.standing.word(i),
		})
	}
	return d
}

// mode is how a client of which nothing is known is served.
func (h *Host) mode(secure bool) string {
	mode := h.Choose(netip.Addr{}, secure).Mode
	if mode == selection.Empty && len(h.Fallbacks(secure)) > 0 {
		return ModeFallbacks
	}
	return mode.String()
}

// ExplainPool explains what a client gets from a pool, in address family 4 or
// 6; nil if there is no such pool or family. The zero Addr is a client of
// which nothing may be known. Health is told by live, as for Pools.
func (t *Table) ExplainPool(name string, client netip.Addr, family int, live *health.Report) *selection.Explanation {
	kind := map[int]uint16{4: dns.TypeA, 6: dns.TypeAAAA}[family]
	key := canonical(dns.Fqdn(name))
	for _, served := range t.pools {
		if served.owner != key || served.of(kind) == nil {
			continue
		}
		report := newer(live, t.health)
		f := served.of(kind)
		explanation := f.chooser.ExplainNow(clientAt(t.geo, client), func(i int) string {
			return served.standing.healthWords(served.definition, report, kind, i)
		})
		explanation.SubnetIgnored = f.byResolver
		for _, note := range []string{served.standing.keptNote(served.definition, kindIndex(kind)), served.ttlNote(kindIndex(kind))} {
			if note != "" {
				explanation.Notes = append(explanation.Notes, note)
			}
		}
		if within, _ := f.unlocatedIn.find(client.Unmap()); within > 0 && client.IsValid() && !f.byResolver {
			explanation.Notes = append(explanation.Notes,
				"this network is not routed: one that a resolver passes on is answered for the resolver's own address")
		}
		if explanation.PlaceDependent && client.IsValid() {
			// What is told to resolvers may be another network than that of the place.
			client = client.Unmap().WithZone("")
			_, explanation.ScopeBits = f.locateSubnet(t.geo, client, client)
			explanation.Network = netip.PrefixFrom(client, explanation.ScopeBits).Masked()
		}
		return explanation
	}
	return nil
}

// ExplainHost explains what a client gets from a redirect host; secure is for
// one that came by https. nil if there is no such host. Health is told by live,
// as for Pools.
func (t *Table) ExplainHost(name string, client netip.Addr, secure bool, live *health.Report) *selection.Explanation {
	host := t.Host(name)
	if host == nil {
		return nil
	}
	report := newer(live, t.health)
	explanation := host.of(secure).chooser.ExplainNow(clientAt(t.geo, client), func(i int) string {
		return host.standing.mirrorWords(report.Mirror(host.Redirect, host.Mirrors[i].Mirror), i, schemeIndex(secure))
	})
	// Fallbacks go before what the repository says of when all are down.
	explanation.Policy.WhenAllDown = host.Redirect.WhenAllDown
	explanation.Fallbacks = slices.Clone(host.Fallbacks(secure))
	return explanation
}
