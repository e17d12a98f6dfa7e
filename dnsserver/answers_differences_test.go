package dnsserver

import (
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mirrorpool/pool"
)

// difference is one that is known, and wanted or at least no fault. It changes one
// of the two answers where it applies, and reports whether it did.
type difference struct {
	peer string
	why  string
	take func(a *archived, q dns.Question, ours, theirs *reading) bool
}

// differences are tried in order.
var differences = []difference{
	{"", "an additional address of a pool would be a draw: there is none", func(a *archived, _ dns.Question, ours, theirs *reading) bool {
		return theirs.leaveOut(ours, func(fields []string) bool {
			return slices.ContainsFunc(a.input.Definition.Pools, func(one *pool.Pool) bool { return one.Name+"." == fields[0] })
		})
	}},
	{"BIND", "does without the name servers' addresses that are no glue in a referral", func(_ *archived, _ dns.Question, ours, theirs *reading) bool {
		return len(ours.authority) > 0 && slices.Equal(ours.authority, theirs.authority) && ours.leaveOut(theirs, isAddress)
	}},
	{"BIND", "follows CNAME records in additional data of SVCB", func(_ *archived, q dns.Question, ours, theirs *reading) bool {
		return isServiceType(q.Qtype) && slices.ContainsFunc(theirs.additional, isCNAME) && theirs.leaveOut(ours, func([]string) bool { return true })
	}},
	{"BIND", "has no addresses in additional data of SVCB at names that no host has", func(_ *archived, q dns.Question, ours, theirs *reading) bool {
		return isServiceType(q.Qtype) && strings.ContainsAny(q.Name, `*\\`) && ours.leaveOut(theirs, isAddress)
	}},
	{"BIND", "has no addresses of names in alias mode with additional data of SVCB", func(_ *archived, q dns.Question, ours, theirs *reading) bool {
		return isServiceType(q.Qtype) && strings.Contains(ours.answer[len(ours.answer)-1], " 0 ") && ours.leaveOut(theirs, isAddress)
	}},
	{"Knot", "has less additional data of SVCB: not the owner's own, and not of more than one step", func(_ *archived, q dns.Question, ours, theirs *reading) bool {
		return isServiceType(q.Qtype) && ours.leaveOut(theirs, func([]string) bool { return true })
	}},
	{"Knot", "gives SVCB records of targets in additional data that are not in alias mode, or the answer itself", func(_ *archived, q dns.Question, ours, theirs *reading) bool {
		return isServiceType(q.Qtype) && theirs.leaveOut(ours, func(fields []string) bool { return fields[3] == "svcb" || fields[3] == "https" })
	}},
	{"Knot", "does not put the name in place of a wildcard in additional data of SVCB", func(_ *archived, q dns.Question, ours, theirs *reading) bool {
		return isServiceType(q.Qtype) && theirs.leaveOut(ours, func(fields []string) bool { return strings.HasPrefix(fields[0], "*.") })
	}},
	{"Knot", "gives glue as additional data, which is not the zone's to say", func(_ *archived, q dns.Question, ours, theirs *reading) bool {
		return theirs.aa && q.Qtype != dns.TypeNS && theirs.leaveOut(ours, isAddress)
	}},
	{"Knot", "repeats additional data", func(_ *archived, _ dns.Question, _, theirs *reading) bool {
		before := len(theirs.additional)
		theirs.additional = slices.Compact(theirs.additional)
		return len(theirs.additional) < before
	}},
	{"Knot", "has no additional data of AFSDB, RT and KX", func(_ *archived, q dns.Question, ours, theirs *reading) bool {
		return slices.Contains([]uint16{dns.TypeAFSDB, dns.TypeRT, dns.TypeKX}, q.Qtype) && ours.leaveOut(theirs, isAddress)
	}},
	{"NSD", "has no additional data of AFSDB", func(_ *archived, q dns.Question, ours, theirs *reading) bool {
		return q.Qtype == dns.TypeAFSDB && ours.leaveOut(theirs, isAddress)
	}},
	{"BIND", "has no additional data of the root's NS, for which it thinks itself a hint", func(_ *archived, q dns.Question, ours, theirs *reading) bool {
		return q.Name == "." && q.Qtype == dns.TypeNS && ours.leaveOut(theirs, isAddress)
	}},
	{"Knot", "has the zone's SOA beside YXDOMAIN", func(_ *archived, _ dns.Question, ours, theirs *reading) bool {
		if ours.rcode != "YXDOMAIN" || len(theirs.authority) != 1 {
			return false
		}
		theirs.authority = nil
		return true
	}},
	{"", "ANY gets one RRset, or HINFO (RFC 8482)", func(_ *archived, q dns.Question, ours, theirs *reading) bool {
		if q.Qtype != dns.TypeANY || ours.rcode != theirs.rcode || ours.aa != theirs.aa || len(theirs.answer) == 0 {
			return false
		}
		*theirs = *ours
		return true
	}},
	{"", "DS at the top of a zone whose parent is not served, or does not know it, is answered by the zone itself (RFC 4035, section 3.1.4.1)", func(a *archived, q dns.Question, ours, theirs *reading) bool {
		if _, apex := a.table.Serials()[q.Name]; q.Qtype != dns.TypeDS || !apex || !ours.aa || len(ours.authority) == 0 || !strings.HasPrefix(ours.authority[0], q.Name+" ") {
			return false
		}
		*theirs = *ours
		return true
	}},
	{"BIND", "gives the SVCB records of a wildcard again for a target that it stands for as well", func(_ *archived, q dns.Question, ours, theirs *reading) bool {
		return isServiceType(q.Qtype) && theirs.leaveOut(ours, func(fields []string) bool {
			return slices.ContainsFunc(ours.answer, func(record string) bool {
				return slices.Equal(strings.Fields(record)[3:], fields[3:])
			})
		})
	}},
	{"BIND", "says SERVFAIL beside a loop of aliases, and beside a chain that is too long", func(_ *archived, _ dns.Question, ours, theirs *reading) bool {
		if theirs.rcode != "SERVFAIL" || ours.rcode != "NOERROR" || !ours.endless() {
			return false
		}
		theirs.rcode = "NOERROR"
		return true
	}},
	{"NSD", "adds the zone's name servers to every answer", func(_ *archived, _ dns.Question, ours, theirs *reading) bool {
		if !theirs.aa || len(theirs.answer) == 0 || len(ours.authority) > 0 {
			return false
		}
		var servers []string
		for _, record := range theirs.authority {
			fields := strings.Fields(record)
			if fields[3] != "ns" {
				return false
			}
			servers = append(servers, fields[4])
		}
		theirs.authority = nil
		theirs.leaveOut(ours, func(fields []string) bool { return slices.Contains(servers, fields[0]) })
		return true
	}},
	{"NSD", "has no additional data for SVCB", func(_ *archived, q dns.Question, ours, theirs *reading) bool {
		return isServiceType(q.Qtype) && len(theirs.additional) == 0 && ours.leaveOut(theirs, func([]string) bool { return true })
	}},
	{"", "repeats the records of a loop", func(_ *archived, _ dns.Question, ours, theirs *reading) bool {
		before := len(theirs.answer)
		theirs.answer = slices.Compact(theirs.answer)
		return len(theirs.answer) < before
	}},
	{"", "follows aliases further, or not so far", func(_ *archived, _ dns.Question, ours, theirs *reading) bool {
		if !ours.begins(theirs) && !theirs.begins(ours) || ours.aliases() < 8 && theirs.aliases() < 5 {
			return false
		}
		*theirs = *ours
		return true
	}},
	{"", "does not follow aliases into other zones", func(a *archived, _ dns.Question, ours, theirs *reading) bool {
		if theirs.last() == "" {
			return false
		}
		from, _ := deepestOf(a, strings.Fields(theirs.answer[0])[0])
		to, found := deepestOf(a, theirs.last())
		if !found || from == to {
			return false
		}
		*theirs = *ours
		return true
	}},
}

func isAddress(fields []string) bool { return fields[3] == "a" || fields[3] == "aaaa" }

func isCNAME(record string) bool { return strings.Fields(record)[3] == "cname" }

func isServiceType(kind uint16) bool { return kind == dns.TypeSVCB || kind == dns.TypeHTTPS }

// leaveOut leaves out additional records that the other answer does not have, if
// they are such, and reports whether there were any.
func (r *reading) leaveOut(other *reading, such func(fields []string) bool) bool {
	before := len(r.additional)
	r.additional = slices.DeleteFunc(r.additional, func(record string) bool {
		return !slices.Contains(other.additional, record) && such(strings.Fields(record))
	})
	return len(r.additional) < before
}

// aliases counts the CNAME records of an answer.
func (r *reading) aliases() (count int) {
	for _, record := range r.answer {
		if isCNAME(record) {
			count++
		}
	}
	return count
}

// last gives the name that the aliases of an answer lead to, which has nothing
// there; or the empty string.
func (r *reading) last() string {
	owners := make(map[string]bool)
	for _, record := range r.answer {
		owners[strings.Fields(record)[0]] = true
	}
	for _, record := range r.answer {
		if target := strings.Fields(record)[4]; isCNAME(record) && !owners[target] {
			return target
		}
	}
	return ""
}

// endless reports whether the aliases of an answer lead nowhere.
func (r *reading) endless() bool {
	return r.aliases() > 0 && (r.last() == "" || r.aliases() >= 8)
}

// begins reports whether an answer is the beginning of another one.
func (r *reading) begins(other *reading) bool {
	return r.rcode == "NOERROR" && r.aa && other.aa && r.aliases() > 0 && len(r.authority) == 0 &&
		!slices.ContainsFunc(r.answer, func(record string) bool { return !slices.Contains(other.answer, record) })
}
