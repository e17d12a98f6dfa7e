package health

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mirrorpool/pool"
)

// piped is a probe over a pipe in fake time: time passes only where the server
// lets it.
func piped(t *testing.T, timeout time.Duration, probe pool.Probe, talk func(net.Conn)) Result {
	t.Helper()
	n := &network{talk: func(_ string, c net.Conn) { talk(c) }}
	probe.Kind, probe.Timeout = pool.CheckHTTP, timeout
	got, _ := n.probe(t, nil, Target{URL: "http://127.0.0.1/file", Probe: probe})
	return got
}

// sends answers with a header, and then with so many bytes at a time.
func sends(header string, pieces int, piece int, every time.Duration) func(net.Conn) {
	return func(c net.Conn) {
		readRequest(c)
		io.WriteString(c, header+"\r\n\r\n")
		for i := range pieces {
			if i > 0 {
				time.Sleep(every)
			}
			if _, err := c.Write(bytes.Repeat([]byte{'x'}, piece)); err != nil {
				return
			}
		}
	}
}

func TestThroughput(t *testing.T) {
	const whole = "HTTP/1.1 206 Partial Content\r\nContent-Length: 100000\r\nContent-Range: bytes 0-99999/5000000"
	probe := pool.Probe{Purpose: pool.PurposeThroughput, Bytes: 100_000, MinRate: 200_000}
	for _, test := range []struct {
		name    string
		talk    func(net.Conn)
		outcome Outcome
		reason  string
		rate    int64
	}{
		{"fast", sends(whole, 100, 1000, 2*time.Millisecond), Success, "status 206, 100 kB in 198ms, 500 kB/s", 500_000},
		{"slow", sends(whole, 100, 1000, 10*time.Millisecond), Slow, "100 kB/s, at least 200 kB/s is wanted", 100_000},
		{"nearly", sends(whole, 100, 1000, 5001*time.Microsecond), Slow, "199 kB/s, at least 200 kB/s is wanted", 199_960},
		{"at once", sends(whole, 1, 100_000, 0), Success, "status 206, 100 kB at once", 100_000_000},
		{"all of it", sends("HTTP/1.1 200 OK\r\nContent-Length: 100000", 100, 1000, 2*time.Millisecond), Success, "status 200, 100 kB in 198ms, 500 kB/s", 500_000},
		{"more than is wanted", sends("HTTP/1.1 200 OK\r\nContent-Length: 100000000", 1000, 1000, 2*time.Millisecond), Success, "status 200, 100 kB in 198ms, 500 kB/s", 500_000},
		{"small, and told so", sends("HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\nContent-Range: bytes 0-9/10", 1, 10, 0), Success, "status 206, 10 bytes at once", 0},
		{"small", sends("HTTP/1.1 200 OK\r\nContent-Length: 10", 1, 10, 0), Success, "status 200, 10 bytes at once", 0},
		{"of no size", sends("HTTP/1.0 200 OK", 10, 1000, 2*time.Millisecond), Success, "status 200, 10 kB in 18ms, 500 kB/s", 500_000},
		{"empty", sends("HTTP/1.1 200 OK\r\nContent-Length: 0", 0, 0, 0), Content, "the file is empty", 0},
		{"trickle", sends(whole, 100_000, 1, 101*time.Millisecond), Slow, "9 B/s, at least 200 kB/s is wanted (100 bytes of 100 kB within 10s)", 9},
		{"stalls", sends(whole, 2, 30_000, time.Hour), Slow, "0 B/s, at least 200 kB/s is wanted (30 kB of 100 kB within 10s)", 0},
		{"nothing", sends(whole, 1, 0, 0), Connection, "connection closed early (reading the body)", 0},
		{"silence", func(c net.Conn) { sends(whole, 0, 0, 0)(c); time.Sleep(time.Minute) }, Timeout, "no answer within 10s (reading the body)", 0},
		{"closes", sends(whole, 10, 1000, time.Millisecond), Connection, "connection closed early (reading the body)", 1_000_000},
		{"missing", sends("HTTP/1.1 404 Not Found\r\nContent-Length: 0", 0, 0, 0), Status, "status 404, expected 200,206", 0},
		{"other range", sends("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-99999/5000000", 1, 1000, 0), Content, "asked for bytes 0-99999, and sent bytes 5-99999", 0},
		{"shorter", sends("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-999/5000000", 1, 1000, 0), Content, "asked for bytes 0-99999, and sent bytes 0-999", 0},
		{"longer", sends("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-100000/5000000", 1, 1000, 0), Content, "asked for bytes 0-99999, and sent bytes 0-100000", 0},
		{"no range", sends("HTTP/1.1 206 Partial Content", 1, 1000, 0), Content, "asked for bytes 0-99999, and sent a part without telling which", 0},
		{"two ranges", sends("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-99999/*\r\nContent-Range: bytes 0-9/*", 1, 1000, 0), Content, "asked for bytes 0-99999, and sent a part without telling which", 0},
		{"nonsense", sends("HTTP/1.1 206 Partial Content\r\nContent-Range: lines 0-9/10", 1, 1000, 0), Content, `Content-Range "lines 0-9/10" is not of the form bytes 0-99/100`, 0},
		{"parts", sends("HTTP/1.1 206 Partial Content\r\nContent-Type: Multipart/byteranges; boundary=x", 1, 1000, 0), Content, "asked for one part of the file, bytes 0-99999, and sent a body of several", 0},
		{"lying length", sends("HTTP/1.1 206 Partial Content\r\nContent-Length: 99\r\nContent-Range: bytes 0-99999/5000000", 1, 99, 0), Content, "sent bytes 0-99999 in a body of 99 bytes", 0},
		{"longer than told", sends("HTTP/1.1 206 Partial Content\r\nContent-Length: 5000000\r\nContent-Range: bytes 0-99999/5000000", 1, 100_000, 0), Content, "sent bytes 0-99999 in a body of 5000000 bytes", 0},
		{"lying chunks", func(c net.Conn) {
			answerWith("HTTP/1.1 206 Partial Content\r\nTransfer-Encoding: chunked\r\nContent-Range: bytes 0-99999/5000000\r\n\r\n5\r\nhello\r\n0\r\n\r\n")(c)
		}, Content, "sent bytes 0-99999 in a body of 5 bytes", 0},
		{"chunks of a byte", func(c net.Conn) {
			answerWith("HTTP/1.1 206 Partial Content\r\nTransfer-Encoding: chunked\r\nContent-Range: bytes 0-99999/5000000\r\n\r\n")(c)
			for range 100_000 {
				if _, err := io.WriteString(c, "1;aaaaaaaaaa\r\nx\r\n"); err != nil {
					return
				}
			}
		}, Protocol, "body's chunks take more than 265 kB", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := piped(t, 10*time.Second, probe, test.talk)
				expect(t, got, test.outcome, test.reason)
				if rate := got.Evidence.BytesPerSecond; test.outcome != Protocol && (rate < test.rate-test.rate/100 || rate > test.rate+test.rate/100) {
					t.Errorf("%d bytes a second, expected about %d", rate, test.rate)
				}
			})
		})
	}
}

// TestThroughputOverTime holds that bytes that come fast enough are no failure where
// there is not the time for all of them, unless they stop coming.
func TestThroughputOverTime(t *testing.T) {
	const whole = "HTTP/1.1 200 OK\r\nContent-Length: 100000000"
	probe := pool.Probe{Purpose: pool.PurposeThroughput, Bytes: 100_000_000, MinRate: 100_000}
	synctest.Test(t, func(t *testing.T) {
		got := piped(t, 10*time.Second, probe, sends(whole, 100_000, 1000, 5001*time.Microsecond))
		expect(t, got, Success, "status 200, 2.0 MB in 10s, 199 kB/s (2.0 MB of 100.0 MB within 10s)")
	})
	synctest.Test(t, func(t *testing.T) { // what differs is to be seen
		probe := pool.Probe{Purpose: pool.PurposeThroughput, Bytes: 100_000, MinRate: 200_500}
		got := piped(t, 10*time.Second, probe, sends("HTTP/1.1 200 OK\r\nContent-Length: 100000", 100, 1000, 5*time.Millisecond))
		expect(t, got, Slow, "200000 B/s, at least 200500 B/s is wanted")
	})
	synctest.Test(t, func(t *testing.T) {
		stops := func(c net.Conn) { sends(whole, 1000, 10_000, 5*time.Millisecond)(c); time.Sleep(time.Hour) }
		got := piped(t, 10*time.Second, probe, stops)
		expect(t, got, Slow, "nothing came for the last 5s (10.0 MB of 100.0 MB within 10s)")
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		time.AfterFunc(time.Second/2, cancel)
		n := &network{talk: func(_ string, c net.Conn) { sends(whole, 1000, 1, 100*time.Millisecond)(c) }}
		got := NewProber(Config{Dial: n.dial}).Probe(ctx, Target{URL: "http://127.0.0.1/file", Probe: probe})
		n.all.Wait()
		expect(t, got, Failed, "cancelled (reading the body)")
	})
}

// TestThroughputAsks holds what is asked of a member, and what evidence tells.
func TestThroughputAsks(t *testing.T) {
	requests := make(chan *http.Request, 1)
	content := strings.Repeat("0123456789", 1000)
	at := serve(t, "127.0.0.1", func(w http.ResponseWriter, r *http.Request) {
		requests <- r
		http.ServeContent(w, r, "file", time.Time{}, strings.NewReader(content))
	})
	target := member(pool.CheckHTTP, at, func(p *pool.Probe) {
		p.Purpose, p.Path, p.Bytes, p.MinRate = pool.PurposeThroughput, "/big/file", 5000, 1
	})
	got := NewProber(Config{}).Probe(t.Context(), target)
	expect(t, got, Success, "status 206, 5000 bytes*")
	r := <-requests
	if r.Method != "GET" || r.URL.Path != "/big/file" || r.Host != "dl.test" || r.Header.Get("Range") != "bytes=0-4999" ||
		r.Header.Get("Accept-Encoding") != "identity" || !r.Close {
		t.Errorf("%s %s of %s: %v", r.Method, r.URL, r.Host, r.Header)
	}
	if e := got.Evidence; e.Status != 206 || e.Bytes != 5000 || e.FirstBytes != hashOf(content[:4096]) {
		t.Errorf("%+v", e)
	}
	wantSteps(t, got, "connect: "+at.String(), "request: GET /big/file", "first byte: status 206 Partial Content", "body: 5000 bytes*")
}

// wantSteps holds a probe's steps against "name: words", in which "*" stands for
// anything.
func wantSteps(t *testing.T, got Result, want ...string) {
	t.Helper()
	steps := got.Evidence.Steps
	if len(steps) != len(want) {
		t.Errorf("%d steps, expected %d: %+v", len(steps), len(want), steps)
		return
	}
	for i, s := range steps {
		before, after, any := strings.Cut(want[i], "*")
		text := fmt.Sprintf("%s: %s", s.Name, s.Words)
		if text != want[i] && !(any && strings.HasPrefix(text, before) && strings.HasSuffix(text, after)) {
			t.Errorf("step %q, expected %q", text, want[i])
		}
		if s.Took < 0 || s.Took > time.Minute {
			t.Errorf("step %s took %s", s.Name, s.Took)
		}
	}
}
