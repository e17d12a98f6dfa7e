// Package hostnames keeps what addresses the host names of a definition have, by asking
// a resolver for them again and again.
//
// A [Resolver] asks for the A and AAAA records of every name that it was set, follows
// aliases, and asks anew when the records' TTL is over, which counts as no less than
// [LeastTTL] and no more than [MostTTL], and up to a tenth later, so that not all are
// asked at once. What it knows can be read at any time without waiting.
//
// # What is kept
//
// The two families stand apart. While one cannot be resolved (no answer, an error, a
// name that is not there, addresses that no server can have) the last good answer for it
// stays, however long that lasts, and also over a restart ([Resolver.Save] and
// [Resolver.Restore]): whether what is there still works is for the health checks to
// say. A family alone loses its addresses where the name has been found twice in a row
// without any of it, and with some of the other one: that is what moving out of IPv4 or
// IPv6 looks like, and a name without both is taken for a mistake.
//
// Of a family the first [MaxAddresses] are used, in the order of their numbers, so that
// a resolver that rotates its answers changes nothing. A name that has other addresses
// with each answer, as those of large services have, is told of.
//
// The package imports package pool and nothing else of this program. It writes no log
// and no file: [Config.Tell] is told of every name that begins to fail, or fails for
// another reason, or is well again, or has other addresses.
package hostnames
