package main

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mirrorpool/pool"
)

// probeOptions is what the command line says.
type probeOptions struct {
	host            string
	port            int
	secure          bool
	path, file      string
	anyPath         bool // path was not said, of a pool's member: it may be otherPath as well
	maxAge, timeout time.Duration
	bytes, floor    int64
	rsync           string
	follow          bool
	all             string
	fast, strict    bool
	json            bool

	argument string     // a URL or an address; empty with all
	url      *url.URL   // nil: it is an address
	address  netip.Addr // the argument, if it is one
}

// otherPath is where the trace is looked for if it is not where it mostly is: pools whose
// clients ask for /tails/ have it there. A mirror is not asked so, for its URL is where files
// are asked for: one that has them elsewhere has a wrong URL.
const otherPath = "tails/project/trace"

// ofOne are the flags that say what one mirror is asked.
var ofOne = []string{"host", "port", "https", "path", "max-age", "file", "bytes", "floor", "rsync", "follow", "timeout"}

var (
	probeHost = regexp.MustCompile(`^[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?\.?$`)
	probePath = regexp.MustCompile(`^[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*$`)
)

// check holds the options together, and reads the argument.
func (o *probeOptions) check(arguments []string, changed func(flag string) bool) error {
	if changed("all") {
		return o.checkAll(arguments, changed)
	}
	if len(arguments) == 0 {
		return errors.New("probe: nothing to ask: name a URL, an ADDRESS with --host, or --all DIR")
	}
	o.argument = arguments[0]
	if err := o.readArgument(changed); err != nil {
		return err
	}
	switch {
	case o.host != "" && !probeHost.MatchString(o.host):
		return fmt.Errorf("--host: found %q, expected a DNS name, without port", o.host)
	case o.port < 0 || o.port > 65535 || changed("port") && o.port == 0:
		return fmt.Errorf("--port: found %d, expected a port from 1 to 65535", o.port)
	case o.timeout < 100*time.Millisecond || o.timeout > 10*time.Minute:
		return fmt.Errorf("--timeout: found %s, expected a duration from 100ms to 10m", o.timeout)
	case o.maxAge < 0:
		return fmt.Errorf("--max-age: found %s, expected a duration, 0 for any age", o.maxAge)
	case o.bytes < 1 || o.bytes > 1<<30:
		return fmt.Errorf("--bytes: found %d, expected a number from 1 to %d", o.bytes, 1<<30)
	case o.floor < 0:
		return fmt.Errorf("--floor: found %d, expected bytes a second", o.floor)
	}
	for flag, path := range map[string]string{"--path": o.path, "--file": o.file} {
		if !probePath.MatchString(path) {
			return fmt.Errorf("%s: found %q, expected a path of letters, digits and -._~!$&'()*+,;=:@?/ (percent-encode others)", flag, path)
		}
	}
	o.path, o.file = strings.TrimLeft(o.path, "/"), strings.TrimLeft(o.file, "/")
	o.anyPath = o.host != "" && !changed("path")
	return o.checkRsync()
}

func (o *probeOptions) checkAll(arguments []string, changed func(flag string) bool) error {
	if len(arguments) > 0 {
		return fmt.Errorf("probe: --all asks every mirror of a working tree: leave out %q", arguments[0])
	}
	if i := slices.IndexFunc(ofOne, changed); i >= 0 {
		return fmt.Errorf("probe: --all asks what the working tree says: leave out --%s", ofOne[i])
	}
	if o.all == "" {
		return errors.New("--all: found nothing, expected the directory of a working tree")
	}
	return nil
}

// readArgument takes an address, with or without brackets, or a URL prefix as
// mirrors.json has it.
func (o *probeOptions) readArgument(changed func(flag string) bool) error {
	address, err := netip.ParseAddr(strings.Trim(o.argument, "[]"))
	if with, wrong := netip.ParseAddrPort(o.argument); wrong == nil && with.Port() > 0 {
		if changed("port") {
			return fmt.Errorf("probe: %q says itself what port is asked: leave out --port", o.argument)
		}
		address, err, o.port = with.Addr(), nil, int(with.Port())
	}
	if err == nil {
		if o.host == "" {
			return errors.New("probe: an address is asked for a pool's name: give it by --host")
		}
		o.address = address.Unmap()
		return nil
	}
	u, err := url.Parse(o.argument)
	const expected = "an address, or a URL such as https://mirror.example/tails/"
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return fmt.Errorf("probe: found %q, expected %s", o.argument, expected)
	case !askable(u):
		return fmt.Errorf("probe: found %q, expected %s, with a port from 1 to 65535 if any, and without a zone", o.argument, expected)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return fmt.Errorf("probe: found %q, expected %s, without user name, query and fragment", o.argument, expected)
	case !probePath.MatchString(u.EscapedPath()):
		return fmt.Errorf("probe: found %q, expected %s, with a path of letters, digits and -._~!$&'()*+,;=:@/", o.argument, expected)
	case changed("port") || changed("https"):
		return errors.New("probe: a URL says itself what port is asked and how: leave out --port and --https")
	}
	if !strings.HasSuffix(u.Path, "/") {
		u = u.JoinPath("/")
	}
	o.url = u
	return nil
}

// askable reports whether a URL's port, if it has one, is one, and whether its address has
// no zone, which means something on one machine alone.
func askable(u *url.URL) bool {
	if strings.Contains(u.Hostname(), "%") {
		return false
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return u.Port() == "" || err == nil && port > 0
}

func (o *probeOptions) checkRsync() error {
	if o.rsync == "" {
		return nil
	}
	u, err := url.Parse(o.rsync)
	if err != nil || u.Scheme != "rsync" || u.Hostname() == "" || !askable(u) || strings.Trim(u.Path, "/") == "" ||
		strings.ContainsFunc(o.rsync, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return fmt.Errorf("--rsync: found %q, expected a URL such as rsync://mirror.example/tails/", o.rsync)
	}
	return nil
}

// kind is how the mirror is asked.
func (o *probeOptions) kind() pool.CheckKind {
	if o.secure || o.url != nil && o.url.Scheme == "https" {
		return pool.CheckHTTPS
	}
	return pool.CheckHTTP
}

// portOf is the port that is asked.
func (o *probeOptions) portAsked() string {
	switch {
	case o.url != nil && o.url.Port() != "":
		return o.url.Port()
	case o.port > 0:
		return fmt.Sprint(o.port)
	case o.kind() == pool.CheckHTTPS:
		return "443"
	}
	return "80"
}
