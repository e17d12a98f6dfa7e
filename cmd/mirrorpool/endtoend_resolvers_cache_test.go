//go:build e2e

package main

import (
	"slices"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/testdraw"
)

// kept is a name and type whose answer a resolver keeps for its TTL, and what
// of it has been seen.
type kept struct {
	name  string
	kind  uint16
	ttl   int // seconds
	rcode int

	before    int       // questions that reached the server before
	asked     int       // and since
	begin     time.Time // when the client began to ask for what is in the cache now
	end       time.Time // when it had it
	addresses []string  // what is in the cache now, sorted
}

// keeps asks again and again for some names, and sees by the questions that come
// through that the resolver forgets answers when their TTL is over, and not
// before. Negative answers have a TTL of the lesser of the SOA record's TTL and
// its MINIMUM.
func (l *lab) keeps() {
	times := testdraw.Cases(l.T, 2)
	all := []*kept{
		{name: "nothing.name-minimum.test.", kind: dns.TypeA, ttl: 4, rcode: dns.RcodeNameError},
		{name: "nothing.name-ttl.test.", kind: dns.TypeA, ttl: 3, rcode: dns.RcodeNameError},
		{name: "note.type-minimum.test.", kind: dns.TypeA, ttl: 4},
		{name: "inner.type-ttl.test.", kind: dns.TypeA, ttl: 3},
		{name: "dl.pool-minimum.test.", kind: dns.TypeAAAA, ttl: 3},
		{name: "dl.mirrors.test.", kind: dns.TypeA, ttl: 3},
	}
	for _, k := range all {
		k.before = len(withoutRetries(l.tap.of(k.name, k.kind)))
	}
	within := time.Duration(times) * 30 * time.Second
	deadline := time.Now().Add(within)
	for waits := true; waits; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.Fatalf("what is in the cache does not end within %s", within)
		}
		waits = false
		for _, k := range all {
			l.askKept(k)
			waits = waits || k.asked < times
		}
		if l.Failed() {
			return
		}
	}
}

// askKept asks once, and judges the answer by whether a question came through.
// Resolvers count whole seconds by the clock on the wall, so that an answer may
// leave a cache almost a second too early or too late.
func (l *lab) askKept(k *kept) {
	// A resolver looks at the clock once for all that it reads in one go, and may
	// be held up in the middle of that.
	const behind = 500 * time.Millisecond
	l.Helper()
	begin := time.Now().Add(-behind)
	reply := l.ask(l.home, k.name, k.kind)
	end := time.Now()
	ttl, got := ttlOf(reply), addresses(reply)
	slices.Sort(got)
	if reply.Rcode != k.rcode || ttl < 0 {
		l.Fatalf("%s: %v", k.name, reply)
	}
	exchanges := withoutRetries(l.tap.of(k.name, k.kind))
	ticks := int(end.Unix() - begin.Unix())
	switch fresh := len(exchanges) - k.before - k.asked; {
	case k.begin.IsZero() && fresh == 0:
		// It has been in the cache since an earlier step.
	case fresh == 0:
		late := begin.Sub(k.end) - time.Duration(k.ttl)*time.Second
		if late > time.Second {
			l.Errorf("%s: in the cache %s after its TTL of %d s", k.name, late, k.ttl)
		}
		least, most := k.ttl-int(end.Unix()-k.begin.Unix()), k.ttl-int(begin.Unix()-k.end.Unix())
		if ttl > most || ttl < least {
			l.Errorf("%s: TTL %d in the cache, want %d to %d", k.name, ttl, least, most)
		}
		if !slices.Equal(got, k.addresses) {
			l.Errorf("%s: %v from the cache, which has %v", k.name, got, k.addresses)
		}
	case fresh == 1:
		last := exchanges[len(exchanges)-1]
		if !k.begin.IsZero() {
			if early := k.begin.Add(time.Duration(k.ttl) * time.Second).Sub(last.at); early > time.Second {
				l.Errorf("%s: asked for anew %s before its TTL of %d s was over", k.name, early, k.ttl)
			}
		}
		if ttl > k.ttl || ttl < k.ttl-ticks {
			l.Errorf("%s: TTL %d at first, want %d; our answer:\n%s", k.name, ttl, k.ttl, last.answer)
		}
		// Of several answers, after retries, the resolver takes whichever comes.
		if !slices.ContainsFunc(l.tap.of(k.name, k.kind), func(e exchange) bool {
			return !e.at.Before(last.at) && sameMembers(addresses(e.answer), got)
		}) {
			l.Errorf("%s: %v through the resolver, and the server sent\n%s", k.name, got, last.answer)
		}
		k.asked, k.begin, k.end, k.addresses = k.asked+1, begin, end, got
	default:
		l.Errorf("%s: %d questions came through for one", k.name, fresh)
	}
}

// ttlOf is the TTL of a reply's addresses, or of the SOA record of a negative
// one, or -1 where there is neither.
func ttlOf(reply *dns.Msg) int {
	for _, record := range slices.Concat(reply.Answer, reply.Ns) {
		switch record.(type) {
		case *dns.A, *dns.AAAA, *dns.SOA:
			return int(record.Header().Ttl)
		}
	}
	return -1
}

// sameMembers compares sets: some resolvers shuffle.
func sameMembers(a, b []string) bool {
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
