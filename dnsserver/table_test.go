package dnsserver_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/dnsserver"
	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/zones"
)

const zoneFile = `$ORIGIN example.test.
$TTL 3600
@    IN SOA ns1 hostmaster ( 1 7200 900 1209600 60 )
@    IN NS  ns1
ns1  IN A   127.0.0.53
*.dl IN CNAME dl
a.b  IN TXT "below an empty non-terminal"
sub  IN NS  ns.sub
ns.sub IN A 127.0.0.99
`

const poolsFile = `{"version": 1, "pools": [{
  "name": "dl.example.test", "ttl": 60, "answers": 2,
  "geo": {"policy": "near", "min_candidates": 1},
  "health": {"check": "none"},
  "members": [
    {"id": "de", "addresses": ["127.0.1.1", "fd00::1"], "weight": 10, "location": {"country": "DE"}},
    {"id": "us", "addresses": ["127.0.1.2"], "weight": 10, "location": {"country": "US"}}
  ]}]}`

func compile(t testing.TB) *zones.Table {
	t.Helper()
	def, problems := pool.Parse(fstest.MapFS{
		"pools.json":              {Data: []byte(poolsFile)},
		"zones/example.test.zone": {Data: []byte(zoneFile)},
	})
	if def == nil {
		t.Fatalf("parsing: %v", problems)
	}
	static, problems := zones.Parse(def)
	if pool.HasErrors(problems) {
		t.Fatalf("parsing zones: %v", problems)
	}
	table, err := zones.Compile(zones.Input{
		Definition: def, Static: static, Now: time.Now(),
		Geo: geo.NewMap(map[netip.Prefix]geo.Place{
			netip.MustParsePrefix("127.1.0.0/16"): {Country: "DE", Continent: "EU"},
			netip.MustParsePrefix("127.2.0.0/16"): {Country: "US", Continent: "NA"},
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// The server and a table as the program makes it, asked by a client of the
// DNS library's.
func TestServesARealTable(t *testing.T) {
	var current atomic.Pointer[zones.Table]
	current.Store(compile(t))
	s, err := dnsserver.Listen(dnsserver.Config{Listen: []string{"127.0.0.1:0"}, Table: dnsserver.FromTable(current.Load)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for _, c := range []struct {
		name, qname, subnet   string
		qtype                 uint16
		rcode                 int
		aa                    bool
		answers, others, glue int
		contains              string // in the answer section
		scope                 uint8
	}{
		{name: "located in DE", qname: "DL.example.test.", qtype: dns.TypeA, subnet: "127.1.2.0", aa: true, answers: 1, contains: "DL.example.test. 60 IN A 127.0.1.1", scope: 16},
		{name: "located in US", qname: "dl.example.test.", qtype: dns.TypeA, subnet: "127.2.2.0", aa: true, answers: 1, contains: "127.0.1.2", scope: 16},
		{name: "one has IPv6, no choice", qname: "dl.example.test.", qtype: dns.TypeAAAA, subnet: "127.2.2.0", aa: true, answers: 1, contains: "fd00::1"},
		{name: "wildcard", qname: "25.dl.example.test.", qtype: dns.TypeA, subnet: "127.1.2.0", aa: true, answers: 2, contains: "25.dl.example.test. 3600 IN CNAME dl.example.test.", scope: 16},
		{name: "serial is not the file's", qname: "example.test.", qtype: dns.TypeSOA, aa: true, answers: 1, contains: "ns1.example.test. hostmaster.example.test. "},
		{name: "empty non-terminal", qname: "b.example.test.", qtype: dns.TypeA, aa: true, others: 1},
		{name: "no such name", qname: "nope.example.test.", qtype: dns.TypeA, rcode: dns.RcodeNameError, aa: true, others: 1},
		{name: "delegation", qname: "x.sub.example.test.", qtype: dns.TypeA, others: 1, glue: 1},
		{name: "ANY", qname: "dl.example.test.", qtype: dns.TypeANY, aa: true, answers: 1, contains: "RFC8482"},
		{name: "outside", qname: "elsewhere.test.", qtype: dns.TypeA, rcode: dns.RcodeRefused},
	} {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(network+"/"+c.name, func(t *testing.T) {
				q := new(dns.Msg).SetQuestion(c.qname, c.qtype)
				q.SetEdns0(1232, false)
				if c.subnet != "" {
					o := q.IsEdns0()
					o.Option = append(o.Option, &dns.EDNS0_SUBNET{
						Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: netip.MustParseAddr(c.subnet).AsSlice(),
					})
				}
				client := dns.Client{Net: network, Timeout: time.Minute}
				m, _, err := client.Exchange(q, s.Addresses()[0].String())
				if err != nil {
					t.Fatal(err)
				}
				if m.Rcode != c.rcode || m.Authoritative != c.aa || m.Truncated {
					t.Errorf("header %+v, want response code %d, AA %v", m.MsgHdr, c.rcode, c.aa)
				}
				if len(m.Answer) != c.answers || len(m.Ns) != c.others || len(m.Extra)-1 != c.glue {
					t.Errorf("%d, %d, %d records, want %d, %d, %d:\n%v", len(m.Answer), len(m.Ns), len(m.Extra)-1, c.answers, c.others, c.glue, m)
				}
				found := slices.ContainsFunc(m.Answer, func(rr dns.RR) bool {
					return strings.Contains(strings.Join(strings.Fields(rr.String()), " "), c.contains)
				})
				if c.contains != "" && !found {
					t.Errorf("no %q in\n%v", c.contains, m.Answer)
				}
				for _, option := range m.IsEdns0().Option {
					if e, ok := option.(*dns.EDNS0_SUBNET); ok && e.SourceScope != c.scope {
						t.Errorf("scope %d, want %d", e.SourceScope, c.scope)
					}
				}
			})
		}
	}
}
