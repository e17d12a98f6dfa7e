package dnsserver

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// A proxy's connections count for its clients' networks, and until it has said
// whose they are, and where it speaks for itself, for none.
func TestProxiedConnectionsCountForTheirClients(t *testing.T) {
	s := proxyServer(t, false, TCPLimits{Connections: 24, PerNetwork: 2})
	open := func(header []byte) net.Conn {
		t.Helper()
		c := dial(t, "tcp", s.address(false))
		if _, err := c.Write(append(header, framed(who)...)); err != nil {
			t.Fatal(err)
		}
		if _, err := receive(c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	networks := func() int {
		s.open.mu.Lock()
		defer s.open.mu.Unlock()
		return len(s.open.networks)
	}
	var own []net.Conn
	for range 4 {
		own = append(own, open(proxyHeader(0x20, 0, "")))
	}
	silent := []net.Conn{dial(t, "tcp", s.address(false)), dial(t, "tcp", s.address(false)), dial(t, "tcp", s.address(false))}
	first, second := open(proxied("127.0.7.1")), open(proxied("127.0.7.2"))
	other := open(proxied("127.0.8.1"))
	if got := networks(); got != 2 {
		t.Errorf("%d networks have connections, want 2", got)
	}
	third := open(proxied("127.0.7.3"))
	if _, err := receive(first); !errors.Is(err, io.EOF) && !isReset(err) {
		t.Errorf("the first of the network: %v, want the end", err)
	}
	for _, c := range append(own, second, third, other) {
		ask(t, c, who)
	}
	eventually(t, "one of the network is counted", func() bool { return counted(s.metrics.connections.evicted, "network") == 1 })
	for _, c := range silent { // may still say whose they are
		if _, err := c.Write(append(proxied("127.0.9.1"), framed(who)...)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "two of them are left", func() bool { return counted(s.metrics.connections.evicted, "network") == 2 })
	// All are held to the total. Where all places are taken, a slow machine lets
	// some expire before others come.
	if err := s.Set(Settings{ProxyFrom: loopbackNetworks, TCP: TCPLimits{Connections: 9, PerNetwork: 2}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		open(proxyHeader(0x20, 0, ""))
	}
	eventually(t, "two of all are counted", func() bool {
		return counted(s.metrics.connections.evicted, "total")+testutil.ToFloat64(s.metrics.connections.expired) >= 2
	})
	s.open.mu.Lock()
	if n := s.open.all.length; n > 9 {
		t.Errorf("%d connections, want at most 9", n)
	}
	s.open.mu.Unlock()
	for _, c := range append(append(own, silent...), second, third, other) {
		c.Close()
	}
	eventually(t, "networks are forgotten", func() bool { return networks() == 0 })
}

// A proxy that says nothing, or not all, is held to the time of a question.
func TestSilentProxiesEnd(t *testing.T) {
	s := proxyServer(t, false, TCPLimits{Idle: 100 * time.Millisecond})
	for _, network := range []string{"tcp", "tls"} {
		for _, begun := range []string{"", "\r", string(proxied("127.0.7.1")[:20])} {
			address := s.address(false)
			if network == "tls" {
				address = s.TLSAddresses()[0]
			}
			c := dial(t, "tcp", address)
			if _, err := io.WriteString(c, begun); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !isReset(err) {
				t.Errorf("%s after %q: %v, want the end", network, begun, err)
			}
		}
	}
	eventually(t, "all six are counted", func() bool { return testutil.ToFloat64(s.metrics.connections.expired) == 6 })
	// Who ends in the middle is counted, who says nothing is not.
	s.setIdle(t, patience)
	for _, begun := range []string{"", "\r", string(proxied("127.0.7.1")[:20])} {
		c := dial(t, "tcp", s.address(false))
		if _, err := io.WriteString(c, begun); err != nil {
			t.Fatal(err)
		}
		c.(*net.TCPConn).CloseWrite()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !isReset(err) {
			t.Errorf("after the end after %q: %v, want the end", begun, err)
		}
	}
	if got := counted(s.metrics.dropped, dropProxy); got != 2 {
		t.Errorf("%v dropped, want 2", got)
	}
}

// The portable packets take headers off as well.
func TestProxyOverEveryKindOfPackets(t *testing.T) {
	for _, maker := range packetMakers {
		t.Run(maker.name, func(t *testing.T) {
			socket := bindLoose(t, "127.0.0.1")
			w := maker.worker(t, tellingTable(), socket, false)
			set := *w.responder.shared.Load()
			set.ProxyFrom = loopbackNetworks
			w.responder.shared.Store(&set)
			runWorker(t, w)
			udp := dial(t, "udp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), portOf(socket)))
			for _, address := range []string{"127.0.7.7", "fd12::7"} {
				send(t, udp, who) // gets silence
				if got := client(t, ask(t, udp, append(proxied(address), who...))); got != address {
					t.Errorf("the client is %s, want %s", got, address)
				}
			}
			if got := counted(w.metrics.dropped, dropProxy); got != 2 {
				t.Errorf("%v dropped, want 2", got)
			}
		})
	}
}

// A server that ends waits for no proxy.
func TestServerEndsWithSilentProxies(t *testing.T) {
	table := testTable()
	s, err := Listen(Config{
		Listen: []string{"127.0.0.1:0"}, Table: func() Answerer { return table },
		Settings: Settings{ProxyFrom: loopbackNetworks, TCP: TCPLimits{Idle: time.Hour}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	for range 3 {
		dial(t, "tcp", s.Addresses()[0])
	}
	eventually(t, "they are there", func() bool { return testutil.ToFloat64(s.metrics.connections.open) == 3 })
	cancel()
	within(t, patience, "the server", func() {
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}
