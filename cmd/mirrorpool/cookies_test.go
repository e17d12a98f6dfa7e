package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/rs/zerolog"

	"mirrorpool/dnsserver"
)

// Secrets of the tests, and a mistake in one.
const (
	firstSecret  = "000102030405060708090a0b0c0d0e0f"
	secondSecret = "f0e0d0c0b0a090807060504030201000"
	brokenSecret = "f0e0d0c0b0a09080706050403020100"
)

func writeSecrets(t *testing.T, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o640); err != nil {
		t.Fatal(err)
	}
}

func TestCookieFilesThatAreNoGood(t *testing.T) {
	directory := t.TempDir()
	in := func(name string) string { return filepath.Join(directory, name) }
	writeSecrets(t, in("short"), "# ours", brokenSecret)
	writeSecrets(t, in("empty"))
	if err := os.WriteFile(in("large"), bytes.Repeat([]byte("#"), maxCookiesFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(in("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"missing": "no such file or directory: make it with `openssl rand -hex 16`",
		"short":   "line 2: a secret of 31 characters",
		"empty":   "no secret in it",
		"large":   "more than 65536 bytes: name a file with one or two lines",
		"pipe":    "no regular file: name one with one or two lines",
		".":       "no regular file",
	} {
		_, err := openCookies(in(name))
		if err == nil || !strings.HasPrefix(err.Error(), "dns.cookie_secret_file: ") ||
			!strings.Contains(err.Error(), directory) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		if err != nil && strings.Contains(err.Error(), brokenSecret[:8]) {
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
	}
}

func TestCookieFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	writeSecrets(t, path, firstSecret)
	c, err := openCookies(path)
	if err != nil {
		t.Fatal(err)
	}
	first := c.current()
	if changed, err := c.refresh(); changed || err != nil {
		t.Errorf("as it was: changed %v, %v", changed, err)
	}
	writeSecrets(t, path, "# the same", firstSecret)
	if changed, err := c.refresh(); changed || err != nil {
		t.Errorf("with a comment: changed %v, %v", changed, err)
	}
	writeSecrets(t, path, brokenSecret)
	if changed, err := c.refresh(); changed || err == nil || c.current() != first {
		t.Errorf("with a mistake: changed %v, %v", changed, err)
	}
	writeSecrets(t, path, secondSecret, firstSecret)
	if changed, err := c.refresh(); !changed || err != nil || c.current() == first {
		t.Errorf("another one: changed %v, %v", changed, err)
	}
	second := c.current()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if changed, err := c.refresh(); changed || err == nil || c.current() != second {
		t.Errorf("gone: changed %v, %v", changed, err)
	}
	if same, err := c.reopen(path); same != c || err != nil {
		t.Errorf("the same file that is gone: %v", err)
	}
	if _, err := c.reopen(path + "2"); err == nil {
		t.Error("another file that is missing is opened")
	}
}

// TestCookieFileIsWatched holds that a change is noticed without a reload, that
// the stage tells of a mistake, and that the log warns of a file that all may
// read.
func TestCookieFileIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "secrets")
		writeSecrets(t, path, firstSecret)
		var log lockedBuffer
		n := &node{stages: newStages(time.Now), logger: zerolog.New(&log), cookiesChanged: make(chan struct{}, 1)}
		c := &config{DNS: dnsConfig{CookieSecretFile: path}}
		if err := n.openCookies(c); err != nil {
			t.Fatal(err)
		}
		n.config.Store(c)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go n.cookiesFollow(ctx)
		look := func(what string, changed, fails bool) {
			t.Helper()
			time.Sleep(rereadInterval)
			synctest.Wait()
			select {
			case <-n.cookiesChanged:
				if !changed {
					t.Errorf("%s: the name server is told", what)
				}
			default:
				if changed {
					t.Errorf("%s: the name server is not told", what)
				}
			}
			if failing := n.stages.list(); (len(failing) == 1) != fails || fails && failing[0].stage != stageCookies {
				t.Errorf("%s: failing: %v", what, failing)
			}
		}
		look("as it was", false, false)
		writeSecrets(t, path, secondSecret)
		look("another one", true, false)
		writeSecrets(t, path, brokenSecret)
		look("with a mistake", false, true)
		if n.stages.list()[0].err == nil || strings.Contains(log.String(), brokenSecret[:8]) {
			t.Errorf("the log shows the secret:\n%s", &log)
		}
		writeSecrets(t, path, secondSecret)
		look("mended", false, false)
		if strings.Contains(log.String(), "chmod") {
			t.Errorf("a warning of a file for the group alone:\n%s", &log)
		}
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		look("for all to read", false, false)
		look("still", false, false)
		if got := strings.Count(log.String(), "chmod 640"); got != 1 {
			t.Errorf("%d warnings of a file that all may read, want 1:\n%s", got, &log)
		}
	})
}

// TestDrawnCookieSecrets holds that without a file there is another secret every
// day, and that a reload is none.
func TestDrawnCookieSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := openCookies("")
		if err != nil {
			t.Fatal(err)
		}
		first := c.current()
		if first == (dnsserver.CookieSecrets{}) {
			t.Fatal("no secret")
		}
		time.Sleep(cookiesLifetime - time.Second)
		if changed, err := c.refresh(); changed || err != nil || c.current() != first {
			t.Errorf("before its time: changed %v, %v", changed, err)
		}
		if same, err := c.reopen(""); same != c || err != nil {
			t.Errorf("opened again: %v", err)
		}
		time.Sleep(time.Second)
		if changed, err := c.refresh(); !changed || err != nil || c.current() == first {
			t.Errorf("after a day: changed %v, %v", changed, err)
		}
		if changed, _ := c.refresh(); changed {
			t.Error("changed once more")
		}
	})
}

// cookie asks with a cookie and gives the one that comes back.
func (r *running) cookie(cookie string) string {
	r.Helper()
	question := new(dns.Msg)
	question.SetQuestion("dl.example.test.", dns.TypeA)
	question.SetEdns0(1232, false)
	question.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: cookie}}
	reply, _, err := new(dns.Client).Exchange(question, r.dnsAddress())
	if err != nil {
		r.Fatal(err)
	}
	for _, option := range reply.IsEdns0().Option {
		if got, is := option.(*dns.EDNS0_COOKIE); is {
			return got.Cookie
		}
	}
	r.Fatalf("no cookie in %v", reply)
	return ""
}

var cookieMetric = regexp.MustCompile(`mirrorpool_dns_cookies_total\{state="([a-z]+)"\} (\d+)`)

// cookieStates are the counters of cookies.
func (r *running) cookieStates() string {
	r.Helper()
	_, metrics := r.get("/metrics")
	states := map[string]string{}
	for _, match := range cookieMetric.FindAllStringSubmatch(metrics, -1) {
		states[match[1]] = match[2]
	}
	return fmt.Sprint(states)
}

// TestCookiesOfANode holds that a node's cookies are made with the secrets of
// its file: two nodes with one file take each other's, and rolling the secret in
// the three steps of RFC 9018 section 5 makes no client's cookie bad.
func TestCookiesOfANode(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets")
	writeSecrets(t, file, firstSecret)
	settings := fmt.Sprintf("dns: {listen: [\"127.0.0.1:0\"], cookie_secret_file: %q}\n", file)
	a, b := newRunning(t, settings), newRunning(t, settings)
	for _, r := range []*running{a, b} {
		r.start()
		r.serving(r.git(r.path("checkout"), "rev-parse", "HEAD"))
	}
	cookie := a.cookie("0102030405060708")
	cookie = b.cookie(cookie)
	if got := b.cookieStates(); got != "map[good:1]" {
		t.Errorf("of the cookie that the other node made: %s", got)
	}
	for step, secrets := range [][]string{{firstSecret, secondSecret}, {secondSecret, firstSecret}, {secondSecret}} {
		writeSecrets(t, file, secrets...)
		if err := a.node.requestReload(t.Context()); err != nil {
			t.Fatal(err)
		}
		// The one node has the step behind it, the other does not yet.
		cookie = b.cookie(a.cookie(cookie))
		if err := b.node.requestReload(t.Context()); err != nil {
			t.Fatal(err)
		}
		cookie = a.cookie(b.cookie(cookie))
		if got, want := a.cookieStates(), fmt.Sprintf("map[good:%d new:1]", 2*step+2); got != want {
			t.Errorf("step %d: %s, want %s", step+1, got, want)
		}
		if got, want := b.cookieStates(), fmt.Sprintf("map[good:%d]", 2*step+3); got != want {
			t.Errorf("step %d: %s at the other node, want %s", step+1, got, want)
		}
	}

	// A file that has become bad changes nothing, and the stage says so.
	writeSecrets(t, file, brokenSecret)
	if err := a.node.requestReload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if stage := a.stage(stageCookies); !strings.Contains(stage.Error, file+": line 1: a secret of 31 characters") || stage.StaleSince.IsZero() {
		t.Errorf("the stage says %+v", stage)
	}
	cookie = a.cookie(cookie)
	if got := a.cookieStates(); got != "map[good:7 new:1]" {
		t.Errorf("with a mistake in the file: %s", got)
	}
	if strings.Contains(a.log.String(), brokenSecret[:8]) {
		t.Error("the log shows the secret")
	}

	// Another file that is no good changes nothing either; without a file a
	// secret is drawn.
	a.write("node.yaml", a.config(strings.Replace(settings, "secrets", "others", 1)))
	if err := a.node.requestReload(t.Context()); err == nil || !strings.Contains(err.Error(), "dns.cookie_secret_file: ") {
		t.Errorf("another file that is missing: %v", err)
	}
	a.write("node.yaml", a.config(""))
	if err := a.node.requestReload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if stage := a.stage(stageCookies); stage.Error != "" {
		t.Errorf("without a file the stage says %+v", stage)
	}
	a.cookie(cookie)
	if got := a.cookieStates(); got != "map[bad:1 good:7 new:1]" {
		t.Errorf("with a drawn secret: %s", got)
	}
}

func TestStartFailsWithoutCookieSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets")
	writeSecrets(t, file, "", brokenSecret)
	r := newRunning(t, fmt.Sprintf("dns: {listen: [\"127.0.0.1:0\"], cookie_secret_file: %q}\n", file))
	config, err := loadConfig(r.path("node.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = newNode(r.path("node.yaml"), config, r.log)
	if err == nil || !strings.Contains(err.Error(), file+": line 2: a secret of 31 characters: expected 32 hexadecimal digits") {
		t.Errorf("started with: %v", err)
	}
}
