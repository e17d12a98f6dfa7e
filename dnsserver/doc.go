// Package dnsserver answers DNS questions over UDP, TCP and TLS (RFC 7858) from a
// table that it is handed: it owns the sockets, the wire format, EDNS (RFC 6891),
// client subnet (RFC 7871), cookies (RFC 7873, RFC 9018), name server identifiers
// (RFC 5001), truncation, signatures (RFC 8945), the limits on the rate of answers,
// and those on connections, which it tells (RFC 7828). It gives zones to secondaries
// (RFC 5936, RFC 1995, RFC 9103). Load balancers that it is told of say who
// asks by the PROXY protocol. What the answer is, the table says.
//
// It may import zones for the types of a question and its answer and for what is
// transferred, its own package tsig, and nothing else of this program.
//
// Common questions are answered by the wire path (wire.go): by hand, over the
// question itself, from what the table has ready. What it does not know goes
// through the DNS library (responder.go). Both give the same answers.
//
// What it promises: a packet with QR set gets silence, and so does one shorter
// than a header, one that a load balancer sends without its header, and what is
// over the rate limit; everything else gets one answer that carries its ID, of one
// message unless it is a zone. No
// packet ends the server. Memory is bounded by the number of workers, the cap
// on connections, and what clients have in fact sent. No client's address is
// counted or handed to anyone but the table, nor kept: a connection's is there
// while it is open, and of a network that gets answers over UDP the rate limit has
// a part of a hash whose key nobody knows.
//
// Where the standards leave a choice, or where servers differ:
//
//   - records in the answer or authority section of a question (but for the
//     SOA of an IXFR), and bytes after the last record: FORMERR, as NSD and
//     Knot do; an IXFR without that SOA gets FORMERR too;
//   - questions of more than 4,096 bytes over UDP: FORMERR, unread;
//   - additional records other than OPT and TSIG are passed over, SIG(0) too, as
//     BIND and Knot do, but their names have to be ones: pointers lead backwards;
//   - a TSIG of a key that is known gets a signed answer, whatever is asked, and
//     any other NOTAUTH with what is wrong with it (RFC 8945 section 5.2), unless
//     the opcode, the form of the question or the version of EDNS is wrong: that
//     comes first, unsigned. A TSIG that is not the last record gets FORMERR. A MAC that is cut off gets BADTRUNC
//     unless its key allows that, as in BIND; Knot and NSD say BADSIG;
//   - opcodes other than QUERY: NOTIMP, with a header that has nothing but the
//     opcode set, and without what stood in the place of a question, because in
//     UPDATE and DSO it is none, and of unknown opcodes nobody knows; with it for
//     NOTIFY. A NOTIFY gets no other answer, though this is the primary: who
//     sends one takes this server for a secondary, and is told that it is none.
//     BIND says NOERROR, Knot NOTAUTH, NSD REFUSED. For UPDATE, RFC 2136 section
//     2.2 wants NOTIMP where it is not there at all, as in NSD; REFUSED is for
//     one that is not allowed. DSO gets NOTIMP (RFC 8490 section 5.1.1), and the
//     connection goes on;
//   - classes other than IN and CH: REFUSED, as in NSD and Knot, ANY among them,
//     which nothing needs; in CH, what is not one of the four names of this
//     server, or not TXT or ANY: REFUSED, as in Knot;
//   - AXFR and IXFR: REFUSED for those who get no zones, and NOTAUTH of zones that
//     are not here; too many at once, and all before there is a table: SERVFAIL, as
//     in BIND; AXFR over UDP: REFUSED,
//     where BIND says FORMERR, Knot and NSD NOTIMP. Messages of a transfer
//     have 16 KiB at most, unless one record is longer;
//   - MAILA, MAILB and TKEY: NOTIMP; a question for OPT, TSIG (as BIND does) or
//     NXNAME (RFC 9824 section 3.5): FORMERR; other types that are not known are
//     those of records that nobody has (RFC 3597), meta types without a number of
//     their own among them, as in Knot and NSD;
//   - ANY gets one RRset (RFC 8482), over TCP too;
//   - an edns-tcp-keepalive with a value: FORMERR, because only a server may give
//     one (RFC 7828 section 3.2.1);
//   - CD is cleared (RFC 4035 section 3.1.6), RD is copied;
//   - client subnet: family 0 without an address is "do not locate me", as BIND
//     reads it; any other unknown family is FORMERR, as in BIND and Knot; the
//     option comes back, with scope 0, in REFUSED too, but not where the question
//     itself was malformed; two of them are FORMERR; from a resolver that is not
//     believed it is passed over unread;
//   - cookies: who shows none, or a bad one, is answered as all others are until
//     the rate limit is reached, and then told BADCOOKIE or nothing; of several
//     the first counts; one without a question that is bad gets BADCOOKIE (RFC
//     7873 section 5.4), where BIND and NSD say NOERROR, and Knot FORMERR;
//   - an answer from a pool that is too large gives fewer records, without TC:
//     what is in it is a draw, not a whole.
package dnsserver
