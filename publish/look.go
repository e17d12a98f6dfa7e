package publish

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/miekg/dns"
)

// seen is what a look has found at the primary.
type seen struct {
	sets
	ttls  [len(kinds)]uint32
	alias string // what the name is a CNAME for; empty: it is none
}

// look asks the primary for both RRsets.
func (p *primary) look(ctx context.Context) (*seen, error) {
	s := &seen{}
	for family, kind := range kinds {
		question := &dns.Msg{
			MsgHdr:   dns.MsgHdr{Id: dns.Id(), Opcode: dns.OpcodeQuery},
			Question: []dns.Question{{Name: canonical(p.entry.Pool), Qtype: kind, Qclass: dns.ClassINET}},
		}
		answer, err := p.exchange(ctx, question)
		if err == nil {
			err = s.take(answer, question, family)
		}
		if err != nil {
			return nil, fmt.Errorf("asking %s for the %s records of %s: %w", p.entry.Server, dns.Type(kind), canonical(p.entry.Pool), err)
		}
	}
	return s, nil
}

// take reads the answer to a question for one family.
func (s *seen) take(answer reply, question *dns.Msg, family int) error {
	if answer.rcode != dns.RcodeSuccess && answer.rcode != dns.RcodeNameError {
		return &refusal{rcode: answer.rcode, asked: true, signed: answer.signed}
	}
	m := new(dns.Msg)
	if err := m.Unpack(answer.bytes); err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	name := question.Question[0].Name
	switch {
	case len(m.Question) != 1 || canonical(m.Question[0].Name) != name || m.Question[0].Qtype != kinds[family] || m.Question[0].Qclass != dns.ClassINET:
		return errors.New("the answer is to another question")
	case m.Truncated:
		return errors.New("the answer is truncated, over TCP")
	case !m.Authoritative:
		return errors.New("the answer is not authoritative: `server` has to be the zone's primary, and the name must not lie below a delegation in it")
	}
	for _, rr := range m.Answer {
		if canonical(rr.Header().Name) != name || rr.Header().Class != dns.ClassINET {
			continue // what an alias leads to
		}
		address := netip.Addr{}
		switch rr := rr.(type) {
		case *dns.CNAME:
			s.alias = canonical(rr.Target)
		case *dns.A:
			address, _ = netip.AddrFromSlice(rr.A)
		case *dns.AAAA:
			address, _ = netip.AddrFromSlice(rr.AAAA)
		}
		if rr.Header().Rrtype == kinds[family] && address.IsValid() {
			if family == 0 {
				address = address.Unmap()
			}
			s.sets[family] = append(s.sets[family], address)
			s.ttls[family] = rr.Header().Ttl
		}
	}
	slices.SortFunc(s.sets[family], netip.Addr.Compare)
	s.sets[family] = slices.Compact(s.sets[family])
	return nil
}
