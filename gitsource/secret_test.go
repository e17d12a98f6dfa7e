package gitsource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mirrorpool/testport"
)

// wantNoSecret checks an error with all that it is made from for a text that
// must not be in it.
func wantNoSecret(t *testing.T, err error, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q is in the error %T: %s", secret, err, err)
		}
	}
	switch wrapping := err.(type) {
	case interface{ Unwrap() error }:
		if inner := wrapping.Unwrap(); inner != nil {
			wantNoSecret(t, inner, secrets...)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range wrapping.Unwrap() {
			wantNoSecret(t, inner, secrets...)
		}
	}
}

// A token may stand in the place of the user or of the password.
func TestTokenIsNeverShown(t *testing.T) {
	r := newRepository(t)
	r.commit("main", poolFiles)
	backend := r.smartHTTP()
	var reached atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		if user, _, _ := req.BasicAuth(); user != "TOKEN" {
			t.Errorf("asked without the token")
		}
		reached.Add(1)
		backend.ServeHTTP(w, req)
	})
	mux.HandleFunc("/refused/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	mux.HandleFunc("/broken/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	mux.HandleFunc("/round/", func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, req.URL.RequestURI(), http.StatusFound)
	})
	mux.HandleFunc("/astray/", func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, "/broken/", http.StatusFound)
	})
	mux.HandleFunc("/cut/", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	server := httptest.NewServer(mux)
	defer server.Close()

	for _, credentials := range []string{"TOKEN", "TOKEN:x-oauth-basic"} {
		signedIn := func(url string) string { return strings.Replace(url, "http://", "http://"+credentials+"@", 1) }
		for _, url := range []string{
			server.URL + "/none.git", server.URL + "/refused/x", server.URL + "/broken/x",
			server.URL + "/round/x", server.URL + "/astray/x", server.URL + "/cut/x",
			fmt.Sprintf("http://127.0.0.1:%d/mirrors.git", testport.Unused(t)), strings.Replace(server.URL, "http:", "https:", 1) + "/x",
		} {
			url = strings.Replace(signedIn(url), "https://", "https://"+credentials+"@", 1)
			_, _, err := lookAt(t, Config{URL: url, Branch: "main"})
			wantError(t, err, nil)
			wantNoSecret(t, err, "TOKEN", "x-oauth-basic")
		}
		config := Config{URL: signedIn(server.URL) + "/mirrors.git", Branch: "main", Poll: time.Hour, StateDir: t.TempDir()}
		source, err := Open(config)
		if err != nil {
			t.Fatal(err)
		}
		if source.Remote() != server.URL+"/mirrors.git" {
			t.Errorf("the remote is shown as %s", source.Remote())
		}
		ctx, cancel := context.WithCancel(t.Context())
		source.config.Notify = func(Status) { cancel() }
		if err := source.Run(ctx, func(context.Context, *Revision) error { return nil }); err != nil {
			t.Error(err)
		}
		if status := source.Status(); status.LastError != "" || status.Good.Commit == "" {
			t.Fatalf("status %+v", status)
		}
		text, err := os.ReadFile(source.store.file())
		if err != nil || strings.Contains(string(text), "TOKEN") || strings.Contains(string(text), "x-oauth-basic") {
			t.Errorf("the token is in the kept file, or: %v", err)
		}
		other := source.store
		other.branch = "other"
		if _, _, err = other.load(); !errors.Is(err, ErrOtherRemote) {
			t.Fatal(err)
		}
		wantNoSecret(t, err, "TOKEN", "x-oauth-basic")
	}
	if reached.Load() == 0 {
		t.Error("no look reached the repository")
	}
}

// Of a page that comes with an error, only a line is read and kept.
func TestErrorPagesAreCut(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusBadGateway, http.StatusMultipleChoices} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			for {
				if _, err := w.Write(bytes.Repeat([]byte("PAGE "), 1000)); err != nil {
					return
				}
			}
		}))
		_, _, err := lookAt(t, Config{URL: server.URL + "/x", MaxBytes: 4 << 20})
		server.Close()
		wantError(t, err, []string{strconv.Itoa(status)})
		wantNoSecret(t, err, strings.Repeat("PAGE ", 100))
		if errors.Is(err, ErrTooLarge) {
			t.Errorf("all of the page was read: %v", err)
		}
	}
}
