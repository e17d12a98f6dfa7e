package dnsserver

import (
	"net/netip"
	"slices"
	"testing"

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
	r := newTestResponder(testTable())
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
		checks{over: over, udpSize: r.settings.UDPSize, whim: true}.check(t, packet, answer)
	})
}
