package dnsserver

import (
	"strings"

	"github.com/miekg/dns"
)

const (
	headerFORMERR = flagQR | 1
	typeTXT       = dns.TypeTXT
)

// headerCase is one packet, and what has to come back.
type headerCase struct {
	name  string
	query query
	// flags is the whole second word of the answer's header.
	flags    uint16
	question bool   // whether it is echoed
	opt      bool   // whether there is an OPT
	ttl      uint32 // of that OPT
	options  string // of that OPT, in hexadecimal
	pool     string
	rcode    string // as the counter names it
	fault    fault
}

var headerCases = []headerCase{
	{
		name: "plain", query: query{name: "txt.example.test.", qtype: typeTXT},
		flags: flagQR | flagAA, question: true, rcode: "NOERROR",
	},
	{
		name: "RD copied, CD, AD, Z, RA, TC and AA not", query: query{name: "txt.example.test.", qtype: typeTXT, flags: 0x07FF &^ 15},
		flags: flagQR | flagAA | flagRD, question: true, rcode: "NOERROR",
	},
	{
		name: "response code in a question", query: query{name: "txt.example.test.", qtype: typeTXT, flags: 5},
		flags: flagQR | flagAA, question: true, rcode: "NOERROR",
	},
	{
		name: "spelling kept", query: query{name: "tXt.ExAmple.TEST.", qtype: typeTXT},
		flags: flagQR | flagAA, question: true, rcode: "NOERROR",
	},
	{
		name: "outside", query: query{name: "txt.elsewhere.test.", qtype: typeTXT, flags: flagRD},
		flags: flagQR | flagRD | 5, question: true, rcode: "REFUSED",
	},
	{
		name: "the root", query: query{name: ".", qtype: dns.TypeNS},
		flags: flagQR | 5, question: true, rcode: "REFUSED",
	},
	{
		name: "no such name", query: query{name: "nope.example.test.", qtype: typeTXT},
		flags: flagQR | flagAA | 3, question: true, rcode: "NXDOMAIN",
	},
	{
		name: "from a pool", query: query{name: "pool.example.test.", qtype: dns.TypeA},
		flags: flagQR | flagAA, question: true, pool: "pool.example.test", rcode: "NOERROR",
	},

	{
		name: "NOTIFY", query: query{name: "example.test.", qtype: dns.TypeSOA, flags: 4<<11 | flagAA},
		flags: flagQR | 4<<11 | 4, question: true, rcode: "NOTIMP",
	},
	{
		name: "UPDATE", query: query{name: "example.test.", qtype: dns.TypeSOA, flags: 5 << 11, opts: [][]byte{opt(1232, 0)}},
		flags: flagQR | 5<<11 | 4, opt: true, rcode: "NOTIMP",
	},
	{
		name: "opcode 15 and nothing that can be read", query: query{flags: 15 << 11, counts: &[4]uint16{1, 2, 3, 4}},
		flags: flagQR | 15<<11 | 4, rcode: "NOTIMP",
	},
	{
		name: "CHAOS", query: query{name: "version.bind.", qtype: typeTXT, class: dns.ClassCHAOS},
		flags: flagQR | 5, question: true, rcode: "REFUSED",
	},
	{
		name: "class ANY", query: query{name: "txt.example.test.", qtype: typeTXT, class: dns.ClassANY},
		flags: flagQR | 5, question: true, rcode: "REFUSED",
	},
	{
		name: "AXFR", query: query{name: "example.test.", qtype: dns.TypeAXFR},
		flags: flagQR | 5, question: true, rcode: "REFUSED",
	},
	{
		name: "IXFR with its SOA", query: query{
			name: "example.test.", qtype: dns.TypeIXFR, authority: 1,
			sections: append([]byte{0xC0, 12}, 0, 6, 0, 1, 0, 0, 0, 0, 0, 22, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
		},
		flags: flagQR | 5, question: true, rcode: "REFUSED",
	},
	{
		name: "MAILA", query: query{name: "example.test.", qtype: dns.TypeMAILA},
		flags: flagQR | 4, question: true, rcode: "NOTIMP",
	},
	{
		name: "a question for OPT", query: query{name: "example.test.", qtype: dns.TypeOPT},
		flags: headerFORMERR, question: true, rcode: "FORMERR", fault: faultType,
	},

	{
		name: "no question", query: query{counts: &[4]uint16{}},
		flags: headerFORMERR, rcode: "FORMERR", fault: faultQuestionCount,
	},
	{
		name: "no question but an OPT", query: query{counts: &[4]uint16{0, 0, 0, 1}, opts: [][]byte{opt(512, 0)}},
		flags: headerFORMERR, opt: true, rcode: "FORMERR", fault: faultQuestionCount,
	},
	{
		name: "two questions", query: query{
			name: "txt.example.test.", qtype: typeTXT, counts: &[4]uint16{2},
			sections: append(wireName("txt.example.test."), 0, 16, 0, 1),
		},
		flags: headerFORMERR, rcode: "FORMERR", fault: faultQuestionCount,
	},
	{
		name: "a question that ends early", query: query{counts: &[4]uint16{1}, trailing: "\x03txt\x00\x00\x10\x00"},
		flags: headerFORMERR, rcode: "FORMERR", fault: faultQuestion,
	},
	{
		name: "a pointer in the question", query: query{counts: &[4]uint16{1}, trailing: "\xC0\x0C\x00\x01\x00\x01"},
		flags: headerFORMERR, rcode: "FORMERR", fault: faultQuestion,
	},
	{
		name: "a name of 256 bytes", query: query{
			counts:   &[4]uint16{1},
			trailing: strings.Repeat("\x3f"+strings.Repeat("a", 63), 3) + "\x3e" + strings.Repeat("a", 62) + "\x00\x00\x01\x00\x01",
		},
		flags: headerFORMERR, rcode: "FORMERR", fault: faultQuestion,
	},
	{
		name: "records in the answer section", query: query{
			name: "txt.example.test.", qtype: typeTXT, answers: 1,
			sections: []byte{0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1},
			opts:     [][]byte{opt(512, 0)},
		},
		flags: headerFORMERR, question: true, opt: true, rcode: "FORMERR", fault: faultSection,
	},
	{
		name: "records in the authority section", query: query{
			name: "txt.example.test.", qtype: typeTXT, authority: 1,
			sections: []byte{0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1},
		},
		flags: headerFORMERR, question: true, rcode: "FORMERR", fault: faultSection,
	},
	{
		name: "an additional record is passed over", query: query{
			name: "txt.example.test.", qtype: typeTXT, extra: 1,
			sections: []byte{0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1},
			opts:     [][]byte{opt(512, 0)},
		},
		flags: flagQR | flagAA, question: true, opt: true, rcode: "NOERROR",
	},
	{
		name: "a record that is not there", query: query{name: "txt.example.test.", qtype: typeTXT, extra: 1},
		flags: headerFORMERR, question: true, rcode: "FORMERR", fault: faultRecord,
	},
	{
		name: "data that ends early", query: query{
			name: "txt.example.test.", qtype: typeTXT, extra: 1, sections: []byte{0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127},
		},
		flags: headerFORMERR, question: true, rcode: "FORMERR", fault: faultRecord,
	},
	{
		name: "bytes at the end", query: query{name: "txt.example.test.", qtype: typeTXT, trailing: "x"},
		flags: headerFORMERR, question: true, rcode: "FORMERR", fault: faultTrailing,
	},

	{
		name: "OPT", query: query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(4096, 0)}},
		flags: flagQR | flagAA, question: true, opt: true, rcode: "NOERROR",
	},
	{
		name: "DO echoed, other flags not", query: query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(4096, 0xFFFF)}},
		flags: flagQR | flagAA, question: true, opt: true, ttl: 0x8000, rcode: "NOERROR",
	},
	{
		name: "OPT in REFUSED", query: query{name: "txt.elsewhere.test.", qtype: typeTXT, opts: [][]byte{opt(4096, 0)}},
		flags: flagQR | 5, question: true, opt: true, rcode: "REFUSED",
	},
	{
		name: "version 1", query: query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(4096, 0x0001_8000, option(8, "x"))}},
		flags: flagQR, question: true, opt: true, ttl: 0x0100_8000, rcode: "BADVERS",
	},
	{
		name: "extended code in a question", query: query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(4096, 0xFF00_0000)}},
		flags: flagQR | flagAA, question: true, opt: true, rcode: "NOERROR",
	},
	{
		name: "unknown options", query: query{
			name: "txt.example.test.", qtype: typeTXT,
			opts: [][]byte{opt(4096, 0, option(65001, "whatever"), option(65002, ""))},
		},
		flags: flagQR | flagAA, question: true, opt: true, rcode: "NOERROR",
	},
	{
		name: "NSID", query: query{
			name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(4096, 0, option(3, ""))},
		},
		flags: flagQR | flagAA, question: true, opt: true, options: "0003" + "0003" + "6e7331", rcode: "NOERROR",
	},
	{
		name: "NSID in REFUSED", query: query{
			name: "txt.elsewhere.test.", qtype: typeTXT, opts: [][]byte{opt(4096, 0, option(3, "xyz"))},
		},
		flags: flagQR | 5, question: true, opt: true, options: "0003" + "0003" + "6e7331", rcode: "REFUSED",
	},
	{
		name: "two OPTs", query: query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(512, 0), opt(512, 0)}},
		flags: headerFORMERR, question: true, opt: true, rcode: "FORMERR", fault: faultOPTTwice,
	},
	{
		name: "an OPT that is not the root's", query: query{
			name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{append([]byte{1, 'a'}, opt(512, 0)...)},
		},
		flags: headerFORMERR, question: true, rcode: "FORMERR", fault: faultOPTPlace,
	},
	{
		name: "an OPT in the answer section", query: query{
			name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(512, 0)}, counts: &[4]uint16{1, 1},
		},
		flags: headerFORMERR, question: true, rcode: "FORMERR", fault: faultSection,
	},
	{
		name: "an option longer than its OPT", query: query{
			name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(512, 0, []byte{0, 3, 0, 1})},
		},
		flags: headerFORMERR, question: true, opt: true, rcode: "FORMERR", fault: faultOption,
	},
	{
		name: "half an option", query: query{
			name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(512, 0, []byte{0, 3})},
		},
		flags: headerFORMERR, question: true, opt: true, rcode: "FORMERR", fault: faultOption,
	},
	{
		name: "a panic", query: query{name: "panic.example.test.", qtype: typeTXT, flags: flagRD, opts: [][]byte{opt(512, 0)}},
		flags: flagQR | flagRD | 2, rcode: "SERVFAIL",
	},
	{
		name: "a record that cannot be packed", query: query{name: "broken.example.test.", qtype: typeTXT, opts: [][]byte{opt(512, 0)}},
		flags: flagQR | 2, question: true, opt: true, rcode: "SERVFAIL",
	},
}
