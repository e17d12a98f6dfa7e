package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"mirrorpool/zones"
)

// askRaw asks for an explanation with a query that need not be one.
func askRaw(h http.Handler, query string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, &http.Request{Method: http.MethodGet, Host: "127.0.0.1", URL: &url.URL{Path: "/api/v1/explain", RawQuery: query}})
	return w
}

func testConfig() Config {
	return Config{
		Listen: "127.0.0.1:0",
		Table:  func() *zones.Table { return nil },
		Status: func() Status { return Status{Awaiting: "the first commit"} },
	}
}

func TestServer(t *testing.T) {
	server, err := Listen(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	response, err := http.Get("http://" + server.Address().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil || response.StatusCode != 503 || string(body) != "waiting for the first commit\n" {
		t.Errorf("%d %q %v", response.StatusCode, body, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", server.Address().String()); err == nil {
		t.Error("the listener goes on")
	}
}

func TestListenerFails(t *testing.T) {
	server, err := Listen(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if err := server.Run(t.Context()); err == nil {
		t.Error("no error")
	}
}

func TestListenTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	config := testConfig()
	config.Listen = taken.Addr().String()
	_, err = Listen(config)
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), config.Listen) {
		t.Errorf("error %v", err)
	}
}

func TestValidate(t *testing.T) {
	change := func(f func(*Config)) Config {
		c := testConfig()
		f(&c)
		return c
	}
	for _, listen := range []string{"", "127.0.0.1:0", "[::1]:8053", ":8053"} {
		if err := change(func(c *Config) { c.Listen = listen }).Validate(); err != nil {
			t.Errorf("%q: %v", listen, err)
		}
	}
	tests := []struct {
		config Config
		words  string
	}{
		{change(func(c *Config) { c.Listen = "127.0.0.1" }), `"127.0.0.1"`},
		{change(func(c *Config) { c.Listen = "localhost:8053" }), "not an IP address"},
		{change(func(c *Config) { c.Listen = "127.0.0.1:99999" }), "99999"},
		{change(func(c *Config) { c.Listen = "127.0.0.1:" }), "port"},
		{change(func(c *Config) { c.Table = nil }), "tables"},
		{change(func(c *Config) { c.Status = nil }), "status"},
	}
	for _, test := range tests {
		err := test.config.Validate()
		if err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("error %v does not say %q", err, test.words)
		}
		if _, listenErr := Listen(test.config); listenErr == nil {
			t.Errorf("Listen took what Validate refuses: %v", err)
		}
	}
}
