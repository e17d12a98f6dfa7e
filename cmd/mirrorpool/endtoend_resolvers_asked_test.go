//go:build e2e

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// withoutRetries leaves out what was asked again for want of an answer in time,
// as on a busy machine: for the same question of a client, or when that one had
// its answer just before.
func withoutRetries(exchanges []exchange) (first []exchange) {
	const justBefore = 700 * time.Millisecond
	last := map[string]exchange{}
	for _, e := range exchanges {
		before := last[e.what()]
		if !e.repeats(before) || e.client != before.client && e.at.Sub(before.at) > justBefore {
			first = append(first, e)
		}
		last[e.what()] = e
	}
	return first
}

// repeats reports whether a question is one for which an answer was there, or
// under way. Over TCP it may be asked for all of a truncated answer, and where
// answers do not come.
func (e *exchange) repeats(before exchange) bool {
	return before.question != nil && e.what() == before.what() && !(e.over == "tcp" && before.answer.Truncated)
}

// what is equal for questions of the same.
func (e *exchange) what() string {
	question := e.question.Question[0]
	return fmt.Sprint(strings.ToLower(question.Name), question.Qtype, subnet(e.question))
}

// asked judges everything that the resolver asked and was answered.
func (l *lab) asked(kind resolverKind) {
	l.eventually("nothing is under way", 20*time.Second, l.tap.quiet)
	exchanges := l.tap.all()
	l.eachAnswer(exchanges)
	l.noRepetitions(exchanges)
	l.minimised(exchanges)
	l.capitals(kind, exchanges)
	l.cookies(kind, exchanges)
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

// noRepetitions looks for questions that came twice in a row for one of a
// client's. So asks who dislikes an answer, as for its capitals, and does so each
// time; who waits for an answer in vain, as on a busy machine, does so now and then.
func (l *lab) noRepetitions(exchanges []exchange) {
	const tolerated, atOnce = 0.02, 10 * time.Millisecond
	var before, disliked exchange
	retries, repeated := 0, 0
	for _, e := range exchanges {
		if e.client == before.client && e.repeats(before) {
			retries++
			if e.at.After(before.answered) && e.at.Sub(before.at) < atOnce {
				repeated++
				disliked = before
			}
		}
		before = e
	}
	l.Logf("%d questions, of which %d came again, %d of them at once", len(exchanges), retries, repeated)
	if float64(repeated) > tolerated*float64(len(exchanges)) {
		l.Errorf("%d questions were asked again at once, though answered, such as with\n%s", repeated, disliked.answer)
	}
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

// cookies looks for server cookies (RFC 7873) to be used once they are known: of
// the questions of one client cookie, all have one but for those that were under
// way when the first was given.
func (l *lab) cookies(kind resolverKind, exchanges []exchange) {
	const clientPart, whole, underWay = 16, 48, 5 // hexadecimal digits; questions
	given, without, with := map[string]bool{}, map[string]int{}, 0
	for _, e := range exchanges {
		asked, answered := option[*dns.EDNS0_COOKIE](e.question), option[*dns.EDNS0_COOKIE](e.answer)
		if asked == nil {
			if answered != nil {
				l.Errorf("a cookie for who has none: %s", e.answer)
			}
			continue
		}
		if answered == nil || len(answered.Cookie) != whole || answered.Cookie[:clientPart] != asked.Cookie[:clientPart] {
			l.Errorf("cookie %v for %s", answered, asked)
			continue
		}
		switch {
		case len(asked.Cookie) == clientPart:
			without[asked.Cookie]++
		case !given[asked.Cookie]:
			l.Errorf("cookie %s, which was not given", asked.Cookie)
		default:
			with++
		}
		given[answered.Cookie] = true
	}
	for client, count := range without {
		if count > underWay {
			l.Errorf("%d questions of %s without a server cookie", count, client)
		}
	}
	if has := with > len(exchanges)/2; has != kind.cookies {
		l.Errorf("%d of %d questions with a server cookie; wanted: %t", with, len(exchanges), kind.cookies)
	}
}
