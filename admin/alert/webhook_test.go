package alert

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"
)

// hook is an HTTPS server with a certificate of an authority of its own.
func hook(t *testing.T, a *authority, handle http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handle)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{a.pair}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func TestWebhookOverTLS(t *testing.T) {
	a := newAuthority(t)
	secret := []byte("a secret")
	var bodies [][]byte
	server := hook(t, a, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, secret)
		mac.Write(body)
		if got, want := r.Header.Get("X-Mirrorpool-Signature"), "sha256="+hex.EncodeToString(mac.Sum(nil)); got != want {
			t.Errorf("signature %q, want %q", got, want)
		}
		if got := r.Header.Get("Authorization"); got != "Bearer t" {
			t.Errorf("authorization %q", got)
		}
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("User-Agent") != "mirrorpool/test" {
			t.Errorf("%s with %v", r.Method, r.Header)
		}
		var d Document
		if json.Unmarshal(body, &d) == nil && r.Header.Get("X-Mirrorpool-Delivery") != d.ID && d.ID != "" {
			t.Errorf("delivery %q of %q", r.Header.Get("X-Mirrorpool-Delivery"), d.ID)
		}
		bodies = append(bodies, body)
		w.WriteHeader(http.StatusNoContent)
	})
	m := nastyMessage()
	w := &Webhook{
		URL: server.URL + "/T0PSECRET", Form: FormFull, RootCAs: a.pool, UserAgent: "mirrorpool/test",
		Secret: func() ([]byte, error) { return secret, nil }, Authorization: func() (string, error) { return "Bearer t", nil },
	}
	for _, form := range []Form{FormFull, FormText, FormContent} {
		w.Form = form
		if err := attemptOnce(context.Background(), w, m, 10*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	var d Document
	decoder := json.NewDecoder(strings.NewReader(string(bodies[0])))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		t.Fatal(err)
	}
	if d.Version != 1 || d.ID != m.id || len(d.Events) != 2 || d.Events[0].Status != "trouble" || d.Events[0].End != nil ||
		d.Events[1].Status != "over" || d.Events[1].End == nil || d.Events[1].Over != "is up again" || d.Text != m.text() {
		t.Errorf("document %s", bodies[0])
	}
	if strings.Contains(string(bodies[0]), ":null") && !strings.Contains(string(bodies[0]), `"end":null`) {
		t.Errorf("a list that is null in %s", bodies[0])
	}
	var text map[string]any
	if err := json.Unmarshal(bodies[1], &text); err != nil || len(text) != 1 || !strings.Contains(text["text"].(string), "MAIL FROM:&lt;x&gt;") {
		t.Errorf("text %s: %v", bodies[1], err)
	}
	var content struct {
		Content  string              `json:"content"`
		Mentions map[string][]string `json:"allowed_mentions"`
	}
	if err := json.Unmarshal(bodies[2], &content); err != nil || content.Content == "" || content.Mentions["parse"] == nil {
		t.Errorf("content %s: %v", bodies[2], err)
	}
	if got := short(strings.Repeat("ö", 5000), maxContent); utf8.RuneCountInString(got) != maxContent || !strings.HasSuffix(got, "…\n") {
		t.Errorf("%d characters", utf8.RuneCountInString(got))
	}
}

func TestWebhookAnswers(t *testing.T) {
	a := newAuthority(t)
	var followed atomic.Int32
	server := hook(t, a, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then a client that goes is noticed
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/followed", http.StatusTemporaryRedirect)
		case "/followed":
			followed.Add(1)
		case "/gone":
			http.Error(w, "no such room\x1b[31m\r\nand more", http.StatusNotFound)
		case "/busy":
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(http.StatusTooManyRequests)
		case "/forever":
			w.Header().Set("Retry-After", "99999999999")
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/broken":
			w.WriteHeader(http.StatusBadGateway)
		case "/hang":
			<-r.Context().Done()
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}
	})
	for path, c := range map[string]struct {
		words string
		hope  bool
		after time.Duration
	}{
		"/redirect": {words: "found status 307, expected 200 to 299: redirects are not followed"},
		"/gone":     {words: `found status 404, expected 200 to 299: "no such room.[31m  and more"`},
		"/busy":     {words: "429", hope: true, after: 2 * time.Minute},
		"/forever":  {words: "503", hope: true, after: longestWait},
		"/broken":   {words: "502", hope: true},
		"/hang":     {words: "context deadline exceeded", hope: true},
		"/endless":  {},
	} {
		t.Run(path, func(t *testing.T) {
			w := &Webhook{URL: server.URL + path, Form: FormFull, RootCAs: a.pool}
			limit := time.Minute
			if path == "/hang" {
				limit = time.Second
			}
			err := attemptOnce(context.Background(), w, nastyMessage(), limit)
			if c.words == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.words) || errors.As(err, &hopeless{}) == c.hope {
				t.Errorf("got %v, want %q", err, c.words)
			}
			if strings.Contains(err.Error(), path) {
				t.Errorf("the path is in %q", err)
			}
			var ask later
			if errors.As(err, &ask); ask.after != c.after {
				t.Errorf("to wait %s, want %s", ask.after, c.after)
			}
		})
	}
	if followed.Load() > 0 {
		t.Error("a redirect was followed")
	}
	for name, w := range map[string]*Webhook{
		"an unknown authority": {URL: server.URL, Form: FormFull},
		"an unreadable secret": {URL: server.URL, Form: FormFull, RootCAs: a.pool, Secret: func() ([]byte, error) { return nil, os.ErrPermission }},
		"nobody there":         {URL: "https://127.0.0.1:" + unusedPort(t) + "/T0PSECRET", Form: FormFull},
	} {
		err := attemptOnce(context.Background(), w, nastyMessage(), time.Minute)
		if err == nil || errors.As(err, &hopeless{}) || strings.Contains(err.Error(), "T0PSECRET") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWebhookURLs(t *testing.T) {
	for url, good := range map[string]bool{
		"https://hooks.example/x":     true,
		"http://127.0.0.1:8080/x":     true,
		"http://[::1]/":               true,
		"http://localhost/":           true,
		"http://hooks.example/":       false,
		"http://127.0.0.1.example/":   false,
		"ftp://hooks.example/":        false,
		"https:///x":                  false,
		"https://user:pw@example/":    false,
		"":                            false,
		"https://hooks.example/%zz":   false,
		"//hooks.example/":            false,
		"https://hooks.example\n/":    false,
		"https://hooks.example:port/": false,
	} {
		if err := (&Webhook{URL: url, Form: FormFull}).Validate(); (err == nil) != good {
			t.Errorf("%q: %v", url, err)
		}
	}
}
