package dnsserver

import (
	"context"
	"crypto"
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// slowSigner is a key that takes its time for each handshake, and counts them.
type slowSigner struct {
	crypto.Signer
	takes  time.Duration
	first  chan struct{} // what the first one waits for; nil: nothing
	signed atomic.Int32
}

func (s *slowSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if s.signed.Add(1) == 1 && s.first != nil {
		<-s.first
	}
	time.Sleep(s.takes)
	return s.Signer.Sign(random, digest, opts)
}

// withSlowKey gives a certificate whose key is slow.
func withSlowKey(t testing.TB, takes time.Duration) (*tls.Certificate, *slowSigner) {
	t.Helper()
	shown := certificates().issue(t)
	signer := &slowSigner{Signer: shown.PrivateKey.(crypto.Signer), takes: takes}
	shown.PrivateKey = signer
	return shown, signer
}

// helloOnly keeps what a client says first, and ends its handshake.
type helloOnly struct {
	net.Conn
	said []byte
}

func (h *helloOnly) Write(from []byte) (int, error) {
	h.said = append(h.said, from...)
	return 0, net.ErrClosed
}

// clientHello is how a client's handshake begins.
func clientHello() []byte {
	h := &helloOnly{}
	tls.Client(h, clientTLS()).Handshake() // fails
	return h.said
}

// The end of the server does not wait for the signatures of all who wait for one.
func TestTLSServerEndsWhileHandshakesWait(t *testing.T) {
	const takes, waiting = 200 * time.Millisecond, 100
	shown, signer := withSlowKey(t, takes)
	s, err := Listen(Config{
		Listen: []string{"127.0.0.1:0"}, Table: func() Answerer { return testTable() }, Workers: 1,
		TLS: TLSConfig{Listen: []string{"127.0.0.1:0"}, Certificate: func() *tls.Certificate { return shown }},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	hello := clientHello()
	for range waiting {
		if _, err := dial(t, "tcp", s.TLSAddresses()[0]).Write(hello); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the first is signed", func() bool { return signer.signed.Load() > 0 })
	before := signer.signed.Load()
	began := time.Now()
	cancel()
	within(t, patience, "the server", func() {
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	if signed := signer.signed.Load() - before; signed > waiting/2 {
		t.Errorf("%d were signed after the end of the context, in %v; want at most %d", signed, time.Since(began), waiting/2)
	}
}

// Who has gone gets no signature: neither at the end of what it says, nor by a reset.
func TestTLSNoSignatureForWhoHasGone(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the system does not tell who has gone without reading")
	}
	const n = 20
	shown, signer := withSlowKey(t, 0)
	s := startSecure(t, Config{Workers: 1, Settings: Settings{TCP: TCPLimits{Connections: 4 * n, PerNetwork: 4 * n}}})
	signer.first = make(chan struct{})
	release := sync.OnceFunc(func() { close(signer.first) })
	t.Cleanup(release)
	s.shown.Store(shown)
	hello := clientHello()
	say := func() *net.TCPConn {
		c := dial(t, "tcp", s.TLSAddresses()[0]).(*net.TCPConn)
		if _, err := c.Write(hello); err != nil {
			t.Fatal(err)
		}
		return c
	}
	say()
	eventually(t, "the first is signed", func() bool { return signer.signed.Load() == 1 })
	for i := range n {
		c := say()
		if i%2 == 0 {
			c.SetLinger(0) // a reset
		}
		c.Close()
	}
	last := dial(t, "tcp", s.TLSAddresses()[0])
	shaken := make(chan error, 1)
	go func() { shaken <- tls.Client(last, clientTLS()).Handshake() }()
	eventually(t, "all have come", func() bool { return testutil.ToFloat64(s.metrics.connections.open) >= 2 })
	release()
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	eventually(t, "all of them are counted", func() bool { return s.failuresCounted(handshakeClosed) == n })
	if signed := signer.signed.Load(); signed != 2 {
		t.Errorf("%d were signed, want those 2 that stayed", signed)
	}
}
