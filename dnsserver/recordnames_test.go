package dnsserver

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// pointing is a question for a name with so many additional records, each of whose
// owners is a pointer to a place.
func pointing(name string, records int, target uint16) []byte {
	record := binary.BigEndian.AppendUint16(nil, 0xC000|target)
	record = append(record, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
	return query{name: name, qtype: 1, extra: uint16(records), sections: bytes.Repeat(record, records)}.bytes()
}

// chained is a question with a record whose data are pointers, each to the one
// before it, and as many records as fit whose owners point to the last of them.
func chained(size int) []byte {
	const links = 126
	var data []byte
	packet := query{name: "a.", qtype: 1}.bytes()
	first := len(packet) + 1 + recordFixed
	target := headerSize
	for i := range links {
		data = binary.BigEndian.AppendUint16(data, uint16(0xC000|target))
		target = first + 2*i
	}
	packet = append(packet, 0, 0, 16, 0, 1, 0, 0, 0, 0, 0, 2*links)
	packet = append(packet, data...)
	count := 1
	for ; len(packet)+12 <= size; count++ {
		packet = binary.BigEndian.AppendUint16(packet, uint16(0xC000|target))
		packet = append(packet, 0, 16, 0, 1, 0, 0, 0, 0, 0, 0)
	}
	binary.BigEndian.PutUint16(packet[10:], uint16(count))
	return packet
}

// TestNamesTakeNoMoreThanTheirPacket: what records' names point to is followed for
// as many steps as the packet has bytes, and that is enough for good ones.
func TestNamesTakeNoMoreThanTheirPacket(t *testing.T) {
	manyLabels := strings.Repeat("a.", 126) // 253 bytes
	for _, c := range []struct {
		name   string
		packet []byte
		want   fault
	}{
		{"one record of a name with many labels", pointing(manyLabels, 1, headerSize), faultNone},
		{"two", pointing(manyLabels, 2, headerSize), faultNone},
		{"as many as fit", pointing(manyLabels, 200, headerSize), faultRecord},
		{"as many of an ordinary name", pointing("a.good.example.test.", 200, headerSize), faultNone},
		{"as many of its end", pointing(manyLabels, 200, headerSize+2*124), faultNone},
		{"pointers to pointers", chained(300), faultNone},
		{"pointers to pointers, again and again", chained(4096), faultRecord},
	} {
		if q := parseRequest(c.packet); q.fault != c.want {
			t.Errorf("%s: %q, want %q", c.name, q.fault, c.want)
		}
	}
}

// BenchmarkRecordNames is the reading of packets as large as UDP takes, the worst
// there are and an ordinary one.
func BenchmarkRecordNames(b *testing.B) {
	for name, packet := range map[string][]byte{
		"chained": chained(roomSize), "many labels": pointing(strings.Repeat("a.", 126), 230, headerSize),
		"ordinary": pointing("a.good.example.test.", 250, headerSize),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				parseRequest(packet)
			}
		})
	}
}
