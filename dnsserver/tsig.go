package dnsserver

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// tsig is a request's signature (RFC 8945). There are no keys here yet that it
// could be of, so that all that is done with it is to say so: whoever signs wants
// no answer that is not signed. The zero value is that of a request without one.
type tsig struct {
	owner     []byte // the key's name, without compression
	algorithm []byte // its name
	signed    []byte // the time and the fudge
}

func (s *tsig) present() bool { return s.owner != nil }

// Parts of a TSIG's data (RFC 8945 section 4.2).
const (
	tsigSigned = 6 + 2 // time and fudge, after the algorithm's name
	tsigAfter  = 2 + 2 // original ID and error, after the MAC
)

// readTSIG reads a TSIG by the offsets of its name and of its type, of a record
// that is whole.
func readTSIG(packet []byte, owner, fixed int) (tsig, bool) {
	data := fixed + recordFixed
	record := packet[:data+int(binary.BigEndian.Uint16(packet[fixed+8:]))]
	if binary.BigEndian.Uint16(packet[fixed+2:]) != dns.ClassANY || binary.BigEndian.Uint32(packet[fixed+4:]) != 0 {
		return tsig{}, false
	}
	end, ok := plainName(record, data)
	if !ok {
		return tsig{}, false
	}
	s := tsig{owner: wholeName(packet, owner), algorithm: record[data:end:end]}
	rest := record[end:]
	if s.signed, rest, ok = cut(rest, tsigSigned); !ok {
		return tsig{}, false
	}
	if _, rest, ok = cutCounted(rest); !ok { // the MAC
		return tsig{}, false
	}
	if _, rest, ok = cut(rest, tsigAfter); !ok {
		return tsig{}, false
	}
	_, rest, ok = cutCounted(rest) // other data
	return s, ok && len(rest) == 0
}

// cut takes so many bytes from the front.
func cut(b []byte, n int) (front, rest []byte, ok bool) {
	if len(b) < n {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

// cutCounted takes what two bytes in front tell the length of.
func cutCounted(b []byte) (front, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	return cut(b[2:], int(binary.BigEndian.Uint16(b)))
}

// wholeName gives a name that recordName has read without its compression.
func wholeName(packet []byte, offset int) []byte {
	var name []byte
	for {
		label := int(packet[offset])
		if label > 63 {
			offset = int(binary.BigEndian.Uint16(packet[offset:]) & 0x3FFF)
			continue
		}
		name = append(name, packet[offset:offset+1+label]...)
		if label == 0 {
			return name
		}
		offset += 1 + label
	}
}

// size is the number of bytes that appendBadKey adds.
func (s *tsig) size() int {
	return len(s.owner) + recordFixed + len(s.algorithm) + tsigSigned + 2 + tsigAfter + 2
}

// appendBadKey appends to a message, and counts in its header, the unsigned TSIG
// that says that its key is not known (RFC 8945 section 5.3.2).
func (s *tsig) appendBadKey(message []byte) []byte {
	message = append(message, s.owner...)
	message = binary.BigEndian.AppendUint16(message, dns.TypeTSIG)
	message = binary.BigEndian.AppendUint16(message, dns.ClassANY)
	message = binary.BigEndian.AppendUint32(message, 0)
	message = binary.BigEndian.AppendUint16(message, uint16(s.size()-len(s.owner)-recordFixed))
	message = append(message, s.algorithm...)
	message = append(message, s.signed...)
	message = append(message, 0, 0)           // no MAC
	message = append(message, message[:2]...) // the ID
	message = binary.BigEndian.AppendUint16(message, dns.RcodeBadKey)
	message = append(message, 0, 0) // no other data
	binary.BigEndian.PutUint16(message[10:], binary.BigEndian.Uint16(message[10:])+1)
	return message
}
