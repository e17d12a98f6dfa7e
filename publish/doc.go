// Package publish keeps the addresses that pools give in zones that another
// name server is the primary of, by signed dynamic updates (RFC 2136, RFC 8945):
// the way in for those who keep their name server.
//
// For each Entry a goroutine of the Publisher looks at the primary: at the start,
// whenever the pool gives something else, and every interval. What it finds is
// held against what the pool gives now, and put right by one UPDATE whose
// prerequisites are what was found, so that nothing is changed that was not seen.
//
// What it promises:
//
//   - It touches the A and the AAAA RRset of the pool's name, and nothing else. It
//     never puts an address beside a CNAME.
//   - An RRset that it did not put there is left alone and said, unless the Entry
//     adopts it or it has addresses of the pool's members alone: then another node
//     put it there, or this one before it lost its memory. Records that a wildcard
//     makes up are nobody's.
//   - An RRset that it put there is the pool's: what others change in it, or add to
//     it, is said and put back. A family that the pool has no members of any more
//     loses what was put there, and what others added stays.
//   - A pool without any address takes nothing away, unless its members are all down
//     and the repository says that it is to be empty then, and never what it does
//     not know to have seen or put there as it should be.
//   - Where an Entry is taken out, its records stay and are nobody's.
//   - What was put where is kept for the next run before it is sent.
//   - An answer to an UPDATE is believed if it is signed. What a look finds may come
//     unsigned, from servers that do not sign such answers: the prerequisites hold it.
//   - It never fails for good: errors are told, and tried again, later and later.
//
// It imports zones, for what a pool gives, and dnsserver/tsig. It neither logs nor
// reads files.
package publish
