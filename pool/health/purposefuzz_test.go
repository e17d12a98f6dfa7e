package health

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"mirrorpool/pool"
)

// FuzzPurposes gives probes that look at files any bytes as the answer of every
// server: there is an outcome in words that fit on a line, no more is read and no
// more connections are made than the limits allow, and nobody is taken for good who
// has not answered.
func FuzzPurposes(f *testing.F) {
	const partial = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes "
	for _, answer := range []string{
		partial + "0-9/10\r\nContent-Length: 10\r\n\r\n0123456789",
		partial + "0-9/10\r\n\r\n0123456789",
		partial + "0-9/*\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n",
		partial + "5-9/10\r\nContent-Length: 5\r\n\r\n01234",
		partial + "0-9/9999999999999\r\nContent-Length: 10\r\n\r\n0123456789",
		"HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=x\r\n\r\n--x\r\nContent-Range: bytes 0-1/2\r\n\r\nab\r\n--x--",
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789",
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + partial + "0-9/10\r\nContent-Length: 10\r\n\r\n0123456789",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: \"a\"\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n5 a\n./b\n# c\n",
		"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n" + partial + "0-0/1\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 416 No\r\nContent-Range: bytes */10\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "SSH-2.0-x\r\n", "",
	} {
		for wish := range byte(16) {
			f.Add([]byte(answer), wish)
		}
	}
	f.Fuzz(func(t *testing.T, answer []byte, wish byte) {
		var all []*spoken
		c := &checker{
			userAgent: "mirrorpool/test", resolver: sameAddress{}, now: time.Now, draw: func(n int64) int64 { return n / 2 },
			dial: func(context.Context, string, string) (net.Conn, error) {
				all = append(all, &spoken{answer: bytes.NewReader(answer)})
				return all[len(all)-1], nil
			},
		}
		probe := pool.Probe{
			Kind: pool.CheckHTTP, Host: "127.0.0.1", Port: 80, Path: "/file", FollowRedirects: wish&4 != 0,
			Bytes: 10, MinRate: 1, Samples: 2,
		}
		switch wish & 3 {
		case 0:
			probe.Purpose = pool.PurposeThroughput
		case 1:
			probe.Purpose, probe.Origin = pool.PurposeIntegrity, "http://origin.test/file"
		case 2:
			probe.Purpose, probe.SHA256 = pool.PurposeIntegrity, hashOf("0123456789")
		case 3:
			probe.Purpose, probe.Required = pool.PurposeContents, pool.NewRequirements([]pool.Requirement{{Path: "/a", Size: 10}, {Path: "/b", Size: -1}})
			if wish&8 != 0 {
				probe.Index = "http://origin.test/index"
			}
		}
		got := c.probe(t.Context(), Target{Address: netip.MustParseAddr("127.0.0.1"), Probe: probe})
		words := []string{got.Reason}
		for _, s := range got.Evidence.Steps {
			words = append(words, s.Words)
		}
		for i, text := range words {
			if i == 0 && text == "" || len(text) > 1000 || strings.ContainsAny(text, "\r\n\x00\x1b") || !utf8.ValidString(text) {
				t.Fatalf("%s in the words %q", got.Outcome, text)
			}
		}
		// Each question may be asked twice, by HEAD and by GET, and follow redirects.
		if most := 20 * (1 + maxRedirects); len(all) > most || len(got.Evidence.Steps) > maxSteps {
			t.Fatalf("%d connections, %d steps", len(all), len(got.Evidence.Steps))
		}
		for _, s := range all {
			if s.read > len(answer) || strings.ContainsAny(s.request.String(), "\x00\x1b") {
				t.Fatalf("%d bytes were read, asked was %q", s.read, s.request.String())
			}
		}
		if got.Outcome == Success && !got.NotMade && !bytes.Contains(answer, []byte("20")) && !bytes.Contains(answer, []byte("416")) {
			t.Fatalf("%s after %q", got.Reason, answer)
		}
		if probe.SHA256 != "" && got.Outcome == Success && !bytes.ContainsAny(answer, "9") {
			t.Fatalf("%s after %q", got.Reason, answer)
		}
	})
}
