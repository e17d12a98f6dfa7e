package dnsserver

import (
	"github.com/miekg/dns"
)

// ednsCases are about the OPT itself (RFC 6891).
var ednsCases = []questionCase{
	{
		name: "version 100", packet: soaOf(0, opt(4096, 100<<16)),
		want:   "BADVERS q opt 1232",
		counts: "edns opt, edns other_version, queries BADVERS, questions SOA",
	},
	{
		name: "version 100, everything else too", packet: soaOf(0x07FF, opt(65535, 100<<16|0xFF00_FFFF, option(3, ""), option(65001, "x"), option(10, "\x01\x02\x03\x04\x05\x06\x07\x08"), option(12, "\x00"))),
		want:   "BADVERS rd q opt 1232 do",
		counts: "edns dnssec_ok, edns opt, edns other_flags, edns other_version, queries BADVERS, questions SOA",
	},
	{
		name: "version 255", packet: soaOf(0, opt(4096, 255<<16)),
		want:   "BADVERS q opt 1232",
		counts: "edns opt, edns other_version, queries BADVERS, questions SOA",
	},
	{
		name: "version 255, everything else too", packet: soaOf(0x07FF, opt(65535, 255<<16|0xFF00_FFFF, option(3, ""), option(65001, "x"), option(10, "\x01\x02\x03\x04\x05\x06\x07\x08"), option(12, "\x00"))),
		want:   "BADVERS rd q opt 1232 do",
		counts: "edns dnssec_ok, edns opt, edns other_flags, edns other_version, queries BADVERS, questions SOA",
	},
	{
		name: "version 1 for a name that is not ours", packet: named("elsewhere.test.", dns.TypeA, 0, opt(4096, version1)),
		want:   "BADVERS q opt 1232",
		counts: "edns opt, edns other_version, queries BADVERS, questions A",
	},
	{
		name: "version 1 for a pool", packet: named("dl.example.test.", dns.TypeA, 0, opt(4096, version1)),
		want:   "BADVERS q opt 1232",
		counts: "edns opt, edns other_version, queries BADVERS, questions A",
	},
	{
		name: "version 1, options that cannot be read", packet: soaOf(0, opt(4096, version1, []byte{0, 3, 0, 9})),
		want:   "BADVERS q opt 1232",
		counts: "edns opt, edns other_version, queries BADVERS, questions SOA",
	},
	{
		name: "version 1 and no question", packet: query{counts: &[4]uint16{0, 0, 0, 1}, opts: [][]byte{opt(4096, version1, option(10, "\x01\x02\x03\x04\x05\x06\x07\x08"))}}.bytes(),
		want:   "BADVERS opt 1232",
		counts: "edns opt, edns other_version, queries BADVERS, unusual cookie_only",
	},
	{
		name: "version 1, class CH", packet: named("version.bind.", typeTXT, 3, opt(4096, version1)),
		want:   "BADVERS q opt 1232",
		counts: "edns opt, edns other_version, queries BADVERS, unusual chaos",
	},
	{
		name: "version 1, AXFR", packet: named("example.test.", dns.TypeAXFR, 0, opt(4096, version1)),
		want:   "BADVERS q opt 1232",
		counts: "edns opt, edns other_version, queries BADVERS, questions AXFR",
	},
	{
		name: "version 1, NXNAME", packet: named("example.test.", 128, 0, opt(4096, version1)),
		want:   "BADVERS q opt 1232",
		counts: "edns opt, edns other_version, queries BADVERS, questions NXNAME",
	},
	{
		name: "version 1 twice", packet: soaOf(0, opt(4096, version1), opt(4096, version1)),
		want:   "FORMERR q opt 1232",
		counts: "edns opt, edns other_version, malformed opt_twice, queries FORMERR",
	},
	{
		name: "version 1, bytes at the end", packet: query{name: "example.test.", qtype: dns.TypeSOA, opts: [][]byte{opt(4096, version1)}, trailing: "x"}.bytes(),
		want:   "FORMERR q opt 1232",
		counts: "edns opt, edns other_version, malformed trailing, queries FORMERR",
	},
	{
		name: "response code in the OPT", packet: soaOf(0, opt(4096, 0xFF00_0000)),
		want:   "NOERROR aa q answer 1 SOA opt 1232",
		counts: "edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "all flags", packet: soaOf(0, opt(4096, 0xFFFF)),
		want:   "NOERROR aa q answer 1 SOA opt 1232 do",
		counts: "edns dnssec_ok, edns opt, edns other_flags, queries NOERROR, questions SOA",
	},
	{
		name: "DO in NXDOMAIN", packet: named("no.example.test.", dns.TypeA, 0, opt(4096, do)),
		want:   "NXDOMAIN aa q authority 1 SOA opt 1232 do",
		counts: "edns dnssec_ok, edns opt, queries NXDOMAIN, questions A",
	},
	{
		name: "DO in NODATA", packet: named("txt.example.test.", dns.TypeA, 0, opt(4096, do)),
		want:   "NOERROR aa q authority 1 SOA opt 1232 do",
		counts: "edns dnssec_ok, edns opt, queries NOERROR, questions A",
	},
	{
		name: "DO in a referral", packet: named("x.sub.example.test.", dns.TypeA, 0, opt(4096, do)),
		want:   "NOERROR q authority 1 NS additional 1 A opt 1232 do",
		counts: "edns dnssec_ok, edns opt, queries NOERROR, questions A",
	},
	{
		name: "DO in REFUSED", packet: named("elsewhere.test.", dns.TypeA, 0, opt(4096, do|0x7FFF)),
		want:   "REFUSED q opt 1232 do",
		counts: "edns dnssec_ok, edns opt, edns other_flags, queries REFUSED, questions A",
	},
	{
		name: "DO in FORMERR", packet: soaOf(0, opt(4096, do|0x7FFF, []byte{1})),
		want:   "FORMERR q opt 1232 do",
		counts: "edns dnssec_ok, edns opt, edns other_flags, malformed option, queries FORMERR",
	},
	{
		name: "DO in NOTIMP", packet: soaOf(2<<11, opt(4096, do|0x7FFF)),
		want:   "NOTIMP opcode 2 opt 1232 do",
		counts: "edns dnssec_ok, edns opt, edns other_flags, queries NOTIMP, unusual status",
	},
	{
		name: "DO from a pool", packet: named("dl.example.test.", dns.TypeA, 0, opt(4096, do)),
		want:   "NOERROR aa q answer 1 A opt 1232 do",
		counts: "choices one dl.example.test first, edns dnssec_ok, edns opt, queries dl.example.test NOERROR, questions A",
	},
	{
		name: "no OPT, fits", packet: named("fits.example.test.", typeTXT, 0),
		want:   "NOERROR aa q answer 1 TXT",
		counts: "queries NOERROR, questions TXT",
	},
	{
		name: "no OPT, middle", packet: named("middle.example.test.", typeTXT, 0),
		want:    "NOERROR aa tc q",
		counts:  "queries NOERROR, questions TXT, truncated",
		wantTCP: "NOERROR aa q answer 9 TXT", countsTCP: "queries NOERROR, questions TXT",
	},
	{
		name: "no OPT, big", packet: named("big.example.test.", typeTXT, 0),
		want:    "NOERROR aa tc q",
		counts:  "queries NOERROR, questions TXT, truncated",
		wantTCP: "NOERROR aa q answer 30 TXT", countsTCP: "queries NOERROR, questions TXT",
	},
	{
		name: "two OPTs", packet: soaOf(0, opt(4096, 0), opt(4096, 0)),
		want:   "FORMERR q opt 1232",
		counts: "edns opt, malformed opt_twice, queries FORMERR",
	},
	{
		name: "two OPTs, the first with DO", packet: soaOf(0, opt(512, do), opt(4096, 0)),
		want:   "FORMERR q opt 1232 do",
		counts: "edns dnssec_ok, edns opt, malformed opt_twice, queries FORMERR",
	},
	{
		name: "three OPTs", packet: soaOf(0, opt(512, 0), opt(512, 0), opt(512, 0)),
		want:   "FORMERR q opt 1232",
		counts: "edns opt, malformed opt_twice, queries FORMERR",
	},
	{
		name: "two OPTs apart", packet: query{name: "example.test.", qtype: dns.TypeSOA, counts: &[4]uint16{1, 0, 0, 3}, opts: [][]byte{opt(512, 0), anA, opt(512, 0)}}.bytes(),
		want:   "FORMERR q opt 1232",
		counts: "edns opt, malformed opt_twice, queries FORMERR",
	},
	{
		name: "OPT in the answer section", packet: query{name: "example.test.", qtype: dns.TypeSOA, counts: &[4]uint16{1, 1}, opts: [][]byte{opt(512, 0)}}.bytes(),
		want:   "FORMERR q",
		counts: "malformed section, queries FORMERR",
	},
	{
		name: "OPT in the authority section", packet: query{name: "example.test.", qtype: dns.TypeSOA, counts: &[4]uint16{1, 0, 1}, opts: [][]byte{opt(512, 0)}}.bytes(),
		want:   "FORMERR q",
		counts: "malformed section, queries FORMERR",
	},
	{
		name: "OPT in the authority section of an IXFR", packet: query{name: "example.test.", qtype: dns.TypeIXFR, counts: &[4]uint16{1, 0, 1}, opts: [][]byte{opt(512, 0)}}.bytes(),
		want:   "FORMERR q",
		counts: "malformed opt_place, queries FORMERR",
	},
	{
		name: "OPT in all sections", packet: query{name: "example.test.", qtype: dns.TypeSOA, counts: &[4]uint16{1, 1, 1, 1}, opts: [][]byte{opt(512, 0), opt(512, 0), opt(512, 0)}}.bytes(),
		want:   "FORMERR q opt 1232",
		counts: "edns opt, malformed section, queries FORMERR",
	},
	{
		name: "OPT with a name", packet: soaOf(0, append([]byte("\x01a"), opt(512, 0)...)),
		want:   "FORMERR q",
		counts: "malformed opt_place, queries FORMERR",
	},
	{
		name: "OPT with a pointer to the root", packet: query{name: "example.test.", qtype: dns.TypeSOA, opts: [][]byte{append([]byte{0xC0, 24}, opt(512, 0)[1:]...)}}.bytes(),
		want:   "FORMERR q",
		counts: "malformed record, queries FORMERR",
	},
	{
		name: "OPT with a pointer to the question", packet: soaOf(0, append([]byte{0xC0, 12}, opt(512, 0)[1:]...)),
		want:   "FORMERR q",
		counts: "malformed opt_place, queries FORMERR",
	},
	{
		name: "OPT before another record", packet: query{name: "example.test.", qtype: dns.TypeSOA, counts: &[4]uint16{1, 0, 0, 2}, opts: [][]byte{opt(4096, do), anA}}.bytes(),
		want:   "NOERROR aa q answer 1 SOA opt 1232 do",
		counts: "edns dnssec_ok, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "OPT after another record", packet: query{name: "example.test.", qtype: dns.TypeSOA, counts: &[4]uint16{1, 0, 0, 2}, opts: [][]byte{anA, opt(4096, do)}}.bytes(),
		want:   "NOERROR aa q answer 1 SOA opt 1232 do",
		counts: "edns dnssec_ok, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "OPT between others", packet: query{name: "example.test.", qtype: dns.TypeSOA, counts: &[4]uint16{1, 0, 0, 3}, opts: [][]byte{anA, opt(4096, do), anA}}.bytes(),
		want:   "NOERROR aa q answer 1 SOA opt 1232 do",
		counts: "edns dnssec_ok, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "OPT cut short", packet: query{name: "example.test.", qtype: dns.TypeSOA, opts: [][]byte{opt(4096, 0)[:10]}}.bytes(),
		want:   "FORMERR q",
		counts: "malformed record, queries FORMERR",
	},
	{
		name: "OPT longer than the packet", packet: query{name: "example.test.", qtype: dns.TypeSOA, opts: [][]byte{append(opt(4096, 0)[:9], 0, 1)}}.bytes(),
		want:   "FORMERR q",
		counts: "malformed record, queries FORMERR",
	},
	{
		name: "an option's code without its length", packet: soaOf(0, opt(4096, 0, []byte{0, 3})),
		want:   "FORMERR q opt 1232",
		counts: "edns opt, malformed option, queries FORMERR",
	},
	{
		name: "three bytes of an option", packet: soaOf(0, opt(4096, 0, []byte{0, 3, 0})),
		want:   "FORMERR q opt 1232",
		counts: "edns opt, malformed option, queries FORMERR",
	},
	{
		name: "an option longer than the OPT", packet: soaOf(0, opt(4096, 0, []byte{0, 3, 0, 1})),
		want:   "FORMERR q opt 1232",
		counts: "edns opt, malformed option, queries FORMERR",
	},
	{
		name: "an unknown option longer than the OPT", packet: soaOf(0, opt(4096, 0, []byte{0xFD, 0xE9, 0xFF, 0xFF, 1})),
		want:   "FORMERR q opt 1232",
		counts: "edns opt, malformed option, queries FORMERR",
	},
	{
		name: "a good option, and half of another", packet: soaOf(0, opt(4096, 0, option(3, ""), []byte{0})),
		want:   "FORMERR q opt 1232",
		counts: "edns nsid, edns opt, malformed option, queries FORMERR",
	},
	{
		name: "unknown options", packet: soaOf(0, opt(4096, 0, option(65001, "whatever"), option(65534, ""), option(0, ""), option(65535, "x"))),
		want:   "NOERROR aa q answer 1 SOA opt 1232",
		counts: "edns opt, edns unknown_option, queries NOERROR, questions SOA",
	},
}
