package notify

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/dnsserver/tsig"
)

// network stands for secondaries and all that lies between, in fake time.
type network struct {
	testing.TB
	latency time.Duration

	mutex    sync.Mutex
	answer   map[netip.AddrPort]func(*dns.Msg) *dns.Msg // nil: silence
	sent     []sent
	underWay map[netip.AddrPort]int
	all      int
	most     int // under way to one
	mostAll  int
}

// sent is a NOTIFY as it arrived.
type sent struct {
	at      time.Time
	to      netip.AddrPort
	message *dns.Msg
	signed  bool
}

func (s sent) apex() string   { return s.message.Question[0].Name }
func (s sent) serial() uint32 { return s.message.Answer[0].(*dns.SOA).Serial }

func newNetwork(t testing.TB) *network {
	return &network{
		TB: t, latency: time.Millisecond,
		answer: map[netip.AddrPort]func(*dns.Msg) *dns.Msg{}, underWay: map[netip.AddrPort]int{},
	}
}

func (n *network) exchange(ctx context.Context, _ []netip.Addr, address netip.AddrPort, packet []byte, accept func([]byte) bool) error {
	message := new(dns.Msg)
	if err := message.Unpack(packet); err != nil {
		n.Errorf("a packet that cannot be read: %v", err)
	}
	one := sent{at: time.Now(), to: address, message: message, signed: message.IsTsig() != nil}
	n.mutex.Lock()
	n.sent = append(n.sent, one)
	n.underWay[address]++
	n.all++
	n.most, n.mostAll = max(n.most, n.underWay[address]), max(n.mostAll, n.all)
	answer := n.answer[address]
	n.mutex.Unlock()
	defer func() {
		n.mutex.Lock()
		n.underWay[address]--
		n.all--
		n.mutex.Unlock()
	}()
	if answer != nil {
		time.Sleep(n.latency)
		if reply := answer(message); reply != nil && accept(n.pack(reply, packet)) {
			return nil
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// pack signs the answer where the request was, with the key of the tests.
func (n *network) pack(reply *dns.Msg, request []byte) []byte {
	packet, err := reply.Pack()
	if err != nil {
		n.Errorf("packing an answer: %v", err)
	}
	ring := keyring(testKey(n.TB, "transfer", "a secret of thirty-two bytes ...."))
	if judged, err := tsig.Verify(request, ring, nil, time.Now()); err == nil && reply.Rcode == dns.RcodeSuccess {
		packet, _ = tsig.Sign(packet, judged.Key(), judged.MAC(), time.Now())
	}
	return packet
}

// take gives what was sent since the last time.
func (n *network) take() []sent {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	taken := n.sent
	n.sent = nil
	return taken
}

// waitingFor counts the NOTIFYs to an address that are under way.
func (n *network) waitingFor(address netip.AddrPort) int {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.underWay[address]
}

func (n *network) set(address netip.AddrPort, answer func(*dns.Msg) *dns.Msg) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.answer[address] = answer
}

// with answers everything with a response code.
func with(rcode int) func(*dns.Msg) *dns.Msg {
	return func(request *dns.Msg) *dns.Msg {
		reply := new(dns.Msg)
		reply.SetRcode(request, rcode)
		return reply
	}
}

// unlessSigned refuses what is signed.
func unlessSigned(rcode int) func(*dns.Msg) *dns.Msg {
	return func(request *dns.Msg) *dns.Msg {
		if request.IsTsig() == nil {
			rcode := dns.RcodeSuccess
			return with(rcode)(request)
		}
		return with(rcode)(request)
	}
}

func testKey(t testing.TB, name, secret string) *tsig.Key {
	t.Helper()
	ring, err := tsig.ParseKeys("test", fmt.Appendf(nil, "key %s { algorithm hmac-sha256; secret %q; };",
		name, base64.StdEncoding.EncodeToString([]byte(secret))))
	if err != nil {
		t.Fatal(err)
	}
	return ring.Keys()[0]
}

func soa(apex string, serial uint32) *dns.SOA {
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: apex, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 300},
		Ns:  "ns1." + apex, Mbox: "hostmaster." + apex, Serial: serial, Refresh: 7200, Retry: 900, Expire: 1209600, Minttl: 60,
	}
}

// manyZones are zones with that serial.
func manyZones(count int, serial uint32) []*dns.SOA {
	zones := make([]*dns.SOA, count)
	for i := range zones {
		zones[i] = soa(fmt.Sprintf("z%04d.test.", i), serial)
	}
	return zones
}

// Addresses of secondaries. Nothing is sent to the fake ones.
var (
	first  = netip.MustParseAddrPort("127.0.0.1:5301")
	second = netip.MustParseAddrPort("127.0.0.1:5302")
)
