package dnsserver

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/dnsserver/tsig"
	"mirrorpool/zones"
)

// transport is what a packet came over; it is the value of a label.
type transport string

const (
	overUDP transport = "udp"
	overTCP transport = "tcp"
	overTLS transport = "tls"
)

// isStream reports whether messages come over a connection.
func (o transport) isStream() bool { return o != overUDP }

// responder turns a packet into the packet that answers it. It belongs to one
// goroutine at a time: all that it writes to is its own.
type responder struct {
	config *Config // with its defaults; only read
	shared *atomic.Pointer[settings]
	random zones.Random
	counts *counters
	// Of the batch.
	settings *settings
	now      time.Time
	tick     int64    // the same as the limiter takes it
	table    Answerer // nil: there is none yet
	// Of the question answered last: what its cookie is, the one that the answer
	// carries, and where in the answer its OPT starts; 0: it has none.
	cookie       cookieState
	cookieAnswer [wholeCookieSize]byte
	optAt        int
	// What its signature is, where that is in the answer.
	signs     bool
	signature tsig.Signature

	// private: what comes over TLS comes the way that zones may go (RFC 9103); who
	// calls reply sets it.
	private bool
	// going is how many transfers the connection has; who calls reply sets it.
	going int
	// begun is the transfer that the question answered last has begun, for which
	// there was no answer.
	begun *zoneTransfer

	fast    wirePath
	message message
	scratch []byte // holds answers that are not written over the question
	// keepalive is the idle time-out that clients over TCP are told, in
	// keepaliveUnit; who calls reply sets it.
	keepalive uint16
}

func newResponder(config *Config, shared *atomic.Pointer[settings], m *metrics, over transport) *responder {
	current := shared.Load()
	return &responder{
		config: config, shared: shared, random: config.Random(), counts: newCounters(m, over),
		settings: current, now: config.now(), keepalive: current.keepalive,
	}
}

// respond appends the answer to packet to buffer, which does not overlap it,
// and gives the longer buffer; nil: silence. It keeps neither slice. The client
// is who sent the packet.
func (r *responder) respond(buffer, packet []byte, client netip.Addr, over transport) (response []byte) {
	r.cookie, r.optAt = cookieAbsent, 0
	if len(packet) < headerSize {
		r.counts.drop(dropShort)
		return nil
	}
	if packet[2]&(flagQR>>8) != 0 {
		r.counts.drop(dropResponse)
		return nil
	}
	var q request
	defer func() {
		if value := recover(); value != nil {
			response = append(buffer, r.panicked(value, packet, over)...)
		}
	}()
	q = parseRequest(packet)
	q.settle(over)
	r.readSubnet(&q, client)
	r.readCookie(&q, client)
	r.authenticate(&q, packet)
	r.counts.noticed(&q)
	rcode := r.verdict(&q)
	switch {
	case rcode != dns.RcodeSuccess || q.asksNothing:
		return append(buffer, r.refuse(&q, rcode, over)...)
	case isTransfer(q.qtype):
		return append(buffer, r.transfer(&q, client, over)...)
	case q.class == dns.ClassCHAOS:
		return append(buffer, r.chaos(&q, over)...)
	case r.table == nil:
		r.counts.drop(dropNotReady)
		return nil
	}
	return append(buffer, r.answer(&q, r.table, client, over)...)
}

// readCookie judges the request's cookie and makes the answer's.
func (r *responder) readCookie(q *request, client netip.Addr) {
	if q.edns.cookie == nil || q.fault != faultNone {
		return
	}
	state, ok := r.settings.Cookies.answer(&r.cookieAnswer, q.edns.cookie, client, r.now)
	if !ok {
		q.blame(faultCookie)
	}
	q.cookie, r.cookie = state, state
}

// cookieGiven is the cookie that the answer carries, or nil.
func (r *responder) cookieGiven() *[wholeCookieSize]byte {
	if r.cookie == cookieAbsent {
		return nil
	}
	return &r.cookieAnswer
}

// verdict is the error that a request gets whatever the table says, or
// RcodeSuccess. Its order is that of how well the request was understood.
func (r *responder) verdict(q *request) int {
	switch {
	case q.opcode() != dns.OpcodeQuery:
		return dns.RcodeNotImplemented
	case q.fault != faultNone:
		r.counts.malformed(q.fault)
		return dns.RcodeFormatError
	case q.edns.version != 0:
		return dns.RcodeBadVers
	case q.signature.Code() != 0:
		q.signs = true
		return dns.RcodeNotAuth
	case q.asksNothing && q.cookie == cookieBad:
		return dns.RcodeBadCookie
	case q.asksNothing:
		return dns.RcodeSuccess
	case q.class != dns.ClassINET && q.class != dns.ClassCHAOS:
		return dns.RcodeRefused
	}
	switch q.qtype {
	case dns.TypeOPT, dns.TypeTSIG, dns.TypeNXNAME:
		r.counts.malformed(faultType)
		return dns.RcodeFormatError
	case dns.TypeAXFR, dns.TypeIXFR:
		if q.class != dns.ClassINET {
			return dns.RcodeRefused
		}
	case dns.TypeMAILA, dns.TypeMAILB, dns.TypeTKEY:
		return dns.RcodeNotImplemented
	}
	return dns.RcodeSuccess
}

// refuse makes an answer without records. The options of the request come back
// where they were understood.
func (r *responder) refuse(q *request, rcode int, over transport) []byte {
	// Without a name nothing is packed, and so nothing can fail.
	_ = r.message.Begin(q.echoed(), "", maxMessage)
	bare := rcode == dns.RcodeFormatError || rcode == dns.RcodeBadVers || q.opcode() != dns.OpcodeQuery
	r.counts.answered("", rcode, over)
	return r.finish(q, rcode, false, over, reply{
		nsid: r.settings.NSID, keepalive: r.keepalive, cookie: r.cookieGiven(), bare: bare,
	})
}

// chaos answers for this server itself, where the settings say something (RFC
// 4892); all else in class CH is refused.
func (r *responder) chaos(q *request, over transport) []byte {
	name, _, err := dns.UnpackDomainName(q.question, 0)
	if err != nil {
		r.counts.malformed(faultQuestion)
		return r.refuse(q, dns.RcodeFormatError, over)
	}
	text := r.settings.chaos(name)
	if text == "" || q.qtype != dns.TypeTXT && q.qtype != dns.TypeANY {
		return r.refuse(q, dns.RcodeRefused, over) // there is no zone here whose SOA a denial could have
	}
	return r.pack(q, name, &zones.Answer{
		Authoritative: true,
		Answer: []dns.RR{&dns.TXT{
			Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassCHAOS},
			Txt: []string{escaped.Replace(text)},
		}},
	}, over)
}

// escaped writes a text as the DNS library reads the strings of TXT records.
var escaped = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// answer asks the table and packs what it says.
func (r *responder) answer(q *request, table Answerer, client netip.Addr, over transport) []byte {
	name, _, err := dns.UnpackDomainName(q.question, 0)
	if err != nil {
		r.counts.malformed(faultQuestion)
		return r.refuse(q, dns.RcodeFormatError, over)
	}
	resolver := client.Unmap().WithZone("")
	client = resolver
	if q.edns.subnet.present() {
		client = q.edns.subnet.client
	}
	a := table.Answer(zones.Question{Name: name, Type: q.qtype, Client: client, Resolver: resolver, DNSSEC: q.edns.dnssec}, r.random)
	if q.qtype == dns.TypeSOA && !isOwnSOA(&a) {
		if soa, ok := r.unserved(q, name, resolver); ok {
			a = soa
		}
	}
	return r.pack(q, name, &a, over)
}

// pack writes an answer to a question for a name, and counts it.
func (r *responder) pack(q *request, name string, a *zones.Answer, over transport) []byte {
	limit := r.sizeLimit(q, over) - q.edns.replySize(r.settings.NSID) - q.signatureSize()
	err := r.message.Begin(q.question, name, limit)
	if err == nil {
		err = r.message.Fill(a)
	}
	if err != nil {
		r.counts.failed(failurePack)
		r.config.Report(fmt.Errorf("answering a question: %w", err))
		return r.refuse(q, dns.RcodeServerFailure, over)
	}
	r.counts.answered(a.Pool, a.Rcode, over)
	r.counts.chose(a, r.message.Given)
	if r.message.Truncated {
		r.counts.truncated(over)
	}
	expire, hasExpire := zoneExpire(a)
	return r.finish(q, a.Rcode, a.Authoritative, over, reply{
		nsid: r.settings.NSID, keepalive: r.keepalive, cookie: r.cookieGiven(),
		scope:  q.edns.subnet.scope(a.PlaceDependent, a.ScopeBits),
		expire: expire, hasExpire: hasExpire,
	})
}

// zoneExpire gives the expiry of a zone whose SOA is the answer: a primary's
// is always the whole time (RFC 7314 section 3.2).
func zoneExpire(a *zones.Answer) (seconds uint32, ok bool) {
	if len(a.Answer) != 1 || !a.Authoritative {
		return 0, false
	}
	soa, ok := a.Answer[0].(*dns.SOA)
	if !ok {
		return 0, false
	}
	return soa.Expire, true
}

// finish writes the header and appends the OPT and the signature.
func (r *responder) finish(q *request, rcode int, authoritative bool, over transport, options reply) []byte {
	if q.edns.present {
		r.optAt = len(r.message.Message())
	}
	options.behind = q.signatureSize()
	return r.sign(q, r.message.finish(q, rcode, r.settings.UDPSize, authoritative, options), r.sizeLimit(q, over))
}

// sizeLimit is the largest answer in bytes that the client takes and we give.
func (r *responder) sizeLimit(q *request, over transport) int {
	switch {
	case over.isStream():
		return maxMessage
	case !q.edns.present:
		return minUDPSize
	}
	return min(max(int(q.edns.size), minUDPSize), r.settings.UDPSize)
}

// panicked is the answer where answering panicked: SERVFAIL and nothing that
// would have to be read from the packet a second time but for its header.
func (r *responder) panicked(value any, packet []byte, over transport) []byte {
	r.counts.failed(failurePanic)
	r.config.Report(fmt.Errorf("answering a question: panic: %v at %s", value, where()))
	r.cookie, r.optAt, r.signs = cookieAbsent, 0, false
	q := request{
		id:    uint16(packet[0])<<8 | uint16(packet[1]),
		flags: uint16(packet[2])<<8 | uint16(packet[3]),
	}
	return r.refuse(&q, dns.RcodeServerFailure, over)
}

// where tells the place of a panic by functions and lines. The runtime's own
// stack traces print arguments, and those may be a client's address.
func where() string {
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)])
	var b strings.Builder
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, "runtime.") {
			fmt.Fprintf(&b, "%s:%d ", frame.Function, frame.Line)
		}
		if !more {
			return strings.TrimSpace(b.String())
		}
	}
}
