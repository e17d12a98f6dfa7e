//go:build e2e

package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/testdraw"
)

// verdict is what a validator says of an answer.
type verdict string

const (
	secure   verdict = "secure"
	insecure verdict = "insecure" // proven to be without signatures
	bogus    verdict = "bogus"
)

// validated is a question, and what a validating resolver is to make of it.
type validated struct {
	name  string // below mirrors.test.; empty: itself
	kind  string
	rcode int
	// answer are the types of the records in the answer, sorted.
	answer  string
	verdict verdict
}

const (
	noError   = dns.RcodeSuccess
	nameError = dns.RcodeNameError
)

// validatedQuestions have each kind of answer.
var validatedQuestions = []validated{
	{"", "SOA", noError, "SOA", secure},
	{"", "NS", noError, "NS", secure},
	{"", "A", noError, "A", secure},
	{"", "TXT", noError, "TXT", secure},
	{"", "CAA", noError, "CAA", secure},
	{"", "MX", noError, "MX", secure},
	{"", "DNSKEY", noError, "DNSKEY", secure},
	{"", "CDS", noError, "CDS", secure},
	{"", "CDNSKEY", noError, "CDNSKEY", secure},
	{"", "AAAA", noError, "", secure},
	{"", "SRV", noError, "", secure},
	{"ns1", "A", noError, "A", secure},
	{"ns1", "AAAA", noError, "", secure},
	{"mail", "A", noError, "A", secure},
	{"mail", "AAAA", noError, "AAAA", secure},
	{"mail", "TXT", noError, "", secure},

	// pools
	{"dl", "A", noError, "A A", secure},
	{"dl", "AAAA", noError, "AAAA", secure},
	{"dl", "TXT", noError, "", secure},
	{"dl", "HTTPS", noError, "", secure},
	{"legacy", "A", noError, "A", secure},
	{"legacy", "AAAA", noError, "", secure},
	{"near", "A", noError, "A", secure},
	{"near", "AAAA", noError, "", secure},

	// aliases, of the pool and others
	{"www", "A", noError, "A CNAME", secure},
	{"www", "MX", noError, "CNAME MX", secure},
	{"www", "AAAA", noError, "CNAME", secure},
	{"www", "CNAME", noError, "CNAME", secure},
	{"25.dl", "A", noError, "A A CNAME", secure},
	{"25.dl", "AAAA", noError, "AAAA CNAME", secure},
	{"25.dl", "CNAME", noError, "CNAME", secure},
	{"26.dl", "TXT", noError, "CNAME", secure},
	{"one.or.more.dl", "A", noError, "A A CNAME", secure},
	{"_acme-challenge.dl", "TXT", noError, "TXT", secure},
	{"_acme-challenge.dl", "A", noError, "", secure},
	{"below._acme-challenge.dl", "TXT", nameError, "", secure},
	{"moved", "DNAME", noError, "DNAME", secure},
	{"moved", "A", noError, "", secure},
	{"any.moved", "A", noError, "A CNAME DNAME", secure},
	{"any.moved", "MX", noError, "CNAME DNAME", secure},

	// wildcards
	{"any.wild", "A", noError, "A", secure},
	{"any.wild", "TXT", noError, "TXT", secure},
	{"any.wild", "AAAA", noError, "", secure},
	{"every.thing.wild", "A", noError, "A", secure},
	{"every.thing.wild", "MX", noError, "", secure},
	{"*.wild", "A", noError, "A", secure},
	{"*.wild", "AAAA", noError, "", secure},
	{"wild", "A", noError, "", secure},
	{"taken.wild", "TXT", noError, "TXT", secure},
	{"taken.wild", "A", noError, "", secure},
	{"below.taken.wild", "A", nameError, "", secure},
	{"deep.wild", "A", noError, "", secure},
	{"at.deep.wild", "TXT", noError, "TXT", secure},
	{"other.deep.wild", "A", nameError, "", secure},
	{"any.odd", "TXT", noError, "", secure},
	{"*.odd", "TXT", noError, "", secure},
	{"x.*.odd", "TXT", noError, "TXT", secure},
	{"y.*.odd", "TXT", nameError, "", secure},

	// empty non-terminals, and names that are not there
	{"c", "A", noError, "", secure},
	{"b.c", "TXT", noError, "", secure},
	{"a.b.c", "TXT", noError, "TXT", secure},
	{"a.b.c", "A", noError, "", secure},
	{"x.a.b.c", "A", nameError, "", secure},
	{"x.b.c", "A", nameError, "", secure},
	{"x.c", "A", nameError, "", secure},
	{"nothing", "A", nameError, "", secure},
	{"nothing", "TXT", nameError, "", secure},
	{"deep.below.nothing", "AAAA", nameError, "", secure},
	{`\000`, "A", noError, "", secure},
	{`low.\000`, "TXT", noError, "TXT", secure},
	{`\000.\000`, "A", nameError, "", secure},
	{`\001`, "A", nameError, "", secure},
	{`\255`, "TXT", noError, "", secure},
	{`high.\255`, "TXT", noError, "TXT", secure},
	{`zz.\255`, "A", nameError, "", secure},
	{`\255\255`, "A", nameError, "", secure},
	{"mixed", "TXT", noError, "TXT", secure},
	{"MIXED", "A", noError, "", secure},

	// other types, and much text
	{"service", "HTTPS", noError, "HTTPS", secure},
	{"service", "SVCB", noError, "", secure},
	{"_http._tcp", "SRV", noError, "SRV", secure},
	{"_tcp", "SRV", noError, "", secure},
	{"newest", "TYPE65280", noError, "TYPE65280", secure},
	{"newest", "TYPE65281", noError, "", secure},
	{"big", "TXT", noError, strings.TrimSpace(strings.Repeat("TXT ", 8)), secure},
	{"big", "A", noError, "", secure},

	// zones below: ours, another's, one without signatures, and one with the keys
	// of another
	{"signed", "DS", noError, "DS", secure},
	{"signed", "SOA", noError, "SOA", secure},
	{"signed", "DNSKEY", noError, "DNSKEY", secure},
	{"signed", "AAAA", noError, "", secure},
	{"www.signed", "A", noError, "A", secure},
	{"www.signed", "AAAA", noError, "", secure},
	{"any.signed", "TXT", noError, "TXT", secure},
	{"any.signed", "A", noError, "", secure},
	{"x.www.signed", "A", nameError, "", secure},
	{"dl.signed", "AAAA", noError, "AAAA AAAA AAAA AAAA", secure},
	{"dl.signed", "A", noError, "", secure},
	{"elsewhere", "DS", noError, "DS", secure},
	{"www.elsewhere", "A", noError, "A", secure},
	{"www.elsewhere", "AAAA", noError, "", secure},
	{"nothing.elsewhere", "A", nameError, "", secure},
	{"over", "A", noError, "A CNAME", secure},
	{"unsigned", "DS", noError, "", secure},
	{"www.unsigned", "A", noError, "A", insecure},
	{"www.unsigned", "AAAA", noError, "", insecure},
	{"nothing.unsigned", "A", nameError, "", insecure},
	{"away", "A", noError, "A CNAME", insecure},
	{"broken", "DS", noError, "DS", secure},
	{"www.broken", "A", dns.RcodeServerFailure, "", bogus},
}

// fullName is a name below the zone, or itself.
func fullName(name string) string {
	if name == "" {
		return "mirrors.test."
	}
	return name + ".mirrors.test."
}

func typeOf(text string) uint16 {
	if kind, ok := dns.StringToType[text]; ok {
		return kind
	}
	var kind uint16
	if _, err := fmt.Sscanf(text, "TYPE%d", &kind); err != nil {
		panic("no type " + text)
	}
	return kind
}

// answerTypes are the types of the records in an answer, sorted: their order is the
// resolver's.
func answerTypes(reply *dns.Msg) string {
	var types []string
	for _, record := range reply.Answer {
		types = append(types, dns.Type(record.Header().Rrtype).String())
	}
	slices.Sort(types)
	return strings.Join(types, " ")
}

// validate asks the resolver and says what it makes of the answer.
func (l *signedLab) validate(name string, kind uint16) (*dns.Msg, verdict) {
	l.Helper()
	reply, got, err := l.verdictOf(name, kind)
	if err != nil {
		l.Fatalf("asking for %s %s: %v", name, dns.TypeToString[kind], err)
	}
	return reply, got
}

// verdictOf asks over TCP, where nothing is cut.
func (l *signedLab) verdictOf(name string, kind uint16) (*dns.Msg, verdict, error) {
	question := new(dns.Msg)
	question.SetQuestion(name, kind)
	question.AuthenticatedData = true
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: host(l.home, clientHost).AsSlice()}}
	client := &dns.Client{Net: "tcp", Timeout: 20 * time.Second, Dialer: from}
	l.tap.clientAsks()
	reply, _, err := client.Exchange(question, l.resolver)
	for tries := 1; err != nil && tries < 3; tries++ { // a busy resolver closes connections
		reply, _, err = client.Exchange(question, l.resolver)
	}
	switch {
	case err != nil:
		return nil, bogus, err
	case reply.Rcode == dns.RcodeServerFailure:
		return reply, bogus, nil
	case reply.AuthenticatedData:
		return reply, secure, nil
	}
	return reply, insecure, nil
}

// startValidator starts a resolver that validates, if nothing else is said from
// the zone's own anchor.
func (l *signedLab) startValidator(kind resolverKind, settings resolverSettings) {
	l.Helper()
	if settings.anchor == nil {
		settings.anchor = l.anchor
	}
	if settings.size == 0 {
		settings.size = 1232
	}
	l.startResolverWith(kind, settings)
	// PowerDNS says of its very first answer that it is insecure.
	l.validate("ns.unsigned.mirrors.test.", dns.TypeTXT)
}

// holds asks a question and complains of another answer than expected.
func (l *signedLab) holds(kind resolverKind, q validated) {
	l.Helper()
	if strings.HasSuffix(q.name, ".odd") && !kind.emptyWildcards {
		return
	}
	reply, got := l.validate(fullName(q.name), typeOf(q.kind))
	if answer := answerTypes(reply); reply.Rcode != q.rcode || answer != q.answer || got != q.verdict {
		l.Errorf("%s %s: %s with %q, %s; want %s with %q, %s", fullName(q.name), q.kind,
			dns.RcodeToString[reply.Rcode], answer, got, dns.RcodeToString[q.rcode], q.answer, q.verdict)
	}
}

// orders is in how many orders everything is asked, if no more are wanted.
const orders = 2

// holdInAnyOrder asks everything twice with an empty cache, in an order by chance:
// what one answer proves not to be there must be none of what another one has.
func (l *signedLab) holdInAnyOrder(kind resolverKind, settings resolverSettings) {
	for order := range testdraw.Cases(l.T, orders) {
		l.startValidator(kind, settings)
		questions := slices.Concat(validatedQuestions, validatedQuestions)
		rand.New(rand.NewPCG(testdraw.Seed(l.T), uint64(order))).Shuffle(len(questions), func(i, j int) { questions[i], questions[j] = questions[j], questions[i] })
		for _, q := range questions {
			l.holds(kind, q)
		}
		if l.Failed() {
			l.Fatalf("order %d; the end of the resolver's log:\n%s", order, lastLines(l.read(l.log("resolver")), 30))
		}
	}
}

// absentFirst asks for all that is not there before what is.
func (l *signedLab) absentFirst(kind resolverKind) {
	l.startValidator(kind, resolverSettings{})
	for _, there := range []bool{false, true} {
		for _, q := range validatedQuestions {
			if (q.answer != "") == there {
				l.holds(kind, q)
			}
		}
	}
}

// wrongAnchor gives the resolver the digest of a key that nobody has: nothing may
// be believed then.
func (l *signedLab) wrongAnchor(kind resolverKind) {
	l.startValidator(kind, resolverSettings{anchor: wrong(l.anchor)})
	for _, q := range []validated{
		{"mail", "A", dns.RcodeServerFailure, "", bogus},
		{"dl", "A", dns.RcodeServerFailure, "", bogus},
		{"nothing", "A", dns.RcodeServerFailure, "", bogus},
	} {
		l.holds(kind, q)
	}
}
