package dnsserver

import (
	"bytes"
	"strings"

	"github.com/miekg/dns"
)

// optionCases are about options, each by itself and together.
var optionCases = []questionCase{
	{
		name: "NSID with a value", packet: soaOf(0, opt(4096, 0, option(3, "mine"))),
		want:   "NOERROR aa q answer 1 SOA opt 1232 nsid=ns1",
		counts: "edns nsid, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "NSID twice", packet: soaOf(0, opt(4096, 0, option(3, ""), option(3, ""))),
		want:   "NOERROR aa q answer 1 SOA opt 1232 nsid=ns1",
		counts: "edns nsid, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "NSID in NXDOMAIN", packet: named("no.example.test.", dns.TypeA, 0, opt(4096, 0, option(3, ""))),
		want:   "NXDOMAIN aa q authority 1 SOA opt 1232 nsid=ns1",
		counts: "edns nsid, edns opt, queries NXDOMAIN, questions A",
	},
	{
		name: "NSID in REFUSED", packet: named("elsewhere.test.", dns.TypeA, 0, opt(4096, 0, option(3, ""))),
		want:   "REFUSED q opt 1232 nsid=ns1",
		counts: "edns nsid, edns opt, queries REFUSED, questions A",
	},
	{
		name: "NSID in NOTIMP to a type", packet: named("example.test.", dns.TypeMAILB, 0, opt(4096, 0, option(3, ""))),
		want:   "NOTIMP q opt 1232 nsid=ns1",
		counts: "edns nsid, edns opt, queries NOTIMP, questions MAILB",
	},
	{
		name: "NSID in NOTIMP to an opcode", packet: soaOf(2<<11, opt(4096, 0, option(3, ""))),
		want:   "NOTIMP opcode 2 opt 1232",
		counts: "edns nsid, edns opt, queries NOTIMP, unusual status",
	},
	{
		name: "NSID in FORMERR", packet: query{name: "example.test.", qtype: dns.TypeSOA, opts: [][]byte{opt(4096, 0, option(3, ""))}, trailing: "x"}.bytes(),
		want:   "FORMERR q opt 1232",
		counts: "edns opt, malformed trailing, queries FORMERR",
	},
	{
		name: "NSID where nothing else fits", packet: named("big.example.test.", typeTXT, 0, opt(512, 0, option(3, ""))),
		want:    "NOERROR aa tc q opt 1232 nsid=ns1",
		counts:  "edns nsid, edns opt, queries NOERROR, questions TXT, truncated",
		wantTCP: "NOERROR aa q answer 30 TXT opt 1232 nsid=ns1", countsTCP: "edns nsid, edns opt, queries NOERROR, questions TXT",
	},
	{
		name: "NSID from a pool", packet: named("dl.example.test.", dns.TypeA, 0, opt(4096, 0, option(3, ""))),
		want:   "NOERROR aa q answer 1 A opt 1232 nsid=ns1",
		counts: "choices one dl.example.test first, edns nsid, edns opt, queries dl.example.test NOERROR, questions A",
	},
	{
		name: "EXPIRE with a value", packet: soaOf(0, opt(4096, 0, option(9, "\x00\x00\x00\x07"))),
		want:   "NOERROR aa q answer 1 SOA opt 1232 expire=00127500",
		counts: "edns expire, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "EXPIRE with another value", packet: soaOf(0, opt(4096, 0, option(9, "\x07"))),
		want:   "NOERROR aa q answer 1 SOA opt 1232 expire=00127500",
		counts: "edns expire, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "EXPIRE for what is no SOA", packet: named("txt.example.test.", typeTXT, 0, opt(4096, 0, option(9, ""))),
		want:   "NOERROR aa q answer 1 TXT opt 1232",
		counts: "edns expire, edns opt, queries NOERROR, questions TXT",
	},
	{
		name: "EXPIRE below the zone", packet: named("txt.example.test.", dns.TypeSOA, 0, opt(4096, 0, option(9, ""))),
		want:   "NOERROR aa q authority 1 SOA opt 1232",
		counts: "edns expire, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "EXPIRE where the zone is not ours", packet: named("elsewhere.test.", dns.TypeSOA, 0, opt(4096, 0, option(9, ""))),
		want:   "REFUSED q opt 1232",
		counts: "edns expire, edns opt, queries REFUSED, questions SOA",
	},
	{
		name: "EXPIRE at a delegation", packet: named("sub.example.test.", dns.TypeSOA, 0, opt(4096, 0, option(9, ""))),
		want:   "NOERROR q authority 1 NS additional 1 A opt 1232",
		counts: "edns expire, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "EXPIRE for AXFR", packet: named("example.test.", dns.TypeAXFR, 0, opt(4096, 0, option(9, ""))),
		want:   "REFUSED q opt 1232",
		counts: "edns expire, edns opt, queries REFUSED, questions AXFR, transfers axfr refused",
	},
	{
		name: "EXPIRE for ANY", packet: named("example.test.", dns.TypeANY, 0, opt(4096, 0, option(9, ""))),
		want:   "NOERROR aa q answer 1 HINFO opt 1232",
		counts: "edns expire, edns opt, queries NOERROR, questions ANY",
	},
	{
		name: "keepalive", packet: soaOf(0, opt(4096, 0, option(11, ""))),
		want:    "NOERROR aa q answer 1 SOA opt 1232",
		counts:  "edns keepalive, edns opt, queries NOERROR, questions SOA",
		wantTCP: "NOERROR aa q answer 1 SOA opt 1232 keepalive=0064",
	},
	{
		name: "keepalive with a value", packet: soaOf(0, opt(4096, 0, option(11, "\x00\x64"))),
		want:    "NOERROR aa q answer 1 SOA opt 1232",
		counts:  "edns keepalive, edns opt, queries NOERROR, questions SOA",
		wantTCP: "FORMERR q opt 1232", countsTCP: "edns keepalive, edns opt, malformed keepalive_value, queries FORMERR",
	},
	{
		name: "keepalive with half a value", packet: soaOf(0, opt(4096, 0, option(11, "\x00"))),
		want:    "NOERROR aa q answer 1 SOA opt 1232",
		counts:  "edns keepalive, edns opt, queries NOERROR, questions SOA",
		wantTCP: "FORMERR q opt 1232", countsTCP: "edns keepalive, edns opt, malformed keepalive_value, queries FORMERR",
	},
	{
		name: "keepalive twice", packet: soaOf(0, opt(4096, 0, option(11, ""), option(11, ""))),
		want:    "NOERROR aa q answer 1 SOA opt 1232",
		counts:  "edns keepalive, edns opt, queries NOERROR, questions SOA",
		wantTCP: "NOERROR aa q answer 1 SOA opt 1232 keepalive=0064",
	},
	{
		name: "keepalive in REFUSED", packet: named("elsewhere.test.", dns.TypeA, 0, opt(4096, 0, option(11, ""))),
		want:    "REFUSED q opt 1232",
		counts:  "edns keepalive, edns opt, queries REFUSED, questions A",
		wantTCP: "REFUSED q opt 1232 keepalive=0064",
	},
	{
		name: "keepalive from a pool", packet: named("dl.example.test.", dns.TypeA, 0, opt(4096, 0, option(11, ""))),
		want:    "NOERROR aa q answer 1 A opt 1232",
		counts:  "choices one dl.example.test first, edns keepalive, edns opt, queries dl.example.test NOERROR, questions A",
		wantTCP: "NOERROR aa q answer 1 A opt 1232 keepalive=0064",
	},
	{
		name: "padding", packet: soaOf(0, opt(4096, 0, option(12, ""))),
		want:    "NOERROR aa q answer 1 SOA opt 1232",
		counts:  "edns opt, edns padding, queries NOERROR, questions SOA",
		wantTLS: "NOERROR aa q answer 1 SOA opt 1232 padding whole",
	},
	{
		name: "padding with bytes", packet: soaOf(0, opt(4096, 0, option(12, strings.Repeat("\x00", 100)))),
		want:    "NOERROR aa q answer 1 SOA opt 1232",
		counts:  "edns opt, edns padding, queries NOERROR, questions SOA",
		wantTLS: "NOERROR aa q answer 1 SOA opt 1232 padding whole",
	},
	{
		name: "padding with other bytes", packet: soaOf(0, opt(4096, 0, option(12, strings.Repeat("p", 100)))),
		want:    "NOERROR aa q answer 1 SOA opt 1232",
		counts:  "edns opt, edns padding, queries NOERROR, questions SOA",
		wantTLS: "NOERROR aa q answer 1 SOA opt 1232 padding whole",
	},
	{
		name: "padding twice", packet: soaOf(0, opt(4096, 0, option(12, ""), option(12, "x"))),
		want:    "NOERROR aa q answer 1 SOA opt 1232",
		counts:  "edns opt, edns padding, queries NOERROR, questions SOA",
		wantTLS: "NOERROR aa q answer 1 SOA opt 1232 padding whole",
	},
	{
		name: "padding of a large answer", packet: named("big.example.test.", typeTXT, 0, opt(4096, 0, option(12, ""))),
		want:    "NOERROR aa tc q opt 1232",
		counts:  "edns opt, edns padding, queries NOERROR, questions TXT, truncated",
		wantTCP: "NOERROR aa q answer 30 TXT opt 1232", countsTCP: "edns opt, edns padding, queries NOERROR, questions TXT",
		wantTLS: "NOERROR aa q answer 30 TXT opt 1232 padding whole",
	},
	{
		name: "padding of a truncated answer", packet: named("big.example.test.", typeTXT, 0, opt(512, 0, option(12, ""))),
		want:    "NOERROR aa tc q opt 1232",
		counts:  "edns opt, edns padding, queries NOERROR, questions TXT, truncated",
		wantTCP: "NOERROR aa q answer 30 TXT opt 1232", countsTCP: "edns opt, edns padding, queries NOERROR, questions TXT",
		wantTLS: "NOERROR aa q answer 30 TXT opt 1232 padding whole",
	},
	{
		name: "padding in NXDOMAIN", packet: named("no.example.test.", dns.TypeA, 0, opt(4096, 0, option(12, ""))),
		want:    "NXDOMAIN aa q authority 1 SOA opt 1232",
		counts:  "edns opt, edns padding, queries NXDOMAIN, questions A",
		wantTLS: "NXDOMAIN aa q authority 1 SOA opt 1232 padding whole",
	},
	{
		name: "padding in REFUSED", packet: named("elsewhere.test.", dns.TypeA, 0, opt(4096, 0, option(12, ""))),
		want:    "REFUSED q opt 1232",
		counts:  "edns opt, edns padding, queries REFUSED, questions A",
		wantTLS: "REFUSED q opt 1232 padding whole",
	},
	{
		name: "padding in CH", packet: named("version.bind.", typeTXT, 3, opt(4096, 0, option(12, ""))),
		want:    "NOERROR aa q answer 1 TXT opt 1232",
		counts:  "edns opt, edns padding, queries NOERROR, unusual chaos",
		wantTLS: "NOERROR aa q answer 1 TXT opt 1232 padding whole",
	},
	{
		name: "padding from a pool", packet: named("dl.example.test.", dns.TypeA, 0, opt(4096, 0, option(12, ""))),
		want:    "NOERROR aa q answer 1 A opt 1232",
		counts:  "choices one dl.example.test first, edns opt, edns padding, queries dl.example.test NOERROR, questions A",
		wantTLS: "NOERROR aa q answer 1 A opt 1232 padding whole",
	},
	{
		name: "cookie of 7 bytes", packet: soaOf(0, opt(4096, 0, option(10, "1234567"))),
		want:   "FORMERR q opt 1232",
		counts: "edns cookie, edns opt, malformed cookie, queries FORMERR",
	},
	{
		name: "cookie of no bytes", packet: soaOf(0, opt(4096, 0, option(10, ""))),
		want:   "FORMERR q opt 1232",
		counts: "edns cookie, edns opt, malformed cookie, queries FORMERR",
	},
	{
		name: "cookie of 9 bytes", packet: soaOf(0, opt(4096, 0, option(10, "123456789"))),
		want:   "FORMERR q opt 1232",
		counts: "edns cookie, edns opt, malformed cookie, queries FORMERR",
	},
	{
		name: "cookie of 15 bytes", packet: soaOf(0, opt(4096, 0, option(10, "123456789012345"))),
		want:   "FORMERR q opt 1232",
		counts: "edns cookie, edns opt, malformed cookie, queries FORMERR",
	},
	{
		name: "cookie of 16 bytes, bad", packet: soaOf(0, opt(4096, 0, option(10, "1234567890123456"))),
		want:   "NOERROR aa q answer 1 SOA opt 1232 cookie",
		counts: "cookies bad, edns cookie, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "cookie of 24 bytes, bad", packet: soaOf(0, opt(4096, 0, option(10, "123456789012345678901234"))),
		want:   "NOERROR aa q answer 1 SOA opt 1232 cookie",
		counts: "cookies bad, edns cookie, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "cookie of 40 bytes, bad", packet: soaOf(0, opt(4096, 0, option(10, strings.Repeat("c", 40)))),
		want:   "NOERROR aa q answer 1 SOA opt 1232 cookie",
		counts: "cookies bad, edns cookie, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "cookie of 41 bytes", packet: soaOf(0, opt(4096, 0, option(10, strings.Repeat("c", 41)))),
		want:   "FORMERR q opt 1232",
		counts: "edns cookie, edns opt, malformed cookie, queries FORMERR",
	},
	{
		name: "two cookies", packet: soaOf(0, opt(4096, 0, option(10, "\x01\x02\x03\x04\x05\x06\x07\x08"), option(10, "short"))),
		want:   "NOERROR aa q answer 1 SOA opt 1232 cookie",
		counts: "cookies new, edns cookie, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "subnet of 3 bytes", packet: soaOf(0, opt(4096, 0, option(8, "\x00\x01\x00"))),
		want:   "FORMERR q opt 1232",
		counts: "edns client_subnet, edns opt, malformed subnet_malformed, queries FORMERR",
	},
	{
		name: "subnet of no bytes", packet: soaOf(0, opt(4096, 0, option(8, ""))),
		want:   "FORMERR q opt 1232",
		counts: "edns client_subnet, edns opt, malformed subnet_malformed, queries FORMERR",
	},
	{
		name: "subnet twice", packet: soaOf(0, opt(4096, 0, option(8, "\x00\x01\x00\x00"), option(8, "\x00\x01\x00\x00"))),
		want:   "FORMERR q opt 1232",
		counts: "edns client_subnet, edns opt, malformed subnet_twice, queries FORMERR",
	},
	{
		name: "subnet", packet: soaOf(0, opt(4096, 0, option(8, "\x00\x01\x18\x00\x7f\x01\x02"))),
		want:   "NOERROR aa q answer 1 SOA opt 1232 subnet=000118007f0102",
		counts: "edns client_subnet, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "subnet with bits behind the prefix", packet: soaOf(0, opt(4096, 0, option(8, "\x00\x01\x17\x00\x7f\x01\x03"))),
		want:   "FORMERR q opt 1232",
		counts: "edns client_subnet, edns opt, malformed subnet_malformed, queries FORMERR",
	},
	{
		name: "all options", packet: soaOf(0, opt(4096, do, option(3, ""), option(8, "\x00\x01\x00\x00"), option(9, ""), option(10, "\x01\x02\x03\x04\x05\x06\x07\x08"), option(11, ""), option(12, "\x00\x00"), option(65001, "x"))),
		want:    "NOERROR aa q answer 1 SOA opt 1232 do nsid=ns1 subnet=00010000 cookie expire=00127500",
		counts:  "cookies new, edns client_subnet, edns cookie, edns dnssec_ok, edns expire, edns keepalive, edns nsid, edns opt, edns padding, edns unknown_option, queries NOERROR, questions SOA",
		wantTCP: "NOERROR aa q answer 1 SOA opt 1232 do nsid=ns1 subnet=00010000 cookie expire=00127500 keepalive=0064",
		wantTLS: "NOERROR aa q answer 1 SOA opt 1232 do nsid=ns1 subnet=00010000 cookie expire=00127500 keepalive=0064 padding whole",
	},
	{
		name: "all options, backwards", packet: soaOf(0, opt(4096, do, option(65001, "x"), option(12, "\x00\x00"), option(11, ""), option(10, "\x01\x02\x03\x04\x05\x06\x07\x08"), option(9, ""), option(8, "\x00\x01\x00\x00"), option(3, ""))),
		want:    "NOERROR aa q answer 1 SOA opt 1232 do nsid=ns1 subnet=00010000 cookie expire=00127500",
		counts:  "cookies new, edns client_subnet, edns cookie, edns dnssec_ok, edns expire, edns keepalive, edns nsid, edns opt, edns padding, edns unknown_option, queries NOERROR, questions SOA",
		wantTCP: "NOERROR aa q answer 1 SOA opt 1232 do nsid=ns1 subnet=00010000 cookie expire=00127500 keepalive=0064",
		wantTLS: "NOERROR aa q answer 1 SOA opt 1232 do nsid=ns1 subnet=00010000 cookie expire=00127500 keepalive=0064 padding whole",
	},
	{
		name: "all options, for a pool", packet: named("dl.example.test.", dns.TypeA, 0, opt(4096, do, option(10, "\x01\x02\x03\x04\x05\x06\x07\x08"), option(11, ""), option(12, "\x00\x00"), option(65001, "x"), option(3, ""), option(8, "\x00\x01\x00\x00"), option(9, ""))),
		want:    "NOERROR aa q answer 1 A opt 1232 do nsid=ns1 subnet=00010000 cookie",
		counts:  "choices one dl.example.test first, cookies new, edns client_subnet, edns cookie, edns dnssec_ok, edns expire, edns keepalive, edns nsid, edns opt, edns padding, edns unknown_option, queries dl.example.test NOERROR, questions A",
		wantTCP: "NOERROR aa q answer 1 A opt 1232 do nsid=ns1 subnet=00010000 cookie keepalive=0064",
		wantTLS: "NOERROR aa q answer 1 A opt 1232 do nsid=ns1 subnet=00010000 cookie keepalive=0064 padding whole",
	},
	{
		name: "a thousand options", packet: soaOf(0, opt(4096, 0, bytes.Repeat(option(65001, ""), 800))),
		want:   "NOERROR aa q answer 1 SOA opt 1232",
		counts: "edns opt, edns unknown_option, queries NOERROR, questions SOA",
	},
}
