package dnsserver

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestTransfersInOneWrite: a connection gets all that it asks for, one after another
// where there are not places for all, and leaves places to others.
func TestTransfersInOneWrite(t *testing.T) {
	const asked = 20
	settings := everybody(t)
	settings.Transfer.Concurrent = 3
	for name, hosts := range map[string]int{"small": 5, "large": manyHosts / 4} {
		t.Run(name, func(t *testing.T) {
			s := startTransfers(t, testTransfers(hosts), settings)
			c := dial(t, "tcp", s.address(false))
			var all []byte
			for i := range asked {
				packet := axfr()
				packet[0], packet[1] = 0, byte(i)
				all = append(append(all, byte(len(packet)>>8), byte(len(packet))), packet...)
			}
			if _, err := c.Write(all); err != nil {
				t.Fatal(err)
			}
			if hosts > manyHosts/10 {
				mustReceive(t, c)
				if got := testutil.ToFloat64(s.metrics.transfers.now); got != placesPerConnection {
					t.Errorf("%v places are taken", got)
				}
				other := dial(t, "tcp", s.address(false))
				send(t, other, axfr())
				if m := mustReceive(t, other); m.Rcode != dns.RcodeSuccess {
					t.Errorf("another connection gets %v", m)
				}
				other.Close()
				c.Close()
				s.expectCounted(t, kindAXFR, transferBroken, asked+1)
				return
			}
			whole := map[uint16]bool{}
			for len(whole) < asked {
				m := mustReceive(t, c)
				if m.Rcode != dns.RcodeSuccess {
					t.Fatalf("transfer %d gets %v", m.Id, m)
				}
				whole[m.Id] = true
			}
			s.expectCounted(t, kindAXFR, transferWhole, asked)
		})
	}
}

// TestTooManyTransfersInOneWrite: what a connection may wait for has a bound.
func TestTooManyTransfersInOneWrite(t *testing.T) {
	const tooMany = 3
	given, table := testTransfers(5), wireTable(t)
	server := unbound(Config{
		Settings: everybody(t), Transfers: func() Transfers { return given }, Table: func() Answerer { return table },
	}.withDefaults())
	server.open = newOpenConnections(server.config.Settings.TCP, server.metrics.connections)
	streams := newTCPServer(server)
	t.Cleanup(streams.finish)
	var all []byte
	packet := axfr()
	for range transfersPerConnection + tooMany {
		all = append(append(all, byte(len(packet)>>8), byte(len(packet))), packet...)
	}
	connection := &connection{tcp: streams, over: overTCP, client: netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	out := make([]byte, 0, len(all)+maxMessage)
	out, left, silence := connection.tcp.answer(out, all, connection, 0)
	if len(connection.transfers) != transfersPerConnection || len(left) > 0 || silence {
		t.Errorf("%d transfers, %d bytes left, silence %v", len(connection.transfers), len(left), silence)
	}
	if got := testutil.ToFloat64(server.metrics.transfers.total.WithLabelValues(kindAXFR, transferBusy)); got != tooMany || len(out) == 0 {
		t.Errorf("%v were too many", got)
	}
	connection.endTransfers()
	if got := server.metrics.transfers.running.Load(); got != 0 {
		t.Errorf("%d places are taken", got)
	}
}

// TestQuestionsWithoutPause: who asks on and on gets the zone all the same, so that
// its place comes back.
func TestQuestionsWithoutPause(t *testing.T) {
	s := startTransfers(t, testTransfers(manyHosts/4), everybody(t))
	c := dial(t, "tcp", s.address(false))
	send(t, c, axfr())
	question := query{id: 0x9999, name: "txt.example.test.", qtype: dns.TypeTXT}.bytes()
	batch := bytes.Repeat(append([]byte{byte(len(question) >> 8), byte(len(question))}, question...), 100)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := c.Write(batch); err != nil {
				return
			}
		}
	}()
	answers := 0
	for soas := 0; soas < 2; {
		m := mustReceive(t, c)
		if m.Id == 0x9999 {
			if answers++; answers > 2_000_000 {
				t.Fatal("questions alone are answered")
			}
			continue
		}
		for _, rr := range m.Answer {
			if rr.Header().Rrtype == dns.TypeSOA {
				soas++
			}
		}
	}
	close(stop)
	c.Close()
	<-stopped
	s.expectCounted(t, kindAXFR, transferWhole, 1)
}
