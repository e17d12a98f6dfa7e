package dnsserver

import (
	"strings"

	"github.com/miekg/dns"
)

// countCases are about what a packet has beside its question.
var countCases = []questionCase{
	{
		name: "no question", packet: rawQuestion([4]uint16{}),
		want:   "FORMERR",
		counts: "malformed question_count, queries FORMERR",
	},
	{
		name: "no question, an OPT", packet: rawQuestion([4]uint16{0, 0, 0, 1}, string(opt(4096, 0))),
		want:   "FORMERR opt 1232",
		counts: "edns opt, malformed question_count, queries FORMERR",
	},
	{
		name: "no question, a cookie", packet: rawQuestion([4]uint16{0, 0, 0, 1}, string(opt(4096, 0, option(10, "\x01\x02\x03\x04\x05\x06\x07\x08")))),
		want:   "NOERROR opt 1232 cookie",
		counts: "cookies new, edns cookie, edns opt, queries NOERROR, unusual cookie_only",
	},
	{
		name: "no question, a cookie, all flags", packet: query{flags: 0x07FF, counts: &[4]uint16{0, 0, 0, 1}, opts: [][]byte{opt(4096, 0xFFFF, option(10, "\x01\x02\x03\x04\x05\x06\x07\x08"))}}.bytes(),
		want:   "NOERROR rd opt 1232 do cookie",
		counts: "cookies new, edns cookie, edns dnssec_ok, edns opt, edns other_flags, queries NOERROR, unusual cookie_only",
	},
	{
		name: "no question, all options", packet: rawQuestion([4]uint16{0, 0, 0, 1}, string(opt(4096, 0, option(3, ""), option(8, "\x00\x01\x00\x00"), option(9, ""), option(10, "\x01\x02\x03\x04\x05\x06\x07\x08"), option(11, ""), option(12, "\x00\x00"), option(65001, "x")))),
		want:    "NOERROR opt 1232 nsid=ns1 subnet=00010000 cookie",
		counts:  "cookies new, edns client_subnet, edns cookie, edns expire, edns keepalive, edns nsid, edns opt, edns padding, edns unknown_option, queries NOERROR, unusual cookie_only",
		wantTCP: "NOERROR opt 1232 nsid=ns1 subnet=00010000 cookie keepalive=0064",
		wantTLS: "NOERROR opt 1232 nsid=ns1 subnet=00010000 cookie keepalive=0064 padding whole",
	},
	{
		name: "no question, a bad cookie", packet: rawQuestion([4]uint16{0, 0, 0, 1}, string(opt(4096, 0, option(10, "123456789012345678901234")))),
		want:   "BADCOOKIE opt 1232 cookie",
		counts: "cookies bad, edns cookie, edns opt, queries BADCOOKIE, unusual cookie_only",
	},
	{
		name: "no question, a cookie that is none", packet: rawQuestion([4]uint16{0, 0, 0, 1}, string(opt(4096, 0, option(10, "1234567")))),
		want:   "FORMERR opt 1232",
		counts: "edns cookie, edns opt, malformed cookie, queries FORMERR",
	},
	{
		name: "no question, a cookie, a record in the answer section", packet: rawQuestion([4]uint16{0, 1, 0, 1}, string(anA), string(opt(4096, 0, option(10, "\x01\x02\x03\x04\x05\x06\x07\x08")))),
		want:   "FORMERR opt 1232",
		counts: "edns opt, malformed section, queries FORMERR",
	},
	{
		name: "no question, a cookie, a record in the authority section", packet: rawQuestion([4]uint16{0, 0, 1, 1}, string(anA), string(opt(4096, 0, option(10, "\x01\x02\x03\x04\x05\x06\x07\x08")))),
		want:   "FORMERR opt 1232",
		counts: "edns opt, malformed section, queries FORMERR",
	},
	{
		name: "no question, a cookie, a record in the additional section", packet: rawQuestion([4]uint16{0, 0, 0, 2}, string(anA), string(opt(4096, 0, option(10, "\x01\x02\x03\x04\x05\x06\x07\x08")))),
		want:   "NOERROR opt 1232 cookie",
		counts: "cookies new, edns cookie, edns opt, queries NOERROR, unusual cookie_only",
	},
	{
		name: "no question, a cookie, bytes at the end", packet: rawQuestion([4]uint16{0, 0, 0, 1}, string(opt(4096, 0, option(10, "\x01\x02\x03\x04\x05\x06\x07\x08"))), "x"),
		want:   "FORMERR opt 1232",
		counts: "edns opt, malformed trailing, queries FORMERR",
	},
	{
		name: "no question, a record alone", packet: rawQuestion([4]uint16{0, 1}, string(anA)),
		want:   "FORMERR",
		counts: "malformed section, queries FORMERR",
	},
	{
		name: "no question, but there is one", packet: rawQuestion([4]uint16{}, "\x07example\x04test\x00\x00\x06\x00\x01"),
		want:   "FORMERR",
		counts: "malformed trailing, queries FORMERR",
	},
	{
		name: "two questions", packet: rawQuestion([4]uint16{2}, aQuestion, aQuestion),
		want:   "FORMERR",
		counts: "malformed question_count, queries FORMERR",
	},
	{
		name: "two questions, an OPT", packet: rawQuestion([4]uint16{2, 0, 0, 1}, aQuestion, aQuestion, string(opt(4096, do))),
		want:   "FORMERR opt 1232 do",
		counts: "edns dnssec_ok, edns opt, malformed question_count, queries FORMERR",
	},
	{
		name: "two questions, the second with a pointer", packet: rawQuestion([4]uint16{2}, aQuestion, "\xc0\x0c\x00\x06\x00\x01"),
		want:   "FORMERR",
		counts: "malformed question_count, queries FORMERR",
	},
	{
		name: "two questions, of which one is there", packet: rawQuestion([4]uint16{2}, aQuestion),
		want:   "FORMERR",
		counts: "malformed question_count, queries FORMERR",
	},
	{
		name: "65535 questions, of which one is there", packet: rawQuestion([4]uint16{65535}, aQuestion),
		want:   "FORMERR",
		counts: "malformed question_count, queries FORMERR",
	},
	{
		name: "one question that is not there", packet: rawQuestion([4]uint16{1}),
		want:   "FORMERR",
		counts: "malformed question, queries FORMERR",
	},
	{
		name: "counts of 65535", packet: rawQuestion([4]uint16{65535, 65535, 65535, 65535}, aQuestion),
		want:   "FORMERR",
		counts: "malformed question_count, queries FORMERR",
	},
	{
		name: "a record in the answer section", packet: rawQuestion([4]uint16{1, 1}, aQuestion, string(anA)),
		want:   "FORMERR q",
		counts: "malformed section, queries FORMERR",
	},
	{
		name: "a record in the authority section", packet: rawQuestion([4]uint16{1, 0, 1}, aQuestion, string(anA)),
		want:   "FORMERR q",
		counts: "malformed section, queries FORMERR",
	},
	{
		name: "a record in the additional section", packet: rawQuestion([4]uint16{1, 0, 0, 1}, aQuestion, string(anA)),
		want:   "NOERROR aa q answer 1 SOA",
		counts: "queries NOERROR, questions SOA",
	},
	{
		name: "an SOA in the authority section", packet: rawQuestion([4]uint16{1, 0, 1}, aQuestion, aSOA),
		want:   "FORMERR q",
		counts: "malformed section, queries FORMERR",
	},
	{
		name: "IXFR with its SOA", packet: rawQuestion([4]uint16{1, 0, 1}, strings.Replace(aQuestion, "\x06\x00\x01", "\xfb\x00\x01", 1), aSOA),
		want:   "REFUSED q",
		counts: "queries REFUSED, questions IXFR, transfers ixfr refused",
	},
	{
		name: "IXFR without an SOA", packet: named("example.test.", dns.TypeIXFR, 0),
		want:   "REFUSED q",
		counts: "queries REFUSED, questions IXFR, transfers ixfr refused",
	},
	{
		name: "IXFR with two SOAs", packet: rawQuestion([4]uint16{1, 0, 2}, strings.Replace(aQuestion, "\x06\x00\x01", "\xfb\x00\x01", 1), aSOA, aSOA),
		want:   "REFUSED q",
		counts: "queries REFUSED, questions IXFR, transfers ixfr refused",
	},
	{
		name: "IXFR with an A in the authority section", packet: rawQuestion([4]uint16{1, 0, 1}, strings.Replace(aQuestion, "\x06\x00\x01", "\xfb\x00\x01", 1), string(anA)),
		want:   "REFUSED q",
		counts: "queries REFUSED, questions IXFR, transfers ixfr refused",
	},
	{
		name: "IXFR with an SOA in the answer section", packet: rawQuestion([4]uint16{1, 1}, strings.Replace(aQuestion, "\x06\x00\x01", "\xfb\x00\x01", 1), aSOA),
		want:   "FORMERR q",
		counts: "malformed section, queries FORMERR",
	},
	{
		name: "a record that is not there", packet: rawQuestion([4]uint16{1, 0, 0, 1}, aQuestion),
		want:   "FORMERR q",
		counts: "malformed record, queries FORMERR",
	},
	{
		name: "data that ends early", packet: rawQuestion([4]uint16{1, 0, 0, 1}, aQuestion, string(anA[:len(anA)-1])),
		want:   "FORMERR q",
		counts: "malformed record, queries FORMERR",
	},
	{
		name: "a record's name that ends early", packet: rawQuestion([4]uint16{1, 0, 0, 1}, aQuestion, "\x05ab"),
		want:   "FORMERR q",
		counts: "malformed record, queries FORMERR",
	},
	{
		name: "a record's name with a pointer to itself", packet: rawQuestion([4]uint16{1, 0, 0, 1}, aQuestion, "\xc0\x1e", string(anA[1:])),
		want:   "FORMERR q",
		counts: "malformed record, queries FORMERR",
	},
	{
		name: "a record's name with a pointer past the end", packet: rawQuestion([4]uint16{1, 0, 0, 1}, aQuestion, "\xff\xff", string(anA[1:])),
		want:   "FORMERR q",
		counts: "malformed record, queries FORMERR",
	},
	{
		name: "a record's name with a pointer to the header", packet: rawQuestion([4]uint16{1, 0, 0, 1}, aQuestion, "\xc0\x04", string(anA[1:])),
		want:   "FORMERR q",
		counts: "malformed record, queries FORMERR",
	},
	{
		name: "a record's name with a pointer forward", packet: rawQuestion([4]uint16{1, 0, 0, 1}, aQuestion, "\xc0\x21", string(anA[1:])),
		want:   "FORMERR q",
		counts: "malformed record, queries FORMERR",
	},
	{
		name: "a record's name that loops", packet: rawQuestion([4]uint16{1, 0, 0, 1}, aQuestion, "\x01a\xc0\x1e", string(anA[1:])),
		want:   "FORMERR q",
		counts: "malformed record, queries FORMERR",
	},
	{
		name: "a record's name with a pointer to the question", packet: rawQuestion([4]uint16{1, 0, 0, 1}, aQuestion, "\x01a\xc0\x0c", string(anA[1:])),
		want:   "NOERROR aa q answer 1 SOA",
		counts: "queries NOERROR, questions SOA",
	},
	{
		name: "a record's name of 256 bytes by a pointer", packet: rawQuestion([4]uint16{1, 0, 0, 1}, string(wireName(longName)), "\x00\x01\x00\x01", "\x01a\xc0\x0c", string(anA[1:])),
		want:   "FORMERR q",
		counts: "malformed record, queries FORMERR",
	},
	{
		name: "a record's name with a label of type 0x40", packet: rawQuestion([4]uint16{1, 0, 0, 1}, aQuestion, "\x41a", string(anA)),
		want:   "FORMERR q",
		counts: "malformed record, queries FORMERR",
	},
	{
		name: "a record's name with a label of type 0x80", packet: rawQuestion([4]uint16{1, 0, 0, 1}, aQuestion, "\x81a", string(anA)),
		want:   "FORMERR q",
		counts: "malformed record, queries FORMERR",
	},
	{
		name: "a byte at the end", packet: rawQuestion([4]uint16{1}, aQuestion, "\x00"),
		want:   "FORMERR q",
		counts: "malformed trailing, queries FORMERR",
	},
	{
		name: "a record at the end that is not counted", packet: rawQuestion([4]uint16{1}, aQuestion, string(opt(4096, 0))),
		want:   "FORMERR q",
		counts: "malformed trailing, queries FORMERR",
	},
	{
		name: "a byte after the OPT", packet: rawQuestion([4]uint16{1, 0, 0, 1}, aQuestion, string(opt(4096, do)), "\x00"),
		want:   "FORMERR q opt 1232 do",
		counts: "edns dnssec_ok, edns opt, malformed trailing, queries FORMERR",
	},
	{
		name: "TSIG of a key that nobody has", packet: rawQuestion([4]uint16{1, 0, 0, 1}, aQuestion, aTSIG),
		want:   "NOTAUTH q tsig badkey",
		counts: "queries NOTAUTH, tsig badkey, unusual tsig",
	},
	{
		name: "TSIG after the OPT", packet: rawQuestion([4]uint16{1, 0, 0, 2}, aQuestion, string(opt(4096, do)), aTSIG),
		want:   "NOTAUTH q opt 1232 do tsig badkey",
		counts: "edns dnssec_ok, edns opt, queries NOTAUTH, tsig badkey, unusual tsig",
	},
	{
		name: "TSIG before the OPT", packet: rawQuestion([4]uint16{1, 0, 0, 2}, aQuestion, aTSIG, string(opt(4096, do))),
		want:   "FORMERR q opt 1232 do",
		counts: "edns dnssec_ok, edns opt, malformed tsig, queries FORMERR",
	},
	{
		name: "TSIG twice", packet: rawQuestion([4]uint16{1, 0, 0, 2}, aQuestion, aTSIG, aTSIG),
		want:   "FORMERR q",
		counts: "malformed tsig, queries FORMERR",
	},
	{
		name: "TSIG of class IN", packet: rawQuestion([4]uint16{1, 0, 0, 1}, aQuestion, strings.Replace(aTSIG, "\xfa\x00\xff", "\xfa\x00\x01", 1)),
		want:   "FORMERR q",
		counts: "malformed tsig, queries FORMERR",
	},
	{
		name: "TSIG with a TTL", packet: rawQuestion([4]uint16{1, 0, 0, 1}, aQuestion, strings.Replace(aTSIG, "\xff\x00\x00\x00\x00", "\xff\x00\x00\x00\x01", 1)),
		want:   "FORMERR q",
		counts: "malformed tsig, queries FORMERR",
	},
	{
		name: "TSIG with a byte too many", packet: rawQuestion([4]uint16{1, 0, 0, 1}, aQuestion, strings.Replace(aTSIG, "\x00\x3d", "\x00\x3e", 1), "x"),
		want:   "FORMERR q",
		counts: "malformed tsig, queries FORMERR",
	},
	{
		name: "TSIG that ends early", packet: rawQuestion([4]uint16{1, 0, 0, 1}, aQuestion, strings.Replace(aTSIG[:len(aTSIG)-1], "\x00\x3d", "\x00\x3c", 1)),
		want:   "FORMERR q",
		counts: "malformed tsig, queries FORMERR",
	},
	{
		name: "TSIG in the answer section", packet: rawQuestion([4]uint16{1, 1}, aQuestion, aTSIG),
		want:   "FORMERR q",
		counts: "malformed section, queries FORMERR",
	},
	{
		name: "TSIG in the authority section of an IXFR", packet: rawQuestion([4]uint16{1, 0, 1}, strings.Replace(aQuestion, "\x06\x00\x01", "\xfb\x00\x01", 1), aTSIG),
		want:   "FORMERR q",
		counts: "malformed tsig, queries FORMERR",
	},
	{
		name: "TSIG of an owner with a pointer", packet: rawQuestion([4]uint16{1, 0, 0, 1}, aQuestion, "\x03key\xc0\x0c", aTSIG[5:]),
		want:   "NOTAUTH q tsig badkey",
		counts: "queries NOTAUTH, tsig badkey, unusual tsig",
	},
	{
		name: "TSIG with version 1", packet: rawQuestion([4]uint16{1, 0, 0, 2}, aQuestion, string(opt(4096, version1)), aTSIG),
		want:   "BADVERS q opt 1232",
		counts: "edns opt, edns other_version, queries BADVERS, tsig badkey, unusual tsig",
	},
	{
		name: "TSIG and no question", packet: rawQuestion([4]uint16{0, 0, 0, 2}, string(opt(4096, 0, option(10, "\x01\x02\x03\x04\x05\x06\x07\x08"))), aTSIG),
		want:   "NOTAUTH opt 1232 cookie tsig badkey",
		counts: "cookies new, edns cookie, edns opt, queries NOTAUTH, tsig badkey, unusual tsig",
	},
	{
		name: "TSIG, class CH", packet: rawQuestion([4]uint16{1, 0, 0, 1}, "\x07version\x04bind\x00\x00\x10\x00\x03", aTSIG),
		want:   "NOTAUTH q tsig badkey",
		counts: "queries NOTAUTH, tsig badkey, unusual tsig",
	},
	{
		name: "TSIG whose names leave no room for it", packet: rawQuestion([4]uint16{1, 0, 0, 1}, string(wireName(longName)), "\x00\x01\x00\x01", strings.Replace(aTSIG, "\x03key\x00", string(wireName(longName)), 1)),
		want:    "NOTAUTH q",
		counts:  "queries NOTAUTH, tsig badkey, unusual tsig",
		wantTCP: "NOTAUTH q tsig badkey",
	},
	{
		name: "SIG(0)", packet: rawQuestion([4]uint16{1, 0, 0, 1}, aQuestion, aSIG0),
		want:   "NOERROR aa q answer 1 SOA",
		counts: "queries NOERROR, questions SOA",
	},
	{
		name: "SIG(0) after the OPT", packet: rawQuestion([4]uint16{1, 0, 0, 2}, aQuestion, string(opt(4096, 0)), aSIG0),
		want:   "NOERROR aa q answer 1 SOA opt 1232",
		counts: "edns opt, queries NOERROR, questions SOA",
	},
}
