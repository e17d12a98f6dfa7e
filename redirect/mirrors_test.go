package redirect

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"testing"

	"mirrorpool/pool"
)

func TestMirrorsFile(t *testing.T) {
	h := testHandler(t, testTable(t))
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256([]byte(testMirrors)))
	const date = "Sun, 01 Mar 2026 12:00:00 GMT"
	tests := []struct {
		name, method string
		headers      http.Header
		status       int
	}{
		{"plain", "GET", nil, 200},
		{"head", "HEAD", nil, 200},
		{"same tag", "GET", http.Header{"If-None-Match": {tag}}, 304},
		{"same tag among others", "HEAD", http.Header{"If-None-Match": {`"x", W/` + tag}}, 304},
		{"any tag", "GET", http.Header{"If-None-Match": {"*"}}, 304},
		{"other tag", "GET", http.Header{"If-None-Match": {`"x"`}}, 200},
		{"other tag, same date", "GET", http.Header{"If-None-Match": {`"x"`}, "If-Modified-Since": {date}}, 200},
		{"same date", "GET", http.Header{"If-Modified-Since": {date}}, 304},
		{"later date", "GET", http.Header{"If-Modified-Since": {"Mon, 02 Mar 2026 12:00:00 GMT"}}, 200},
		{"range", "GET", http.Header{"Range": {"bytes=0-9"}}, 206},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			response := ask(h, test.method, "download.test", "/mirrors.json", test.headers)
			if response.StatusCode != test.status {
				t.Fatalf("status %d, expected %d", response.StatusCode, test.status)
			}
			header := response.Header
			// net/http leaves Last-Modified out of a 304 that has a tag.
			dated := test.status == 304 || header.Get("Last-Modified") == date
			if header.Get("ETag") != tag || !dated || header.Get("Cache-Control") != "public, max-age=60" {
				t.Errorf("%q", header)
			}
			expected := testMirrors
			switch {
			case test.status == 304 || test.method == "HEAD":
				expected = ""
			case test.status == 206:
				expected = testMirrors[:10]
			}
			if text := body(t, response); text != expected {
				t.Errorf("body %q", text)
			}
			if test.status == 200 && header.Get("Content-Type") != "application/json" {
				t.Errorf("Content-Type %q", header.Get("Content-Type"))
			}
		})
	}
}

func TestEntityTagsAreBounded(t *testing.T) {
	var tags entityTags
	for range 10 * maxEntityTags {
		tags.of(&pool.MirrorList{})
	}
	if len(tags.tags) > maxEntityTags {
		t.Errorf("%d tags kept", len(tags.tags))
	}
}
