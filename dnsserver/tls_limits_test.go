package dnsserver

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Connections over TLS take places as others do, and lose them as others do.
func TestTLSConnectionsAreHeldToTheirPlaces(t *testing.T) {
	s := startSecure(t, Config{shortest: patience, Settings: Settings{TCP: TCPLimits{Connections: 3, PerNetwork: 3, Idle: patience}}})
	silent := dial(t, "tcp", s.TLSAddresses()[0]) // shakes no hands
	time.Sleep(5 * time.Millisecond)
	first, plain := s.dialTLS(t, nil), dial(t, "tcp", s.address(false))
	ask(t, first, txt)
	ask(t, plain, txt)
	second := s.dialTLS(t, nil)
	ask(t, second, txt)
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !isReset(err) {
		t.Errorf("the one that shook no hands: %v, want the end", err)
	}
	third := s.dialTLS(t, nil)
	ask(t, third, txt)
	if _, err := receive(first); !errors.Is(err, io.EOF) && !isReset(err) {
		t.Errorf("the one that was quiet the longest: %v, want the end", err)
	}
	for _, c := range []net.Conn{plain, second, third} {
		ask(t, c, txt)
	}
	if got := counted(s.metrics.connections.evicted, "network"); got != 2 {
		t.Errorf("evicted = %v, want 2", got)
	}
}

// Who never ceases to ask over TLS neither keeps others from their places nor the
// server from ending.
func TestTLSFlood(t *testing.T) {
	for way, portable := range streamWays {
		t.Run(way, func(t *testing.T) {
			table := testTable()
			shown := certificates().issue(t)
			s, err := Listen(Config{
				Listen: []string{"127.0.0.1:0"}, Table: func() Answerer { return table }, portable: portable,
				TLS:      TLSConfig{Listen: []string{"127.0.0.1:0"}, Certificate: func() *tls.Certificate { return shown }},
				Settings: Settings{TCP: TCPLimits{Connections: 8, PerNetwork: 8, Idle: patience}}, shortest: patience,
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }()
			f := &flooders{}
			t.Cleanup(f.stop)
			all := questions(2000, "txt.example.test.", typeTXT)
			for range 6 {
				c := tls.Client(dial(t, "tcp", s.TLSAddresses()[0]), clientTLS())
				f.all = append(f.all, c)
				f.clients.Go(func() {
					for {
						if _, err := c.Write(all); err != nil {
							return
						}
					}
				})
				f.clients.Go(func() { discard(c) })
			}
			eventually(t, "the flood has begun", func() bool { return counted(s.metrics.queries, "", "NOERROR", "tls") > 1000 })
			for range 10 {
				ask(t, dial(t, "tcp", s.Addresses()[0]), txt)
			}
			cancel()
			within(t, patience, "the server", func() {
				if err := <-done; err != nil {
					t.Errorf("Run: %v", err)
				}
			})
		})
	}
}

// A client over TLS that asks and does not read is held to its time, and its end
// waits for nothing.
func TestTLSClientThatDoesNotRead(t *testing.T) {
	for way, portable := range streamWays {
		t.Run(way, func(t *testing.T) {
			s := startSecure(t, Config{portable: portable})
			c := s.dialTLS(t, nil)
			s.setIdle(t, 100*time.Millisecond)
			all := questions(100, "big.example.test.", typeTXT)
			for range 10_000 {
				if _, err := c.Write(all); err != nil {
					eventually(t, "it is gone", func() bool { return testutil.ToFloat64(s.metrics.connections.open) == 0 })
					return
				}
			}
			t.Error("the connection is still open")
		})
	}
}

// A question that is there when the server ends is answered, and one that has
// begun.
func TestTLSServerEnds(t *testing.T) {
	for way, portable := range streamWays {
		t.Run(way, func(t *testing.T) {
			table := testTable()
			shown := certificates().issue(t)
			s, err := Listen(Config{
				Listen: []string{"127.0.0.1:0"}, Table: func() Answerer { return table }, portable: portable,
				TLS:    TLSConfig{Listen: []string{"127.0.0.1:0"}, Certificate: func() *tls.Certificate { return shown }},
				drains: patience,
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }()
			whole := tls.Client(dial(t, "tcp", s.TLSAddresses()[0]), clientTLS())
			begun := tls.Client(dial(t, "tcp", s.TLSAddresses()[0]), clientTLS())
			for _, c := range []*tls.Conn{whole, begun} {
				ask(t, c, txt)
			}
			if _, err := begun.Write(framed(txt)[:20]); err != nil {
				t.Fatal(err)
			}
			hasBegun(t, s)
			send(t, whole, txt)
			arrived(t, whole.NetConn())
			cancel()
			if _, err := begun.Write(framed(txt)[20:]); err != nil {
				t.Fatal(err)
			}
			for name, c := range map[string]*tls.Conn{"whole": whole, "begun": begun} {
				if _, err := receive(c); err != nil {
					t.Errorf("the question that was %s: %v", name, err)
				}
			}
			within(t, patience, "the server", func() {
				if err := <-done; err != nil {
					t.Errorf("Run: %v", err)
				}
			})
		})
	}
}

// Handshakes that compute are few at a time, and those of clients who have gone
// take no place.
func TestTLSHandshakesTakeTurns(t *testing.T) {
	s := startSecure(t, Config{Workers: 1, Settings: Settings{TCP: TCPLimits{Connections: 100, PerNetwork: 100}}})
	done := make(chan error, 50)
	for i := range cap(done) {
		go func() {
			c, err := net.Dial("tcp", s.TLSAddresses()[0].String())
			if err != nil {
				done <- err
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			if i%5 == 0 { // goes in the middle of it
				_, err := io.WriteString(c, "\x16\x03\x01\x02\x00\x01")
				done <- err
				return
			}
			secure := tls.Client(c, clientTLS())
			if _, err := secure.Write(framed(txt)); err != nil {
				done <- err
				return
			}
			_, err = receive(secure)
			done <- err
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := s.handshakesCounted("1.3", "false"); got != 40 {
		t.Errorf("%v handshakes counted, want 40", got)
	}
}

// A handshake that waits for its turn to compute ends when it loses its place, and
// holds up nobody who waits for that.
func TestTLSHandshakeLosesItsTurn(t *testing.T) {
	here, there := tcpPair(t)
	server := newFramingServer(t, testTable())
	server.server.tls = makeTLS(func() *tls.Certificate { return nil })
	for range cap(server.handshakes) {
		server.handshakes <- struct{}{}
	}
	c := newConnection(server, there, overTLS)
	server.open.join(c)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.run()
		server.open.leave(c)
	}()
	go tls.Client(here, clientTLS()).Handshake() // fails
	time.Sleep(20 * time.Millisecond)            // by then it waits, mostly
	server.open.endQuietest()
	within(t, patience, "the handshake", func() { <-ended })
	if got := counted(server.server.metrics.connections.failures, handshakeTimeout); got != 1 {
		t.Errorf("%v counted, want 1", got)
	}
	if len(server.handshakes) != cap(server.handshakes) {
		t.Error("it gave up a place that was not its own")
	}
	for range cap(server.handshakes) {
		<-server.handshakes
	}
}

// What a waiting connection over TLS holds is bounded, also where its client has
// sent the largest records there are.
func TestTLSWaitingConnectionsAreSmall(t *testing.T) {
	const n = 200
	s := startSecure(t, Config{Settings: Settings{TCP: TCPLimits{Connections: 2 * n, PerNetwork: 2 * n, Idle: time.Minute}}})
	held := func() uint64 {
		var m runtime.MemStats
		for range 3 { // stacks shrink by a half each time
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	large := query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(1232, 0, option(65001, string(make([]byte, 20<<10))))}}.bytes()
	for _, c := range []struct {
		name     string
		question []byte
		most     uint64 // bytes for each, the client's part included
	}{{"small questions", txt, 64 << 10}, {"large ones", large, 96 << 10}} {
		before := held()
		var clients []*tls.Conn
		for range n {
			client := s.dialTLS(t, nil)
			ask(t, client, c.question)
			clients = append(clients, client)
		}
		after := held()
		each := (after - min(before, after)) / n
		t.Logf("%s: %d bytes for each waiting connection and its client", c.name, each)
		if each > c.most {
			t.Errorf("%s: %d bytes for each, want at most %d", c.name, each, c.most)
		}
		for _, client := range clients {
			client.Close()
		}
	}
}

// endlessTalk is a client that always says more.
type endlessTalk struct{ stream }

func (endlessTalk) read(into []byte) (int, error) { return len(into), nil }

// A client that says too much of TLS and nothing of a question is no client: TLS
// would collect a message of its own without a bound worth the name.
func TestTLSMessagesAreBounded(t *testing.T) {
	for most, shaking := range map[int]bool{maxShaking: true, maxWithoutData: false} {
		socket := &tlsSocket{direct: endlessTalk{}, shaking: shaking}
		n, err := io.Copy(io.Discard, struct{ io.Reader }{socket})
		if n != int64(most) || !errors.Is(err, errTooLarge) {
			t.Errorf("shaking hands: %v: %d bytes and %v, want %d and %v", shaking, n, err, most, errTooLarge)
		}
	}
	for way, portable := range streamWays {
		t.Run(way, func(t *testing.T) {
			client := startSecure(t, Config{portable: portable}).dialTLS(t, nil)
			large := query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(1232, 0, option(65001, string(make([]byte, maxMessage/2))))}}.bytes()
			for range 5 { // more than the bound, but of questions
				ask(t, client, large)
			}
		})
	}
}

func TestTLSConfigIsChecked(t *testing.T) {
	table := testTable()
	good := func() *tls.Certificate { return nil }
	for _, c := range []struct {
		config TLSConfig
		want   string
	}{
		{TLSConfig{Listen: []string{"127.0.0.1"}, Certificate: good}, `dns.tls.listen[0]: found "127.0.0.1", expected an IP address and a port, such as "0.0.0.0:853"`},
		{TLSConfig{Listen: []string{"[::ffff:127.0.0.1]:853"}, Certificate: good}, "dns.tls.listen[0]"},
		{TLSConfig{Listen: []string{"127.0.0.1:853", "127.0.0.1:853"}, Certificate: good}, "dns.tls.listen[1]"},
		{TLSConfig{Listen: []string{"127.0.0.1:0"}}, "dns.tls: no certificate"},
	} {
		config := Config{Listen: []string{"127.0.0.1:0"}, Table: func() Answerer { return table }, TLS: c.config}
		if _, err := Listen(config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.config.Listen, err, c.want)
		}
	}
	// An address that is taken fails whole.
	s := startSecure(t, Config{})
	taken := s.TLSAddresses()[0].String()
	_, err := Listen(Config{
		Listen: []string{"127.0.0.1:0"}, Table: func() Answerer { return table },
		TLS: TLSConfig{Listen: []string{taken}, Certificate: good},
	})
	if err == nil || !strings.Contains(err.Error(), "dns.tls.listen[0]: binding "+taken) {
		t.Errorf("%v, want the address that is taken", err)
	}
}
