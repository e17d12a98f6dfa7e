package admin

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorpool/pool/health"
	"mirrorpool/zones"
)

var update = flag.Bool("update", false, "write what the tests find into testdata")

// golden holds a text against a file of testdata, or writes it.
func golden(t *testing.T, name, found string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(found), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	expected, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(expected), found); diff != "" {
		t.Errorf("%s (-expected +found; -update writes it):\n%s", path, diff)
	}
}

func TestRoutes(t *testing.T) {
	h := testHandler(t, testTable(t, testPools))
	tests := []struct {
		method, target string
		status         int
		kind           string
		allow          string
	}{
		{"GET", "/", 200, "text/plain; charset=utf-8", ""},
		{"HEAD", "/", 200, "text/plain; charset=utf-8", ""},
		{"GET", "/healthz", 200, "text/plain; charset=utf-8", ""},
		{"HEAD", "/healthz", 200, "text/plain; charset=utf-8", ""},
		{"GET", "/metrics", 200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", ""},
		{"GET", "/api/v1/state", 200, "application/json", ""},
		{"GET", "/api/v1/explain?client=127.1.0.1", 200, "application/json", ""},
		{"POST", "/healthz", 405, "application/json", "GET, HEAD"},
		{"OPTIONS", "/api/v1/state", 405, "application/json", "GET, HEAD"},
		{"DELETE", "/metrics", 405, "application/json", "GET, HEAD"},
		{"GET", "/api/v1/reload", 405, "application/json", "POST"},
		{"HEAD", "/api/v1/reload", 405, "application/json", "POST"},
		{"GET", "/api/v1/", 404, "application/json", ""},
		{"GET", "/api/v1/state/", 404, "application/json", ""},
		{"GET", "/healthz/../metrics", 404, "application/json", ""},
		{"POST", "/nothing", 404, "application/json", ""},
	}
	for _, test := range tests {
		t.Run(test.method+" "+test.target, func(t *testing.T) {
			w := ask(h, test.method, test.target, nil)
			header := w.Header()
			if w.Code != test.status || header.Get("Content-Type") != test.kind || header.Get("Allow") != test.allow {
				t.Errorf("%d, Content-Type %q, Allow %q", w.Code, header.Get("Content-Type"), header.Get("Allow"))
			}
			for name, expected := range map[string]string{
				"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cache-Control": "no-store",
				"Referrer-Policy": "no-referrer", "Access-Control-Allow-Origin": "",
			} {
				if got := header.Get(name); got != expected {
					t.Errorf("%s: %q", name, got)
				}
			}
			if !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") {
				t.Errorf("Content-Security-Policy: %q", header.Get("Content-Security-Policy"))
			}
			if test.status >= 400 {
				errorOf(t, w.Body.Bytes())
			}
		})
	}
}

// errorOf gives the words of an answer that is an error.
func errorOf(t *testing.T, body []byte) string {
	t.Helper()
	var got failure
	if err := json.Unmarshal(body, &got); err != nil || got.Error == "" {
		t.Errorf("not an error as JSON: %q", body)
	}
	return got.Error
}

func TestIndexListsAll(t *testing.T) {
	text := ask(testHandler(t, nil), "GET", "/", nil).Body.String()
	for _, path := range []string{"mirrorpool 1.2.3\n", " / ", "/healthz", "/metrics", "/api/v1/state", "/api/v1/explain", "/api/v1/reload"} {
		if !strings.Contains(text, path) {
			t.Errorf("%q is not in\n%s", path, text)
		}
	}
}

func TestHealthz(t *testing.T) {
	awaiting := func(words string) func(*Config) {
		return func(c *Config) { c.Status = func() Status { return Status{Awaiting: words} } }
	}
	tests := []struct {
		table    *zones.Table
		awaiting string
		status   int
		body     string
	}{
		{testTable(t, testPools), "", 200, "ok\n"},
		{testTable(t, testPools), "the first commit", 200, "ok\n"},
		{nil, "the first commit", 503, "waiting for the first commit\n"},
		{nil, "waiting for the first round of health checks", 503, "waiting for the first round of health checks\n"},
		{nil, "", 503, "waiting for the first table\n"},
	}
	for _, test := range tests {
		w := ask(testHandler(t, test.table, awaiting(test.awaiting)), "GET", "/healthz", nil)
		if w.Code != test.status || w.Body.String() != test.body {
			t.Errorf("%q: %d %q", test.awaiting, w.Code, w.Body)
		}
	}
}

func TestState(t *testing.T) {
	w := ask(testHandler(t, testTable(t, testPools)), "GET", "/api/v1/state", nil)
	golden(t, "state.json", w.Body.String())
	for _, secret := range []string{"s3cret", "3cret"} {
		if strings.Contains(w.Body.String(), secret) {
			t.Errorf("%q is shown", secret)
		}
	}
}

// State, metrics and explanations tell what the prober knows now, not what it
// knew when the table was made.
func TestHealthIsLive(t *testing.T) {
	table := testTable(t, testPools)
	two := health.MemberTarget(table.Definition.Pools[0], netip.MustParseAddr("127.0.0.12"))
	h := testHandler(t, table, func(c *Config) {
		c.Health = func() *health.Report {
			return health.NewReport(map[health.Target]health.State{two: {Verdict: health.Up, Reason: "up this very moment"}})
		}
	})
	for _, path := range []string{"/api/v1/state", "/api/v1/explain?client=127.0.0.1"} {
		if body := ask(h, "GET", path, nil).Body.String(); !strings.Contains(body, "up this very moment") {
			t.Errorf("%s: %s", path, body)
		}
	}
	metric := `mirrorpool_target_up{address="127.0.0.12",host="",member="two",mirror="",pool="dl.pool.test"} 1`
	if body := ask(h, "GET", "/metrics", nil).Body.String(); !strings.Contains(body, metric) {
		t.Errorf("no %s in\n%s", metric, body)
	}
}

// Before anything is known, everything is there and nothing is null but times.
func TestStateAtStart(t *testing.T) {
	h := testHandler(t, nil, func(c *Config) {
		c.Status = func() Status { return Status{Awaiting: "the first commit"} }
	})
	golden(t, "state-start.json", ask(h, "GET", "/api/v1/state", nil).Body.String())
}

func TestReload(t *testing.T) {
	type headers = http.Header
	const marker = "X-Mirrorpool"
	tests := []struct {
		name    string
		headers headers
		reload  func(context.Context) error
		status  int
		words   string
	}{
		{"with the header", headers{marker: {"1"}}, nil, 200, ""},
		{"with JSON", headers{"Content-Type": {"application/json; charset=utf-8"}}, nil, 200, ""},
		{"under localhost", headers{marker: {"1"}, "Host": {"LocalHost:8053"}}, nil, 200, ""},
		{"under IPv6", headers{marker: {"1"}, "Host": {"[::1]:8053"}}, nil, 200, ""},
		{"under IPv6 without port", headers{marker: {"1"}, "Host": {"[::1]"}}, nil, 200, ""},
		{"under a known name", headers{marker: {"1"}, "Host": {"Node.test."}}, nil, 200, ""},
		{"own origin", headers{marker: {"1"}, "Origin": {"http://127.0.0.1:8053"}}, nil, 200, ""},
		{"nothing", nil, nil, 403, marker},
		{"a form", headers{"Content-Type": {"application/x-www-form-urlencoded"}}, nil, 403, marker},
		{"text", headers{"Content-Type": {"text/plain"}}, nil, 403, marker},
		{"other value", headers{marker: {"0"}}, nil, 403, marker},
		{"rebound name", headers{marker: {"1"}, "Host": {"evil.test:8053"}}, nil, 403, "evil.test"},
		{"name that begins well", headers{marker: {"1"}, "Host": {"127.0.0.1.evil.test"}}, nil, 403, "evil.test"},
		{"no host", headers{marker: {"1"}, "Host": {""}}, nil, 403, `""`},
		{"other origin", headers{marker: {"1"}, "Origin": {"http://evil.test"}}, nil, 403, "origin"},
		{"other site", headers{marker: {"1"}, "Sec-Fetch-Site": {"cross-site"}}, nil, 403, "origin"},
		{"refused", headers{marker: {"1"}}, func(context.Context) error { return errors.New("mirrorpool.yaml:3:5: unknown key") }, 409, "mirrorpool.yaml:3:5: unknown key"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			called := false
			h := testHandler(t, nil, func(c *Config) {
				c.Hosts = []string{"node.test"}
				c.Reload = func(ctx context.Context) error {
					called = true
					if test.reload != nil {
						return test.reload(ctx)
					}
					return nil
				}
			})
			w := ask(h, "POST", "/api/v1/reload", test.headers)
			if w.Code != test.status || called != (test.status != 403) {
				t.Fatalf("%d %s, called: %v", w.Code, w.Body, called)
			}
			if test.status == 200 {
				if w.Body.String() != "{\n  \"reloaded\": true\n}\n" {
					t.Errorf("body %s", w.Body)
				}
			} else if got := errorOf(t, w.Body.Bytes()); !strings.Contains(got, test.words) {
				t.Errorf("%q does not say %q", got, test.words)
			}
		})
	}
}

func TestReloadMissing(t *testing.T) {
	h := testHandler(t, nil, func(c *Config) { c.Reload = nil })
	if w := ask(h, "POST", "/api/v1/reload", http.Header{"X-Mirrorpool": {"1"}}); w.Code != 501 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestReloadOneAtATime(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	h := testHandler(t, nil, func(c *Config) {
		c.Reload = func(context.Context) error {
			close(begun)
			<-end
			return nil
		}
	})
	first := make(chan int)
	go func() { first <- ask(h, "POST", "/api/v1/reload", http.Header{"X-Mirrorpool": {"1"}}).Code }()
	<-begun
	if w := ask(h, "POST", "/api/v1/reload", http.Header{"X-Mirrorpool": {"1"}}); w.Code != 409 || !strings.Contains(w.Body.String(), "under way") {
		t.Errorf("second: %d %s", w.Code, w.Body)
	}
	close(end)
	if code := <-first; code != 200 {
		t.Errorf("first: %d", code)
	}
}

func TestReloadIsBounded(t *testing.T) {
	h := testHandler(t, nil, func(c *Config) {
		c.Reload = func(ctx context.Context) error {
			deadline, ok := ctx.Deadline()
			if !ok || time.Until(deadline) > reloadTimeout {
				t.Errorf("deadline %v %v", deadline, ok)
			}
			return nil
		}
	})
	ask(h, "POST", "/api/v1/reload", http.Header{"X-Mirrorpool": {"1"}})
}

func TestPanic(t *testing.T) {
	var reported error
	h := testHandler(t, nil, func(c *Config) {
		c.Status = func() Status { panic("boom") }
		c.Report = func(err error) { reported = err }
	})
	w := ask(h, "GET", "/api/v1/state", nil)
	if w.Code != 500 || reported == nil || !strings.Contains(reported.Error(), "boom") {
		t.Errorf("%d %s, reported %v", w.Code, w.Body, reported)
	}
	errorOf(t, w.Body.Bytes())
}

func TestRedact(t *testing.T) {
	tests := []struct{ url, text, expected string }{
		{"https://u:pass@h/x", "https://u:pass@h/x", "https://u:xxxxx@h/x"},
		{"https://u:pass@h/x", "the word pass is wrong", "the word xxxxx is wrong"},
		{"https://u:p%40ss@h/x", "p%40ss p@ss", "xxxxx xxxxx"},
		{"https://u:p%20ss@h/x", "p+ss p%20ss p ss", "xxxxx xxxxx xxxxx"},
		{"https://u:a@h/x", "a cat at https://u:a@h/x", "a cat at https://u:xxxxx@h/x"},
		{"https://u:@h/x", "https://u:@h/x", "https://u:@h/x"},
		{"https://token@h/x", "https://token@h/x: token", "https://xxxxx@h/x: xxxxx"},
		{"HTTP://t@h/x", "HTTP://t@h/x: t", "HTTP://xxxxx@h/x: t"},
		{"ssh://git@h/x", "ssh://git@h/x: git", "ssh://git@h/x: git"},
		{"ssh://git:pass@h/x", "ssh://git:pass@h/x", "ssh://git:xxxxx@h/x"},
		{"git@h.test:/srv/x.git", "git@h.test:/srv/x.git", "git@h.test:/srv/x.git"},
		{"https://u:p%zz@h/x", "https://u:p%zz@h/x", "https://u:xxxxx@h/x"},
		{"https://u:a@b@h/x", "https://u:a@b@h/x", "https://u:xxxxx@h/x"},
		{"/srv/a@b:c/x", "/srv/a@b:c/x", "/srv/a@b:c/x"},
		{"file:///srv/a@b", "file:///srv/a@b", "file:///srv/a@b"},
		{"", "", ""},
	}
	for _, test := range tests {
		if got := redact(test.url).text(test.text); got != test.expected {
			t.Errorf("%q in %q: %q, expected %q", test.url, test.text, got, test.expected)
		}
	}
}
