package dnsserver

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

// What the operator writes comes as it is, whatever it means to the library that
// packs it.
func TestTextsOfTheServerComeAsTheyAre(t *testing.T) {
	text := `C:\065\n "x" tab\`
	s := start(t, Config{Settings: Settings{Version: text}})
	c := dial(t, "udp", s.address(false))
	answer := ask(t, c, query{name: "version.bind.", qtype: dns.TypeTXT, class: dns.ClassCHAOS}.bytes())
	if want := append([]byte{byte(len(text))}, text...); !bytes.HasSuffix(answer, want) {
		t.Errorf("got %q, expected it to end in %q", answer, want)
	}
}

// Every answer to a padded question is padded, errors and those with a TSIG too.
func TestErrorsArePadded(t *testing.T) {
	config := Config{Settings: Settings{NSID: "ns1"}, Table: func() Answerer { return testTable() }}.withDefaults()
	r := responderOf(&config, overTLS)
	padding := option(optionPadding, "\x00\x00")
	tsig := "\x03key\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x1d\x0bhmac-sha256\x00\x00\x00\x00\x00\x00\x01\x01\x2c\x00\x00\x00\x07\x00\x00\x00\x00"
	for name, packet := range map[string][]byte{
		"TXT":         query{name: "txt.example.test.", qtype: dns.TypeTXT, opts: [][]byte{opt(1232, 0, padding)}}.bytes(),
		"REFUSED":     query{name: "elsewhere.test.", qtype: dns.TypeTXT, opts: [][]byte{opt(1232, 0, padding)}}.bytes(),
		"FORMERR":     query{name: "txt.example.test.", qtype: dns.TypeOPT, opts: [][]byte{opt(1232, 0, padding)}}.bytes(),
		"bad cookie":  query{name: "txt.example.test.", qtype: dns.TypeTXT, opts: [][]byte{opt(1232, 0, padding, option(optionCookie, "x"))}}.bytes(),
		"unknown key": query{name: "txt.example.test.", qtype: dns.TypeTXT, opts: [][]byte{opt(1232, 0, padding), []byte(tsig)}}.bytes(),
	} {
		r.begin()
		room := make([]byte, maxMessage)
		answer := r.reply(room, copy(room, packet), netip.MustParseAddr("127.0.0.1"), overTLS)
		r.end()
		m := parse(t, answer)
		if len(answer) != paddingBlock {
			t.Errorf("%s: %d bytes, expected %d: %v", name, len(answer), paddingBlock, m)
		}
		if (m.IsTsig() != nil) != (name == "unknown key") {
			t.Errorf("%s: TSIG %v", name, m.IsTsig())
		}
	}
}
