package dnsserver

import (
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

func newTestResponder(table Answerer) *responder {
	config := Config{Settings: Settings{NSID: "ns1"}, Table: func() Answerer { return table }}.withDefaults()
	r := responderOf(&config, overUDP)
	r.begin()
	return r
}

// The answer goes behind what is in the buffer, and the responder is as good as
// new after a panic or an answer that did not fit.
func TestRespondAppends(t *testing.T) {
	r := newTestResponder(testTable())
	client := netip.MustParseAddr("::1")
	want := string(newTestResponder(testTable()).respond(nil, query{name: "www.example.test.", qtype: dns.TypeA}.bytes(), client, overUDP))
	for _, name := range []string{"panic.example.test.", "broken.example.test.", "big.example.test.", "host.many.example.test."} {
		r.respond(nil, query{name: name, qtype: typeTXT}.bytes(), client, overUDP)
		got := string(r.respond([]byte("before"), query{name: "www.example.test.", qtype: dns.TypeA}.bytes(), client, overUDP))
		if got != "before"+want {
			t.Errorf("after %s: %x, want %x", name, got, want)
		}
	}
}

// However the system writes an IPv4 client's address, it is asked for as IPv4,
// and never with an interface.
func TestClientIsPlain(t *testing.T) {
	for from, want := range map[string]string{
		"::ffff:127.0.0.3": "127.0.0.3", "fe80::1%lo": "fe80::1", "127.0.0.3": "127.0.0.3", "::1": "::1",
	} {
		table := &witness{fakeTable: testTable()}
		newTestResponder(table).respond(nil, query{name: "pool.example.test.", qtype: dns.TypeA}.bytes(), netip.MustParseAddr(from), overUDP)
		if got := table.client(); got != netip.MustParseAddr(want) {
			t.Errorf("%s was asked for as %v, want %s", from, got, want)
		}
	}
}

func BenchmarkRespond(b *testing.B) {
	for _, c := range []struct {
		name string
		q    query
	}{
		{"pool", query{name: "pool.example.test.", qtype: dns.TypeA}},
		{"pool-0x20", query{name: "pOol.exAmple.tesT.", qtype: dns.TypeA}},
		{"pool-edns", query{name: "pool.example.test.", qtype: dns.TypeA, opts: [][]byte{opt(1232, 0x8000)}}},
		{"pool-subnet", query{
			name: "pool.example.test.", qtype: dns.TypeA,
			opts: [][]byte{opt(1232, 0, option(8, "\x00\x01\x18\x00\x7f\x01\x02"))},
		}},
		{"nodata", query{name: "empty.example.test.", qtype: dns.TypeA}},
		{"refused", query{name: "elsewhere.test.", qtype: dns.TypeAXFR}},
	} {
		b.Run(c.name, func(b *testing.B) {
			table := testTable()
			// Answers made beforehand, as a table has them.
			for _, name := range []string{"pool.example.test.", "empty.example.test."} {
				made := table[name](zones.Question{Name: name, Type: dns.TypeA, Client: netip.MustParseAddr("127.0.0.1")})
				table[name] = func(zones.Question) zones.Answer { return made }
			}
			r := newTestResponder(table)
			packet, client := c.q.bytes(), netip.MustParseAddr("127.0.0.1")
			buffer := make([]byte, 0, DefaultUDPSize)
			b.ReportAllocs()
			for b.Loop() {
				if r.respond(buffer, packet, client, overUDP) == nil {
					b.Fatal("silence")
				}
			}
		})
	}
}
