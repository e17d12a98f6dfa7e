//go:build e2e

package main

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// poolMembers are those of dl.mirrors.test with IPv4.
var poolMembers = []string{"127.0.0.31", "127.0.0.32", "127.0.0.33", "127.0.0.34"}

// namesResolve asks for one of everything that a zone may hold.
func (l *lab) namesResolve() {
	for _, question := range []struct {
		what, name string
		kind       uint16
		rcode      int
		want       []string // the addresses; nil: none
		of         int      // if not 0, so many of want
	}{
		{what: "below a delegation", name: "www.below.mirrors.test.", kind: dns.TypeA, want: []string{"127.0.0.44"}},
		{what: "below empty non-terminals", name: "host.a.b.c.mirrors.test.", kind: dns.TypeA, want: []string{"127.0.0.42"}},
		{what: "the pool", name: "dl.mirrors.test.", kind: dns.TypeA, want: poolMembers, of: 2},
		{what: "the pool over IPv6", name: "dl.mirrors.test.", kind: dns.TypeAAAA, want: []string{"::1"}},
		{what: "an alias of the pool", name: "www.mirrors.test.", kind: dns.TypeA, want: poolMembers, of: 2},
		{what: "an alias of the pool over IPv6", name: "www.mirrors.test.", kind: dns.TypeAAAA, want: []string{"::1"}},
		{what: "a wildcard alias of the pool", name: "25.dl.mirrors.test.", kind: dns.TypeA, want: poolMembers, of: 2},
		{what: "a deep name of that wildcard", name: "x.y.z.dl.mirrors.test.", kind: dns.TypeAAAA, want: []string{"::1"}},
		{what: "a wildcard", name: "any.wild.mirrors.test.", kind: dns.TypeA, want: []string{"127.0.0.41"}},
		{what: "a deep name of a wildcard", name: "a.b.wild.mirrors.test.", kind: dns.TypeA, want: []string{"127.0.0.41"}},
		{what: "below a DNAME", name: "any.moved.mirrors.test.", kind: dns.TypeA, want: []string{"127.0.0.41"}},
		{what: "an alias into another zone", name: "away.mirrors.test.", kind: dns.TypeA, want: []string{"127.0.0.45"}},
		{what: "a wildcard's other types", name: "any.wild.mirrors.test.", kind: dns.TypeAAAA},
		{what: "an empty non-terminal", name: "b.c.mirrors.test.", kind: dns.TypeA},
		{what: "another name below an empty non-terminal", name: "x.b.c.mirrors.test.", kind: dns.TypeA, rcode: dns.RcodeNameError},
		{what: "a name that is not there", name: "nothing.mirrors.test.", kind: dns.TypeA, rcode: dns.RcodeNameError},
		{what: "a name below one that is not there", name: "x.y.z.gone.mirrors.test.", kind: dns.TypeA, rcode: dns.RcodeNameError},
	} {
		reply := l.ask(l.home, question.name, question.kind)
		got := addresses(reply)
		right := slices.Equal(got, question.want)
		if question.of != 0 {
			right = len(got) == question.of && !slices.ContainsFunc(got, func(a string) bool { return !slices.Contains(question.want, a) })
		}
		if reply.Rcode != question.rcode || !right {
			l.Errorf("%s: %s %s gave %s %v, want %s %v", question.what, question.name, dns.TypeToString[question.kind],
				dns.RcodeToString[reply.Rcode], got, dns.RcodeToString[question.rcode], question.want)
		}
	}
	for _, question := range []struct {
		name string
		kind uint16
		want string
	}{
		{"service.mirrors.test.", dns.TypeHTTPS, `1 . alpn="h2" port="8443"`},
		{"newest.mirrors.test.", typeUnknown, `\# 3 010203`},
	} {
		reply := l.ask(l.home, question.name, question.kind)
		if len(reply.Answer) != 1 || !strings.HasSuffix(reply.Answer[0].String(), "\t"+question.want) {
			l.Errorf("%s gave %v, want %s", question.name, reply.Answer, question.want)
		}
	}
}

// typeUnknown is a type without a meaning (RFC 6895 section 3.1).
const typeUnknown = 65280

// muchText asks for what does not fit into a packet, and for what just does.
func (l *lab) muchText() {
	l.text("big.mirrors.test.", "udp truncated", "tcp")
	l.text("medium.mirrors.test.", "udp")
}

// text asks for all texts of a name, which the resolver is to get in these ways,
// one after the other.
func (l *lab) text(name string, ways ...string) {
	l.Helper()
	before := len(withoutRetries(l.tap.of(name, dns.TypeTXT)))
	reply := l.askOver("tcp", host(l.home, clientHost), name, dns.TypeTXT)
	var got, used []string
	for _, record := range reply.Answer {
		got = append(got, strings.Join(record.(*dns.TXT).Txt, ""))
	}
	slices.Sort(got)
	if want := textsOf(name, textNames[name]); !slices.Equal(got, want) {
		l.Errorf("%s: %s with %d texts, want %d", name, dns.RcodeToString[reply.Rcode], len(got), len(want))
	}
	for _, e := range withoutRetries(l.tap.of(name, dns.TypeTXT))[before:] {
		way := e.over
		if e.answer.Truncated {
			way += " truncated"
		}
		used = append(used, way)
	}
	if !slices.Equal(used, ways) {
		l.Errorf("%s was asked for over %q, want %q", name, used, ways)
	}
}

// smallBuffer puts a second resolver in the place of the first, which takes no
// more than 512 bytes over UDP.
func (l *lab) smallBuffer(kind resolverKind) {
	l.startResolver(kind, 512)
	l.text("medium.mirrors.test.", "udp truncated", "tcp")
	l.namesResolve()
	if l.Failed() {
		return
	}
	for _, e := range l.tap.of("dl.mirrors.test.", dns.TypeA) {
		if e.over != "udp" || e.answer.Truncated {
			l.Errorf("a pool's answer of %d bytes over %s, truncated: %t", e.size, e.over, e.answer.Truncated)
		}
	}
}

// places asks from two countries for a pool that depends on it. Where the
// resolver does not tell the client's network, its own place counts.
func (l *lab) places(kind resolverKind) {
	const german, japanese = "127.0.0.35", "127.0.0.36"
	abroad := german
	if !kind.subnet {
		abroad = japanese
	}
	fromBoth := func(name string) {
		for range 3 {
			if got := addresses(l.ask(l.home, name, dns.TypeA)); !slices.Equal(got, []string{japanese}) {
				l.Errorf("a client at home got %v for %s, want %s", got, name, japanese)
			}
			if got := addresses(l.ask(l.abroad, name, dns.TypeA)); !slices.Equal(got, []string{abroad}) {
				l.Errorf("a client abroad got %v for %s, want %s", got, name, abroad)
			}
		}
	}
	fromBoth("near.mirrors.test.")
	l.toldPlaces(kind, withoutRetries(l.tap.of("near.mirrors.test.", dns.TypeA)))
	fromBoth("close.mirrors.test.") // an alias of it

	// What does not depend on place is asked for once, whoever wants it.
	l.ask(l.home, "note.mirrors.test.", dns.TypeTXT)
	l.ask(l.abroad, "note.mirrors.test.", dns.TypeTXT)
	if asked := withoutRetries(l.tap.of("note.mirrors.test.", dns.TypeTXT)); len(asked) != 1 {
		l.Errorf("%d questions for a static record that clients of two networks asked for, want 1", len(asked))
	}
}

// toldPlaces looks at the client subnets in the questions for a pool: of each
// network once, since what is given to it is kept for it.
func (l *lab) toldPlaces(kind resolverKind, asked []exchange) {
	if !kind.subnet {
		if len(asked) != 1 || subnet(asked[0].question) != nil {
			l.Errorf("%d questions for the pool, want 1 without a client subnet", len(asked))
		}
		return
	}
	networks := map[string]int{}
	for _, e := range asked {
		told, given := subnet(e.question), subnet(e.answer)
		if told == nil || given == nil {
			l.Errorf("no client subnet in a question for the pool or its answer:\n%s\n%s", e.question, e.answer)
			continue
		}
		networks[told.Address.String()]++
		if given.Address.String() != told.Address.String() || given.SourceNetmask != told.SourceNetmask || given.SourceScope != 24 {
			l.Errorf("asked for %s, answered for %s, want the same with a scope of 24", told, given)
		}
	}
	if networks[l.home.Addr().String()] != 1 || networks[l.abroad.Addr().String()] != 1 || len(networks) != 2 {
		l.Errorf("networks that the pool was asked for: %v, want %s and %s once each", networks, l.home, l.abroad)
	}
}

// sharesThroughCache takes many draws through the cache, and tests what clients
// get against the weights by χ² with two degrees of freedom.
func (l *lab) sharesThroughCache() {
	const draws = 5 * sharePools
	expected := map[string]float64{"127.0.0.31": 0.5, "127.0.0.32": 0.3, "127.0.0.33": 0.2}
	seen, total := map[string]float64{}, 0
	asked := make([]int, sharePools)
	for deadline := time.Now().Add(time.Minute); total < draws; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.Fatalf("%d of %d draws within a minute", total, draws)
		}
		for i := range sharePools {
			got := addresses(l.ask(l.home, sharePool(i), dns.TypeA))
			if len(got) != 1 || expected[got[0]] == 0 {
				l.Fatalf("%s: %v, want one member", sharePool(i), got)
			}
			if now := len(withoutRetries(l.tap.of(sharePool(i), dns.TypeA))); now > asked[i] {
				asked[i] = now
				seen[got[0]]++
				total++
			}
		}
	}
	statistic := 0.0
	for address, share := range expected {
		difference := seen[address] - share*float64(total)
		statistic += difference * difference / (share * float64(total))
	}
	if p := math.Exp(-statistic / 2); p < 1e-10 {
		l.Errorf("clients got %v: p = %g", seen, p)
	}
}
