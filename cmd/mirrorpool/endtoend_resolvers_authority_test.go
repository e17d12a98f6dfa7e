//go:build e2e

package main

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// authority is a small name server of one zone: the root above ours, or a zone
// below it.
type authority struct {
	apex    string
	records []dns.RR
}

func startAuthority(t *testing.T, packets *net.UDPConn, streams *net.TCPListener, apex, zone string) {
	a := &authority{apex: apex}
	parser := dns.NewZoneParser(strings.NewReader(zone), apex, "")
	for record, more := parser.Next(); more; record, more = parser.Next() {
		a.records = append(a.records, record)
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: a}, {Listener: streams, Handler: a}} {
		started, ended := make(chan struct{}), make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go func() {
			defer close(ended)
			_ = server.ActivateAndServe()
		}()
		<-started
		t.Cleanup(func() {
			_ = server.Shutdown()
			<-ended
		})
	}
}

// ServeDNS is dns.Handler's.
func (a *authority) ServeDNS(w dns.ResponseWriter, question *dns.Msg) {
	name, kind := strings.ToLower(question.Question[0].Name), question.Question[0].Qtype
	reply := new(dns.Msg)
	reply.SetReply(question)
	reply.Rcode = a.answer(reply, name, kind)
	if opt := question.IsEdns0(); opt != nil {
		reply.SetEdns0(1232, opt.Do())
	}
	_ = w.WriteMsg(reply)
}

// answer fills the sections of a reply and gives its response code.
func (a *authority) answer(reply *dns.Msg, name string, kind uint16) int {
	for _, record := range a.records {
		if owner := record.Header().Name; record.Header().Rrtype == dns.TypeNS && owner != a.apex && dns.IsSubDomain(owner, name) {
			reply.Ns = append(reply.Ns, record)
			reply.Extra = append(reply.Extra, a.find(record.(*dns.NS).Ns, dns.TypeA)...)
		}
	}
	if reply.Ns != nil {
		return dns.RcodeSuccess
	}
	reply.Authoritative = true
	if reply.Answer = a.find(name, kind); reply.Answer != nil {
		return dns.RcodeSuccess
	}
	reply.Ns = a.find(a.apex, dns.TypeSOA)
	if slices.ContainsFunc(a.records, func(record dns.RR) bool { return dns.IsSubDomain(name, record.Header().Name) }) {
		return dns.RcodeSuccess
	}
	return dns.RcodeNameError
}

func (a *authority) find(name string, kind uint16) (found []dns.RR) {
	for _, record := range a.records {
		if record.Header().Name == name && record.Header().Rrtype == kind {
			found = append(found, record)
		}
	}
	return found
}
