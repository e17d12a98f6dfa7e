// Package pool is the data model: it reads the files of a mirrors repository
// (mirrors.json, pools.json, zones/*.zone) into an immutable *Definition, and
// reports every mistake with its place. It knows no network and no clock, and
// imports no other package of this program.
package pool

import (
	"net/netip"
	"time"
)

// Definition is everything that one commit says. It is never written after
// Parse has returned it.
type Definition struct {
	Pools     []*Pool
	Redirects []*Redirect
	// MirrorLists are mirrors.json, if there is one, and every other file that
	// a redirect host names, sorted by path.
	MirrorLists []*MirrorList
	// Zones are the files zones/*.zone, sorted by path, not yet parsed.
	Zones []ZoneFile
}

// ZoneFile is a static zone in RFC 1035 master-file form, unparsed.
type ZoneFile struct {
	Path string // "zones/example.org.zone"
	Data []byte
}

// Pool is one owner name whose A and AAAA records are drawn from members.
type Pool struct {
	// Name is lower case and without the final dot.
	Name         string
	NamePosition Position

	TTL         uint32 // seconds
	Answers     int    // members drawn for one answer, at least 1
	Policy      Policy
	Health      Check
	WhenAllDown WhenAllDown
	// MinMembers is how many members of an address family have to be up; with fewer the
	// last set of that many or more goes on being given. 0: no such rule.
	MinMembers int
	Members    []*Member
}

// Member is one machine of a DNS pool.
type Member struct {
	ID        string // unique within its pool
	Mirror    string // host name of the mirror, for people; may be empty
	Addresses []netip.Addr
	// HostName is given in place of addresses, lower case and without the final dot; it
	// is resolved while the program runs, see Definition.Resolved.
	HostName string
	Email    string    // of who runs it, for notices; may be empty
	Weight   uint32    // 0: disabled, never given to anybody; at most MaxWeight
	Reserve  bool      // given only while no other member is up
	Location *Location // nil: the geo data tells, from the first address
	Exclude  *Rules    // nil: nobody is excluded
	Only     *Rules    // nil: for everybody
	Notes    string
	Position Position
}

// MaxWeight is the largest weight of a member or mirror.
const MaxWeight = 10_000

// Redirect is one host of the HTTP pool.
type Redirect struct {
	Host        string // lower case, without port and final dot
	StripPrefix string // begins and ends with "/"; cut from the request's path
	// List is the parsed mirrors file; never nil.
	List        *MirrorList
	Policy      Policy
	Health      Check // Path is relative to each mirror's URL prefix; Port and Host are unused
	WhenAllDown WhenAllDown
	// Fallbacks are URL prefixes that get the clients while no mirror is up,
	// in order of preference. They are not probed.
	Fallbacks []string
	Position  Position
}

// MirrorList is one file in the mirrors.json format.
type MirrorList struct {
	Path    string
	Data    []byte // the file, byte for byte
	Mirrors []*Mirror
}

// Mirror is one entry of a MirrorList.
type Mirror struct {
	URLPrefix string // http or https, ends with "/"
	RsyncURL  string
	Weight    uint32 // 0: disabled, never given to anybody; at most MaxWeight
	Email     string
	Notes     string
	Position  Position
}

// Location is what the repository says of where a member stands.
type Location struct {
	Country        string // ISO 3166-1 alpha-2, upper case; or empty
	Continent      string // AF, AN, AS, EU, NA, OC or SA; or empty
	ASN            uint32 // 0: not given
	HasCoordinates bool
	Latitude       float64 // degrees, -90 to 90
	Longitude      float64 // degrees, -180 to 180
}

// Rules name clients by country, continent, AS or network. They match a client
// that any one of their lists names.
type Rules struct {
	Countries  []string // upper case
	Continents []string // upper case
	ASNs       []uint32
	Networks   []netip.Prefix // masked; IPv4 as IPv4
}

// Nearness is how a client's place picks candidates.
type Nearness string

// The three policies of the rule of choice, step 3.
const (
	Near     Nearness = "near"
	Distance Nearness = "distance"
	None     Nearness = "none"
)

// Policy holds the settings of the rule of choice that people may change.
type Policy struct {
	Nearness      Nearness
	MinCandidates int     // at least 1
	MaxShare      float64 // over 0, at most 1; 1: no cap
	// IgnoreClientSubnet: clients are located by the address of the resolver
	// that asks for them, and not by the subnet that it passes on (RFC 7871). DNS
	// pools only; the rule of choice itself does not look at it.
	IgnoreClientSubnet bool
}

// WhenAllDown is what to answer when no member, not even a reserve, is up.
type WhenAllDown string

// What can be done when everything is down.
const (
	AnswerAll   WhenAllDown = "all"   // as if all were up
	AnswerEmpty WhenAllDown = "empty" // NODATA, or 503
	AnswerSelf  WhenAllDown = "self"  // the node's own addresses
)

// CheckKind is the protocol of a health check.
type CheckKind string

// The kinds of check. CheckNone takes a target for up without asking.
const (
	CheckNone  CheckKind = "none"
	CheckTCP   CheckKind = "tcp"
	CheckHTTP  CheckKind = "http"
	CheckHTTPS CheckKind = "https"
	CheckRsync CheckKind = "rsync"
	CheckExec  CheckKind = "exec" // a command that the node's configuration names
)

// Purpose is what an http or https probe is to find out.
type Purpose string

// The purposes. An inspection is made less often than the check, and a member or
// mirror is up only if all of its inspections say so too.
const (
	PurposeAnswer     Purpose = ""           // that there is the expected answer
	PurposeThroughput Purpose = "throughput" // that a part of a file comes fast enough
	PurposeIntegrity  Purpose = "integrity"  // that a file is what the origin has
	PurposeContents   Purpose = "must_have"  // that files are there, with the right size
)

// TraceFormat is how a trace file tells its time.
type TraceFormat string

// The formats of a trace's first line.
const (
	TraceAny     TraceFormat = ""     // whichever of the others it is
	TraceUnix    TraceFormat = "unix" // seconds since 1970
	TraceRFC3339 TraceFormat = "rfc3339"
	TraceDate    TraceFormat = "date" // as date(1) prints it, "Mon Nov 23 14:48:24 UTC 2026"
)

// Check is what makes a target count as up.
type Check struct {
	Probe
	Schedule
	// Ramp is how long a member that comes back takes to get all of its weight; 0: it
	// gets it at once.
	Ramp time.Duration
	// CertificateWarning is how long before its end a certificate is told of; 0: never.
	CertificateWarning time.Duration
	// Inspections are what else has to be right.
	Inspections []Inspection
}

// Inspection is one more thing that is asked, at a pace of its own. Like the check's,
// its path is relative to the URL prefix for redirect hosts.
type Inspection struct {
	Probe
	Schedule
}

// Probe is what is asked of a target and what it has to answer. It is comparable.
type Probe struct {
	Kind            CheckKind
	Purpose         Purpose // http and https alone
	Port            uint16  // DNS pools only
	Host            string  // Host header and SNI, and what commands are told; DNS pools only
	Path            string  // absolute for DNS pools, relative to the URL prefix for redirect hosts
	Statuses        StatusSet
	Body            string // regular expression (RE2) that the body has to match; empty: any body
	FollowRedirects bool
	MaxAge          time.Duration // the body is a time not older than this; 0: not looked at
	TraceFormat     TraceFormat   // how that time is written
	Timeout         time.Duration // for the whole probe

	Bytes   int64  // of PurposeThroughput, and of each sample of PurposeIntegrity
	MinRate int64  // bytes a second that PurposeThroughput has to reach
	Origin  string // PurposeIntegrity: URL of the same file at its origin; or empty
	Samples int    // PurposeIntegrity: ranges that are compared with the origin's
	SHA256  string // PurposeIntegrity: of the whole file, hexadecimal, lower case; or empty
	// Required are the files of PurposeContents, Index the URL of a list of them.
	Required Requirements
	Index    string

	Module  string // rsync: of a DNS pool; Path is below it
	Command string // exec: its name in the node's configuration
}

// Schedule is how often a target is asked and how many answers turn its state.
type Schedule struct {
	Interval  time.Duration
	DownAfter int // failures that turn up to down
	UpAfter   int // successes in a row that turn down to up
}
