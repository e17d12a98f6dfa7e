package dnsserver

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"
)

func newFramingServer(t testing.TB, table Answerer) *tcpServer {
	s := unbound(Config{Table: func() Answerer { return table }}.withDefaults())
	s.open = newOpenConnections(s.config.Settings.TCP, s.metrics.connections)
	server := newTCPServer(s)
	t.Cleanup(server.finish)
	return server
}

func TestWholeQuestions(t *testing.T) {
	for _, c := range []struct {
		data string
		want int
	}{
		{"", 0},
		{"\x00", 0},
		{"\x00\x00", 2},
		{"\x00\x00\x00", 2},
		{"\x00\x01", 0},
		{"\x00\x01a", 3},
		{"\x00\x01a\x00\x02b", 3},
		{"\x00\x01a\x00\x02bc", 7},
		{"\x00\x01a\x00\x02bc\xff\xffx", 7},
		{"\xff\xff\x00\x01a", 0},
	} {
		if got := wholeQuestions([]byte(c.data)); got != c.want {
			t.Errorf("%q: %d, want %d", c.data, got, c.want)
		}
	}
}

// However the questions are, what comes back is framed, and there is an answer
// for each of them up to the first that gets silence.
func FuzzFraming(f *testing.F) {
	f.Add(questions(3, "txt.example.test.", typeTXT))
	f.Add(questions(9, "big.example.test.", dns.TypeTXT))
	f.Add(slices.Concat(questions(1, "vast.example.test.", dns.TypeTXT), framed(nil), questions(2, "pool.example.test.", dns.TypeA)))
	f.Add([]byte("\x00\x0cabcdefghijkl\x00\x0c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	server := newFramingServer(f, testTable())
	f.Fuzz(func(t *testing.T, data []byte) {
		whole := wholeQuestions(data)
		var want [][2]byte // the IDs
		for rest := data[:whole]; len(rest) > 0; {
			end := prefixSize + int(binary.BigEndian.Uint16(rest))
			question := rest[prefixSize:end]
			if len(question) < headerSize || question[2]&(flagQR>>8) != 0 {
				break
			}
			want = append(want, [2]byte(question))
			rest = rest[end:]
		}
		var all []byte
		var r room
		asked := bytes.Clone(data[:whole])
		for left, silence := asked, false; len(left) > 0 && !silence; {
			before := len(left)
			var answers []byte
			answers, left, silence = server.answer(r.out[:0], left, &connection{client: netip.MustParseAddr("127.0.0.1"), over: overTCP}, 0)
			if len(left) >= before {
				t.Fatal("nothing was answered")
			}
			all = append(all, answers...)
		}
		if !bytes.Equal(asked, data[:whole]) {
			t.Error("questions were written over")
		}
		if wholeQuestions(all) != len(all) {
			t.Fatalf("not framed: %x", all)
		}
		for len(all) > 0 {
			end := prefixSize + int(binary.BigEndian.Uint16(all))
			if len(want) == 0 || [2]byte(all[prefixSize:]) != want[0] {
				t.Fatalf("an answer to %x, want one to %x", all[prefixSize:][:2], want)
			}
			want, all = want[1:], all[end:]
		}
		if len(want) > 0 {
			t.Fatalf("no answers to %x", want)
		}
	})
}

// What the wire path answers costs no allocation over TCP either, on whatever
// place in the room it stands.
func TestFramingAllocatesNothing(t *testing.T) {
	server := newFramingServer(t, wireTable(t))
	client := &connection{client: netip.MustParseAddr("127.2.0.1"), over: overTCP}
	all := questions(20, "dl.example.test.", dns.TypeA)
	r := new(room)
	allocations := testing.AllocsPerRun(100, func() {
		answers, left, silence := server.answer(r.out[:0], all, client, 0)
		if len(answers) == 0 || len(left) > 0 || silence {
			t.Fatal("not answered")
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations for 20 questions", allocations)
	}
}

func BenchmarkFraming(b *testing.B) {
	server := newFramingServer(b, wireTable(b))
	client := &connection{client: netip.MustParseAddr("127.2.0.1"), over: overTCP}
	all := questions(20, "dl.example.test.", dns.TypeA)
	r := new(room)
	b.ReportAllocs()
	for b.Loop() {
		server.answer(r.out[:0], all, client, 0)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*20), "ns/question")
}
