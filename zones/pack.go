package zones

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/miekg/dns"
)

const (
	messageHeader = 12    // bytes before the question (RFC 1035 section 4.1.1)
	maxMessage    = 65535 // bytes
	maxName       = 255   // bytes, RFC 1035 section 2.3.4
	recordFixed   = 10    // type, class, TTL and the length of the data
)

// scratchSize has room for the largest message and, behind it, for the largest
// record that may turn out not to fit: the library writes without looking for
// the end in places.
const scratchSize = 2 * (maxMessage + 1 + recordFixed + maxName)

// Packer writes answers in wire format: question and sections, names compressed
// (RFC 1035 section 4.1.4). One is used again and again, by one goroutine at a
// time. The zero value is ready.
type Packer struct {
	// What Fill wrote: the records of each section, whether TC is to be set,
	// and how many of the drawn records there are.
	Answers, Authorities, Additionals uint16
	Truncated                         bool
	Given                             int

	buffer []byte
	offset int
	// body is where the question ends, and additional where the authority section does.
	body, additional int
	limit            int            // of what is written by pack
	name             string         // the question's, presentation form
	names            map[string]int // where names start that can be pointed to
	// proof are the names that the owner of an NSEC record, and of its signatures,
	// may point to: the question's and its own.
	proof map[string]int
}

// Begin starts an answer of at most limit bytes. The question is name, type and
// class as asked, or nil; the name is the question's in presentation form, or
// empty for an answer that gets no records.
func (p *Packer) Begin(question []byte, name string, limit int) error {
	if p.buffer == nil {
		p.buffer = make([]byte, scratchSize)
		p.names = make(map[string]int)
		p.proof = make(map[string]int)
	}
	p.offset = messageHeader + copy(p.buffer[messageHeader:], question)
	p.body = p.offset
	p.limit = limit
	p.Answers, p.Authorities, p.Additionals = 0, 0, 0
	p.Truncated, p.Given = false, 0
	p.name = name
	clear(p.names)
	clear(p.proof)
	if name == "" {
		return nil
	}
	// This writes the name once more where it stands, and notes its parts.
	if _, err := dns.PackDomainName(name, p.buffer, messageHeader, p.names, true); err != nil {
		return fmt.Errorf("packing the question's name: %w", err)
	}
	p.alias(p.names, strings.ToLower(name))
	return nil
}

// Message is what was written, good until the next Begin. The header's bytes are
// the caller's to fill in, and the room behind the message is for its OPT.
func (p *Packer) Message() []byte { return p.buffer[:p.offset] }

// Fill writes an answer's records: whole RRsets or none. TC is to be set where
// an RRset of the answer or authority section does not fit, or a referral's
// glue that nobody can do without (RFC 9471). Other additional records, and
// drawn ones but for the first, are left out without it.
func (p *Packer) Fill(a *Answer) error {
	drawn := min(max(a.Drawn, 0), len(a.Answer))
	static := a.Answer[:len(a.Answer)-drawn]
	ok, err := p.section(static, &p.Answers)
	if err != nil || !ok {
		p.Truncated = true
		return err
	}
	if err := p.drawn(a.Answer[len(static):], a.Signatures); err != nil {
		return err
	}
	if drawn > 0 && p.Given == 0 {
		p.Truncated = true
		return nil
	}
	if ok, err = p.section(a.Authority, &p.Authorities); err != nil || !ok {
		p.Truncated = true
		return err
	}
	p.additional = p.offset
	cut := delegation(a)
	for rest := a.Additional; len(rest) > 0; {
		n := setLength(rest)
		if ok, err = p.set(rest[:n], &p.Additionals); err != nil {
			return err
		}
		if !ok && cut != "" && dns.IsSubDomain(cut, rest[0].Header().Name) {
			p.Truncated = true
		}
		rest = rest[n:]
	}
	return nil
}

// drawn writes drawn records: as many as fit or, where they are signed, all of them
// with their signatures or none.
func (p *Packer) drawn(records, signatures []dns.RR) error {
	if len(signatures) > 0 {
		ok, err := p.set(append(records[:len(records):len(records)], signatures...), &p.Answers)
		if ok {
			p.Given = len(records)
		}
		return err
	}
	for i := range records {
		ok, err := p.set(records[i:i+1], &p.Answers)
		if err != nil || !ok {
			return err
		}
		p.Given++
	}
	return nil
}

// section writes RRsets up to the first one that does not fit, and reports
// whether all did.
func (p *Packer) section(records []dns.RR, count *uint16) (bool, error) {
	for len(records) > 0 {
		n := setLength(records)
		if ok, err := p.set(records[:n], count); err != nil || !ok {
			return false, err
		}
		records = records[n:]
	}
	return true, nil
}

// set writes the records if all of them fit, and reports whether they did.
func (p *Packer) set(records []dns.RR, count *uint16) (bool, error) {
	start := p.offset
	for _, rr := range records {
		if err := p.pack(rr); err != nil {
			return false, err
		}
		if p.offset > p.limit {
			p.offset = start
			maps.DeleteFunc(p.names, func(_ string, at int) bool { return at >= start })
			return false, nil
		}
	}
	*count += uint16(len(records))
	return true, nil
}

// pack writes one record, which may reach beyond the limit.
func (p *Packer) pack(rr dns.RR) error {
	if rr == nil {
		return errors.New("packing a record: there is none")
	}
	header := rr.Header()
	names := p.names
	if isProof(rr) {
		names = p.proofNames(rr)
	}
	p.alias(names, header.Name)
	switch rr := rr.(type) {
	case *dns.A:
		if ip := rr.A.To4(); ip != nil {
			return p.address(header, ip)
		}
	case *dns.AAAA:
		if len(rr.AAAA) == 16 {
			return p.address(header, rr.AAAA)
		}
	}
	// The library notes the length of what it packed in the record, and this
	// one belongs to everybody.
	offset, err := dns.PackRR(dns.Copy(rr), p.buffer, p.offset, names, true)
	if err != nil {
		return fmt.Errorf("packing %s %s: %w", header.Name, dns.TypeToString[header.Rrtype], err)
	}
	p.offset = offset
	return nil
}

// isProof reports whether a record is NSEC or the signature of one.
func isProof(rr dns.RR) bool {
	signature, ok := rr.(*dns.RRSIG)
	return rr.Header().Rrtype == dns.TypeNSEC || ok && signature.TypeCovered == dns.TypeNSEC
}

// proofNames are the names that a proof's owner may point to: what stands elsewhere
// in the answer makes no difference to it, so that Append can have it ready.
func (p *Packer) proofNames(rr dns.RR) map[string]int {
	if rr.Header().Rrtype == dns.TypeNSEC || len(p.proof) == 0 {
		clear(p.proof)
		for name, at := range p.names {
			if at < p.body {
				p.proof[name] = at
			}
		}
	}
	return p.proof
}

// address writes an A or AAAA record.
func (p *Packer) address(header *dns.RR_Header, ip []byte) error {
	offset, err := dns.PackDomainName(header.Name, p.buffer, p.offset, p.names, true)
	if err != nil {
		return fmt.Errorf("packing %s: %w", header.Name, err)
	}
	b := binary.BigEndian.AppendUint16(p.buffer[:offset], header.Rrtype)
	b = binary.BigEndian.AppendUint16(b, header.Class)
	b = binary.BigEndian.AppendUint32(b, header.Ttl)
	b = binary.BigEndian.AppendUint16(b, uint16(len(ip)))
	p.offset = len(append(b, ip...))
	return nil
}

// alias lets a name, and the names above it, point into the question where
// they differ from it in case only: the client sees its own spelling again.
func (p *Packer) alias(names map[string]int, name string) {
	if _, ok := names[name]; ok {
		return
	}
	for i, end := 0, false; !end; i, end = dns.NextLabel(name, i) {
		part := name[i:]
		at := len(p.name) - len(part)
		if at < 0 || !strings.EqualFold(p.name[at:], part) {
			continue
		}
		offset, ok := names[p.name[at:]]
		if !ok {
			continue
		}
		if _, known := names[part]; known {
			return
		}
		names[part] = offset
	}
}

// setLength is the number of records at the front that are of one RRset.
// Signatures are of the RRset of the type that they cover.
func setLength(records []dns.RR) int {
	first := records[0].Header()
	n := 1
	for n < len(records) {
		h := records[n].Header()
		signature, _ := records[n].(*dns.RRSIG)
		sameType := h.Rrtype == first.Rrtype && signature == nil
		if signature != nil {
			sameType = signature.TypeCovered == first.Rrtype
		}
		if !sameType || h.Class != first.Class || !strings.EqualFold(h.Name, first.Name) {
			break
		}
		n++
	}
	return n
}

// delegation gives the name of the zone that a referral hands over to; empty
// for any other answer. Only referrals have NS records in the authority section;
// those at the end of aliases have AA and records in the answer section as well.
func delegation(a *Answer) string {
	for _, rr := range a.Authority {
		if ns, ok := rr.(*dns.NS); ok {
			return ns.Hdr.Name
		}
	}
	return ""
}
