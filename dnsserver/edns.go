package dnsserver

import (
	"encoding/binary"
	"time"

	"github.com/miekg/dns"
)

// Numbers of EDNS options.
const (
	optionNSID      = 3  // RFC 5001
	optionSubnet    = 8  // RFC 7871
	optionKeepalive = 11 // edns-tcp-keepalive, RFC 7828
)

// keepaliveUnit is that of the time-out in edns-tcp-keepalive (RFC 7828 section
// 3.1).
const keepaliveUnit = 100 * time.Millisecond

// faultKeepalive: an edns-tcp-keepalive with a value, which is the server's to
// give (RFC 7828 section 3.2.1).
const faultKeepalive fault = "keepalive_value"

const (
	optFixed = 11      // an OPT without options: root, type, class, TTL, length
	flagDO   = 1 << 15 // in the lower half of OPT's TTL (RFC 3225)
)

// edns is what a request's OPT says (RFC 6891). The zero value is that of a
// request without one.
type edns struct {
	present   bool
	size      uint16 // the largest UDP answer that the client takes
	version   uint8
	dnssec    bool   // DO
	options   []byte // not yet read
	wantsNSID bool
	subnet    subnet
	// wantsKeepalive: edns-tcp-keepalive is in the request; keepaliveValue: with
	// a value. Both are cleared where the request did not come over TCP.
	wantsKeepalive bool
	keepaliveValue bool
}

// readOPT reads the fixed part of an OPT, from its type on. Flags other than
// DO are ignored.
func readOPT(fixed, options []byte) edns {
	return edns{
		present: true,
		size:    binary.BigEndian.Uint16(fixed[2:]),
		version: fixed[5],
		dnssec:  binary.BigEndian.Uint16(fixed[6:])&flagDO != 0,
		options: options,
	}
}

// readOptions takes what it knows from the options; others are passed over.
func (e *edns) readOptions() fault {
	options := e.options
	for len(options) > 0 {
		if len(options) < 4 {
			return faultOption
		}
		code := binary.BigEndian.Uint16(options)
		end := 4 + int(binary.BigEndian.Uint16(options[2:]))
		if end > len(options) {
			return faultOption
		}
		value := options[4:end]
		options = options[end:]
		switch code {
		case optionNSID:
			// What a client puts into its wish means nothing (RFC 5001
			// section 2.1).
			e.wantsNSID = true
		case optionSubnet:
			if e.subnet.present() {
				return faultSubnetTwice
			}
			s, ok := parseSubnet(value)
			if !ok {
				return faultSubnet
			}
			e.subnet = s
		case optionKeepalive:
			e.wantsKeepalive = true
			e.keepaliveValue = e.keepaliveValue || len(value) > 0
		}
	}
	return faultNone
}

// settle judges what means something over one transport only: over UDP,
// edns-tcp-keepalive is ignored (RFC 7828 section 3.2.1).
func (q *request) settle(over transport) {
	switch {
	case !over.isStream():
		q.edns.wantsKeepalive, q.edns.keepaliveValue = false, false
	case q.edns.keepaliveValue:
		q.blame(faultKeepalive)
	}
}

// reply is the OPT of an answer.
type reply struct {
	nsid      string
	scope     uint8
	keepalive uint16 // the time-out that is in force, in keepaliveUnit
	// bare leaves the options out: the request's were not understood.
	bare bool
}

// replySize is the number of bytes that appendOPT will add at most.
func (e *edns) replySize(nsid string) int {
	if !e.present {
		return 0
	}
	size := optFixed
	if e.wantsNSID && nsid != "" {
		size += 4 + len(nsid)
	}
	if e.subnet.present() {
		size += 4 + len(e.subnet.wire)
	}
	if e.wantsKeepalive {
		size += 4 + 2
	}
	return size
}

// appendOPT writes the answer's OPT after message.
func (e *edns) appendOPT(message []byte, udpSize, rcode int, r reply) []byte {
	var flags uint16
	if e.dnssec {
		flags = flagDO
	}
	message = append(message, 0) // the root
	message = binary.BigEndian.AppendUint16(message, dns.TypeOPT)
	message = binary.BigEndian.AppendUint16(message, uint16(udpSize))
	message = append(message, uint8(rcode>>4), 0) // version 0
	message = binary.BigEndian.AppendUint16(message, flags)
	length := len(message)
	message = append(message, 0, 0)
	if !r.bare {
		if e.wantsNSID && r.nsid != "" {
			message = binary.BigEndian.AppendUint16(message, optionNSID)
			message = binary.BigEndian.AppendUint16(message, uint16(len(r.nsid)))
			message = append(message, r.nsid...)
		}
		if e.subnet.present() {
			message = binary.BigEndian.AppendUint16(message, optionSubnet)
			message = binary.BigEndian.AppendUint16(message, uint16(len(e.subnet.wire)))
			scope := len(message) + 3
			message = append(message, e.subnet.wire...)
			message[scope] = r.scope
		}
		if e.wantsKeepalive {
			message = binary.BigEndian.AppendUint16(message, optionKeepalive)
			message = binary.BigEndian.AppendUint16(message, 2)
			message = binary.BigEndian.AppendUint16(message, r.keepalive)
		}
	}
	binary.BigEndian.PutUint16(message[length:], uint16(len(message)-length-2))
	return message
}
