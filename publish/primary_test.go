package publish

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/dnsserver/tsig"
)

// fakePrimary is a name server with one zone that takes dynamic updates as RFC
// 2136 section 3 has it.
type fakePrimary struct {
	t    *testing.T
	zone string
	keys *tsig.Keyring
	now  func() time.Time

	mutex   sync.Mutex
	records []dns.RR
	updates []*dns.Msg // that were taken
	asked   int        // messages of any kind
	// Faults of the server.
	gone       bool                 // nobody is there
	refuse     func(*dns.Msg) int   // answers with a code, but for 0
	silent     bool                 // takes what is sent and never answers
	deaf       bool                 // says that it has made changes, and has not
	mute       bool                 // makes a change and closes the connection
	unsigned   func(*dns.Msg) bool  // answers without a signature
	beforeward func(p *fakePrimary) // is called once before an UPDATE is carried out
	mangle     func([]byte) []byte  // changes what is sent back
}

func newFake(t *testing.T, keys *tsig.Keyring, records string) *fakePrimary {
	t.Helper()
	p := &fakePrimary{t: t, zone: "example.test.", keys: keys, now: time.Now}
	p.add(records)
	return p
}

// add puts records there behind the publisher's back.
func (p *fakePrimary) add(records string) {
	p.t.Helper()
	parser := dns.NewZoneParser(strings.NewReader(records), p.zone, "")
	parser.SetDefaultTTL(300)
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		p.records = append(p.records, rr)
	}
	if err := parser.Err(); err != nil {
		p.t.Fatal(err)
	}
}

// remove takes all records of a name and type away.
func (p *fakePrimary) remove(name string, kind uint16) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.drop(func(rr dns.RR) bool { return rr.Header().Name == name && rr.Header().Rrtype == kind })
}

func (p *fakePrimary) drop(which func(dns.RR) bool) {
	p.records = slices.DeleteFunc(p.records, which)
}

// text is what is there, sorted, without names of the pool.
func (p *fakePrimary) text() string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	var lines []string
	for _, rr := range p.records {
		name := strings.TrimSuffix(rr.Header().Name, "."+p.zone)
		data := strings.TrimPrefix(rr.String(), rr.Header().String())
		lines = append(lines, fmt.Sprintf("%s %d %s %s", name, rr.Header().Ttl, dns.Type(rr.Header().Rrtype), data))
	}
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

func (p *fakePrimary) taken() int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return len(p.updates)
}

func (p *fakePrimary) messages() int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.asked
}

// with changes the faults.
func (p *fakePrimary) with(change func(p *fakePrimary)) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	change(p)
}

// dial gives a connection to the server.
func (p *fakePrimary) dial(context.Context, netip.AddrPort) (net.Conn, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.gone {
		return nil, errors.New("connection refused")
	}
	near, far := net.Pipe()
	go p.serve(far)
	return near, nil
}

func (p *fakePrimary) serve(connection net.Conn) {
	defer connection.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(connection, size[:]); err != nil {
			return
		}
		message := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(connection, message); err != nil {
			return
		}
		answer := p.answer(message)
		if answer == nil {
			return
		}
		if len(answer) == 0 {
			continue // silent
		}
		if _, err := connection.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

// answer gives the bytes to send back; none: nothing, and nil: the connection ends.
func (p *fakePrimary) answer(message []byte) []byte {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.asked++
	if p.silent {
		return []byte{}
	}
	signature, wrong := tsig.Verify(message, p.keys, nil, p.now())
	asked := new(dns.Msg)
	if err := asked.Unpack(message); err != nil {
		p.t.Errorf("what came cannot be read: %v", err)
		return nil
	}
	reply := new(dns.Msg)
	reply.SetReply(asked)
	reply.Opcode = asked.Opcode
	switch {
	case wrong != nil:
		reply.Rcode = dns.RcodeNotAuth
	case p.refuse != nil && p.refuse(asked) != 0:
		reply.Rcode = p.refuse(asked)
	case asked.Opcode == dns.OpcodeQuery:
		p.query(asked, reply)
	default:
		if p.beforeward != nil {
			hook := p.beforeward
			p.beforeward = nil
			hook(p)
		}
		reply.Rcode = p.update(asked)
		if p.mute {
			return nil
		}
	}
	packed, err := reply.Pack()
	if err != nil {
		p.t.Error(err)
		return nil
	}
	if p.unsigned == nil || !p.unsigned(asked) {
		packed = signature.SignAnswer(packed, p.now())
	}
	if p.mangle != nil {
		packed = p.mangle(packed)
	}
	return packed
}

func (p *fakePrimary) find(name string, kind uint16) []dns.RR {
	var found []dns.RR
	for _, rr := range p.records {
		if rr.Header().Name == name && (kind == dns.TypeANY || rr.Header().Rrtype == kind) {
			found = append(found, rr)
		}
	}
	return found
}

// query answers by what is there, a wildcard of the zone's apex, or a CNAME.
func (p *fakePrimary) query(asked, reply *dns.Msg) {
	reply.Authoritative = true
	question := asked.Question[0]
	owner := question.Name
	if len(p.find(owner, dns.TypeANY)) == 0 {
		owner = "*." + p.zone
	}
	for _, kind := range []uint16{dns.TypeCNAME, question.Qtype} {
		for _, rr := range p.find(owner, kind) {
			rr = dns.Copy(rr)
			rr.Header().Name = question.Name
			reply.Answer = append(reply.Answer, rr)
		}
	}
	if len(p.find(owner, dns.TypeANY)) == 0 {
		reply.Rcode = dns.RcodeNameError
	}
}

// sameData compares records without their TTLs and classes.
func sameData(a, b dns.RR) bool {
	one, two := dns.Copy(a), dns.Copy(b)
	one.Header().Class, two.Header().Class = dns.ClassINET, dns.ClassINET
	return dns.IsDuplicate(one, two)
}

// update carries an UPDATE out.
func (p *fakePrimary) update(m *dns.Msg) int {
	if len(m.Question) != 1 || m.Question[0].Qtype != dns.TypeSOA || m.Question[0].Name != p.zone {
		return dns.RcodeNotAuth
	}
	if code := p.prerequisites(m.Answer); code != dns.RcodeSuccess {
		return code
	}
	if p.deaf {
		return dns.RcodeSuccess
	}
	p.updates = append(p.updates, m)
	for _, rr := range m.Ns {
		header := rr.Header()
		if header.Rrtype != dns.TypeA && header.Rrtype != dns.TypeAAAA {
			p.t.Errorf("an update of type %s", dns.Type(header.Rrtype))
		}
		switch header.Class {
		case dns.ClassANY:
			p.drop(func(other dns.RR) bool {
				return other.Header().Name == header.Name && other.Header().Rrtype == header.Rrtype
			})
		case dns.ClassNONE:
			p.drop(func(other dns.RR) bool { return sameData(other, rr) })
		default:
			p.drop(func(other dns.RR) bool { return sameData(other, rr) })
			for _, other := range p.find(header.Name, header.Rrtype) {
				other.Header().Ttl = header.Ttl
			}
			p.records = append(p.records, dns.Copy(rr))
		}
	}
	return dns.RcodeSuccess
}

// prerequisites are those of RFC 2136 section 3.2.
func (p *fakePrimary) prerequisites(list []dns.RR) int {
	type set struct {
		name string
		kind uint16
	}
	exact := map[set][]dns.RR{}
	for _, rr := range list {
		header := rr.Header()
		there := p.find(header.Name, header.Rrtype)
		switch header.Class {
		case dns.ClassNONE:
			if len(there) > 0 {
				return dns.RcodeYXRrset
			}
		case dns.ClassANY:
			if len(there) == 0 {
				return dns.RcodeNXRrset
			}
		default:
			exact[set{header.Name, header.Rrtype}] = append(exact[set{header.Name, header.Rrtype}], rr)
		}
	}
	for of, wanted := range exact {
		there := p.find(of.name, of.kind)
		if len(there) != len(wanted) {
			return dns.RcodeNXRrset
		}
		for _, rr := range wanted {
			if !slices.ContainsFunc(there, func(other dns.RR) bool { return sameData(other, rr) }) {
				return dns.RcodeNXRrset
			}
		}
	}
	return dns.RcodeSuccess
}
