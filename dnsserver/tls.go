package dnsserver

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"
)

// TLSConfig is for DNS over TLS (RFC 7858): versions 1.2 and 1.3 with what RFC
// 9325 recommends.
type TLSConfig struct {
	// Listen are the addresses that are served, such as "0.0.0.0:853" or
	// "[::]:853"; none: there is no DNS over TLS. Their connections count among
	// those that TCPLimits bound.
	Listen []string
	// Certificate gives the one that is shown to the next client, with its chain
	// and its key. It is called by many goroutines at once. It is needed where
	// Listen has an address; where it gives nil, the client is turned away.
	Certificate func() *tls.Certificate
}

func (c TLSConfig) validate() error {
	_, err := c.addresses()
	if len(c.Listen) > 0 && c.Certificate == nil {
		err = errors.Join(err, errors.New("dns.tls: no certificate to show, expected one"))
	}
	return err
}

// addresses reads Listen, in its order.
func (c TLSConfig) addresses() ([]netip.AddrPort, error) {
	return readAddresses("dns.tls.listen", 853, c.Listen)
}

// protocolDoT is what DNS over TLS is called in ALPN, by IANA's registry.
const protocolDoT = "dot"

// endWithin is how long the end of a connection may wait to be said to a client
// that does not take its answers.
const endWithin = 50 * time.Millisecond

// Why a handshake failed, as values of a label.
const (
	handshakeALPN        = "alpn"        // the client wants another protocol than DNS
	handshakeVersion     = "version"     // it knows nothing from TLS 1.2 on
	handshakeCertificate = "certificate" // there is none to show
	handshakeNotTLS      = "not_tls"     // it says something else than TLS
	handshakeRefused     = "refused"     // it sent an alert: mostly, it does not take the certificate
	handshakeTimeout     = "timeout"     // it was too slow, or lost its place
	handshakeClosed      = "closed"      // it went away
	handshakeTooLarge    = "too_large"   // it says more than any client has to
	handshakeOther       = "other"
)

// TLS collects a message of a handshake until it is whole, and would do so up to
// 64 kB, in a buffer of twice that. So this is how many bytes a client may say
// until hands are shaken, of which a large hello is a quarter; and later how many in
// which there is nothing of a question: a record, of which 18 kB are the most, and
// new keys.
const (
	maxShaking     = 16 << 10
	maxWithoutData = 24 << 10
)

// readAtOnce is how much is read for TLS at once. What has been read is paid for
// once others have had their turn, so it must not be as much as for many turns.
const readAtOnce = 4 << 10

// writeCosts is how many bytes a record to the client counts for: TLS answers
// new keys with its own, which takes as long as ten answers do.
const writeCosts = 256

// errTooLarge: the client has said more than that.
var errTooLarge = errors.New("too much in messages of TLS itself")

// makeTLS gives what all connections share: so a client may come back with a
// ticket to any of them. The keys of tickets change every day by themselves.
func makeTLS(certificate func() *tls.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		// Those for TLS 1.2 that RFC 9325 section 4.2 recommends; TLS 1.3 has no others.
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		NextProtos: []string{protocolDoT},
		// Answers are whole messages: a record that has come in part helps nobody.
		DynamicRecordSizingDisabled: true,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			hello.Conn.(*tlsSocket).look(hello)
			return nil, nil // that is, this one
		},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if shown := certificate(); shown != nil {
				return shown, nil
			}
			hello.Conn.(*tlsSocket).lacks = handshakeCertificate
			return nil, errors.New("there is no certificate")
		},
	}
}

// secureConnection is what a connection has over TLS. What was agreed upon with
// the client is in tls.ConnectionState.
type secureConnection struct {
	tls    *tls.Conn
	socket *tlsSocket
	// private: zones may go over it (RFC 9103 sections 7.1 and 7.2).
	private bool
}

// serveFrom lets TLS read without waiting from now on, and gives what is in the
// records.
func (s *secureConnection) serveFrom(direct stream) stream {
	s.socket.direct = direct
	return s
}

// Read is io.Reader's. TLS tells of the end together with what came before it, and
// then again.
func (s *secureConnection) Read(into []byte) (int, error) {
	n, err := s.tls.Read(into)
	if n > 0 {
		s.socket.spent, err = 0, nil
	}
	return n, err
}

// Write is io.Writer's.
func (s *secureConnection) Write(from []byte) (int, error) { return s.tls.Write(from) }

// read is stream's.
func (s *secureConnection) read(into []byte) (int, error) { return s.Read(into) }

// write is stream's.
func (s *secureConnection) write(from []byte) error {
	_, err := s.Write(from)
	return err
}

// sayEnd sends close_notify, if the client takes it at once.
func (s *secureConnection) sayEnd() {
	s.socket.direct = nil
	_ = s.socket.TCPConn.SetWriteDeadline(time.Now().Add(endWithin))
	_ = s.tls.CloseWrite() // who has gone does not hear it
}

// tlsSocket is what TLS reads its records from and writes them to.
type tlsSocket struct {
	*net.TCPConn
	connection *connection
	came       []byte // what is to be read first
	direct     stream // nil: reading waits
	spent      int    // bytes read since there was something of a question, or since the beginning
	shaking    bool   // hands are being shaken
	works      bool   // it holds one of the places for that
	said       bool   // the client was told something
	lacks      string // why the handshake will fail, where its beginning tells
}

// Read is net.Conn's. It fails where the client has said too much for nothing.
func (s *tlsSocket) Read(into []byte) (int, error) {
	most := maxWithoutData
	if s.shaking {
		most = maxShaking
	}
	if s.spent >= most {
		s.lacks = handshakeTooLarge
		return 0, errTooLarge
	}
	n, err := s.readSome(into[:min(len(into), most-s.spent)])
	s.spent += n
	return n, err
}

// readSome reads what there is. What is computed between two reads of a handshake
// takes long: a signature as much as hundreds of answers. So only a few do that at
// once, and however many clients come, questions find a core.
func (s *tlsSocket) readSome(into []byte) (int, error) {
	switch {
	case s.direct != nil:
		return s.direct.read(into[:min(len(into), readAtOnce)])
	case len(s.came) > 0:
		n := copy(into, s.came)
		s.came = s.came[n:]
		return n, nil
	case !s.shaking:
		return s.TCPConn.Read(into)
	}
	s.rest()
	n, err := s.TCPConn.Read(into)
	if err == nil {
		err = s.work()
	}
	return n, err
}

// work waits for a place to compute at. Who has lost the connection's place
// meanwhile gets none, and nobody does where the server's end is over: a signature
// for each of those that wait would hold it up.
func (s *tlsSocket) work() error {
	c := s.connection
	select {
	case <-c.lost:
		return os.ErrDeadlineExceeded
	case <-c.tcp.open.over:
		return os.ErrDeadlineExceeded
	case c.tcp.handshakes <- struct{}{}:
		s.works = true
	}
	select { // the one above may choose among several
	case <-c.lost:
		return os.ErrDeadlineExceeded
	case <-c.tcp.open.over:
		return os.ErrDeadlineExceeded
	default:
	}
	if !s.said && hasGone(s.TCPConn) {
		return net.ErrClosed // it will not hear the signature, nor prove that it has
	}
	return nil
}

// rest gives the place up.
func (s *tlsSocket) rest() {
	if s.works {
		s.works = false
		<-s.connection.tcp.handshakes
	}
}

// Write is net.Conn's.
func (s *tlsSocket) Write(from []byte) (int, error) {
	s.said = true
	if s.direct == nil {
		return s.TCPConn.Write(from)
	}
	s.connection.taken += writeCosts
	if err := s.direct.write(from); err != nil {
		return 0, err
	}
	return len(from), nil
}

// Deadlines are those of openConnections and nobody else's.
func (s *tlsSocket) SetDeadline(time.Time) error      { return nil }
func (s *tlsSocket) SetReadDeadline(time.Time) error  { return nil }
func (s *tlsSocket) SetWriteDeadline(time.Time) error { return nil }

// look notes why nothing will come of a handshake.
func (s *tlsSocket) look(hello *tls.ClientHelloInfo) {
	switch {
	case !slices.Contains(hello.SupportedVersions, tls.VersionTLS12) && !slices.Contains(hello.SupportedVersions, tls.VersionTLS13):
		s.lacks = handshakeVersion
	case len(hello.SupportedProtos) > 0 && !slices.Contains(hello.SupportedProtos, protocolDoT):
		s.lacks = handshakeALPN
	}
}

// greetTLS shakes hands, and reads the header of a proxy before that, which is what
// HAProxy does and most others, or after it, which is what dnsdist does. The first
// byte tells which: no handshake begins as a header does.
func (c *connection) greetTLS() bool {
	if !c.proxied {
		return c.handshake(nil)
	}
	var first [1]byte
	if _, err := io.ReadFull(c.socket, first[:]); err != nil {
		c.tcp.failed(c.over, "read", err)
		return false
	}
	if first[0] == proxySignature[0] {
		return c.introduce(io.MultiReader(bytes.NewReader(first[:]), c.socket)) && c.handshake(nil)
	}
	return c.handshake(first[:]) && c.introduce(c.secure)
}

// handshake begins TLS, and reports whether it could. The clock is then set anew.
// came is what was read already.
func (c *connection) handshake(came []byte) bool {
	socket := &tlsSocket{TCPConn: c.socket, connection: c, came: came, shaking: true}
	secure := tls.Server(socket, c.tcp.server.tls)
	err := secure.Handshake()
	socket.rest()
	socket.shaking, socket.spent = false, 0
	m := c.tcp.server.metrics.connections
	if err != nil {
		m.handshakeFailed(socket.reason(err))
		return false
	}
	state := secure.ConnectionState()
	m.shookHands(state)
	c.secure = &secureConnection{
		tls: secure, socket: socket,
		private: state.Version >= tls.VersionTLS13 && state.NegotiatedProtocol == protocolDoT,
	}
	_, goesOn := c.tcp.open.active(c, true)
	return goesOn
}

// reason is why a handshake failed.
func (s *tlsSocket) reason(err error) string {
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case s.lacks != "":
		return s.lacks
	case errors.As(err, &record):
		return handshakeNotTLS
	case errors.Is(err, os.ErrDeadlineExceeded):
		return handshakeTimeout
	case errors.As(err, &op) && op.Op == alertOfClient:
		return handshakeRefused
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return handshakeClosed
	}
	return handshakeOther
}

// alertOfClient is what crypto/tls calls an alert that it was sent.
const alertOfClient = "remote error"
