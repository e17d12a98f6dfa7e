// Package rollover leads a signed zone from old keys to a new one, so that no
// validator ever finds it bogus: RFC 6781, section 4.1, and RFC 7583. It imports
// zones/signing and the DNS library, and nothing else of this program.
//
// It is pure: State is what a zone's rollover has come to, Advance takes it on by
// the time and by Facts, and Plan says with what the zone is signed meanwhile. Who
// calls it keeps the state on disk, has the zone signed as Plan says, and tells by
// Facts.Served that it is served so: no wait begins before.
//
// What is done, and what is waited for, is one table (rules.go). Each step has three
// waits after one another: the zone is served so; every secondary serves it so
// (Facts.Propagation); what was served before is out of all caches.
package rollover
