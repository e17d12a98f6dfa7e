//go:build e2e

package main

import (
	"slices"
	"time"

	"github.com/miekg/dns"
)

// drawnWhileMembersChange asks for the pool while a member goes and comes back:
// all answers are secure, and in the end those of all members have come.
func (l *signedLab) drawnWhileMembersChange(kind resolverKind) {
	const leaves = "127.0.0.32"
	l.startValidator(kind, resolverSettings{})
	names := []string{"dl.mirrors.test.", "25.dl.mirrors.test."}
	seen := map[string]bool{}
	ask := func() []string {
		var given []string
		for _, name := range names {
			reply, got := l.validate(name, dns.TypeA)
			if got != secure || len(addresses(reply)) != 2 {
				l.Fatalf("%s gave %s with %v, %s; the end of the resolver's log:\n%s", name, dns.RcodeToString[reply.Rcode],
					addresses(reply), got, lastLines(l.read(l.log("resolver")), 30))
			}
			given = append(given, addresses(reply)...)
		}
		for _, address := range given {
			seen[address] = true
		}
		return given
	}
	// quiet waits until it has been given, or has not been for so many seconds.
	quiet := func(what string, given bool) {
		last := time.Now()
		l.eventually(what, 2*time.Minute, func() bool {
			has := slices.Contains(ask(), leaves)
			if has && !given {
				last = time.Now()
			}
			return has && given || !given && time.Since(last) > 4*time.Second
		})
	}
	quiet("the member is given", true)
	l.memberDown(leaves)
	quiet("the member that is down is not given", false)
	l.memberUp(leaves)
	quiet("the member is given again", true)
	l.eventually("all members are given", 2*time.Minute, func() bool { ask(); return len(seen) == 4 })
}

// drawsHold asks the server itself many times for a signed answer of the pool: the
// signature is that of what is given, and the shares are the weights.
func (l *signedLab) drawsHold() {
	const draws = 2000
	expected := map[string]float64{"127.0.0.31": 0.5, "127.0.0.32": 0.3, "127.0.0.33": 0.2}
	key, _ := l.keyOf(l.keys, "mirrors.test.")
	seen := map[string]float64{}
	for range draws {
		reply, _ := l.askSigned("udp", "legacy.mirrors.test.", dns.TypeA, 1232)
		if len(reply.Answer) != 2 {
			l.Fatalf("a pool's answer of %d records, want an address and its signature:\n%s", len(reply.Answer), reply)
		}
		if problem := checkSignatures(reply.Answer, key); problem != "" {
			l.Fatalf("%s in\n%s", problem, reply)
		}
		seen[addresses(reply)[0]]++
	}
	if p := chanceOf(seen, expected, draws); p < 1e-10 {
		l.Errorf("clients got %v: p = %g", seen, p)
	}
}
