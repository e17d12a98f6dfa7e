package dnsserver

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
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
  "geo": {"policy": "near", "min_candidates": 3, "max_share": 0.5},
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
	definition, problems := pool.Parse(fstest.MapFS{
		"pools.json":              {Data: []byte(wirePools)},
		"zones/example.test.zone": {Data: []byte(wireZone)},
	})
	if definition == nil {
		t.Fatalf("parsing: %v", problems)
	}
	static, problems := zones.Parse(definition)
	if static == nil {
		t.Fatalf("parsing zones: %v", problems)
	}
	table, err := zones.Compile(zones.Input{
		Definition: definition, Static: static, Now: time.Unix(1_700_000_000, 0),
		Geo: geo.NewMap(map[netip.Prefix]geo.Place{
			netip.MustParsePrefix("127.1.0.0/16"): {Country: "DE"},
			netip.MustParsePrefix("127.2.0.0/16"): {Country: "US"},
			netip.MustParsePrefix("fd01::/32"):    {Country: "JP"},
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func wireResponder(table Answerer, seed uint64) *responder {
	config := Config{
		NSID: "ns1", Table: func() Answerer { return table },
		Random: func() zones.Random { return rand.NewPCG(seed, 1) },
	}.withDefaults()
	r := newResponder(&config, newMetrics(), overUDP)
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

// bothPaths answers a packet on the wire path and on the other, with the same
// draw; wire is nil where the wire path leaves it.
func bothPaths(table Answerer, packet []byte, client netip.Addr, seed uint64, over transport) (wire, slow []byte) {
	buffer := make([]byte, 4096)
	copy(buffer, packet)
	if answer, ok := wireResponder(table, seed).wire(buffer, len(packet), client, over); ok {
		wire = slices.Clone(answer)
	}
	return wire, wireResponder(table, seed).respond(nil, packet, client, over)
}

// compare holds that two answers say the same.
func compare(t *testing.T, wire, slow []byte) {
	t.Helper()
	a, b := parse(t, wire), parse(t, slow)
	if a.MsgHdr != b.MsgHdr || a.Question[0] != b.Question[0] {
		t.Fatalf("the wire path says\n%v\nthe other\n%v", a, b)
	}
	for _, section := range [][2][]dns.RR{{a.Answer, b.Answer}, {a.Ns, b.Ns}, {a.Extra, b.Extra}} {
		text := func(rrs []dns.RR) (all []string) {
			for _, rr := range rrs {
				all = append(all, rr.String())
			}
			return all
		}
		if !slices.Equal(text(section[0]), text(section[1])) {
			t.Fatalf("the wire path says\n%v\nthe other\n%v", a, b)
		}
	}
}

func TestWirePath(t *testing.T) {
	table := wireTable(t)
	for _, client := range []string{"127.1.0.1", "127.2.0.1", "127.0.0.1", "::1", "fd01::1"} {
		for _, over := range []transport{overUDP, overTCP} {
			for seed := range uint64(5) {
				for _, c := range common {
					t.Run(c.name, func(t *testing.T) {
						wire, slow := bothPaths(table, c.q.bytes(), netip.MustParseAddr(client), seed, over)
						if wire == nil {
							t.Fatalf("not answered; the other path says\n%v", parse(t, slow))
						}
						compare(t, wire, slow)
					})
				}
				for _, q := range rare {
					if wire, slow := bothPaths(table, q.bytes(), netip.MustParseAddr(client), seed, over); wire != nil {
						compare(t, wire, slow)
					}
				}
			}
		}
	}
}

func TestWirePathAllocatesNothing(t *testing.T) {
	r := wireResponder(wireTable(t), 1)
	client := netip.MustParseAddr("127.2.0.1")
	buffer := make([]byte, 4096)
	for _, c := range common {
		packet := c.q.bytes()
		allocations := testing.AllocsPerRun(100, func() {
			copy(buffer, packet)
			if r.reply(buffer, len(packet), client, overUDP) == nil {
				t.Fatal("silence")
			}
		})
		if allocations != 0 {
			t.Errorf("%s: %v allocations", c.name, allocations)
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
