package gitsource

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func ecdsaKey(t *testing.T) string {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(public.Marshal())
}

// smartHTTP serves the repositories beside this one with git http-backend.
func (r *repository) smartHTTP() http.Handler {
	return &cgi.Handler{
		Path: filepath.Join(run(r.t, "", "git", "--exec-path"), "git-http-backend"),
		Env: []string{
			"GIT_PROJECT_ROOT=" + filepath.Dir(r.path), "GIT_HTTP_EXPORT_ALL=1",
			"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "HOME=/nonexistent",
		},
		Stderr: new(lastWords),
	}
}

func TestHTTPRemote(t *testing.T) {
	r := newRepository(t)
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.9:9")
	}
	t.Run("http", func(t *testing.T) {
		server := httptest.NewServer(r.smartHTTP())
		defer server.Close()
		_, _, err := lookAt(t, Config{URL: server.URL + "/mirrors.git", Branch: "main"})
		wantError(t, err, []string{"is empty"}, ErrRepositoryEmpty)
		followed(t, r, Config{URL: server.URL + "/mirrors.git", Branch: "main"})
		followed(t, r, Config{URL: server.URL + "/mirrors.git/", Branch: "main"})
	})
	t.Run("https", func(t *testing.T) {
		server := httptest.NewUnstartedServer(r.smartHTTP())
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		defer server.Close()
		roots := x509.NewCertPool()
		roots.AddCert(server.Certificate())
		config := Config{URL: server.URL + "/mirrors.git", Branch: "main", RootCAs: roots}
		followed(t, r, config)

		config.RootCAs = x509.NewCertPool()
		_, _, err := lookAt(t, config)
		wantError(t, err, []string{"certificate of 127.0.0.1", "not trusted", "unknown authority"})

		config.RootCAs = roots
		config.URL = strings.Replace(config.URL, "127.0.0.1", "localhost.test", 1)
		config.Proxy = "socks5h://" + newSOCKSServer(t, server.Listener.Addr().String()).address
		_, _, err = lookAt(t, config)
		wantError(t, err, []string{"not trusted", "localhost.test"})
		config.URL = strings.Replace(config.URL, "localhost.test", "example.com", 1) // in the test certificate
		followed(t, r, config)
	})
}

func TestHTTPTroubles(t *testing.T) {
	r := newRepository(t)
	r.commit("main", poolFiles)
	backend := r.smartHTTP()
	var passwords []string
	mux := http.NewServeMux()
	mux.Handle("/", backend)
	mux.HandleFunc("/private/", func(w http.ResponseWriter, req *http.Request) {
		user, password, _ := req.BasicAuth()
		if user != "ada" || password != "p@ss word" {
			w.Header().Set("WWW-Authenticate", "Basic")
			http.Error(w, strings.Repeat("go away\x1b[31m ", 10_000), http.StatusUnauthorized)
			return
		}
		http.StripPrefix("/private", backend).ServeHTTP(w, req)
	})
	mux.HandleFunc("/forbidden/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	mux.HandleFunc("/broken/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, strings.Repeat("oh\x1b[31m no\n", 10_000), http.StatusBadGateway)
	})
	mux.HandleFunc("/page/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>hello</html>")) })
	mux.HandleFunc("/moved/", func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, strings.Replace(req.URL.Path, "/moved", "", 1)+"?"+req.URL.RawQuery, http.StatusMovedPermanently)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, password, _ := req.BasicAuth()
		passwords = append(passwords, password)
		backend.ServeHTTP(w, req)
	}))
	defer elsewhere.Close()
	mux.HandleFunc("/away/", func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, elsewhere.URL+strings.Replace(req.URL.Path, "/away", "", 1)+"?"+req.URL.RawQuery, http.StatusFound)
	})
	signedIn := strings.Replace(server.URL, "http://", "http://ada:p%40ss%20word@", 1)

	tests := []struct {
		name, url string
		says      []string
		kinds     []error
	}{
		{"not there", server.URL + "/none.git", []string{"no Git repository at /none.git", "404"}, nil},
		{"no password", server.URL + "/private/mirrors.git", []string{"401", "https://user:password@host"}, []error{ErrAuthentication}},
		{"wrong password", strings.Replace(signedIn, "word", "sword", 1) + "/private/mirrors.git", []string{"401"}, []error{ErrAuthentication}},
		{"forbidden", server.URL + "/forbidden/mirrors.git", []string{"403"}, []error{ErrAuthentication}},
		{"broken", server.URL + "/broken/mirrors.git", []string{"502", "oh [31m no"}, nil},
		{"a web page", server.URL + "/page/mirrors.git", []string{"not in the Git protocol"}, nil},
		{"TLS expected", strings.Replace(server.URL, "http:", "https:", 1) + "/mirrors.git", []string{"TLS"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := lookAt(t, Config{URL: test.url, Branch: "main"})
			wantError(t, err, test.says, test.kinds...)
			if text := err.Error(); strings.Contains(text, "p@ss") || strings.Contains(text, "%40ss") || len(text) > 1000 || strings.ContainsAny(text, "\x1b\n") {
				t.Errorf("the error is too long, has control characters or shows a password: %.2000q", text)
			}
		})
	}
	for _, url := range []string{signedIn + "/private/mirrors.git", server.URL + "/moved/mirrors.git", signedIn + "/away/mirrors.git"} {
		if _, found, err := lookAt(t, Config{URL: url, Branch: "main"}); err != nil || found == nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, password := range passwords {
		if password != "" {
			t.Errorf("another host got the password %s", password)
		}
	}
	if len(passwords) == 0 {
		t.Error("the redirect to another host was not followed")
	}
}
