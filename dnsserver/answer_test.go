package dnsserver

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

func TestHeaderQuestionAndOPT(t *testing.T) {
	s := start(t, Config{Settings: Settings{NSID: "ns1"}})
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			for i, c := range headerCases {
				t.Run(c.name, func(t *testing.T) {
					over := way.network
					before := counted(s.metrics.queries, c.pool, c.rcode, over)
					malformed := counted(s.metrics.malformed, string(c.fault))
					c.query.id = uint16(0xA000 + i)
					packet := c.query.bytes()
					answer := ask(t, dial(t, way.network, s.address(way.v6)), packet)
					checkHeader(t, &c, packet, answer)
					if got := counted(s.metrics.queries, c.pool, c.rcode, over); got != before+1 {
						t.Errorf("queries{%q,%s,%s} went up by %v, want 1", c.pool, c.rcode, over, got-before)
					}
					if got := counted(s.metrics.malformed, string(c.fault)); c.fault != faultNone && got != malformed+1 {
						t.Errorf("malformed{%s} went up by %v, want 1", c.fault, got-malformed)
					}
				})
			}
		})
	}
}

func checkHeader(t *testing.T, c *headerCase, packet, answer []byte) {
	t.Helper()
	if got := binary.BigEndian.Uint16(answer); got != c.query.id {
		t.Errorf("id %#x, want %#x", got, c.query.id)
	}
	if got := binary.BigEndian.Uint16(answer[2:]); got != c.flags {
		t.Errorf("flags %#04x, want %#04x", got, c.flags)
	}
	m := parse(t, answer)
	if c.question {
		length := len(wireName(c.query.name)) + 4
		if len(m.Question) != 1 || string(answer[12:12+length]) != string(packet[12:12+length]) {
			t.Errorf("the question is not echoed byte for byte:\n%x", answer)
		}
	} else if len(m.Question) != 0 {
		t.Errorf("found a question, want none: %v", m.Question)
	}
	got := m.IsEdns0()
	if (got != nil) != c.opt {
		t.Fatalf("OPT: %v, want one: %v", got, c.opt)
	}
	if got == nil {
		return
	}
	if size := got.UDPSize(); size != DefaultUDPSize {
		t.Errorf("announced size %d, want %d", size, DefaultUDPSize)
	}
	if got.Hdr.Ttl != c.ttl {
		t.Errorf("OPT's TTL %#08x, want %#08x", got.Hdr.Ttl, c.ttl)
	}
	if options := rawOptions(answer, got); options != c.options {
		t.Errorf("options %q, want %q", options, c.options)
	}
}

// rawOptions gives an OPT's data, which is at the end, in hexadecimal.
func rawOptions(answer []byte, o *dns.OPT) string {
	return fmt.Sprintf("%x", answer[len(answer)-int(o.Hdr.Rdlength):])
}

func TestSections(t *testing.T) {
	s := start(t, Config{})
	cases := []struct {
		name, qname                   string
		qtype                         uint16
		answer, authority, additional []string
	}{
		{
			name: "pool", qname: "Pool.Example.Test.", qtype: dns.TypeA,
			answer: repeat(4, "Pool.Example.Test. 60 IN A 127.0.1.%d"),
		},
		{
			name: "CNAME to a pool", qname: "wWw.example.test.", qtype: dns.TypeA,
			answer: append([]string{"wWw.example.test. 3600 IN CNAME pool.example.test."}, repeat(4, "pool.example.test. 60 IN A 127.0.1.%d")...),
		},
		{
			name: "several records", qname: "txt.example.test.", qtype: typeTXT,
			answer: []string{`txt.example.test. 60 IN TXT "one"`, `txt.example.test. 60 IN TXT "two"`},
		},
		{
			name: "NODATA", qname: "empty.EXAMPLE.test.", qtype: typeTXT,
			authority: []string{"EXAMPLE.test. 60 IN SOA ns1.EXAMPLE.test. hostmaster.EXAMPLE.test. 7 7200 900 1209600 60"},
		},
		{
			name: "referral", qname: "host.sub.example.test.", qtype: dns.TypeA,
			authority:  []string{"sub.example.test. 60 IN NS ns.sub.example.test.", "sub.example.test. 60 IN NS ns.other.test."},
			additional: repeat(2, "ns.sub.example.test. 60 IN AAAA ::3:%d"),
		},
		{
			name: "a dot and a control character in a label", qname: `We\.ird\007.example.test.`, qtype: dns.TypeA,
			answer: []string{`We\.ird\007.example.test. 60 IN A 127.0.0.9`},
		},
	}
	for _, way := range ways {
		for _, c := range cases {
			t.Run(way.name+"/"+c.name, func(t *testing.T) {
				q := query{id: 7, name: c.qname, qtype: c.qtype, opts: [][]byte{opt(1232, 0)}}
				m := parse(t, ask(t, dial(t, way.network, s.address(way.v6)), q.bytes()))
				for _, section := range []struct {
					name      string
					got, want []string
				}{
					{"answer", lines(m.Answer), c.answer},
					{"authority", lines(m.Ns), c.authority},
					{"additional", lines(m.Extra), c.additional},
				} {
					if !slices.Equal(section.got, section.want) {
						t.Errorf("%s:\n%s\nwant\n%s", section.name, strings.Join(section.got, "\n"), strings.Join(section.want, "\n"))
					}
				}
			})
		}
	}
}

// An owner name that is the question's takes two bytes.
func TestOwnersPointToTheQuestion(t *testing.T) {
	s := start(t, Config{})
	answer := ask(t, dial(t, "udp", s.address(false)), query{name: "pOOl.exaMple.test.", qtype: dns.TypeA}.bytes())
	question := len(wireName("pool.example.test.")) + 4
	if want := 12 + question + 4*(2+10+4); len(answer) != want {
		t.Errorf("%d bytes, want %d: %x", len(answer), want, answer)
	}
	if at := 12 + question; answer[at] != 0xC0 || answer[at+1] != 12 {
		t.Errorf("the first owner is not a pointer to the question: %x", answer[at:])
	}
}

func TestSilence(t *testing.T) {
	s := start(t, Config{})
	good := query{id: 77, name: "txt.example.test.", qtype: typeTXT}
	for _, c := range []struct {
		name, reason string
		packet       []byte
	}{
		{"an answer", dropResponse, query{id: 1, flags: flagQR, name: "txt.example.test.", qtype: typeTXT}.bytes()},
		{"an answer that cannot be read", dropResponse, append(query{id: 1, flags: flagQR}.bytes(), 0xFF)},
		{"11 bytes", dropShort, good.bytes()[:11]},
		{"nothing", dropShort, nil},
	} {
		for _, way := range ways[:2] {
			t.Run(way.name+"/"+c.name, func(t *testing.T) {
				before := counted(s.metrics.dropped, c.reason)
				conn := dial(t, way.network, s.address(way.v6))
				// Packets of one socket reach one worker, in order: if the first
				// had been answered, that would be what is received.
				send(t, conn, c.packet)
				if m := parse(t, ask(t, conn, good.bytes())); m.Id != good.id {
					t.Errorf("got an answer to what should get silence: %v", m)
				}
				if got := counted(s.metrics.dropped, c.reason); got != before+1 {
					t.Errorf("dropped{%s} went up by %v, want 1", c.reason, got-before)
				}
			})
		}
		t.Run("tcp/"+c.name, func(t *testing.T) {
			conn := dial(t, "tcp", s.address(false))
			send(t, conn, c.packet)
			if answer, err := receive(conn); err == nil {
				t.Errorf("got %x, want the connection's end", answer)
			}
		})
	}
}

func TestNotReadyIsSilent(t *testing.T) {
	s := start(t, Config{Table: FromTable(func() *zones.Table { return nil })})
	conn := dial(t, "udp", s.address(false))
	send(t, conn, query{id: 1, name: "txt.example.test.", qtype: typeTXT}.bytes())
	// What does not need a table is answered.
	if m := parse(t, ask(t, conn, query{id: 2, flags: 4 << 11, name: "example.test.", qtype: dns.TypeSOA}.bytes())); m.Id != 2 {
		t.Errorf("answered %d without a table", m.Id)
	}
	if got := counted(s.metrics.dropped, dropNotReady); got != 1 {
		t.Errorf("dropped{not_ready} = %v, want 1", got)
	}
}

// A panic far below the table, in a function that has the client among its
// arguments, is reported by its place alone.
func TestFailuresAreReportedWithoutTheClient(t *testing.T) {
	table := testTable()
	table["panic.example.test."] = func(q zones.Question) zones.Answer { return panicBelow(q.Client, q.Client.As16()) }
	s := start(t, Config{Table: func() Answerer { return table }})
	for _, c := range []struct{ name, reason, text, place string }{
		{"panic.example.test.", failurePanic, "on purpose", "panicBelow:"},
		{"broken.example.test.", failurePack, "no..name.", ""},
	} {
		for _, v6 := range []bool{false, true} {
			before := counted(s.metrics.failures, c.reason)
			ask(t, dial(t, "udp", s.address(v6)), query{name: c.name, qtype: typeTXT}.bytes())
			if got := counted(s.metrics.failures, c.reason); got != before+1 {
				t.Errorf("failures{%s} went up by %v, want 1", c.reason, got-before)
			}
			report := (<-s.reports).Error()
			if !strings.Contains(report, c.text) || !strings.Contains(report, c.place) {
				t.Errorf("report %q, want %q and %q in it", report, c.text, c.place)
			}
			// An address as text, as a number, and as arguments of a stack trace.
			for _, trace := range []string{"127.0.0.1", "::1", "7f000001", "(0x", "{0x", "goroutine "} {
				if strings.Contains(report, trace) {
					t.Errorf("report %q: %q may tell who asked", report, trace)
				}
			}
		}
	}
}

//go:noinline
func panicBelow(client netip.Addr, bytes [16]byte) zones.Answer {
	if client.IsValid() && bytes[15] == 1 {
		panic("on purpose")
	}
	return zones.Answer{}
}
