package notify

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/dnsserver/tsig"
)

// request is a NOTIFY as it is sent.
type request struct {
	packet []byte
	id     uint16
	apex   string
	key    *tsig.Key // nil: it is not signed
	mac    []byte
}

// plainSize is what a message over UDP without EDNS may have.
const plainSize = 512

// newRequest makes a NOTIFY (RFC 1996 section 3.6 and 3.7): with the SOA record, which
// is a hint, where there is room for it.
func newRequest(apex string, soa *dns.SOA, key *tsig.Key, now time.Time) (*request, error) {
	var id [2]byte
	_, _ = rand.Read(id[:]) // never fails
	r := &request{id: uint16(id[0])<<8 | uint16(id[1]), apex: apex, key: key}
	message := &dns.Msg{
		MsgHdr:   dns.MsgHdr{Id: r.id, Opcode: dns.OpcodeNotify, Authoritative: true},
		Question: []dns.Question{{Name: apex, Qtype: dns.TypeSOA, Qclass: dns.ClassINET}},
		Answer:   []dns.RR{dns.Copy(soa)},
	}
	message.Compress = true
	room := plainSize
	if key != nil {
		room -= key.Size()
	}
	if message.Len() > room {
		message.Answer = nil
	}
	packet, err := message.Pack()
	if err != nil {
		return nil, err
	}
	r.packet = packet
	if key != nil {
		r.packet, r.mac = tsig.Sign(packet, key, nil, now)
	}
	return r, nil
}

// read judges a datagram from the secondary's address. An error says why it is no
// answer to the request.
func (r *request) read(packet []byte, now time.Time) (outcome, error) {
	var message dns.Msg
	if err := message.Unpack(packet); err != nil {
		return outcome{}, fmt.Errorf("an answer that is no DNS message: %w", err)
	}
	switch {
	case message.Id != r.id:
		return outcome{}, errors.New("an answer with another ID")
	case !message.Response:
		return outcome{}, errors.New("a request, no answer: is that this server's own address?")
	case message.Opcode != dns.OpcodeNotify:
		return outcome{}, errors.New("an answer with another opcode")
	case !r.asks(message.Question, message.Rcode):
		return outcome{}, errors.New("an answer to another question")
	}
	fault, err := r.verify(packet, message.Rcode, now)
	if err != nil {
		return outcome{}, err
	}
	return r.judge(message.Rcode, fault), nil
}

// keyring is one key's.
func keyring(key *tsig.Key) *tsig.Keyring {
	if key == nil {
		return nil
	}
	ring, _ := tsig.NewKeyring(key) // only two of one name are an error
	return ring
}

// verify judges the answer's signature. Who refuses may answer without one (RFC
// 8945 section 5.3.2, and servers that know nothing of it); fault is what the
// other side found wrong with ours. The error says why the answer is not taken.
func (r *request) verify(packet []byte, rcode int, now time.Time) (fault string, err error) {
	if r.key == nil {
		return "", nil
	}
	_, err = tsig.Verify(packet, keyring(r.key), r.mac, now)
	var wrong *tsig.Error
	switch {
	case err == nil:
		return "", nil
	case rcode != dns.RcodeSuccess && errors.As(err, &wrong) && wrong.Remote:
		return wrong.Error(), nil
	case rcode != dns.RcodeSuccess && errors.Is(err, tsig.ErrUnsigned):
		return "", nil
	default:
		return "", fmt.Errorf("an answer that does not prove who sent it: %w", err)
	}
}

// asks reports whether a question is ours. Who cannot read a request may leave it
// out.
func (r *request) asks(question []dns.Question, rcode int) bool {
	if len(question) == 0 {
		return rcode != dns.RcodeSuccess
	}
	return len(question) == 1 && question[0].Qtype == dns.TypeSOA && question[0].Qclass == dns.ClassINET &&
		dns.CanonicalName(question[0].Name) == r.apex
}

// judge says what a response code means.
func (r *request) judge(rcode int, fault string) outcome {
	name := dns.RcodeToString[rcode]
	if name == "" {
		name = fmt.Sprintf("response code %d", rcode)
	}
	if fault != "" {
		return outcome{kind: Refused, byKey: true, problem: fmt.Sprintf("answers %s: %s", name, fault)}
	}
	signed := "without a signature"
	if r.key != nil {
		signed = "signed with the key " + r.key.Name()
	}
	switch rcode {
	case dns.RcodeSuccess:
		return outcome{kind: Acknowledged}
	case dns.RcodeNotAuth:
		return outcome{kind: Refused, byKey: true, problem: fmt.Sprintf("answers %s: it is no secondary of the zone, or takes no NOTIFY from this address %s", name, signed)}
	case dns.RcodeRefused:
		return outcome{kind: Refused, byKey: true, problem: fmt.Sprintf("answers %s: it takes no NOTIFY from this address %s, or is no secondary of the zone", name, signed)}
	case dns.RcodeNotImplemented, dns.RcodeFormatError:
		return outcome{kind: Refused, byKey: true, problem: fmt.Sprintf("answers %s to a NOTIFY %s", name, signed)}
	case dns.RcodeServerFailure:
		return outcome{kind: Failed, problem: "answers " + name}
	default: // NSD says NXDOMAIN
		return outcome{kind: Refused, problem: fmt.Sprintf("answers %s: it is no secondary of the zone", name)}
	}
}
