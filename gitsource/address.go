package gitsource

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode"
)

// The ways to reach a remote.
const (
	schemeLocal = "file"
	schemeGit   = "git"
	schemeHTTP  = "http"
	schemeHTTPS = "https"
	schemeSSH   = "ssh"
)

// address is a remote's URL, taken apart.
type address struct {
	scheme   string
	user     string // ssh: never empty; http and https: may be a secret too, such as a token
	password string // http and https only
	host     string // without brackets and a final dot, lower case; empty for local ones
	port     int    // never 0, except for local ones
	path     string // as the scheme wants it: escaped for http, plain for the others
}

var defaultPorts = map[string]int{schemeGit: 9418, schemeHTTP: 80, schemeHTTPS: 443, schemeSSH: 22}

const forms = "expected an absolute path, file:///path, git://host/path, http(s)://host/path, ssh://user@host/path or user@host:path"

// parseAddress takes a remote's URL apart. Its errors never show a password, nor
// a user of http and https, which may be a token.
func parseAddress(raw string) (address, error) {
	switch {
	case raw == "":
		return address{}, errors.New("no remote is given: " + forms)
	case strings.ContainsFunc(raw, unicode.IsControl):
		return address{}, errors.New("the remote holds a control character: " + forms)
	case strings.Contains(raw, "://"):
		return parseURL(raw)
	case strings.HasPrefix(raw, "/"):
		return address{scheme: schemeLocal, path: path.Clean(raw)}, nil
	}
	if before, _, found := strings.Cut(raw, ":"); found && !strings.Contains(before, "/") {
		return parseSCP(raw)
	}
	return address{}, fmt.Errorf("%q is a relative path: %s", raw, forms)
}

func parseURL(raw string) (address, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The error of url.Parse quotes its input, password and all.
		return address{}, errors.New("the remote is not a URL: " + forms)
	}
	a := address{scheme: u.Scheme, host: strings.ToLower(u.Hostname()), path: u.Path}
	if u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		return address{}, fmt.Errorf("%s has a query or a fragment, which no Git remote has: write ? as %%3F and # as %%23", withoutSecrets(u))
	}
	if u.User != nil {
		a.user = u.User.Username()
		a.password, _ = u.User.Password()
	}
	if a.scheme == schemeLocal {
		return parseFileURL(u)
	}
	if err := a.fill(u); err != nil {
		return address{}, err
	}
	return a, a.check()
}

// withoutSecrets is a URL for errors. Only a user of ssh is shown: on other
// remotes it may be a token, which stands in for a password.
func withoutSecrets(u *url.URL) string {
	shown := *u
	if shown.Scheme != schemeSSH {
		shown.User = nil
	}
	return shown.Redacted()
}

func parseFileURL(u *url.URL) (address, error) {
	if u.Host != "" && u.Host != "localhost" {
		return address{}, fmt.Errorf("%s names a host: a local repository is file:///path", withoutSecrets(u))
	}
	if !strings.HasPrefix(u.Path, "/") {
		return address{}, fmt.Errorf("%s has no path: a local repository is file:///path", withoutSecrets(u))
	}
	if strings.ContainsRune(u.Path, 0) {
		return address{}, fmt.Errorf("%s holds a NUL", withoutSecrets(u))
	}
	return address{scheme: schemeLocal, path: path.Clean(u.Path)}, nil
}

// fill sets what differs from scheme to scheme.
func (a *address) fill(u *url.URL) error {
	port, known := defaultPorts[a.scheme]
	if !known {
		return fmt.Errorf("remotes of the kind %s:// are not known: %s", u.Scheme, forms)
	}
	a.port = port
	if given := u.Port(); given != "" {
		n, err := strconv.ParseUint(given, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("%s: the port is not from 1 to 65535", withoutSecrets(u))
		}
		a.port = int(n)
	}
	switch a.scheme {
	case schemeHTTP, schemeHTTPS:
		a.path = strings.TrimRight(u.EscapedPath(), "/")
		return nil
	case schemeSSH:
		a.path = homeRelative(a.path)
	}
	if a.password != "" {
		return fmt.Errorf("%s has a password, which only http and https know", withoutSecrets(u))
	}
	if a.scheme == schemeGit && a.user != "" {
		return fmt.Errorf("%s has a user, which git:// does not know", withoutSecrets(u))
	}
	return nil
}

// homeRelative turns /~user/path into ~user/path, which the other side's
// git-upload-pack resolves.
func homeRelative(p string) string {
	if strings.HasPrefix(p, "/~") {
		return p[1:]
	}
	return p
}

// parseSCP reads user@host:path and host:path, where the host may be an IPv6
// address in brackets.
func parseSCP(raw string) (address, error) {
	a := address{scheme: schemeSSH, port: defaultPorts[schemeSSH]}
	rest := raw
	if at := strings.LastIndexByte(raw[:strings.IndexByte(raw, ':')], '@'); at >= 0 {
		a.user, rest = raw[:at], raw[at+1:]
	}
	separator := strings.IndexByte(rest, ':')
	if strings.HasPrefix(rest, "[") {
		separator = strings.Index(rest, "]:") + 1
	}
	if separator <= 0 {
		return address{}, fmt.Errorf("%q: no path after the host: %s", raw, forms)
	}
	a.host = strings.ToLower(strings.Trim(rest[:separator], "[]"))
	a.path = homeRelative(rest[separator+1:])
	if strings.HasPrefix(a.path, ":") {
		return address{}, fmt.Errorf("%q names a remote helper of Git's, which are not used: %s", raw, forms)
	}
	return a, a.check()
}

// check is the last step for all remotes that have a host.
func (a *address) check() error {
	a.host = strings.TrimSuffix(a.host, ".") // it says no more than that the name is whole
	if a.host == "" {
		return errors.New("the remote has no host: " + forms)
	}
	if strings.HasPrefix(a.host, "-") || strings.HasSuffix(a.host, ".") || strings.ContainsAny(a.host, " /@%\\[]") {
		return fmt.Errorf("%q cannot be a host's name", a.host)
	}
	if a.path == "" || a.path == "/" {
		return fmt.Errorf("the remote on %s has no path: %s", a.host, forms)
	}
	if strings.HasPrefix(a.path, "-") || strings.ContainsFunc(a.path, unicode.IsControl) {
		return fmt.Errorf("%q cannot be a repository's path", a.path)
	}
	if a.scheme == schemeSSH && a.user == "" {
		a.user = "git"
	}
	return nil
}

// hostPort is where to connect to.
func (a address) hostPort() string { return net.JoinHostPort(a.host, strconv.Itoa(a.port)) }

// String is the remote in one form for all the ways to write it, without the
// password, and without the user of http and https, which may be a token. It
// tells one remote from another in the state file.
func (a address) String() string {
	if a.scheme == schemeLocal {
		return a.path
	}
	var b strings.Builder
	b.WriteString(a.scheme + "://")
	if a.scheme == schemeSSH {
		b.WriteString(url.User(a.user).String() + "@")
	}
	if a.port == defaultPorts[a.scheme] {
		b.WriteString(bracketed(a.host))
	} else {
		b.WriteString(a.hostPort())
	}
	if !strings.HasPrefix(a.path, "/") {
		b.WriteByte('/')
		if !strings.HasPrefix(a.path, "~") {
			b.WriteString("~/") // relative to the home directory
		}
	}
	b.WriteString(a.path)
	return b.String()
}

func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}
