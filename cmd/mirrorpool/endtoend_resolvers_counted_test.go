//go:build e2e

package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// counts are samples of the server's metrics, by name and labels.
type counts map[string]float64

// counted compares the server's counters with what went by: all of them, so that
// nothing else has been counted either.
func (l *lab) counted(exchanges []exchange) {
	want := counts{}
	for _, e := range exchanges {
		want.add(&e)
	}
	got := l.counters()
	for _, sample := range slices.Sorted(maps.Keys(want)) {
		if got[sample] != want[sample] {
			l.Errorf("%s is %v, and %v went by", sample, got[sample], want[sample])
		}
		delete(got, sample)
	}
	for _, sample := range slices.Sorted(maps.Keys(got)) {
		if got[sample] != 0 {
			l.Errorf("%s is %v, and nothing of that went by", sample, got[sample])
		}
	}
}

// add counts an exchange as the server is to.
func (c counts) add(e *exchange) {
	transport := fmt.Sprintf("transport=%q", e.over)
	c[fmt.Sprintf("queries_total{rcode=%q,%s}", dns.RcodeToString[e.answer.Rcode], transport)]++
	kind, known := dns.TypeToString[e.question.Question[0].Qtype]
	if !known {
		kind = "other"
	}
	c[fmt.Sprintf("questions_total{type=%q}", kind)]++
	if e.answer.Truncated {
		c["truncated_total{"+transport+"}"]++
	}
	position := "first"
	for _, record := range e.answer.Answer {
		if member, pool := memberOf(record); pool != "" {
			c[fmt.Sprintf("choices_total{member=%q,pool=%q,position=%q}", member, pool, position)]++
			position = "other"
		}
	}
	opt := e.question.IsEdns0()
	if opt == nil {
		return
	}
	features := []string{"opt"}
	if opt.Do() {
		features = append(features, "dnssec_ok")
	}
	for _, option := range opt.Option {
		switch option := option.(type) {
		case *dns.EDNS0_SUBNET:
			features = append(features, "client_subnet")
		case *dns.EDNS0_COOKIE:
			features = append(features, "cookie")
			state := "good"
			if len(option.Cookie) == 16 {
				state = "new"
			}
			c[fmt.Sprintf("cookies_total{state=%q}", state)]++
		case *dns.EDNS0_TCP_KEEPALIVE:
			features = append(features, "keepalive")
		default:
			features = append(features, "unknown_option")
		}
	}
	for _, feature := range features {
		c[fmt.Sprintf("edns_total{feature=%q}", feature)]++
	}
}

// memberOf gives the member that a pool's address belongs to.
func memberOf(record dns.RR) (member, pool string) {
	owner := strings.ToLower(record.Header().Name)
	pool = strings.TrimSuffix(owner, ".")
	switch record := record.(type) {
	case *dns.A:
		switch last := record.A.To4()[3]; {
		case owner == "near.mirrors.test.":
			return map[byte]string{35: "german", 36: "japanese"}[last], pool
		case last >= 31 && last <= 34:
			return [...]string{"one", "two", "three", "four"}[last-31], pool
		}
	case *dns.AAAA:
		return "one", pool
	}
	return "", ""
}

// sample is a line of the metrics of DNS that count what comes and goes.
var sample = regexp.MustCompile(`(?m)^mirrorpool_dns_((?:queries|questions|choices|edns|cookies|unusual|rate_limited|` +
	`truncated|malformed|dropped|failures|socket_errors)_total)(\{[^}]*\})? (\S+)$`)

// counters reads the server's metrics. Questions are added up over the pools.
func (l *lab) counters() counts {
	l.Helper()
	read := counts{}
	for _, found := range sample.FindAllStringSubmatch(l.get("/metrics"), -1) {
		value, err := strconv.ParseFloat(found[3], 64)
		if err != nil {
			l.Fatalf("the metric %s: %v", found[0], err)
		}
		labels := found[2]
		if found[1] == "queries_total" {
			labels = "{" + labels[strings.Index(labels, "rcode="):]
		}
		read[found[1]+labels] += value
	}
	if len(read) == 0 {
		l.Fatal("the server counts nothing")
	}
	return read
}
