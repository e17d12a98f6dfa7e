package admin

import (
	"net/netip"
	"time"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/health"
	"mirrorpool/pool/selection"
	"mirrorpool/zones"
)

type poolState struct {
	Name        string        `json:"name"`
	Zone        string        `json:"zone"`
	TTL         uint32        `json:"ttl"` // seconds
	Answers     int           `json:"answers"`
	policyState               // of the rule of choice
	Check       string        `json:"check"`
	Modes       familyModes   `json:"modes"`
	Members     []memberState `json:"members"`
}

// familyModes are how an unlocated client is served now: "normal", "kept", "reserve",
// "all", "self" or "empty"; null for a family in which the pool has nothing.
type familyModes struct {
	IPv4 *selection.Mode `json:"ipv4"`
	IPv6 *selection.Mode `json:"ipv6"`
}

type policyState struct {
	Policy        string  `json:"policy"`
	MinCandidates int     `json:"min_candidates"`
	MaxShare      float64 `json:"max_share"`
	WhenAllDown   string  `json:"when_all_down"`
}

type memberState struct {
	ID        string         `json:"id"`
	Mirror    string         `json:"mirror"`
	Host      string         `json:"host,omitempty"` // that has the addresses; absent: they are given
	Weight    uint32         `json:"weight"`
	Reserve   bool           `json:"reserve"`
	Place     placeState     `json:"place"`
	Notes     string         `json:"notes"`
	Addresses []addressState `json:"addresses"`
	// Administrative is what was said of the member on this node; null: nothing.
	Administrative *wordState `json:"administrative"`
}

type addressState struct {
	Address netip.Addr  `json:"address"`
	Health  healthState `json:"health"`
}

type redirectState struct {
	Host        string `json:"host"`
	StripPrefix string `json:"strip_prefix"`
	MirrorsFile string `json:"mirrors_file"`
	policyState
	Check     string        `json:"check"`
	Modes     schemeModes   `json:"modes"`
	Mirrors   []mirrorState `json:"mirrors"`
	Fallbacks []string      `json:"fallbacks"`
}

// schemeModes are how an unlocated client is served now, by how it came; beside
// the modes of families it may be "fallbacks".
type schemeModes struct {
	HTTP  string `json:"http"`
	HTTPS string `json:"https"`
}

type mirrorState struct {
	URLPrefix string      `json:"url_prefix"`
	Weight    uint32      `json:"weight"`
	Country   string      `json:"country"`
	Place     placeState  `json:"place"`
	Health    healthState `json:"health"`
	// Administrative is what was said of the mirror on this node; null: nothing.
	Administrative *wordState `json:"administrative"`
}

// healthState is what is known of a target. Counts tells whether the rule of
// choice takes it for up: it may do so while the state is still unknown, and
// never does for weight 0, which is not probed.
type healthState struct {
	State             string     `json:"state"` // up, down or unknown
	Counts            bool       `json:"counts_as_up"`
	Since             moment     `json:"since"`
	Checked           moment     `json:"checked"`
	Reason            string     `json:"reason"`
	Failures          int        `json:"failures"`
	Successes         int        `json:"successes"`
	Milliseconds      float64    `json:"duration_ms"`
	Address           netip.Addr `json:"address"` // where the last probe went; empty: nowhere yet
	CertificateExpiry moment     `json:"certificate_expiry"`
	// What follows is left out where there is nothing to say.
	Returned   *moment `json:"returned,omitempty"`         // from being down
	Change     *moment `json:"change,omitempty"`           // when it may turn at the soonest
	Frozen     bool    `json:"frozen,omitempty"`           // failures do not count now
	Throughput int64   `json:"bytes_per_second,omitempty"` // as it was measured last
}

type placeState struct {
	Network   string   `json:"network"` // the operator's override; empty: none
	ASN       uint32   `json:"asn"`     // 0: unknown
	Country   string   `json:"country"`
	Continent string   `json:"continent"`
	Latitude  *float64 `json:"latitude"` // degrees
	Longitude *float64 `json:"longitude"`
}

func (s *state) describeTable(table *zones.Table, live *health.Report, said said) {
	s.Commit, s.CommitTime = table.Commit, moment(table.CommitTime)
	checks := make(map[string]pool.CheckKind) // by name of the pool
	for _, p := range table.Definition.Pools {
		checks[p.Name] = p.Health.Kind
	}
	for _, p := range table.Pools(live) {
		s.Pools = append(s.Pools, describePool(p, checks[p.Name], said))
	}
	for _, host := range table.Hosts(live) {
		s.Redirects = append(s.Redirects, describeHost(host, table.Host(host.Host).Redirect.Health.Kind, said))
	}
	for _, zone := range table.Zones() {
		s.Zones = append(s.Zones, zoneState{Apex: zone.Apex, Serial: zone.Serial.Number})
	}
}

func describePool(p zones.PoolDescription, check pool.CheckKind, said said) poolState {
	described := poolState{
		Name: p.Name, Zone: p.Zone, TTL: p.TTL, Answers: p.Answers,
		policyState: describePolicy(p.Policy, p.WhenAllDown),
		Check:       string(check),
		Members:     make([]memberState, len(p.Members)),
	}
	if p.IPv4.Served {
		described.Modes.IPv4 = &p.IPv4.Mode
	}
	if p.IPv6.Served {
		described.Modes.IPv6 = &p.IPv6.Mode
	}
	for i, m := range p.Members {
		member := memberState{
			ID: m.ID, Mirror: m.Mirror, Host: m.HostName, Weight: m.Weight, Reserve: m.Reserve,
			Place: describePlace(m.Place), Notes: m.Notes,
			Addresses: make([]addressState, len(m.Addresses)), Administrative: said.of(p.Name, m.ID),
		}
		for k, a := range m.Addresses {
			member.Addresses[k] = addressState{a.Address, describeHealth(m.Weight, a.State, a.Up)}
		}
		described.Members[i] = member
	}
	return described
}

func describeHost(host zones.HostDescription, check pool.CheckKind, said said) redirectState {
	described := redirectState{
		Host: host.Host, StripPrefix: host.StripPrefix, MirrorsFile: host.MirrorsFile,
		policyState: describePolicy(host.Policy, host.WhenAllDown),
		Check:       string(check),
		Modes:       schemeModes{host.Plain, host.Secure},
		Mirrors:     make([]mirrorState, len(host.Mirrors)),
		Fallbacks:   append([]string{}, host.Fallbacks...),
	}
	for i, m := range host.Mirrors {
		described.Mirrors[i] = mirrorState{
			URLPrefix: m.URLPrefix, Weight: m.Weight, Country: m.Place.Country,
			Place: describePlace(m.Place), Health: describeHealth(m.Weight, m.State, m.Up),
			Administrative: said.of(host.Host, m.URLPrefix),
		}
	}
	return described
}

func describePolicy(p pool.Policy, whenAllDown pool.WhenAllDown) policyState {
	return policyState{string(p.Nearness), p.MinCandidates, p.MaxShare, string(whenAllDown)}
}

func describePlace(p geo.Place) placeState {
	described := placeState{ASN: p.ASN, Country: p.Country, Continent: p.Continent}
	if p.Network.IsValid() {
		described.Network = p.Network.String()
	}
	if p.HasCoordinates {
		described.Latitude, described.Longitude = &p.Latitude, &p.Longitude
	}
	return described
}

func describeHealth(weight uint32, s health.State, counts bool) healthState {
	return healthState{
		State:             s.Verdict.String(),
		Counts:            counts && weight > 0,
		Since:             moment(s.Since),
		Checked:           moment(s.Checked),
		Reason:            s.Reason,
		Failures:          s.Failures,
		Successes:         s.Successes,
		Milliseconds:      float64(s.Duration.Microseconds()) / 1000,
		Address:           s.Address,
		CertificateExpiry: moment(s.CertificateExpiry),
		Returned:          unlessZero(s.Returned),
		Change:            unlessZero(s.Change),
		Frozen:            s.Frozen,
		Throughput:        s.Throughput,
	}
}

// unlessZero is a time that is left out where there is none.
func unlessZero(t time.Time) *moment {
	if t.IsZero() {
		return nil
	}
	at := moment(t)
	return &at
}
