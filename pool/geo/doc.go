// Package geo tells where an address is: it reads databases in the MaxMind
// format, country tables in the format of Debian's tor-geoipdb, and the
// operator's own list of networks, and compiles them into an immutable Map
// from addresses to places.
//
// It imports package pool and no other package of this program. It opens no
// sockets, logs nothing, and keeps no address that it is asked about.
//
// What it promises:
//
//   - A Map and Groups never change and may be used by any number of
//     goroutines. A look-up reads a few places of memory and allocates nothing.
//   - Files are read whole before they are looked at, so that a file that is
//     overwritten or cut short later harms nobody. A file that does not hold
//     what it should is refused, with an error that names it.
//   - Every result says for which prefix it holds: all addresses in that
//     prefix have an equal Place.
//   - What is not known is the zero value. Coordinates that a database does
//     not have, or gives as 0,0, are those of the country, and unknown where
//     the country is unknown too; they are never made up as 0,0.
//
// A Map keeps ranges of addresses in few bytes each, since databases have
// millions of them. Map.Group makes of it a table for the one question that a
// name server has for every client: to which of a few groups an address
// belongs, by what of its place matters, and in what prefix that holds.
//
// Three layers make a place: the network's own entry in the overrides; the
// city or country database, or without one the country table; and the AS
// database.
package geo
