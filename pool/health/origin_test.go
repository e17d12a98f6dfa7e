package health

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mirrorpool/pool"
)

// TestOriginAtFault holds that nothing that the origin does is a mirror's fault,
// and that it is told.
func TestOriginAtFault(t *testing.T) {
	good := content(100_000)
	_, mirror := serveFile(t, good)
	closed := nobody(t)
	head := func(length int) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", length)
	}
	const ranged = "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Length: 1000\r\nContent-Range: bytes "
	// turns gives one answer after the other, each on a connection of its own.
	turns := func(answers ...string) netip.AddrPort {
		var turn atomic.Int64
		return raw(t, func(c net.Conn) { answerWith(answers[min(int(turn.Add(1)), len(answers))-1])(c) })
	}
	for _, test := range []struct {
		name   string
		origin netip.AddrPort
		reason string
		why    string
	}{
		{"refuses", closed, "origin not reachable: not compared", "connection refused"},
		{"black hole", raw(t, func(c net.Conn) { io.Copy(io.Discard, c) }), "origin not reachable: not compared", "no answer within * (waiting for the answer)"},
		{"missing", turns("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), "origin not reachable: not compared", "status 404, expected 200,206"},
		{"no size", turns("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"), "origin not reachable: not compared", "tells no size of the file"},
		{"empty", turns(head(0)), "origin not reachable: not compared", "the file is empty"},
		{"no ranges", turns(head(100_000), head(100_000)+string(good)), "origin not reachable: not compared", "does not do ranges: asked for bytes 0-999, and sent the whole file"},
		{"another size", turns(head(100_000), ranged+"0-999/200000\r\n\r\n"+string(good[:1000])), "origin changed meanwhile: not compared", "200000 bytes, before 100000 bytes"},
		{"another tag", turns("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nConnection: close\r\nETag: \"a\"\r\n\r\n", ranged+"0-999/100000\r\nETag: \"b\"\r\n\r\n"+string(good[1:1001])), "origin changed meanwhile: not compared", `100000 bytes, ETag "b", before 100000 bytes, ETag "a"`},
		{"other bytes the second time", turns(head(100_000), ranged+"0-999/100000\r\n\r\n"+string(good[1:1001]), ranged+"0-999/100000\r\n\r\n"+string(good[:1000])), "origin changed meanwhile: not compared", fmt.Sprintf("bytes 0-999 changed from %s to %s", shortHash(good[1:1001]), shortHash(good[:1000]))},
		{"gone after a difference", turns(head(100_000), ranged+"0-999/100000\r\n\r\n"+string(good[1:1001]), ""), "origin not reachable: not compared", "connection * (waiting for the answer)"},
		{"gone after the first", turns(head(100_000), ranged+"0-999/100000\r\n\r\n"+string(good[:1000]), ""), "1 of 3 parts are the origin's; origin not reachable: not compared", "connection * (waiting for the answer)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := compared(t, mirror, test.origin, func(p *pool.Probe) {
				p.Timeout = 30 * time.Second
				if test.name == "black hole" {
					p.Timeout = 2 * time.Second
				}
			}, 0, 50_000)
			expect(t, got, Success, test.reason)
			if !got.NotMade {
				t.Error("counts as made")
			}
			last := got.Evidence.Steps[len(got.Evidence.Steps)-1]
			before, after, _ := strings.Cut(test.why, "*")
			if last.Name != "origin" || !strings.HasPrefix(last.Words, before) || !strings.HasSuffix(last.Words, after) {
				t.Errorf("last step %+v, expected %s", last, test.why)
			}
		})
	}
	t.Run("no such name", func(t *testing.T) {
		got := compared(t, mirror, mirror, func(p *pool.Probe) { p.Origin = "http://unknown.test/file" })
		expect(t, got, Success, "origin not reachable: not compared")
	})
	t.Run("no URL", func(t *testing.T) {
		got := compared(t, mirror, mirror, func(p *pool.Probe) { p.Origin = "file" })
		expect(t, got, Failed, `origin "file" is not a URL that can be fetched`)
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		hole := raw(t, func(c net.Conn) { io.Copy(io.Discard, c) })
		target := member(pool.CheckHTTP, mirror, func(p *pool.Probe) {
			p.Purpose, p.Origin = pool.PurposeIntegrity, fmt.Sprintf("http://%s/file", hole)
		})
		got := NewProber(Config{}).Probe(ctx, target)
		if got.Outcome != Failed || got.NotMade {
			t.Errorf("%s: %s", got.Outcome, got.Reason)
		}
	})
}

// TestSlowOrigin holds that a mirror that had too little time, since the origin took
// most of it, has not failed.
func TestSlowOrigin(t *testing.T) {
	good := content(1000)
	for _, test := range []struct {
		name           string
		origin, mirror time.Duration // before each answer
		outcome        Outcome
		reason         string
	}{
		{"both fast", 0, 0, Success, "1 part of 1000 bytes are the origin's"},
		{"slow origin", 3 * time.Second, 0, Success, "1 part of 1000 bytes are the origin's"},
		{"both slow", 3 * time.Second, 8 * time.Second, Success, "origin is slow: not compared"},
		{"slower origin", 8 * time.Second, 0, Success, "origin not reachable: not compared"},
		{"slow mirror", time.Second, time.Hour, Timeout, "no answer within 10s (waiting for the answer)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &network{talk: func(address string, c net.Conn) {
					wait := test.mirror
					if address == "127.0.0.2:80" {
						wait = test.origin
					}
					for {
						head := make([]byte, 4)
						if _, err := io.ReadFull(c, head); err != nil {
							return
						}
						readRequest(c)
						time.Sleep(wait)
						body := string(good)
						if string(head) == "HEAD" {
							body = ""
						}
						io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"+body)
					}
				}}
				probe := pool.Probe{Purpose: pool.PurposeIntegrity, Origin: "http://127.0.0.2/file", Timeout: 10 * time.Second}
				got, _ := n.probe(t, nil, Target{URL: "http://127.0.0.1/file", Probe: probe})
				expect(t, got, test.outcome, test.reason)
			})
		})
	}
}

// TestOriginInside holds that an origin may be inside, and that a public one leads
// nobody there.
func TestOriginInside(t *testing.T) {
	const file = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
	for _, test := range []struct {
		origin, to string
		reason     string
		dialled    string
	}{
		{"10.0.0.1", "", "1 part of 5 bytes are the origin's", "10.0.0.1:80 10.0.0.1:80 8.0.0.1:80"},
		{"9.0.0.1", "", "1 part of 5 bytes are the origin's", "9.0.0.1:80 9.0.0.1:80 8.0.0.1:80"},
		{"9.0.0.1", "9.0.0.2", "1 part of 5 bytes are the origin's", "9.0.0.1:80 9.0.0.2:80 9.0.0.1:80 9.0.0.2:80 8.0.0.1:80"},
		{"9.0.0.1", "10.0.0.1", "origin not reachable: not compared", "9.0.0.1:80"},
		{"9.0.0.1", "127.0.0.1", "origin not reachable: not compared", "9.0.0.1:80"},
	} {
		n := &network{talk: func(address string, c net.Conn) {
			if address == test.origin+":80" && test.to != "" {
				answerWith("HTTP/1.1 302 Found\r\nConnection: close\r\nContent-Length: 0\r\nLocation: http://" + test.to + "/file\r\n\r\n")(c)
				return
			}
			head := make([]byte, 4)
			io.ReadFull(c, head)
			if readRequest(c); string(head) == "HEAD" {
				io.WriteString(c, file)
			} else {
				io.WriteString(c, file+"hello")
			}
		}}
		probe := pool.Probe{Purpose: pool.PurposeIntegrity, Origin: "http://" + test.origin + "/file"}
		got, dialled := n.probe(t, nil, Target{URL: "http://8.0.0.1/file", Probe: probe})
		expect(t, got, Success, test.reason)
		if all := strings.Join(dialled, " "); all != test.dialled {
			t.Errorf("%s to %s: dialled %s, expected %s", test.origin, test.to, all, test.dialled)
		}
	}
}
