package health

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mirrorpool/pool"
)

// content is a file of so many bytes that has no two equal parts.
func content(size int) []byte {
	b := make([]byte, size)
	source := rand.NewChaCha8([32]byte{1})
	source.Read(b)
	return b
}

// fileServer serves fixed files by their paths, with ranges, and notes what was asked.
type fileServer struct {
	mutex    sync.Mutex
	content  map[string][]byte
	modified time.Time
	requests []string
}

func (f *fileServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.requests = append(f.requests, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Range")))
	b, ok := f.content[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	http.ServeContent(w, r, "", f.modified, bytes.NewReader(b))
}

func (f *fileServer) asked() []string {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return append([]string(nil), f.requests...)
}

func TestHash(t *testing.T) {
	good := content(300_000)
	bad := bytes.Clone(good)
	bad[150_000] ^= 1
	at := serve(t, "127.0.0.1", (&fileServer{content: map[string][]byte{"/good": good, "/bad": bad, "/empty": {}}}).ServeHTTP)
	large := raw(t, answerWith(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", maxHashed+1)))
	var sent atomic.Int64
	endless := raw(t, func(c net.Conn) {
		readRequest(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		b := make([]byte, 1<<20)
		for {
			n, err := c.Write(b)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	})
	part := raw(t, answerWith("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/5\r\nContent-Length: 5\r\n\r\nhello"))
	closes := raw(t, answerWith("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello"))
	published := hashOf(string(good))
	for _, test := range []struct {
		name    string
		at      netip.AddrPort
		path    string
		outcome Outcome
		reason  string
	}{
		{"good", at, "/good", Success, "the file of 300 kB has the published sha256"},
		{"bad", at, "/bad", Altered, "the file of 300 kB has sha256 " + hashOf(string(bad))[:12] + ", published is " + published[:12]},
		{"empty", at, "/empty", Altered, "the file of 0 bytes has sha256 e3b0c44298fc, published is *"},
		{"missing", at, "/none", Status, "status 404, expected 200"},
		{"large", large, "/", Content, "the file has more than 64 MiB, which is the most that is hashed"},
		{"endless", endless, "/", Content, "the file has more than 64 MiB, which is the most that is hashed"},
		{"a part", part, "/", Status, "status 206, expected 200"},
		{"closes", closes, "/", Connection, "connection closed early (reading the body)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			target := member(pool.CheckHTTP, test.at, func(p *pool.Probe) {
				p.Purpose, p.Path, p.SHA256 = pool.PurposeIntegrity, test.path, published
			})
			got := NewProber(Config{}).Probe(t.Context(), target)
			expect(t, got, test.outcome, test.reason)
			if test.name == "good" {
				wantSteps(t, got, "connect: *", "request: GET /good", "first byte: status 200 OK", "body: 300 kB, sha256 "+published)
				if e := got.Evidence; e.Bytes != 300_000 || e.FirstBytes != hashOf(string(good[:4096])) {
					t.Errorf("%+v", e)
				}
			}
		})
	}
	if n := sent.Load(); n > maxHashed+(8<<20) {
		t.Errorf("%d bytes were taken", n)
	}
}

// compared asks a mirror, at the places that the test says, and holds what it has
// against an origin.
func compared(t *testing.T, mirror, origin netip.AddrPort, change func(*pool.Probe), places ...int64) Result {
	t.Helper()
	c := newChecker(Config{Resolver: hosts{"origin.test": {origin.Addr()}}}, time.Now)
	c.draw = func(n int64) int64 {
		if len(places) == 0 {
			return n / 2
		}
		place := places[0]
		places = places[1:]
		return min(place, n-1)
	}
	target := member(pool.CheckHTTP, mirror, func(p *pool.Probe) {
		p.Purpose, p.Path, p.Samples, p.Bytes = pool.PurposeIntegrity, "/file", 3, 1000
		p.Origin = fmt.Sprintf("http://origin.test:%d/file", origin.Port())
		if change != nil {
			change(p)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), timeoutOf(target))
	defer cancel()
	return c.probe(ctx, target)
}

func serveFile(t *testing.T, b []byte) (*fileServer, netip.AddrPort) {
	f := &fileServer{content: map[string][]byte{"/file": b}, modified: time.Unix(1_700_000_000, 0)}
	return f, serve(t, "127.0.0.1", f.ServeHTTP)
}

func TestCompare(t *testing.T) {
	good := content(100_000)
	changed := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1
		return b
	}
	_, origin := serveFile(t, good)
	for _, test := range []struct {
		name    string
		mirror  []byte
		outcome Outcome
		reason  string
	}{
		{"the same", good, Success, "3 parts of 100 kB are the origin's"},
		{"at the first place", changed(500), Altered, fmt.Sprintf("bytes 0-999 differ from the origin's at 500 (sha256 %s, the origin's %s)", shortHash(changed(500)[:1000]), shortHash(good[:1000]))},
		{"at the second", changed(50_000), Altered, "bytes 50000-50999 differ from the origin's at 50000 (sha256 *)"},
		{"at the end", changed(99_999), Altered, "bytes 99000-99999 differ from the origin's at 99999 (sha256 *)"},
		{"elsewhere", changed(30_000), Success, "3 parts of 100 kB are the origin's"},
		{"cut", good[:90_000], Altered, "the file has 90000 bytes, the origin's 100000"},
		{"longer", append(bytes.Clone(good), 0), Altered, "the file has 100001 bytes, the origin's 100000"},
		{"cut before the first place", good[:100], Altered, "the file has 100 bytes, the origin's 100000"},
		{"empty", nil, Altered, "the file has 0 bytes, the origin's 100000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, mirror := serveFile(t, test.mirror)
			got := compared(t, mirror, origin, nil, 0, 50_000)
			expect(t, got, test.outcome, test.reason)
			if got.NotMade {
				t.Error("not made")
			}
		})
	}
	t.Run("evidence of another version", func(t *testing.T) {
		old, mirror := serveFile(t, changed(500))
		old.modified = time.Unix(1_600_000_000, 0)
		got := compared(t, mirror, origin, nil, 0)
		expect(t, got, Altered, "bytes 0-999 differ from the origin's at 500 (*")
		wantSteps(t, got, "origin: 100000 bytes, of Tue, 14 Nov 2023 22:13:20 GMT", "connect: *", "request: GET /file", "first byte: *",
			"sample: bytes 0-999: not the origin's; the file has 100000 bytes, of Sun, 13 Sep 2020 12:26:40 GMT")
	})
	t.Run("missing", func(t *testing.T) {
		_, mirror := serveFile(t, good)
		got := compared(t, mirror, origin, func(p *pool.Probe) { p.Path = "/none" })
		expect(t, got, Status, "status 404, expected 206")
	})
	t.Run("steps", func(t *testing.T) {
		_, mirror := serveFile(t, good)
		got := compared(t, mirror, origin, nil, 0, 50_000)
		wantSteps(t, got, "origin: 100000 bytes, of Tue, 14 Nov 2023 22:13:20 GMT",
			"connect: *", "request: GET /file", "first byte: status 206 Partial Content",
			"sample: bytes 0-999: the origin's", "sample: bytes 50000-50999: the origin's", "sample: bytes 99000-99999: the origin's")
		if e := got.Evidence; e.Bytes != 3000 || e.FirstBytes != hashOf(string(good[:1000])) || got.Address != addr("127.0.0.1") {
			t.Errorf("%+v at %s", e, got.Address)
		}
	})
}

func TestPlaces(t *testing.T) {
	for _, test := range []struct {
		size, bytes int64
		samples     int
		want        string
	}{
		{1, 1000, 3, "[bytes 0-0]"},
		{1000, 1000, 3, "[bytes 0-999]"},
		{2500, 1000, 3, "[bytes 0-999 bytes 1000-1999 bytes 2000-2499]"},
		{3001, 1000, 3, "[bytes 500-1499 bytes 500-1499 bytes 2001-3000]"},
		{5000, 1000, 1, "[bytes 4000-4999]"},
		{1_000_000, 0, 0, "[bytes 434464-499999 bytes 434464-499999 bytes 934464-999999]"},
	} {
		a := newAttempt(&checker{draw: func(n int64) int64 { return (n - 1) / 2 }}, Target{Probe: pool.Probe{Samples: test.samples, Bytes: test.bytes}})
		if got := fmt.Sprint(a.places(test.size)); got != test.want {
			t.Errorf("%d: %s, expected %s", test.size, got, test.want)
		}
	}
	// Whatever is asked for, it is bounded, and within the file.
	a := newAttempt(&checker{}, Target{Probe: pool.Probe{Samples: 1 << 30, Bytes: 1 << 40}})
	seen := map[span]bool{}
	for range 10 {
		all := a.places(1 << 40)
		if len(all) != maxSamples*maxSample/maxPart || all[len(all)-1].last != 1<<40-1 {
			t.Fatalf("%d places: %v", len(all), all)
		}
		for _, s := range all {
			if s.first < 0 || s.last >= 1<<40 || s.length() != maxPart {
				t.Fatalf("%v", s)
			}
			seen[s] = true
		}
	}
	if len(seen) < 10*(maxSamples-1) {
		t.Errorf("%d places were drawn, some of them again and again", len(seen))
	}
}

// TestMirrorWithoutRanges and what other servers make of ranges.
func TestHostileMirrors(t *testing.T) {
	good := content(100_000)
	_, origin := serveFile(t, good)
	head := func(format string, arguments ...any) func(net.Conn) {
		return answerWith(fmt.Sprintf(format, arguments...))
	}
	const partial = "HTTP/1.1 206 Partial Content\r\n"
	for _, test := range []struct {
		name    string
		talk    func(net.Conn)
		outcome Outcome
		reason  string
	}{
		{"no ranges", head("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n%s", good), Content, "does not do ranges: asked for bytes 0-999, and sent the whole file"},
		{"no ranges, no size", head("HTTP/1.1 200 OK\r\n\r\n%s", good), Content, "does not do ranges: asked for bytes 0-999, and sent the whole file"},
		{"no ranges, another size", head("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"), Altered, "the file has 10 bytes, the origin's 100000"},
		{"other bytes", head(partial+"Content-Range: bytes 1-1000/100000\r\nContent-Length: 1000\r\n\r\n%s", good[1:1001]), Content, "asked for bytes 0-999, and sent bytes 1-1000"},
		{"fewer bytes", head(partial+"Content-Range: bytes 0-499/100000\r\nContent-Length: 500\r\n\r\n%s", good[:500]), Content, "asked for bytes 0-999, and sent bytes 0-499"},
		{"more bytes", head(partial+"Content-Range: bytes 0-1999/100000\r\nContent-Length: 2000\r\n\r\n%s", good[:2000]), Content, "asked for bytes 0-999, and sent bytes 0-1999"},
		{"body shorter than told", head(partial+"Content-Range: bytes 0-999/100000\r\nContent-Length: 500\r\n\r\n%s", good[:500]), Content, "sent bytes 0-999 in a body of 500 bytes"},
		{"body longer than told", head(partial+"Content-Range: bytes 0-999/100000\r\n\r\n%s", good[:5000]), Content, "sent bytes 0-999 in a body of 1001 bytes"},
		{"chunked", head(partial+"Content-Range: bytes 0-999/100000\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n%s\r\n0\r\n\r\n", good[:1000]), Content, "asked for bytes 49000-49999, and sent bytes 0-999"},
		{"several parts", head(partial + "Content-Type: multipart/byteranges; boundary=x\r\nContent-Length: 0\r\n\r\n"), Content, "asked for one part of the file, bytes 0-999, and sent a body of several"},
		{"not satisfied", head("HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */100000\r\nContent-Length: 0\r\n\r\n"), Status, "status 416, expected 206"},
		{"closes", head(partial + "Content-Range: bytes 0-999/100000\r\nContent-Length: 1000\r\n\r\nhello"), Connection, "connection closed early (reading the body)"},
		{"redirects", head("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"), Status, `status 302, expected 206 (redirect to "/elsewhere")`},
		{"endless header", func(c net.Conn) {
			readRequest(c)
			io.WriteString(c, partial)
			for {
				if _, err := io.WriteString(c, "X-Filler: "+strings.Repeat("x", 1000)+"\r\n"); err != nil {
					return
				}
			}
		}, Protocol, "header of the answer is larger than 64 KiB"},
		{"trickle", func(c net.Conn) {
			head(partial + "Content-Range: bytes 0-999/100000\r\nContent-Length: 1000\r\n\r\n")(c)
			for {
				if _, err := c.Write([]byte{'x'}); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		}, Timeout, "no answer within 2s (reading the body)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := compared(t, raw(t, test.talk), origin, func(p *pool.Probe) {
				p.Timeout = 30 * time.Second
				if test.outcome == Timeout {
					p.Timeout = 2 * time.Second
				}
			}, 0, 49_000)
			expect(t, got, test.outcome, test.reason)
		})
	}
}

// TestSmallFileWithoutRanges holds that a mirror that sends all of a small file has
// sent what was asked for.
func TestSmallFileWithoutRanges(t *testing.T) {
	good := content(900)
	_, origin := serveFile(t, good)
	mirror := raw(t, answerWith(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n%s", good)))
	expect(t, compared(t, mirror, origin, nil), Success, "1 part of 900 bytes are the origin's")
}

// TestCompareConnections holds that both sides are asked on one connection each, and
// what they are asked.
func TestCompareConnections(t *testing.T) {
	good := content(100_000)
	f, mirror := serveFile(t, good)
	g, origin := serveFile(t, good)
	var dialled []string
	c := newChecker(Config{}, time.Now)
	c.draw = func(int64) int64 { return 7 }
	dial := c.dial
	c.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled = append(dialled, address)
		return dial(ctx, network, address)
	}
	target := member(pool.CheckHTTP, mirror, func(p *pool.Probe) {
		p.Purpose, p.Path, p.Samples, p.Bytes, p.Origin = pool.PurposeIntegrity, "/file", 2, 100, fmt.Sprintf("http://%s/file", origin)
	})
	expect(t, c.probe(t.Context(), target), Success, "2 parts of 100 kB are the origin's")
	if len(dialled) != 2 {
		t.Errorf("dialled %q", dialled)
	}
	if got := fmt.Sprint(f.asked()); got != "[GET /file bytes=7-106 GET /file bytes=99900-99999]" {
		t.Error(got)
	}
	if got := fmt.Sprint(g.asked()); got != "[HEAD /file GET /file bytes=7-106 GET /file bytes=99900-99999]" {
		t.Error(got)
	}
}
