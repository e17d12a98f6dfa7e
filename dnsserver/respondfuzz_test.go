package dnsserver

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// FuzzRespond gives any packet to the path that knows all of the protocol, before
// a table that also panics and has records that cannot be packed.
func FuzzRespond(f *testing.F) {
	for _, c := range headerCases {
		f.Add(c.query.bytes(), false)
	}
	for _, table := range questionTables {
		for i, c := range table.cases {
			f.Add(c.packet, i%2 == 0)
		}
	}
	for name := range testTable() {
		f.Add(query{name: name, qtype: dns.TypeA}.bytes(), false)
		f.Add(query{name: name, qtype: dns.TypeA, opts: [][]byte{opt(700, 0x8000, option(8, "\x00\x01\x18\x00\x7f\x01\x02"), option(3, ""))}}.bytes(), true)
	}
	for i, packet := range fuzzPackets(f, "pool.example.test.", "txt.example.test.", "big.example.test.") {
		f.Add(packet, i%3 == 0)
	}
	// Behind a name that points to what comes after it nothing can be read.
	f.Add(query{name: "txt.example.test.", qtype: typeTXT, authority: 1, sections: []byte("\xc0\xff\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00"), opts: [][]byte{opt(1232, 0)}}.bytes(), false)
	for _, serial := range []int{4, 5, 6, 7, 8} {
		f.Add(ixfr(serial), serial%2 == 0)
	}
	key := testKeys(f).Keys()[0]
	for i, packet := range [][]byte{axfr(), ixfr(5), ixfr(5)} {
		signed, _ := signedQuestion(packet, key, testNow)
		f.Add(signed, i%2 == 0)
	}
	config := Config{Settings: Settings{NSID: "ns1"}, Table: func() Answerer { return testTable() }, now: func() time.Time { return testNow }}.withDefaults()
	given := testTransfers(600)
	config.Transfers = func() Transfers { return given }
	config.Settings.Transfer = TransferSettings{Keys: testKeys(f), Allow: []TransferRule{{Network: netip.MustParsePrefix("127.0.0.0/8")}}}
	r := responderOf(&config, overUDP)
	r.begin()
	client := netip.MustParseAddr("127.0.0.1")
	f.Fuzz(func(t *testing.T, packet []byte, tcp bool) {
		over := overUDP
		if tcp {
			over = overTCP
		}
		question := slices.Clone(packet)
		answer := r.respond(nil, question, client, over)
		if !slices.Equal(question, packet) {
			t.Fatal("the question was written to")
		}
		before := slices.Clone(answer)
		clear(question)
		if !slices.Equal(answer, before) {
			t.Fatal("the answer is made of the question's own bytes")
		}
		if begun := r.begun; begun != nil {
			r.begun = nil
			drainTransfer(t, begun)
			return
		}
		checks{over: over, udpSize: r.settings.UDPSize, whim: true}.check(t, packet, answer)
	})
}

// drainTransfer gets all messages of a transfer, each of which has to be read.
func drainTransfer(t *testing.T, begun *zoneTransfer) {
	soas, buffer := 0, make([]byte, 0, maxMessage)
	for last, n := false, 0; !last; n++ {
		var message []byte
		var err error
		if message, last, err = begun.next(buffer); err != nil {
			t.Fatal(err)
		}
		m := new(dns.Msg)
		if err := m.Unpack(message); err != nil {
			t.Fatalf("message %d: %v", n+1, err)
		}
		if len(m.Answer) == 0 || len(m.Question) > 1 || n > 10 {
			t.Fatalf("message %d: %v", n+1, m)
		}
		for _, rr := range m.Answer {
			if rr.Header().Rrtype == dns.TypeSOA {
				soas++
			}
		}
	}
	begun.end(begun.result)
	if want := map[string]int{transferWhole: 2, transferDifferences: 4, transferCurrent: 1, transferAhead: 1}[begun.result]; soas != want {
		t.Fatalf("%d SOAs in what is %s", soas, begun.result)
	}
}
