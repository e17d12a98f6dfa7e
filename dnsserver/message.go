package dnsserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

// scratchSize has room for the largest message and, behind it, for the largest
// record that may turn out not to fit: the library writes without looking for
// the end in places.
const scratchSize = 2 * (maxMessage + 1 + recordFixed + maxName)

// message is the answer that is being written. One is used again and again.
type message struct {
	buffer  [scratchSize]byte
	offset  int
	limit   int // of what is written by pack
	answers uint16
	// authorities and additionals count what is in the sections, without OPT.
	authorities uint16
	additionals uint16
	truncated   bool
	given       int // how many of the drawn records were written

	name  string         // the question's, presentation form
	names map[string]int // where names start that can be pointed to
}

// begin starts an answer that may be limit bytes long, without OPT. The name
// is that of the request's question.
func (m *message) begin(q *request, name string, limit int) error {
	m.offset = headerSize + copy(m.buffer[headerSize:], q.question)
	m.limit = limit
	m.answers, m.authorities, m.additionals = 0, 0, 0
	m.truncated, m.given = false, 0
	m.name = name
	clear(m.names)
	if name == "" {
		return nil
	}
	// This writes the name once more where it stands, and notes its parts.
	if _, err := dns.PackDomainName(name, m.buffer[:], headerSize, m.names, true); err != nil {
		return fmt.Errorf("packing the question's name: %w", err)
	}
	m.alias(strings.ToLower(name))
	return nil
}

// fill writes an answer's records: whole RRsets or none. TC is set where an
// RRset of the answer or authority section does not fit, or a referral's glue
// that nobody can do without (RFC 9471). Other additional records, and drawn
// ones but for the first, are left out without it.
func (m *message) fill(a *zones.Answer) error {
	drawn := min(max(a.Drawn, 0), len(a.Answer))
	static := a.Answer[:len(a.Answer)-drawn]
	ok, err := m.section(static, &m.answers)
	if err != nil || !ok {
		m.truncated = true
		return err
	}
	for i := len(static); i < len(a.Answer); i++ {
		if ok, err = m.set(a.Answer[i:i+1], &m.answers); err != nil {
			return err
		}
		if !ok {
			break
		}
		m.given++
	}
	if drawn > 0 && m.given == 0 {
		m.truncated = true
		return nil
	}
	if ok, err = m.section(a.Authority, &m.authorities); err != nil || !ok {
		m.truncated = true
		return err
	}
	cut := delegation(a)
	for rest := a.Additional; len(rest) > 0; {
		n := setLength(rest)
		if ok, err = m.set(rest[:n], &m.additionals); err != nil {
			return err
		}
		if !ok && cut != "" && dns.IsSubDomain(cut, rest[0].Header().Name) {
			m.truncated = true
		}
		rest = rest[n:]
	}
	return nil
}

// section writes RRsets up to the first one that does not fit, and reports
// whether all did.
func (m *message) section(records []dns.RR, count *uint16) (bool, error) {
	for len(records) > 0 {
		n := setLength(records)
		if ok, err := m.set(records[:n], count); err != nil || !ok {
			return false, err
		}
		records = records[n:]
	}
	return true, nil
}

// set writes the records if all of them fit, and reports whether they did.
func (m *message) set(records []dns.RR, count *uint16) (bool, error) {
	start := m.offset
	for _, rr := range records {
		if err := m.pack(rr); err != nil {
			return false, err
		}
		if m.offset > m.limit {
			m.offset = start
			maps.DeleteFunc(m.names, func(_ string, at int) bool { return at >= start })
			return false, nil
		}
	}
	*count += uint16(len(records))
	return true, nil
}

// pack writes one record, which may reach beyond the limit.
func (m *message) pack(rr dns.RR) error {
	if rr == nil {
		return errors.New("packing a record: there is none")
	}
	header := rr.Header()
	m.alias(header.Name)
	switch rr := rr.(type) {
	case *dns.A:
		if ip := rr.A.To4(); ip != nil {
			return m.address(header, ip)
		}
	case *dns.AAAA:
		if len(rr.AAAA) == 16 {
			return m.address(header, rr.AAAA)
		}
	}
	// The library notes the length of what it packed in the record, and this
	// one belongs to everybody.
	offset, err := dns.PackRR(dns.Copy(rr), m.buffer[:], m.offset, m.names, true)
	if err != nil {
		return fmt.Errorf("packing %s %s: %w", header.Name, dns.TypeToString[header.Rrtype], err)
	}
	m.offset = offset
	return nil
}

// address writes an A or AAAA record.
func (m *message) address(header *dns.RR_Header, ip []byte) error {
	offset, err := dns.PackDomainName(header.Name, m.buffer[:], m.offset, m.names, true)
	if err != nil {
		return fmt.Errorf("packing %s: %w", header.Name, err)
	}
	b := binary.BigEndian.AppendUint16(m.buffer[:offset], header.Rrtype)
	b = binary.BigEndian.AppendUint16(b, header.Class)
	b = binary.BigEndian.AppendUint32(b, header.Ttl)
	b = binary.BigEndian.AppendUint16(b, uint16(len(ip)))
	m.offset = len(append(b, ip...))
	return nil
}

// alias lets a name, and the names above it, point into the question where
// they differ from it in case only: the client sees its own spelling again.
func (m *message) alias(name string) {
	if _, ok := m.names[name]; ok {
		return
	}
	for i, end := 0, false; !end; i, end = dns.NextLabel(name, i) {
		part := name[i:]
		at := len(m.name) - len(part)
		if at < 0 || !strings.EqualFold(m.name[at:], part) {
			continue
		}
		offset, ok := m.names[m.name[at:]]
		if !ok {
			continue
		}
		if _, known := m.names[part]; known {
			return
		}
		m.names[part] = offset
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
func delegation(a *zones.Answer) string {
	for _, rr := range a.Authority {
		if ns, ok := rr.(*dns.NS); ok {
			return ns.Hdr.Name
		}
	}
	return ""
}

// finish writes the header and appends the OPT, and gives the whole message,
// which is good until the next begin.
func (m *message) finish(q *request, rcode, udpSize int, authoritative bool, r reply) []byte {
	flags := q.flags&(opcodeMask|flagRD) | flagQR | uint16(rcode&15)
	if authoritative {
		flags |= flagAA
	}
	if m.truncated {
		flags |= flagTC
	}
	additionals := m.additionals
	if q.edns.present {
		additionals++
		m.offset = len(q.edns.appendOPT(m.buffer[:m.offset], udpSize, rcode, r))
	}
	var questions uint16
	if q.question != nil {
		questions = 1
	}
	for i, word := range [...]uint16{q.id, flags, questions, m.answers, m.authorities, additionals} {
		binary.BigEndian.PutUint16(m.buffer[2*i:], word)
	}
	return m.buffer[:m.offset]
}
