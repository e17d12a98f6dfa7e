package dnsserver

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
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
		{"a hello without end", "too_large", says("\x16\x03\x01\x40\x00\x01\x00\xff\xff" + strings.Repeat("a", maxShaking-9)), "EOF"},
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

// What a client does wrong in TLS is no failed system call.
func TestTLSBrokenRecordsAreCounted(t *testing.T) {
	for way, portable := range streamWays {
		t.Run(way, func(t *testing.T) {
			s := startSecure(t, Config{portable: portable})
			broken := s.metrics.connections.broken
			for name, says := range map[string]string{
				"a wrong MAC":           "\x17\x03\x03\x00\x20" + strings.Repeat("a", 32),
				"no record":             string(framed(txt)),
				"an alert in the clear": "\x15\x03\x03\x00\x02\x01\x00",
				"too many for nothing":  strings.Repeat("\x14\x03\x03\x00\x01\x01", 20),
			} {
				before := testutil.ToFloat64(broken)
				client := s.dialTLS(t, nil)
				ask(t, client, txt)
				if _, err := io.WriteString(client.NetConn(), says); err != nil {
					t.Fatal(err)
				}
				eventually(t, name+" is counted", func() bool { return testutil.ToFloat64(broken) == before+1 })
			}
			for _, operation := range []string{"tls_read", "tls_write"} {
				if got := counted(s.metrics.sockets, operation); got != 0 {
					t.Errorf("%v errors of %s counted", got, operation)
				}
			}
		})
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
