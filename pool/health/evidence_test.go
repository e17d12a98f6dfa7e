package health

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"mirrorpool/pool"
)

// hashOf is the SHA-256 of a text as evidence has it.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestEvidence(t *testing.T) {
	ca := newAuthority(t)
	from, to := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	good, expired := ca.issue(t, "mirror.test", from, to), ca.issue(t, "mirror.test", from, from.Add(time.Minute))
	long := strings.Repeat("x", 10_000)
	answer := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "/page", http.StatusFound)
		case "/gone":
			w.WriteHeader(http.StatusGone)
		}
		io.WriteString(w, long)
	}
	https := serveTLS(t, "127.0.0.1", &good, answer)
	old := serveTLS(t, "127.0.0.1", &expired, answer)
	closed := nobody(t)
	p := NewProber(Config{RootCAs: ca.pool, Resolver: hosts{"mirror.test": {addr("127.0.0.1")}}})
	certificate := func(to time.Time) string {
		const layout = "2006-01-02 15:04 UTC"
		return fmt.Sprintf(`for mirror.test, from %s to %s, by "test authority"`, from.UTC().Format(layout), to.UTC().Format(layout))
	}
	for _, test := range []struct {
		name   string
		url    string
		probe  pool.Probe
		status int
		bytes  int64
		first  string
		steps  []string
	}{
		{
			"https", fmt.Sprintf("https://mirror.test:%d/page", https.Port()),
			pool.Probe{Body: "x"},
			200, 10_000, long[:4096],
			[]string{
				"resolve: mirror.test: 127.0.0.1", "connect: " + https.String(), "tls: " + certificate(to),
				"request: GET /page", "first byte: status 200 OK", "body: 10 kB",
			},
		},
		{
			"no body wanted", fmt.Sprintf("https://mirror.test:%d/page", https.Port()),
			pool.Probe{},
			200, 0, "",
			[]string{"resolve: *", "connect: *", "tls: *", "request: GET /page", "first byte: status 200 OK"},
		},
		{
			"redirect", fmt.Sprintf("https://mirror.test:%d/away", https.Port()),
			pool.Probe{FollowRedirects: true},
			200, 0, "",
			[]string{
				"resolve: *", "connect: *", "tls: *", "request: GET /away", `first byte: status 302 Found, redirect to "/page"`,
				"resolve: *", "connect: *", "tls: *", "request: GET /page", "first byte: status 200 OK",
			},
		},
		{
			"unexpected status", fmt.Sprintf("https://mirror.test:%d/gone", https.Port()),
			pool.Probe{},
			410, 4096, long[:4096],
			[]string{"resolve: *", "connect: *", "tls: *", "request: GET /gone", "first byte: status 410 Gone"},
		},
		{
			"expired", fmt.Sprintf("https://mirror.test:%d/page", old.Port()),
			pool.Probe{},
			0, 0, "",
			[]string{"resolve: *", "connect: *", "tls: certificate expired *; certificate " + certificate(from.Add(time.Minute))},
		},
		{
			"refused", fmt.Sprintf("http://mirror.test:%d/page", closed.Port()),
			pool.Probe{},
			0, 0, "",
			[]string{"resolve: mirror.test: 127.0.0.1", "connect: connection refused"},
		},
		{
			"no such name", "http://unknown.test/",
			pool.Probe{},
			0, 0, "",
			[]string{`resolve: resolving "unknown.test": no such host`},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := p.Probe(t.Context(), Target{URL: test.url, Probe: test.probe})
			wantSteps(t, got, test.steps...)
			first := ""
			if test.first != "" {
				first = hashOf(test.first)
			}
			if e := got.Evidence; e.Status != test.status || e.Bytes != test.bytes || e.FirstBytes != first || e.BytesPerSecond != 0 {
				t.Errorf("%s: %d, %d bytes, %s", got.Reason, e.Status, e.Bytes, e.FirstBytes)
			}
		})
	}
}

// TestEvidenceIsBounded holds that what a server says cannot fill or break it.
func TestEvidenceIsBounded(t *testing.T) {
	strange := strings.Repeat("y\x1b\u202e", 5000)
	at := raw(t, func(c net.Conn) {
		readRequest(c)
		fmt.Fprintf(c, "HTTP/1.1 302 %s\r\nLocation: /%s\r\nContent-Length: 0\r\n\r\n", strange, strings.Repeat("z", 5000))
	})
	p := NewProber(Config{Resolver: hosts{"m.test": {addr("127.0.0.1")}}})
	target := Target{URL: fmt.Sprintf("http://m.test:%d/", at.Port()), Probe: pool.Probe{FollowRedirects: true}}
	got := p.Probe(t.Context(), target)
	expect(t, got, Status, "more than 5 redirects")
	if n := len(got.Evidence.Steps); n < 10 || n > maxSteps {
		t.Errorf("%d steps", n)
	}
	for _, s := range got.Evidence.Steps {
		if len(s.Words) > 2*maxWords || !utf8.ValidString(s.Words) || strings.ContainsAny(s.Words, "\x1b\u202e\r\n") {
			t.Errorf("%s: %q", s.Name, s.Words)
		}
	}
}

// TestGlance holds that nobody waits long for what an unexpected answer says.
func TestGlance(t *testing.T) {
	at := raw(t, func(c net.Conn) {
		readRequest(c)
		io.WriteString(c, "HTTP/1.1 503 Busy\r\nContent-Length: 1000000\r\n\r\nsorry")
		io.Copy(io.Discard, c)
	})
	start := time.Now()
	got := NewProber(Config{}).Probe(t.Context(), member(pool.CheckHTTP, at, func(p *pool.Probe) { p.Timeout = 5 * time.Minute }))
	expect(t, got, Status, "status 503, expected 200")
	if took := time.Since(start); took > time.Minute {
		t.Errorf("took %s", took)
	}
	if e := got.Evidence; e.Bytes != 5 || e.FirstBytes != hashOf("sorry") {
		t.Errorf("%+v", e)
	}
}
