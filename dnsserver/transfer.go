package dnsserver

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/dnsserver/tsig"
	"mirrorpool/zones"
)

// Transfers is what whole zones come from. It is used by many goroutines at once.
type Transfers interface {
	// Version gives the zone of that name, in any case, as it is now, and all of
	// whose parts stay as they are; nil: there is no such zone.
	Version(apex string) *zones.Version
	// Since gives what leads from a serial to the newest one, the oldest first. It
	// is not ok where not all of that is known, or where it is longer than so many
	// bytes, as it is kept, which takes no time to find.
	Since(apex string, serial uint32, most int64) ([]zones.Packed, bool)
}

// isTransfer reports whether a type asks for a zone.
func isTransfer(qtype uint16) bool { return qtype == dns.TypeAXFR || qtype == dns.TypeIXFR }

// serialOf reads the serial that the client of an IXFR has from the data of a SOA
// record (RFC 1995 section 3), whose two names may be compressed.
func serialOf(data []byte) (uint32, bool) {
	const fixed, leastNames = 5 * 4, 2
	if len(data) < fixed+leastNames {
		return 0, false
	}
	return binary.BigEndian.Uint32(data[len(data)-fixed:]), true
}

// readSerial notes the SOA in the authority section of an IXFR, given by the offset
// of its name and by its part from the type on.
func (q *request) readSerial(packet []byte, owner int, fixed, data []byte) {
	name, _, err := dns.UnpackDomainName(packet, owner)
	zone, _, zoneErr := dns.UnpackDomainName(q.question, 0)
	if err != nil || zoneErr != nil || q.hasSerial || binary.BigEndian.Uint16(fixed[2:]) != q.class || !strings.EqualFold(name, zone) {
		return
	}
	q.serial, q.hasSerial = serialOf(data)
}

// zone gives the version of a zone that transfers would give; nil: there is none.
func (r *responder) zone(name string) (Transfers, *zones.Version) {
	if r.config.Transfers == nil {
		return nil, nil
	}
	source := r.config.Transfers()
	if source == nil {
		return nil, nil
	}
	return source, source.Version(name)
}

// mayTransfer reports whether a request comes the way that zones are given, from
// somebody who gets them.
func (r *responder) mayTransfer(q *request, client netip.Addr, over transport) bool {
	s := &r.settings.Transfer
	if over == overTLS && !r.private || over != overTLS && s.TLSOnly {
		return false
	}
	return s.allows(client, q.signedBy())
}

// A connection has two places for its transfers at most, so that a small one need not
// wait for a large one and yet a few connections do not take all places. What is asked
// for beyond that waits for one of these, as much as fits into this number.
const (
	placesPerConnection    = 2
	transfersPerConnection = 256
)

// transfer answers a request for a zone: with an error, or with what is one message
// in any case, or not at all, and begins what the connection is to send.
func (r *responder) transfer(q *request, client netip.Addr, over transport) []byte {
	m := r.counts.metrics.transfers
	kind := kindAXFR
	if q.qtype == dns.TypeIXFR {
		kind = kindIXFR
	}
	refuse := func(rcode int, result string) []byte {
		m.count(kind, result)
		return r.refuse(q, rcode, over)
	}
	name, _, err := dns.UnpackDomainName(q.question, 0)
	if err != nil {
		r.counts.malformed(faultQuestion)
		return refuse(dns.RcodeFormatError, transferMalformed)
	}
	source, version := r.zone(name)
	switch {
	case version == nil && r.table == nil:
		return refuse(dns.RcodeServerFailure, transferNotReady) // secondaries ask again
	case (version == nil || !r.settings.Transfer.allows(client, q.signedBy())) && !r.serves(name):
		// RFC 5936 section 2.2.1; what is for secondaries alone is not there for others.
		return refuse(dns.RcodeNotAuth, transferNotHere)
	case version == nil, !r.mayTransfer(q, client, over), kind == kindAXFR && !over.isStream():
		return refuse(dns.RcodeRefused, transferRefused)
	case kind == kindIXFR && !q.hasSerial:
		r.counts.malformed(faultSerial)
		return refuse(dns.RcodeFormatError, transferMalformed)
	}
	t := r.newTransfer(q, kind, source, version)
	if !over.isStream() || t.isCurrent() {
		return r.transferInOne(q, name, t, over) // which needs no place
	}
	switch {
	case r.going < placesPerConnection && m.begin(r.settings.Transfer.Concurrent):
	case r.going > 0 && r.going < transfersPerConnection:
		t.waits = true
	default:
		return refuse(dns.RcodeServerFailure, transferBusy)
	}
	r.counts.answered("", dns.RcodeSuccess, over)
	r.begun = t
	return nil
}

// transferInOne answers an IXFR over UDP: with all differences where they fit, or else
// with the newest SOA alone, which sends a client that has another one to TCP (RFC 1995
// section 2). Over a connection it answers one that gets nothing newer in any case.
func (r *responder) transferInOne(q *request, name string, t *zoneTransfer, over transport) []byte {
	if answer := t.inOne(r.sizeLimit(q, over)); answer != nil {
		t.metrics.finished(t.kind, transferDifferences, len(answer))
		r.counts.answered("", dns.RcodeSuccess, over)
		r.optAt = t.optAt
		r.signs, r.signature = t.signer != nil, q.signature
		return answer
	}
	answer := r.pack(q, name, &zones.Answer{Authoritative: true, Answer: []dns.RR{t.version.SOA}}, over)
	t.metrics.finished(t.kind, t.nothingNewer(), len(answer))
	return answer
}

// serves reports whether the table has a zone of that name, where transfers have
// none.
func (r *responder) serves(name string) bool {
	if r.table == nil {
		return false
	}
	a := r.table.Answer(zones.Question{Name: name, Type: dns.TypeSOA}, r.random)
	return isOwnSOA(&a)
}

// isOwnSOA reports whether the answer to a question for a SOA is that of a zone.
func isOwnSOA(a *zones.Answer) bool {
	return len(a.Answer) > 0 && a.Authoritative && a.Answer[0].Header().Rrtype == dns.TypeSOA
}

// unserved gives the SOA of a zone that is there for secondaries alone, such as a
// catalog of zones (RFC 9432), to those who may transfer it; they ask for it before
// they do. Its name may lie in a zone that knows nothing of it.
func (r *responder) unserved(q *request, name string, client netip.Addr) (zones.Answer, bool) {
	if q.qtype != dns.TypeSOA || !r.settings.Transfer.allows(client, q.signedBy()) {
		return zones.Answer{}, false
	}
	_, version := r.zone(name)
	if version == nil {
		return zones.Answer{}, false
	}
	return zones.Answer{Authoritative: true, Answer: []dns.RR{version.SOA}}, true
}

// zoneTransfer is a zone on its way to one client, message by message. It belongs to one
// goroutine, and keeps no part of the question's packet.
type zoneTransfer struct {
	kind     string
	source   Transfers
	version  *zones.Version // all of it is of this one, whatever comes meanwhile
	serial   uint32         // that the client has; of an IXFR
	question []byte
	id       uint16
	flags    uint16 // of the answer's header
	edns     edns   // of the question
	reply    reply
	udpSize  int
	now      func() time.Time
	report   func(error)
	signer   *tsig.Signer // nil: messages are not signed
	signSize int

	metrics *transferMetrics
	brief   bool          // all has to be in one message, and soon
	waits   bool          // for the place of another one of its connection
	records *recordReader // nil: nothing was looked at yet
	begun   bool          // there was a first message
	result  string        // what it is that is given
	sent    int           // bytes
	optAt   int           // where in the message written last its OPT is
	writer  transferWriter
}

func (r *responder) newTransfer(q *request, kind string, source Transfers, version *zones.Version) *zoneTransfer {
	t := &zoneTransfer{
		kind: kind, source: source, version: version, serial: q.serial,
		question: bytes.Clone(q.question), id: q.id, flags: q.flags&flagRD | flagQR | flagAA,
		edns: q.edns, udpSize: r.settings.UDPSize, now: r.config.now, report: r.config.Report, metrics: r.counts.metrics.transfers,
		reply: reply{nsid: r.settings.NSID, keepalive: r.keepalive, expire: version.SOA.Expire, hasExpire: true},
	}
	// Nothing is kept of what will be written over.
	t.edns.options, t.edns.subnetValue, t.edns.cookie = nil, nil, nil
	t.edns.subnet.wire = bytes.Clone(q.edns.subnet.wire)
	if cookie := r.cookieGiven(); cookie != nil {
		own := *cookie
		t.reply.cookie, t.edns.cookie = &own, own[:]
	}
	if key := q.signedBy(); key != nil {
		t.signer, t.signSize = tsig.NewSigner(key, q.signature.MAC()), key.Size()
	}
	return t
}

// end lets go of what a transfer holds. It is counted for what it was or, where the
// connection ended before it, as broken.
func (t *zoneTransfer) end(result string) {
	if t.records != nil {
		t.records.stop()
	}
	if !t.waits {
		t.metrics.end()
	}
	t.metrics.finished(t.kind, result, t.sent)
}
