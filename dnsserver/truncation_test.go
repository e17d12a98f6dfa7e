package dnsserver

import (
	"encoding/hex"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

func toHex(s string) string { return hex.EncodeToString([]byte(s)) }

func TestTruncation(t *testing.T) {
	s := start(t, Config{})
	for _, c := range []struct {
		name, network, qname string
		qtype                uint16
		size                 uint16 // announced; 0: no OPT
		options              [][]byte
		limit                int
		tc                   bool
		answers, authorities int
		extras               int // without OPT; -1: some but not all
	}{
		// 12 + 24 bytes of header and question; AAAA records of 28 bytes
		{"pool gives fewer", "udp", "large.example.test.", dns.TypeAAAA, 0, nil, 512, false, (512 - 36) / 28, 0, 0},
		{"pool gives fewer, OPT", "udp", "large.example.test.", dns.TypeAAAA, 1000, nil, 1000, false, (1000 - 36 - 11) / 28, 0, 0},
		{"less than 512 is 512", "udp", "large.example.test.", dns.TypeAAAA, 100, nil, 512, false, (512 - 36 - 11) / 28, 0, 0},
		{"no more than ours", "udp", "large.example.test.", dns.TypeAAAA, 65535, nil, 1232, false, (1232 - 36 - 11) / 28, 0, 0},
		{
			"options have their room", "udp", "large.example.test.", dns.TypeAAAA, 512,
			[][]byte{option(8, "\x00\x01\x18\x00\x7f\x01\x02")},
			512, false, (512 - 36 - 11 - 11) / 28, 0, 0,
		},
		{"pool gives all over TCP", "tcp", "large.example.test.", dns.TypeAAAA, 512, nil, 65535, false, 60, 0, 0},
		{"RRset too large", "udp", "big.example.test.", dns.TypeTXT, 1232, nil, 1232, true, 0, 0, 0},
		{"RRset too large without EDNS", "udp", "big.example.test.", dns.TypeTXT, 0, nil, 512, true, 0, 0, 0},
		{"RRset over TCP", "tcp", "big.example.test.", dns.TypeTXT, 0, nil, 65535, false, 30, 0, 0},
		{"CNAME stays, its target goes", "udp", "alias.example.test.", dns.TypeTXT, 1232, nil, 1232, true, 1, 0, 0},
		{"CNAME over TCP", "tcp", "alias.example.test.", dns.TypeTXT, 0, nil, 65535, false, 31, 0, 0},
		{"too large for TCP", "tcp", "vast.example.test.", dns.TypeTXT, 1232, nil, 65535, true, 0, 0, 0},
		// the AAAA of 30 go, the one A comes still
		{"additional records go silently", "udp", "extra.example.test.", dns.TypeMX, 0, nil, 512, false, 1, 0, 1},
		{"additional records over TCP", "tcp", "extra.example.test.", dns.TypeMX, 0, nil, 65535, false, 1, 0, 31},
		{"glue fits", "udp", "host.sub.example.test.", dns.TypeA, 0, nil, 512, false, 0, 2, 2},
		{"glue does not fit", "udp", "host.many.example.test.", dns.TypeA, 0, nil, 512, true, 0, 2, 0},
		{"glue after a CNAME fits", "udp", "to-few.example.test.", dns.TypeA, 0, nil, 512, false, 1, 2, 2},
		{"glue after a CNAME does not fit", "udp", "to-many.example.test.", dns.TypeA, 0, nil, 512, true, 1, 2, 0},
		{"glue after a CNAME over TCP", "tcp", "to-many.example.test.", dns.TypeA, 0, nil, 65535, false, 1, 2, 30},
		{"glue over TCP", "tcp", "host.many.example.test.", dns.TypeA, 0, nil, 65535, false, 0, 2, 30},
	} {
		for _, v6 := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				q := query{name: c.qname, qtype: c.qtype}
				if c.size > 0 {
					q.opts = [][]byte{opt(c.size, 0, c.options...)}
				}
				before := counted(s.metrics.truncated, c.network)
				answer := ask(t, dial(t, c.network, s.address(v6)), q.bytes())
				m := parse(t, answer)
				if len(answer) > c.limit {
					t.Errorf("%d bytes, want at most %d", len(answer), c.limit)
				}
				if m.Truncated != c.tc {
					t.Errorf("TC %v, want %v", m.Truncated, c.tc)
				}
				if len(m.Answer) != c.answers || len(m.Ns) != c.authorities || len(lines(m.Extra)) != c.extras {
					t.Errorf("%d, %d, %d records, want %d, %d, %d",
						len(m.Answer), len(m.Ns), len(lines(m.Extra)), c.answers, c.authorities, c.extras)
				}
				if (m.IsEdns0() != nil) != (c.size > 0) {
					t.Errorf("OPT %v, asked for one: %v", m.IsEdns0(), c.size > 0)
				}
				want := before
				if c.tc {
					want++
				}
				if got := counted(s.metrics.truncated, c.network); got != want {
					t.Errorf("truncated went from %v to %v, want %v", before, got, want)
				}
			})
		}
	}
}

// What was drawn and given counts; what was cut off does not.
func TestChoicesAreCounted(t *testing.T) {
	s := start(t, Config{})
	ask(t, dial(t, "udp", s.address(false)), query{name: "large.example.test.", qtype: dns.TypeAAAA}.bytes())
	pool := "pool.example.test"
	for _, c := range []struct {
		member, position string
		want             float64
	}{{"m1", "first", 1}, {"m1", "other", 0}, {"m2", "other", 1}, {"m17", "other", 1}, {"m18", "other", 0}} {
		if got := counted(s.metrics.choices, pool, c.member, c.position); got != c.want {
			t.Errorf("choices{%s,%s} = %v, want %v", c.member, c.position, got, c.want)
		}
	}
}

// Members may have several addresses each: those that were cut off whole do not
// count.
func TestChoicesOfSeveralAddresses(t *testing.T) {
	large := fromPool(records(repeat(60, "large.example.test. 60 IN AAAA ::1:%d")...), 60, members(5)...)
	s := start(t, Config{Table: func() Answerer {
		return fakeTable{"large.example.test.": func(q zones.Question) zones.Answer {
			a := large(q)
			a.MemberRecords = []int{8, 8, 2, 2, 40}
			return a
		}}
	}})
	// The first 17 records fit: one of them is the third member's.
	ask(t, dial(t, "udp", s.address(false)), query{name: "large.example.test.", qtype: dns.TypeAAAA}.bytes())
	pool := "pool.example.test"
	for i, want := range []float64{1, 1, 1, 0, 0} {
		position := "other"
		if i == 0 {
			position = "first"
		}
		if got := counted(s.metrics.choices, pool, members(5)[i], position); got != want {
			t.Errorf("choices{%s,%s} = %v, want %v", members(5)[i], position, got, want)
		}
	}
}

// A pool's only record that does not fit is no answer: TC.
func TestNotEvenOneDrawn(t *testing.T) {
	long := dns.Fqdn("a23456789.a23456789.a23456789.a23456789.a23456789.a23456789.a23456789.a23456789.a23456789.a23456789")
	lines := append(repeat(4, `c.example.test. 60 IN TXT "%0100d"`), long+" 60 IN A 127.0.0.1")
	table := fakeTable{"c.example.test.": fromPool(records(lines...), 1, "m1")}
	s := start(t, Config{Table: func() Answerer { return table }})
	// 12 + 20, 4 × 113, and no room for the rest of 512
	m := parse(t, ask(t, dial(t, "udp", s.address(false)), query{name: "c.example.test.", qtype: dns.TypeA}.bytes()))
	if !m.Truncated || len(m.Answer) != 4 {
		t.Errorf("TC %v with %d records, want TC with 4", m.Truncated, len(m.Answer))
	}
	if got := counted(s.metrics.choices, "pool.example.test", "m1", "first"); got != 0 {
		t.Errorf("a member that was not given counts: %v", got)
	}
}

// What is written after something that did not fit must not point to names
// that went with it.
func TestNamesOfWhatWasLeftOut(t *testing.T) {
	table := fakeTable{"mx.example.test.": func(zones.Question) zones.Answer {
		return zones.Answer{
			Authoritative: true,
			Answer:        records("mx.example.test. 60 IN MX 10 mail.example.test."),
			Additional:    records(append(repeat(30, "new.name.test. 60 IN AAAA ::2:%d"), "new.name.test. 60 IN A 127.0.0.3")...),
		}
	}}
	s := start(t, Config{Table: func() Answerer { return table }})
	m := parse(t, ask(t, dial(t, "udp", s.address(false)), query{name: "mx.example.test.", qtype: dns.TypeMX}.bytes()))
	want := []string{"new.name.test. 60 IN A 127.0.0.3"}
	if got := lines(m.Extra); !slices.Equal(got, want) {
		t.Errorf("additional records %q, want %q", got, want)
	}
}
