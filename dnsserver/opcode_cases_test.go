package dnsserver

import (
	"github.com/miekg/dns"
)

// opcodeCases are about opcodes other than QUERY; see also TestOpcodes.
var opcodeCases = []questionCase{
	{
		name: "opcode 15, a version 1 OPT", packet: soaOf(15<<11, opt(4096, version1)),
		want:   "NOTIMP opcode 15 opt 1232",
		counts: "edns opt, edns other_version, queries NOTIMP, unusual opcode",
	},
	{
		name: "opcode 15 and what cannot be read", packet: query{flags: 15 << 11, counts: &[4]uint16{1, 2, 3, 4}}.bytes(),
		want:   "NOTIMP opcode 15",
		counts: "queries NOTIMP, unusual opcode",
	},
	{
		name: "IQUERY as it was", packet: query{flags: 1 << 11, counts: &[4]uint16{0, 1}, opts: [][]byte{anA}}.bytes(),
		want:   "NOTIMP opcode 1",
		counts: "queries NOTIMP, unusual iquery",
	},
	{
		name: "STATUS for a name", packet: soaOf(2<<11 | flagRD),
		want:   "NOTIMP opcode 2",
		counts: "queries NOTIMP, unusual status",
	},
	{
		name: "NOTIFY", packet: soaOf(4<<11 | 1<<10),
		want:   "NOTIMP opcode 4 q",
		counts: "queries NOTIMP, unusual notify",
	},
	{
		name: "NOTIFY with an SOA", packet: query{flags: 4<<11 | 1<<10, counts: &[4]uint16{1, 1}, trailing: aQuestion + aSOA}.bytes(),
		want:   "NOTIMP opcode 4 q",
		counts: "queries NOTIMP, unusual notify",
	},
	{
		name: "NOTIFY for another zone", packet: query{flags: 4<<11 | 1<<10, name: "elsewhere.test.", qtype: dns.TypeSOA}.bytes(),
		want:   "NOTIMP opcode 4 q",
		counts: "queries NOTIMP, unusual notify",
	},
	{
		name: "NOTIFY, version 1", packet: soaOf(4<<11|1<<10, opt(4096, version1)),
		want:   "NOTIMP opcode 4 q opt 1232",
		counts: "edns opt, edns other_version, queries NOTIMP, unusual notify",
	},
	{
		name: "UPDATE", packet: query{flags: 5 << 11, counts: &[4]uint16{1, 0, 1}, trailing: aQuestion, opts: nil, sections: nil}.bytes(),
		want:   "NOTIMP opcode 5",
		counts: "queries NOTIMP, unusual update",
	},
	{
		name: "UPDATE that adds a record", packet: query{flags: 5 << 11, counts: &[4]uint16{1, 0, 1}, trailing: aQuestion + "\x01x\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x01"}.bytes(),
		want:   "NOTIMP opcode 5",
		counts: "queries NOTIMP, unusual update",
	},
	{
		name: "UPDATE with a prerequisite and a deletion", packet: query{flags: 5 << 11, counts: &[4]uint16{1, 1, 1}, trailing: aQuestion + "\xc0\x0c\x00\xff\x00\xff\x00\x00\x00\x00\x00\x00" + "\x01x\xc0\x0c\x00\xff\x00\xff\x00\x00\x00\x00\x00\x00"}.bytes(),
		want:   "NOTIMP opcode 5",
		counts: "queries NOTIMP, unusual update",
	},
	{
		name: "UPDATE for another zone", packet: query{flags: 5 << 11, name: "elsewhere.test.", qtype: dns.TypeSOA}.bytes(),
		want:   "NOTIMP opcode 5",
		counts: "queries NOTIMP, unusual update",
	},
	{
		name: "UPDATE with an OPT and TSIG", packet: query{flags: 5 << 11, counts: &[4]uint16{1, 0, 0, 2}, trailing: aQuestion + string(opt(4096, do)) + aTSIG}.bytes(),
		want:   "NOTIMP opcode 5 opt 1232 do",
		counts: "edns dnssec_ok, edns opt, queries NOTIMP, tsig badkey, unusual update",
	},
	{
		name: "DSO keepalive", packet: query{flags: 6 << 11, counts: &[4]uint16{}, trailing: "\x00\x01\x00\x08\x00\x00\x3a\x98\x00\x00\x3a\x98"}.bytes(),
		want:   "NOTIMP opcode 6",
		counts: "queries NOTIMP, unusual dso",
	},
	{
		name: "DSO, unidirectional", packet: query{flags: 6 << 11, counts: &[4]uint16{}, trailing: "\x00\x02\x00\x04\x00\x00\x00\x00"}.bytes(),
		want:   "NOTIMP opcode 6",
		counts: "queries NOTIMP, unusual dso",
	},
	{
		name: "DSO with all of its Z bits", packet: query{flags: 6<<11 | 0x07F0, counts: &[4]uint16{}, trailing: "\x00\x01\x00\x08\x00\x00\x3a\x98\x00\x00\x3a\x98"}.bytes(),
		want:   "NOTIMP opcode 6",
		counts: "queries NOTIMP, unusual dso",
	},
	{
		name: "DSO with a count", packet: query{flags: 6 << 11, name: "example.test.", qtype: dns.TypeSOA}.bytes(),
		want:   "NOTIMP opcode 6",
		counts: "queries NOTIMP, unusual dso",
	},
	{
		name: "DSO with an unknown TLV", packet: query{flags: 6 << 11, counts: &[4]uint16{}, trailing: "\xf8\x00\x00\x02ab"}.bytes(),
		want:   "NOTIMP opcode 6",
		counts: "queries NOTIMP, unusual dso",
	},
	{
		name: "DSO whose data ends early", packet: query{flags: 6 << 11, counts: &[4]uint16{}, trailing: "\x00\x01\x00\x08\x00"}.bytes(),
		want:   "NOTIMP opcode 6",
		counts: "queries NOTIMP, unusual dso",
	},
}
