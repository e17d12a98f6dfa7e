package tsig

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/miekg/dns"
)

// Codes of what is wrong with a signature (RFC 8945 section 3).
const (
	CodeBadSignature  = dns.RcodeBadSig
	CodeBadKey        = dns.RcodeBadKey
	CodeBadTime       = dns.RcodeBadTime
	CodeBadTruncation = dns.RcodeBadTrunc
)

const (
	headerSize  = 12
	maxName     = 255
	recordFixed = 2 + 2 + 4 + 2 // type, class, TTL and the length of the data
	timersSize  = 6 + 2         // time and fudge
	dataFixed   = timersSize + 2 + 2 + 2 + 2
	timeSize    = 6 // of the other data that say BADTIME
	minMAC      = 10
)

// Signature is a message's TSIG record and what was found of it. Its slices are
// parts of the message, but for the MAC. The zero value is that of a message
// without one.
type Signature struct {
	start     int    // of the record in its message
	owner     []byte // the key's name as it was sent, without compression
	algorithm []byte // its name as it was sent
	timers    []byte // time and fudge
	mac       []byte
	original  uint16 // ID
	said      uint16 // the error field
	other     []byte

	key  *Key   // nil: not known, or the MAC is not its
	code uint16 // what is wrong
}

// Errors of messages whose signature says nothing.
var (
	// ErrUnsigned: the message has no TSIG.
	ErrUnsigned = errors.New("the message is not signed")
	// ErrFormat: its TSIG cannot be read, is not its last record, or is there
	// twice; a question gets FORMERR for it.
	ErrFormat = errors.New("the message or its TSIG is malformed")
)

// Error says why a signature is not taken, by this side or by the other one.
type Error struct {
	Code   uint16 // one of those above; of the other side, any
	Key    string // the key's name
	Remote bool   // the other side says so of what it was sent
	// Server is the other side's clock, where it says BADTIME; to the second.
	Server time.Time
}

// Error is error's.
func (e *Error) Error() string {
	said := "signature of key " + e.Key + ": "
	if e.Remote {
		said = "the other side does not take the " + said
	}
	switch e.Code {
	case CodeBadSignature:
		return said + "BADSIG: the secrets of the two sides differ, or the message was changed on its way"
	case CodeBadKey:
		return said + "BADKEY: no key of this name and algorithm is known there; both sides need the same"
	case CodeBadTime:
		if !e.Server.IsZero() {
			said += "its clock says " + e.Server.UTC().Format(time.RFC3339) + ": "
		}
		return said + fmt.Sprintf("BADTIME: the clocks differ by more than %d s; set them by NTP", Fudge)
	case CodeBadTruncation:
		return said + "BADTRUNC: its MAC is too short"
	}
	return said + fmt.Sprintf("error %d", e.Code)
}

// Present reports whether there is a record.
func (s *Signature) Present() bool { return s.owner != nil }

// Key is the one whose MAC was found right; nil where none was. It is known as well
// where only the time or the length of the MAC is wrong.
func (s *Signature) Key() *Key { return s.key }

// Code is what is wrong; 0: nothing.
func (s *Signature) Code() uint16 { return s.code }

// MAC is the message's, by which its answer is signed.
func (s *Signature) MAC() []byte { return s.mac }

// Read reads the TSIG record at an offset of a message, of which it has to be the
// last, and has to be counted as additional. That it has no like before it, the
// caller has seen; Verify sees for itself. The only error is ErrFormat.
func Read(message []byte, offset int) (Signature, error) {
	s := Signature{start: offset}
	owner, end, ok := expandedName(message, offset)
	if !ok || end+recordFixed > len(message) {
		return Signature{}, ErrFormat
	}
	fixed, data := message[end:end+recordFixed], message[end+recordFixed:]
	if binary.BigEndian.Uint16(fixed) != dns.TypeTSIG || binary.BigEndian.Uint16(fixed[2:]) != dns.ClassANY ||
		binary.BigEndian.Uint32(fixed[4:]) != 0 || int(binary.BigEndian.Uint16(fixed[8:])) != len(data) {
		return Signature{}, ErrFormat
	}
	length := plainName(data)
	if length == 0 || len(data) < length+dataFixed {
		return Signature{}, ErrFormat
	}
	s.algorithm, data = data[:length:length], data[length:]
	s.timers, data = data[:timersSize:timersSize], data[timersSize:]
	macSize := int(binary.BigEndian.Uint16(data))
	if len(data) < macSize+dataFixed-timersSize {
		return Signature{}, ErrFormat
	}
	s.mac, data = append([]byte(nil), data[2:2+macSize]...), data[2+macSize:]
	s.original, s.said = binary.BigEndian.Uint16(data), binary.BigEndian.Uint16(data[2:])
	s.other = data[6:]
	if int(binary.BigEndian.Uint16(data[4:])) != len(s.other) {
		return Signature{}, ErrFormat
	}
	s.owner = owner
	return s, nil
}

// find walks over a message to its TSIG and reads it.
func find(message []byte) (Signature, error) {
	if len(message) < headerSize {
		return Signature{}, ErrFormat
	}
	count := func(at int) int { return int(binary.BigEndian.Uint16(message[at:])) }
	offset := headerSize
	for range count(4) {
		end, ok := skipName(message, offset)
		if !ok || end+4 > len(message) {
			return Signature{}, ErrFormat
		}
		offset = end + 4
	}
	before := count(6) + count(8)
	last := before + count(10) - 1
	for i := range last + 1 {
		start := offset
		end, ok := skipName(message, offset)
		if !ok || end+recordFixed > len(message) {
			return Signature{}, ErrFormat
		}
		offset = end + recordFixed + count(end+8)
		switch {
		case offset > len(message):
			return Signature{}, ErrFormat
		case count(end) != int(dns.TypeTSIG):
			continue
		case i != last || i < before:
			return Signature{}, ErrFormat
		}
		return Read(message, start)
	}
	if offset != len(message) {
		return Signature{}, ErrFormat
	}
	return Signature{}, ErrUnsigned
}

// skipName gives the offset behind a name, which may end in a pointer.
func skipName(message []byte, offset int) (int, bool) {
	for offset < len(message) {
		switch length := int(message[offset]); {
		case length >= 0xC0:
			return offset + 2, offset+2 <= len(message)
		case length > 63:
			return 0, false
		case length == 0:
			return offset + 1, true
		default:
			offset += 1 + length
		}
	}
	return 0, false
}

// plainName gives the length of a name without compression at the start of data; 0:
// there is none.
func plainName(data []byte) int {
	offset := 0
	for offset < len(data) && offset < maxName {
		length := int(data[offset])
		switch {
		case length > 63:
			return 0
		case length == 0:
			return offset + 1
		}
		offset += 1 + length
	}
	return 0
}

// expandedName gives a name without its compression, and the offset behind it. Its
// pointers lead backwards.
func expandedName(message []byte, offset int) (name []byte, end int, ok bool) {
	start := offset
	for offset < len(message) && len(name) < maxName {
		length := int(message[offset])
		switch {
		case length >= 0xC0:
			if offset+2 > len(message) {
				return nil, 0, false
			}
			if end == 0 {
				end = offset + 2
			}
			target := int(binary.BigEndian.Uint16(message[offset:]) & 0x3FFF)
			if target < headerSize || target >= start {
				return nil, 0, false
			}
			start, offset = target, target
		case length > 63 || offset+1+length > len(message):
			return nil, 0, false
		default:
			name = append(name, message[offset:offset+1+length]...)
			offset += 1 + length
			if length > 0 {
				continue
			}
			if end == 0 {
				end = offset
			}
			return name, end, len(name) <= maxName
		}
	}
	return nil, 0, false
}
