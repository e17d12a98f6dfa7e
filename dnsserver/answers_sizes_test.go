package dnsserver

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

// rrset is a part of a message that is there whole or not at all.
type rrset struct {
	section string
	name    string
	kind    uint16
}

// rrsets gives the records of a message by their RRset, and the order of those.
func rrsets(m *dns.Msg) (all map[rrset][]string, order []rrset) {
	all = make(map[rrset][]string)
	for _, section := range []struct {
		name    string
		records []dns.RR
	}{{"answer", m.Answer}, {"authority", m.Ns}, {"additional", m.Extra}} {
		for _, rr := range section.records {
			if rr.Header().Rrtype == dns.TypeOPT {
				continue
			}
			key := rrset{section.name, strings.ToLower(rr.Header().Name), rr.Header().Rrtype}
			if all[key] == nil {
				order = append(order, key)
			}
			all[key] = append(all[key], rr.String())
		}
	}
	return all, order
}

// needed reports whether an RRset is glue that a referral must have or be
// truncated (RFC 9471, section 3.1).
func (s rrset) needed(order []rrset) bool {
	return slices.ContainsFunc(order, func(o rrset) bool {
		return o.section == "authority" && o.kind == dns.TypeNS && s.section == "additional" && dns.IsSubDomain(o.name, s.name)
	})
}

// TestWholeRRsets asks for all that the archives have, with little room and with
// much, and holds each answer against the one over TCP: every RRset is whole or
// not there (RFC 2181, section 9), TC tells that one is missing that belongs to
// the answer, and nothing else does.
func TestWholeRRsets(t *testing.T) {
	for _, a := range append(readTables(t, "testdata/tables/sizes.txtar"), readTables(t, "testdata/tables/zones.txtar")...) {
		t.Run(a.path, func(t *testing.T) {
			s := start(t, Config{Settings: Settings{UDPSize: 4096}, Table: func() Answerer { return a.table }})
			whole, short := dial(t, "tcp", s.address(false)), dial(t, "udp", s.address(false))
			for _, c := range []net.Conn{whole, short} {
				c.SetDeadline(time.Now().Add(time.Minute))
			}
			truncated := 0
			for _, q := range referenceQuestions(a) {
				if a.table.Answer(zones.Question{Name: q.Name, Type: q.Qtype}, newRandom()).Pool != "" {
					continue
				}
				full := exchange(t, whole, q)
				if full.Truncated {
					t.Errorf("%s %s: TC over TCP", q.Name, dns.Type(q.Qtype))
				}
				sizes := []int{0, 700, 1232}
				for i, size := range sizes {
					packet := query{id: uint16(i), name: q.Name, qtype: q.Qtype}
					if size > 0 {
						packet.opts = [][]byte{opt(uint16(size), 0)}
					}
					send(t, short, packet.bytes())
				}
				for i, size := range sizes { // one worker has them all, and answers in order
					answer, err := receive(short)
					if err != nil {
						t.Fatalf("%s %s with %d bytes: %v", q.Name, dns.Type(q.Qtype), size, err)
					}
					if len(answer) > max(size, minUDPSize) {
						t.Fatalf("%s %s: %d bytes where %d are taken", q.Name, dns.Type(q.Qtype), len(answer), max(size, minUDPSize))
					}
					m := parse(t, answer)
					if int(m.Id) != i {
						t.Fatalf("%s %s: answer %d came in place of %d", q.Name, dns.Type(q.Qtype), m.Id, i)
					}
					if found := lacking(full, m); len(found) > 0 {
						t.Errorf("%s %s with %d bytes: %s\n%v", q.Name, dns.Type(q.Qtype), size, strings.Join(found, "; "), m)
					}
					if m.Truncated {
						truncated++
					}
				}
			}
			if truncated < 20 {
				t.Errorf("only %d answers had TC: the archive is too small", truncated)
			}
		})
	}
}

// lacking tells what is wrong with an answer for which there was less room.
func lacking(full, m *dns.Msg) (wrong []string) {
	want, order := rrsets(full)
	got, found := rrsets(m)
	missing := false
	for _, key := range order {
		switch {
		case slices.Equal(got[key], want[key]):
			if missing && key.section != "additional" {
				wrong = append(wrong, fmt.Sprintf("%v behind one that is missing", key))
			}
		case len(got[key]) > 0:
			wrong = append(wrong, fmt.Sprintf("%v in part", key))
		case key.section != "additional" || key.needed(order):
			missing = true
		}
	}
	for _, key := range found {
		if want[key] == nil {
			wrong = append(wrong, fmt.Sprintf("%v is new", key))
		}
	}
	if missing != m.Truncated {
		wrong = append(wrong, fmt.Sprintf("TC is %v", m.Truncated))
	}
	if m.Rcode != full.Rcode || m.Authoritative != full.Authoritative {
		wrong = append(wrong, fmt.Sprintf("header is %+v, expected %+v", m.MsgHdr, full.MsgHdr))
	}
	return wrong
}

// TestSizes holds what is left of answers that are too large.
func TestSizes(t *testing.T) {
	a := readTables(t, "testdata/tables/sizes.txtar")[0]
	s := start(t, Config{Settings: Settings{UDPSize: 4096}, Table: func() Answerer { return a.table }})
	for _, c := range []struct {
		name                             string
		kind                             uint16
		size                             int // 0: no OPT; -1: over TCP
		tc                               bool
		answers, authorities, additional int
	}{
		{"hosts", dns.TypeA, 0, true, 0, 0, 0},
		{"hosts", dns.TypeA, 1232, false, 60, 0, 0},
		{"hosts", dns.TypeA, -1, false, 60, 0, 0},
		{"tohosts", dns.TypeA, 0, true, 1, 0, 0}, // the alias stays
		{"x.wild", dns.TypeA, 600, true, 1, 0, 0},
		{"twohosts", dns.TypeA, 0, false, 20, 0, 0},
		{"twohosts", dns.TypeAAAA, 0, false, 9, 0, 0},
		// RRsets of addresses that fit are given, whatever does not before them.
		{"mx", dns.TypeMX, 0, false, 12, 0, 10},
		{"mx", dns.TypeMX, 1232, false, 12, 0, 24},
		{"mx2", dns.TypeMX, 0, false, 2, 0, 2},
		{"mx2", dns.TypeMX, -1, false, 2, 0, 42},
		{"https", dns.TypeHTTPS, 0, false, 9, 0, 5},
		{"exact", dns.TypeTXT, 0, false, 1, 0, 0},
		{"exact", dns.TypeTXT, 512, true, 0, 0, 0}, // OPT takes 11 bytes
		{"exact", dns.TypeTXT, 523, false, 1, 0, 0},
		{"exact", dns.TypeTXT, 522, true, 0, 0, 0},
		// The delegation's own glue is there, that of its siblings where it fits.
		{"x.own", dns.TypeA, 0, false, 0, 11, 12},
		{"x.own", dns.TypeA, -1, false, 0, 11, 22},
		{"toown", dns.TypeA, 0, false, 1, 11, 11},
		{"x.vast", dns.TypeA, 0, true, 0, 11, 12},
		{"x.vast", dns.TypeA, 1232, false, 0, 11, 22},
		{"tovast", dns.TypeA, 0, true, 1, 11, 12},
		{"tovast", dns.TypeA, -1, false, 1, 11, 22},
		{"x.huge", dns.TypeA, 0, true, 0, 0, 0},
		{"x.huge", dns.TypeA, -1, false, 0, 41, 1},
	} {
		t.Run(fmt.Sprint(c.name, " ", dns.Type(c.kind), " ", c.size), func(t *testing.T) {
			packet, network := query{name: c.name + ".example.test.", qtype: c.kind}, "udp"
			if c.size > 0 {
				packet.opts = [][]byte{opt(uint16(c.size), 0)}
			} else if c.size < 0 {
				network = "tcp"
			}
			s.metrics.sum()
			want := counted(s.metrics.truncated, network)
			m := parse(t, ask(t, dial(t, network, s.address(false)), packet.bytes()))
			if m.Truncated != c.tc || len(m.Answer) != c.answers || len(m.Ns) != c.authorities || len(lines(m.Extra)) != c.additional {
				t.Errorf("TC %v, %d, %d, %d records, expected %v, %d, %d, %d:\n%v", m.Truncated, len(m.Answer), len(m.Ns), len(lines(m.Extra)),
					c.tc, c.answers, c.authorities, c.additional, m)
			}
			if c.tc {
				want++
			}
			s.metrics.sum()
			if got := counted(s.metrics.truncated, network); got != want {
				t.Errorf("truncated is %v, expected %v", got, want)
			}
		})
	}
}

// TestPoolAlwaysFits asks for pools with more records than fit, by short names
// and by names as long as they may be, and holds that each answer is as full as
// it can be, has no TC, and no record in part.
func TestPoolAlwaysFits(t *testing.T) {
	a := manyMembers(t)
	long := strings.Repeat("l"+strings.Repeat("o", 60)+".", 3) + "x.example.test."
	longest := strings.Repeat("a", 63) + "." + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + "." + strings.Repeat("d", 46) + ".w.example.test."
	if len(wireName(longest)) != 255 {
		t.Fatal("the longest name is not so long")
	}
	s := start(t, Config{Settings: Settings{UDPSize: 4096}, Table: func() Answerer { return a.table }})
	for _, c := range []struct {
		name  string
		drawn int // records
		alias bool
	}{
		{"sixty.example.test.", 32, false},
		{"SIXTY.Example.test.", 32, false},
		{"fat.example.test.", 32 * 9, false},
		{"alias.example.test.", 32, true},
		{long, 32 * 9, true},
		{"x.w.example.test.", 32 * 9, true},
		{longest, 32 * 9, true},
	} {
		for kind, size := range map[uint16]int{dns.TypeA: 16, dns.TypeAAAA: 28} {
			for _, room := range []int{0, 100, 512, 513, 527, 528, 529, 1000, 1232, 1400, 4095, 4096, 65535, -1} {
				packet, network, limit := query{name: c.name, qtype: kind}, "udp", minUDPSize
				switch {
				case room < 0:
					network, limit = "tcp", maxMessage
				case room > 0:
					packet.opts = [][]byte{opt(uint16(room), 0)}
					limit = min(max(room, minUDPSize), 4096)
				}
				answer := ask(t, dial(t, network, s.address(false)), packet.bytes())
				m := parse(t, answer)
				given, aliases := len(m.Answer), 0
				if c.alias {
					given, aliases = given-1, 1
				}
				fault := ""
				switch {
				case m.Truncated || m.Rcode != dns.RcodeSuccess || !m.Authoritative || len(m.Ns) != 0:
					fault = "the header, or the authority section"
				case len(answer) > limit:
					fault = "the size"
				case given > c.drawn || given < c.drawn && len(answer)+size <= limit:
					fault = "the number of records"
				case slices.ContainsFunc(m.Answer[aliases:], func(rr dns.RR) bool { return rr.Header().Rrtype != kind }):
					fault = "a record"
				}
				if fault != "" {
					t.Errorf("%s %s with room for %d: %s is wrong: %d bytes, %d records\n%v", c.name, dns.Type(kind), room, fault, len(answer), given, m)
				}
			}
		}
	}
}
