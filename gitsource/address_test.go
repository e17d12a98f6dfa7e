package gitsource

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseAddress(t *testing.T) {
	tests := []struct {
		raw  string
		want address
		text string // what String gives
	}{
		{"/srv/mirrors.git", address{scheme: "file", path: "/srv/mirrors.git"}, "/srv/mirrors.git"},
		{"/srv/odd:name@host/", address{scheme: "file", path: "/srv/odd:name@host"}, "/srv/odd:name@host"},
		{"file:///srv/a%20b", address{scheme: "file", path: "/srv/a b"}, "/srv/a b"},
		{"file://localhost/srv/x", address{scheme: "file", path: "/srv/x"}, "/srv/x"},
		{"git://Host.Test/x", address{scheme: "git", host: "host.test", port: 9418, path: "/x"}, "git://host.test/x"},
		{"git://[::1]:99/x", address{scheme: "git", host: "::1", port: 99, path: "/x"}, "git://[::1]:99/x"},
		{"ssh://host.test/x", address{scheme: "ssh", user: "git", host: "host.test", port: 22, path: "/x"}, "ssh://git@host.test/x"},
		{"ssh://ada@host.test:2222/~bob/x", address{scheme: "ssh", user: "ada", host: "host.test", port: 2222, path: "~bob/x"}, "ssh://ada@host.test:2222/~bob/x"},
		{"ada@host.test:/srv/x.git", address{scheme: "ssh", user: "ada", host: "host.test", port: 22, path: "/srv/x.git"}, "ssh://ada@host.test/srv/x.git"},
		{"host.test:x.git", address{scheme: "ssh", user: "git", host: "host.test", port: 22, path: "x.git"}, "ssh://git@host.test/~/x.git"},
		{"ada@[::1]:/x:y", address{scheme: "ssh", user: "ada", host: "::1", port: 22, path: "/x:y"}, "ssh://ada@[::1]/x:y"},
		{"tails_git@" + onion + ":/srv/repositories/mirrors.git", address{scheme: "ssh", user: "tails_git", host: onion, port: 22, path: "/srv/repositories/mirrors.git"}, "ssh://tails_git@" + onion + "/srv/repositories/mirrors.git"},
		{"https://host.test/a%20b/", address{scheme: "https", host: "host.test", port: 443, path: "/a%20b"}, "https://host.test/a%20b"},
		{"https://ada:secret@host.test:8443/x", address{scheme: "https", user: "ada", password: "secret", host: "host.test", port: 8443, path: "/x"}, "https://host.test:8443/x"},
		{"https://TOKEN@host.test/x.git", address{scheme: "https", user: "TOKEN", host: "host.test", port: 443, path: "/x.git"}, "https://host.test/x.git"},
		{"http://TOKEN:x-oauth-basic@host.test/x.git", address{scheme: "http", user: "TOKEN", password: "x-oauth-basic", host: "host.test", port: 80, path: "/x.git"}, "http://host.test/x.git"},
		{"https://Host.Test.:8443/x", address{scheme: "https", host: "host.test", port: 8443, path: "/x"}, "https://host.test:8443/x"},
		{"host.test.:/x", address{scheme: "ssh", user: "git", host: "host.test", port: 22, path: "/x"}, "ssh://git@host.test/x"},
		{"http://[::1]/x", address{scheme: "http", host: "::1", port: 80, path: "/x"}, "http://[::1]/x"},
	}
	for _, test := range tests {
		got, err := parseAddress(test.raw)
		if err != nil {
			t.Errorf("%s: %v", test.raw, err)
			continue
		}
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(address{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.raw, diff)
		}
		if got.String() != test.text {
			t.Errorf("%s: written as %s, want %s", test.raw, got, test.text)
		}
	}
}

func TestParseAddressRefuses(t *testing.T) {
	for raw, says := range map[string]string{
		"":                                "no remote is given",
		"mirrors.git":                     "relative path",
		"./a:b":                           "relative path",
		"/a\nb":                           "control character",
		"ftp://host.test/x":               "ftp://",
		"ext::sh -c id":                   "remote helper",
		"file://host.test/x":              "names a host",
		"file://":                         "no path",
		"https://host.test":               "no path",
		"https://host.test/":              "no path",
		"https:///x":                      "no host",
		"https://./x":                     "no host",
		"https://host.test../x":           "cannot be a host",
		"https://host.test/x?y=z":         "query",
		"https://host.test/x#y":           "fragment",
		"https://host.test:0/x":           "port",
		"https://host.test:99999/x":       "port",
		"https://host.test:y/x":           "not a URL",
		"ssh://ada:secret@host.test/x":    "password",
		"git://ada@host.test/x":           "user",
		"git://host.test/x%0Ay":           "cannot be a repository's path",
		"host.test:":                      "no path",
		"ada@:x":                          "no path",
		"-oProxyCommand=id:x":             "cannot be a host",
		"ssh://-oProxyCommand=id/x":       "cannot be a host",
		"host.test:-x":                    "cannot be a repository's path",
		"https://ada:sec%ret@host.test/x": "not a URL",
		"https://secret@host.test/x?y=z":  "query",
		"http://secret:x@host.test/x#y":   "fragment",
		"https://secret@host.test:0/x":    "port",
		"git://secret@host.test/x":        "has a user",
	} {
		_, err := parseAddress(raw)
		if err == nil {
			t.Errorf("%q is taken", raw)
			continue
		}
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%q: the error does not say %q: %v", raw, says, err)
		}
		if strings.Contains(err.Error(), "sec") && strings.Contains(err.Error(), "ret") && !strings.Contains(says, "secret") {
			t.Errorf("%q: the error shows a password: %v", raw, err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"/x", "file:///x", "a@b:c", "a@[::1]:c", "ssh://a@b:1/c", "https://a:b@c:2/d", "git://[::1]/x", "[:x", "@:", "a@[:c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := parseAddress(raw)
		if err != nil {
			return
		}
		if a.path == "" || (a.scheme != schemeLocal && (a.host == "" || a.port == 0)) {
			t.Errorf("%q is incomplete: %+v", raw, a)
		}
		_ = a.String()
	})
}

func TestValidate(t *testing.T) {
	good := Config{URL: "ada@host.test:/x", SSHKey: "/key", KnownHosts: "/hosts", StateDir: "/state"}
	with := func(change func(*Config)) Config {
		c := good
		change(&c)
		return c
	}
	tests := []struct {
		name     string
		config   Config
		settings string // that the errors are about
	}{
		{"ssh", good, ""},
		{"local", Config{URL: "/x", StateDir: "/state"}, ""},
		{"all set", with(func(c *Config) {
			c.Branch, c.Proxy, c.Poll, c.Timeout, c.MaxBytes = "topic/x", "socks5h://127.0.0.1:9050", time.Second, time.Second, 1
		}), ""},
		{"nothing", Config{}, "url state_dir"},
		{"no key", with(func(c *Config) { c.SSHKey = "" }), "ssh_key"},
		{"no known hosts", with(func(c *Config) { c.KnownHosts = "" }), "known_hosts"},
		{"onion without proxy", with(func(c *Config) { c.URL = "ada@" + onion + ":x" }), "proxy"},
		{"onion with a final dot", with(func(c *Config) { c.URL = "ada@" + onion + ".:x" }), "proxy"},
		{"onion with a final dot in a URL", with(func(c *Config) { c.URL = "https://" + onion + ".:8443/x" }), "proxy"},
		{"onion with proxy", with(func(c *Config) { c.URL, c.Proxy = "ada@"+onion+":x", "socks5://localhost" }), ""},
		{"negative", with(func(c *Config) { c.Poll, c.Timeout, c.MaxBytes, c.MaxFiles, c.MaxUnpacked = -1, -1, -1, -1, -1 }), "poll timeout max_bytes max_files max_unpacked"},
		{"branch as reference", with(func(c *Config) { c.Branch = "refs/heads/main" }), "branch"},
		{"branch with space", with(func(c *Config) { c.Branch = "a b" }), "branch"},
		{"branch as option", with(func(c *Config) { c.Branch = "--all" }), "branch"},
		{"http proxy", with(func(c *Config) { c.Proxy = "http://127.0.0.1:1" }), "proxy"},
		{"proxy without host", with(func(c *Config) { c.Proxy = "socks5h://:1" }), "proxy"},
		{"proxy with path", with(func(c *Config) { c.Proxy = "socks5h://h/x" }), "proxy"},
		{"proxy with bad port", with(func(c *Config) { c.Proxy = "socks5h://h:70000" }), "proxy"},
		{"relative state", with(func(c *Config) { c.StateDir = "state" }), "state_dir"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var settings []string
			err := test.config.Validate()
			if joined, ok := err.(interface{ Unwrap() []error }); ok {
				for _, single := range joined.Unwrap() {
					var wrong *SettingError
					if !errors.As(single, &wrong) {
						t.Fatalf("not a SettingError: %v", single)
					}
					settings = append(settings, wrong.Setting)
				}
			}
			if got := strings.Join(settings, " "); got != test.settings {
				t.Errorf("errors about %q, want %q: %v", got, test.settings, err)
			}
		})
	}
	_, err := parseProxy("socks5h://ada:secret@host:x")
	wantError(t, err, nil)
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error shows a password: %v", err)
	}
}
