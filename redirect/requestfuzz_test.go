package redirect

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
)

// FuzzRequest gives the redirect listener any bytes that net/http reads as a
// request: a redirect leads below a mirror, and no header has more in it than one
// value.
func FuzzRequest(f *testing.F) {
	for _, request := range []string{
		"GET /tails/a HTTP/1.1\r\nHost: download.test\r\n\r\n",
		"GET /tails/stable/x.img?a=b HTTP/1.1\r\nHost: DOWNLOAD.test:80\r\nX-Forwarded-For: 127.1.2.3\r\nX-Forwarded-Proto: https\r\n\r\n",
		"HEAD http://download.test/tails/a HTTP/1.1\r\nHost: root.test\r\n\r\n",
		"GET /%2e%2e/%2F/..%5c HTTP/1.1\r\nHost: root.test\r\nForwarded: for=\"[::1]:1\";proto=https\r\n\r\n",
		"GET //evil.test/%0d%0aX: HTTP/1.1\r\nHost: near.test.\r\n\r\n",
		"GET /a HTTP/1.0\r\n\r\n",
		"POST /tails/a HTTP/1.1\r\nHost: download.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: root.test\r\n\r\n", "CONNECT root.test:443 HTTP/1.1\r\nHost: root.test\r\n\r\n",
		"GET /\xff\xfe HTTP/1.1\r\nHost: root.test\r\n\r\n",
	} {
		f.Add(request)
	}
	h := testHandler(f, testTable(f))
	table := h.table()
	var prefixes []string
	for _, host := range []string{"download.test", "root.test", "near.test"} {
		for _, m := range table.Host(host).Mirrors {
			prefixes = append(prefixes, m.Mirror.URLPrefix)
		}
	}
	f.Fuzz(func(t *testing.T, request string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request)))
		if err != nil {
			return
		}
		r.RemoteAddr = "127.0.0.1:1"
		w := &discard{header: http.Header{}}
		h.ServeHTTP(w, r)
		for name, values := range w.header {
			for _, value := range values {
				if strings.ContainsAny(value, "\r\n\x00") {
					t.Fatalf("%q: %s is %q", request, name, value)
				}
			}
		}
		location := w.header.Get("Location")
		if location == "" {
			return
		}
		for _, prefix := range prefixes {
			if strings.HasPrefix(location, prefix) {
				checkUnder(t, prefix, location)
				return
			}
		}
		t.Fatalf("%q leads to %q, which is under no mirror", request, location)
	})
}
