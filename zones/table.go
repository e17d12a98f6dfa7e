// Package zones makes what is served out of what is known: zone files, pools
// and redirect hosts, health and geography go into Compile, and out comes a
// Table, which answers questions and never changes.
//
// Parse reads and checks the zone files once for each commit; Compile lays the
// pools over them, decides all that can be decided before the question comes,
// and is pure: no I/O, no clock, no randomness but what is handed to Answer.
// A Table may be used by many goroutines at once.
//
// Zones that have a plan are signed then, with all that pools may give, or enough of
// it; a Signer, which runs beside, signs what else is drawn. A Version is what is
// transferred of a zone, that of a catalog of all zones among them, and Compare gives
// what leads from one to the next.
//
// Packer and Table.Append write answers in wire format; header, OPT and sockets
// are for others.
//
// It imports pool, pool/administrative, pool/geo, pool/health, pool/selection and
// zones/signing, and the DNS library for records and their text.
package zones

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/administrative"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/health"
	"mirrorpool/zones/signing"
)

// Input is everything that a table depends on. Compile reads it and nothing else.
type Input struct {
	Definition *pool.Definition
	Static     *Static // of the same Definition, from Parse
	Health     *health.Report
	Geo        *geo.Map
	// Serials are those of the last table, or of the last run; by apex (lower
	// case, with the final dot).
	Serials map[string]Serial
	// SelfAddresses are the node's own, for pools with when_all_down "self".
	SelfAddresses []netip.Addr
	Commit        string
	CommitTime    time.Time
	Now           time.Time
	// Signing are the plans of the zones that are signed, by apex.
	Signing map[string]*signing.Plan
	// Catalog is the name of the catalog zone, which ValidCatalog has seen; empty:
	// there is none.
	Catalog string
	// Signer signs what is not signed ahead; nil: other sets are given in its place.
	Signer      *Signer
	SerialShare SerialShare
	// Administrative is what administrators have said of members on this node; nil:
	// nothing.
	Administrative *administrative.State
	// LastGood is that of the last table, or of the last run.
	LastGood LastGood
	// HoldUntil is until when a change of health raises no serial, because serials
	// cannot be kept; zero: it is as ever.
	HoldUntil time.Time
	// Previous is the table before this one, or nil. What nothing has changed
	// about is taken over from it; the table is the same without.
	Previous *Table
}

// Serial is a zone's SOA serial and the digest of the content that it was
// given to. While the content stays, so does the serial.
type Serial struct {
	Number uint32 `json:"number"`
	Digest string `json:"digest"` // hexadecimal SHA-256
}

// Question is what is asked of a table.
type Question struct {
	Name   string // presentation form as asked, with the final dot; any case
	Type   uint16
	Client netip.Addr // the zero Addr: a client that wants to stay unlocated
	// Resolver is who sent the question. Pools that do not use the client subnet
	// are answered for it, and so is a Client in a network that is not routed and
	// of which nothing is known.
	Resolver netip.Addr
	// DNSSEC asks for signatures and proofs: the DO bit (RFC 3225).
	DNSSEC bool
}

// Answer is what a table says to a Question. The records are shared with the
// table: copy before writing.
type Answer struct {
	Rcode         int
	Authoritative bool
	Answer        []dns.RR
	Authority     []dns.RR
	Additional    []dns.RR // without OPT
	// Drawn are the last records of Answer that were drawn from a pool; an
	// answer that is too large may lose them from the end, down to one.
	Drawn int
	// Signatures are those of the drawn records, which are then given whole or not
	// at all. They follow them.
	Signatures []dns.RR
	// PlaceDependent tells that another Client might have got another answer;
	// ScopeBits is then the length of the prefix around Client in which all
	// get the same shares. Otherwise ScopeBits is 0.
	PlaceDependent bool
	ScopeBits      int
	// Pool is the name of the pool that was asked, without the final dot, and
	// Members the ids of those drawn, in order; empty for static names.
	Pool    string
	Members []string
	// MemberRecords are how many of the Drawn records each of Members has, in
	// the same order, 1 or more; nil: each has one.
	MemberRecords []int
}

// Random is where draws come from; *rand.PCG and *rand.ChaCha8 are such.
type Random = rand.Source

// Table is everything that is served, compiled and immutable.
type Table struct {
	Definition *pool.Definition
	Commit     string
	CommitTime time.Time
	Compiled   time.Time // Input.Now

	static *Static
	health *health.Report
	geo    *geo.Map
	zones  map[string]*servedZone // by apex
	served []*servedZone          // the same, as in static.sorted
	pools  []*servedPool          // as in the definition
	hosts  map[string]*Host       // by hostKey
	// selfAddresses are the node's own that the pools were compiled with.
	selfAddresses []netip.Addr
	holdUntil     time.Time // Input.HoldUntil
	// next is when the first of what was said of members ends, a member has more of
	// its weight, or a TTL is to follow health; zero: never.
	next    time.Time
	tallies int  // numbers that a Tally counts
	signing bool // of any zone
	ahead   int  // sets of each family of a pool that are signed ahead
	// What questions for signatures get, if any zone is signed; pools are by number.
	signedIndex *nameIndex
	signedPools []signedPool
	tables      *sharedTables
	// catalog lists the zones; nil: it is not wanted, or catalogProblem is in its way.
	catalog        *catalogZone
	catalogProblem error
}

// servedZone is a zone with the serial that this table gives it.
type servedZone struct {
	*Zone
	serial   Serial
	soa      []dns.RR // one record
	negative []dns.RR // the same for negative answers (RFC 2308, section 3)

	// The same ready to send, without a body where they cannot be.
	soaReady, negativeReady   rendered
	signed                    *signedZone // nil: it is not
	soaSigned, negativeSigned rendered

	version *Version
	// raised is when the serial was given; zero: before the first table. With
	// held, serial and version are those of the table before, until serialHold
	// after that.
	raised     time.Time
	held       bool
	apexLength int // in wire format
}

// Compile makes a table. It reads the input and nothing else, and keeps parts
// of it: the caller must not write to them any more. It fails only if the
// input does not belong together.
func Compile(in Input) (*Table, error) { return compile(in, defaultBounds) }

func compile(in Input, bounds tableBounds) (*Table, error) {
	if in.Definition == nil {
		return nil, errors.New("compiling a table: there is no definition")
	}
	if in.Static == nil || in.Static.definition != in.Definition {
		return nil, errors.New("compiling a table: the static zones are not those of the definition")
	}
	t := &Table{
		Definition: in.Definition,
		Commit:     in.Commit,
		CommitTime: in.CommitTime,
		Compiled:   in.Now,
		static:     in.Static,
		health:     in.Health,
		geo:        in.Geo,
		zones:      make(map[string]*servedZone, len(in.Static.sorted)),
		hosts:      make(map[string]*Host, len(in.Definition.Redirects)),
	}
	t.selfAddresses, t.holdUntil = slices.Clone(in.SelfAddresses), in.HoldUntil
	t.next = in.Administrative.Next(in.Now)
	t.compilePools(&in, bounds)
	for _, redirect := range in.Definition.Redirects {
		t.hosts[hostKey(redirect.Host)] = t.compileHost(&in, redirect)
	}
	t.ahead = aheadOfEach(&in)
	var renders renderer
	for _, zone := range in.Static.sorted {
		served, err := t.compileZone(&in, zone)
		if err != nil {
			return nil, err
		}
		served.render(&renders)
		t.zones[zone.Apex] = served
		t.signing = t.signing || served.signed != nil
		t.served = append(t.served, served)
	}
	t.compileSigned(in.Previous)
	t.compileCatalog(&in)
	return t, nil
}

// compileZone gives a zone its serial. The pools have to be compiled before.
func (t *Table) compileZone(in *Input, zone *Zone) (*servedZone, error) {
	var signed *signedZone
	if plan := in.Signing[zone.Apex]; plan != nil {
		var err error
		if signed, err = t.sign(in, zone, plan); err != nil {
			return nil, err
		}
	}
	before := in.Previous.zone(zone.Apex)
	served := t.serve(in, zone, signed, before)
	if signed != nil {
		if err := signed.signSOA(served, before); err != nil {
			return nil, err
		}
	}
	if !served.held {
		served.version = t.version(served, before)
	}
	return served, nil
}

// Serials are those of all zones of the table, by apex, the catalog among them. The
// map is the caller's.
func (t *Table) Serials() map[string]Serial {
	serials := make(map[string]Serial, len(t.zones))
	for apex, zone := range t.zones {
		serials[apex] = zone.serial
	}
	if t.catalog != nil {
		serials[t.catalog.version.Apex] = t.catalog.serial
	}
	return serials
}

// Host gives the redirect host of a name, in any case and without port; nil if
// there is none.
func (t *Table) Host(name string) *Host { return t.hosts[hostKey(name)] }
