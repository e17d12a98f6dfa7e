package dnsserver

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

const (
	headerSize  = 12
	minUDPSize  = 512 // RFC 1035 section 2.3.4
	maxMessage  = 65535
	maxName     = 255 // RFC 1035 section 2.3.4, with the root's length byte
	recordFixed = 10  // type, class, TTL and the length of the data
)

// Bits of the header's second word (RFC 1035 section 4.1.1).
const (
	flagQR     = 1 << 15
	flagAA     = 1 << 10
	flagTC     = 1 << 9
	flagRD     = 1 << 8
	opcodeMask = 15 << 11
)

// fault is what is wrong with a request that gets FORMERR; it is the value of
// a label, so there are only those below.
type fault string

const (
	faultNone          fault = ""
	faultQuestionCount fault = "question_count"   // not one question, nor none with a cookie
	faultQuestion      fault = "question"         // the question cannot be read
	faultType          fault = "type"             // a type that cannot be asked for
	faultRecord        fault = "record"           // a record cannot be read
	faultSection       fault = "section"          // records where a question has none
	faultTrailing      fault = "trailing"         // bytes after the last record
	faultOPTPlace      fault = "opt_place"        // an OPT that is not in the additional section or not the root's
	faultOPTTwice      fault = "opt_twice"        // more than one OPT
	faultOption        fault = "option"           // options that do not fill OPT exactly
	faultSubnet        fault = "subnet_malformed" // see parseSubnet
	faultSubnetTwice   fault = "subnet_twice"     // more than one client subnet
	faultCookie        fault = "cookie"           // a length that no cookie has
)

// request is what was read of one packet. Its slices are parts of the packet.
type request struct {
	id       uint16
	flags    uint16
	question []byte // name, type and class as asked; nil if it was not read
	qtype    uint16
	class    uint16
	edns     edns
	fault    fault // the first one found
	// asksNothing: there is no question, which is good for getting a cookie
	// (RFC 7873 section 5.4).
	asksNothing bool
	cookie      cookieState // what the server cookie in the request is
}

func (q *request) opcode() int { return int(q.flags&opcodeMask) >> 11 }

// blame keeps the first fault.
func (q *request) blame(f fault) {
	if q.fault == faultNone {
		q.fault = f
	}
}

// parseRequest reads a packet that is at least a header long. After a fault it
// reads on where it can, because an answer of FORMERR has an OPT as well where
// the request had one (RFC 6891 section 7).
func parseRequest(packet []byte) request {
	q := request{
		id:    binary.BigEndian.Uint16(packet[0:]),
		flags: binary.BigEndian.Uint16(packet[2:]),
	}
	offset, ok := q.readQuestions(packet)
	if !ok {
		q.blame(faultQuestion)
		return q
	}
	offset, ok = q.readRecords(packet, offset)
	switch {
	case !ok:
		q.blame(faultRecord)
	case offset != len(packet):
		q.blame(faultTrailing)
	}
	if q.fault == faultNone && q.edns.present && q.edns.version == 0 {
		q.fault = q.edns.readOptions()
	}
	if q.asksNothing && q.edns.version == 0 && q.edns.cookie == nil {
		q.blame(faultQuestionCount)
	}
	return q
}

// readQuestions reads the question section and gives the offset after it.
func (q *request) readQuestions(packet []byte) (int, bool) {
	count := int(binary.BigEndian.Uint16(packet[4:]))
	switch {
	case count == 0:
		q.asksNothing = true
	case count > 1:
		q.blame(faultQuestionCount)
	}
	offset := headerSize
	for range count {
		end, ok := plainName(packet, offset)
		if !ok || end+4 > len(packet) {
			return offset, false
		}
		if count == 1 {
			q.question = packet[offset : end+4]
			q.qtype = binary.BigEndian.Uint16(packet[end:])
			q.class = binary.BigEndian.Uint16(packet[end+2:])
		}
		offset = end + 4
	}
	return offset, true
}

// readRecords walks over all records from offset on, keeps the OPT, and gives
// the offset after the last one.
func (q *request) readRecords(packet []byte, offset int) (int, bool) {
	answers := int(binary.BigEndian.Uint16(packet[6:]))
	authorities := int(binary.BigEndian.Uint16(packet[8:]))
	additionals := int(binary.BigEndian.Uint16(packet[10:]))
	if answers > 0 || (authorities > 0 && q.qtype != dns.TypeIXFR) {
		q.blame(faultSection)
	}
	before := answers + authorities
	for i := range before + additionals {
		owner := offset
		end, ok := skipName(packet, offset)
		if !ok || end+recordFixed > len(packet) {
			return offset, false
		}
		data := end + recordFixed
		offset = data + int(binary.BigEndian.Uint16(packet[end+8:]))
		if offset > len(packet) {
			return offset, false
		}
		if binary.BigEndian.Uint16(packet[end:]) != dns.TypeOPT {
			continue
		}
		switch {
		case i < before || packet[owner] != 0:
			q.blame(faultOPTPlace)
		case q.edns.present:
			q.blame(faultOPTTwice)
		default:
			q.edns = readOPT(packet[end:data], packet[data:offset])
		}
	}
	return offset, true
}

// plainName gives the offset after a name that is not compressed: in a
// question there is nothing before it that it could point to.
func plainName(packet []byte, offset int) (int, bool) {
	start := offset
	for offset < len(packet) {
		length := int(packet[offset])
		switch {
		case length > 63:
			return 0, false
		case length == 0:
			offset++
			return offset, offset-start <= maxName
		}
		offset += 1 + length
	}
	return 0, false
}

// skipName gives the offset after a name that may end in a pointer. Where the
// pointer leads to is not looked at.
func skipName(packet []byte, offset int) (int, bool) {
	for offset < len(packet) {
		length := int(packet[offset])
		switch {
		case length == 0:
			return offset + 1, true
		case length&0xC0 == 0xC0:
			return offset + 2, offset+2 <= len(packet)
		case length > 63:
			return 0, false
		}
		offset += 1 + length
	}
	return 0, false
}
