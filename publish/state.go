package publish

import (
	"net/netip"
	"slices"
	"time"
)

// Condition says in a word how an entry is.
type Condition string

// Conditions.
const (
	Waiting   Condition = "waiting"   // for the first table or the first look
	Published Condition = "published" // the primary has what it should
	Differs   Condition = "differs"   // it has not, and a dry run leaves it so
	Settling  Condition = "settling"  // what others changed may be another node's: looked at again soon
	Blocked   Condition = "blocked"   // others have records of the name
	Failing   Condition = "failing"
)

// State tells how an entry is. It never changes.
type State struct {
	Pool, Zone string
	Server     netip.AddrPort
	Key        string
	DryRun     bool
	Condition  Condition
	// Wanted is what should be there, and Found what was at the last look or after the
	// last update, both sorted by family and address.
	Wanted, Found []netip.Addr
	TTL           uint32 // wanted, in seconds
	LastLook      time.Time
	LastGood      time.Time // when the primary was last known to have what it should
	LastUpdate    time.Time // when it last took one
	NextLook      time.Time
	Updates       uint64 // that were taken, since the start
	Failures      uint64 // looks and updates that failed, since the start
	// ForeignChanges are how often others had changed what was put there, since the
	// start; Foreign is what they did last.
	ForeignChanges uint64
	Foreign        string
	ForeignTime    time.Time
	FailingSince   time.Time // zero: it does not fail
	Error          string
	Notes          []string // what else is to be known, for people
	// WouldSend is, of a dry run, what nsupdate would be told.
	WouldSend string
}

// Kind says what an Event tells.
type Kind int

// Kinds of events.
const (
	Sent      Kind = iota // an update was taken
	Foreign               // others have changed what was put there
	Failed                // something failed, in a new way
	Recovered             // nothing fails any more
	WouldSend             // a dry run has something else to say
	Noted                 // there is something else to be known
	Arranged              // other entries are published from now on
)

// Event is something to be told once. Arranged has no State.
type Event struct {
	Kind  Kind
	State State  // after it
	Text  string // what was sent, found, or is to be known
	Err   error  // of Failed
}

// flat lists both families.
func (s sets) flat() []netip.Addr { return slices.Concat(s[0], s[1]) }
