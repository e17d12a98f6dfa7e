package health

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"mirrorpool/pool"
)

// spoken is a connection to a server that says so much, whatever it is asked,
// and then hangs up.
type spoken struct {
	answer  *bytes.Reader
	request bytes.Buffer
	read    int
}

func (s *spoken) Read(p []byte) (int, error) {
	n, err := s.answer.Read(p)
	s.read += n
	return n, err
}
func (s *spoken) Write(p []byte) (int, error)      { return s.request.Write(p) }
func (s *spoken) Close() error                     { return nil }
func (s *spoken) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *spoken) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *spoken) SetDeadline(time.Time) error      { return nil }
func (s *spoken) SetReadDeadline(time.Time) error  { return nil }
func (s *spoken) SetWriteDeadline(time.Time) error { return nil }

// sameAddress resolves every name to one address of this machine.
type sameAddress struct{}

func (sameAddress) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// FuzzAnswer gives a probe any bytes as a server's answer: there is an outcome
// with a reason that fits on a line, no more is read than the limits allow, and
// nobody is taken for up who has not said so.
func FuzzAnswer(f *testing.F) {
	const fresh = "1700000000\n"
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n" + fresh,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n" + fresh + "\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\n1\r\n", 30) + "zz\r\n",
		"HTTP/1.0 200 OK\n\n" + fresh,
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" + fresh,
		strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 9),
		"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: //[::1]:99999/\x00\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: http://name.test/\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: https://name.test/\r\n\r\n",
		"HTTP/1.1 404 Not Found\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\nshort",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b",
		"HTTP/9.9 999 \xff\xfe\r\n\r\n", "SSH-2.0-x\r\n", "@RSYNCD: 31.0\n", "\x15\x03\x01\x00\x02\x02\x28", "",
	} {
		f.Add([]byte(answer), byte(3))
		f.Add([]byte(answer), byte(0))
	}
	now := time.Unix(1_700_000_000, 0)
	f.Fuzz(func(t *testing.T, answer []byte, wish byte) {
		dialed := 0
		var last *spoken
		c := &checker{
			userAgent: "mirrorpool/test", resolver: sameAddress{}, now: func() time.Time { return now },
			dial: func(context.Context, string, string) (net.Conn, error) {
				dialed++
				last = &spoken{answer: bytes.NewReader(answer)}
				return last, nil
			},
		}
		probe := pool.Probe{Kind: pool.CheckHTTP, Host: "127.0.0.1", Port: 80, Path: "/trace", FollowRedirects: wish&4 != 0}
		if wish&1 != 0 {
			probe.MaxAge = time.Hour
		}
		if wish&2 != 0 {
			probe.Body = "17[0-9]+"
		}
		got := c.probe(t.Context(), Target{Address: netip.MustParseAddr("127.0.0.1"), Probe: probe})
		if got.Reason == "" || len(got.Reason) > 1000 || strings.ContainsAny(got.Reason, "\r\n\x00\x1b") || !utf8.ValidString(got.Reason) {
			t.Fatalf("%s for the reason %q", got.Outcome, got.Reason)
		}
		if dialed > 1+maxRedirects || dialed > 1 && !probe.FollowRedirects {
			t.Fatalf("%d connections", dialed)
		}
		// As much as a buffer may have been read ahead of the limits.
		if last != nil && last.read > maxHeader+maxChunked+8192 {
			t.Fatalf("%d bytes were read", last.read)
		}
		if got.Outcome != Success {
			return
		}
		if !bytes.Contains(answer, []byte("200")) {
			t.Fatalf("up after %q", answer)
		}
		// What is looked at in a body is in the answer, in some chunks of it.
		if probe.Body != "" && !regexp.MustCompile("1").Match(answer) {
			t.Fatalf("%q does not match, and is up", answer)
		}
		if request := last.request.String(); !strings.HasPrefix(request, "GET /") || strings.Count(request, "\r\n\r\n") != 1 {
			t.Fatalf("asked was %q", request)
		}
	})
}
