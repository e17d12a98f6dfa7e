//go:build e2e

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A resolver that gets no answer in its time asks again. Nothing is kept for so
// short a time that it would be asked for anew within it.
const retryWithin = 700 * time.Millisecond

// withoutRetries leaves out what was asked again for want of an answer in time,
// as on a busy machine.
func withoutRetries(exchanges []exchange) (first []exchange) {
	last := map[string]time.Time{}
	for _, e := range exchanges {
		same := e.same()
		if before, asked := last[same]; !asked || e.at.Sub(before) > retryWithin {
			first = append(first, e)
		}
		last[same] = e.at
	}
	return first
}

// same is equal for questions of which one would be enough.
func (e *exchange) same() string {
	if e.question == nil {
		return ""
	}
	question := e.question.Question[0]
	return fmt.Sprint(e.over, strings.ToLower(question.Name), question.Qtype, subnet(e.question))
}

// asked judges everything that the resolver asked and was answered.
func (l *lab) asked(kind resolverKind) {
	exchanges := l.tap.all()
	l.eachAnswer(exchanges)
	l.noRepetitions(exchanges)
	l.minimised(exchanges)
	l.capitals(kind, exchanges)
	l.counted(exchanges)
}

func (l *lab) eachAnswer(exchanges []exchange) {
	for _, e := range exchanges {
		if !e.echoed {
			l.Errorf("the question of an answer is not, byte for byte, what was asked:\n%s\n%s", e.question, e.answer)
		}
		if rcode := e.answer.Rcode; rcode != dns.RcodeSuccess && rcode != dns.RcodeNameError {
			l.Errorf("%s for\n%s", dns.RcodeToString[rcode], e.question)
		}
		asked, answered := e.question.IsEdns0(), e.answer.IsEdns0()
		if asked == nil || answered == nil || asked.Do() != answered.Do() {
			l.Errorf("EDNS asked: %v; answered: %v", asked, answered)
		}
		if e.over == "udp" && asked != nil && e.size > int(asked.UDPSize()) {
			l.Errorf("%d bytes for a buffer of %d", e.size, asked.UDPSize())
		}
	}
}

// noRepetitions looks for a question that came twice in a row for one of a
// client's: so asks who dislikes an answer, as for its capitals. Who waits for an
// answer in vain asks again later.
func (l *lab) noRepetitions(exchanges []exchange) {
	const atOnce = 10 * time.Millisecond
	var before exchange
	retries := 0
	for _, e := range exchanges {
		if e.client == before.client && e.same() == before.same() {
			retries++
			if gap := e.at.Sub(before.at); gap < atOnce {
				l.Errorf("asked again after %s, though answered:\n%s\n%s", gap, before.answer, e.question)
			}
		}
		before = e
	}
	l.Logf("%d questions, of which %d came again for want of an answer in time", len(exchanges), retries)
}

// minimised looks for QNAME minimisation (RFC 9156): that a name of many labels
// is asked for after one of fewer.
func (l *lab) minimised(exchanges []exchange) {
	const full = "host.a.b.c.mirrors.test."
	shorter := slices.IndexFunc(exchanges, func(e exchange) bool {
		name := strings.ToLower(e.name)
		return name != full && dns.IsSubDomain("c.mirrors.test.", name) && dns.IsSubDomain(strings.TrimPrefix(name, "_."), full)
	})
	asked := slices.IndexFunc(exchanges, func(e exchange) bool { return strings.EqualFold(e.name, full) })
	if shorter < 0 || asked < 0 || shorter > asked {
		l.Errorf("%s was not asked for bit by bit", full)
	}
}

func (l *lab) capitals(kind resolverKind, exchanges []exchange) {
	mixed := 0
	for _, e := range exchanges {
		if e.name != strings.ToLower(e.name) {
			mixed++
		}
	}
	if has := mixed > len(exchanges)/2; has != kind.capitals {
		l.Errorf("%d of %d questions with capitals; wanted: %t", mixed, len(exchanges), kind.capitals)
	}
}

// counted compares the server's counters with what went by.
func (l *lab) counted(exchanges []exchange) {
	type key struct{ rcode, over string }
	went, truncated := map[key]float64{}, map[string]float64{}
	for _, e := range exchanges {
		went[key{dns.RcodeToString[e.answer.Rcode], e.over}]++
		if e.answer.Truncated {
			truncated[e.over]++
		}
	}
	for what, count := range went {
		if got := l.metric("mirrorpool_dns_queries_total", fmt.Sprintf(`[^}]*rcode="%s",transport="%s"`, what.rcode, what.over)); got != count {
			l.Errorf("%v answers of %s over %s counted, %v went by", got, what.rcode, what.over, count)
		}
	}
	if got := l.metric("mirrorpool_dns_queries_total", `[^}]*`); got != float64(len(exchanges)) {
		l.Errorf("%v questions counted, %d went by", got, len(exchanges))
	}
	if got := l.metric("mirrorpool_dns_truncated_total", `transport="udp"`); got != truncated["udp"] || truncated["tcp"] != 0 {
		l.Errorf("%v truncated answers counted, went by: %v", got, truncated)
	}
	for _, none := range []string{"malformed_total", "dropped_total", "failures_total", "socket_errors_total"} {
		if got := l.metric("mirrorpool_dns_"+none, `[^}]*`); got != 0 {
			l.Errorf("%s is %v after nothing but good questions", none, got)
		}
	}
}
