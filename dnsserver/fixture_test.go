package dnsserver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/sys/unix"

	"mirrorpool/zones"
)

// fakeTable answers by the name in lower case.
type fakeTable map[string]func(zones.Question) zones.Answer

func (f fakeTable) Answer(q zones.Question, _ zones.Random) zones.Answer {
	if answer, ok := f[strings.ToLower(q.Name)]; ok {
		return answer(q)
	}
	if !dns.IsSubDomain("example.test.", strings.ToLower(q.Name)) {
		return zones.Answer{Rcode: dns.RcodeRefused}
	}
	return zones.Answer{Rcode: dns.RcodeNameError, Authoritative: true, Authority: records(soa)}
}

const soa = "Example.test. 60 IN SOA ns1.example.test. hostmaster.example.test. 7 7200 900 1209600 60"

func records(lines ...string) []dns.RR {
	var all []dns.RR
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			panic(err)
		}
		all = append(all, rr)
	}
	return all
}

func repeat(n int, format string) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf(format, i+1)
	}
	return lines
}

func static(rrs []dns.RR) func(zones.Question) zones.Answer {
	return func(zones.Question) zones.Answer { return zones.Answer{Authoritative: true, Answer: rrs} }
}

func fromPool(rrs []dns.RR, drawn int, members ...string) func(zones.Question) zones.Answer {
	return func(q zones.Question) zones.Answer {
		a := zones.Answer{
			Authoritative: true, Answer: rrs, Drawn: drawn, PlaceDependent: true,
			Pool: "pool.example.test", Members: members,
		}
		if q.Client.Is4() {
			a.ScopeBits = 20
		} else if q.Client.IsValid() {
			a.ScopeBits = 44
		}
		return a
	}
}

func members(n int) []string { return repeat(n, "m%d") }

// testTable holds one name for each thing that an answer may be.
func testTable() fakeTable {
	return fakeTable{
		"example.test.":      static(records(soa)),
		"pool.example.test.": fromPool(records(repeat(4, "pool.example.test. 60 IN A 127.0.1.%d")...), 4, members(4)...),
		"www.example.test.": fromPool(records(append([]string{"www.example.test. 3600 IN CNAME pool.example.test."},
			repeat(4, "pool.example.test. 60 IN A 127.0.1.%d")...)...), 4, members(4)...),
		"large.example.test.": fromPool(records(repeat(60, "large.example.test. 60 IN AAAA ::1:%d")...), 60, members(60)...),
		"txt.example.test.":   static(records(`txt.example.test. 60 IN TXT "one"`, `txt.example.test. 60 IN TXT "two"`)),
		"big.example.test.":   static(records(repeat(30, `big.example.test. 60 IN TXT "%0100d"`)...)),
		"alias.example.test.": static(records(append([]string{"alias.example.test. 60 IN CNAME big.example.test."},
			repeat(30, `big.example.test. 60 IN TXT "%0100d"`)...)...)),
		"vast.example.test.": static(records(repeat(700, `vast.example.test. 60 IN TXT "%0100d"`)...)),
		"extra.example.test.": func(zones.Question) zones.Answer {
			return zones.Answer{
				Authoritative: true,
				Answer:        records("extra.example.test. 60 IN MX 10 mail.example.test."),
				Additional: records(append(repeat(30, "mail.example.test. 60 IN AAAA ::2:%d"),
					"mail.example.test. 60 IN A 127.0.0.3")...),
			}
		},
		"host.sub.example.test.":  referral(2),
		"host.many.example.test.": referral(30),
		"to-few.example.test.":    aliased(referral(2), "to-few.example.test. 60 IN CNAME host.sub.example.test."),
		"to-many.example.test.":   aliased(referral(30), "to-many.example.test. 60 IN CNAME host.many.example.test."),
		"empty.example.test.": func(zones.Question) zones.Answer {
			return zones.Answer{Authoritative: true, Authority: records(soa)}
		},
		`we\.ird\007.example.test.`: static(records(`we\.ird\007.example.test. 60 IN A 127.0.0.9`)),
		"panic.example.test.":       func(zones.Question) zones.Answer { panic("on purpose") },
		"broken.example.test.":      static([]dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: "no..name.", Rrtype: dns.TypeTXT, Class: 1}}}),
	}
}

func referral(glue int) func(zones.Question) zones.Answer {
	return func(zones.Question) zones.Answer {
		return zones.Answer{
			Authority:  records("sub.example.test. 60 IN NS ns.sub.example.test.", "sub.example.test. 60 IN NS ns.other.test."),
			Additional: records(repeat(glue, "ns.sub.example.test. 60 IN AAAA ::3:%d")...),
		}
	}
}

// aliased answers after a CNAME, which sets AA.
func aliased(rest func(zones.Question) zones.Answer, cname string) func(zones.Question) zones.Answer {
	return func(q zones.Question) zones.Answer {
		a := rest(q)
		a.Authoritative = true
		a.Answer = append(records(cname), a.Answer...)
		return a
	}
}

// running is a server with its counters and the table's last question.
type running struct {
	*Server
	reports chan error
}

func start(t testing.TB, config Config) *running {
	t.Helper()
	if config.Table == nil {
		table := testTable()
		config.Table = func() Answerer { return table }
	}
	if config.Listen == nil {
		config.Listen = loopback()
	}
	r := &running{reports: make(chan error, 100)}
	if config.Report == nil {
		config.Report = func(err error) {
			select {
			case r.reports <- err:
			default:
			}
		}
	}
	s, err := Listen(config)
	if err != nil {
		t.Fatalf("Listen: %v", err)
	}
	r.Server = s
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

// loopback are two addresses, the second one of IPv6 where the machine has it.
func loopback() []string {
	if haveIPv6() {
		return []string{"127.0.0.1:0", "[::1]:0"}
	}
	return []string{"127.0.0.1:0", "127.0.0.2:0"}
}

func haveIPv6() bool {
	c, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// address is the first of loopback, or the second.
func (r *running) address(v6 bool) netip.AddrPort {
	if v6 {
		return r.Addresses()[1]
	}
	return r.Addresses()[0]
}

// ways are the transports that every case goes over.
var ways = []struct {
	name    string
	network string
	v6      bool
}{{"udp4", "udp", false}, {"udp6", "udp", true}, {"tcp4", "tcp", false}, {"tcp6", "tcp", true}}

const patience = time.Minute

func dial(t testing.TB, network string, address netip.AddrPort) net.Conn {
	t.Helper()
	c, err := net.Dial(network, address.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// arrived waits until what was written to a TCP connection is in the other side's system.
func arrived(t testing.TB, c net.Conn) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for waiting := 1; waiting > 0; time.Sleep(100 * time.Microsecond) {
		controlErr := raw.Control(func(fd uintptr) { waiting, err = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
		if err := errors.Join(controlErr, err); err != nil {
			t.Fatal(err)
		}
	}
}

// hasBegun waits until a server has read a part of a question.
func hasBegun(t *testing.T, s *Server) {
	t.Helper()
	eventually(t, "a question has begun", func() bool {
		s.open.mu.Lock()
		defer s.open.mu.Unlock()
		for c := s.open.all.front; c != nil; c = c.places[queueOfAll].after {
			if !c.quiet {
				return true
			}
		}
		return false
	})
}

func send(t testing.TB, c net.Conn, packet []byte) {
	t.Helper()
	if c.RemoteAddr().Network() == "tcp" {
		packet = append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
	}
	if _, err := c.Write(packet); err != nil {
		t.Fatal(err)
	}
}

func receive(c net.Conn) ([]byte, error) {
	if c.RemoteAddr().Network() == "tcp" {
		var prefix [2]byte
		if _, err := io.ReadFull(c, prefix[:]); err != nil {
			return nil, err
		}
		packet := make([]byte, binary.BigEndian.Uint16(prefix[:]))
		_, err := io.ReadFull(c, packet)
		return packet, err
	}
	packet := make([]byte, maxMessage)
	n, err := c.Read(packet)
	return packet[:n], err
}

func ask(t testing.TB, c net.Conn, packet []byte) []byte {
	t.Helper()
	send(t, c, packet)
	answer, err := receive(c)
	if err != nil {
		t.Fatalf("receiving: %v", err)
	}
	return answer
}

// query writes a question with whatever is to be wrong with it.
type query struct {
	id        uint16
	flags     uint16
	counts    *[4]uint16 // nil: those of what follows
	name      string
	qtype     uint16
	class     uint16 // 0: IN
	sections  []byte // records in wire form between question and OPT
	answers   uint16
	authority uint16
	extra     uint16
	opts      [][]byte
	trailing  string
}

func (q query) bytes() []byte {
	counts := [4]uint16{1, q.answers, q.authority, q.extra + uint16(len(q.opts))}
	if q.counts != nil {
		counts = *q.counts
	}
	b := binary.BigEndian.AppendUint16(nil, q.id)
	b = binary.BigEndian.AppendUint16(b, q.flags)
	for _, n := range counts {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	if q.name != "" {
		class := q.class
		if class == 0 {
			class = 1
		}
		b = append(b, wireName(q.name)...)
		b = binary.BigEndian.AppendUint16(b, q.qtype)
		b = binary.BigEndian.AppendUint16(b, class)
	}
	b = append(b, q.sections...)
	for _, opt := range q.opts {
		b = append(b, opt...)
	}
	return append(b, q.trailing...)
}

func wireName(name string) []byte {
	var b [300]byte
	n, err := dns.PackDomainName(name, b[:], 0, nil, false)
	if err != nil {
		panic(err)
	}
	return b[:n]
}

// opt writes an OPT; ttl is extended response code, version and flags.
func opt(size uint16, ttl uint32, options ...[]byte) []byte {
	b := []byte{0, 0, 41}
	b = binary.BigEndian.AppendUint16(b, size)
	b = binary.BigEndian.AppendUint32(b, ttl)
	var all []byte
	for _, o := range options {
		all = append(all, o...)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(all)))
	return append(b, all...)
}

func option(code uint16, value string) []byte {
	b := binary.BigEndian.AppendUint16(nil, code)
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}

func parse(t testing.TB, packet []byte) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		t.Fatalf("the answer does not parse: %v\n%x", err, packet)
	}
	return m
}

// lines gives records as text without white space to trip over.
func lines(rrs []dns.RR) []string {
	var all []string
	for _, rr := range rrs {
		if rr.Header().Rrtype != dns.TypeOPT {
			all = append(all, strings.Join(strings.Fields(rr.String()), " "))
		}
	}
	return all
}

func counted(vec *prometheus.CounterVec, labels ...string) float64 {
	return testutil.ToFloat64(vec.WithLabelValues(labels...))
}

// responderOf makes a responder without a server, of a configuration with its
// defaults.
func responderOf(config *Config, over transport) *responder {
	shared := new(atomic.Pointer[settings])
	shared.Store(makeSettings(config.Settings, nil))
	return newResponder(config, shared, newMetrics(), over)
}

// unbound makes a server without sockets, of a configuration with its defaults.
func unbound(config Config) *Server {
	s := &Server{config: config, metrics: newMetrics()}
	s.settings.Store(makeSettings(config.Settings, nil))
	return s
}
