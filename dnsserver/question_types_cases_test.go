package dnsserver

import (
	"github.com/miekg/dns"
)

// typeCases ask for types of every kind.
var typeCases = []questionCase{
	{
		name: "type TYPE0", packet: named("example.test.", 0, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions other",
	},
	{
		name: "type NULL", packet: named("example.test.", 10, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions NULL",
	},
	{
		name: "type SIG", packet: named("example.test.", 24, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions SIG",
	},
	{
		name: "type KEY", packet: named("example.test.", 25, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions KEY",
	},
	{
		name: "type NB", packet: named("example.test.", 32, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions NIMLOC",
	},
	{
		name: "type OPT", packet: named("example.test.", 41, 0),
		want:   "FORMERR q",
		counts: "malformed type, queries FORMERR, questions OPT",
	},
	{
		name: "type RRSIG", packet: named("example.test.", 46, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions RRSIG",
	},
	{
		name: "type NSEC", packet: named("example.test.", 47, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions NSEC",
	},
	{
		name: "type DNSKEY", packet: named("example.test.", 48, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions DNSKEY",
	},
	{
		name: "type NSEC3", packet: named("example.test.", 50, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions NSEC3",
	},
	{
		name: "type 54, not assigned", packet: named("example.test.", 54, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions other",
	},
	{
		name: "type SVCB", packet: named("example.test.", 64, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions SVCB",
	},
	{
		name: "type UINFO", packet: named("example.test.", 100, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions UINFO",
	},
	{
		name: "type UNSPEC", packet: named("example.test.", 103, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions UNSPEC",
	},
	{
		name: "type 127", packet: named("example.test.", 127, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions other",
	},
	{
		name: "type NXNAME", packet: named("example.test.", 128, 0),
		want:   "FORMERR q",
		counts: "malformed type, queries FORMERR, questions NXNAME",
	},
	{
		name: "type 129, a meta type not assigned", packet: named("example.test.", 129, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions other",
	},
	{
		name: "type 200, a meta type not assigned", packet: named("example.test.", 200, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions other",
	},
	{
		name: "type 248, a meta type not assigned", packet: named("example.test.", 248, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions other",
	},
	{
		name: "type TKEY", packet: named("example.test.", 249, 0),
		want:   "NOTIMP q",
		counts: "queries NOTIMP, questions TKEY",
	},
	{
		name: "type TSIG", packet: named("example.test.", 250, 0),
		want:   "FORMERR q",
		counts: "malformed type, queries FORMERR, questions TSIG",
	},
	{
		name: "type IXFR", packet: named("example.test.", 251, 0),
		want:   "REFUSED q",
		counts: "queries REFUSED, questions IXFR, transfers ixfr refused",
	},
	{
		name: "type AXFR", packet: named("example.test.", 252, 0),
		want:   "REFUSED q",
		counts: "queries REFUSED, questions AXFR, transfers axfr refused",
	},
	{
		name: "type MAILB", packet: named("example.test.", 253, 0),
		want:   "NOTIMP q",
		counts: "queries NOTIMP, questions MAILB",
	},
	{
		name: "type MAILA", packet: named("example.test.", 254, 0),
		want:   "NOTIMP q",
		counts: "queries NOTIMP, questions MAILA",
	},
	{
		name: "type ANY", packet: named("example.test.", 255, 0),
		want:   "NOERROR aa q answer 1 HINFO",
		counts: "queries NOERROR, questions ANY",
	},
	{
		name: "type URI", packet: named("example.test.", 256, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions URI",
	},
	{
		name: "type AMTRELAY", packet: named("example.test.", 260, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions other",
	},
	{
		name: "type TA", packet: named("example.test.", 32768, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions other",
	},
	{
		name: "type DLV", packet: named("example.test.", 32769, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions other",
	},
	{
		name: "type 61440", packet: named("example.test.", 61440, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions other",
	},
	{
		name: "type 65279", packet: named("example.test.", 65279, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions other",
	},
	{
		name: "type a private one", packet: named("example.test.", 65280, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions other",
	},
	{
		name: "type the last private one", packet: named("example.test.", 65534, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions other",
	},
	{
		name: "type TYPE65535", packet: named("example.test.", 65535, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions other",
	},
	{
		name: "an unknown type that is there", packet: named("unknown.example.test.", 65280, 0),
		want:   "NOERROR aa q answer 1 TYPE65280",
		counts: "queries NOERROR, questions other",
	},
	{
		name: "NXNAME for a name that is not there", packet: named("no.example.test.", 128, 0, opt(4096, do)),
		want:   "FORMERR q opt 1232 do",
		counts: "edns dnssec_ok, edns opt, malformed type, queries FORMERR, questions NXNAME",
	},
	{
		name: "NXNAME outside", packet: named("elsewhere.test.", 128, 0),
		want:   "FORMERR q",
		counts: "malformed type, queries FORMERR, questions NXNAME",
	},
	{
		name: "TKEY outside", packet: named("elsewhere.test.", dns.TypeTKEY, 0),
		want:   "NOTIMP q",
		counts: "queries NOTIMP, questions TKEY",
	},
	{
		name: "TSIG outside", packet: named("elsewhere.test.", dns.TypeTSIG, 0),
		want:   "FORMERR q",
		counts: "malformed type, queries FORMERR, questions TSIG",
	},
	{
		name: "OPT outside", packet: named("elsewhere.test.", dns.TypeOPT, 0),
		want:   "FORMERR q",
		counts: "malformed type, queries FORMERR, questions OPT",
	},
	{
		name: "MAILA outside", packet: named("elsewhere.test.", dns.TypeMAILA, 0),
		want:   "NOTIMP q",
		counts: "queries NOTIMP, questions MAILA",
	},
	{
		name: "AXFR outside", packet: named("elsewhere.test.", dns.TypeAXFR, 0),
		want:   "NOTAUTH q",
		counts: "queries NOTAUTH, questions AXFR, transfers axfr not_here",
	},
	{
		name: "IXFR outside", packet: named("elsewhere.test.", dns.TypeIXFR, 0),
		want:   "NOTAUTH q",
		counts: "queries NOTAUTH, questions IXFR, transfers ixfr not_here",
	},
	{
		name: "ANY outside", packet: named("elsewhere.test.", dns.TypeANY, 0),
		want:   "REFUSED q",
		counts: "queries REFUSED, questions ANY",
	},
	{
		name: "ANY for a name with one type", packet: named("txt.example.test.", dns.TypeANY, 0),
		want:   "NOERROR aa q answer 1 HINFO",
		counts: "queries NOERROR, questions ANY",
	},
	{
		name: "ANY for an alias", packet: named("alias.example.test.", dns.TypeANY, 0),
		want:   "NOERROR aa q answer 1 CNAME",
		counts: "queries NOERROR, questions ANY",
	},
	{
		name: "ANY for a pool", packet: named("dl.example.test.", dns.TypeANY, 0),
		want:   "NOERROR aa q answer 1 HINFO",
		counts: "queries NOERROR, questions ANY",
	},
	{
		name: "ANY for no name", packet: named("no.example.test.", dns.TypeANY, 0),
		want:   "NXDOMAIN aa q authority 1 SOA",
		counts: "queries NXDOMAIN, questions ANY",
	},
	{
		name: "ANY for an empty non-terminal", packet: named("a.example.test.", dns.TypeANY, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions ANY",
	},
	{
		name: "ANY below a cut", packet: named("x.sub.example.test.", dns.TypeANY, 0),
		want:   "NOERROR q authority 1 NS additional 1 A",
		counts: "queries NOERROR, questions ANY",
	},
	{
		name: "ANY for a wildcard", packet: named("x.wild.example.test.", dns.TypeANY, 0),
		want:   "NOERROR aa q answer 1 HINFO",
		counts: "queries NOERROR, questions ANY",
	},
	{
		name: "ANY with DO", packet: named("example.test.", dns.TypeANY, 0, opt(4096, do)),
		want:   "NOERROR aa q answer 1 HINFO opt 1232 do",
		counts: "edns dnssec_ok, edns opt, queries NOERROR, questions ANY",
	},
}
