package dnsserver

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

const wireZone = `$ORIGIN example.test.
$TTL 3600
@    IN SOA ns1 hostmaster ( 1 7200 900 1209600 60 )
@    IN NS  ns1
@    IN NS  ns.elsewhere.test.
@    IN MX  10 mail
ns1  IN A   127.0.0.53
ns1  IN AAAA fd00::53
mail IN A   127.0.0.25
www  IN CNAME dl
chain IN CNAME www
lost IN CNAME nowhere
away IN CNAME elsewhere.test.
*.dl IN CNAME dl
*.wild IN TXT "any"
*.wild IN MX  5 mail
a.b  IN TXT "below an empty non-terminal"
sub  IN NS  ns.sub
sub  IN NS  ns1
ns.sub IN A 127.0.0.99
old  IN DNAME new
new  IN TXT "new"
long IN TXT "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
`

const wirePools = `{"version": 1, "pools": [{
  "name": "dl.example.test", "ttl": 60, "answers": 4,
  "geo": {"policy": "near", "min_candidates": 2, "max_share": 0.5},
  "health": {"check": "none"},
  "members": [
    {"id": "de", "addresses": ["127.0.1.1", "fd00::1"], "weight": 10, "location": {"country": "DE"}},
    {"id": "fr", "addresses": ["127.0.1.2", "127.0.2.2", "127.0.3.2", "fd00::2"], "weight": 20, "location": {"country": "FR"}},
    {"id": "us", "addresses": ["127.0.1.3", "fd00::3"], "weight": 30, "location": {"country": "US"}},
    {"id": "jp", "addresses": ["127.0.1.4", "fd00::4"], "weight": 40, "location": {"country": "JP"}},
    {"id": "br", "addresses": ["127.0.1.5", "fd00::5"], "weight": 50, "location": {"country": "BR"}}
  ]}, {
  "name": "four.example.test", "ttl": 60, "answers": 1, "health": {"check": "none"},
  "members": [{"id": "one", "addresses": ["127.0.1.1"], "weight": 10}]
  }]}`

func wireTable(t testing.TB) *zones.Table {
	t.Helper()
	return wireArchive(t).table
}

func wireArchive(t testing.TB) *archived {
	t.Helper()
	return newArchived(t, "wire", map[string]string{
		"pools.json": wirePools, "zones/example.test.zone": wireZone,
		"geo": "0.0.0.0/8 FR\n::/8 FR\n127.1.0.0/16 DE\n127.2.0.0/16 US\nfd01::/32 JP\n", // what the zero address is in is not for the unlocated
	})
}

func wireResponder(table Answerer, seed uint64) *responder {
	config := Config{
		Settings: Settings{NSID: "ns1"}, Table: func() Answerer { return table },
		Random: func() zones.Random { return rand.NewPCG(seed, 1) },
	}.withDefaults()
	r := responderOf(&config, overUDP)
	r.begin()
	return r
}

// common are the questions that the wire path has to answer itself.
var common = []struct {
	name string
	q    query
}{
	{"pool A", query{name: "dl.example.test.", qtype: dns.TypeA}},
	{"pool AAAA", query{name: "dl.example.test.", qtype: dns.TypeAAAA}},
	{"capitals", query{name: "dL.exAmple.TEST.", qtype: dns.TypeA}},
	{"OPT", query{name: "dl.example.test.", qtype: dns.TypeA, opts: [][]byte{opt(1232, 0)}}},
	{"DO", query{name: "dl.example.test.", qtype: dns.TypeA, opts: [][]byte{opt(4096, 0x8000)}}},
	{"client subnet", query{name: "dl.example.test.", qtype: dns.TypeA, opts: [][]byte{opt(1232, 0, option(8, "\x00\x01\x18\x00\x7f\x01\x02"))}}},
	{"client subnet of IPv6", query{name: "dl.example.test.", qtype: dns.TypeAAAA, opts: [][]byte{opt(1232, 0, option(8, "\x00\x02\x38\x00\xfd\x01\x00\x00\x00\x00\x00"))}}},
	{"client subnet of IPv4 in IPv6", query{name: "dl.example.test.", qtype: dns.TypeA, opts: [][]byte{opt(1232, 0, option(8, "\x00\x02\x78\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x7f\x01\x02"))}}},
	{"OPT that takes nothing", query{name: "dl.example.test.", qtype: dns.TypeA, opts: [][]byte{opt(0, 0)}}},
	{"OPT that takes all", query{name: "dl.example.test.", qtype: dns.TypeA, opts: [][]byte{opt(65535, 0)}}},
	{"unlocated", query{name: "dl.example.test.", qtype: dns.TypeA, opts: [][]byte{opt(1232, 0, option(8, "\x00\x01\x00\x00"))}}},
	{"cookie", query{name: "dl.example.test.", qtype: dns.TypeA, opts: [][]byte{opt(1232, 0, option(10, "12345678"))}}},
	{"cookie, subnet, unknown option", query{name: "dl.example.test.", qtype: dns.TypeA, opts: [][]byte{opt(1232, 0, option(10, "12345678"), option(8, "\x00\x01\x18\x00\x7f\x01\x02"), option(65001, "x"))}}},
	{"pool without that family", query{name: "four.example.test.", qtype: dns.TypeAAAA}},
	{"CNAME to a pool", query{name: "www.example.test.", qtype: dns.TypeA}},
	{"CNAME to a CNAME to a pool", query{name: "chain.example.test.", qtype: dns.TypeAAAA}},
	{"wildcard CNAME to a pool", query{name: "25.x.dl.example.test.", qtype: dns.TypeA}},
	{"static", query{name: "mail.example.test.", qtype: dns.TypeA, opts: [][]byte{opt(1232, 0)}}},
	{"MX", query{name: "example.test.", qtype: dns.TypeMX}},
	{"NS", query{name: "example.test.", qtype: dns.TypeNS}},
	{"SOA", query{name: "example.test.", qtype: dns.TypeSOA}},
	{"TXT", query{name: "long.example.test.", qtype: dns.TypeTXT}},
	{"wildcard", query{name: "some.thing.wild.example.test.", qtype: dns.TypeMX}},
	{"wildcard NODATA", query{name: "some.wild.example.test.", qtype: dns.TypeA}},
	{"NODATA", query{name: "mail.example.test.", qtype: dns.TypeTXT}},
	{"NODATA at a pool", query{name: "dl.example.test.", qtype: dns.TypeTXT}},
	{"empty non-terminal", query{name: "b.example.test.", qtype: dns.TypeA}},
	{"NXDOMAIN", query{name: "no.such.example.test.", qtype: dns.TypeA}},
	{"NXDOMAIN, OPT", query{name: "nope.example.test.", qtype: dns.TypeA, opts: [][]byte{opt(1232, 0x8000)}}},
	{"referral", query{name: "host.sub.example.test.", qtype: dns.TypeA}},
	{"referral at the cut", query{name: "SUB.example.test.", qtype: dns.TypeNS, opts: [][]byte{opt(1232, 0)}}},
	{"REFUSED", query{name: "elsewhere.test.", qtype: dns.TypeA, flags: flagRD}},
	{"DNAME itself", query{name: "old.example.test.", qtype: dns.TypeDNAME}},
}

// rare are those that it may leave to the other path.
var rare = []query{
	{name: "lost.example.test.", qtype: dns.TypeA},
	{name: "away.example.test.", qtype: dns.TypeA},
	{name: "www.example.test.", qtype: dns.TypeTXT},
	{name: "x.old.example.test.", qtype: dns.TypeTXT},
	{name: "dl.example.test.", qtype: dns.TypeANY},
	{name: "sub.example.test.", qtype: dns.TypeDS},
	{name: "example.test.", qtype: dns.TypeDS},
	{name: "dl.example.test.", qtype: dns.TypeA, opts: [][]byte{opt(1232, 0, option(3, ""))}},
	{name: "dl.example.test.", qtype: dns.TypeA, opts: [][]byte{opt(1232, 1<<16)}},
	{name: "dl.example.test.", qtype: dns.TypeA, class: 3},
}

func TestWirePath(t *testing.T) {
	p := newPair(wireArchive(t))
	for _, client := range []string{"127.1.0.1", "127.2.0.1", "127.0.0.1", "::1", "fd01::1", "::ffff:127.1.0.1", "fe80::1%lo"} {
		for _, over := range []transport{overUDP, overTCP} {
			for seed := range uint64(5) {
				q := asked{client: netip.MustParseAddr(client), over: over, seed: seed, udpSize: DefaultUDPSize, room: replyRoom}
				for _, c := range common {
					t.Run(c.name, func(t *testing.T) {
						if q.packet = c.q.bytes(); !p.ask(t, q) {
							t.Fatal("left to the other path")
						}
					})
				}
				for _, c := range rare {
					q.packet = c.bytes()
					p.ask(t, q)
				}
			}
		}
	}
}

// TestWirePathAllocatesNothing holds that of all that the wire path answers, with
// places of all countries, under every policy and rule, and from one batch to
// the next.
func TestWirePathAllocatesNothing(t *testing.T) {
	clients := []netip.Addr{
		netip.MustParseAddr("127.2.0.1"), netip.MustParseAddr("::1"), netip.MustParseAddr("::ffff:127.1.0.1"),
		netip.AddrFrom4([4]byte{141, 1, 1, 1}), netip.AddrFrom4([4]byte{8, 1, 1, 1}), // what the country data tells apart
	}
	for _, a := range fuzzTables() {
		if a == nil {
			continue
		}
		t.Run(a.path, func(t *testing.T) {
			var packets [][]byte
			if a.path == "wire" {
				for _, c := range common {
					packets = append(packets, c.q.bytes())
				}
			}
			for _, name := range a.names {
				for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeMX} {
					packets = append(packets,
						query{name: name, qtype: kind}.bytes(),
						query{name: name, qtype: kind, opts: [][]byte{opt(1232, 0x8000, option(10, "12345678"), option(8, "\x00\x01\x18\x00\x7f\x01\x02"))}}.bytes())
				}
			}
			r := wireResponder(a.table, 1)
			r.end()
			buffer := make([]byte, replyRoom)
			answered := 0
			for i, packet := range packets {
				client := clients[i%len(clients)]
				fast := false
				if n := testing.AllocsPerRun(3, func() {
					copy(buffer, packet)
					r.begin()
					defer r.end()
					_, fast = r.wire(buffer, len(packet), client, overUDP)
				}); fast && n != 0 {
					t.Errorf("%v allocations for %x of %v", n, packet, client)
				}
				if !fast {
					continue
				}
				answered++
				if n := testing.AllocsPerRun(3, func() {
					copy(buffer, packet)
					r.begin()
					defer r.end()
					r.reply(buffer, len(packet), client, overUDP)
				}); n != 0 {
					t.Errorf("%v allocations for %x of %v", n, packet, client)
				}
			}
			if answered < len(packets)/2 {
				t.Errorf("the wire path answered %d of %d", answered, len(packets))
			}
		})
	}
}

// The buffer of an answer over TCP may be smaller than the answer, which is then
// not in it, and the question is still there for the other path.
func TestWirePathOutgrowsItsBuffer(t *testing.T) {
	for _, a := range fuzzTables() {
		if a == nil || a.path != "many members" && a.path != "testdata/tables/zones.txtar" {
			continue
		}
		p := newPair(a)
		large := 0
		for _, name := range a.names {
			for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeTXT} {
				q := asked{
					packet: query{name: name, qtype: kind, opts: [][]byte{opt(512, 0)}}.bytes(),
					client: netip.MustParseAddr("127.0.0.1"), over: overTCP, udpSize: DefaultUDPSize,
				}
				for _, room := range []int{len(q.packet), len(q.packet) + 40, replyRoom, maxMessage} {
					if q.room = room; p.ask(t, q) {
						break // with more room it is the same answer
					}
				}
				r := wireResponder(a.table, 0)
				buffer := make([]byte, replyRoom)
				if answer, ok := r.wire(buffer, copy(buffer, q.packet), q.client, overTCP); ok && len(answer) > replyRoom {
					large++
				}
			}
		}
		if large == 0 {
			t.Errorf("%s: no answer was larger than %d bytes", a.path, replyRoom)
		}
	}
}

func BenchmarkWire(b *testing.B) {
	r := wireResponder(wireTable(b), 1)
	r.random = newRandom()
	client := netip.MustParseAddr("127.2.0.1")
	buffer := make([]byte, 4096)
	for _, c := range common {
		b.Run(c.name, func(b *testing.B) {
			packet := c.q.bytes()
			b.ReportAllocs()
			for b.Loop() {
				copy(buffer, packet)
				r.reply(buffer, len(packet), client, overUDP)
			}
		})
	}
}

// BenchmarkReadOPT is the reading of an OPT on the wire path.
func BenchmarkReadOPT(b *testing.B) {
	for _, c := range []struct {
		name   string
		record []byte
	}{
		{"bare", opt(1232, 0x8000)},
		{"cookie", opt(1232, 0, option(10, "12345678"))},
		{"subnet", opt(1232, 0, option(8, "\x00\x01\x18\x00\x7f\x01\x02"))},
		{"all", opt(1232, 0, option(10, "12345678"), option(8, "\x00\x02\x38\x00\xfd\x01\x00\x00\x00\x00\x00"), option(65001, "x"))},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := wireResponder(wireTable(b), 1)
			client := netip.MustParseAddr("127.0.0.1")
			b.ReportAllocs()
			for b.Loop() {
				var e wireEDNS
				if !r.readWireOPT(&e, c.record, client, overUDP) {
					b.Fatal("not read")
				}
			}
		})
	}
}
