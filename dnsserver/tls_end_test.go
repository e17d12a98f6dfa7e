package dnsserver

import (
	"context"
	"crypto"
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// slowSigner is a key that takes its time for each handshake, and counts them.
type slowSigner struct {
	crypto.Signer
	takes  time.Duration
	signed atomic.Int32
}

func (s *slowSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.signed.Add(1)
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
	const takes, waiting = 20 * time.Millisecond, 100
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
