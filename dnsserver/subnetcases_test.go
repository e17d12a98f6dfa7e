package dnsserver

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

// subnetTable has a pool of each kind, and every way to come to one.
func subnetTable(t testing.TB) *archived {
	t.Helper()
	const members = `"health": {"check": "none"}, "answers": 4, "members": [
		{"id": "de", "addresses": ["127.0.1.1", "fd00::1"], "weight": 10, "location": {"country": "DE"}},
		{"id": "fr", "addresses": ["127.0.1.2"], "weight": 10, "location": {"country": "FR"}},
		{"id": "us", "addresses": ["127.0.1.3"], "weight": 10, "location": {"country": "US"}}]}`
	return newArchived(t, "client subnet", map[string]string{
		"pools.json": `{"pools": [
			{"name": "near.p.example.test", "geo": {"policy": "near", "min_candidates": 1}, ` + members + `,
			{"name": "none.example.test", "geo": {"policy": "none"}, ` + members + `,
			{"name": "off.example.test", "geo": {"policy": "near", "min_candidates": 1, "client_subnet": false}, ` + members + `,
			{"name": "few.example.test", "health": {"check": "none"}, "members": [
				{"id": "only-de", "addresses": ["127.0.1.1"], "weight": 10, "only": {"countries": ["DE"]}}]},
			{"name": "down.example.test", "geo": {"policy": "near"}, "when_all_down": "empty", "health": {"check": "tcp", "port": 80}, "members": [
				{"id": "down", "addresses": ["127.0.8.1"], "weight": 10, "location": {"country": "DE"}}]}]}`,
		"zones/example.test.zone": `$TTL 3600
@ IN SOA ns1 hostmaster 1 7200 900 1209600 60
@ IN NS ns1
ns1 IN A 127.0.0.53
txt IN TXT "the same for all"
tonear IN CNAME near.p
tonear2 IN CNAME tonear
*.w IN CNAME near.p
d IN DNAME p
tooff IN CNAME off
tonone IN CNAME none
totxt IN CNAME txt
out IN CNAME www.elsewhere.test.
gone IN CNAME nope
loop IN CNAME loop2
loop2 IN CNAME loop
sub IN NS ns.sub
ns.sub IN A 127.0.0.99
tosub IN CNAME www.sub
`,
		"health": "127.0.8.1 down\n",
		"geo":    "127.1.0.0/16 DE\n127.1.128.0/20 FR\n127.2.0.0/16 US\nfd01::/32 US\n",
	})
}

// addresses gives the A records of an answer, sorted.
func addresses(m *dns.Msg) string {
	var all []string
	for _, rr := range m.Answer {
		if a, ok := rr.(*dns.A); ok {
			all = append(all, a.A.String())
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// What is told of an answer is told of all of it, and what does not depend on
// place is for everybody.
func TestSubnetOfWholeAnswers(t *testing.T) {
	a := subnetTable(t)
	s := start(t, Config{Table: func() Answerer { return a.table }, Settings: Settings{NSID: "ns1"}})
	const de, fr, us = "\x00\x01\x18\x00\x7f\x01\x02", "\x00\x01\x18\x00\x7f\x01\x85", "\x00\x01\x18\x00\x7f\x02\x02"
	const everybody = "127.0.1.1 127.0.1.2 127.0.1.3"
	for _, c := range []struct {
		name      string // of the question
		value     string // of the option
		addresses string
		scope     byte
		rcode     int
	}{
		{"near.p.example.test.", de, "127.0.1.1", 17, 0},
		{"near.p.example.test.", fr, "127.0.1.2", 20, 0},
		{"near.p.example.test.", us, "127.0.1.3", 16, 0},
		{"near.p.example.test.", "\x00\x02\x38\x00\xfd\x01\x00\x00\x00\x01\x00", "127.0.1.3", 32, 0},
		{"near.p.example.test.", "\x00\x02\x78\x00" + strings.Repeat("\x00", 10) + "\xff\xff\x7f\x01\x02", "127.0.1.1", 96 + 17, 0},
		// a source that is shorter than the scope, longer, and nothing
		{"near.p.example.test.", "\x00\x01\x08\x00\x7f", everybody, 16, 0},
		{"near.p.example.test.", "\x00\x01\x10\x00\x7f\x01", "127.0.1.1", 17, 0},
		{"near.p.example.test.", "\x00\x01\x20\x00\x7f\x01\x02\x03", "127.0.1.1", 17, 0},
		{"near.p.example.test.", "\x00\x01\x00\x00", everybody, 0, 0},
		{"near.p.example.test.", "\x00\x02\x00\x00", everybody, 0, 0},
		{"near.p.example.test.", "\x00\x00\x00\x00", everybody, 0, 0},
		// by way of aliases: the scope is that of what they lead to
		{"tonear.example.test.", de, "127.0.1.1", 17, 0},
		{"tonear2.example.test.", us, "127.0.1.3", 16, 0},
		{"x.y.w.example.test.", fr, "127.0.1.2", 20, 0},
		{"near.d.example.test.", us, "127.0.1.3", 16, 0},
		{"tonone.example.test.", de, everybody, 0, 0},
		{"totxt.example.test.", de, "", 0, 0},
		{"out.example.test.", de, "", 0, 0},
		{"gone.example.test.", de, "", 0, dns.RcodeNameError},
		{"loop.example.test.", de, "", 0, 0},
		{"tosub.example.test.", de, "", 0, 0},
		// for everybody
		{"none.example.test.", de, everybody, 0, 0},
		{"ns1.example.test.", de, "127.0.0.53", 0, 0},
		{"txt.example.test.", de, "", 0, 0},
		{"nope.example.test.", de, "", 0, dns.RcodeNameError},
		{"x.sub.example.test.", de, "", 0, 0},
		{"elsewhere.test.", de, "", 0, dns.RcodeRefused},
		{"down.example.test.", de, "", 0, 0},
		// where the subnet is not used, the resolver is located: it is nowhere
		{"off.example.test.", de, everybody, 0, 0},
		{"tooff.example.test.", us, everybody, 0, 0},
		{"off.example.test.", "\x00\x01\x00\x00", everybody, 0, 0},
		// No answer for some, because of a rule. RFC 7871 section 7.4 would have
		// scope 0 here, since many caches know no other for what there is not. To
		// those that do, it would say that there is nothing for anybody.
		{"few.example.test.", de, "127.0.1.1", 17, 0},
		{"few.example.test.", us, "", 15, 0},
	} {
		subnet := option(optionSubnet, c.value)
		scoped := []byte(c.value)
		scoped[3] = c.scope
		unknown, nsid, empty := option(65001, "\x08\x00"), option(optionNSID, ""), option(65002, "")
		for i, options := range [][][]byte{{subnet}, {unknown, subnet}, {subnet, nsid, unknown}, {empty, nsid, empty, subnet, option(optionPadding, "\x00\x00")}} {
			for _, way := range ways {
				asked := s.featured("client_subnet")
				q := query{name: c.name, qtype: dns.TypeA, opts: [][]byte{opt(1232, 0, options...)}}
				connection := dial(t, way.network, s.address(way.v6))
				answer := ask(t, connection, q.bytes())
				connection.Close()
				m := parse(t, answer)
				what := fmt.Sprintf("%s for %x, options %d, over %s", c.name, c.value, i, way.name)
				if m.Rcode != c.rcode || addresses(m) != c.addresses {
					t.Errorf("%s: response code %d, %s; want %d, %s", what, m.Rcode, addresses(m), c.rcode, c.addresses)
				}
				want := toHex(string(option(optionSubnet, string(scoped))))
				if i >= 2 {
					want = toHex(string(option(optionNSID, "ns1"))) + want
				}
				if got := rawOptions(answer, m.IsEdns0()); got != want {
					t.Errorf("%s: options %s, want %s", what, got, want)
				}
				if got := s.featured("client_subnet") - asked; got != 1 {
					t.Errorf("%s: edns{client_subnet} went up by %v, want 1", what, got)
				}
			}
		}
	}
}

// In another class the option comes back, for everybody.
func TestSubnetInClassCH(t *testing.T) {
	s := start(t, Config{Settings: Settings{Version: "1"}})
	const value = "\x00\x01\x18\x00\x7f\x01\x02"
	for name, rcode := range map[string]int{"version.bind.": 0, "id.server.": dns.RcodeRefused} {
		q := query{name: name, qtype: dns.TypeTXT, class: dns.ClassCHAOS, opts: [][]byte{opt(1232, 0, option(optionSubnet, value))}}
		answer := ask(t, dial(t, "udp", s.address(false)), q.bytes())
		m := parse(t, answer)
		if got, want := rawOptions(answer, m.IsEdns0()), toHex(string(option(optionSubnet, value))); m.Rcode != rcode || got != want {
			t.Errorf("%s: response code %d, options %s, want %d, %s", name, m.Rcode, got, rcode, want)
		}
	}
}

// A pool that does not use the subnet is answered for the resolver's own address,
// on both paths and over both transports.
func TestSubnetOffForAPool(t *testing.T) {
	a := subnetTable(t)
	s := start(t, Config{Table: func() Answerer { return a.table }})
	slow := start(t, Config{Table: func() Answerer { return slowly{a.table} }})
	for _, c := range []struct{ name, resolver, near, off string }{
		{"located alike", "127.2.3.4", "127.0.1.3", "127.0.1.3"},
		{"in FR, for one in US", "127.1.130.4", "127.0.1.3", "127.0.1.2"},
		{"in DE, for one in US", "127.1.3.4", "127.0.1.3", "127.0.1.1"},
	} {
		for _, network := range []string{"udp", "tcp"} {
			for _, s := range []*running{s, slow} {
				for name, want := range map[string]string{"near.p.example.test.": c.near, "off.example.test.": c.off, "tooff.example.test.": c.off} {
					const us = "\x00\x01\x18\x00\x7f\x02\x02"
					q := query{name: name, qtype: dns.TypeA, opts: [][]byte{opt(1232, 0, option(optionSubnet, us))}}
					answer := ask(t, dialAs(t, network, c.resolver, s.address(false)), q.bytes())
					m := parse(t, answer)
					if got := addresses(m); got != want {
						t.Errorf("%s, %s over %s: %s, want %s", c.name, name, network, got, want)
					}
					scope := "\x10"
					if name != "near.p.example.test." {
						scope = "\x00"
					}
					if got, want := rawOptions(answer, m.IsEdns0()), toHex(string(option(optionSubnet, us[:3]+scope+us[4:]))); got != want {
						t.Errorf("%s, %s over %s: options %s, want %s", c.name, name, network, got, want)
					}
				}
			}
		}
	}
}

// A client in a network that is not routed is where its resolver is, unless the
// operator says where that network is.
func TestSubnetNotRouted(t *testing.T) {
	a := subnetTable(t)
	s := start(t, Config{Table: func() Answerer { return a.table }})
	slow := start(t, Config{Table: func() Answerer { return slowly{a.table} }})
	const everybody = "127.0.1.1 127.0.1.2 127.0.1.3"
	for _, c := range []struct {
		value, resolver, addresses string
		scope                      byte
	}{
		{"\x00\x01\x18\x00\x0a\x01\x02", "127.1.3.4", "127.0.1.1", 8},
		{"\x00\x01\x18\x00\x0a\xff\xff", "127.2.3.4", "127.0.1.3", 8},
		{"\x00\x01\x08\x00\x0a", "127.2.3.4", "127.0.1.3", 8},
		{"\x00\x01\x04\x00\x00", "127.2.3.4", everybody, 5}, // 0.0.0.0, which is outside
		{"\x00\x01\x18\x00\x64\x40\x00", "127.2.3.4", "127.0.1.3", 10},
		{"\x00\x01\x18\x00\x64\x7f\xff", "127.2.3.4", "127.0.1.3", 10},
		{"\x00\x01\x18\x00\x64\x80\x00", "127.2.3.4", everybody, 9},
		{"\x00\x01\x18\x00\xac\x1f\xff", "127.2.3.4", "127.0.1.3", 12},
		{"\x00\x01\x18\x00\xac\x20\x00", "127.2.3.4", everybody, 11},
		{"\x00\x01\x18\x00\xc0\xa8\x01", "127.2.3.4", "127.0.1.3", 16},
		{"\x00\x01\x18\x00\xa9\xfe\x01", "127.2.3.4", "127.0.1.3", 16},
		{"\x00\x01\x18\x00\x0a\x01\x02", "127.3.3.4", everybody, 8},
		{"\x00\x02\x38\x00\xfe\x80\x00\x00\x00\x00\x00", "127.2.3.4", "127.0.1.3", 10},
		{"\x00\x02\x78\x00" + strings.Repeat("\x00", 10) + "\xff\xff\x0a\x01\x02", "127.2.3.4", "127.0.1.3", 96 + 8},
		// The operator says something of networks in 127.0.0.0/8 and fc00::/7.
		{"\x00\x01\x18\x00\x7f\x01\x02", "127.2.3.4", "127.0.1.1", 17},
		{"\x00\x01\x18\x00\x7f\x09\x02", "127.2.3.4", everybody, 13},
		{"\x00\x02\x38\x00\xfd\x02\x00\x00\x00\x00\x00", "127.2.3.4", everybody, 15},
		// Whoever wants to stay unlocated does.
		{"\x00\x01\x00\x00", "127.2.3.4", everybody, 0},
	} {
		for _, s := range []*running{s, slow} {
			scoped := []byte(c.value)
			scoped[3] = c.scope
			q := query{name: "x.w.example.test.", qtype: dns.TypeA, opts: [][]byte{opt(1232, 0, option(optionSubnet, c.value))}}
			answer := ask(t, dialAs(t, "udp", c.resolver, s.address(false)), q.bytes())
			m := parse(t, answer)
			if got := addresses(m); got != c.addresses {
				t.Errorf("%x by %s: %s, want %s", c.value, c.resolver, got, c.addresses)
			}
			if got, want := rawOptions(answer, m.IsEdns0()), toHex(string(option(optionSubnet, string(scoped)))); got != want {
				t.Errorf("%x by %s: options %s, want %s", c.value, c.resolver, got, want)
			}
		}
	}
}

// slowly is a table that the wire path does not know.
type slowly struct{ table *zones.Table }

func (s slowly) Answer(q zones.Question, r zones.Random) zones.Answer { return s.table.Answer(q, r) }

// malformedSubnets are the values that get FORMERR, by the sentence that says so
// (RFC 7871).
var malformedSubnets = []struct{ name, value string }{
	// section 6: two octets, one, one, and the address
	{"empty", ""},
	{"half a family", "\x00"},
	{"family alone", "\x00\x01"},
	{"no scope", "\x00\x01\x18"},
	// section 6: "In queries, it MUST be set to 0."
	{"scope as long as the source", "\x00\x01\x18\x18\x7f\x01\x02"},
	{"scope shorter", "\x00\x01\x18\x01\x7f\x01\x02"},
	{"scope longer than an address", "\x00\x01\x18\xff\x7f\x01\x02"},
	{"scope of IPv6", "\x00\x02\x38\x38\xfd\x01\x02\x03\x04\x05\x06"},
	{"scope without source", "\x00\x01\x00\x08"},
	{"scope of no family", "\x00\x00\x00\x01"},
	// section 6: "either too few or too many ADDRESS octets"
	{"too few octets", "\x00\x01\x18\x00\x7f\x01"},
	{"no octets", "\x00\x01\x18\x00"},
	{"too few for the last bit", "\x00\x01\x19\x00\x7f\x01\x02"},
	{"too many octets", "\x00\x01\x18\x00\x7f\x01\x02\x00"},
	{"all octets", "\x00\x01\x08\x00\x7f\x00\x00\x00"},
	{"more than an address", "\x00\x01\x20\x00\x7f\x01\x02\x03\x00"},
	{"octets without source", "\x00\x01\x00\x00\x7f"},
	{"a zero without source", "\x00\x01\x00\x00\x00"},
	{"too few octets of IPv6", "\x00\x02\x38\x00\xfd\x01\x02\x03\x04\x05"},
	{"too many octets of IPv6", "\x00\x02\x38\x00\xfd\x01\x02\x03\x04\x05\x06\x00"},
	{"more than an IPv6 address", "\x00\x02\x80\x00" + strings.Repeat("\x01", 17)},
	// section 6: "non-zero ADDRESS bits set beyond SOURCE PREFIX-LENGTH"
	{"a bit behind /23", "\x00\x01\x17\x00\x7f\x01\x03"},
	{"the last bit behind /25", "\x00\x01\x19\x00\x7f\x01\x02\x01"},
	{"a bit behind /1", "\x00\x01\x01\x00\x40"},
	{"a bit behind IPv6 /57", "\x00\x02\x39\x00\xfd\x01\x02\x03\x04\x05\x06\x40"},
	// a source that is longer than an address of the family
	{"IPv4 /33", "\x00\x01\x21\x00\x7f\x01\x02\x03\x00"},
	{"IPv4 /33, four octets", "\x00\x01\x21\x00\x7f\x01\x02\x03"},
	{"IPv4 /255", "\x00\x01\xff\x00" + strings.Repeat("\x00", 32)},
	{"IPv6 /129", "\x00\x02\x81\x00" + strings.Repeat("\x01", 16) + "\x00"},
	// section 7.2.1: "(e.g., an unknown FAMILY)"
	{"family 3", "\x00\x03\x08\x00\x7f"},
	{"family 3 without address", "\x00\x03\x00\x00"},
	{"family 256", "\x01\x00\x08\x00\x7f"},
	{"family 65535", "\xff\xff\x00\x00"},
	{"no family, but an address", "\x00\x00\x08\x00\x7f"},
	{"no family, but octets", "\x00\x00\x00\x00\x7f"},
}

// Every malformed option is answered with FORMERR, without an option or a record,
// whatever else is in the question, and counted.
func TestMalformedSubnets(t *testing.T) {
	a := subnetTable(t)
	s := start(t, Config{Table: func() Answerer { return a.table }})
	good := option(optionSubnet, "\x00\x01\x18\x00\x7f\x01\x02")
	for _, c := range malformedSubnets {
		bad := option(optionSubnet, c.value)
		for _, way := range ways {
			for name, options := range map[string][][]byte{
				"alone":                  {bad},
				"behind others":          {option(65001, "abc"), option(optionNSID, ""), bad},
				"before others":          {bad, option(65001, ""), option(optionNSID, "")},
				"before a good one":      {bad, good},
				"behind a good one":      {good, bad},
				"for a name not here":    {bad},
				"for what is everyone's": {bad},
			} {
				qname := map[string]string{"for a name not here": "elsewhere.test.", "for what is everyone's": "txt.example.test."}[name]
				if qname == "" {
					qname = "near.p.example.test."
				}
				connection := dial(t, way.network, s.address(way.v6))
				answer, count := askMalformed(t, s, connection, query{name: qname, qtype: dns.TypeA, opts: [][]byte{opt(1232, 0, options...)}})
				connection.Close()
				m := parse(t, answer)
				o := m.IsEdns0()
				if m.Rcode != dns.RcodeFormatError || m.Authoritative || len(m.Answer)+len(m.Ns) > 0 || o == nil || len(o.Option) > 0 || count != 1 {
					t.Errorf("%s, %s, over %s: counted %v times, %v", c.name, name, way.name, count, m)
				}
			}
		}
	}
}

// askMalformed asks, and tells how often the question was counted for its client
// subnet: as a malformed one, or as one of several.
func askMalformed(t *testing.T, s *running, c net.Conn, q query) (answer []byte, count float64) {
	t.Helper()
	counts := func() float64 {
		s.metrics.sum()
		return counted(s.metrics.malformed, string(faultSubnet)) + counted(s.metrics.malformed, string(faultSubnetTwice))
	}
	before := counts()
	answer = ask(t, c, q.bytes())
	return answer, counts() - before
}
