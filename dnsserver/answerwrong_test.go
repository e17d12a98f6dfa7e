package dnsserver

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// TestWhatIsWrongIsTold holds that the checks tell it: each answer is a good one
// with one mistake.
func TestWhatIsWrongIsTold(t *testing.T) {
	asked := query{
		id: 0x1234, flags: flagRD, name: "txt.Example.test.", qtype: typeTXT,
		opts: [][]byte{opt(700, 0x8000, option(8, "\x00\x01\x18\x00\x7f\x01\x02"), option(10, "12345678"))},
	}.bytes()
	good := func() *dns.Msg {
		m := new(dns.Msg)
		if err := m.Unpack(asked); err != nil {
			t.Fatal(err)
		}
		m.Response, m.Authoritative = true, true
		m.Answer = records(`txt.Example.test. 60 IN CNAME a.test.`, `a.test. 60 IN TXT "one"`)
		m.IsEdns0().SetUDPSize(DefaultUDPSize)
		m.IsEdns0().Option = m.IsEdns0().Option[:1]
		return m
	}
	c := checks{over: overUDP, udpSize: DefaultUDPSize}
	for name, spoil := range map[string]func(*dns.Msg){
		"":                 func(*dns.Msg) {},
		"ID":               func(m *dns.Msg) { m.Id++ },
		"QR":               func(m *dns.Msg) { m.Response = false },
		"opcode":           func(m *dns.Msg) { m.Opcode = 4 },
		"RD":               func(m *dns.Msg) { m.RecursionDesired = false },
		"CD":               func(m *dns.Msg) { m.CheckingDisabled = true },
		"spelling":         func(m *dns.Msg) { m.Question[0].Name = "txt.example.test." },
		"no question":      func(m *dns.Msg) { m.Question = nil },
		"too long":         func(m *dns.Msg) { m.Answer = append(m.Answer, records(repeat(9, `a.test. 60 IN TXT "%0100d"`)...)...) },
		"no OPT":           func(m *dns.Msg) { m.Extra = nil },
		"two OPTs":         func(m *dns.Msg) { m.Extra = append(m.Extra, m.Extra[0]) },
		"size":             func(m *dns.Msg) { m.IsEdns0().SetUDPSize(512) },
		"DO":               func(m *dns.Msg) { m.IsEdns0().SetDo(false) },
		"Z":                func(m *dns.Msg) { m.IsEdns0().SetZ(1) },
		"version":          func(m *dns.Msg) { m.IsEdns0().SetVersion(1) },
		"subnet's address": func(m *dns.Msg) { m.IsEdns0().Option[0].(*dns.EDNS0_SUBNET).Address = net.IPv4(127, 1, 9, 0).To4() },
		"subnet's scope":   func(m *dns.Msg) { m.IsEdns0().Option[0].(*dns.EDNS0_SUBNET).SourceScope = 33 },
		"subnet twice":     func(m *dns.Msg) { m.IsEdns0().Option = append(m.IsEdns0().Option, m.IsEdns0().Option[0]) },
		"NSID unasked": func(m *dns.Msg) {
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_NSID{Code: 3, Nsid: "6e"})
		},
		"another's cookie": func(m *dns.Msg) {
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_COOKIE{Code: 10, Cookie: strings.Repeat("31", 16)})
		},
		"keepalive": func(m *dns.Msg) {
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_TCP_KEEPALIVE{Code: 11, Timeout: 9})
		},
		"records and error": func(m *dns.Msg) { m.Rcode = dns.RcodeRefused },
		"NXDOMAIN":          func(m *dns.Msg) { m.Rcode = dns.RcodeNameError; m.Answer = nil },
		"nothing":           func(m *dns.Msg) { m.Answer = nil },
		"SOA without AA":    func(m *dns.Msg) { m.Answer, m.Ns, m.Authoritative = nil, records(soa), false },
		"twice":             func(m *dns.Msg) { m.Answer = append(m.Answer, m.Answer[1]) },
		"other class":       func(m *dns.Msg) { m.Answer[1].Header().Class = 3 },
		"no chain":          func(m *dns.Msg) { m.Answer[1].Header().Name = "b.test." },
		"other type":        func(m *dns.Msg) { m.Answer = append(m.Answer, records("a.test. 60 IN A 127.0.0.1")...) },
		"DNAME":             func(m *dns.Msg) { m.Answer = append(m.Answer, records("b.test. 60 IN DNAME c.test.")...) },
		"negative TTL":      func(m *dns.Msg) { m.Answer[1].Header().Ttl = 1 << 31 },
	} {
		m := good()
		spoil(m)
		answer, err := m.Pack()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if wrong := c.wrong(asked, answer); (wrong == "") != (name == "") {
			t.Errorf("%q: %q", name, wrong)
		}
	}
	if c.wrong(asked, nil) == "" || c.wrong(asked, asked[:5]) == "" || (checks{silent: true}).wrong(asked, nil) != "" {
		t.Error("silence")
	}
	response := slices.Clone(asked)
	response[2] |= 0x80
	if c.wrong(response, asked) == "" || c.wrong(response, nil) != "" || c.wrong(asked[:11], asked) == "" {
		t.Error("an answer to what is no question")
	}
}
