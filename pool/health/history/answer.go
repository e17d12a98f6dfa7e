package history

import (
	"time"

	"mirrorpool/pool/administrative"
	"mirrorpool/pool/health"
)

// Question asks for the history of members.
type Question struct {
	// Member names members by id, URL prefix, host name or address; the zero Pattern: all.
	Member administrative.Pattern
	Pool   string // or redirect host; empty: all
	// Since is where incidents, availability and trend begin; zero: six months ago.
	Since time.Time
	// Limit is how many incidents are given of each member at most; 0 or less: 100.
	Limit int
}

// Answer is what is known of the members that a question names. It is the JSON of
// /api/v1/history: names only come to be added; times are RFC 3339 in UTC, and absent where
// there is none; lists are never null.
type Answer struct {
	Now     time.Time       `json:"now"`
	Since   time.Time       `json:"since"`
	Members []MemberHistory `json:"members"` // by pool and id; empty: nobody is known by that name
}

// MemberHistory is what is known of one member or mirror.
type MemberHistory struct {
	Member
	Host       string    `json:"host,omitempty"` // of the mirror
	Present    bool      `json:"present"`        // it is in what is served
	KnownSince time.Time `json:"known_since"`
	// DownSince is when the outage began that goes on.
	DownSince time.Time `json:"down_since,omitzero"`
	// Failures are the outages of the last six months: incidents of the member's targets
	// that overlap are one.
	Failures    int       `json:"failures_in_six_months"`
	LastFailure time.Time `json:"last_failure,omitzero"` // in all that is kept
	// Verdict is what the administrators' runbook says of that.
	Verdict      string         `json:"verdict"`
	Availability []Availability `json:"availability"` // by address
	Incidents    []Incident     `json:"incidents"`    // the newest first
	// Omitted are older incidents that are not given.
	Omitted int      `json:"incidents_omitted"`
	Trend   []Period `json:"trend"` // the oldest first; days, weeks or months
	Flags   []Flag   `json:"flags"`
	Marks   []Mark   `json:"marks"` // the newest first
}

// Availability is how long an address of a member, or a mirror, was up. Times are seconds.
type Availability struct {
	Address string `json:"address,omitempty"` // empty for mirrors
	Up      int64  `json:"up_seconds"`
	Down    int64  `json:"down_seconds"`
	// Frozen is time in which failures were taken for the node's own.
	Frozen int64 `json:"frozen_seconds"`
	// Unknown is all other time since the member is known: it was not checked, or the
	// server was not running.
	Unknown int64 `json:"unknown_seconds"`
	// Percent is the time up in the time that is known; absent where nothing is.
	Percent *float64 `json:"percent,omitempty"`
}

// Incident is a time at which a target was down.
type Incident struct {
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"` // absent: it goes on
	Seconds int64     `json:"seconds"`
	// Failing is when the first of the failures came that led to it.
	Failing  time.Time      `json:"failing_since"`
	Target   string         `json:"target"` // in words
	Address  string         `json:"address,omitempty"`
	Check    string         `json:"check"`
	Reason   string         `json:"reason"`
	Outcome  health.Outcome `json:"outcome"`          // the worst
	Ending   string         `json:"ending,omitempty"` // how it ended, unless the target came back
	Voided   bool           `json:"voided"`           // it was not the target's own, and does not count
	Failures int64          `json:"failures"`         // probes
	First    *Evidence      `json:"first,omitempty"`
	Last     *Evidence      `json:"last,omitempty"`
	Worst    *Evidence      `json:"worst,omitempty"`

	first, last, worst string // the evidence as it is kept
	early              bool   // its time has not come: it was noted under a clock that was ahead
}

// Period is a part of the time, and what was measured in it. Where nothing was, figures are
// absent.
type Period struct {
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Percent  *float64  `json:"availability_percent,omitempty"`
	Outages  int       `json:"outages"` // that began in it
	Probes   int64     `json:"probes"`
	Failures int64     `json:"failures"`
	// Singles are failures that did not take the target down.
	Singles int64 `json:"single_failures"`
	// Response is how long successful probes of the check took, in milliseconds.
	Response *Figures `json:"response_ms,omitempty"`
	// Delivery is the throughput that was measured, in bytes a second.
	Delivery *Figures `json:"bytes_per_second,omitempty"`
}

// Figures sum up a quantity. Quantiles are right within 5 %.
type Figures struct {
	Count  int64   `json:"count"`
	Mean   float64 `json:"mean"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Median float64 `json:"median"`
	P95    float64 `json:"p95"`
}

// figuresOf gives a sample in units of so many.
func figuresOf(s sample, unit float64) *Figures {
	if s.Count == 0 {
		return nil
	}
	return &Figures{
		Count: s.Count, Mean: s.Sum / float64(s.Count) / unit, Min: float64(s.Min) / unit, Max: float64(s.Max) / unit,
		Median: float64(s.quantile(0.5)) / unit, P95: float64(s.quantile(0.95)) / unit,
	}
}

// percentOf is the time up in the time known; nil: nothing is.
func percentOf(s spent) *float64 {
	if s.known() <= 0 {
		return nil
	}
	percent := min(max(100*float64(s.Up)/float64(s.known()), 0), 100)
	return &percent
}
