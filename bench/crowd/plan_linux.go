package crowd

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"
)

// Kind is how a client behaves.
type Kind string

// The kinds of clients.
const (
	Silent    Kind = "silent"    // says nothing
	Slow      Kind = "slow"      // sends a byte of its question each second
	Deaf      Kind = "deaf"      // asks and never reads
	Vanishing Kind = "vanishing" // asks, and is gone without a word, as a machine is that loses its power
	Resetting Kind = "resetting" // asks, and ends the connection with a reset
	Stalling  Kind = "stalling"  // begins a TLS handshake and does not go on
	Shaking   Kind = "shaking"   // shakes hands for TLS once a second, and asks nothing
	Secure    Kind = "secure"    // asks over TLS once a second
	Honest    Kind = "honest"    // asks once a second
)

// Kinds are all of them, in the order in which they are told of.
var Kinds = []Kind{Silent, Slow, Deaf, Vanishing, Resetting, Stalling, Shaking, Secure, Honest}

// overTLS reports whether a kind comes by the address for TLS.
func (k Kind) overTLS() bool { return k == Secure || k == Shaking || k == Stalling }

// Plan says who comes. It is plain data, so that it can be handed to another
// process.
type Plan struct {
	Server   netip.AddrPort // in 127.0.0.0/8
	TLS      netip.AddrPort // the same for DNS over TLS
	Question []byte         // a message, without its length
	Clients  map[Kind]int
}

// Validate says what is wrong with a plan.
func (p *Plan) Validate() error {
	for _, address := range []netip.AddrPort{p.Server, p.TLS} {
		if !address.Addr().Is4() || !address.Addr().IsLoopback() || address.Port() == 0 {
			return fmt.Errorf("the server %s is not on this machine: expected a port of 127.0.0.0/8", address)
		}
	}
	if len(p.Question) < 12 || len(p.Question) > 512 {
		return fmt.Errorf("a question of %d bytes, expected 12 to 512", len(p.Question))
	}
	known := map[Kind]bool{}
	for _, kind := range Kinds {
		known[kind] = true
	}
	all := 0
	for kind, n := range p.Clients {
		if !known[kind] || n < 0 {
			return fmt.Errorf("%d clients that are %q: expected one of %v, and a number from 0", n, kind, Kinds)
		}
		all += n
	}
	if all == 0 {
		return errors.New("no clients")
	}
	return nil
}

// Result is what became of the clients.
type Result struct {
	Kinds map[Kind]Count

	// What new honest clients met, who came one after another, each with one
	// question on a connection of its own.
	Newcomers Newcomers
}

// Count is of one kind.
type Count struct {
	Opened   uint64 // connections
	Refused  uint64 // that could not be opened, or whose handshake failed
	Answered uint64 // questions, of those who read
	Ended    uint64 // connections that the server ended
}

// Newcomers are new honest clients.
type Newcomers struct {
	Came, Answered    uint64
	P50, P99, Slowest time.Duration // from connecting to the answer
	Why               map[string]uint64
}

// counter is a Count while it is counted.
type counter struct{ opened, refused, answered, ended atomic.Uint64 }

func (c *counter) count() Count {
	return Count{c.opened.Load(), c.refused.Load(), c.answered.Load(), c.ended.Load()}
}
