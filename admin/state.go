package admin

import (
	"net/http"
	"net/netip"
	"time"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
)

// The types of this file are the JSON of /api/v1/state. Names only come to be
// added; lists are never null; times are null where there is none, and
// otherwise RFC 3339 in UTC with whole seconds.

type state struct {
	Ready       bool               `json:"ready"`
	Awaiting    string             `json:"awaiting,omitempty"`
	Version     string             `json:"version"`
	Started     moment             `json:"started"`
	Commit      string             `json:"commit"` // the one served; empty: none yet
	CommitTime  moment             `json:"commit_time"`
	Source      sourceState        `json:"source"`
	Stages      []stageState       `json:"stages"`
	Warnings    []problemState     `json:"warnings"`
	Pools       []poolState        `json:"pools"`
	Redirects   []redirectState    `json:"redirects"`
	Zones       []zoneState        `json:"zones"`
	Secondaries []secondaryState   `json:"secondaries"`
	Geo         []databaseState    `json:"geo"`
	Publish     []publicationState `json:"publish"`
	HostNames   []hostNameState    `json:"host_names"`
	Alerts      []alertWayState    `json:"alerts"`
	// Administrative is all that was said of members on this node, also of those that
	// the repository does not have any more.
	Administrative     []wordState `json:"administrative"`
	NotInForce         []string    `json:"not_in_force"`
	LogClientAddresses bool        `json:"log_client_addresses"`
}

type sourceState struct {
	URL          string        `json:"url"`
	Branch       string        `json:"branch"`
	Head         string        `json:"head"`
	LastLook     moment        `json:"last_look"`
	LastSuccess  moment        `json:"last_success"`
	LastError    string        `json:"last_error"`
	FailingSince moment        `json:"failing_since"`
	Refused      *refusedState `json:"refused"`
}

type refusedState struct {
	Commit   string         `json:"commit"`
	Time     moment         `json:"time"`
	Error    string         `json:"error"`
	Problems []problemState `json:"problems"`
}

type problemState struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	What     string `json:"what"`
	Found    string `json:"found"`
	Expected string `json:"expected"`
	Severity string `json:"severity"`
	Text     string `json:"text"` // all of it on one line
}

type stageState struct {
	Stage      string `json:"stage"`
	StaleSince moment `json:"stale_since"`
	Error      string `json:"error"`
}

type zoneState struct {
	Apex   string `json:"apex"`
	Serial uint32 `json:"serial"`
	// DNSSEC is null for a zone that is not signed.
	DNSSEC *Signing `json:"dnssec"`
}

type hostNameState struct {
	Name         string       `json:"name"`
	IPv4         []netip.Addr `json:"ipv4"`
	IPv6         []netip.Addr `json:"ipv6"`
	Answered     moment       `json:"answered"`
	FailingSince moment       `json:"failing_since"`
	Problem      string       `json:"problem"`
}

type alertWayState struct {
	Name    string `json:"name"`
	DryRun  bool   `json:"dry_run"`
	Pending int    `json:"pending"`
	Last    moment `json:"last"`
	Error   string `json:"error"`
}

func describeAlertWays(ways []AlertWay) []alertWayState {
	described := make([]alertWayState, len(ways))
	for i, way := range ways {
		described[i] = alertWayState{way.Name, way.DryRun, way.Pending, moment(way.Last), way.Error}
	}
	return described
}

func describeHostNames(names []HostName) []hostNameState {
	described := make([]hostNameState, len(names))
	for i, name := range names {
		described[i] = hostNameState{
			Name: name.Name, IPv4: append([]netip.Addr{}, name.IPv4...), IPv6: append([]netip.Addr{}, name.IPv6...),
			Answered: moment(name.Answered), FailingSince: moment(name.FailingSince), Problem: name.Problem,
		}
	}
	return described
}

type databaseState struct {
	Kind     string `json:"kind"`
	Path     string `json:"path"`
	Type     string `json:"type"`
	Built    moment `json:"built"`
	Entries  int    `json:"entries"`
	Source   string `json:"source"`
	Licence  string `json:"licence"`
	Families string `json:"families"`
}

// moment is a time that may be none.
type moment time.Time

// MarshalJSON gives null for the zero time.
func (m moment) MarshalJSON() ([]byte, error) {
	t := time.Time(m)
	if t.IsZero() {
		return []byte("null"), nil
	}
	return []byte(t.UTC().Format(`"` + time.RFC3339 + `"`)), nil
}

// serveState shows everything that is known, from one table.
func (h *handler) serveState(w http.ResponseWriter, _ *http.Request) {
	table, status := h.Table(), h.Status()
	secrets := redact(status.Source.URL)
	s := state{
		Ready:              table != nil,
		Version:            status.Version,
		Started:            moment(status.Started),
		Source:             describeSource(status.Source, secrets),
		Stages:             make([]stageState, len(status.Stages)),
		Warnings:           describeProblems(status.Warnings),
		Pools:              []poolState{},
		Redirects:          []redirectState{},
		Zones:              []zoneState{},
		Secondaries:        describeSecondaries(status.Secondaries),
		Geo:                describeDatabases(status.Geo),
		Publish:            describePublications(status.Publications),
		HostNames:          describeHostNames(status.HostNames),
		Alerts:             describeAlertWays(status.Alerts),
		Administrative:     h.said().all(),
		NotInForce:         append([]string{}, status.NotInForce...),
		LogClientAddresses: status.LogClientAddresses,
	}
	for i, stage := range status.Stages {
		s.Stages[i] = stageState{stage.Name, moment(stage.StaleSince), secrets.text(stage.Error)}
	}
	if table == nil {
		s.Awaiting = status.Awaiting
	} else {
		s.describeTable(table, h.live(), h.said())
		for i := range s.Zones {
			s.Zones[i].DNSSEC = status.Signing[s.Zones[i].Apex]
		}
	}
	reply(w, http.StatusOK, s)
}

func describeSource(source Source, secrets redaction) sourceState {
	s := sourceState{
		URL:          secrets.text(source.URL),
		Branch:       source.Branch,
		Head:         source.Head,
		LastLook:     moment(source.LastLook),
		LastSuccess:  moment(source.LastSuccess),
		LastError:    secrets.text(source.LastError),
		FailingSince: moment(source.FailingSince),
	}
	if r := source.Refused; r != nil {
		s.Refused = &refusedState{r.Commit, moment(r.Time), secrets.text(r.Error), describeProblems(r.Problems)}
	}
	return s
}

func describeProblems(problems []pool.Problem) []problemState {
	described := make([]problemState, len(problems))
	for i, p := range problems {
		described[i] = problemState{
			File: p.File, Line: p.Line, Column: p.Column,
			What: p.What, Found: p.Found, Expected: p.Expected,
			Severity: p.Severity.String(), Text: p.String(),
		}
	}
	return described
}

func describeDatabases(databases []geo.Database) []databaseState {
	described := make([]databaseState, len(databases))
	for i, d := range databases {
		described[i] = databaseState{
			Kind: string(d.Kind), Path: d.Path, Type: d.Type, Built: moment(d.Built),
			Entries: d.Entries, Source: d.Source, Licence: d.Licence, Families: d.Families,
		}
	}
	return described
}
