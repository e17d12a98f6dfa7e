package redirect

import (
	"errors"
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	tests := []struct {
		uri, strip string
		rest       string // expected; outside and err exclude it
		outside    bool
		err        error
	}{
		{uri: "/tails/stable/a.img", strip: "/tails/", rest: "stable/a.img"},
		{uri: "/tails/stable/", strip: "/tails/", rest: "stable/"},
		{uri: "/tails/", strip: "/tails/", rest: ""},
		{uri: "/tails", strip: "/tails/", rest: ""},
		{uri: "/tails?x=1", strip: "/tails/", rest: "?x=1"},
		{uri: "/", strip: "/tails/", outside: true},
		{uri: "/tailsx/a", strip: "/tails/", outside: true},
		{uri: "/tails.html", strip: "/tails/", outside: true},
		{uri: "/other/tails/a", strip: "/tails/", outside: true},
		{uri: "/Tails/a", strip: "/tails/", outside: true},
		{uri: "/", strip: "/", rest: ""},
		{uri: "/a/b", strip: "/", rest: "a/b"},
		{uri: "/a/b/c", strip: "/a/b/", rest: "c"},
		{uri: "/a", strip: "/a/b/", outside: true},

		// Escapes stay as they were sent.
		{uri: "/tails/a%20b%7ec%2Bd+e", strip: "/tails/", rest: "a%20b%7ec%2Bd+e"},
		{uri: "/tails/%C3%a9", strip: "/tails/", rest: "%C3%a9"},
		{uri: "/%74ails/a", strip: "/tails/", rest: "a"},
		{uri: "/tails/%252e%252e%252fa", strip: "/tails/", rest: "%252e%252e%252fa"},
		{uri: "/tails/a%25", strip: "/tails/", rest: "a%25"},
		{uri: "/tails/a:b@c;d=e,f!$&'()*", strip: "/tails/", rest: "a:b@c;d=e,f!$&'()*"},
		// What may not stand in a URL gets them.
		{uri: "/tails/<\">", strip: "/tails/", rest: "%3C%22%3E"},
		{uri: "/tails/{^|`}", strip: "/tails/", rest: "%7B%5E%7C%60%7D"},
		{uri: "/tails/\xc3\xa9", strip: "/tails/", rest: "%C3%A9"},

		// The query stays.
		{uri: "/tails/a?b=c&d=%2e%2e/", strip: "/tails/", rest: "a?b=c&d=%2e%2e/"},
		{uri: "/tails/a?", strip: "/tails/", rest: "a?"},
		{uri: "/tails/a??", strip: "/tails/", rest: "a??"},
		{uri: "/tails/a?x=../../\\<>\xff 100%", strip: "/tails/", rest: "a?x=../../%5C%3C%3E%FF%20100%"},

		// Segments that say nothing go.
		{uri: "//tails//a///b", strip: "/tails/", rest: "a/b"},
		{uri: "/tails//", strip: "/tails/", rest: ""},
		{uri: "//evil.invalid/a", strip: "/", rest: "evil.invalid/a"},
		{uri: "///evil.invalid/a", strip: "/", rest: "evil.invalid/a"},
		{uri: "/./tails/./a/.", strip: "/tails/", rest: "a/"},
		{uri: "/tails/%2e/%2E/a/%2e", strip: "/tails/", rest: "a/"},
		{uri: "/tails/.../.a/..b/c..", strip: "/tails/", rest: ".../.a/..b/c.."},

		// absolute-form
		{uri: "http://download.invalid/tails/a?b", strip: "/tails/", rest: "a?b"},
		{uri: "HTTP://download.invalid//tails/a", strip: "/tails/", rest: "a"},
		{uri: "http://download.invalid", strip: "/", rest: ""},
		{uri: "http://download.invalid?a/b", strip: "/", rest: "?a/b"},
		{uri: "http://download.invalid/tails/../b", strip: "/", err: errTargetParent},

		{uri: "/tails/../a", strip: "/tails/", err: errTargetParent},
		{uri: "/..", strip: "/", err: errTargetParent},
		{uri: "/tails/..", strip: "/tails/", err: errTargetParent},
		{uri: "/a/../tails/b", strip: "/tails/", err: errTargetParent},
		{uri: "/tails/%2e%2e/a", strip: "/tails/", err: errTargetParent},
		{uri: "/tails/.%2E/a", strip: "/tails/", err: errTargetParent},
		{uri: "/tails/%2e./a", strip: "/tails/", err: errTargetParent},
		{uri: "/tails/..;/a", strip: "/tails/", err: errTargetParent},
		{uri: "/tails/%2e%2e%3bx/a", strip: "/tails/", err: errTargetParent},
		{uri: "/tails/..%2fa", strip: "/tails/", err: errTargetSlash},
		{uri: "/tails/a%2Fb", strip: "/tails/", err: errTargetSlash},
		{uri: "/tails/..\\a", strip: "/tails/", err: errTargetSlash},
		{uri: "/tails/..%5Ca", strip: "/tails/", err: errTargetSlash},
		{uri: "/\\evil.invalid/", strip: "/", err: errTargetSlash},
		{uri: "/tails/a%0d%0aSet-Cookie:b", strip: "/tails/", err: errTargetControl},
		{uri: "/tails/a%0Ab", strip: "/tails/", err: errTargetControl},
		{uri: "/tails/a%00", strip: "/tails/", err: errTargetControl},
		{uri: "/tails/a%7f", strip: "/tails/", err: errTargetControl},
		{uri: "/tails/.\t./a", strip: "/tails/", err: errTargetControl},
		{uri: "/tails/a?\r\nb", strip: "/tails/", err: errTargetControl},
		{uri: "/tails/a%", strip: "/tails/", err: errTargetEscape},
		{uri: "/tails/a%2", strip: "/tails/", err: errTargetEscape},
		{uri: "/tails/a%2g", strip: "/tails/", err: errTargetEscape},
		{uri: "/tails/a%u002e", strip: "/tails/", err: errTargetEscape},
		{uri: "/tails/a#b", strip: "/tails/", err: errTargetNumberSign},
		{uri: "/tails/a?b#c", strip: "/tails/", err: errTargetNumberSign},
		{uri: "*", strip: "/", err: errTargetForm},
		{uri: "", strip: "/", err: errTargetForm},
		{uri: "download.invalid:443", strip: "/", err: errTargetForm},
		{uri: "/" + strings.Repeat("a", maxTarget-1), strip: "/", rest: strings.Repeat("a", maxTarget-1)},
		{uri: "/" + strings.Repeat("a", maxTarget), strip: "/", err: errTargetLong},
		{uri: "/a?" + strings.Repeat("a", maxTarget), strip: "/", err: errTargetLong},
	}
	for _, test := range tests {
		wanted, err := parseTarget(test.uri)
		if !errors.Is(err, test.err) {
			t.Errorf("%q: error %v, expected %v", test.uri, err, test.err)
			continue
		}
		if test.err != nil {
			continue
		}
		rest, ok := wanted.under(test.strip)
		if ok == test.outside || rest != test.rest {
			t.Errorf("%q under %q: %q %v, expected %q %v", test.uri, test.strip, rest, ok, test.rest, !test.outside)
		}
	}
}

func TestTargetIs(t *testing.T) {
	for uri, expected := range map[string]bool{
		"/mirrors.json":       true,
		"/mirrors.json?now":   true,
		"/mirrors.json/":      false,
		"/tails/mirrors.json": false,
		"/mirrors.jso%6e":     false,
		"/":                   false,
	} {
		wanted, err := parseTarget(uri)
		if err != nil {
			t.Fatal(err)
		}
		if got := wanted.is(mirrorsPath); got != expected {
			t.Errorf("%q: %v, expected %v", uri, got, expected)
		}
	}
}

// FuzzTarget holds that whatever is asked for, nobody who reads the result
// after a URL prefix ends up outside of it.
func FuzzTarget(f *testing.F) {
	for _, seed := range []string{
		"/tails/a", "/tails/%2e%2e/", "//evil.invalid", "/a;/..;b/.%2e", "http://h/tails/../", "/tails/a?b=../..",
		"/\\/", "/%5c%2f", "/tails/./%2E//", "/:@/", "/a%0d%0ab", "/tails/\u2024\u2024/", "/tails/%c0%ae%c0%ae/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		wanted, err := parseTarget(uri)
		if err != nil {
			return
		}
		for _, strip := range []string{"/", "/tails/"} {
			rest, ok := wanted.under(strip)
			if !ok {
				continue
			}
			if len(rest) > 3*maxTarget {
				t.Fatalf("%q: %d bytes", uri, len(rest))
			}
			for _, prefix := range []string{"https://mirror.invalid/pub/tails/", "http://mirror.invalid:8080/"} {
				checkUnder(t, prefix, prefix+rest)
			}
		}
	})
}

// checkUnder fails unless location lies under prefix for net/url and for a
// browser, and can stand in a header and between "<" and ">".
func checkUnder(t *testing.T, prefix, location string) {
	t.Helper()
	for i := range len(location) {
		if c := location[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`<>"\#`, c) >= 0 {
			t.Fatalf("%q has the byte %q", location, c)
		}
	}
	base, err := url.Parse(prefix)
	if err != nil {
		t.Fatal(err)
	}
	got, err := url.Parse(location)
	if err != nil {
		t.Fatalf("net/url refuses %q: %v", location, err)
	}
	// Both as it stands and relative to another page.
	elsewhere, _ := url.Parse("https://elsewhere.invalid/x/y")
	for _, got := range []*url.URL{got, elsewhere.ResolveReference(got)} {
		if got.Scheme != base.Scheme || got.Host != base.Host || got.User != nil || got.Fragment != "" {
			t.Fatalf("%q leads to another host", location)
		}
		cleaned := path.Clean(got.Path)
		if !strings.HasPrefix(cleaned+"/", base.Path) {
			t.Fatalf("%q leads to %q", location, cleaned)
		}
	}
	if host, directory := browse(location); host != base.Host || !strings.HasPrefix(directory, base.Path) {
		t.Fatalf("a browser takes %q for %q on %q", location, directory, host)
	}
}

// browse reads an absolute URL as browsers do (WHATWG URL, section 4.4):
// tabs and line ends are dropped, backslashes are slashes, and dots count
// escaped as well.
func browse(location string) (host, path string) {
	location = strings.NewReplacer("\t", "", "\r", "", "\n", "", `\`, "/").Replace(location)
	_, rest, _ := strings.Cut(location, "://")
	rest, _, _ = strings.Cut(rest, "#")
	rest, _, _ = strings.Cut(rest, "?")
	host, rest, _ = strings.Cut(strings.TrimLeft(rest, "/"), "/")
	_, after, ok := strings.Cut(host, "@")
	if ok {
		host = after
	}
	var walked []string
	parts := strings.Split(rest, "/")
	for i, part := range parts {
		last := i == len(parts)-1
		switch strings.ReplaceAll(strings.ToLower(part), "%2e", ".") {
		case "..":
			walked = walked[:max(len(walked)-1, 0)]
			if last {
				walked = append(walked, "")
			}
		case ".":
			if last {
				walked = append(walked, "")
			}
		default:
			walked = append(walked, part)
		}
	}
	return host, "/" + strings.Join(walked, "/")
}

// The judges themselves have to see what they are there for.
func TestBrowse(t *testing.T) {
	for location, expected := range map[string]string{
		"https://h/a/b":            "/a/b",
		"https://h/a/../b":         "/b",
		"https://h/a/%2E%2e/b":     "/b",
		"https://h/a/.%2e":         "/",
		"https://h/a/..\\..\\b/":   "/b/",
		"https://h/a/.\t./b":       "/b",
		"https://h/a/./b/.":        "/a/b/",
		"https://h/a/b?c/../d#e/f": "/a/b",
	} {
		if _, got := browse(location); got != expected {
			t.Errorf("%q: %q, expected %q", location, got, expected)
		}
	}
	if host, _ := browse(`https://user@h\x`); host != "h" {
		t.Errorf("host %q", host)
	}
}
