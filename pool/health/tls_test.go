package health

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"mirrorpool/pool"
)

func TestCertificates(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	now := time.Now()
	day := 24 * time.Hour
	good := ca.issue(t, "dl.test", now.Add(-day), now.Add(90*day))
	for _, test := range []struct {
		name        string
		certificate tls.Certificate
		outcome     Outcome
		reason      string
		expiry      time.Time
	}{
		{"good", good, Success, "status 200", now.Add(90 * day)},
		{
			"expired", ca.issue(t, "dl.test", now.Add(-2*day), now.Add(-day)), Certificate,
			"certificate expired " + now.Add(-day).UTC().Format("2006-01-02 15:04 UTC"), now.Add(-day),
		},
		{
			"not yet", ca.issue(t, "dl.test", now.Add(day), now.Add(2*day)), Certificate,
			"certificate is not valid before " + now.Add(day).UTC().Format("2006-01-02 15:04 UTC"), now.Add(2 * day),
		},
		{
			"wrong name", ca.issue(t, "www.test", now.Add(-day), now.Add(day)), Certificate,
			"certificate is not for dl.test but for www.test", now.Add(day),
		},
		{
			"unknown authority", other.issue(t, "dl.test", now.Add(-day), now.Add(day)), Certificate,
			"certificate is signed by an unknown authority", now.Add(day),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			at := serveTLS(t, "127.0.0.1", &test.certificate, ok("fine"))
			got := NewProber(Config{RootCAs: ca.pool}).Probe(t.Context(), member(pool.CheckHTTPS, at, nil))
			expect(t, got, test.outcome, test.reason)
			if want := test.expiry.UTC().Truncate(time.Second); !got.CertificateExpiry.Equal(want) || got.CertificateExpiry.Location() != time.UTC {
				t.Errorf("expiry %v, expected %v", got.CertificateExpiry, want)
			}
		})
	}
	t.Run("the clock is the configured one", func(t *testing.T) {
		at := serveTLS(t, "127.0.0.1", &good, ok("fine"))
		later := func() time.Time { return now.Add(100 * day) }
		got := NewProber(Config{RootCAs: ca.pool, Now: later}).Probe(t.Context(), member(pool.CheckHTTPS, at, nil))
		if got.Outcome != Certificate {
			t.Errorf("got %s: %q", got.Outcome, got.Reason)
		}
	})
}

// TestServerName holds that the name of the pool is asked for in the handshake
// and in the request, and of mirrors the name of the URL.
func TestServerName(t *testing.T) {
	ca := newAuthority(t)
	now := time.Now()
	names := make(chan string, 1)
	certificates := map[string]tls.Certificate{}
	for _, name := range []string{"dl.test", "mirror.test"} {
		certificates[name] = ca.issue(t, name, now.Add(-time.Hour), now.Add(time.Hour))
	}
	server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		names <- r.TLS.ServerName + " " + r.Host + " " + r.TLS.NegotiatedProtocol
	})}
	l := tls.NewListener(listen(t, "127.0.0.1"), &tls.Config{
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			c, ok := certificates[hello.ServerName]
			if !ok {
				return nil, fmt.Errorf("no such name")
			}
			return &c, nil
		},
	})
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-served })
	at := addressOf(l)
	p := NewProber(Config{RootCAs: ca.pool, Resolver: hosts{"mirror.test": {addr("127.0.0.1")}}})

	expect(t, p.Probe(t.Context(), member(pool.CheckHTTPS, at, nil)), Success, "status 200")
	if got := <-names; got != "dl.test dl.test http/1.1" {
		t.Error(got)
	}
	url := fmt.Sprintf("https://mirror.test:%d/tails/", at.Port())
	expect(t, p.Probe(t.Context(), Target{Probe: pool.Probe{Kind: pool.CheckHTTP}, URL: url}), Success, "status 200")
	if got, want := <-names, fmt.Sprintf("mirror.test mirror.test:%d http/1.1", at.Port()); got != want {
		t.Errorf("got %q, expected %q", got, want)
	}
	got := p.Probe(t.Context(), member(pool.CheckHTTPS, at, func(p *pool.Probe) { p.Host = "other.test" }))
	expect(t, got, Protocol, "TLS handshake: *")
}

func TestNotTLS(t *testing.T) {
	p := NewProber(Config{})
	at := serve(t, "127.0.0.1", ok(""))
	expect(t, p.Probe(t.Context(), member(pool.CheckHTTPS, at, nil)), Protocol, "not a TLS answer")
	at = raw(t, func(c net.Conn) { io.CopyN(io.Discard, c, 10) })
	expect(t, p.Probe(t.Context(), member(pool.CheckHTTPS, at, nil)), Connection, "connection * (TLS handshake)")
}

func TestRedirects(t *testing.T) {
	ca := newAuthority(t)
	certificate := ca.issue(t, "dl.test", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	to := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("to") {
			w.Header().Set("Location", r.URL.Query().Get("to"))
			w.WriteHeader(http.StatusFound)
			return
		}
		if n := len(r.URL.Path); n > 1 { // one hop less to go with each
			http.Redirect(w, r, r.URL.Path[:n-1], http.StatusMovedPermanently)
		}
	}
	plain, secure := serve(t, "127.0.0.1", to), serveTLS(t, "127.0.0.1", &certificate, to)
	p := NewProber(Config{RootCAs: ca.pool, Resolver: hosts{"other.test": {addr("127.0.0.1")}}})
	follow := func(path string) func(*pool.Probe) {
		return func(p *pool.Probe) { p.FollowRedirects, p.Path = true, path }
	}
	here := func(format string, at netip.AddrPort) string { return fmt.Sprintf(format, at.Port()) }
	for _, test := range []struct {
		name    string
		kind    pool.CheckKind
		change  func(*pool.Probe)
		outcome Outcome
		reason  string
	}{
		{"not followed", pool.CheckHTTP, func(p *pool.Probe) { p.Path = "/1" }, Status, `status 301, expected 200 (redirect to "/")`},
		{"expected", pool.CheckHTTP, func(p *pool.Probe) { p.FollowRedirects, p.Path, p.Statuses = true, "/1", "301" }, Success, "status 301"},
		{"followed", pool.CheckHTTP, follow("/12345"), Success, "status 200"},
		{"too often", pool.CheckHTTP, follow("/123456"), Status, "more than 5 redirects"},
		{"up to https, by the member's name", pool.CheckHTTP, follow(here("/?to=https://dl.test:%d/1", secure)), Success, "status 200"},
		{"down to http", pool.CheckHTTPS, follow(here("/?to=http://dl.test:%d/", plain)), Status, "redirect from https down to *"},
		{"elsewhere", pool.CheckHTTP, follow(here("/?to=http://other.test:%d/", plain)), Success, "status 200"},
		{"nowhere", pool.CheckHTTP, follow("/?to=http://unknown.test/"), Resolution, `resolving "unknown.test": no such host`},
		{"another scheme", pool.CheckHTTP, follow("/?to=file:///etc/passwd"), Status, `redirect to "file:///etc/passwd", which is neither http nor https`},
		{"no URL", pool.CheckHTTP, follow("/?to=http://%5b"), Status, `redirect to "http://[", which is not a URL`},
	} {
		t.Run(test.name, func(t *testing.T) {
			at := plain
			if test.kind == pool.CheckHTTPS {
				at = secure
			}
			got := p.Probe(t.Context(), member(test.kind, at, test.change))
			expect(t, got, test.outcome, test.reason)
		})
	}
}
