package zones

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/health"
	"mirrorpool/pool/selection"
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
	// PlaceDependent tells that another client might have got another answer;
	// ScopeBits is then the length of the prefix around Client in which all
	// get the same shares. Otherwise ScopeBits is 0.
	PlaceDependent bool
	ScopeBits      int
	// Pool is the name of the pool that was asked, without the final dot, and
	// Members the ids of those drawn, in order; empty for static names.
	Pool    string
	Members []string
}

// Random is where draws come from; *rand.PCG and *rand.ChaCha8 are such.
type Random = rand.Source

var _ selection.Mode
