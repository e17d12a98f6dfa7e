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
	optionExpire    = 9  // RFC 7314
	optionCookie    = 10 // RFC 7873
	optionKeepalive = 11 // edns-tcp-keepalive, RFC 7828
	optionPadding   = 12 // RFC 7830
)

// paddingBlock is what a padded answer's length is a multiple of, in bytes (RFC
// 8467 section 4.1).
const paddingBlock = 468

// keepaliveUnit is that of the time-out in edns-tcp-keepalive (RFC 7828 section
// 3.1).
const keepaliveUnit = 100 * time.Millisecond

// faultKeepalive: an edns-tcp-keepalive with a value, which is the server's to
// give (RFC 7828 section 3.2.1).
const faultKeepalive fault = "keepalive_value"

const (
	optFixed    = 11      // an OPT without options: root, type, class, TTL, length
	optRcode    = 5       // where in it the upper bits of the response code are
	optLength   = 9       // where the options' length is
	optionFixed = 4       // an option without a value
	flagDO      = 1 << 15 // in the lower half of OPT's TTL (RFC 3225)
)

// edns is what a request's OPT says (RFC 6891). The zero value is that of a
// request without one.
type edns struct {
	present bool
	size    uint16 // the largest UDP answer that the client takes
	version uint8
	dnssec  bool   // DO
	options []byte // not yet read
	seen    features

	wantsNSID, wantsExpire bool
	// wantsPadding is cleared where the request did not come over TLS.
	wantsPadding bool
	// subnets is how many client subnets there are, and subnetValue the value of
	// the first; subnet is that one, where the resolver is believed.
	subnets     int
	subnetValue []byte
	subnet      subnet
	cookie      []byte // the first COOKIE option's value; nil: there is none
	// wantsKeepalive: edns-tcp-keepalive is in the request; keepaliveValue: with
	// a value. Both are cleared where the request did not come over a connection.
	wantsKeepalive bool
	keepaliveValue bool
}

// readOPT reads the fixed part of an OPT, from its type on. Flags other than
// DO are ignored.
func readOPT(fixed, options []byte) edns {
	flags := binary.BigEndian.Uint16(fixed[6:])
	e := edns{
		present: true,
		size:    binary.BigEndian.Uint16(fixed[2:]),
		version: fixed[5],
		dnssec:  flags&flagDO != 0,
		options: options,
	}
	e.seen = seenInOPT(e.version, flags)
	return e
}

// readOptions takes what it knows from the options; others are passed over.
func (e *edns) readOptions() fault {
	options := e.options
	for len(options) > 0 {
		if len(options) < optionFixed {
			return faultOption
		}
		code := binary.BigEndian.Uint16(options)
		end := optionFixed + int(binary.BigEndian.Uint16(options[2:]))
		if end > len(options) {
			return faultOption
		}
		value := options[optionFixed:end:end]
		options = options[end:]
		e.seen |= seenOption(code)
		switch code {
		case optionNSID:
			// What a client puts into its wish means nothing (RFC 5001
			// section 2.1), nor does it in the next one (RFC 7314 section 3.1)
			// or in padding.
			e.wantsNSID = true
		case optionExpire:
			e.wantsExpire = true
		case optionPadding:
			e.wantsPadding = true
		case optionSubnet:
			if e.subnets++; e.subnets == 1 {
				e.subnetValue = value
			}
		case optionCookie:
			if e.cookie == nil { // of several, only the first counts (RFC 7873 section 5.2)
				e.cookie = value
			}
		case optionKeepalive:
			e.wantsKeepalive = true
			e.keepaliveValue = e.keepaliveValue || len(value) > 0
		}
	}
	return faultNone
}

// settle judges what means something over some transports only: over UDP,
// edns-tcp-keepalive is ignored (RFC 7828 section 3.2.1), and in the open nobody
// is hidden by padding.
func (q *request) settle(over transport) {
	if over != overTLS {
		q.edns.wantsPadding = false
	}
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
	keepalive uint16                 // the time-out that is in force, in keepaliveUnit
	cookie    *[wholeCookieSize]byte // nil: none
	expire    uint32                 // of the zone's SOA, in seconds; for an answer that hasExpire
	hasExpire bool
	// bare leaves the options out, since the request was not understood, but for
	// the cookie: who has one coming may pass over an answer without it (RFC
	// 7873 section 5.3); and for padding, which every answer gets (RFC 7830
	// section 4).
	bare bool
	// behind is how many bytes will follow the OPT; padding takes them in.
	behind int
}

// replySize is the number of bytes that appendOPT will add at most.
func (e *edns) replySize(nsid string) int {
	if !e.present {
		return 0
	}
	size := optFixed
	if e.wantsNSID && nsid != "" {
		size += optionFixed + len(nsid)
	}
	if e.subnet.present() {
		size += optionFixed + len(e.subnet.wire)
	}
	if e.cookie != nil {
		size += optionFixed + wholeCookieSize
	}
	if e.wantsExpire {
		size += optionFixed + 4
	}
	if e.wantsKeepalive {
		size += optionFixed + 2
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
	switch {
	case !r.bare:
		message = e.appendOptions(message, r)
	case r.cookie != nil:
		message = appendCookie(message, r.cookie)
	}
	if e.wantsPadding {
		message = appendPadding(message, r.behind)
	}
	binary.BigEndian.PutUint16(message[length:], uint16(len(message)-length-2))
	return message
}

func (e *edns) appendOptions(message []byte, r reply) []byte {
	if e.wantsNSID && r.nsid != "" {
		message = appendOption(message, optionNSID, len(r.nsid))
		message = append(message, r.nsid...)
	}
	if e.subnet.present() {
		message = appendOption(message, optionSubnet, len(e.subnet.wire))
		scope := len(message) + 3
		message = append(message, e.subnet.wire...)
		message[scope] = r.scope
	}
	if r.cookie != nil {
		message = appendCookie(message, r.cookie)
	}
	if e.wantsExpire && r.hasExpire {
		message = appendOption(message, optionExpire, 4)
		message = binary.BigEndian.AppendUint32(message, r.expire)
	}
	if e.wantsKeepalive {
		message = appendOption(message, optionKeepalive, 2)
		message = binary.BigEndian.AppendUint16(message, r.keepalive)
	}
	return message
}

// appendOption begins an option with a value of so many bytes.
func appendOption(message []byte, code uint16, length int) []byte {
	message = binary.BigEndian.AppendUint16(message, code)
	return binary.BigEndian.AppendUint16(message, uint16(length))
}

func appendCookie(message []byte, cookie *[wholeCookieSize]byte) []byte {
	return append(appendOption(message, optionCookie, len(cookie)), cookie[:]...)
}

// appendPadding fills the message, which ends in its OPT, and in so many bytes
// behind it, to a whole number of blocks, or as far as a message goes (RFC 7830,
// RFC 8467 section 4.1).
func appendPadding(message []byte, behind int) []byte {
	bare := len(message) + optionFixed + behind
	if bare > maxMessage {
		return message
	}
	length := min((bare+paddingBlock-1)/paddingBlock*paddingBlock, maxMessage) - bare
	message = appendOption(message, optionPadding, length)
	return append(message, make([]byte, length)...)
}
