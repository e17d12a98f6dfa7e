// Package dnsserver answers DNS questions over UDP and TCP from a table that
// it is handed: it owns the sockets, the wire format, EDNS (RFC 6891), client
// subnet (RFC 7871), name server identifiers (RFC 5001), truncation, and the
// limits on TCP connections, which it tells (RFC 7828). What the answer is, the table says.
//
// It may import zones for the types of a question and its answer, and nothing
// else of this program.
//
// Common questions are answered by the wire path (wire.go): by hand, over the
// question itself, from what the table has ready. What it does not know goes
// through the DNS library (responder.go). Both give the same answers.
//
// What it promises: a packet with QR set gets silence, and so does one shorter
// than a header; everything else gets one answer that carries its ID. No
// packet ends the server. Memory is bounded by the number of workers, the cap
// on connections, and what clients have in fact sent. No client's address is
// kept, counted or handed to anyone but the table.
//
// Where the standards leave a choice, or where servers differ:
//
//   - records in the answer or authority section of a question (but for the
//     SOA of an IXFR), and bytes after the last record: FORMERR, as NSD and
//     Knot do;
//   - questions of more than 4,096 bytes over UDP: FORMERR, unread;
//   - additional records other than OPT are passed over;
//   - opcodes other than QUERY: NOTIMP; classes other than IN: REFUSED;
//     AXFR and IXFR: REFUSED; MAILA, MAILB and TKEY: NOTIMP; a question for
//     OPT or TSIG: FORMERR, as BIND does;
//   - CD is cleared (RFC 4035 section 3.1.6), RD is copied;
//   - client subnet: family 0 without an address is "do not locate me", as BIND
//     reads it; any other unknown family is FORMERR, as in BIND and Knot
//     Resolver; the option comes back, with scope 0, in REFUSED too, but not
//     where the question itself was malformed;
//   - an answer from a pool that is too large gives fewer records, without TC:
//     what is in it is a draw, not a whole.
package dnsserver
