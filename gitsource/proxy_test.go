package gitsource

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mirrorpool/testport"
)

const onion = "ytvgvqwbpz4mzzdxzc7pzdxzc7pzdxzc7pzdxzc7pzdxzc7pzdxzcyd.onion"

func TestProxyResolvesTheName(t *testing.T) {
	r := newRepository(t)
	s := newSSHServer(t)
	s.trust(t, onion, s.hostKey)
	proxy := newSOCKSServer(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)))
	// What must not leak in: a proxy of the environment, and one of its kind
	// that goes unused; a host alias and a proxy of the user's SSH settings.
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(home, ".ssh", "config"), "Host *\n  Hostname 127.0.0.9\n  Port 9\n  User nobody\n", 0o600)
	t.Setenv("HOME", home)
	for _, name := range []string{"ALL_PROXY", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "https_proxy"} {
		t.Setenv(name, "socks5://127.0.0.9:9")
	}
	config := s.config(r.path)
	config.URL = fmt.Sprintf("%s@%s:%s", s.user, onion, r.path)
	config.Proxy = "socks5h://" + proxy.address
	followed(t, r, config)
	config.Proxy = "socks5://one:two@" + proxy.address
	followed(t, r, config)

	asked, users := proxy.requests()
	for _, what := range asked {
		if want := "name " + onion + ":22"; what != want {
			t.Errorf("the proxy was asked for %s, want %s", what, want)
		}
	}
	if len(asked) != 8 || len(users) != 4 {
		t.Errorf("%d requests of the proxy, %d with a user; want 8 and 4", len(asked), len(users))
	}
	for _, user := range users {
		if user != "one:two" {
			t.Errorf("the proxy got user and password %s", user)
		}
	}

	t.Run("unknown host", func(t *testing.T) {
		s.trust(t, "127.0.0.1", s.hostKey)
		_, _, err := lookAt(t, config)
		wantError(t, err, []string{"torsocks ssh-keyscan " + onion}, ErrHostKeyUnknown)
	})
	t.Run("direct without leaks", func(t *testing.T) {
		direct := s.config(r.path)
		s.trust(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), s.hostKey)
		followed(t, r, direct)
	})
	t.Run("git through it", func(t *testing.T) {
		url := r.gitDaemon()
		port := url[strings.LastIndex(url, ":")+1 : strings.LastIndex(url, "/")]
		through := newSOCKSServer(t, "127.0.0.1:"+port)
		followed(t, r, Config{URL: "git://" + onion + "/mirrors.git", Branch: "main", Proxy: "socks5h://" + through.address})
		if asked, _ := through.requests(); asked[0] != "name "+onion+":9418" {
			t.Errorf("the proxy was asked for %s", asked[0])
		}
	})
	t.Run("proxy gone", func(t *testing.T) {
		gone := config
		gone.Proxy = fmt.Sprintf("socks5h://one:secret@127.0.0.1:%d", testport.Unused(t))
		_, _, err := lookAt(t, gone)
		wantError(t, err, []string{"through the proxy 127.0.0.1", onion})
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows a password: %v", err)
		}
	})
}

func TestRealProxy(t *testing.T) {
	program := need(t, "microsocks", "microsocks")
	r := newRepository(t)
	s := newSSHServer(t)
	port := int(testport.Unused(t))
	start(t, program, "-i", "127.0.0.1", "-p", strconv.Itoa(port), "-u", "one", "-P", "two")
	awaitPort(t, port)
	config := s.config(r.path)
	config.Proxy = fmt.Sprintf("socks5h://one:two@127.0.0.1:%d", port)
	followed(t, r, config)
	config.Proxy = fmt.Sprintf("socks5h://one:wrong@127.0.0.1:%d", port)
	_, _, err := lookAt(t, config)
	wantError(t, err, []string{"through the proxy", "username/password"})
}
