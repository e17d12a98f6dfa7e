package dnsserver

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

const (
	headerFORMERR = flagQR | 1
	typeTXT       = dns.TypeTXT
)

// headerCase is one packet, and what has to come back.
type headerCase struct {
	name  string
	query query
	// flags is the whole second word of the answer's header.
	flags    uint16
	question bool   // whether it is echoed
	opt      bool   // whether there is an OPT
	ttl      uint32 // of that OPT
	options  string // of that OPT, in hexadecimal
	pool     string
	rcode    string // as the counter names it
	fault    fault
}

var headerCases = []headerCase{
	{
		name: "plain", query: query{name: "txt.example.test.", qtype: typeTXT},
		flags: flagQR | flagAA, question: true, rcode: "NOERROR",
	},
	{
		name: "RD copied, CD, AD, Z, RA, TC and AA not", query: query{name: "txt.example.test.", qtype: typeTXT, flags: 0x07FF &^ 15},
		flags: flagQR | flagAA | flagRD, question: true, rcode: "NOERROR",
	},
	{
		name: "response code in a question", query: query{name: "txt.example.test.", qtype: typeTXT, flags: 5},
		flags: flagQR | flagAA, question: true, rcode: "NOERROR",
	},
	{
		name: "spelling kept", query: query{name: "tXt.ExAmple.TEST.", qtype: typeTXT},
		flags: flagQR | flagAA, question: true, rcode: "NOERROR",
	},
	{
		name: "outside", query: query{name: "txt.elsewhere.test.", qtype: typeTXT, flags: flagRD},
		flags: flagQR | flagRD | 5, question: true, rcode: "REFUSED",
	},
	{
		name: "the root", query: query{name: ".", qtype: dns.TypeNS},
		flags: flagQR | 5, question: true, rcode: "REFUSED",
	},
	{
		name: "no such name", query: query{name: "nope.example.test.", qtype: typeTXT},
		flags: flagQR | flagAA | 3, question: true, rcode: "NXDOMAIN",
	},
	{
		name: "from a pool", query: query{name: "pool.example.test.", qtype: dns.TypeA},
		flags: flagQR | flagAA, question: true, pool: "pool.example.test", rcode: "NOERROR",
	},

	{
		name: "NOTIFY", query: query{name: "example.test.", qtype: dns.TypeSOA, flags: 4<<11 | flagAA},
		flags: flagQR | 4<<11 | 4, question: true, rcode: "NOTIMP",
	},
	{
		name: "UPDATE", query: query{name: "example.test.", qtype: dns.TypeSOA, flags: 5 << 11, opts: [][]byte{opt(1232, 0)}},
		flags: flagQR | 5<<11 | 4, question: true, opt: true, rcode: "NOTIMP",
	},
	{
		name: "opcode 15 and nothing that can be read", query: query{flags: 15 << 11, counts: &[4]uint16{1, 2, 3, 4}},
		flags: flagQR | 15<<11 | 4, rcode: "NOTIMP",
	},
	{
		name: "CHAOS", query: query{name: "version.bind.", qtype: typeTXT, class: dns.ClassCHAOS},
		flags: flagQR | 5, question: true, rcode: "REFUSED",
	},
	{
		name: "class ANY", query: query{name: "txt.example.test.", qtype: typeTXT, class: dns.ClassANY},
		flags: flagQR | 5, question: true, rcode: "REFUSED",
	},
	{
		name: "AXFR", query: query{name: "example.test.", qtype: dns.TypeAXFR},
		flags: flagQR | 5, question: true, rcode: "REFUSED",
	},
	{
		name: "IXFR with its SOA", query: query{
			name: "example.test.", qtype: dns.TypeIXFR, authority: 1,
			sections: append([]byte{0xC0, 12}, 0, 6, 0, 1, 0, 0, 0, 0, 0, 22, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
		},
		flags: flagQR | 5, question: true, rcode: "REFUSED",
	},
	{
		name: "MAILA", query: query{name: "example.test.", qtype: dns.TypeMAILA},
		flags: flagQR | 4, question: true, rcode: "NOTIMP",
	},
	{
		name: "a question for OPT", query: query{name: "example.test.", qtype: dns.TypeOPT},
		flags: headerFORMERR, question: true, rcode: "FORMERR", fault: faultType,
	},

	{
		name: "no question", query: query{counts: &[4]uint16{}},
		flags: headerFORMERR, rcode: "FORMERR", fault: faultQuestionCount,
	},
	{
		name: "no question but an OPT", query: query{counts: &[4]uint16{0, 0, 0, 1}, opts: [][]byte{opt(512, 0)}},
		flags: headerFORMERR, opt: true, rcode: "FORMERR", fault: faultQuestionCount,
	},
	{
		name: "two questions", query: query{
			name: "txt.example.test.", qtype: typeTXT, counts: &[4]uint16{2},
			sections: append(wireName("txt.example.test."), 0, 16, 0, 1),
		},
		flags: headerFORMERR, rcode: "FORMERR", fault: faultQuestionCount,
	},
	{
		name: "a question that ends early", query: query{counts: &[4]uint16{1}, trailing: "\x03txt\x00\x00\x10\x00"},
		flags: headerFORMERR, rcode: "FORMERR", fault: faultQuestion,
	},
	{
		name: "a pointer in the question", query: query{counts: &[4]uint16{1}, trailing: "\xC0\x0C\x00\x01\x00\x01"},
		flags: headerFORMERR, rcode: "FORMERR", fault: faultQuestion,
	},
	{
		name: "a name of 256 bytes", query: query{
			counts:   &[4]uint16{1},
			trailing: strings.Repeat("\x3f"+strings.Repeat("a", 63), 3) + "\x3e" + strings.Repeat("a", 62) + "\x00\x00\x01\x00\x01",
		},
		flags: headerFORMERR, rcode: "FORMERR", fault: faultQuestion,
	},
	{
		name: "records in the answer section", query: query{
			name: "txt.example.test.", qtype: typeTXT, answers: 1,
			sections: []byte{0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1},
			opts:     [][]byte{opt(512, 0)},
		},
		flags: headerFORMERR, question: true, opt: true, rcode: "FORMERR", fault: faultSection,
	},
	{
		name: "records in the authority section", query: query{
			name: "txt.example.test.", qtype: typeTXT, authority: 1,
			sections: []byte{0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1},
		},
		flags: headerFORMERR, question: true, rcode: "FORMERR", fault: faultSection,
	},
	{
		name: "an additional record is passed over", query: query{
			name: "txt.example.test.", qtype: typeTXT, extra: 1,
			sections: []byte{0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1},
			opts:     [][]byte{opt(512, 0)},
		},
		flags: flagQR | flagAA, question: true, opt: true, rcode: "NOERROR",
	},
	{
		name: "a record that is not there", query: query{name: "txt.example.test.", qtype: typeTXT, extra: 1},
		flags: headerFORMERR, question: true, rcode: "FORMERR", fault: faultRecord,
	},
	{
		name: "data that ends early", query: query{
			name: "txt.example.test.", qtype: typeTXT, extra: 1, sections: []byte{0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127},
		},
		flags: headerFORMERR, question: true, rcode: "FORMERR", fault: faultRecord,
	},
	{
		name: "bytes at the end", query: query{name: "txt.example.test.", qtype: typeTXT, trailing: "x"},
		flags: headerFORMERR, question: true, rcode: "FORMERR", fault: faultTrailing,
	},

	{
		name: "OPT", query: query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(4096, 0)}},
		flags: flagQR | flagAA, question: true, opt: true, rcode: "NOERROR",
	},
	{
		name: "DO echoed, other flags not", query: query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(4096, 0xFFFF)}},
		flags: flagQR | flagAA, question: true, opt: true, ttl: 0x8000, rcode: "NOERROR",
	},
	{
		name: "OPT in REFUSED", query: query{name: "txt.elsewhere.test.", qtype: typeTXT, opts: [][]byte{opt(4096, 0)}},
		flags: flagQR | 5, question: true, opt: true, rcode: "REFUSED",
	},
	{
		name: "version 1", query: query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(4096, 0x0001_8000, option(8, "x"))}},
		flags: flagQR, question: true, opt: true, ttl: 0x0100_8000, rcode: "BADVERS",
	},
	{
		name: "extended code in a question", query: query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(4096, 0xFF00_0000)}},
		flags: flagQR | flagAA, question: true, opt: true, rcode: "NOERROR",
	},
	{
		name: "unknown options, a broken cookie among them", query: query{
			name: "txt.example.test.", qtype: typeTXT,
			opts: [][]byte{opt(4096, 0, option(10, "abc"), option(65001, "whatever"), option(11, ""))},
		},
		flags: flagQR | flagAA, question: true, opt: true, rcode: "NOERROR",
	},
	{
		name: "NSID", query: query{
			name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(4096, 0, option(3, ""))},
		},
		flags: flagQR | flagAA, question: true, opt: true, options: "0003" + "0003" + "6e7331", rcode: "NOERROR",
	},
	{
		name: "NSID in REFUSED", query: query{
			name: "txt.elsewhere.test.", qtype: typeTXT, opts: [][]byte{opt(4096, 0, option(3, "xyz"))},
		},
		flags: flagQR | 5, question: true, opt: true, options: "0003" + "0003" + "6e7331", rcode: "REFUSED",
	},
	{
		name: "two OPTs", query: query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(512, 0), opt(512, 0)}},
		flags: headerFORMERR, question: true, opt: true, rcode: "FORMERR", fault: faultOPTTwice,
	},
	{
		name: "an OPT that is not the root's", query: query{
			name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{append([]byte{1, 'a'}, opt(512, 0)...)},
		},
		flags: headerFORMERR, question: true, rcode: "FORMERR", fault: faultOPTPlace,
	},
	{
		name: "an OPT in the answer section", query: query{
			name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(512, 0)}, counts: &[4]uint16{1, 1},
		},
		flags: headerFORMERR, question: true, rcode: "FORMERR", fault: faultSection,
	},
	{
		name: "an option longer than its OPT", query: query{
			name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(512, 0, []byte{0, 3, 0, 1})},
		},
		flags: headerFORMERR, question: true, opt: true, rcode: "FORMERR", fault: faultOption,
	},
	{
		name: "half an option", query: query{
			name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(512, 0, []byte{0, 3})},
		},
		flags: headerFORMERR, question: true, opt: true, rcode: "FORMERR", fault: faultOption,
	},
	{
		name: "a panic", query: query{name: "panic.example.test.", qtype: typeTXT, flags: flagRD, opts: [][]byte{opt(512, 0)}},
		flags: flagQR | flagRD | 2, rcode: "SERVFAIL",
	},
	{
		name: "a record that cannot be packed", query: query{name: "broken.example.test.", qtype: typeTXT, opts: [][]byte{opt(512, 0)}},
		flags: flagQR | 2, question: true, opt: true, rcode: "SERVFAIL",
	},
}

func TestHeaderQuestionAndOPT(t *testing.T) {
	s := start(t, Config{NSID: "ns1"})
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

func TestFailuresAreReportedWithoutTheClient(t *testing.T) {
	s := start(t, Config{})
	for _, c := range []struct{ name, reason, text string }{
		{"panic.example.test.", failurePanic, "on purpose"},
		{"broken.example.test.", failurePack, "no..name."},
	} {
		ask(t, dial(t, "udp", s.address(false)), query{name: c.name, qtype: typeTXT}.bytes())
		if got := counted(s.metrics.failures, c.reason); got != 1 {
			t.Errorf("failures{%s} = %v, want 1", c.reason, got)
		}
		err := <-s.reports
		if !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("report %q, want %q in it and no address", err, c.text)
		}
		if c.reason == failurePanic && !strings.Contains(err.Error(), "testTable") {
			t.Errorf("report %q does not say where", err)
		}
	}
}
