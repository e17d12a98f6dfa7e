package publish

import (
	"fmt"

	"github.com/miekg/dns"
)

// refusal is a response code that is no success.
type refusal struct {
	rcode  int
	asked  bool // it came to a question, not to an UPDATE
	signed bool
}

// Error says what the code means here, and the way out.
func (r *refusal) Error() string {
	name, known := dns.RcodeToString[r.rcode]
	if !known {
		name = fmt.Sprintf("response code %d", r.rcode)
	}
	return name + ": " + r.words()
}

func (r *refusal) words() string {
	switch {
	case r.rcode == dns.RcodeRefused && r.asked:
		return "it does not answer questions of this node for the zone: serve the zone there, and let this key ask (BIND: allow-query)"
	case r.rcode == dns.RcodeRefused:
		return "it does not let this key change these records: allow it there (BIND: update-policy or allow-update; " +
			"Knot: an acl with `action: update`; PowerDNS: dnsupdate=yes, ALLOW-DNSUPDATE-FROM and TSIG-ALLOW-DNSUPDATE of the zone)"
	case r.rcode == dns.RcodeNotAuth && !r.signed:
		return "it does not take the signature, or is not the primary of this zone: give both sides the same key, and clocks that agree; " +
			"`zone` has to be the zone's apex, and `server` where it is edited"
	case r.rcode == dns.RcodeNotAuth:
		return "it is not the primary of this zone: `zone` has to be the zone's apex, and `server` where it is edited"
	case r.rcode == dns.RcodeNotZone:
		return "the pool's name is not in this zone there: `zone` has to be the deepest zone that has it"
	case r.rcode == dns.RcodeNotImplemented:
		return "it takes no dynamic updates: switch them on there (PowerDNS: dnsupdate=yes)"
	case r.rcode == dns.RcodeFormatError:
		return "it does not understand the message: it may take no dynamic updates, or no signed ones"
	case r.rcode == dns.RcodeServerFailure && r.asked:
		return "it cannot answer for the zone now: its log has the reason"
	case r.rcode == dns.RcodeServerFailure:
		return "it could not carry the change out: its log has the reason (often the zone's file or journal cannot be written, or the zone is frozen)"
	}
	return "its log may have the reason"
}

// isPrerequisite reports whether what was found had changed when the UPDATE came.
func (r *refusal) isPrerequisite() bool {
	switch r.rcode {
	case dns.RcodeYXDomain, dns.RcodeYXRrset, dns.RcodeNXRrset, dns.RcodeNameError:
		return !r.asked
	}
	return false
}
