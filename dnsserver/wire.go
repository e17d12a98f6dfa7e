package dnsserver

import (
	"encoding/binary"
	"net/netip"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

// The wire path answers the most common questions: one question of class IN
// with opcode QUERY, with or without an OPT that holds nothing rare, whose answer
// the table has ready. It reads the packet by hand, writes the answer over it,
// and allocates nothing. Whatever it does not know gets respond's answer; for
// what it knows both give the same.

// wirePath is what a responder keeps for it.
type wirePath struct {
	table *zones.Table // of the batch; nil: there is none that it knows
	tally *zones.Tally
	asked zones.Asked
	// appended is what was answered to it.
	appended zones.Appended
	subnet   [4 + 16]byte // the client subnet option, while its place is written over
}

// wireEDNS is what the wire path reads of an OPT.
type wireEDNS struct {
	present bool
	dnssec  bool
	size    int
	subnet  subnet
	cookie  cookieState
	seen    features
}

// wire answers the packet in buffer[:length] there, or says that it cannot.
func (r *responder) wire(buffer []byte, length int, client netip.Addr, over transport) (answer []byte, ok bool) {
	const oneQuestion = 1 << 32 // and nothing in the next two sections
	packet := buffer[:length]
	if r.fast.table == nil || length < headerSize+1+4 || packet[2]&((flagQR|opcodeMask)>>8) != 0 ||
		binary.BigEndian.Uint64(packet[4:])>>16 != oneQuestion {
		return nil, false
	}
	asked := &r.fast.asked
	end, ok := asked.Name.Read(packet, headerSize)
	if !ok || end+4 > length || binary.BigEndian.Uint16(packet[end+2:]) != dns.ClassINET {
		return nil, false
	}
	asked.Type = binary.BigEndian.Uint16(packet[end:])
	if isSpecial(asked.Type) || asked.Type == dns.TypeSOA && r.fast.table.IsCatalog(&asked.Name) {
		return nil, false
	}
	end += 4
	var e wireEDNS
	switch additionals := binary.BigEndian.Uint16(packet[10:]); {
	case additionals == 0 && end == length:
	case additionals == 1 && r.readWireOPT(&e, packet[end:], client, over):
	default:
		return nil, false
	}
	if asked.Resolver = client; !client.Is4() {
		asked.Resolver = client.Unmap().WithZone("")
	}
	asked.Client = asked.Resolver
	if e.subnet.present() {
		asked.Client = e.subnet.client
	}
	asked.DNSSEC = e.dnssec
	asked.Limit = r.wireLimit(&e, over)
	a := &r.fast.appended
	message, ok := r.fast.table.Append(buffer[:end], asked, r.random, r.fast.tally, a)
	if !ok || a.Rcode == dns.RcodeRefused && asked.Type == dns.TypeSOA && r.config.Transfers != nil { // see unserved
		return nil, false
	}
	r.counts.noticedOnWire(asked.Type, &e)
	if !a.Pooled {
		r.counts.plain[a.Rcode]++
	}
	r.cookie = e.cookie
	return r.wireFinish(message, a, &e), true
}

// isSpecial reports whether a type of question means something else than
// records of that type (RFC 6895 section 3.1), or no question at all.
func isSpecial(kind uint16) bool {
	return kind >= 128 && kind <= 255 || kind == dns.TypeOPT || kind == dns.TypeNone
}

// readWireOPT reads an OPT that is all of the bytes. It is not ok where it is
// none, malformed, or one that the wire path does not answer.
func (r *responder) readWireOPT(e *wireEDNS, record []byte, client netip.Addr, over transport) bool {
	if len(record) < optFixed || record[0] != 0 || binary.BigEndian.Uint16(record[1:]) != dns.TypeOPT ||
		record[6] != 0 || int(binary.BigEndian.Uint16(record[9:])) != len(record)-optFixed {
		return false
	}
	flags := binary.BigEndian.Uint16(record[7:])
	e.present = true
	e.size = int(binary.BigEndian.Uint16(record[3:]))
	e.dnssec = flags&flagDO != 0
	e.seen = seenInOPT(0, flags)
	for options := record[optFixed:]; len(options) > 0; {
		if len(options) < optionFixed {
			return false
		}
		code, end := binary.BigEndian.Uint16(options), optionFixed+int(binary.BigEndian.Uint16(options[2:]))
		if end > len(options) || !r.readWireOption(e, code, options[optionFixed:end], client, over) {
			return false
		}
		e.seen |= seenOption(code)
		options = options[end:]
	}
	return true
}

// readWireOption reads one option, with the results of readWireOPT.
func (r *responder) readWireOption(e *wireEDNS, code uint16, value []byte, client netip.Addr, over transport) (ok bool) {
	switch code {
	case optionNSID, optionExpire:
		return false
	case optionKeepalive, optionPadding:
		return !over.isStream()
	case optionSubnet:
		if !r.settings.believesSubnetOf(client) {
			e.seen |= featureSubnetIgnored
			return true
		}
		room := &r.fast.subnet
		if e.subnet.present() || len(value) > len(room) {
			return false
		}
		e.subnet, ok = parseSubnet(room[:copy(room[:], value)])
		return ok
	case optionCookie:
		if e.cookie != cookieAbsent {
			return true // only the first counts
		}
		e.cookie, ok = r.settings.Cookies.answer(&r.cookieAnswer, value, client, r.now)
		return ok
	}
	return true
}

// wireLimit is how long the answer may be without its OPT.
func (r *responder) wireLimit(e *wireEDNS, over transport) int {
	limit := maxMessage
	switch {
	case over.isStream():
	case !e.present:
		limit = minUDPSize
	default:
		limit = min(max(e.size, minUDPSize), r.settings.UDPSize)
	}
	if e.present {
		limit -= optFixed
		if e.subnet.present() {
			limit -= optionFixed + len(e.subnet.wire)
		}
		if e.cookie != cookieAbsent {
			limit -= optionFixed + wholeCookieSize
		}
	}
	return limit
}

// wireFinish writes the header, and the OPT where one was asked for.
func (r *responder) wireFinish(message []byte, a *zones.Appended, e *wireEDNS) []byte {
	high := message[2]&(flagRD>>8) | flagQR>>8
	if a.Authoritative {
		high |= flagAA >> 8
	}
	message[2], message[3] = high, byte(a.Rcode)
	additionals := a.Additionals
	r.optAt = 0
	if e.present {
		r.optAt = len(message)
		additionals++
		message = r.appendWireOPT(message, e, a)
	}
	binary.BigEndian.PutUint16(message[6:], a.Answers)
	binary.BigEndian.PutUint16(message[8:], a.Authorities)
	binary.BigEndian.PutUint16(message[10:], additionals)
	return message
}

// appendWireOPT writes the answer's OPT.
func (r *responder) appendWireOPT(message []byte, e *wireEDNS, a *zones.Appended) []byte {
	var flags byte
	if e.dnssec {
		flags = flagDO >> 8
	}
	length := 0
	if e.subnet.present() {
		length += optionFixed + len(e.subnet.wire)
	}
	if e.cookie != cookieAbsent {
		length += optionFixed + wholeCookieSize
	}
	size := r.settings.UDPSize
	message = append(message, 0, 0, byte(dns.TypeOPT), byte(size>>8), byte(size), 0, 0, flags, 0, byte(length>>8), byte(length))
	if e.subnet.present() {
		message = append(message, 0, optionSubnet, 0, byte(len(e.subnet.wire)))
		scope := len(message) + 3
		message = append(message, e.subnet.wire...)
		message[scope] = e.subnet.scope(a.PlaceDependent, a.ScopeBits)
	}
	if e.cookie != cookieAbsent {
		message = append(message, 0, optionCookie, 0, wholeCookieSize)
		message = append(message, r.cookieAnswer[:]...)
	}
	return message
}
