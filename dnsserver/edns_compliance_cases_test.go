package dnsserver

// complianceCases are those of compliance testers, by the names that they have
// there (ISC's genreport, RFC 8906 section 8).
var complianceCases = []questionCase{
	{
		name: "dns", packet: soaOf(0),
		want:   "NOERROR aa q answer 1 SOA",
		counts: "queries NOERROR, questions SOA",
	},
	{
		name: "aa", packet: soaOf(1 << 10),
		want:   "NOERROR aa q answer 1 SOA",
		counts: "queries NOERROR, questions SOA",
	},
	{
		name: "ad", packet: soaOf(1 << 5),
		want:   "NOERROR aa q answer 1 SOA",
		counts: "queries NOERROR, questions SOA",
	},
	{
		name: "cd", packet: soaOf(1 << 4),
		want:   "NOERROR aa q answer 1 SOA",
		counts: "queries NOERROR, questions SOA",
	},
	{
		name: "ra", packet: soaOf(1 << 7),
		want:   "NOERROR aa q answer 1 SOA",
		counts: "queries NOERROR, questions SOA",
	},
	{
		name: "rd", packet: soaOf(flagRD),
		want:   "NOERROR aa rd q answer 1 SOA",
		counts: "queries NOERROR, questions SOA",
	},
	{
		name: "tc", packet: soaOf(1 << 9),
		want:   "NOERROR aa q answer 1 SOA",
		counts: "queries NOERROR, questions SOA",
	},
	{
		name: "zflag", packet: soaOf(1 << 6),
		want:   "NOERROR aa q answer 1 SOA",
		counts: "queries NOERROR, questions SOA",
	},
	{
		name: "all flags and a code", packet: soaOf(0x07FF),
		want:   "NOERROR aa rd q answer 1 SOA",
		counts: "queries NOERROR, questions SOA",
	},
	{
		name: "type666", packet: named("example.test.", 666, 0),
		want:   "NOERROR aa q authority 1 SOA",
		counts: "queries NOERROR, questions other",
	},
	{
		name: "edns", packet: soaOf(0, opt(4096, 0)),
		want:   "NOERROR aa q answer 1 SOA opt 1232",
		counts: "edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "edns1", packet: soaOf(0, opt(4096, version1)),
		want:   "BADVERS q opt 1232",
		counts: "edns opt, edns other_version, queries BADVERS, questions SOA",
	},
	{
		name: "edns@512", packet: named("big.example.test.", typeTXT, 0, opt(512, do)),
		want:    "NOERROR aa tc q opt 1232 do",
		counts:  "edns dnssec_ok, edns opt, queries NOERROR, questions TXT, truncated",
		wantTCP: "NOERROR aa q answer 30 TXT opt 1232 do", countsTCP: "edns dnssec_ok, edns opt, queries NOERROR, questions TXT",
	},
	{
		name: "ednstcp", packet: named("big.example.test.", typeTXT, 0, opt(512, do)),
		want:    "NOERROR aa tc q opt 1232 do",
		counts:  "edns dnssec_ok, edns opt, queries NOERROR, questions TXT, truncated",
		wantTCP: "NOERROR aa q answer 30 TXT opt 1232 do", countsTCP: "edns dnssec_ok, edns opt, queries NOERROR, questions TXT",
	},
	{
		name: "ednsopt", packet: soaOf(0, opt(4096, 0, option(100, ""))),
		want:   "NOERROR aa q answer 1 SOA opt 1232",
		counts: "edns opt, edns unknown_option, queries NOERROR, questions SOA",
	},
	{
		name: "edns1opt", packet: soaOf(0, opt(4096, version1, option(100, ""))),
		want:   "BADVERS q opt 1232",
		counts: "edns opt, edns other_version, queries BADVERS, questions SOA",
	},
	{
		name: "do", packet: soaOf(0, opt(4096, do)),
		want:   "NOERROR aa q answer 1 SOA opt 1232 do",
		counts: "edns dnssec_ok, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "docd", packet: soaOf(1<<4, opt(4096, do)),
		want:   "NOERROR aa q answer 1 SOA opt 1232 do",
		counts: "edns dnssec_ok, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "edns1do", packet: soaOf(0, opt(4096, version1|do)),
		want:   "BADVERS q opt 1232 do",
		counts: "edns dnssec_ok, edns opt, edns other_version, queries BADVERS, questions SOA",
	},
	{
		name: "ednsflags", packet: soaOf(0, opt(4096, 0x0080)),
		want:   "NOERROR aa q answer 1 SOA opt 1232",
		counts: "edns opt, edns other_flags, queries NOERROR, questions SOA",
	},
	{
		name: "edns1flags", packet: soaOf(0, opt(4096, version1|0x0040)),
		want:   "BADVERS q opt 1232",
		counts: "edns opt, edns other_flags, edns other_version, queries BADVERS, questions SOA",
	},
	{
		name: "optlist", packet: soaOf(0, opt(4096, 0, option(3, ""), option(8, "\x00\x01\x00\x00"), option(9, ""), option(10, "\x01\x02\x03\x04\x05\x06\x07\x08"))),
		want:   "NOERROR aa q answer 1 SOA opt 1232 nsid=ns1 subnet=00010000 cookie expire=00127500",
		counts: "cookies new, edns client_subnet, edns cookie, edns expire, edns nsid, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "ednsnsid", packet: soaOf(0, opt(4096, 0, option(3, ""))),
		want:   "NOERROR aa q answer 1 SOA opt 1232 nsid=ns1",
		counts: "edns nsid, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "ednscookie", packet: soaOf(0, opt(4096, 0, option(10, "\x01\x02\x03\x04\x05\x06\x07\x08"))),
		want:   "NOERROR aa q answer 1 SOA opt 1232 cookie",
		counts: "cookies new, edns cookie, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "ednsexpire", packet: soaOf(0, opt(4096, 0, option(9, ""))),
		want:   "NOERROR aa q answer 1 SOA opt 1232 expire=00127500",
		counts: "edns expire, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "ednssubnet", packet: soaOf(0, opt(4096, 0, option(8, "\x00\x01\x00\x00"))),
		want:   "NOERROR aa q answer 1 SOA opt 1232 subnet=00010000",
		counts: "edns client_subnet, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "edns1nsid", packet: soaOf(0, opt(4096, version1, option(3, ""))),
		want:   "BADVERS q opt 1232",
		counts: "edns opt, edns other_version, queries BADVERS, questions SOA",
	},
	{
		name: "edns1cookie", packet: soaOf(0, opt(4096, version1, option(10, "\x01\x02\x03\x04\x05\x06\x07\x08"))),
		want:   "BADVERS q opt 1232",
		counts: "edns opt, edns other_version, queries BADVERS, questions SOA",
	},
	{
		name: "edns1expire", packet: soaOf(0, opt(4096, version1, option(9, ""))),
		want:   "BADVERS q opt 1232",
		counts: "edns opt, edns other_version, queries BADVERS, questions SOA",
	},
	{
		name: "edns1subnet", packet: soaOf(0, opt(4096, version1, option(8, "\x00\x01\x00\x00"))),
		want:   "BADVERS q opt 1232",
		counts: "edns opt, edns other_version, queries BADVERS, questions SOA",
	},
	{
		name: "bind11", packet: soaOf(0, opt(4096, do, option(10, "\x01\x02\x03\x04\x05\x06\x07\x08"))),
		want:   "NOERROR aa q answer 1 SOA opt 1232 do cookie",
		counts: "cookies new, edns cookie, edns dnssec_ok, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "dig11", packet: soaOf(flagRD|1<<5, opt(4096, 0, option(10, "\x01\x02\x03\x04\x05\x06\x07\x08"))),
		want:   "NOERROR aa rd q answer 1 SOA opt 1232 cookie",
		counts: "cookies new, edns cookie, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "docookie", packet: soaOf(0, opt(4096, do, option(10, "\x01\x02\x03\x04\x05\x06\x07\x08"))),
		want:   "NOERROR aa q answer 1 SOA opt 1232 do cookie",
		counts: "cookies new, edns cookie, edns dnssec_ok, edns opt, queries NOERROR, questions SOA",
	},
	{
		name: "edns512tcp", packet: soaOf(0, opt(512, 0)),
		want:   "NOERROR aa q answer 1 SOA opt 1232",
		counts: "edns opt, queries NOERROR, questions SOA",
	},
}
