package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzRequest gives the admin listener any bytes that net/http reads as a request:
// nothing is its own mistake, everything says how it is to be shown, and nothing is
// reloaded but on the request that asks for it as it has to.
func FuzzRequest(f *testing.F) {
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: 127.0.0.1:8053\r\n\r\n",
		"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text\r\nAccept-Encoding: gzip\r\n\r\n",
		"GET /api/v1/state HTTP/1.0\r\n\r\n",
		"GET /api/v1/explain?client=127.0.0.1&pool=dl.pool.test&family=4 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /api/v1/explain?client=%zz&&=;pool HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /api/v1/reload HTTP/1.1\r\nHost: x\r\nX-Mirrorpool: 1\r\nContent-Length: 0\r\n\r\n",
		"POST /api/v1/reload HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.test\r\n\r\n",
		"DELETE /api//v1/../v1/state HTTP/1.1\r\nHost: x\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT host:1 HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		f.Add(request)
	}
	table := testTable(f, testPools)
	f.Fuzz(func(t *testing.T, request string) {
		reloads := 0
		h := testHandler(t, table, func(c *Config) {
			reload := c.Reload
			c.Reload = func(ctx context.Context) error { reloads++; return reload(ctx) }
		})
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request)))
		if err != nil {
			return
		}
		r.RemoteAddr = "127.0.0.1:1"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		header := w.Result().Header
		if w.Code < 200 || w.Code >= 500 {
			t.Fatalf("%q: %d %s", request, w.Code, w.Body)
		}
		if header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Content-Type") == "" && w.Body.Len() > 0 || header.Get("Location") != "" {
			t.Fatalf("%q: the header is %v", request, header)
		}
		if kind := header.Get("Content-Type"); strings.Contains(kind, "json") && r.Method != http.MethodHead && !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%q: no JSON: %s", request, w.Body)
		}
		if strings.Contains(header.Get("Content-Type"), "html") && strings.Contains(w.Body.String(), "<script") {
			t.Fatalf("%q: a script: %s", request, w.Body)
		}
		if asks := r.Method == http.MethodPost && r.URL.Path == "/api/v1/reload" && r.Header.Get("X-Mirrorpool") != ""; reloads > 0 && !asks || reloads > 1 {
			t.Fatalf("%q: reloaded %d times", request, reloads)
		}
	})
}
