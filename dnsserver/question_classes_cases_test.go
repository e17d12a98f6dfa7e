package dnsserver

import (
	"github.com/miekg/dns"
)

// classCases ask in classes of every kind, and in CH for this server itself.
var classCases = []questionCase{
	{
		name: "class 0", packet: rawQuestion([4]uint16{1}, aQuestion[:len(aQuestion)-2], "\x00\x00"),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual class",
	},
	{
		name: "class CS", packet: rawQuestion([4]uint16{1}, aQuestion[:len(aQuestion)-2], "\x00\x02"),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual class",
	},
	{
		name: "class CH", packet: rawQuestion([4]uint16{1}, aQuestion[:len(aQuestion)-2], "\x00\x03"),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual chaos",
	},
	{
		name: "class CH outside", packet: named("elsewhere.test.", dns.TypeSOA, 3),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual chaos",
	},
	{
		name: "class HS", packet: rawQuestion([4]uint16{1}, aQuestion[:len(aQuestion)-2], "\x00\x04"),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual class",
	},
	{
		name: "class HS outside", packet: named("elsewhere.test.", dns.TypeSOA, 4),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual class",
	},
	{
		name: "class 5", packet: rawQuestion([4]uint16{1}, aQuestion[:len(aQuestion)-2], "\x00\x05"),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual class",
	},
	{
		name: "class NONE", packet: rawQuestion([4]uint16{1}, aQuestion[:len(aQuestion)-2], "\x00\xfe"),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual class",
	},
	{
		name: "class ANY", packet: rawQuestion([4]uint16{1}, aQuestion[:len(aQuestion)-2], "\x00\xff"),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual class",
	},
	{
		name: "class ANY outside", packet: named("elsewhere.test.", dns.TypeSOA, 255),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual class",
	},
	{
		name: "class 256", packet: rawQuestion([4]uint16{1}, aQuestion[:len(aQuestion)-2], "\x01\x00"),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual class",
	},
	{
		name: "class 65280", packet: rawQuestion([4]uint16{1}, aQuestion[:len(aQuestion)-2], "\xff\x00"),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual class",
	},
	{
		name: "class 65535", packet: rawQuestion([4]uint16{1}, aQuestion[:len(aQuestion)-2], "\xff\xff"),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual class",
	},
	{
		name: "class ANY, type ANY", packet: named("example.test.", dns.TypeANY, 255),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual class",
	},
	{
		name: "class CH, NXNAME", packet: named("version.bind.", 128, 3),
		want:   "FORMERR q",
		counts: "malformed type, queries FORMERR, unusual chaos",
	},
	{
		name: "class CH, AXFR", packet: named("version.bind.", dns.TypeAXFR, 3),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual chaos",
	},
	{
		name: "class CH, OPT", packet: named("version.bind.", dns.TypeOPT, 3),
		want:   "FORMERR q",
		counts: "malformed type, queries FORMERR, unusual chaos",
	},
	{
		name: "class 2, TSIG", packet: named("example.test.", dns.TypeTSIG, 2),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual class",
	},
	{
		name: "version.bind.", packet: named("version.bind.", typeTXT, 3),
		want:   "NOERROR aa q answer 1 TXT",
		counts: "queries NOERROR, unusual chaos",
	},
	{
		name: "version.bind. ANY", packet: named("version.bind.", dns.TypeANY, 3),
		want:   "NOERROR aa q answer 1 TXT",
		counts: "queries NOERROR, unusual chaos",
	},
	{
		name: "version.bind. A", packet: named("version.bind.", dns.TypeA, 3),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual chaos",
	},
	{
		name: "version.server.", packet: named("version.server.", typeTXT, 3),
		want:   "NOERROR aa q answer 1 TXT",
		counts: "queries NOERROR, unusual chaos",
	},
	{
		name: "version.server. ANY", packet: named("version.server.", dns.TypeANY, 3),
		want:   "NOERROR aa q answer 1 TXT",
		counts: "queries NOERROR, unusual chaos",
	},
	{
		name: "version.server. A", packet: named("version.server.", dns.TypeA, 3),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual chaos",
	},
	{
		name: "id.server.", packet: named("id.server.", typeTXT, 3),
		want:   "NOERROR aa q answer 1 TXT",
		counts: "queries NOERROR, unusual chaos",
	},
	{
		name: "id.server. ANY", packet: named("id.server.", dns.TypeANY, 3),
		want:   "NOERROR aa q answer 1 TXT",
		counts: "queries NOERROR, unusual chaos",
	},
	{
		name: "id.server. A", packet: named("id.server.", dns.TypeA, 3),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual chaos",
	},
	{
		name: "hostname.bind.", packet: named("hostname.bind.", typeTXT, 3),
		want:   "NOERROR aa q answer 1 TXT",
		counts: "queries NOERROR, unusual chaos",
	},
	{
		name: "hostname.bind. ANY", packet: named("hostname.bind.", dns.TypeANY, 3),
		want:   "NOERROR aa q answer 1 TXT",
		counts: "queries NOERROR, unusual chaos",
	},
	{
		name: "hostname.bind. A", packet: named("hostname.bind.", dns.TypeA, 3),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual chaos",
	},
	{
		name: "VERSION.BIND.", packet: named("VERSION.BIND.", typeTXT, 3),
		want:   "NOERROR aa q answer 1 TXT",
		counts: "queries NOERROR, unusual chaos",
	},
	{
		name: "Version.bind. with all that EDNS has", packet: named("vErSiOn.bInD.", typeTXT, 3, opt(512, do, option(3, ""), option(8, "\x00\x01\x00\x00"), option(9, ""), option(10, "\x01\x02\x03\x04\x05\x06\x07\x08"), option(11, ""), option(12, "\x00\x00"), option(65001, "x"))),
		want:    "NOERROR aa q answer 1 TXT opt 1232 do nsid=ns1 subnet=00010000 cookie",
		counts:  "cookies new, edns client_subnet, edns cookie, edns dnssec_ok, edns expire, edns keepalive, edns nsid, edns opt, edns padding, edns unknown_option, queries NOERROR, unusual chaos",
		wantTCP: "NOERROR aa q answer 1 TXT opt 1232 do nsid=ns1 subnet=00010000 cookie keepalive=0064",
		wantTLS: "NOERROR aa q answer 1 TXT opt 1232 do nsid=ns1 subnet=00010000 cookie keepalive=0064 padding whole",
	},
	{
		name: "authors.bind. in CH", packet: named("authors.bind.", typeTXT, 3),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual chaos",
	},
	{
		name: "bind. in CH", packet: named("bind.", typeTXT, 3),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual chaos",
	},
	{
		name: "server. in CH", packet: named("server.", typeTXT, 3),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual chaos",
	},
	{
		name: "x.version.bind. in CH", packet: named("x.version.bind.", typeTXT, 3),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual chaos",
	},
	{
		name: ". in CH", packet: named(".", typeTXT, 3),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual chaos",
	},
	{
		name: "version.bind.example.test. in CH", packet: named("version.bind.example.test.", typeTXT, 3),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual chaos",
	},
	{
		name: "id.server.test. in CH", packet: named("id.server.test.", typeTXT, 3),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual chaos",
	},
	{
		name: "version.bind. in IN", packet: named("version.bind.", typeTXT, 1),
		want:   "REFUSED q",
		counts: "queries REFUSED, questions TXT",
	},
	{
		name: "id.server. in HS", packet: named("id.server.", typeTXT, 4),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual class",
	},
	{
		name: "version.bind with the dot in the label", packet: named(`version\.bind.`, typeTXT, 3),
		want:   "REFUSED q",
		counts: "queries REFUSED, unusual chaos",
	},
}
