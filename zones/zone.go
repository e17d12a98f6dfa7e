package zones

import (
	"github.com/miekg/dns"

	"mirrorpool/pool"
)

// Static is what the zone files of one definition hold, read, checked and laid
// out for look-up, with the place of every pool's name in it. It is immutable.
type Static struct {
	definition *pool.Definition
	zones      map[string]*Zone // by apex
	sorted     []*Zone          // by apex
	pools      []*Zone          // of each pool of the definition, in its order
	index      *nameIndex
}

// Zone is one static zone. It is immutable.
type Zone struct {
	Apex string // canonical
	File string
	// SOA is as in the file, with serial 0: every table has its own.
	SOA     *dns.SOA
	Records int // served from the file, glue included

	nodes    map[string]*Node // by canonical name, with the empty non-terminals
	names    []string         // of nodes, sorted
	pools    []string         // the names of pools among them, sorted
	glue     []RRset          // of all delegations, sorted by name
	parent   *Zone            // the nearest zone above that is served here; or nil
	digest   [32]byte         // of the content, without the serial
	contents *contents        // the same as it is transferred
}

// Node is an owner name of a zone, or an empty non-terminal, which has no
// Sets. What a delegation or a DNAME hides has no node.
type Node struct {
	Name string  // as spelt in the file
	Sets []RRset // by type
	// Pool is the index of the pool of this name in Definition.Pools; -1: none.
	Pool int
	// Wildcard is the node of "*" right below this one; or nil.
	Wildcard *Node
	// Delegation tells that NS records below the apex hand this name to others.
	Delegation bool
}

// RRset is the records of one name and type. The TTL is the same in all.
type RRset struct {
	Type    uint16
	Records []dns.RR
	// Additional is what the zone has for the names that NS, MX, SRV, SVCB
	// and such records point to. Addresses of pools are drawn, and not here.
	Additional []Addition
}

// Addition is an RRset that belongs to the additional data of others. It is put
// together when it is asked for: many may have the same.
type Addition struct {
	Records []dns.RR
	Owner   string // that the records get; empty: they keep theirs
	// AtAsked tells that the records get the name that was asked for, for which
	// the wildcard stands that points to itself.
	AtAsked bool
	// Service is the RRset whose records these are, if its own additional data
	// belongs here as well: a record in alias mode leads to it.
	Service *RRset
}

// set gives the node's records of a type, or nil.
func (n *Node) set(kind uint16) *RRset {
	for i := range n.Sets {
		if n.Sets[i].Type == kind {
			return &n.Sets[i]
		}
	}
	return nil
}

// exists reports whether the node holds more than other names.
func (n *Node) exists() bool { return len(n.Sets) > 0 || n.Pool >= 0 }

// find gives the node of a canonical name inside the zone, or, with exact
// false, that of its closest encloser (RFC 4592, section 3.3.1).
func (z *Zone) find(name string) (node *Node, exact bool) {
	if node = z.nodes[name]; node != nil {
		return node, true
	}
	for node == nil {
		name = parent(name)
		node = z.nodes[name]
	}
	return node, false
}

// deepest gives the deepest zone that a canonical name lies in, or nil.
func deepest[Z any](zones map[string]Z, name string) (zone Z, found bool) {
	for {
		if zone, found = zones[name]; found || name == "." {
			return zone, found
		}
		name = parent(name)
	}
}
