package dnsserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// authorityOfTests signs certificates for "ns.example.test", 127.0.0.1 and ::1.
type authorityOfTests struct {
	key     *ecdsa.PrivateKey
	root    *x509.Certificate
	serials atomic.Int64
}

var certificates = sync.OnceValue(func() *authorityOfTests {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	root, err := x509.ParseCertificate(raw)
	if err != nil {
		panic(err)
	}
	return &authorityOfTests{key: key, root: root}
})

// issue makes a certificate with its key, which differs from all others in its
// serial number.
func (a *authorityOfTests) issue(t testing.TB) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(100 + a.serials.Add(1)), Subject: pkix.Name{CommonName: "ns.example.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"ns.example.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1).To4(), net.IPv6loopback},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.root, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: leaf}
}

// pool holds the authority, for clients.
func (a *authorityOfTests) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.root)
	return pool
}

// file writes the authority's certificate, for programs.
func (a *authorityOfTests) file(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// secureServer is one that answers over TLS, and shows what shown points to.
type secureServer struct {
	*running
	shown atomic.Pointer[tls.Certificate]
}

func startSecure(t testing.TB, config Config) *secureServer {
	t.Helper()
	s := &secureServer{}
	s.shown.Store(certificates().issue(t))
	config.TLS = TLSConfig{Listen: loopback(), Certificate: s.shown.Load}
	s.running = start(t, config)
	return s
}

// setIdle changes the time-out: hands are shaken slowly where the machine is busy.
func (s *secureServer) setIdle(t testing.TB, idle time.Duration) {
	t.Helper()
	set := s.settings.Load().Settings
	set.TCP.Idle = idle
	if err := s.Set(set); err != nil {
		t.Fatal(err)
	}
}

// streamWays are how connections are read, on this system and on others.
var streamWays = map[string]bool{"system": false, "portable": true}

func clientTLS() *tls.Config {
	return &tls.Config{RootCAs: certificates().pool(), ServerName: "ns.example.test", NextProtos: []string{"dot"}}
}

// dialTLS shakes hands over a connection; without a config as clientTLS says.
func (s *secureServer) dialTLS(t testing.TB, config *tls.Config) *tls.Conn {
	t.Helper()
	c, err := s.shake(t, s.TLSAddresses()[0], config)
	if err != nil {
		t.Fatalf("shaking hands: %v", err)
	}
	return c
}

func (s *secureServer) shake(t testing.TB, address netip.AddrPort, config *tls.Config) (*tls.Conn, error) {
	t.Helper()
	if config == nil {
		config = clientTLS()
	}
	c := tls.Client(dial(t, "tcp", address), config)
	return c, c.Handshake()
}

// recordsOf counts the TLS records that a client gets, by their type.
type recordsOf struct {
	net.Conn
	types  []byte
	header [5]byte
	have   int
	left   int // of the record's body
}

func (r *recordsOf) Read(into []byte) (int, error) {
	n, err := r.Conn.Read(into)
	for _, b := range into[:n] {
		if r.left > 0 {
			r.left--
			continue
		}
		r.header[r.have] = b
		if r.have++; r.have == len(r.header) {
			r.types = append(r.types, r.header[0])
			r.left, r.have = int(r.header[3])<<8|int(r.header[4]), 0
		}
	}
	return n, err
}

// shredder sends each byte by itself.
type shredder struct{ net.Conn }

func (s shredder) Write(from []byte) (int, error) {
	for i := range from {
		if _, err := s.Conn.Write(from[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(from), nil
}

// halves reads from one connection and writes to another.
type halves struct {
	net.Conn
	in, out net.Conn
}

func (h halves) Read(into []byte) (int, error)  { return h.in.Read(into) }
func (h halves) Write(from []byte) (int, error) { return h.out.Write(from) }

// discard reads until the end.
func discard(c net.Conn) { io.Copy(io.Discard, c) }
