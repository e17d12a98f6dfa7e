package selection

import (
	"net/netip"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
)

// Candidate is a member or mirror as the rule of choice sees it.
type Candidate struct {
	ID     string
	Weight uint32
	// Unusable says why the candidate is left out before anything else is
	// looked at, such as "no AAAA address"; empty: it is not. Weight 0 needs
	// no saying.
	Unusable string
	Reserve  bool
	Up       bool
	// Health says in words why the candidate is up or down, for Explain.
	Health        string
	Place         geo.Place
	Exclude, Only *pool.Rules
}

// Client is who asks.
type Client struct {
	// Address is the client's, or the network address of its prefix; the zero
	// Addr for a client of which nothing may be known.
	Address netip.Addr
	Place   geo.Place
	// Bits is the length of the prefix around Address in which Place holds.
	Bits int
}

// Mode tells which candidates a Choice is made of.
type Mode int

// The modes, in the order in which the rule of choice falls back.
const (
	Normal  Mode = iota // those that are up
	Reserve             // the reserve that is up
	All                 // nothing is up: as if all were
	Self                // nothing is up: the node's own addresses; no shares
	Empty               // nothing to give; no shares
)

// Share is one candidate's probability of being drawn first.
type Share struct {
	Index int     // in the candidates given to New
	Share float64 // over 0, at most 1; the shares of a Choice add up to 1
}

// Choice is what one set of clients gets. It is immutable.
type Choice struct {
	Mode   Mode
	Shares []Share // in the order of the candidates
	// unexported: what Draw needs
}
