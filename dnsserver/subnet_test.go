package dnsserver

import (
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

// witness is a table that remembers who was asked for.
type witness struct {
	fakeTable
	mu   sync.Mutex
	last zones.Question
}

func (w *witness) Answer(q zones.Question, r zones.Random) zones.Answer {
	w.mu.Lock()
	w.last = q
	w.mu.Unlock()
	return w.fakeTable.Answer(q, r)
}

func (w *witness) client() netip.Addr {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last.Client
}

func (w *witness) resolver() netip.Addr {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last.Resolver
}

func TestSubnet(t *testing.T) {
	table := &witness{fakeTable: testTable()}
	s := start(t, Config{Table: func() Answerer { return table }})
	mapped := strings.Repeat("\x00", 10) + "\xff\xff"
	for _, c := range []struct {
		name, qname string
		value       string // of the option
		want        string // what comes back; empty: FORMERR and no option
		client      string // whom the table was asked for; empty: nobody
		rcode       int
	}{
		// located, and the answer depends on it: the table's scope
		{"IPv4 /24", "pool.example.test.", "\x00\x01\x18\x00\x7f\x01\x02", "\x00\x01\x18\x14\x7f\x01\x02", "127.1.2.0", 0},
		{"IPv4 /32", "pool.example.test.", "\x00\x01\x20\x00\x7f\x01\x02\x03", "\x00\x01\x20\x14\x7f\x01\x02\x03", "127.1.2.3", 0},
		{"IPv4 /1", "pool.example.test.", "\x00\x01\x01\x00\x00", "\x00\x01\x01\x14\x00", "0.0.0.0", 0},
		{"IPv4 /9", "pool.example.test.", "\x00\x01\x09\x00\x7f\x80", "\x00\x01\x09\x14\x7f\x80", "127.128.0.0", 0},
		{"IPv6 /56", "pool.example.test.", "\x00\x02\x38\x00\xfc\x00\x01\x02\x03\x04\x05", "\x00\x02\x38\x2c\xfc\x00\x01\x02\x03\x04\x05", "fc00:102:304:500::", 0},
		{"IPv6 /128", "pool.example.test.", "\x00\x02\x80\x00\xfc" + strings.Repeat("\x01", 15), "\x00\x02\x80\x2c\xfc" + strings.Repeat("\x01", 15), "fc01:101:101:101:101:101:101:101", 0},
		{"IPv4 in IPv6 /120", "pool.example.test.", "\x00\x02\x78\x00" + mapped + "\x7f\x01\x02", "\x00\x02\x78\x74" + mapped + "\x7f\x01\x02", "127.1.2.0", 0},
		{"IPv4 in IPv6, but no more than its prefix", "pool.example.test.", "\x00\x02\x60\x00" + mapped, "\x00\x02\x60\x74" + mapped, "0.0.0.0", 0},
		// not to be located
		{"IPv4 /0", "pool.example.test.", "\x00\x01\x00\x00", "\x00\x01\x00\x00", "invalid IP", 0},
		{"IPv6 /0", "pool.example.test.", "\x00\x02\x00\x00", "\x00\x02\x00\x00", "invalid IP", 0},
		{"no family", "pool.example.test.", "\x00\x00\x00\x00", "\x00\x00\x00\x00", "invalid IP", 0},
		// what does not depend on place is for everybody
		{"static", "txt.example.test.", "\x00\x01\x18\x00\x7f\x01\x02", "\x00\x01\x18\x00\x7f\x01\x02", "127.1.2.0", 0},
		{"no such name", "nope.example.test.", "\x00\x01\x18\x00\x7f\x01\x02", "\x00\x01\x18\x00\x7f\x01\x02", "127.1.2.0", 3},
		{"outside", "elsewhere.test.", "\x00\x01\x18\x00\x7f\x01\x02", "\x00\x01\x18\x00\x7f\x01\x02", "127.1.2.0", 5},
		// malformed
		{"scope in a question", "pool.example.test.", "\x00\x01\x18\x18\x7f\x01\x02", "", "", 1},
		{"too long a prefix", "pool.example.test.", "\x00\x01\x21\x00\x7f\x01\x02\x03\x00", "", "", 1},
		{"too long an IPv6 prefix", "pool.example.test.", "\x00\x02\x81\x00" + strings.Repeat("\x01", 16) + "\x00", "", "", 1},
		{"address too short", "pool.example.test.", "\x00\x01\x18\x00\x7f\x01", "", "", 1},
		{"address too long", "pool.example.test.", "\x00\x01\x18\x00\x7f\x01\x02\x00", "", "", 1},
		{"bits behind the prefix", "pool.example.test.", "\x00\x01\x17\x00\x7f\x01\x03", "", "", 1},
		{"family 3", "pool.example.test.", "\x00\x03\x08\x00\x7f", "", "", 1},
		{"family 3 without address", "pool.example.test.", "\x00\x03\x00\x00", "", "", 1},
		{"no family but an address", "pool.example.test.", "\x00\x00\x08\x00\x7f", "", "", 1},
		{"three bytes", "pool.example.test.", "\x00\x01\x18", "", "", 1},
		{"empty", "pool.example.test.", "", "", "", 1},
	} {
		for _, way := range ways {
			t.Run(way.name+"/"+c.name, func(t *testing.T) {
				malformed := counted(s.metrics.malformed, string(faultSubnet))
				table.mu.Lock()
				table.last.Client = netip.IPv6LinkLocalAllNodes()
				table.mu.Unlock()
				q := query{name: c.qname, qtype: dns.TypeA, opts: [][]byte{opt(1232, 0, option(8, c.value))}}
				answer := ask(t, dial(t, way.network, s.address(way.v6)), q.bytes())
				m := parse(t, answer)
				if m.Rcode != c.rcode {
					t.Errorf("response code %d, want %d", m.Rcode, c.rcode)
				}
				o := m.IsEdns0()
				if o == nil {
					t.Fatal("no OPT")
				}
				want := ""
				if c.want != "" {
					want = toHex(string(option(8, c.want)))
				}
				if got := rawOptions(answer, o); got != want {
					t.Errorf("options %s, want %s", got, want)
				}
				if c.client == "" {
					if got := table.client(); got != netip.IPv6LinkLocalAllNodes() {
						t.Errorf("the table was asked for %v", got)
					}
					if got := counted(s.metrics.malformed, string(faultSubnet)); got != malformed+1 {
						t.Errorf("malformed{subnet} went up by %v, want 1", got-malformed)
					}
				} else if got := table.client().String(); got != c.client {
					t.Errorf("asked for %s, want %s", got, c.client)
				}
			})
		}
	}
}

func TestTwoSubnets(t *testing.T) {
	s := start(t, Config{})
	value := option(8, "\x00\x01\x18\x00\x7f\x01\x02")
	q := query{name: "pool.example.test.", qtype: dns.TypeA, opts: [][]byte{opt(1232, 0, value, value)}}
	if m := parse(t, ask(t, dial(t, "udp", s.address(false)), q.bytes())); m.Rcode != dns.RcodeFormatError {
		t.Errorf("response code %d, want FORMERR", m.Rcode)
	}
	if got := counted(s.metrics.malformed, string(faultSubnetTwice)); got != 1 {
		t.Errorf("malformed{subnet_twice} = %v, want 1", got)
	}
}

// Without the option, the one who asks is the one who is located.
func TestClientIsTheSender(t *testing.T) {
	table := &witness{fakeTable: testTable()}
	s := start(t, Config{Table: func() Answerer { return table }})
	for _, way := range ways {
		m := parse(t, ask(t, dial(t, way.network, s.address(way.v6)), query{name: "pool.example.test.", qtype: dns.TypeA, opts: [][]byte{opt(512, 0)}}.bytes()))
		want := s.address(way.v6).Addr()
		if got := table.client(); got != want {
			t.Errorf("%s: asked for %v, want %v", way.name, got, want)
		}
		if o := m.IsEdns0(); o == nil || len(o.Option) != 0 {
			t.Errorf("%s: OPT %v, want one without options", way.name, o)
		}
	}
}
