package redirect

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func body(t *testing.T, response *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestStatus(t *testing.T) {
	table := testTable(t)
	tests := []struct {
		method, host, uri string
		status            int
		words             string // part of the body
	}{
		{"GET", "download.test", "/tails/stable/a.img", 302, ""},
		{"HEAD", "download.test", "/tails/stable/a.img", 302, ""},
		{"GET", "download.test", "/tails/", 302, ""},
		{"GET", "download.test", "/tails", 302, ""},
		{"GET", "download.test", "/", 404, "/tails/"},
		{"GET", "download.test", "/stable/a.img", 404, "/tails/"},
		{"GET", "root.test", "/", 302, ""},
		{"GET", "root.test", "/a/b?c", 302, ""},

		{"GET", "DOWNLOAD.Test", "/tails/a", 302, ""},
		{"GET", "download.test:8080", "/tails/a", 302, ""},
		{"GET", "download.test.", "/tails/a", 302, ""},
		{"GET", "Download.test.:80", "/tails/a", 302, ""},
		{"GET", "download.test..", "/tails/a", 421, "not served"},
		{"GET", "other.test", "/tails/a", 421, "not served"},
		{"GET", "x.download.test", "/tails/a", 421, ""},
		{"GET", "", "/tails/a", 421, ""},
		{"GET", "[::1]:80", "/tails/a", 421, ""},
		{"GET", "127.0.0.1", "/mirrors.json", 421, ""},
		{"POST", "other.test", "/tails/a", 421, ""},

		{"POST", "download.test", "/tails/a", 405, "GET and HEAD"},
		{"PUT", "download.test", "/tails/a", 405, ""},
		{"DELETE", "download.test", "/mirrors.json", 405, ""},
		{"OPTIONS", "download.test", "/tails/a", 405, ""},
		{"OPTIONS", "download.test", "*", 405, ""},
		{"CONNECT", "download.test", "download.test:80", 405, ""},
		{"get", "download.test", "/tails/a", 405, ""},

		{"GET", "download.test", "/tails/../etc", 400, `".."`},
		{"GET", "download.test", "/tails/%2e%2e/etc", 400, ""},
		{"GET", "download.test", "/tails/..%2fetc", 400, "slash"},
		{"GET", "download.test", "/tails/a%5cb", 400, "backslash"},
		{"GET", "download.test", "/tails/a%0d%0aX:%20y", 400, "control"},
		{"GET", "download.test", "/tails/a%00b", 400, "control"},
		{"GET", "download.test", "/tails/a%zz", 400, "%"},
		{"GET", "download.test", "*", 400, ""},
		{"GET", "download.test", "/tails/" + strings.Repeat("a", 2100), 414, "long"},

		{"GET", "download.test", "/mirrors.json", 200, "url_prefix"},
		{"HEAD", "download.test", "/mirrors.json", 200, ""},
		{"GET", "root.test", "/mirrors.json", 200, "e.mirror.test"},
		{"GET", "download.test", "/mirrors.json/", 404, ""},
	}
	for _, test := range tests {
		t.Run(test.method+" "+test.host+" "+test.uri[:min(len(test.uri), 40)], func(t *testing.T) {
			response := ask(testHandler(t, table), test.method, test.host, test.uri, nil)
			text := body(t, response)
			if response.StatusCode != test.status {
				t.Fatalf("status %d, expected %d: %s", response.StatusCode, test.status, text)
			}
			if !strings.Contains(text, test.words) {
				t.Errorf("body %q does not say %q", text, test.words)
			}
			if allow := response.Header.Get("Allow"); (test.status == 405) != (allow == "GET, HEAD") {
				t.Errorf("Allow %q", allow)
			}
			if control := response.Header.Get("Cache-Control"); test.status != 200 && control != "private, no-cache" {
				t.Errorf("Cache-Control %q", control)
			}
			if response.Header.Get("Set-Cookie") != "" {
				t.Error("a cookie is set")
			}
			if location := response.Header.Get("Location"); (location != "") != (test.status == 302) {
				t.Errorf("Location %q", location)
			}
		})
	}
}

// The whole answer, as a client sees it.
func TestRedirect(t *testing.T) {
	response := ask(testHandler(t, testTable(t)), "GET", "download.test", "/tails/stable/a%20b<i>&c.img?x=1&y=%2f", nil)
	const rest = "stable/a%20b%3Ci%3E&c.img?x=1&y=%2f"
	countries := map[string]string{
		"https://a.mirror.test/pub/tails/": "; geo=de",
		"https://b.mirror.test/tails/":     "; geo=fr",
		"http://c.mirror.test/":            "; geo=us",
		"https://d.mirror.test/tails/":     "",
	}
	location := response.Header.Get("Location")
	chosen, ok := strings.CutSuffix(location, rest)
	if _, known := countries[chosen]; !ok || !known {
		t.Fatalf("Location %q", location)
	}
	delete(countries, chosen)

	links := response.Header.Values("Link")
	if len(links) != 3 {
		t.Fatalf("%d links: %q", len(links), links)
	}
	pattern := regexp.MustCompile(`^<([^<>]*)` + regexp.QuoteMeta(rest) + `>; rel=duplicate; pri=(\d)(; geo=[a-z]{2})?$`)
	for i, link := range links {
		match := pattern.FindStringSubmatch(link)
		if match == nil {
			t.Fatalf("Link %q", link)
		}
		if geo, ok := countries[match[1]]; !ok || match[2] != fmt.Sprint(i+1) || match[3] != geo {
			t.Errorf("Link %q, expected pri=%d and %q", link, i+1, geo)
		}
		delete(countries, match[1])
	}

	text := body(t, response)
	if escaped := strings.ReplaceAll(location, "&", "&amp;"); strings.Count(text, escaped) != 2 {
		t.Errorf("body %q does not have %q", text, escaped)
	}
	if kind := response.Header.Get("Content-Type"); kind != "text/html; charset=utf-8" {
		t.Errorf("Content-Type %q", kind)
	}
	if length := response.Header.Get("Content-Length"); length != fmt.Sprint(len(text)) {
		t.Errorf("Content-Length %s of %d", length, len(text))
	}
}

// The draw is in the order of the Link headers too: the same mirror never
// stands twice, the disabled one never at all.
func TestLinksAreOthers(t *testing.T) {
	h := testHandler(t, testTable(t))
	for range 200 {
		response := ask(h, "HEAD", "download.test", "/tails/a", nil)
		seen := []string{response.Header.Get("Location")}
		for _, link := range response.Header.Values("Link") {
			seen = append(seen, link[1:strings.IndexByte(link, '>')])
		}
		if slices.Sort(seen); len(slices.Compact(slices.Clone(seen))) != 4 || strings.Contains(strings.Join(seen, " "), "off.") {
			t.Fatalf("%q", seen)
		}
	}
}

func TestLinksAreBounded(t *testing.T) {
	var places []place
	for range 9 {
		places = append(places, place{prefix: "https://mirror.test/"})
	}
	if got := links(places, "a"); len(got) != maxLinks {
		t.Errorf("%d links", len(got))
	}
	if got := links(places, strings.Repeat("a", 900)); len(got) != 2 {
		t.Errorf("%d long links", len(got))
	}
	if got := links(nil, "a"); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

func TestSecureClients(t *testing.T) {
	h := testHandler(t, testTable(t))
	secure := http.Header{"X-Forwarded-Proto": {"https"}}
	for range 200 {
		response := ask(h, "GET", "download.test", "/tails/a", secure)
		all := append(response.Header.Values("Link"), response.Header.Get("Location"))
		if len(all) != 3 || strings.Contains(strings.Join(all, " "), "http:") {
			t.Fatalf("an https client gets %q", all)
		}
	}
	// The only mirror of this host is http, and there is no fallback.
	if response := ask(h, "GET", "root.test", "/a", secure); response.StatusCode != 503 {
		t.Errorf("status %d: %q", response.StatusCode, response.Header)
	}
	if response := ask(h, "GET", "root.test", "/a", nil); response.Header.Get("Location") != "http://e.mirror.test:8080/x/a" {
		t.Errorf("%q", response.Header)
	}
}

func TestNothingUp(t *testing.T) {
	h := testHandler(t, testTable(t, "*"))
	secure := http.Header{"X-Forwarded-Proto": {"https"}}
	tests := []struct {
		host     string
		headers  http.Header
		location string
		links    []string
	}{
		{"download.test", nil, "http://f.mirror.test/tails/a", []string{
			"<https://g.mirror.test/tails/a>; rel=duplicate; pri=1", "<https://h.mirror.test/a>; rel=duplicate; pri=2",
		}},
		{"download.test", secure, "https://g.mirror.test/tails/a", []string{"<https://h.mirror.test/a>; rel=duplicate; pri=1"}},
	}
	for _, test := range tests {
		response := ask(h, "GET", test.host, "/tails/a", test.headers)
		if response.StatusCode != 302 || response.Header.Get("Location") != test.location {
			t.Errorf("%s: %d %q", test.host, response.StatusCode, response.Header)
		}
		if links := response.Header.Values("Link"); !slices.Equal(links, test.links) {
			t.Errorf("%s: links %q, expected %q", test.host, links, test.links)
		}
	}
	response := ask(h, "GET", "root.test", "/a", nil)
	if response.StatusCode != 503 || response.Header.Get("Retry-After") != "60" ||
		response.Header.Get("Cache-Control") != "private, no-cache" || len(response.Header.Values("Link")) != 0 {
		t.Errorf("empty: %d %q", response.StatusCode, response.Header)
	}
	// Without a fallback, when_all_down "all" is served as if all were up.
	if response := ask(h, "GET", "near.test", "/a", nil); response.StatusCode != 302 {
		t.Errorf("all: %d %q", response.StatusCode, response.Header)
	}
}

// Mirrors that are up go before fallbacks, and those that are down are not given.
func TestOneUp(t *testing.T) {
	h := testHandler(t, testTable(t, "https://a.mirror.test/pub/tails/", "http://c.mirror.test/", "https://d.mirror.test/tails/"))
	for range 50 {
		response := ask(h, "GET", "download.test", "/tails/a", nil)
		if got := response.Header.Get("Location"); got != "https://b.mirror.test/tails/a" || len(response.Header.Values("Link")) != 0 {
			t.Fatalf("%q", response.Header)
		}
	}
}

func TestPlace(t *testing.T) {
	h := testHandler(t, testTable(t))
	// The client is in Germany: one mirror there, one more in Europe.
	german := []string{"https://a.mirror.test/pub/tails/a", "https://b.mirror.test/tails/a"}
	for name, headers := range map[string]http.Header{
		"X-Forwarded-For": {"X-Forwarded-For": {"203.0.113.9, 127.1.2.3, 127.0.0.9"}},
		"Forwarded":       {"Forwarded": {`for="127.1.2.3:80", for=127.0.0.9`}},
	} {
		for range 50 {
			if got := ask(h, "GET", "near.test", "/a", headers).Header.Get("Location"); !slices.Contains(german, got) {
				t.Fatalf("%s: %q", name, got)
			}
		}
	}
	// From a peer that is not trusted the same headers count for nothing.
	h.trust(nil)
	seen := map[string]bool{}
	for range 200 {
		seen[ask(h, "GET", "near.test", "/a", http.Header{"X-Forwarded-For": {"127.1.2.3"}}).Header.Get("Location")] = true
	}
	if len(seen) != 4 {
		t.Errorf("an unlocated client gets %v", seen)
	}
}

// Over many requests every mirror is the target as often as its weight says:
// χ² at p ≥ 1e-6, with a fixed seed.
func TestShares(t *testing.T) {
	h := testHandler(t, testTable(t))
	const a, b, c, d = "https://a.mirror.test/pub/tails/", "https://b.mirror.test/tails/", "http://c.mirror.test/", "https://d.mirror.test/tails/"
	tests := []struct {
		name    string
		host    string
		headers http.Header
		shares  map[string]float64
		limit   float64 // of χ² at 1e-6 for len(shares)-1 degrees of freedom
	}{
		{"http", "download.test", nil, map[string]float64{a: .1, b: .2, c: .3, d: .4}, 30.7},
		{"https", "download.test", http.Header{"X-Forwarded-Proto": {"https"}}, map[string]float64{a: 1. / 7, b: 2. / 7, d: 4. / 7}, 27.7},
		{"capped", "near.test", http.Header{"X-Forwarded-For": {"127.1.2.3"}}, map[string]float64{a: .4, b: .6}, 24.0},
	}
	const requests = 20_000
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := "/tails/x"
			if test.host == "near.test" {
				path = "/x"
			}
			counts := map[string]float64{}
			for range requests {
				location := ask(h, "GET", test.host, path, test.headers).Header.Get("Location")
				counts[strings.TrimSuffix(location, "x")]++
			}
			var chi float64
			for prefix, share := range test.shares {
				expected := share * requests
				chi += (counts[prefix] - expected) * (counts[prefix] - expected) / expected
				delete(counts, prefix)
			}
			if len(counts) > 0 || chi > test.limit {
				t.Errorf("χ² = %.1f over %.1f, or others: %v", chi, test.limit, counts)
			}
			t.Logf("χ² = %.2f", chi)
		})
	}
}

func TestNoTable(t *testing.T) {
	response := ask(testHandler(t, nil), "GET", "download.test", "/tails/a", nil)
	if response.StatusCode != 503 || response.Header.Get("Retry-After") == "" {
		t.Errorf("%d %q", response.StatusCode, response.Header)
	}
}

// panicking is a source of draws that fails once the client is known.
type panicking struct{}

func (panicking) Uint64() uint64 { panic("boom") }

func TestPanic(t *testing.T) {
	var reported error
	table := testTable(t)
	h := newHandler(Config{
		Table: fixed(table), Random: panicking{}, Report: func(err error) { reported = err },
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	if response := ask(h, "GET", "download.test", "/tails/a", http.Header{"X-Forwarded-For": {"127.1.2.3"}}); response.StatusCode != 500 {
		t.Errorf("status %d", response.StatusCode)
	}
	if reported == nil || !strings.Contains(reported.Error(), "boom") || !strings.Contains(reported.Error(), "panicking") {
		t.Fatalf("reported %v", reported)
	}
	for _, trace := range []string{"127.1.2.3", "7f010203", "(0x", "{0x"} {
		if strings.Contains(reported.Error(), trace) {
			t.Errorf("reported with %q: %v", trace, reported)
		}
	}
}

// FuzzHandler asks anything: nothing panics, and no redirect leaves a mirror.
func FuzzHandler(f *testing.F) {
	h := testHandler(f, testTable(f))
	f.Add("GET", "download.test", "/tails/a", "127.1.2.3", "for=127.1.2.3")
	f.Add("HEAD", "root.test:80", "/%2e%2e/", "unknown", `for="`)
	f.Add("GET", "near.test.", "//x\\/..", "[::1]:80", "proto=https")
	f.Fuzz(func(t *testing.T, method, host, uri, xForwardedFor, forwarded string) {
		r := &http.Request{
			Method: method, Host: host, RequestURI: uri, RemoteAddr: "127.0.0.1:1",
			Header: http.Header{"X-Forwarded-For": {xForwardedFor}, "Forwarded": {forwarded}},
		}
		w := &discard{header: http.Header{}}
		h.ServeHTTP(w, r)
		location := w.header.Get("Location")
		if location == "" {
			return
		}
		for _, m := range append(h.table().Host("download.test").Mirrors, h.table().Host("root.test").Mirrors...) {
			if strings.HasPrefix(location, m.Mirror.URLPrefix) {
				checkUnder(t, m.Mirror.URLPrefix, location)
				return
			}
		}
		t.Fatalf("%q is under no mirror", location)
	})
}

// discard is an answer that nobody reads.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

func BenchmarkRedirect(b *testing.B) {
	h := testHandler(b, testTable(b))
	r := &http.Request{
		Method: "GET", Host: "near.test", RequestURI: "/stable/tails-amd64-7.0/tails-amd64-7.0.img", RemoteAddr: "127.0.0.1:1",
		Header: http.Header{"X-Forwarded-For": {netip.MustParseAddr("127.1.2.3").String()}},
	}
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(&discard{header: http.Header{}}, r)
	}
}
