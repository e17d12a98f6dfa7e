package dnsserver

import (
	"encoding/binary"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

// message is the answer that is being written. One is used again and again.
type message struct {
	zones.Packer
}

// finish writes the header and appends the OPT, and gives the whole message,
// which is good until the next Begin.
func (m *message) finish(q *request, rcode, udpSize int, authoritative bool, r reply) []byte {
	flags := q.flags&opcodeMask | flagQR | uint16(rcode&15)
	if q.opcode() == dns.OpcodeQuery {
		flags |= q.flags & flagRD // elsewhere the bit means something else, or has to be 0
	}
	if authoritative {
		flags |= flagAA
	}
	if m.Truncated {
		flags |= flagTC
	}
	written := m.Message()
	additionals := m.Additionals
	if q.edns.present {
		additionals++
		written = q.edns.appendOPT(written, udpSize, rcode, r)
	}
	var questions uint16
	if q.echoed() != nil {
		questions = 1
	}
	for i, word := range [...]uint16{q.id, flags, questions, m.Answers, m.Authorities, additionals} {
		binary.BigEndian.PutUint16(written[2*i:], word)
	}
	return written
}
