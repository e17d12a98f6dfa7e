//go:build e2e

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// randomZone makes zones with names by chance: wildcards, aliases, delegations,
// empty non-terminals, pools. Those that are tame have nothing that unbound 1.17
// takes for bogus, or for not there, whoever signs and serves it: DNAME, and the
// label \000 where there is a wildcard.
type randomZone struct {
	random *rand.Rand
	tame   bool
	apex   string
	owners map[string]string // what each has, by its name: its kind
	text   strings.Builder
	pools  []any
}

// What an owner of a random zone has. Nothing is below one that is cut off.
const (
	ownerApex  = "apex"
	ownerPlain = "plain"
	ownerAlias = "alias"
	ownerPool  = "pool"
	ownerCut   = "cut" // a delegation or a DNAME
)

var (
	randomLabels = []string{"a", "b", "C", "_x", "zz", "*", `\000`, `\255`, "a-very-long-label-that-makes-names-and-proofs-long-as-well"}
	randomTypes  = map[string]string{
		"A": "127.0.0.1", "AAAA": "::1", "TXT": `"text"`, "MX": "10 a", "SRV": "0 0 80 a",
		"CAA": `0 issue "ca.test"`, "TYPE65400": `\# 1 00`, "LOC": "52 0 0 N 13 0 0 E 0m",
	}
)

// newRandomZone makes one with about so many owners.
func newRandomZone(random *rand.Rand, apex string, count int, tame bool) *randomZone {
	z := &randomZone{random: random, tame: tame, apex: apex, owners: map[string]string{apex: ownerApex, "first." + apex: ownerPlain}}
	fmt.Fprintf(&z.text, "$ORIGIN %s\n$TTL 300\n@ IN SOA ns1.mirrors.test. hostmaster ( 1 7200 900 1209600 300 )\n@ IN NS ns1.mirrors.test.\n", apex)
	fmt.Fprintln(&z.text, "first IN A 127.0.0.1")
	for range count {
		name := apex
		for range 1 + random.IntN(3) {
			if strings.HasPrefix(name, "*.") {
				break // resolvers disagree about what is below, see emptyWildcards
			}
			name = z.label() + "." + name
		}
		if name = strings.ToLower(name); z.owners[name] == "" && !z.under(name, ownerCut) {
			z.add(name)
		}
	}
	return z
}

func (z *randomZone) label() string {
	label := randomLabels[z.random.IntN(len(randomLabels))]
	if z.tame && label == `\000` {
		return "0"
	}
	return label
}

// under reports whether a name is below one of that kind.
func (z *randomZone) under(name, kind string) bool {
	for owner, has := range z.owners {
		if has == kind && owner != name && dns.IsSubDomain(owner, name) {
			return true
		}
	}
	return false
}

// above reports whether there is a name below this one.
func (z *randomZone) above(name string) bool {
	for owner := range z.owners {
		if owner != name && dns.IsSubDomain(name, owner) {
			return true
		}
	}
	return false
}

func (z *randomZone) add(name string) {
	wildcard := strings.HasPrefix(name, "*.")
	switch kind := z.random.IntN(20); {
	case kind < 2 && !wildcard && !z.above(name):
		z.owners[name] = ownerCut
		fmt.Fprintf(&z.text, "%s IN NS nowhere.test.\n", name)
		if kind == 0 {
			fmt.Fprintf(&z.text, "%s IN DS 1 13 2 %064d\n", name, 1)
		}
	case kind == 2 && !wildcard && !z.above(name) && !z.tame:
		z.owners[name] = ownerCut
		fmt.Fprintf(&z.text, "%s IN DNAME %s\n", name, z.any(ownerPlain))
	case kind < 7:
		z.owners[name] = ownerAlias
		fmt.Fprintf(&z.text, "%s IN CNAME %s\n", name, z.any(ownerPlain))
	case kind == 7 && !strings.ContainsAny(name, `\*_`):
		z.owners[name] = ownerPool
		z.pools = append(z.pools, z.pool(name))
	default:
		z.owners[name] = ownerPlain
		for _, kind := range slices.Sorted(mapKeys(setOf(randomTypes))) {
			if z.random.IntN(4) == 0 {
				fmt.Fprintf(&z.text, "%s IN %s %s\n", name, kind, randomTypes[kind])
			}
		}
		fmt.Fprintf(&z.text, "%s IN TXT \"at least\"\n", name)
	}
}

func setOf(of map[string]string) map[string]bool {
	set := map[string]bool{}
	for key := range of {
		set[key] = true
	}
	return set
}

// any gives an owner of a kind.
func (z *randomZone) any(kind string) string {
	var names []string
	for _, name := range slices.Sorted(mapKeys(setOf(z.owners))) {
		if z.owners[name] == kind {
			names = append(names, name)
		}
	}
	return names[z.random.IntN(len(names))]
}

// pool is one of pools.json.
func (z *randomZone) pool(name string) any {
	var members []any
	for i := range 1 + z.random.IntN(6) {
		addresses := []string{fmt.Sprintf("127.0.1.%d", i), fmt.Sprintf("fd00::%x", i)}
		if z.random.IntN(3) == 0 {
			addresses = addresses[:1]
		}
		members = append(members, map[string]any{"id": fmt.Sprint("m", i), "addresses": addresses, "weight": 1 + z.random.IntN(9)})
	}
	return map[string]any{
		"name": strings.TrimSuffix(name, "."), "ttl": 300, "answers": 1 + z.random.IntN(4), "members": members,
		"health": map[string]any{"check": "none"},
	}
}

// question gives a name near the zone's own, and a type.
func (z *randomZone) question() (string, uint16) {
	names := slices.Sorted(mapKeys(setOf(z.owners)))
	name := names[z.random.IntN(len(names))]
	for z.random.IntN(2) == 0 {
		label := z.label()
		switch {
		case label == "*":
			// of a name with an asterisk that is not there Knot forgets to prove that
		case z.random.IntN(2) == 0 && name != z.apex:
			start, _ := dns.NextLabel(name, 0)
			name = name[start:]
		case len(name) < 100:
			name = label + "." + name
		}
	}
	kinds := append(slices.Sorted(mapKeys(setOf(randomTypes))), "CNAME", "NS", "DS", "HTTPS", "SOA")
	return name, typeOf(kinds[z.random.IntN(len(kinds))])
}
