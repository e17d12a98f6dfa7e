package zones

import (
	"bytes"
	"encoding/binary"

	"github.com/miekg/dns"
)

// WireName is the name of a question in wire format (RFC 1035 section 3.1),
// read for look-ups: letters in lower case, and where each label starts. One is
// used again and again, by one goroutine at a time.
type WireName struct {
	wire   [maxName + 9]byte // room to work on eight bytes at a time
	length int               // with the root's byte
	starts [maxName/2 + 1]uint8
	labels int // without the root
}

// Read reads the name that starts at message[offset] and gives the offset behind
// it. It is not ok where the name does not end in the message, is longer than
// 255 bytes, has a label of more than 63, or is compressed.
func (n *WireName) Read(message []byte, offset int) (end int, ok bool) {
	start, labels := offset, 0
	for {
		if offset >= len(message) {
			return 0, false
		}
		length := int(message[offset])
		if length == 0 {
			break
		}
		if length > 63 || offset-start+length+2 > maxName {
			return 0, false
		}
		n.starts[labels] = uint8(offset - start)
		labels++
		offset += 1 + length
	}
	n.labels = labels
	n.length = copy(n.wire[:], message[start:offset+1])
	for i := 0; i < n.length; i += 8 {
		word := binary.NativeEndian.Uint64(n.wire[i:])
		binary.NativeEndian.PutUint64(n.wire[i:], lowerEight(word))
	}
	return offset + 1, true
}

// lowerEight puts the ASCII capitals among eight bytes into lower case. The
// lengths of labels are below all letters and stay.
func lowerEight(word uint64) uint64 {
	const each = 0x0101010101010101
	low := word & (each * 0x7f)
	notBelowA := low + each*(0x80-'A')
	aboveZ := low + each*(0x7f-'Z')
	capital := (notBelowA ^ aboveZ) & ^word & (each * 0x80)
	return word | capital>>2
}

// from gives the name without its first labels.
func (n *WireName) from(label int) []byte {
	if label == n.labels {
		return n.wire[n.length-1 : n.length]
	}
	return n.wire[n.starts[label]:n.length]
}

// set makes the name that of a name in presentation form.
func (n *WireName) set(name string) bool {
	var wire [maxName + 1]byte
	length, err := dns.PackDomainName(name, wire[:], 0, nil, false)
	if err != nil {
		return false
	}
	end, ok := n.Read(wire[:length], 0)
	return ok && end == length
}

// equal compares names in wire format and lower case.
func equal(a, b []byte) bool { return bytes.Equal(a, b) }
