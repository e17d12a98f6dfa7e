package dnsserver

import (
	"encoding/hex"
	"testing"

	"github.com/miekg/dns"
)

// TestQuestionless holds what gets FORMERR where there is no question, and that
// there is no cookie in the answer to a request without EDNS.
func TestQuestionless(t *testing.T) {
	good := string(cookieAt(t, mustSecrets(t, secretOne), "127.0.0.1", testNow))
	none := &[4]uint16{0, 0, 0, 1}
	for path, table := range bothTables(t) {
		s := startCookies(t, table, Settings{Cookies: mustSecrets(t, secretOne)})
		for _, test := range []struct {
			name  string
			query query
			rcode int
		}{
			{"nothing at all", query{counts: &[4]uint16{}}, dns.RcodeFormatError},
			{"EDNS without a cookie", query{counts: none, opts: [][]byte{opt(1232, 0)}}, dns.RcodeFormatError},
			{"another option", query{counts: none, opts: [][]byte{opt(1232, 0, option(optionNSID, ""))}}, dns.RcodeFormatError},
			{"another version", query{counts: none, opts: [][]byte{opt(1232, 1<<16, option(optionCookie, good))}}, dns.RcodeBadVers},
			{"NOTIFY", query{flags: dns.OpcodeNotify << 11, counts: none, opts: [][]byte{opt(1232, 0, option(optionCookie, good))}}, dns.RcodeNotImplemented},
			{"a question that is not counted", query{counts: none, name: "txt.example.test.", opts: [][]byte{opt(1232, 0, option(optionCookie, good))}}, dns.RcodeFormatError},
			{"with other options", query{counts: none, opts: [][]byte{opt(1232, 0, option(65001, "x"), option(optionCookie, good), option(optionNSID, ""))}}, dns.RcodeSuccess},
		} {
			for _, network := range []string{"udp", "tcp"} {
				m := parse(t, ask(t, dial(t, network, s.address(false)), test.query.bytes()))
				if m.Rcode != test.rcode || len(m.Answer)+len(m.Ns)+len(m.Question) != 0 {
					t.Errorf("%s: %s over %s: want %s, got\n%v", path, test.name, network, rcodeName(test.rcode), m)
				}
			}
		}
		before := s.cookieCounts()
		malformed := query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(1232, 0, option(optionCookie, good))}, trailing: "x"}
		m := parse(t, ask(t, dial(t, "udp", s.address(false)), malformed.bytes()))
		if m.Rcode != dns.RcodeFormatError || cookieIn(m) != "" || s.cookieCounts() != before {
			t.Errorf("%s: malformed otherwise: counted %v, before %v: %v", path, s.cookieCounts(), before, m)
		}
		m = parse(t, ask(t, dial(t, "udp", s.address(false)), query{name: "txt.example.test.", qtype: typeTXT}.bytes()))
		if m.IsEdns0() != nil || len(m.Answer) != 2 {
			t.Errorf("%s: without EDNS: %v", path, m)
		}
	}
}

// TestCookiesInErrors holds that a cookie comes back whatever the answer is, where
// its option was read: a client may pass over an answer without it (RFC 7873
// section 5.3).
func TestCookiesInErrors(t *testing.T) {
	fresh := cookieAt(t, mustSecrets(t, secretOne), "127.0.0.1", testNow)
	part := option(optionCookie, string(fresh[:8]))
	none := &[4]uint16{0, 0, 0, 1}
	for path, table := range bothTables(t) {
		s := startCookies(t, table, Settings{Cookies: mustSecrets(t, secretOne)})
		for _, test := range []struct {
			name    string
			query   query
			rcode   int
			without bool
		}{
			{"a zone of others", query{name: "other.test.", qtype: typeTXT}, dns.RcodeRefused, false},
			{"no such name", query{name: "no.example.test.", qtype: typeTXT}, dns.RcodeNameError, false},
			{"class CH", query{name: "version.bind.", qtype: typeTXT, class: dns.ClassCHAOS}, dns.RcodeRefused, false},
			{"a transfer", query{name: "example.test.", qtype: dns.TypeAXFR}, dns.RcodeRefused, false},
			{"MAILA", query{name: "example.test.", qtype: dns.TypeMAILA}, dns.RcodeNotImplemented, false},
			{"a question for OPT", query{name: "example.test.", qtype: dns.TypeOPT}, dns.RcodeFormatError, false},
			{"NOTIFY", query{flags: dns.OpcodeNotify << 11, name: "example.test.", qtype: dns.TypeSOA}, dns.RcodeNotImplemented, false},
			{"UPDATE", query{flags: dns.OpcodeUpdate << 11, name: "example.test.", qtype: dns.TypeSOA}, dns.RcodeNotImplemented, false},
			{"STATUS and no question", query{flags: dns.OpcodeStatus << 11, counts: none}, dns.RcodeNotImplemented, false},
			{"two questions", query{counts: &[4]uint16{2, 0, 0, 1}, name: "example.test.", qtype: typeTXT}, dns.RcodeFormatError, true},
		} {
			test.query.opts = [][]byte{opt(1232, 0, part)}
			for _, network := range []string{"udp", "tcp"} {
				m := parse(t, ask(t, dial(t, network, s.address(false)), test.query.bytes()))
				want := hex.EncodeToString(fresh)
				if test.without {
					want = ""
				}
				if m.Rcode != test.rcode || m.IsEdns0() != nil && cookieIn(m) != want {
					t.Errorf("%s: %s over %s: want %s with the cookie %q, got\n%v", path, test.name, network, rcodeName(test.rcode), want, m)
				}
			}
		}
	}
	s := startCookies(t, testTable(), Settings{Cookies: mustSecrets(t, secretOne)})
	m := parse(t, ask(t, dial(t, "udp", s.address(false)), query{name: "broken.example.test.", qtype: typeTXT, opts: [][]byte{opt(1232, 0, part)}}.bytes()))
	if m.Rcode != dns.RcodeServerFailure || cookieIn(m) != hex.EncodeToString(fresh) {
		t.Errorf("an answer that cannot be written: %v", m)
	}
}
