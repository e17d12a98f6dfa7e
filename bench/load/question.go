package load

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Varying is a part of a question that is another one each time.
type Varying string

const (
	VaryNothing Varying = ""
	VaryLabel   Varying = "label"   // the first label, of eight letters and digits
	VarySubnet4 Varying = "subnet4" // the address of a client subnet, an IPv4 /24
	VarySubnet6 Varying = "subnet6" // the address of a client subnet, an IPv6 /56
)

// Types of records that are asked for.
const (
	TypeA    = 1
	TypeAAAA = 28
)

// Question is a message to send, with what is right in an answer to it. The
// first two bytes of the message, its id, are set when it is sent.
type Question struct {
	Packet  []byte
	Varying Varying
	At      int // where in Packet the part that varies begins
	Code    int // the response code of a right answer
	Records int // the least number of answer records of a right answer
}

const (
	headerSize = 12
	labelSize  = 8
	ednsSize   = 1232 // the UDP size that is announced

	optionSubnet = 8 // RFC 7871, section 6
	familyIPv4   = 1
	familyIPv6   = 2
	bitsIPv4     = 24
	bitsIPv6     = 56
)

// Form is what a question has beside name and type.
type Form struct {
	EDNS    bool    // an OPT record
	DO      bool    // one with the DO bit
	Varying Varying // a random label before the name, or one with a client subnet
}

// NewQuestion writes a question as a resolver asks it: one name and type, class
// IN, recursion not desired.
func NewQuestion(name string, recordType uint16, form Form) (Question, error) {
	q := Question{Varying: form.Varying}
	packet := make([]byte, headerSize, 128)
	packet[5] = 1 // QDCOUNT
	if form.Varying == VaryLabel {
		name = strings.Repeat("x", labelSize) + "." + name
		q.At = headerSize + 1
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if len(label) == 0 || len(label) > 63 {
			return Question{}, fmt.Errorf("writing a question for %q: a label of %d bytes, expected 1 to 63", name, len(label))
		}
		packet = append(packet, byte(len(label)))
		packet = append(packet, label...)
	}
	packet = append(packet, 0)
	if length := len(packet) - headerSize; length > 255 {
		return Question{}, fmt.Errorf("writing a question for %q: a name of %d bytes, expected at most 255", name, length)
	}
	packet = binary.BigEndian.AppendUint16(packet, recordType)
	packet = binary.BigEndian.AppendUint16(packet, 1)
	subnet := form.Varying == VarySubnet4 || form.Varying == VarySubnet6
	if form.EDNS || form.DO || subnet {
		packet[11] = 1 // ARCOUNT
		packet, q.At = appendOPT(packet, form, q.At)
	}
	q.Packet = packet
	return q, nil
}

// appendOPT adds an OPT record, and returns where the address of its client
// subnet begins, or at.
func appendOPT(packet []byte, form Form, at int) ([]byte, int) {
	var flags, family, source, size uint16
	if form.DO {
		flags = 0x8000
	}
	switch form.Varying {
	case VarySubnet4:
		family, source, size = familyIPv4, bitsIPv4, bitsIPv4/8
	case VarySubnet6:
		family, source, size = familyIPv6, bitsIPv6, bitsIPv6/8
	}
	fields := []uint16{41, ednsSize, 0, flags}
	if family == 0 {
		fields = append(fields, 0)
	} else {
		fields = append(fields, 8+size, optionSubnet, 4+size, family, source<<8)
	}
	packet = append(packet, 0)
	for _, field := range fields {
		packet = binary.BigEndian.AppendUint16(packet, field)
	}
	if family != 0 {
		at = len(packet)
		packet = append(packet, make([]byte, size)...)
	}
	return packet, at
}

// questionEnd is where the question section ends in a packet that NewQuestion
// wrote, or an error for any other.
func questionEnd(packet []byte) (int, error) {
	for at := headerSize; at < len(packet); at += int(packet[at]) + 1 {
		if packet[at] > 63 {
			break
		}
		if packet[at] == 0 && at+5 <= len(packet) {
			return at + 5, nil
		}
	}
	return 0, fmt.Errorf("a question of %d bytes has no whole name", len(packet))
}

// random is a generator of numbers, xorshift64*, that is cheaper than a call.
type random uint64

// newRandom spreads a seed, such as 1, over all bits (splitmix64).
func newRandom(seed uint64) random {
	x := seed + 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return random((x ^ x>>31) | 1<<63)
}

func (r *random) next() uint64 {
	x := *r
	x ^= x >> 12
	x ^= x << 25
	x ^= x >> 27
	*r = x
	return uint64(x) * 0x2545F4914F6CDD1D
}

const alphabet = "abcdefghijklmnopqrstuvwxyz012345"

// vary writes the part of a packet that varies, and returns what was written
// where an answer has to repeat it in its question.
func (r *random) vary(packet []byte, kind Varying, at int) uint64 {
	x := r.next()
	switch kind {
	case VaryLabel:
		label := packet[at : at+labelSize]
		for i := range label {
			label[i] = alphabet[x>>(24+5*i)&31]
		}
		return binary.LittleEndian.Uint64(label)
	case VarySubnet4:
		// All of unicast but 127.0.0.0/8: 1 to 126 and 128 to 223.
		first := 1 + x>>32*222>>32
		if first >= 127 {
			first++
		}
		packet[at], packet[at+1], packet[at+2] = byte(first), byte(x>>8), byte(x>>16)
	case VarySubnet6:
		// All of global unicast, 2000::/3.
		packet[at] = 0x20 | byte(x>>56)&0x1f
		for i := 1; i < bitsIPv6/8; i++ {
			packet[at+i] = byte(x >> (8 * i))
		}
	}
	return 0
}

// Sample is the question as it is sent, with this id and a random part drawn by
// the seed.
func (q Question) Sample(id uint16, seed uint64) []byte {
	packet := append([]byte(nil), q.Packet...)
	binary.BigEndian.PutUint16(packet, id)
	r := newRandom(seed)
	r.vary(packet, q.Varying, q.At)
	return packet
}
