package publish

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// change is what is to be done about one family's RRset.
type change struct {
	family int
	// expected is what has to be there; none: there has to be no RRset.
	expected []netip.Addr
	// whole: the RRset is deleted first; otherwise the records in deleted are.
	whole   bool
	deleted []netip.Addr
	added   []netip.Addr
}

// update is one message: all of its changes are made, or none.
type update struct {
	zone, name string // canonical
	ttl        uint32
	changes    []change
}

// message is the UPDATE (RFC 2136). Every prerequisite has to hold, among them that
// the name is no alias: beside a CNAME the primary would pass over addresses without
// a word (section 3.4.2.2).
func (u *update) message() *dns.Msg {
	m := &dns.Msg{
		MsgHdr:   dns.MsgHdr{Id: dns.Id(), Opcode: dns.OpcodeUpdate},
		Compress: true,
		Question: []dns.Question{{Name: u.zone, Qtype: dns.TypeSOA, Qclass: dns.ClassINET}},
	}
	m.Answer = append(m.Answer, u.empty(dns.TypeCNAME, dns.ClassNONE))
	for _, c := range u.changes {
		kind := kinds[c.family]
		if len(c.expected) == 0 {
			m.Answer = append(m.Answer, u.empty(kind, dns.ClassNONE))
		}
		for _, address := range c.expected {
			m.Answer = append(m.Answer, u.record(address, kind, dns.ClassINET, 0))
		}
		if c.whole {
			m.Ns = append(m.Ns, u.empty(kind, dns.ClassANY))
		}
		for _, address := range c.deleted {
			m.Ns = append(m.Ns, u.record(address, kind, dns.ClassNONE, 0))
		}
		for _, address := range c.added {
			m.Ns = append(m.Ns, u.record(address, kind, dns.ClassINET, u.ttl))
		}
	}
	return m
}

// empty is a record without data.
func (u *update) empty(kind, class uint16) dns.RR {
	return &dns.ANY{Hdr: dns.RR_Header{Name: u.name, Rrtype: kind, Class: class}}
}

func (u *update) record(address netip.Addr, kind, class uint16, ttl uint32) dns.RR {
	header := dns.RR_Header{Name: u.name, Rrtype: kind, Class: class, Ttl: ttl}
	if kind == dns.TypeA {
		return &dns.A{Hdr: header, A: address.AsSlice()}
	}
	sixteen := address.As16()
	return &dns.AAAA{Hdr: header, AAAA: sixteen[:]}
}

// String is the update as nsupdate would be told it.
func (u *update) String() string {
	lines := []string{"zone " + u.zone, "prereq nxrrset " + u.name + " CNAME"}
	var changes []string
	for _, c := range u.changes {
		kind := dns.Type(kinds[c.family]).String()
		if len(c.expected) == 0 {
			lines = append(lines, fmt.Sprintf("prereq nxrrset %s %s", u.name, kind))
		}
		for _, address := range c.expected {
			lines = append(lines, fmt.Sprintf("prereq yxrrset %s %s %s", u.name, kind, address))
		}
		if c.whole {
			changes = append(changes, fmt.Sprintf("update delete %s %s", u.name, kind))
		}
		for _, address := range c.deleted {
			changes = append(changes, fmt.Sprintf("update delete %s %s %s", u.name, kind, address))
		}
		for _, address := range c.added {
			changes = append(changes, fmt.Sprintf("update add %s %d %s %s", u.name, u.ttl, kind, address))
		}
	}
	return strings.Join(append(lines, changes...), "\n")
}

// errUnsigned: anybody on the way may have made up such an answer.
var errUnsigned = errors.New("the answer says that it was done, and is not signed: not believed before the next look has found it")

// send has the primary make the change.
func (p *primary) send(ctx context.Context, u *update) error {
	answer, err := p.exchange(ctx, u.message())
	switch {
	case err != nil:
	case answer.rcode != dns.RcodeSuccess:
		err = &refusal{rcode: answer.rcode, signed: answer.signed}
	case !answer.signed:
		err = errUnsigned
	}
	if err != nil {
		return fmt.Errorf("updating %s in zone %s at %s: %w", u.name, u.zone, p.entry.Server, err)
	}
	return nil
}
