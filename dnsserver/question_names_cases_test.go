package dnsserver

import (
	"strings"

	"github.com/miekg/dns"
)

// nameCases are about the name that is asked for, and packets without one.
var nameCases = []questionCase{
	{
		name: "a pointer to itself", packet: rawQuestion([4]uint16{1}, "\xc0\x0c\x00\x06\x00\x01"),
		want:   "FORMERR",
		counts: "malformed question, queries FORMERR",
	},
	{
		name: "a pointer forward", packet: rawQuestion([4]uint16{1}, "\xc0\x12\x00\x06\x00\x01", "\x07example\x04test\x00"),
		want:   "FORMERR",
		counts: "malformed question, queries FORMERR",
	},
	{
		name: "a pointer to the header", packet: rawQuestion([4]uint16{1}, "\xc0\x00\x00\x06\x00\x01"),
		want:   "FORMERR",
		counts: "malformed question, queries FORMERR",
	},
	{
		name: "a pointer to a zero in the header", packet: rawQuestion([4]uint16{1}, "\xc0\x08\x00\x06\x00\x01"),
		want:   "FORMERR",
		counts: "malformed question, queries FORMERR",
	},
	{
		name: "a pointer past the end", packet: rawQuestion([4]uint16{1}, "\xff\xff\x00\x06\x00\x01"),
		want:   "FORMERR",
		counts: "malformed question, queries FORMERR",
	},
	{
		name: "two pointers to each other", packet: rawQuestion([4]uint16{1}, "\xc0\x0e\xc0\x0c\x00\x06\x00\x01"),
		want:   "FORMERR",
		counts: "malformed question, queries FORMERR",
	},
	{
		name: "a label, and a pointer back to it", packet: rawQuestion([4]uint16{1}, "\x01a\xc0\x0c\x00\x06\x00\x01"),
		want:   "FORMERR",
		counts: "malformed question, queries FORMERR",
	},
	{
		name: "half a pointer", packet: rawQuestion([4]uint16{1}, "\x01a\xc0"),
		want:   "FORMERR",
		counts: "malformed question, queries FORMERR",
	},
	{
		name: "a label of 64 bytes", packet: rawQuestion([4]uint16{1}, "\x40"+strings.Repeat("a", 64)+"\x07example\x04test\x00\x00\x01\x00\x01"),
		want:   "FORMERR",
		counts: "malformed question, queries FORMERR",
	},
	{
		name: "a label of type 0x40", packet: rawQuestion([4]uint16{1}, "\x41\x01\x00\x07example\x04test\x00\x00\x01\x00\x01"),
		want:   "FORMERR",
		counts: "malformed question, queries FORMERR",
	},
	{
		name: "a label of type 0x80", packet: rawQuestion([4]uint16{1}, "\x81a\x07example\x04test\x00\x00\x01\x00\x01"),
		want:   "FORMERR",
		counts: "malformed question, queries FORMERR",
	},
	{
		name: "a label of 63 bytes", packet: named(strings.Repeat("a", 63)+".example.test.", dns.TypeA, 0),
		want:   "NXDOMAIN aa q authority 1 SOA",
		counts: "queries NXDOMAIN, questions A",
	},
	{
		name: "a name of 255 bytes that is there", packet: named(longName, dns.TypeA, 0),
		want:   "NOERROR aa q answer 1 A",
		counts: "queries NOERROR, questions A",
	},
	{
		name: "a name of 255 bytes that is not", packet: named("e"+longName[1:], dns.TypeA, 0),
		want:   "NXDOMAIN aa q authority 1 SOA",
		counts: "queries NXDOMAIN, questions A",
	},
	{
		name: "a name of 255 bytes, an OPT", packet: named(longName, dns.TypeA, 0, opt(512, do)),
		want:   "NOERROR aa q answer 1 A opt 1232 do",
		counts: "edns dnssec_ok, edns opt, queries NOERROR, questions A",
	},
	{
		name: "a name of 256 bytes", packet: rawQuestion([4]uint16{1}, strings.Repeat("\x3f"+strings.Repeat("a", 63), 3)+"\x31"+strings.Repeat("d", 49)+"\x07example\x04test\x00\x00\x01\x00\x01"),
		want:   "FORMERR",
		counts: "malformed question, queries FORMERR",
	},
	{
		name: "a name of 127 labels", packet: named(strings.Repeat("a.", 114)+"example.test.", dns.TypeA, 0),
		want:   "NXDOMAIN aa q authority 1 SOA",
		counts: "queries NXDOMAIN, questions A",
	},
	{
		name: "a name of 256 bytes of short labels", packet: rawQuestion([4]uint16{1}, strings.Repeat("\x01a", 127)+"\x01\x00\x00\x01\x00\x01"),
		want:   "FORMERR",
		counts: "malformed question, queries FORMERR",
	},
	{
		name: "a name that ends with the packet", packet: rawQuestion([4]uint16{1}, "\x07example\x04test"),
		want:   "FORMERR",
		counts: "malformed question, queries FORMERR",
	},
	{
		name: "a name without type and class", packet: rawQuestion([4]uint16{1}, "\x07example\x04test\x00"),
		want:   "FORMERR",
		counts: "malformed question, queries FORMERR",
	},
	{
		name: "a question without half its class", packet: rawQuestion([4]uint16{1}, aQuestion[:len(aQuestion)-1]),
		want:   "FORMERR",
		counts: "malformed question, queries FORMERR",
	},
	{
		name: "the root", packet: named(".", dns.TypeNS, 0),
		want:   "REFUSED q",
		counts: "queries REFUSED, questions NS",
	},
	{
		name: "a label with NUL and dot", packet: named(`weird\000\.\255.example.test.`, dns.TypeA, 0),
		want:   "NOERROR aa q answer 1 A",
		counts: "queries NOERROR, questions A",
	},
	{
		name: "the same in capitals", packet: named(`WeIrD\000\.\255.eXaMpLe.TeSt.`, dns.TypeA, 0, opt(4096, 0)),
		want:   "NOERROR aa q answer 1 A opt 1232",
		counts: "edns opt, queries NOERROR, questions A",
	},
	{
		name: "a label with @, a backslash, quotes and a dot", packet: named(`\@\\\"\..example.test.`, typeTXT, 0),
		want:   "NOERROR aa q answer 1 TXT",
		counts: "queries NOERROR, questions TXT",
	},
	{
		name: "a label with a space and a tab", packet: named(`\032\009.example.test.`, typeTXT, 0),
		want:   "NXDOMAIN aa q authority 1 SOA",
		counts: "queries NXDOMAIN, questions TXT",
	},
	{
		name: "a label of NUL alone", packet: named(`\000.example.test.`, typeTXT, 0),
		want:   "NXDOMAIN aa q authority 1 SOA",
		counts: "queries NXDOMAIN, questions TXT",
	},
	{
		name: "a dot in a label is no end of one", packet: named(`txt\.example.test.`, typeTXT, 0),
		want:   "REFUSED q",
		counts: "queries REFUSED, questions TXT",
	},
	{
		name: "capitals", packet: named("tXt.ExAmPlE.tEsT.", typeTXT, 0),
		want:   "NOERROR aa q answer 1 TXT",
		counts: "queries NOERROR, questions TXT",
	},
	{
		name: "capitals in an alias", packet: named("ALIAS.EXAMPLE.TEST.", dns.TypeA, 0),
		want:   "NOERROR aa q answer 2 CNAME A",
		counts: "queries NOERROR, questions A",
	},
	{
		name: "capitals in NXDOMAIN", packet: named("No.Example.Test.", dns.TypeA, 0),
		want:   "NXDOMAIN aa q authority 1 SOA",
		counts: "queries NXDOMAIN, questions A",
	},
	{
		name: "capitals in a referral", packet: named("X.SUB.EXAMPLE.TEST.", dns.TypeA, 0),
		want:   "NOERROR q authority 1 NS additional 1 A",
		counts: "queries NOERROR, questions A",
	},
	{
		name: "capitals from a pool", packet: named("DL.example.TEST.", dns.TypeAAAA, 0),
		want:   "NOERROR aa q answer 1 AAAA",
		counts: "choices one dl.example.test first, queries dl.example.test NOERROR, questions AAAA",
	},
	{
		name: "capitals outside", packet: named("Elsewhere.TEST.", dns.TypeA, 0),
		want:   "REFUSED q",
		counts: "queries REFUSED, questions A",
	},
	{
		name: "letters that are not ASCII keep their case", packet: named("\\195\\132.example.test.", dns.TypeA, 0),
		want:   "NXDOMAIN aa q authority 1 SOA",
		counts: "queries NXDOMAIN, questions A",
	},
	{
		name: "nothing", packet: nil,
		want:    silence,
		counts:  "dropped short",
		wantTCP: end,
	},
	{
		name: "one byte", packet: []byte{0},
		want:    silence,
		counts:  "dropped short",
		wantTCP: end,
	},
	{
		name: "11 bytes", packet: soaOf(0)[:11],
		want:    silence,
		counts:  "dropped short",
		wantTCP: end,
	},
	{
		name: "a response", packet: soaOf(flagQR),
		want:    silence,
		counts:  "dropped response",
		wantTCP: end,
	},
	{
		name: "a response with nothing in it", packet: query{flags: flagQR}.bytes(),
		want:    silence,
		counts:  "dropped response",
		wantTCP: end,
	},
	{
		name: "a response of another opcode", packet: soaOf(flagQR | 4<<11),
		want:    silence,
		counts:  "dropped response",
		wantTCP: end,
	},
	{
		name: "a response with bytes at the end", packet: append(soaOf(flagQR|0x0583), 0xFF),
		want:    silence,
		counts:  "dropped response",
		wantTCP: end,
	},
	{
		name: "a header alone that says it has a question", packet: query{counts: &[4]uint16{1}}.bytes(),
		want:   "FORMERR",
		counts: "malformed question, queries FORMERR",
	},
}
