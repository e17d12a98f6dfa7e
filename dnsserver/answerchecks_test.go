package dnsserver

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	made "mirrorpool/bench/packets"
)

// packetsFrom names a directory of more packets for the targets that take any:
// see Read of mirrorpool/bench/packets.
const packetsFrom = "FUZZ_PACKETS"

// fuzzPackets are the packets that every target begins with: of every kind, those
// that clients sent, and those of the directory that packetsFrom names.
func fuzzPackets(t testing.TB, names ...string) [][]byte {
	t.Helper()
	all := made.Seeds(names...)
	for _, packet := range capturedPackets(t) {
		all = append(all, packet)
	}
	slices.SortFunc(all, bytes.Compare)
	if directory := os.Getenv(packetsFrom); directory != "" {
		more, err := made.Read(directory)
		if err != nil {
			t.Fatalf("%s: %v", packetsFrom, err)
		}
		all = append(all, more...)
	}
	return all
}

// checks holds what every answer has to be, whatever was asked and whatever the
// table says. It reads question and answer by itself.
type checks struct {
	over    transport
	udpSize int
	silent  bool // the server may also say nothing
	// whim: the table says what it likes, whatever was asked for.
	whim bool
}

// said is what was asked, as far as it can be read.
type said struct {
	id, flags uint16
	end       int // of the one question; 0: there is none that can be read
	opts      int // OPTs in the additional section that belong to the root
	damaged   bool
	// pointed: a name before the OPT ends in a pointer. Where to, and so whether
	// it can be read on behind it, nobody looks at here.
	pointed   bool
	size      int // of the first OPT
	version   byte
	dnssec    bool
	options   map[uint16][][]byte
	badOption bool
}

// hear reads a packet that is at least a header long.
func hear(packet []byte) said {
	word := func(at int) int { return int(binary.BigEndian.Uint16(packet[at:])) }
	s := said{id: uint16(word(0)), flags: uint16(word(2)), options: make(map[uint16][][]byte)}
	offset := headerSize
	for range word(4) {
		end := uncompressed(packet, offset)
		if end == 0 || end+4 > len(packet) {
			s.damaged = true
			return s
		}
		if offset = end + 4; word(4) == 1 {
			s.end = offset
		}
	}
	before := word(6) + word(8)
	for i := range before + word(10) {
		owner := offset
		for offset < len(packet) && packet[offset] != 0 && packet[offset] < 64 {
			offset += 1 + int(packet[offset])
		}
		if offset < len(packet) && packet[offset] >= 64 {
			s.damaged = packet[offset] < 0xC0
			s.pointed = s.pointed || s.opts == 0
			offset++
		}
		if offset++; s.damaged || offset+recordFixed > len(packet) || offset-owner > 255 {
			s.damaged = true
			return s
		}
		data := offset + recordFixed
		fixed := offset
		if offset = data + word(offset+8); offset > len(packet) {
			s.damaged = true
			return s
		}
		if word(fixed) != int(dns.TypeOPT) || i < before || packet[owner] != 0 {
			continue
		}
		if s.opts++; s.opts == 1 {
			s.size, s.version, s.dnssec = word(fixed+2), packet[fixed+5], packet[fixed+6]&0x80 != 0
			s.hearOptions(packet[data:offset])
		}
	}
	s.damaged = s.damaged || offset != len(packet)
	return s
}

func (s *said) hearOptions(b []byte) {
	for len(b) >= 4 {
		code, length := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if 4+length > len(b) {
			break
		}
		s.options[code] = append(s.options[code], b[4:4+length])
		b = b[4+length:]
	}
	s.badOption = len(b) > 0
}

// uncompressed gives the offset behind a name without pointers; 0: it is none.
func uncompressed(packet []byte, offset int) int {
	for start := offset; offset < len(packet) && packet[offset] < 64; {
		length := int(packet[offset])
		if offset += 1 + length; length == 0 {
			if offset-start > 255 {
				return 0
			}
			return offset
		}
	}
	return 0
}

// check ends the test where the answer is not what it has to be.
func (c checks) check(t testing.TB, packet, answer []byte) {
	t.Helper()
	if wrong := c.wrong(packet, answer); wrong != "" {
		t.Fatalf("%s\nasked over %s: %x\nanswered: %x", wrong, c.over, packet, answer)
	}
}

// wrong tells what is wrong with an answer; empty: nothing.
func (c checks) wrong(packet, answer []byte) string {
	if len(packet) < headerSize || packet[2]&0x80 != 0 {
		if answer != nil {
			return "an answer to what is no question"
		}
		return ""
	}
	if answer == nil {
		if c.silent {
			return ""
		}
		return "no answer"
	}
	asked := hear(packet)
	if len(answer) < headerSize {
		return "an answer without a header"
	}
	if limit := c.limit(&asked); len(answer) > limit {
		return fmt.Sprintf("%d bytes, at most %d were wanted", len(answer), limit)
	}
	m := new(dns.Msg)
	if err := m.Unpack(answer); err != nil {
		return fmt.Sprintf("the answer cannot be read: %v", err)
	}
	got := hear(answer)
	for _, find := range []func() string{
		func() string { return c.header(&asked, &got, m) },
		func() string { return echoed(&asked, packet, answer) },
		func() string { return c.extension(&asked, &got, m) },
		func() string { return c.sections(&asked, m) },
	} {
		if wrong := find(); wrong != "" {
			return wrong + "\n" + m.String()
		}
	}
	return ""
}

// limit is the size of the largest answer that was asked for.
func (c checks) limit(asked *said) int {
	switch {
	case c.over != overUDP:
		return 65535
	case asked.opts == 0:
		return 512
	}
	return min(max(asked.size, 512), c.udpSize)
}

func (c checks) header(asked, got *said, m *dns.Msg) string {
	kept := uint16(15 << 11) // the opcode, and for QUERY alone RD
	if asked.flags&kept == 0 {
		kept |= 1 << 8
	}
	switch {
	case got.id != asked.id:
		return fmt.Sprintf("ID %04x, asked was %04x", got.id, asked.id)
	case got.flags&0x8000 == 0:
		return "QR is clear"
	case got.flags&kept != asked.flags&kept:
		return fmt.Sprintf("flags %04x, asked was %04x: another opcode, or RD", got.flags, asked.flags)
	case got.flags&0x00F0 != 0 || asked.flags&(15<<11) != 0 && got.flags&(1<<8) != 0:
		return fmt.Sprintf("flags %04x: RA, Z, AD or CD is set, or RD of another opcode than QUERY", got.flags)
	case m.Truncated && c.over != overUDP && !c.whim: // whose answers may be longer than any message
		return "TC over " + string(c.over)
	case asked.flags&(15<<11) != 0 &&
		!slices.Contains([]int{dns.RcodeNotImplemented, dns.RcodeFormatError, dns.RcodeRefused, dns.RcodeBadCookie}, m.Rcode):
		return "another opcode than QUERY gets something"
	}
	return ""
}

// echoed: one question that can be read comes back as it was, and nothing else does.
func echoed(asked *said, packet, answer []byte) string {
	count := binary.BigEndian.Uint16(answer[4:])
	end := asked.end
	if opcode := asked.flags >> 11 & 15; opcode != dns.OpcodeQuery && opcode != dns.OpcodeNotify {
		end = 0 // what stands there is no question
	}
	switch {
	case count == 0 && answer[3]&15 == dns.RcodeServerFailure:
		return "" // nothing of a packet that made the program fail is read again
	case end == 0 && count != 0:
		return "a question comes back that could not be read"
	case end != 0 && count != 1:
		return "the question does not come back"
	case end != 0 && (len(answer) < end || !bytes.Equal(answer[headerSize:end], packet[headerSize:end])):
		return "the question comes back as another"
	}
	return ""
}

// extension is about the OPT.
func (c checks) extension(asked, got *said, m *dns.Msg) string {
	opts := 0
	for _, rr := range slices.Concat(m.Answer, m.Ns, m.Extra) {
		if rr.Header().Rrtype == dns.TypeOPT {
			opts++
		}
	}
	switch {
	case opts != got.opts || opts > 1:
		return "an OPT too many, or one where none belongs"
	case opts > 0 && asked.opts == 0:
		return "an OPT that nobody asked for"
	case opts == 0 && asked.opts > 0 && m.Rcode != dns.RcodeServerFailure && (m.Rcode == dns.RcodeSuccess || !asked.pointed):
		return "no OPT"
	case opts == 0 && m.Rcode > 15:
		return "an extended response code without an OPT"
	case opts == 0:
		return ""
	}
	o := m.IsEdns0()
	flags := o.Hdr.Ttl & 0xFFFF
	switch {
	case o.Version() != 0 || got.badOption:
		return "an OPT of another version, or with a bad option"
	case int(o.UDPSize()) != c.udpSize:
		return fmt.Sprintf("a size of %d in the OPT", o.UDPSize())
	case flags&0x7FFF != 0 || (flags != 0) != asked.dnssec:
		return fmt.Sprintf("flags %04x in the OPT, DO was %v", flags, asked.dnssec)
	case asked.version != 0 && asked.end != 0 && !asked.damaged && asked.opts == 1 && m.Opcode == dns.OpcodeQuery &&
		m.Rcode != dns.RcodeBadVers && m.Rcode != dns.RcodeFormatError:
		return "an answer to another version of EDNS"
	}
	return c.options(asked, got)
}

// options: none comes but those that were asked for, and only in their form.
func (c checks) options(asked, got *said) string {
	for code, values := range got.options {
		wish, value := asked.options[code], values[0]
		wrong := fmt.Sprintf("option %d is %x", code, values)
		switch {
		case code == 15: // an extended error needs no wish (RFC 8914)
			if len(value) < 2 {
				return wrong
			}
			continue
		case len(values) != 1 || len(wish) == 0:
			return wrong + ", wished for was " + fmt.Sprintf("%x", wish)
		}
		switch code {
		case 3:
		case 8:
			if len(value) < 4 || len(value) != len(wish[0]) || !bytes.Equal(value[:3], wish[0][:3]) || !bytes.Equal(value[4:], wish[0][4:]) ||
				value[3] > 128 || value[1] == 1 && value[3] > 32 || value[2] == 0 && value[3] != 0 {
				return wrong + ", wished for was " + fmt.Sprintf("%x", wish)
			}
		case 10:
			if len(value) < 16 || len(value) > 40 || !bytes.Equal(value[:8], wish[0][:8]) {
				return wrong + ", wished for was " + fmt.Sprintf("%x", wish)
			}
		case 11:
			if len(value) != 2 || c.over == overUDP {
				return wrong
			}
		case 12:
			if c.over == overUDP || c.over == overTCP {
				return wrong + ": padding where anybody can read"
			}
		case 9:
			if len(value) != 4 {
				return wrong
			}
		default:
			return wrong
		}
	}
	return ""
}

// sections: what is in them fits the response code and the question.
func (c checks) sections(asked *said, m *dns.Msg) string {
	others := len(m.Extra)
	if m.IsEdns0() != nil {
		others--
	}
	if m.IsTsig() != nil {
		others--
	}
	nothing := len(m.Answer)+len(m.Ns)+others == 0
	switch m.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeYXDomain:
	default:
		if !nothing || m.Authoritative || m.Truncated {
			return "records, AA or TC with an error"
		}
		return ""
	}
	if asked.end == 0 {
		if !nothing || m.Rcode != dns.RcodeSuccess {
			return "an answer to no question"
		}
		return ""
	}
	question := m.Question[0]
	seen := make(map[string]bool)
	for _, rr := range slices.Concat(m.Answer, m.Ns, m.Extra) {
		h := rr.Header()
		if h.Rrtype == dns.TypeOPT || h.Rrtype == dns.TypeTSIG || question.Qtype == dns.TypeIXFR && h.Rrtype == dns.TypeSOA {
			continue
		}
		text := strings.ToLower(rr.String())
		if seen[text] || h.Ttl > 1<<31-1 || h.Class != question.Qclass {
			return "a record twice, with a TTL that is none, or of another class: " + text
		}
		seen[text] = true
		isSigning := h.Rrtype == dns.TypeRRSIG || h.Rrtype == dns.TypeNSEC
		if isSigning && !asked.dnssec && h.Rrtype != question.Qtype && !c.whim {
			return "a record that only DO asks for (RFC 3225): " + text
		}
	}
	if c.whim {
		return ""
	}
	if wrong := negative(m); wrong != "" {
		return wrong
	}
	return chain(question, m.Answer)
}

// negative: what has no answer says why, but where that did not fit.
func negative(m *dns.Msg) string {
	kinds := make(map[uint16]bool)
	for _, rr := range m.Ns {
		kinds[rr.Header().Rrtype] = true
	}
	switch {
	case m.Truncated:
	case m.Rcode == dns.RcodeNameError && (!m.Authoritative || !kinds[dns.TypeSOA]):
		return "NXDOMAIN without SOA or AA"
	case m.Rcode == dns.RcodeSuccess && len(m.Answer) == 0 && m.Question[0].Qclass == dns.ClassINET:
		if kinds[dns.TypeSOA] != m.Authoritative || !kinds[dns.TypeSOA] && !kinds[dns.TypeNS] {
			return "neither NODATA nor a referral"
		}
	}
	return ""
}

// chain: the answer begins with the question's name and follows its aliases.
func chain(question dns.Question, answer []dns.RR) string {
	reached := []string{strings.ToLower(question.Name)}
	for _, rr := range answer {
		h := rr.Header()
		owner := strings.ToLower(h.Name)
		signature, _ := rr.(*dns.RRSIG)
		if (h.Rrtype == dns.TypeDNAME || signature != nil && signature.TypeCovered == dns.TypeDNAME) && !slices.Contains(reached, owner) {
			if !slices.ContainsFunc(reached, func(name string) bool { return name != owner && dns.IsSubDomain(owner, name) }) {
				return "a DNAME above nothing: " + rr.String()
			}
			continue
		}
		if !slices.Contains(reached, owner) {
			return "a record that nothing leads to: " + rr.String()
		}
		if cname, ok := rr.(*dns.CNAME); ok {
			reached = append(reached, strings.ToLower(cname.Target))
			continue
		}
		if h.Rrtype != question.Qtype && question.Qtype != dns.TypeANY && h.Rrtype != dns.TypeRRSIG {
			return "a record of another type: " + rr.String()
		}
	}
	return ""
}
