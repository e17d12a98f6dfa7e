// Package journal keeps what has changed in zones from one serial to the next, for
// incremental transfers (RFC 1995), in memory and on disk, so that secondaries
// are given differences also after a restart of ours.
//
// It has one file for each zone: the zone's whole content at one serial, and
// differences before and behind it. Each entry has its length and a digest. A file
// is only appended to, or replaced whole, so that what a crash leaves is whole up to
// some entry: the rest is dropped when it is opened, and what does not join the
// newest serial as well. Whatever is missing costs secondaries a whole transfer, and
// nothing else.
//
// It imports zones and the DNS library. It does not log: what could not be read or
// written is in the errors, after which the journal goes on in memory.
package journal
