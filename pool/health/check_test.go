package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mirrorpool/pool"
)

// expect holds a result against an outcome and a reason, in which "*" stands
// for anything.
func expect(t *testing.T, got Result, outcome Outcome, reason string) {
	t.Helper()
	before, after, any := strings.Cut(reason, "*")
	match := got.Reason == reason
	if any {
		match = strings.HasPrefix(got.Reason, before) && strings.HasSuffix(got.Reason, after)
	}
	if got.Outcome != outcome || !match {
		t.Errorf("got %s: %q\nwant %s: %q", got.Outcome, got.Reason, outcome, reason)
	}
}

func ok(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
}

func TestTCP(t *testing.T) {
	open := listen(t, "127.0.0.1")
	closed := nobody(t)
	p := NewProber(Config{})
	got := p.Probe(t.Context(), member(pool.CheckTCP, addressOf(open), nil))
	expect(t, got, Success, "connected")
	if got.Address != addr("127.0.0.1") {
		t.Errorf("address %v", got.Address)
	}
	got = p.Probe(t.Context(), member(pool.CheckTCP, closed, nil))
	expect(t, got, Connection, "connection refused")
	if got.Address.IsValid() {
		t.Errorf("connected to %v, which is closed", got.Address)
	}
}

func TestIPv6(t *testing.T) {
	at := serve(t, "::1", ok("fine"))
	p := NewProber(Config{})
	for _, kind := range []pool.CheckKind{pool.CheckTCP, pool.CheckHTTP} {
		if got := p.Probe(t.Context(), member(kind, at, nil)); got.Outcome != Success || got.Address != addr("::1") {
			t.Errorf("%s: %+v", kind, got)
		}
	}
	got := p.Probe(t.Context(), Target{URL: fmt.Sprintf("http://%s/x", at)})
	expect(t, got, Success, "status 200")
}

func TestRequest(t *testing.T) {
	requests := make(chan *http.Request, 1)
	at := serve(t, "127.0.0.1", func(_ http.ResponseWriter, r *http.Request) { requests <- r })
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	p := NewProber(Config{UserAgent: "mirrorpool/test"})
	target := member(pool.CheckHTTP, at, func(p *pool.Probe) { p.Path = "/a%2Fb?c=d" })
	expect(t, p.Probe(t.Context(), target), Success, "status 200")
	r := <-requests
	if r.Method != "GET" || r.Host != "dl.test" || r.RequestURI != "/a%2Fb?c=d" || !r.Close ||
		r.UserAgent() != "mirrorpool/test" || r.Header.Get("Accept-Encoding") != "identity" || r.Header.Get("Cookie") != "" {
		t.Errorf("%s %s Host %s, headers %v, close %v", r.Method, r.RequestURI, r.Host, r.Header, r.Close)
	}
}

func TestStatusAndBody(t *testing.T) {
	at := serve(t, "127.0.0.1", func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		w.WriteHeader(status)
		io.WriteString(w, "the body\n")
	})
	for _, test := range []struct {
		name    string
		change  func(*pool.Probe)
		outcome Outcome
		reason  string
	}{
		{"as expected", func(p *pool.Probe) { p.Path = "/200" }, Success, "status 200"},
		{"default", func(p *pool.Probe) { p.Path, p.Statuses = "/200", "" }, Success, "status 200"},
		{"error", func(p *pool.Probe) { p.Path = "/503" }, Status, "status 503, expected 200"},
		{"exactly", func(p *pool.Probe) { p.Path = "/206" }, Status, "status 206, expected 200"},
		{"another expected", func(p *pool.Probe) { p.Path, p.Statuses = "/403", "403" }, Success, "status 403"},
		{"in a range", func(p *pool.Probe) { p.Path, p.Statuses = "/204", "200-206,403" }, Success, "status 204"},
		{"at its end", func(p *pool.Probe) { p.Path, p.Statuses = "/206", "200-206,403" }, Success, "status 206"},
		{"after it", func(p *pool.Probe) { p.Path, p.Statuses = "/207", "200-206,403" }, Status, "status 207, expected 200-206,403"},
		{"in a set", func(p *pool.Probe) { p.Path, p.Statuses = "/403", "200-206,403" }, Success, "status 403"},
		{"body", func(p *pool.Probe) { p.Path, p.Body = "/200", `(?m)^the b.dy$` }, Success, "status 200"},
		{"other body", func(p *pool.Probe) { p.Path, p.Body = "/200", `^body` }, Content, `body does not match "^body"`},
		{"no pattern", func(p *pool.Probe) { p.Path, p.Body = "/200", `(` }, Failed, "body pattern: *"},
		{"no trace", func(p *pool.Probe) { p.Path, p.MaxAge = "/200", time.Hour }, Content, `trace is "the body", expected a Unix time, or one as RFC 3339 has it or date prints it`},
		{"no host", func(p *pool.Probe) { p.Host = "" }, Failed, "host and path do not make a URL: *"},
		{"strange kind", func(p *pool.Probe) { p.Kind = "smtp" }, Failed, `no way to check "smtp"`},
		{"no port", func(p *pool.Probe) { p.Port = 0 }, Failed, `"0" is not a port`},
	} {
		t.Run(test.name, func(t *testing.T) {
			expect(t, NewProber(Config{}).Probe(t.Context(), member(pool.CheckHTTP, at, test.change)), test.outcome, test.reason)
		})
	}
}

func TestFreshness(t *testing.T) {
	now := time.Unix(1_700_000_000, 999)
	for _, test := range []struct {
		body    string
		outcome Outcome
		reason  string
	}{
		{"1699999990\n", Success, "status 200, trace is 10s old"},
		{" \r\n1699989200 \r\nmore\n", Success, "status 200, trace is 3h0m old"},
		{"1699906400", Success, "status 200, trace is 26h0m old"},
		{"1699906399", Content, "trace is 26h0m1s old, max_age is 26h0m0s"},
		{"1699902620", Content, "trace is 27h3m old, max_age is 26h0m0s"},
		{"1700000300", Success, "status 200, trace is 0s old"},
		{"1700000301", Content, "trace is 5m1s in the future, at most 5m0s is taken for a difference of clocks"},
		{"1700007200", Content, "trace is 2h0m in the future, at most 5m0s is taken for a difference of clocks"},
		{"999999999999", Content, "trace is * in the future, at most 5m0s is taken for a difference of clocks"},
		{"0", Content, "trace is 472222h13m old, max_age is 26h0m0s"},
		{"9999999999999", Content, `trace is "9999999999999", expected a Unix time, or one as RFC 3339 has it or date prints it`},
		{"-5", Content, `trace is "-5", expected a Unix time, or one as RFC 3339 has it or date prints it`},
		{"", Content, "trace is empty, expected a Unix time, or one as RFC 3339 has it or date prints it"},
		{" \n\n", Content, "trace is empty, expected a Unix time, or one as RFC 3339 has it or date prints it"},
		{"<html>\x00", Content, `trace is "<html>\x00", expected a Unix time, or one as RFC 3339 has it or date prints it`},
	} {
		at := serve(t, "127.0.0.1", ok(test.body))
		p := NewProber(Config{Now: func() time.Time { return now }})
		target := member(pool.CheckHTTP, at, func(p *pool.Probe) { p.MaxAge = 26 * time.Hour })
		t.Run(test.body, func(t *testing.T) { expect(t, p.Probe(t.Context(), target), test.outcome, test.reason) })
	}
}

func TestSilence(t *testing.T) {
	hole := raw(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	drip := func(text string) netip.AddrPort {
		return raw(t, func(c net.Conn) {
			readRequest(c)
			io.WriteString(c, text)
			for {
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	never := func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	whole := func(p *pool.Probe) { p.Body = "y" }
	for _, test := range []struct {
		name   string
		config Config
		kind   pool.CheckKind
		at     netip.AddrPort
		during phase
	}{
		{"connecting", Config{Dial: never}, pool.CheckTCP, hole, connecting},
		{"http", Config{}, pool.CheckHTTP, hole, waiting},
		{"https", Config{}, pool.CheckHTTPS, hole, shaking},
		{"slow header", Config{}, pool.CheckHTTP, drip("HTTP/1.1 200 OK\r\nX: "), waiting},
		{"slow body", Config{}, pool.CheckHTTP, drip("HTTP/1.1 200 OK\r\n\r\n"), reading},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			target := member(test.kind, test.at, func(p *pool.Probe) { whole(p); p.Timeout = 2 * time.Second })
			start := time.Now()
			got := NewProber(test.config).Probe(t.Context(), target)
			expect(t, got, Timeout, fmt.Sprintf("no answer within 2s (%s)", test.during))
			if took := time.Since(start); took < 2*time.Second || took > time.Minute {
				t.Errorf("took %s", took)
			}
		})
		t.Run(test.name+" cancelled", func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, nil)
			time.AfterFunc(20*time.Millisecond, cancel)
			got := NewProber(test.config).Probe(ctx, member(test.kind, test.at, whole))
			if got.Outcome != Failed || !strings.HasPrefix(got.Reason, "cancelled (") {
				t.Errorf("got %s: %q", got.Outcome, got.Reason)
			}
		})
	}
}

func TestNonsense(t *testing.T) {
	for _, test := range []struct {
		name    string
		talk    func(net.Conn)
		outcome Outcome
		reason  string
	}{
		{"closes", func(net.Conn) {}, Connection, "connection *"},
		{"closes after the request", readRequest, Connection, "connection * (waiting for the answer)"},
		{"resets", func(c net.Conn) { readRequest(c); c.(*net.TCPConn).SetLinger(0) }, Connection, "connection reset (waiting for the answer)"},
		{"not http", answerWith("220 mail ready\r\n\r\n"), Protocol, "not a valid HTTP answer: *"},
		{"endless header", func(c net.Conn) {
			readRequest(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for {
				if _, err := io.WriteString(c, "X-Filler: "+strings.Repeat("x", 1000)+"\r\n"); err != nil {
					return
				}
			}
		}, Protocol, "header of the answer is larger than 64 KiB"},
		{"endless interim answers", answerWith(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 10)), Protocol, "too many interim answers"},
		{"interim answers", answerWith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), Success, "status 200"},
		{"old", answerWith("HTTP/1.0 200 OK\r\n\r\nhello"), Success, "status 200"},
		{"chunked", answerWith("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), Success, "status 200"},
		{"ends early", answerWith("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"), Connection, "connection closed early (reading the body)"},
		{"bad chunk", answerWith("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), Protocol, "not a valid HTTP answer: *"},
	} {
		t.Run(test.name, func(t *testing.T) {
			target := member(pool.CheckHTTP, raw(t, test.talk), func(p *pool.Probe) { p.Body = "hello" })
			expect(t, NewProber(Config{}).Probe(t.Context(), target), test.outcome, test.reason)
		})
	}
}

// TestUnwantedBody holds that nobody waits for a body that is not looked at.
func TestUnwantedBody(t *testing.T) {
	at := raw(t, func(c net.Conn) {
		readRequest(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
		io.Copy(io.Discard, c)
	})
	expect(t, NewProber(Config{}).Probe(t.Context(), member(pool.CheckHTTP, at, nil)), Success, "status 200")
}

// TestLargeBody holds that no more than the cap is read, nor anything of a body
// that nobody looks at.
func TestLargeBody(t *testing.T) {
	var sent atomic.Int64
	at := raw(t, func(c net.Conn) {
		sent.Store(0)
		readRequest(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
		for {
			n, err := c.Write(bytes.Repeat([]byte("x"), 1000))
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	})
	p := NewProber(Config{})
	got := p.Probe(t.Context(), member(pool.CheckHTTP, at, func(p *pool.Probe) { p.Body = "y" }))
	expect(t, got, Content, `body's first 64 KiB does not match "y"`)
	if n := sent.Load(); n > 50<<20 {
		t.Errorf("%d bytes were taken", n)
	}
	got = p.Probe(t.Context(), member(pool.CheckHTTP, at, func(p *pool.Probe) { p.Body = "^x{1000}" }))
	expect(t, got, Success, "status 200")
	expect(t, p.Probe(t.Context(), member(pool.CheckHTTP, at, nil)), Success, "status 200")
}

func TestMirrors(t *testing.T) {
	hosted := make(chan string, 10)
	at := serve(t, "127.0.0.2", func(_ http.ResponseWriter, r *http.Request) { hosted <- r.Host + r.URL.Path })
	names := hosts{
		"mirror.test": {addr("::ffff:127.0.0.2")},
		// Of several the first that connects is asked, IPv4 first.
		"many.test": {addr("::1"), addr("127.0.0.3"), addr("127.0.0.2"), addr("127.0.0.3")},
		"dead.test": {addr("127.0.0.4"), addr("127.0.0.3")},
		"none.test": {},
	}
	p := NewProber(Config{Resolver: names})
	probe := pool.Probe{Kind: pool.CheckHTTP, Timeout: 10 * time.Second}
	for _, test := range []struct {
		url     string
		outcome Outcome
		reason  string
		host    string
		address netip.Addr
	}{
		{"http://mirror.test:%d/tails/trace", Success, "status 200", "mirror.test:%d/tails/trace", addr("127.0.0.2")},
		{"http://many.test:%d/", Success, "status 200", "many.test:%d/", addr("127.0.0.2")},
		{"http://127.0.0.2:%d/x", Success, "status 200", "127.0.0.2:%d/x", addr("127.0.0.2")},
		{"http://dead.test:%d/", Connection, "connection refused (127.0.0.3; none of 2 addresses connects)", "", netip.Addr{}},
		{"http://none.test:%d/", Resolution, `resolving "none.test": no address`, "", netip.Addr{}},
		{"http://unknown.test:%d/", Resolution, `resolving "unknown.test": no such host`, "", netip.Addr{}},
		{"ftp://mirror.test:%d/", Failed, "no way to fetch *", "", netip.Addr{}},
		{"%d", Failed, `* is not a URL that can be fetched`, "", netip.Addr{}},
	} {
		t.Run(test.url, func(t *testing.T) {
			got := p.Probe(t.Context(), Target{Probe: probe, URL: fmt.Sprintf(test.url, at.Port())})
			expect(t, got, test.outcome, test.reason)
			if got.Address != test.address {
				t.Errorf("address is %v, expected %v", got.Address, test.address)
			}
			if test.host != "" {
				if h := <-hosted; h != fmt.Sprintf(test.host, at.Port()) {
					t.Errorf("asked for %s", h)
				}
			}
		})
	}
}

// TestSlowAddress holds that an address that does not answer leaves time for
// the next.
func TestSlowAddress(t *testing.T) {
	at := serve(t, "127.0.0.2", ok(""))
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasPrefix(address, "127.0.0.1:") {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	p := NewProber(Config{Dial: dial, Resolver: hosts{"m.test": {addr("127.0.0.1"), addr("127.0.0.2")}}})
	target := Target{Probe: pool.Probe{Timeout: 2 * time.Second}, URL: fmt.Sprintf("http://m.test:%d/", at.Port())}
	expect(t, p.Probe(t.Context(), target), Success, "status 200")
}

func TestPanic(t *testing.T) {
	p := NewProber(Config{Dial: func(context.Context, string, string) (net.Conn, error) { panic("no\nway") }})
	got := p.Probe(t.Context(), member(pool.CheckTCP, netip.MustParseAddrPort("127.0.0.1:1"), nil))
	expect(t, got, Failed, "the probe panicked: no.way")
	p = NewProber(Config{Probe: func(context.Context, Target) Result { return Result{} }})
	expect(t, p.Probe(t.Context(), Target{}), Failed, "failed")
	p = NewProber(Config{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("odd") }})
	got = p.Probe(t.Context(), member(pool.CheckTCP, netip.MustParseAddrPort("127.0.0.1:1"), nil))
	expect(t, got, Connection, "connecting: odd")
	expect(t, p.Probe(t.Context(), Target{}), Failed, "target has neither address nor URL")
}
