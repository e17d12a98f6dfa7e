package health

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"mirrorpool/pool"
	"mirrorpool/testport"
)

// authority signs certificates for tests.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pool        *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-1000 * time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{certificate, key, x509.NewCertPool()}
	a.pool.AddCert(certificate)
	return a
}

// issue makes a certificate for a name.
func (a *authority) issue(t testing.TB, name string, from, to time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotBefore: from, NotAfter: to,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// listen opens a port on loopback; the test is skipped without that family.
func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil && address == "::1" {
		t.Skipf("no IPv6 on this machine: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// nobody is an address on loopback at which nobody listens.
func nobody(t testing.TB) netip.AddrPort {
	t.Helper()
	return netip.AddrPortFrom(addr("127.0.0.1"), testport.Unused(t))
}

func addressOf(l net.Listener) netip.AddrPort { return l.Addr().(*net.TCPAddr).AddrPort() }

// serve answers http on a port of its own.
func serve(t testing.TB, address string, handler http.HandlerFunc) netip.AddrPort {
	t.Helper()
	return serveTLS(t, address, nil, handler)
}

// serveTLS answers https with the given certificate; http without one.
func serveTLS(t testing.TB, address string, certificate *tls.Certificate, handler http.HandlerFunc) netip.AddrPort {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Listener.Close()
	server.Listener = listen(t, address)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if certificate != nil {
		server.TLS = &tls.Config{Certificates: []tls.Certificate{*certificate}}
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return addressOf(server.Listener)
}

// raw hands every connection to a function of the test, and closes it after.
func raw(t testing.TB, talk func(net.Conn)) netip.AddrPort {
	t.Helper()
	return rawOn(t, "127.0.0.1", talk)
}

func rawOn(t testing.TB, address string, talk func(net.Conn)) netip.AddrPort {
	t.Helper()
	l := listen(t, address)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				stop := context.AfterFunc(ctx, func() { c.Close() })
				defer stop()
				defer c.Close()
				talk(c)
			})
		}
	})
	t.Cleanup(func() { cancel(); l.Close(); all.Wait() })
	return addressOf(l)
}

// answerWith reads the request and writes fixed bytes.
func answerWith(text string) func(net.Conn) {
	return func(c net.Conn) {
		readRequest(c)
		io.WriteString(c, text)
	}
}

func readRequest(c net.Conn) {
	var all []byte
	b := make([]byte, 1)
	for len(all) < 4 || string(all[len(all)-4:]) != "\r\n\r\n" {
		if _, err := c.Read(b); err != nil {
			return
		}
		all = append(all, b[0])
	}
}

// member is the target of a member's address.
func member(kind pool.CheckKind, at netip.AddrPort, change func(*pool.Probe)) Target {
	p := pool.Probe{Kind: kind, Port: at.Port(), Timeout: 10 * time.Second}
	if kind != pool.CheckTCP {
		p.Host, p.Path, p.Statuses = "dl.test", "/project/trace", "200"
	}
	if change != nil {
		change(&p)
	}
	return Target{Probe: p, Address: at.Addr()}
}

// hosts is a Resolver of fixed names.
type hosts map[string][]netip.Addr

func (h hosts) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if found, ok := h[host]; ok {
		return found, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }
