package dnsserver

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/dnsserver/tsig"
)

// testSecret is that of all keys of these tests.
var testSecret = []byte("a secret of the tests, 32 bytes.")

// testKeys have a key for each algorithm, named after it.
func testKeys(t testing.TB) *tsig.Keyring {
	t.Helper()
	var keys []*tsig.Key
	for _, algorithm := range []string{"hmac-sha256", "hmac-sha384", "hmac-sha512"} {
		key, err := tsig.NewKey(algorithm+".key.test", algorithm, testSecret)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	ring, err := tsig.NewKeyring(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// signedQuestion signs with a key, and gives the MAC as well.
func signedQuestion(packet []byte, key *tsig.Key, now time.Time) (signed, mac []byte) {
	return tsig.Sign(append([]byte(nil), packet...), key, nil, now)
}

// everyWay opens a connection over each transport.
func everyWay(t testing.TB, s *secureServer) map[transport]net.Conn {
	return map[transport]net.Conn{
		overUDP: dial(t, "udp", s.address(false)),
		overTCP: dial(t, "tcp", s.address(false)),
		overTLS: s.dialTLS(t, nil),
	}
}

// TestSignedQuestions gets a signed answer to every kind of question, over every
// transport, as the DNS library's verification sees it.
func TestSignedQuestions(t *testing.T) {
	keys := testKeys(t)
	s := startSecure(t, Config{Settings: Settings{
		Version: "v", NSID: "n", Transfer: TransferSettings{Keys: keys},
	}})
	padding := option(optionPadding, "")
	for name, test := range map[string]struct {
		query query
		rcode int
		tc    bool // over UDP
	}{
		"records":        {query: query{name: "txt.example.test.", qtype: dns.TypeTXT}},
		"a pool":         {query: query{name: "pool.example.test.", qtype: dns.TypeA, opts: [][]byte{opt(1232, 0)}}},
		"padded":         {query: query{name: "pool.example.test.", qtype: dns.TypeA, opts: [][]byte{opt(1232, 0, padding)}}},
		"more than fits": {query: query{name: "big.example.test.", qtype: dns.TypeTXT, opts: [][]byte{opt(1232, 0)}}, tc: true},
		"no such name":   {query: query{name: "none.example.test.", qtype: dns.TypeA}, rcode: dns.RcodeNameError},
		"another's":      {query: query{name: "elsewhere.test.", qtype: dns.TypeA}, rcode: dns.RcodeRefused},
		"class CH":       {query: query{name: "version.bind.", qtype: dns.TypeTXT, class: dns.ClassCHAOS}},
		"class HS":       {query: query{name: "example.test.", qtype: dns.TypeTXT, class: dns.ClassHESIOD}, rcode: dns.RcodeRefused},
		"UPDATE":         {query: query{name: "example.test.", qtype: dns.TypeSOA, flags: 5 << 11}, rcode: dns.RcodeNotImplemented},
		"NOTIFY":         {query: query{name: "example.test.", qtype: dns.TypeSOA, flags: 4 << 11}, rcode: dns.RcodeNotImplemented},
		"EDNS version 1": {query: query{name: "txt.example.test.", qtype: dns.TypeTXT, opts: [][]byte{opt(1232, 1<<16)}}, rcode: dns.RcodeBadVers},
		"malformed EDNS": {query: query{name: "txt.example.test.", qtype: dns.TypeTXT, opts: [][]byte{opt(1232, 0, []byte{0})}}, rcode: dns.RcodeFormatError},
		"what panics":    {query: query{name: "panic.example.test.", qtype: dns.TypeA}, rcode: dns.RcodeServerFailure},
		"a transfer":     {query: query{name: "example.test.", qtype: dns.TypeAXFR}, rcode: dns.RcodeRefused},
		"type TSIG":      {query: query{name: "example.test.", qtype: dns.TypeTSIG}, rcode: dns.RcodeFormatError},
	} {
		for _, key := range keys.Keys() {
			for over, dialed := range everyWay(t, s) {
				t.Run(name+" "+key.Algorithm()+" "+string(over), func(t *testing.T) {
					packet := test.query.bytes()
					signed, mac := signedQuestion(packet, key, time.Now())
					answer := ask(t, dialed, signed)
					m := new(dns.Msg)
					if err := m.Unpack(answer); err != nil {
						t.Fatal(err)
					}
					if m.Rcode != test.rcode {
						t.Errorf("rcode %s, want %s", dns.RcodeToString[m.Rcode], dns.RcodeToString[test.rcode])
					}
					if name == "what panics" {
						return // nothing of the question is read again
					}
					secret := base64.StdEncoding.EncodeToString(testSecret)
					if err := dns.TsigVerify(answer, secret, hex.EncodeToString(mac), false); err != nil {
						t.Errorf("the answer's signature: %v\n%v", err, m)
					}
					if want := test.tc && over == overUDP; m.Truncated != want {
						t.Errorf("TC %v, want %v", m.Truncated, want)
					}
					limit := 512
					if len(test.query.opts) > 0 {
						limit = 1232
					}
					if over == overUDP && len(answer) > limit {
						t.Errorf("%d bytes, %d are allowed", len(answer), limit)
					}
					if name == "padded" && over == overTLS && len(answer)%paddingBlock != 0 {
						t.Errorf("%d bytes are not padded", len(answer))
					}
				})
			}
		}
	}
}

// TestRoomForSignatures holds that the signature's room is kept: an answer is whole where both
// fit, and has TC where only one of them would.
func TestRoomForSignatures(t *testing.T) {
	table := fakeTable{}
	const least, most = 100, 520
	for n := least; n <= most; n++ {
		rr := &dns.TXT{Hdr: dns.RR_Header{Name: fmt.Sprintf("%d.example.test.", n), Rrtype: dns.TypeTXT, Class: 1, Ttl: 60}}
		for rest := n; rest > 0; rest -= 255 {
			rr.Txt = append(rr.Txt, strings.Repeat("x", min(rest, 255)))
		}
		table[rr.Hdr.Name] = static([]dns.RR{rr})
	}
	config := Config{Table: func() Answerer { return table }, now: func() time.Time { return testNow }}.withDefaults()
	config.Settings.Transfer.Keys = testKeys(t)
	r := responderOf(&config, overUDP)
	r.begin()
	client := netip.MustParseAddr("127.0.0.1")
	for _, key := range testKeys(t).Keys() {
		whole, cut := 0, 0
		for n := least; n <= most; n++ {
			packet := query{name: fmt.Sprintf("%d.example.test.", n), qtype: dns.TypeTXT}.bytes()
			unsigned := r.respond(nil, packet, client, overTCP)
			signed, mac := signedQuestion(packet, key, testNow)
			answer := r.respond(nil, signed, client, overUDP)
			m := parse(t, answer)
			if want := len(unsigned)+key.Size() > minUDPSize; m.Truncated != want || len(answer) > minUDPSize || (len(m.Answer) == 0) != want {
				t.Fatalf("%v: %d bytes without a signature, %d with it, TC %v", key, len(unsigned), len(answer), m.Truncated)
			}
			if _, err := tsig.Verify(answer, testKeys(t), mac, testNow); err != nil {
				t.Fatal(err)
			}
			if m.Truncated {
				cut++
			} else {
				whole++
			}
		}
		if whole == 0 || cut == 0 {
			t.Errorf("%v: %d were whole, %d were cut", key, whole, cut)
		}
	}
}
