package dnsserver

import (
	"encoding/binary"

	"github.com/miekg/dns"

	"mirrorpool/dnsserver/tsig"
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
	faultSerial        fault = "ixfr_serial"      // an IXFR that does not say which version the client has
	faultTSIG          fault = "tsig"             // a TSIG that is not the last record, or cannot be read
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
	// serial is that of the zone that the client of an IXFR has; for one that
	// hasSerial.
	serial    uint32
	hasSerial bool
	signature tsig.Signature
	// signs: what belongs to the signature is in the answer as well.
	signs bool
}

func (q *request) opcode() int { return int(q.flags&opcodeMask) >> 11 }

// echoed is the question that the answer has. Of what other opcodes have in the
// place of one nothing is known (RFC 8906 section 3.1.4), DSO has nothing there
// (RFC 8490 section 5.4), and the answer to an UPDATE has all of its sections or
// none (RFC 2136 section 3.8); in NOTIFY it is a question.
func (q *request) echoed() []byte {
	if opcode := q.opcode(); opcode != dns.OpcodeQuery && opcode != dns.OpcodeNotify {
		return nil
	}
	return q.question
}

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
	steps := len(packet)
	for i := range before + additionals {
		owner := offset
		end, ok := recordName(packet, offset, &steps)
		if !ok || end+recordFixed > len(packet) {
			return offset, false
		}
		data := end + recordFixed
		offset = data + int(binary.BigEndian.Uint16(packet[end+8:]))
		if offset > len(packet) {
			return offset, false
		}
		last := i == before+additionals-1
		switch binary.BigEndian.Uint16(packet[end:]) {
		case dns.TypeOPT:
			q.keepOPT(packet[end:data], packet[data:offset], i >= before && packet[owner] == 0)
		case dns.TypeSOA:
			if q.qtype == dns.TypeIXFR && i >= answers && i < before && q.question != nil {
				q.readSerial(packet, owner, packet[end:data], packet[data:offset])
			}
		case dns.TypeTSIG:
			signature, err := tsig.Read(packet[:offset], owner)
			if err != nil || !last || i < before {
				q.blame(faultTSIG)
			} else {
				q.signature = signature
			}
		}
	}
	return offset, true
}

// keepOPT reads an OPT, given as its part from the type on and its options.
func (q *request) keepOPT(fixed, options []byte, inPlace bool) {
	switch {
	case !inPlace:
		q.blame(faultOPTPlace)
	case q.edns.present:
		q.blame(faultOPTTwice)
	default:
		q.edns = readOPT(fixed, options)
	}
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

// maxPointers bounds the pointers of one name: it has no more labels than that.
const maxPointers = maxName / 2

// recordName gives the offset after a record's name, which may end in a pointer
// to a name before it (RFC 1035 section 4.1.4).
//
// The labels and pointers behind a name's first pointer are taken off steps, and
// it is not ok where there are none left. Without that, records of twelve bytes
// that all point to one long name would cost a hundred times what others do. A
// step for each byte of the packet is enough for any that is meant well: a name
// has half as many labels as bytes at most.
func recordName(packet []byte, offset int, steps *int) (end int, ok bool) {
	start, length, pointers := offset, 0, 0
	for offset < len(packet) {
		label := int(packet[offset])
		if pointers > 0 {
			if *steps == 0 {
				return 0, false
			}
			*steps--
		}
		switch {
		case label > 63:
			if label < 0xC0 || offset+2 > len(packet) || pointers == maxPointers {
				return 0, false
			}
			if pointers == 0 {
				end = offset + 2
			}
			pointers++
			target := int(binary.BigEndian.Uint16(packet[offset:]) & 0x3FFF)
			if target < headerSize || target >= start {
				return 0, false
			}
			start, offset = target, target
			continue
		case label == 0 && pointers == 0:
			end = offset + 1
		}
		if length += 1 + label; length > maxName {
			return 0, false
		}
		if label == 0 {
			return end, true
		}
		offset += 1 + label
	}
	return 0, false
}
