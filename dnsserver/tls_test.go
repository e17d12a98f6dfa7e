package dnsserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func (s *secureServer) handshakesCounted(version, resumed string) float64 {
	return counted(s.metrics.connections.handshakes, version, resumed)
}

func (s *secureServer) failuresCounted(reason string) float64 {
	return counted(s.metrics.connections.failures, reason)
}

// Every version from 1.2 on is spoken, at every address, with the protocol named
// or not.
func TestTLSAnswers(t *testing.T) {
	for way, portable := range streamWays {
		t.Run(way, func(t *testing.T) {
			s := startSecure(t, Config{portable: portable})
			want := map[string]float64{}
			for _, c := range []struct {
				version   uint16
				name      string
				protocols []string
				agreed    string
			}{
				{tls.VersionTLS12, "1.2", nil, ""},
				{tls.VersionTLS12, "1.2", []string{"dot"}, "dot"},
				{tls.VersionTLS13, "1.3", nil, ""},
				{tls.VersionTLS13, "1.3", []string{"dot"}, "dot"},
				{tls.VersionTLS13, "1.3", []string{"h2", "dot"}, "dot"},
			} {
				for _, address := range s.TLSAddresses() {
					config := clientTLS()
					config.MinVersion, config.MaxVersion, config.NextProtos = c.version, c.version, c.protocols
					client, err := s.shake(t, address, config)
					if err != nil {
						t.Fatalf("%s %v at %s: %v", c.name, c.protocols, address, err)
					}
					if got := client.ConnectionState().NegotiatedProtocol; got != c.agreed {
						t.Errorf("%s %v: agreed on %q, want %q", c.name, c.protocols, got, c.agreed)
					}
					for range 3 {
						if m := parse(t, ask(t, client, txt)); len(m.Answer) != 2 {
							t.Errorf("%s %v: got %v", c.name, c.protocols, m)
						}
					}
					want[c.name]++
				}
			}
			for version, n := range want {
				if got := s.handshakesCounted(version, "false"); got != n {
					t.Errorf("%v handshakes of %s counted, want %v", got, version, n)
				}
			}
			if got := counted(s.metrics.queries, "", "NOERROR", "tls"); got != 30 {
				t.Errorf("%v questions counted, want 30", got)
			}
			if got := counted(s.metrics.queries, "", "NOERROR", "tcp"); got != 0 {
				t.Errorf("%v of them over TCP, want 0", got)
			}
		})
	}
}

// What cannot become a connection is turned away, for a reason that is counted.
func TestTLSHandshakeFailures(t *testing.T) {
	s := startSecure(t, Config{})
	with := func(change func(*tls.Config)) func(*testing.T, net.Conn) error {
		return func(_ *testing.T, c net.Conn) error {
			config := clientTLS()
			change(config)
			return tls.Client(c, config).Handshake()
		}
	}
	says := func(text string) func(*testing.T, net.Conn) error {
		return func(t *testing.T, c net.Conn) error {
			if _, err := io.WriteString(c, text); err != nil {
				return err
			}
			_, err := io.ReadAll(c)
			return errors.Join(err, io.EOF) // it ended
		}
	}
	for _, c := range []struct {
		name, reason string
		try          func(*testing.T, net.Conn) error
		says         string // of the error
	}{
		{"another protocol", "alpn", with(func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} }), "no application protocol"},
		{"another protocol over 1.2", "alpn", with(func(c *tls.Config) {
			c.NextProtos, c.MaxVersion = []string{"http/1.1"}, tls.VersionTLS12
		}), "no application protocol"},
		{"an old version", "version", with(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }), "protocol version"},
		{"no cipher suite in common", "other", with(func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
		}), "handshake failure"},
		{"a client that does not trust us", "refused", with(func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }), "unknown authority"},
		{"a client that does not trust us over 1.2", "refused", with(func(c *tls.Config) {
			c.RootCAs, c.MaxVersion = x509.NewCertPool(), tls.VersionTLS12
		}), "unknown authority"},
		{"plain DNS", "not_tls", says(string(framed(txt))), "EOF"},
		{"HTTP", "not_tls", says("GET / HTTP/1.1\r\nHost: ns.example.test\r\n\r\n"), "EOF"},
		{"SSL 2", "not_tls", says("\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10"), "EOF"},
		{"noise in a record", "other", says("\x16\x03\x01\x00\x08\x01\x00\x00\x04abcd"), "EOF"},
		{"an empty record", "other", says("\x16\x03\x01\x00\x00" + strings.Repeat("\x16\x03\x01\x00\x00", 40)), "EOF"},
		{"a record that is too long", "not_tls", says("\x16\x03\x01\xff\xff" + strings.Repeat("a", 600)), "EOF"},
		{"silence", "timeout", says(""), "EOF"},
		{"a part of a record", "timeout", says("\x16\x03\x01\x02\x00\x01"), "EOF"},
		{"the end at once", "closed", func(_ *testing.T, c net.Conn) error {
			c.Close()
			return io.EOF
		}, "EOF"},
		{"the end in a record", "closed", func(t *testing.T, c net.Conn) error {
			if _, err := io.WriteString(c, "\x16\x03\x01\x02\x00\x01"); err != nil {
				t.Fatal(err)
			}
			c.Close()
			return io.EOF
		}, "EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			idle := patience
			if c.reason == handshakeTimeout {
				idle = 100 * time.Millisecond
			}
			s.setIdle(t, idle)
			before := s.failuresCounted(c.reason)
			err := c.try(t, dial(t, "tcp", s.TLSAddresses()[0]))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the client got %v, want %q", err, c.says)
			}
			eventually(t, "counted as "+c.reason, func() bool { return s.failuresCounted(c.reason) == before+1 })
		})
	}
	s.setIdle(t, patience)
	if m := parse(t, ask(t, s.dialTLS(t, nil), txt)); len(m.Answer) != 2 {
		t.Errorf("after all of them: %v", m)
	}
	s.shown.Store(nil)
	if _, err := s.shake(t, s.TLSAddresses()[0], nil); err == nil {
		t.Error("without a certificate: a handshake")
	}
	eventually(t, "counted as certificate", func() bool { return s.failuresCounted(handshakeCertificate) == 1 })
	for _, operation := range []string{"tls_read", "tls_write"} {
		if got := counted(s.metrics.sockets, operation); got != 0 {
			t.Errorf("%v errors of %s counted", got, operation)
		}
	}
}

// Questions are answered in their order, however they are cut into records and
// segments, and with as few records as their number allows.
func TestTLSPipelining(t *testing.T) {
	const n = 100
	var all []byte
	for i := range n {
		all = append(all, framed(query{id: uint16(i), name: "txt.example.test.", qtype: typeTXT}.bytes())...)
	}
	pieces := func(size int) func(c net.Conn) error {
		return func(c net.Conn) error {
			for rest := all; len(rest) > 0; {
				some := rest[:min(size, len(rest))]
				if _, err := c.Write(some); err != nil {
					return err
				}
				rest = rest[len(some):]
			}
			return nil
		}
	}
	for way, portable := range streamWays {
		s := startSecure(t, Config{portable: portable})
		for _, c := range []struct {
			name string
			wrap func(net.Conn) net.Conn
			send func(net.Conn) error
			one  bool // record with all answers
		}{
			{"one record", func(c net.Conn) net.Conn { return c }, pieces(len(all)), true},
			{"a record for each question", func(c net.Conn) net.Conn { return c }, pieces(len(all) / n), false},
			{"a record for each byte", func(c net.Conn) net.Conn { return c }, pieces(1), false},
			{"a segment for each byte", func(c net.Conn) net.Conn { return shredder{c} }, pieces(1000), false},
		} {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				t.Run(way+" "+c.name+" "+tls.VersionName(version), func(t *testing.T) {
					config := clientTLS()
					config.MinVersion, config.MaxVersion = version, version
					config.DynamicRecordSizingDisabled = true
					wire := dial(t, "tcp", s.TLSAddresses()[0])
					records := &recordsOf{Conn: wire}
					client := tls.Client(halves{Conn: wire, in: records, out: c.wrap(wire)}, config)
					sent := make(chan error, 1)
					go func() { sent <- errors.Join(client.Handshake(), c.send(client)) }()
					for i := range n {
						answer, err := receive(client)
						if err != nil {
							t.Fatalf("answer %d: %v", i, err)
						}
						if m := parse(t, answer); m.Id != uint16(i) || len(m.Answer) != 2 {
							t.Fatalf("answer %d: id %d with %d records", i, m.Id, len(m.Answer))
						}
					}
					if err := <-sent; err != nil {
						t.Error(err)
					}
					most := 1 + 6 // of the handshake
					if version == tls.VersionTLS13 {
						most = 1 + 7
					}
					if !portable && c.one && len(records.types) > most {
						t.Errorf("%d records, want at most %d: % x", len(records.types), most, records.types)
					}
				})
			}
		}
	}
}

// Large questions and answers go over TLS as well.
func TestTLSLargestMessages(t *testing.T) {
	s := startSecure(t, Config{})
	q := query{id: 5, name: "vast.example.test.", qtype: typeTXT}
	q.opts = [][]byte{opt(1232, 0, option(65001, string(make([]byte, maxMessage-len(q.bytes())-optFixed-4))))}
	packet := q.bytes()
	client := s.dialTLS(t, nil)
	for range 3 {
		answer := ask(t, client, packet)
		if m := parse(t, answer); m.Id != 5 || m.Rcode != 0 || !m.Truncated {
			t.Errorf("%d bytes with %d records, want TC: there are more than fit", len(answer), len(m.Answer))
		}
	}
	if m := parse(t, ask(t, client, query{name: "big.example.test.", qtype: typeTXT}.bytes())); len(m.Answer) != 30 {
		t.Errorf("%d records, want 30", len(m.Answer))
	}
}

// edns-tcp-keepalive is for TLS as well (RFC 7828 section 3.1 speaks of
// sessions over TCP, and RFC 7858 section 3.4 asks for it).
func TestTLSKeepalive(t *testing.T) {
	s := startSecure(t, Config{})
	question := query{name: "txt.example.test.", qtype: typeTXT, opts: [][]byte{opt(1232, 0, option(optionKeepalive, ""))}}.bytes()
	answer := ask(t, s.dialTLS(t, nil), question)
	if !bytes.Contains(answer, option(optionKeepalive, "\x00\x64")) {
		t.Errorf("no time-out in %x", answer)
	}
}

// A connection's end is said, by whomever it ends.
func TestTLSCloseNotify(t *testing.T) {
	const alert = 21
	for way, portable := range streamWays {
		t.Run(way, func(t *testing.T) {
			s := startSecure(t, Config{portable: portable})
			for name, byClient := range map[string]bool{"by the client": true, "by the server": false} {
				config := clientTLS()
				config.MaxVersion = tls.VersionTLS12 // which shows alerts as such
				records := &recordsOf{Conn: dial(t, "tcp", s.TLSAddresses()[0])}
				client := tls.Client(records, config)
				send(t, client, txt)
				if byClient {
					if err := client.CloseWrite(); err != nil {
						t.Fatal(err)
					}
				}
				if m, err := receive(client); err != nil || len(parse(t, m).Answer) != 2 {
					t.Errorf("%s: the question before it: %v", name, err)
				}
				if !byClient {
					s.setIdle(t, time.Millisecond)
				}
				if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("%s: %v, want the end", name, err)
				}
				if last := records.types[len(records.types)-1]; last != alert {
					t.Errorf("%s: the last record is of type %d, want %d: % x", name, last, alert, records.types)
				}
				s.setIdle(t, patience)
			}
			eventually(t, "no connection is counted", func() bool { return testutil.ToFloat64(s.metrics.connections.open) == 0 })
		})
	}
}

// Another certificate is for those that come; who is there goes on.
func TestTLSCertificateChanges(t *testing.T) {
	s := startSecure(t, Config{})
	serial := func(c *tls.Conn) string { return c.ConnectionState().PeerCertificates[0].SerialNumber.String() }
	before := s.dialTLS(t, nil)
	ask(t, before, txt)
	s.shown.Store(certificates().issue(t))
	after := s.dialTLS(t, nil)
	for _, c := range []*tls.Conn{before, after, before} {
		ask(t, c, txt)
	}
	if serial(before) == serial(after) {
		t.Error("both were shown the same certificate")
	}
	if want := s.shown.Load().Leaf.SerialNumber.String(); serial(after) != want {
		t.Errorf("was shown %s, want %s", serial(after), want)
	}
}

// A client that was there before comes back with a ticket, at any address.
func TestTLSResumption(t *testing.T) {
	for version, name := range map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"} {
		t.Run(name, func(t *testing.T) {
			s := startSecure(t, Config{})
			config := clientTLS()
			config.MaxVersion, config.ClientSessionCache = version, tls.NewLRUClientSessionCache(1)
			for i := range 3 {
				client, err := s.shake(t, s.TLSAddresses()[i%2], config)
				if err != nil {
					t.Fatal(err)
				}
				ask(t, client, txt)
				if got := client.ConnectionState().DidResume; got != (i > 0) {
					t.Errorf("connection %d: resumed: %v", i, got)
				}
				client.Close()
			}
			if got := s.handshakesCounted(name, "true"); got != 2 {
				t.Errorf("%v counted, want 2", got)
			}
		})
	}
}

// Connections over TLS take places as others do, and lose them as others do.
func TestTLSConnectionsAreHeldToTheirPlaces(t *testing.T) {
	s := startSecure(t, Config{Settings: Settings{TCP: TCPLimits{Connections: 3, PerNetwork: 3}}})
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
	// Where all places are taken, a slow machine lets one expire before another comes.
	eventually(t, "both are counted", func() bool {
		return counted(s.metrics.connections.evicted, "network")+testutil.ToFloat64(s.metrics.connections.expired) == 2
	})
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
				Settings: Settings{TCP: TCPLimits{Connections: 8, PerNetwork: 8}},
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
				TLS: TLSConfig{Listen: []string{"127.0.0.1:0"}, Certificate: func() *tls.Certificate { return shown }},
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
			time.Sleep(5 * time.Millisecond)
			send(t, whole, txt)
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
		each := (held() - before) / n
		t.Logf("%s: %d bytes for each waiting connection and its client", c.name, each)
		if each > c.most {
			t.Errorf("%s: %d bytes for each, want at most %d", c.name, each, c.most)
		}
		for _, client := range clients {
			client.Close()
		}
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
