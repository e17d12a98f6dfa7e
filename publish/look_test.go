package publish

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// TestLooks: what an answer to a question is taken for.
func TestLooks(t *testing.T) {
	for _, test := range []struct {
		name    string
		records string
		change  func(*dns.Msg)
		a, aaaa string // what is found
		alias   string
		wrong   string
	}{
		{name: "addresses", records: "dl A 127.0.0.2\ndl A 127.0.0.1\ndl A 127.0.0.2", a: "127.0.0.1 127.0.0.2"},
		{name: "another case", records: "DL.Example.TEST. A 127.0.0.1", a: "127.0.0.1"},
		{name: "IPv6", records: "dl AAAA ::1\ndl AAAA ::ffff:127.0.0.1", aaaa: "::1 ::ffff:127.0.0.1"},
		{name: "an alias with what it leads to", records: "dl CNAME www\nwww A 127.0.0.99\nwww AAAA ::99", alias: "www.example.test."},
		{name: "another name and type", records: "www A 127.0.0.99\ndl TXT a"},
		{name: "no such name", change: func(m *dns.Msg) { m.Rcode = dns.RcodeNameError }},
		{name: "not authoritative", records: "dl A 127.0.0.1", change: func(m *dns.Msg) { m.Authoritative = false }, wrong: "not authoritative"},
		{name: "truncated", change: func(m *dns.Msg) { m.Truncated = true }, wrong: "truncated"},
		{name: "no question", change: func(m *dns.Msg) { m.Question = nil }, wrong: "another question"},
		{name: "another question", change: func(m *dns.Msg) { m.Question[0].Name = "www.example.test." }, wrong: "another question"},
		{name: "another type asked", change: func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeTXT }, wrong: "another question"},
		{name: "refused", change: func(m *dns.Msg) { m.Rcode = dns.RcodeRefused }, wrong: "REFUSED"},
	} {
		t.Run(test.name, func(t *testing.T) {
			found, wrong := &seen{}, ""
			for family, kind := range kinds {
				question := new(dns.Msg).SetQuestion("dl.example.test.", kind)
				m := new(dns.Msg).SetReply(question)
				m.Authoritative = true
				parser := dns.NewZoneParser(strings.NewReader(test.records), "example.test.", "")
				parser.SetDefaultTTL(60)
				for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
					m.Answer = append(m.Answer, rr)
				}
				if test.change != nil {
					test.change(m)
				}
				packed, err := m.Pack()
				if err != nil {
					t.Fatal(err)
				}
				if err := found.take(reply{bytes: packed, rcode: m.Rcode}, question, family); err != nil {
					wrong = err.Error()
				}
			}
			if test.wrong != "" {
				if !strings.Contains(wrong, test.wrong) {
					t.Errorf("error %q, expected %q", wrong, test.wrong)
				}
				return
			}
			for family, want := range []string{test.a, test.aaaa} {
				if want == "" {
					want = "none"
				}
				if got := words(found.sets[family]); got != want {
					t.Errorf("%s: found %s, expected %s", dns.Type(kinds[family]), got, want)
				}
			}
			if wrong != "" || found.alias != test.alias {
				t.Errorf("error %q, alias %q, expected %q", wrong, found.alias, test.alias)
			}
		})
	}
	found := &seen{}
	question := new(dns.Msg).SetQuestion("dl.example.test.", dns.TypeA)
	if err := found.take(reply{bytes: make([]byte, 13)}, question, 0); err == nil {
		t.Error("a cut message is taken")
	}
}
