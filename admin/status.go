package admin

import (
	"net/netip"
	"time"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
)

// Status is what the program knows of itself beside the table. It is plain
// data, made anew for every call; nobody writes to it afterwards. Zero times
// mean "never".
type Status struct {
	Version string
	Started time.Time
	// Awaiting says what has to come before answers can be given, such as
	// "the first commit" or "the first round of health checks".
	Awaiting string
	Source   Source
	// Stages are those of the way from commit to table, in their order:
	// source, parse, compile, geo, health-state and the like.
	Stages []Stage
	// Warnings are what is not quite right in the commit that is served.
	Warnings []pool.Problem
	// Geo are the databases in use.
	Geo []geo.Database
	// Secondaries are those that are told of new serials.
	Secondaries []Secondary
	// Signing is how zones are signed, by apex; those that are not are not in it.
	Signing map[string]*Signing
	// HostNames are those of members, sorted.
	HostNames []HostName
	// Alerts are the ways by which people are told of troubles, in the configuration's order.
	Alerts []AlertWay
	// Publications are the pools that are kept in zones of other primaries.
	Publications []Publication
	// NotInForce are keys of the configuration that are set and that this version does
	// not act upon, with their places, in words.
	NotInForce []string
	// LogClientAddresses tells that log.client_addresses is on.
	LogClientAddresses bool
}

// HostName is a name that stands in place of members' addresses, with what it has.
type HostName struct {
	Name       string
	IPv4, IPv6 []netip.Addr // the last good answers
	Answered   time.Time    // when the name was last answered for
	// FailingSince is since when one family cannot be resolved; zero: both can.
	FailingSince time.Time
	Problem      string // why, or what of the answers is left out; empty: nothing
}

// AlertWay is a way by which people are told, and how that goes.
type AlertWay struct {
	Name    string
	DryRun  bool
	Pending int       // changes that it has not told yet
	Last    time.Time // when its last message was delivered; zero: none was in this run
	Error   string    // why the last message was not delivered, or not to all; empty: it was
}

// Source is how the following of the Git repository goes.
type Source struct {
	URL          string // a password in it is not shown to anybody
	Branch       string
	Head         string // the newest commit seen, 40 hexadecimal digits; empty: none yet
	LastLook     time.Time
	LastSuccess  time.Time
	LastError    string    // of the last look; empty: it went well
	FailingSince time.Time // zero: the last look went well
	Refused      *Refused  // nil unless the head is refused
}

// Refused is a commit that is not served, and why.
type Refused struct {
	Commit   string
	Time     time.Time // of the commit
	Error    string
	Problems []pool.Problem // empty where the reason is none in the files
}

// Stage is one stage of the way from commit to table.
type Stage struct {
	Name string
	// StaleSince is when the stage last failed after it had gone well; zero
	// while it is fine. What it made before is served on.
	StaleSince time.Time
	Error      string
}
