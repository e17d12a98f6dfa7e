package dnsserver

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// questionTables are all tables of single packets.
var questionTables = []struct {
	name  string
	cases []questionCase
}{
	{"compliance", complianceCases},
	{"EDNS", ednsCases},
	{"options", optionCases},
	{"types", typeCases},
	{"classes", classCases},
	{"counts", countCases},
	{"names", nameCases},
	{"opcodes", opcodeCases},
}

// told is what a server says of itself in the tables.
var told = Settings{NSID: "ns1", Version: "v1", Identity: "me"}

func startQuestions(t testing.TB, settings Settings) *secureServer {
	t.Helper()
	a := readTables(t, "testdata/tables/questions.txtar")[0]
	return startSecure(t, Config{Table: func() Answerer { return a.table }, Settings: settings})
}

// overAllWays runs a test over each transport and family.
func overAllWays(t *testing.T, settings Settings, test func(*testing.T, *asker)) {
	s := startQuestions(t, settings)
	for _, over := range []transport{overUDP, overTCP, overTLS} {
		for _, v6 := range []bool{false, true} {
			if v6 && !haveIPv6() {
				continue
			}
			t.Run(fmt.Sprintf("%s%d", over, map[bool]int{false: 4, true: 6}[v6]), func(t *testing.T) {
				test(t, newAsker(t, s, over, v6))
			})
		}
	}
}

// expect asks one packet, and holds what comes back, and all that is counted.
func (a *asker) expect(t *testing.T, packet []byte, want, counts string) {
	t.Helper()
	got, counted := a.ask(t, packet)
	if got != want {
		t.Errorf("got  %s\nwant %s\nasked was %x", got, want, packet)
	}
	if counted != counts {
		t.Errorf("counted %s\nwant    %s\nasked was %x", counted, counts, packet)
	}
}

// TestQuestions sends every packet of the tables over every transport.
func TestQuestions(t *testing.T) {
	overAllWays(t, told, func(t *testing.T, a *asker) {
		for _, table := range questionTables {
			for i, c := range table.cases {
				t.Run(table.name+"/"+c.name, func(t *testing.T) {
					packet := slices.Clone(c.packet)
					if len(packet) >= 2 {
						binary.BigEndian.PutUint16(packet, uint16(0x8100+i))
					}
					want, counts := c.expected(a.over)
					a.expect(t, packet, want, counts)
				})
			}
		}
	})
}

// TestNothingIsTold: without an NSID, a version and an identity nobody is told
// any, and what is set while the server runs is.
func TestNothingIsTold(t *testing.T) {
	nsid := soaOf(0, opt(4096, 0, option(optionNSID, "")))
	own := func(name string) []byte { return named(name, typeTXT, dns.ClassCHAOS) }
	const (
		refused, refusedCounts = "REFUSED q", "queries REFUSED, unusual chaos"
		given, givenCounts     = "NOERROR aa q answer 1 TXT", "queries NOERROR, unusual chaos"
		nsidCounts             = "edns nsid, edns opt, queries NOERROR, questions SOA"
	)
	versions, identities := []string{"version.bind.", "version.server."}, []string{"id.server.", "hostname.bind."}
	overAllWays(t, Settings{}, func(t *testing.T, a *asker) {
		a.expect(t, nsid, "NOERROR aa q answer 1 SOA opt 1232", nsidCounts)
		for _, name := range slices.Concat(versions, identities) {
			a.expect(t, own(name), refused, refusedCounts)
		}
		change := func(settings Settings) {
			t.Helper()
			if err := a.server.Set(settings); err != nil {
				t.Fatal(err)
			}
		}
		change(Settings{Version: "v2"})
		for _, name := range versions {
			a.expect(t, own(name), given, givenCounts)
			a.expectText(t, own(name), "v2")
		}
		for _, name := range identities {
			a.expect(t, own(name), refused, refusedCounts)
		}
		change(Settings{Identity: "somebody", NSID: "\x00\xff"})
		for _, name := range versions {
			a.expect(t, own(name), refused, refusedCounts)
		}
		for _, name := range identities {
			a.expect(t, own(name), given, givenCounts)
			a.expectText(t, own(strings.ToUpper(name)), "somebody")
		}
		a.expect(t, nsid, "NOERROR aa q answer 1 SOA opt 1232 nsid=\x00\xff", nsidCounts)
		change(Settings{})
		a.expect(t, own("id.server."), refused, refusedCounts)
	})
}

// expectText holds the one record of an answer in class CH: its owner as asked,
// its TTL 0, its text.
func (a *asker) expectText(t *testing.T, packet []byte, text string) {
	t.Helper()
	m := parse(t, ask(t, a.conn, packet))
	if len(m.Answer) != 1 {
		t.Fatalf("answered: %v", m)
	}
	txt, ok := m.Answer[0].(*dns.TXT)
	if !ok || txt.Hdr.Name != m.Question[0].Name || txt.Hdr.Class != dns.ClassCHAOS || txt.Hdr.Ttl != 0 ||
		!slices.Equal(txt.Txt, []string{text}) {
		t.Errorf("answered %v, want the text %q", txt, text)
	}
}

// TestOpcodes sends each opcode but QUERY, with as much as there can be in a
// packet and as little.
func TestOpcodes(t *testing.T) {
	kinds := map[uint16]string{1: "iquery", 2: "status", 4: "notify", 5: "update", 6: "dso"}
	overAllWays(t, told, func(t *testing.T, a *asker) {
		for opcode := uint16(1); opcode < 16; opcode++ {
			kind, known := kinds[opcode]
			if !known {
				kind = "opcode"
			}
			want, question := fmt.Sprintf("NOTIMP opcode %d", opcode), ""
			if opcode == 4 {
				question = " q"
			}
			counts := "queries NOTIMP, unusual " + kind
			for _, flags := range []uint16{0, 0x07FF} {
				flags |= opcode << 11
				a.expect(t, query{id: 0x9001, flags: flags, counts: &[4]uint16{}}.bytes(), want, counts)
				a.expect(t, query{id: 0x9002, flags: flags, counts: &[4]uint16{}, trailing: "x"}.bytes(), want, counts)
				a.expect(t, soaOf(flags), want+question, counts)
				a.expect(t, soaOf(flags, opt(4096, 0)), want+question+" opt 1232", "edns opt, "+counts)
				a.expect(t, soaOf(flags, opt(4096, 0xFFFF, option(optionNSID, ""))), want+question+" opt 1232 do",
					"edns dnssec_ok, edns nsid, edns opt, edns other_flags, "+counts)
			}
		}
	})
}

// TestAnnouncedSizes asks for answers of several sizes with OPTs that take so much: at
// least 512 bytes, and at most our own size, is what an answer over UDP gets.
func TestAnnouncedSizes(t *testing.T) {
	sizes := []int{0, 1, 511, 512, 513, 1231, 1232, 1233, 4096, 65535}
	names := []string{"txt", "fits", "middle", "big"} // of which the second takes 510 bytes without an OPT
	for _, own := range []int{512, 1232, 4096} {
		t.Run(fmt.Sprint(own), func(t *testing.T) {
			table := readTables(t, "testdata/tables/questions.txtar")[0].table
			s := startSecure(t, Config{Table: func() Answerer { return table }, Settings: Settings{UDPSize: own}})
			for _, over := range []transport{overUDP, overTCP, overTLS} {
				a := newAsker(t, s, over, false)
				for _, name := range names {
					whole := len(a.answerTo(t, name, -1, overTCP))
					a.expectSize(t, name, -1, over == overUDP && whole > minUDPSize)
					for _, size := range append(sizes[:len(sizes):len(sizes)], whole+optFixed-1, whole+optFixed) {
						limit := min(max(size, minUDPSize), own)
						a.expectSize(t, name, size, over == overUDP && whole+optFixed > limit)
					}
				}
			}
		})
	}
}

// answerTo asks for a name with an OPT of a size, or without for -1.
func (a *asker) answerTo(t *testing.T, name string, size int, over transport) []byte {
	t.Helper()
	c := a.conn
	if over != a.over {
		c = dial(t, string(over), a.server.address(false))
	}
	return ask(t, c, sizedQuestion(name, size))
}

func sizedQuestion(name string, size int) []byte {
	q := query{id: 0x9003, name: name + ".example.test.", qtype: typeTXT}
	if size >= 0 {
		q.opts = [][]byte{opt(uint16(size), 0)}
	}
	return q.bytes()
}

func (a *asker) expectSize(t *testing.T, name string, size int, cut bool) {
	t.Helper()
	records := map[string]int{"txt": 1, "fits": 1, "middle": 9, "big": 30}[name]
	want, counts := fmt.Sprintf("NOERROR aa q answer %d TXT", records), "queries NOERROR, questions TXT"
	if cut {
		want, counts = "NOERROR aa tc q", counts+", truncated"
	}
	if size >= 0 {
		want, counts = fmt.Sprintf("%s opt %d", want, a.server.settings.Load().UDPSize), "edns opt, "+counts
	}
	a.expect(t, sizedQuestion(name, size), want, counts)
}

// Options that have a number and those that have none are passed over, whatever
// is in them, and wherever they stand among others.
func TestUnknownOptions(t *testing.T) {
	known := []uint16{optionNSID, optionSubnet, optionExpire, optionCookie, optionKeepalive, optionPadding}
	overAllWays(t, told, func(t *testing.T, a *asker) {
		for _, code := range []uint16{0, 1, 2, 4, 5, 6, 7, 13, 14, 15, 16, 17, 18, 19, 20, 100, 20292, 26946, 65000, 65001, 65534, 65535} {
			if slices.Contains(known, code) {
				t.Fatal(code)
			}
			for _, value := range []string{"", "\x00", "\x00\x01\x00\x02", strings.Repeat("x", 300)} {
				one := option(code, value)
				a.expect(t, soaOf(0, opt(4096, 0, one)), "NOERROR aa q answer 1 SOA opt 1232",
					"edns opt, edns unknown_option, queries NOERROR, questions SOA")
				a.expect(t, soaOf(0, opt(4096, 0, one, option(optionNSID, ""), one)), "NOERROR aa q answer 1 SOA opt 1232 nsid=ns1",
					"edns nsid, edns opt, edns unknown_option, queries NOERROR, questions SOA")
			}
		}
	})
}

// A connection on which DSO is refused goes on (RFC 8490 section 5.1.1).
func TestConnectionGoesOnAfterDSO(t *testing.T) {
	s := startQuestions(t, told)
	dso := query{id: 1, flags: opcodeStateful << 11, counts: &[4]uint16{}, trailing: "\x00\x01\x00\x08\x00\x00\x3a\x98\x00\x00\x3a\x98"}.bytes()
	for _, over := range []transport{overTCP, overTLS} {
		a := newAsker(t, s, over, false)
		// All in one go: none of the answers may come late or not at all.
		for i := range 3 {
			send(t, a.conn, dso)
			q := query{id: uint16(100 + i), name: "txt.example.test.", qtype: typeTXT}
			send(t, a.conn, q.bytes())
		}
		for i := range 6 {
			answer, err := receive(a.conn)
			if err != nil {
				t.Fatalf("%s: %v", over, err)
			}
			m := parse(t, answer)
			if i%2 == 0 && (m.Rcode != dns.RcodeNotImplemented || len(answer) != headerSize) {
				t.Errorf("%s: answered to DSO: %x", over, answer)
			}
			if i%2 == 1 && (int(m.Id) != 100+i/2 || len(m.Answer) != 1) {
				t.Errorf("%s: answered after DSO: %v", over, m)
			}
		}
	}
}

// Padding makes answers whole blocks, whatever they are long, and over TLS alone.
func TestPadding(t *testing.T) {
	s := startQuestions(t, Settings{NSID: strings.Repeat("n", maxIdentity)})
	a := newAsker(t, s, overTLS, false)
	seen := make(map[int]bool)
	for length := range paddingBlock {
		// Each is one byte longer than the last, by what is echoed of the name.
		name := strings.Repeat("a.", length%90) + strings.Repeat("b", 1+length%60) + ".example.test."
		options := [][]byte{option(optionPadding, strings.Repeat("\x00", length))}
		if length%2 == 1 {
			options = append(options, option(optionNSID, ""))
		}
		q := query{id: uint16(length), name: name, qtype: typeTXT, opts: [][]byte{opt(1232, 0, options...)}}
		answer := ask(t, a.conn, q.bytes())
		if len(answer)%paddingBlock != 0 {
			t.Fatalf("%s: %d bytes", name, len(answer))
		}
		padding := optionsOf(answer)
		for binary.BigEndian.Uint16(padding) != optionPadding {
			padding = padding[optionFixed+int(binary.BigEndian.Uint16(padding[2:])):]
		}
		if strings.Trim(string(padding[optionFixed:]), "\x00") != "" {
			t.Errorf("%s: padding of something else than zeros: %x", name, padding)
		}
		seen[len(padding)] = true
		// The same without the wish.
		q.opts = [][]byte{opt(1232, 0)}
		if answer := ask(t, a.conn, q.bytes()); len(optionsOf(answer)) != 0 {
			t.Errorf("%s: options that nobody asked for: %x", name, optionsOf(answer))
		}
	}
	if len(seen) < 70 {
		t.Errorf("padding of %d lengths: it is hardly tried", len(seen))
	}
}

// Padding goes as far as a message does, and is left out where not even the option
// fits.
func TestPaddingOfAnyLength(t *testing.T) {
	whole := make([]byte, maxMessage)
	for length := headerSize; length <= maxMessage; length++ {
		padded := len(appendPadding(whole[:length:length], 0))
		want := (length + optionFixed + paddingBlock - 1) / paddingBlock * paddingBlock
		if want > maxMessage {
			want = maxMessage
		}
		if length+optionFixed > maxMessage {
			want = length
		}
		if padded != want {
			t.Fatalf("%d bytes are padded to %d, want %d", length, padded, want)
		}
	}
}
