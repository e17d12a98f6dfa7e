// Package signing holds the keys of signed zones and makes signatures with them
// (RFC 4034, RFC 4035): key files as BIND writes them, DS records, and the plan
// after which a zone is signed at one time. It imports the DNS library and nothing
// of this program.
//
// Signing is pure: the same records, keys and time give the same signature, on
// every node that has the keys and after every restart. The time that signatures
// begin and end at is spread over the RRsets by their names, so that they are not
// renewed all at once, and stays the same for a whole period.
package signing
