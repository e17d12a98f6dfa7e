package main

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// exchange sends a question over UDP after a header, and gives what comes back in
// time, which is nil for silence.
func (r *running) exchange(header string) *dns.Msg {
	r.Helper()
	question := new(dns.Msg)
	question.SetQuestion("dl.example.test.", dns.TypeA)
	packet, err := question.Pack()
	if err != nil {
		r.Fatal(err)
	}
	c, err := net.Dial("udp", r.dnsAddress())
	if err != nil {
		r.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(append([]byte(header), packet...)); err != nil {
		r.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	if header == "" {
		c.SetDeadline(time.Now().Add(50 * time.Millisecond))
	}
	answer := make([]byte, 4096)
	n, err := c.Read(answer)
	if err != nil {
		return nil
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(answer[:n]); err != nil {
		r.Fatal(err)
	}
	return reply
}

// TestProxyOfANode holds that a reload says who the load balancers are, without
// new sockets.
func TestProxyOfANode(t *testing.T) {
	const header = "\r\n\r\n\x00\r\nQUIT\n\x21\x12\x00\x0c\x7f\x09\x08\x07\x7f\x00\x00\x01\x30\x39\x00\x35"
	r := newRunning(t, "")
	r.start()
	r.serving(r.git(r.path("checkout"), "rev-parse", "HEAD"))
	reload := func(more string) {
		t.Helper()
		r.write("node.yaml", r.config(more))
		if err := r.node.requestReload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r.ask("dl.example.test.", dns.TypeA)
	address := r.dnsAddress()
	reload("dns: {listen: [\"127.0.0.1:0\"], proxy_protocol_from: [\"127.0.0.1/32\"]}\n")
	if got := r.exchange(header); got == nil || len(got.Answer) != 1 {
		t.Errorf("with a header: %v", got)
	}
	if got := r.exchange(""); got != nil {
		t.Errorf("without one: %v", got)
	}
	r.eventually("it is counted", func() bool {
		_, metrics := r.get("/metrics")
		return strings.Contains(metrics, `mirrorpool_dns_dropped_total{reason="proxy"} 1`)
	})
	reload("")
	r.ask("dl.example.test.", dns.TypeA)
	if got := r.exchange(header); got != nil && len(got.Answer) > 0 {
		t.Errorf("a header from somebody else: %v", got)
	}
	if r.dnsAddress() != address {
		t.Error("the sockets are others")
	}
}
