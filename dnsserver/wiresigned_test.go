package dnsserver

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/zones/signing"
)

// signedWire is the table of the wire path's tests, signed, with a few names more.
func signedWire(t testing.TB, algorithms ...uint8) *archived {
	t.Helper()
	a := newArchived(t, "signed wire", map[string]string{
		"pools.json": wirePools,
		"zones/example.test.zone": wireZone + `safe IN NS ns.elsewhere.test.
safe IN DS 12345 13 2 0011223344556677889900112233445566778899001122334455667788990011
txts.ent IN TXT "below"
*.svc IN HTTPS 0 front
front IN HTTPS 1 back alpn=h2
back IN A 127.0.0.44
back IN AAAA fd00::44
`,
		"geo": "0.0.0.0/8 FR\n::/8 FR\n127.1.0.0/16 DE\n127.2.0.0/16 US\nfd01::/32 JP\n",
	})
	a.input.Signing = map[string]*signing.Plan{"example.test.": planOf(t, "example.test.", a.input.Now, false, algorithms...)}
	a.compile(t)
	return a
}

// commonSigned are the questions with DO that the wire path has to answer itself, with
// what the answer's sections have.
var commonSigned = []struct {
	name                string
	asked               string
	qtype               uint16
	answer, authorities string
}{
	{"pool A", "dl.example.test.", dns.TypeA, "A RRSIG", ""},
	{"pool AAAA", "DL.example.TEST.", dns.TypeAAAA, "AAAA RRSIG", ""},
	{"CNAME to a pool", "www.example.test.", dns.TypeA, "CNAME RRSIG A RRSIG", ""},
	{"CNAME to a CNAME to a pool", "chain.example.test.", dns.TypeAAAA, "CNAME RRSIG CNAME RRSIG AAAA RRSIG", ""},
	{"wildcard CNAME to a pool", "25.x.dl.example.test.", dns.TypeA, "CNAME RRSIG A RRSIG", "NSEC RRSIG"},
	{"static", "mail.example.test.", dns.TypeA, "A RRSIG", ""},
	{"MX", "example.test.", dns.TypeMX, "MX RRSIG", ""},
	{"NS", "example.test.", dns.TypeNS, "NS RRSIG", ""},
	{"SOA", "example.test.", dns.TypeSOA, "SOA RRSIG", ""},
	{"DNSKEY", "example.test.", dns.TypeDNSKEY, "DNSKEY RRSIG", ""},
	{"CDS", "example.test.", dns.TypeCDS, "CDS RRSIG", ""},
	{"CNAME", "www.example.test.", dns.TypeCNAME, "CNAME RRSIG", ""},
	{"DNAME itself", "old.example.test.", dns.TypeDNAME, "DNAME RRSIG", ""},
	{"wildcard", "some.thing.wild.example.test.", dns.TypeTXT, "TXT RRSIG", "NSEC RRSIG"},
	{"wildcard with additional data", "mail.at.wild.example.test.", dns.TypeMX, "MX RRSIG", "NSEC RRSIG"},
	{"wildcard that leads on", "any.svc.example.test.", dns.TypeHTTPS, "HTTPS RRSIG", "NSEC RRSIG"},
	{"wildcard NODATA", "some.wild.example.test.", dns.TypeA, "", "SOA RRSIG NSEC RRSIG"},
	{"wildcard NODATA, another covers", "zzz.wild.example.test.", dns.TypeA, "", "SOA RRSIG NSEC RRSIG"},
	{"NODATA", "mail.example.test.", dns.TypeTXT, "", "SOA RRSIG NSEC RRSIG"},
	{"NODATA at the apex", "example.test.", dns.TypeTXT, "", "SOA RRSIG NSEC RRSIG"},
	{"NODATA at a pool", "dl.example.test.", dns.TypeTXT, "", "SOA RRSIG NSEC RRSIG"},
	{"pool without that family", "four.example.test.", dns.TypeAAAA, "", "SOA RRSIG NSEC RRSIG"},
	{"empty non-terminal", "ent.example.test.", dns.TypeA, "", "SOA RRSIG NSEC RRSIG"},
	{"NXDOMAIN", "no.such.example.test.", dns.TypeA, "", "SOA RRSIG NSEC RRSIG NSEC RRSIG"},
	{"NXDOMAIN, one NSEC", "0.example.test.", dns.TypeA, "", "SOA RRSIG NSEC RRSIG"},
	{"referral", "host.sub.example.test.", dns.TypeA, "", "NS NSEC RRSIG"},
	{"referral with DS", "host.safe.example.test.", dns.TypeA, "", "NS DS RRSIG"},
	{"referral at the cut", "SAFE.example.test.", dns.TypeNS, "", "NS DS RRSIG"},
}

// kindsOf gives the types of records, each once for those that follow each other.
func kindsOf(records []dns.RR) string {
	var kinds []string
	for _, rr := range records {
		kind := dns.Type(rr.Header().Rrtype).String()
		if len(kinds) == 0 || kinds[len(kinds)-1] != kind {
			kinds = append(kinds, kind)
		}
	}
	return strings.Join(kinds, " ")
}

// TestWirePathSigned: questions with DO are left to the other path where they are rare
// alone, and both say the same. The order is the RRset, its signatures, the next RRset.
func TestWirePathSigned(t *testing.T) {
	for _, algorithms := range [][]uint8{{dns.ECDSAP256SHA256}, {dns.ED25519, dns.ECDSAP256SHA256}} {
		p := newPair(signedWire(t, algorithms...))
		for _, client := range []string{"127.1.0.1", "::1"} {
			for seed := range uint64(5) {
				for _, c := range commonSigned {
					t.Run(fmt.Sprint(c.name, " ", len(algorithms)), func(t *testing.T) {
						q := asked{
							packet: query{name: c.asked, qtype: c.qtype, opts: [][]byte{opt(4096, 0x8000, option(10, "12345678"))}}.bytes(),
							client: netip.MustParseAddr(client), over: overUDP, seed: seed, udpSize: 4096, room: replyRoom,
						}
						if !p.ask(t, q) {
							t.Fatal("left to the other path")
						}
						p.random[1].Seed(seed, seed)
						buffer := make([]byte, replyRoom)
						p.both.begin()
						answer, _ := p.both.wire(buffer, copy(buffer, q.packet), q.client, overUDP)
						p.both.end()
						tallied(t, p.both)
						m := parse(t, answer)
						if kindsOf(m.Answer) != c.answer || kindsOf(m.Ns) != c.authorities {
							t.Fatalf("%q and %q, expected %q and %q:\n%v", kindsOf(m.Answer), kindsOf(m.Ns), c.answer, c.authorities, m)
						}
					})
				}
			}
		}
	}
}

// TestSignedSizes: four AAAA records that are signed fit an ordinary answer, also
// with a cookie and a client subnet, under all algorithms and while two are used, and
// the wire path gives them.
func TestSignedSizes(t *testing.T) {
	for _, algorithms := range [][]uint8{
		{dns.ECDSAP256SHA256},
		{dns.ED25519},
		{dns.ECDSAP384SHA384},
		{dns.RSASHA256},
		{dns.ECDSAP256SHA256, dns.ED25519},
		{dns.ECDSAP384SHA384, dns.ED25519},
		{dns.RSASHA256, dns.ECDSAP256SHA256},
		{dns.RSASHA512, dns.RSASHA256},
	} {
		r := wireResponder(signedWire(t, algorithms...).table, 1)
		packet := query{name: "dl.example.test.", qtype: dns.TypeAAAA, opts: [][]byte{opt(4096, 0x8000,
			option(10, "12345678abcdefgh"), option(8, "\x00\x02\x80\x00\xfd\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"))}}.bytes()
		buffer := make([]byte, replyRoom)
		answer, ok := r.wire(buffer, copy(buffer, packet), netip.MustParseAddr("127.0.0.1"), overUDP)
		if !ok || len(answer) >= DefaultUDPSize {
			t.Fatalf("%v: %d bytes, on the wire path: %v", algorithms, len(answer), ok)
		}
		m := parse(t, answer)
		signatures := 0
		for _, rr := range m.Answer {
			if rr.Header().Rrtype == dns.TypeRRSIG {
				signatures++
			}
		}
		if m.Truncated || len(m.Answer) != 4+len(algorithms) || signatures != len(algorithms) || len(m.IsEdns0().Option) != 2 {
			t.Fatalf("%v: %d bytes\n%v", algorithms, len(answer), m)
		}
		t.Logf("%v: %d bytes", algorithms, len(answer))
	}
}

// BenchmarkWireSigned is the answering of questions with DO.
func BenchmarkWireSigned(b *testing.B) {
	r := wireResponder(signedWire(b, dns.ECDSAP256SHA256).table, 1)
	r.random = rand.NewPCG(1, 1)
	client := netip.MustParseAddr("127.2.0.1")
	buffer := make([]byte, 4096)
	for _, c := range commonSigned {
		b.Run(c.name, func(b *testing.B) {
			packet := query{name: c.asked, qtype: c.qtype, opts: [][]byte{opt(1232, 0x8000)}}.bytes()
			b.ReportAllocs()
			for b.Loop() {
				copy(buffer, packet)
				r.reply(buffer, len(packet), client, overUDP)
			}
		})
	}
}
