//go:build linux

package peers_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// answerBound is how long an answer may take.
const answerBound = 20 * time.Second

var (
	pool4 = []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"}
	pool6 = []string{"2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8::5"}
)

func TestServers(t *testing.T) {
	for _, name := range peers(t) {
		t.Run(name, func(t *testing.T) {
			d := describe(t, name)
			s := start(t, name)
			if d.version == "" {
				t.Error("it runs, and --describe has no version")
			}
			t.Run("pool", func(t *testing.T) { checkPool(t, d, s) })
			t.Run("names", func(t *testing.T) { checkNames(t, s) })
			t.Run("choice", func(t *testing.T) { checkChoice(t, d, s) })
			t.Run("subnet", func(t *testing.T) { checkSubnet(t, d, s) })
			t.Run("pipelining", func(t *testing.T) { checkPipelining(t, s) })
			t.Run("connections", func(t *testing.T) { checkConnections(t, s) })
			want := []string{"tcp " + s.address, "udp " + s.address}
			if ports := s.ports(t); !slices.Equal(ports, want) {
				t.Errorf("it receives at %q, want %q alone", ports, want)
			}
			s.stop(t)
		})
	}
}

// question asks for a name of the zone, "" for the zone itself.
func question(label, kind string) *dns.Msg {
	name := "example.test."
	if label != "" {
		name = label + "." + name
	}
	m := new(dns.Msg).SetQuestion(name, dns.StringToType[kind])
	m.RecursionDesired = false
	return m
}

func ask(m *dns.Msg, network, address string) (*dns.Msg, error) {
	client := &dns.Client{Net: network, Timeout: answerBound}
	answer, _, err := client.Exchange(m, address)
	return answer, err
}

// mustAsk returns the answer, whose header and question it has checked.
func mustAsk(t *testing.T, m *dns.Msg, network, address string) *dns.Msg {
	t.Helper()
	answer, err := ask(m, network, address)
	if err != nil {
		t.Fatalf("%s %s: %v", network, m.Question[0].String(), err)
	}
	if !answer.Response || !answer.Authoritative || answer.Truncated || answer.Id != m.Id {
		t.Fatalf("%s: want a whole, authoritative answer, got\n%v", network, answer)
	}
	if !slices.Equal(answer.Question, m.Question) {
		t.Fatalf("%s: asked for %v, got the answer to %v", network, m.Question, answer.Question)
	}
	if asked, got := m.IsEdns0(), answer.IsEdns0(); (asked != nil) != (got != nil) || asked != nil && asked.Do() != got.Do() {
		t.Errorf("%s: asked with OPT %v, got OPT %v", network, asked, got)
	}
	return answer
}

// addresses returns the addresses of an answer, in its order, and checks name,
// type and TTL.
func addresses(t *testing.T, answer *dns.Msg, ttl uint32) []string {
	t.Helper()
	if answer.Rcode != dns.RcodeSuccess {
		t.Fatalf("want an answer, got\n%v", answer)
	}
	var found []string
	for _, record := range answer.Answer {
		header := record.Header()
		if header.Rrtype == dns.TypeRRSIG && answer.IsEdns0() != nil && answer.IsEdns0().Do() {
			continue
		}
		if header.Name != answer.Question[0].Name || header.Rrtype != answer.Question[0].Qtype || header.Ttl != ttl {
			t.Fatalf("record %v: want the name and type that were asked for, and TTL %d", record, ttl)
		}
		switch record := record.(type) {
		case *dns.A:
			found = append(found, record.A.String())
		case *dns.AAAA:
			found = append(found, record.AAAA.String())
		}
	}
	return found
}

// checkPool checks the pool's records, over UDP and TCP, for each kind of
// question.
func checkPool(t *testing.T, d description, s *server) {
	for _, network := range []string{"udp", "tcp"} {
		for kind, members := range map[string][]string{"A": pool4, "AAAA": pool6} {
			for form, set := range map[string]func(*dns.Msg){
				"plain": func(*dns.Msg) {},
				"EDNS":  func(m *dns.Msg) { m.SetEdns0(1232, false) },
				"DO":    func(m *dns.Msg) { m.SetEdns0(1232, true) },
			} {
				m := question("dl", kind)
				set(m)
				found := addresses(t, mustAsk(t, m, network, s.address), 60)
				sorted := slices.Sorted(slices.Values(found))
				if len(found) != d.records || len(slices.Compact(sorted)) != d.records {
					t.Errorf("%s %s %s: %q, want %d different addresses", network, kind, form, found, d.records)
				}
				for _, address := range found {
					if !slices.Contains(members, address) {
						t.Errorf("%s %s %s: %s is not of the pool", network, kind, form, address)
					}
				}
			}
		}
	}
}

// checkNames checks the rest of the zone.
func checkNames(t *testing.T, s *server) {
	for _, network := range []string{"udp", "tcp"} {
		for i := range 50 {
			m := question(fmt.Sprintf("host%d", i), "A")
			if found := addresses(t, mustAsk(t, m, network, s.address), 3600); !slices.Equal(found, []string{fmt.Sprintf("127.0.1.%d", i)}) {
				t.Errorf("%s host%d: %q", network, i, found)
			}
		}
		for _, label := range []string{"host50", "nosuch", "a.b.c"} {
			m := question(label, "A")
			m.SetEdns0(1232, false)
			answer := mustAsk(t, m, network, s.address)
			if answer.Rcode != dns.RcodeNameError || len(answer.Answer) != 0 || len(answer.Ns) != 1 || !isZoneSOA(answer.Ns[0]) {
				t.Errorf("%s %s: want NXDOMAIN and the SOA, got\n%v", network, label, answer)
			}
		}
		if answer := mustAsk(t, question("dl", "TXT"), network, s.address); answer.Rcode != dns.RcodeSuccess ||
			len(answer.Answer) != 0 || len(answer.Ns) != 1 || !isZoneSOA(answer.Ns[0]) {
			t.Errorf("%s dl TXT: want no data and the SOA, got\n%v", network, answer)
		}
		if answer := mustAsk(t, question("", "SOA"), network, s.address); len(answer.Answer) != 1 || !isZoneSOA(answer.Answer[0]) {
			t.Errorf("%s SOA: got\n%v", network, answer)
		}
		var servers []string
		for _, record := range mustAsk(t, question("", "NS"), network, s.address).Answer {
			if record, ok := record.(*dns.NS); ok {
				servers = append(servers, record.Ns)
			}
		}
		if slices.Sort(servers); !slices.Equal(servers, []string{"ns1.example.test.", "ns2.example.test."}) {
			t.Errorf("%s NS: %q", network, servers)
		}
		for _, label := range []string{"ns1", "ns2"} {
			if found := addresses(t, mustAsk(t, question(label, "A"), network, s.address), 3600); !slices.Equal(found, []string{"127.0.0.1"}) {
				t.Errorf("%s %s: %q", network, label, found)
			}
		}
	}
}

func isZoneSOA(record dns.RR) bool {
	soa, ok := record.(*dns.SOA)
	return ok && soa.Hdr.Name == "example.test."
}

// checkChoice checks that answers to the same question are the same or differ,
// as the kind of the peer says.
func checkChoice(t *testing.T, d description, s *server) {
	// Of 60 answers drawn by weight, all the same: less than once in 10^17 runs.
	const questions = 60
	seen := map[string]int{}
	for range questions {
		seen[strings.Join(addresses(t, mustAsk(t, question("dl", "A"), "udp", s.address), 60), " ")]++
	}
	switch d.kind {
	case "static":
		if len(seen) != 1 {
			t.Errorf("static, with %d different answers: %v", len(seen), seen)
		}
	case "rotating", "weighted":
		if len(seen) < 2 {
			t.Errorf("%s, and %d answers were the same: %v", d.kind, questions, seen)
		}
	}
}

// checkSubnet checks that a geo-aware server chooses by the client subnet, and
// that any server answers a question that has one.
func checkSubnet(t *testing.T, d description, s *server) {
	seen := map[string]bool{}
	for i := range 200 {
		subnet := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: net.IPv4(byte(1+i), byte(37*i), byte(91*i), 0).To4()}
		if i%2 == 1 {
			address := netip.MustParseAddr("2400::").As16()
			binary.BigEndian.PutUint32(address[1:], uint32(i)*2654435761)
			subnet = &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 2, SourceNetmask: 56, Address: address[:]}
		}
		m := question("dl", "A")
		m.SetEdns0(1232, false)
		m.IsEdns0().Option = append(m.IsEdns0().Option, subnet)
		answer := mustAsk(t, m, "udp", s.address)
		found := addresses(t, answer, 60)
		slices.Sort(found)
		seen[strings.Join(found, " ")] = true
		if len(found) != d.records {
			t.Errorf("%v: %q, want %d addresses", subnet, found, d.records)
		}
		if d.kind != "geo" {
			continue
		}
		if echoed := subnetOf(answer); echoed == nil || echoed.Family != subnet.Family || echoed.SourceNetmask != subnet.SourceNetmask ||
			!echoed.Address.Equal(subnet.Address) || echoed.SourceScope == 0 {
			t.Errorf("asked with %v, the answer has %v: want it back with a scope", subnet, echoed)
		}
	}
	if d.kind == "geo" && len(seen) < 3 {
		t.Errorf("all 200 subnets got one of %q: the place is not looked up", slices.Sorted(maps.Keys(seen)))
	}
}

func subnetOf(m *dns.Msg) *dns.EDNS0_SUBNET {
	for _, option := range m.IsEdns0().Option {
		if subnet, ok := option.(*dns.EDNS0_SUBNET); ok {
			return subnet
		}
	}
	return nil
}

// checkPipelining sends many questions over one connection before it reads an
// answer, several times over. Some servers end a connection after 128 questions.
func checkPipelining(t *testing.T, s *server) {
	const rounds, questions = 6, 20
	connection := connect(t, s)
	for round := range rounds {
		var out []byte
		wanted := map[uint16]bool{}
		for i := range questions {
			m := question("dl", "A")
			m.Id = uint16(round*questions + i)
			wanted[m.Id] = true
			packed, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			out = append(binary.BigEndian.AppendUint16(out, uint16(len(packed))), packed...)
		}
		if _, err := connection.Conn.Write(out); err != nil {
			t.Fatal(err)
		}
		for len(wanted) > 0 {
			answer, err := connection.ReadMsg()
			if err != nil {
				t.Fatalf("round %d: %d of %d answers are missing: %v", round, len(wanted), questions, err)
			}
			if !wanted[answer.Id] || len(answer.Answer) == 0 {
				t.Fatalf("round %d: not an answer that is waited for:\n%v", round, answer)
			}
			delete(wanted, answer.Id)
		}
	}
}

// checkConnections keeps many connections open, each of which gets answers.
func checkConnections(t *testing.T, s *server) {
	connections := make([]*dns.Conn, 150)
	for i := range connections {
		connections[i] = connect(t, s)
		exchange(t, connections[i], i)
	}
	for i, connection := range connections {
		exchange(t, connection, i)
	}
}

func connect(t *testing.T, s *server) *dns.Conn {
	t.Helper()
	connection, err := dns.DialTimeout("tcp", s.address, answerBound)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	if err := connection.SetDeadline(time.Now().Add(2 * answerBound)); err != nil {
		t.Fatal(err)
	}
	return connection
}

func exchange(t *testing.T, connection *dns.Conn, number int) {
	t.Helper()
	m := question("dl", "AAAA")
	if err := connection.WriteMsg(m); err != nil {
		t.Fatalf("connection %d: %v", number, err)
	}
	answer, err := connection.ReadMsg()
	if err != nil || answer.Id != m.Id || len(answer.Answer) == 0 {
		t.Fatalf("connection %d: %v, %v", number, answer, err)
	}
}
