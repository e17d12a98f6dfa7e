package dnsserver

import (
	"strings"

	"github.com/miekg/dns"
)

// Parts of packets.
const (
	do       = 0x8000
	version1 = 0x0001_0000

	// aQuestion is for the zone's SOA, and aSOA a record of it as IXFR has it.
	aQuestion = "\x07example\x04test\x00\x00\x06\x00\x01"
	aSOA      = "\xc0\x0c\x00\x06\x00\x01\x00\x00\x00\x00\x00\x16\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	// aTSIG is by a key that nobody has, at a time long past.
	aTSIG = "\x03key\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x3d\x0bhmac-sha256\x00\x00\x00\x65\x5c\x3d\x00\x01\x2c\x00\x20" +
		"mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm" + "\x00\x00\x00\x00\x00\x00"
	// aSIG0 signs the transaction (RFC 2931).
	aSIG0 = "\x00\x00\x18\x00\xff\x00\x00\x00\x00\x00\x23\x00\x00\x0f\x00\x00\x00\x00\x00\x65\x5c\x3d\x00\x65\x5c\x3d\x00\x00\x01" +
		"\x03key\x00" + "ssssssssssss"
)

// anA is a record that has nothing to do with the question.
var anA = []byte{0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1}

// longName is as long as a name can be.
var longName = strings.Repeat("a", 63) + "." + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + "." +
	strings.Repeat("d", 48) + ".example.test."

// soaOf asks for the zone's SOA.
func soaOf(flags uint16, opts ...[]byte) []byte {
	return query{flags: flags, name: "example.test.", qtype: dns.TypeSOA, opts: opts}.bytes()
}

func named(name string, qtype, class uint16, opts ...[]byte) []byte {
	return query{name: name, qtype: qtype, class: class, opts: opts}.bytes()
}

// rawQuestion is a packet with counts and what follows the header.
func rawQuestion(counts [4]uint16, after ...string) []byte {
	return query{counts: &counts, trailing: strings.Join(after, "")}.bytes()
}
