package health

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"mirrorpool/pool"
)

// Resolver finds the addresses of mirrors' names; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Limits of one probe.
const (
	maxBody      = 64 << 10    // bytes of a body that are looked at
	maxChunked   = 8 * maxBody // bytes that are read for them, with the marks of chunks
	maxHeader    = 64 << 10    // bytes of an answer's header
	maxRedirects = 5
	maxAddresses = 8 // of a mirror's name that are tried
)

// checker makes probes. It has no state and may be used at the same time by
// any number of goroutines.
type checker struct {
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	resolver  Resolver
	roots     *x509.CertPool // nil: the system's
	userAgent string
	now       func() time.Time
	installed *atomic.Pointer[Programs] // nil: none
}

// programs are those that may be started now.
func (c *checker) programs() Programs {
	if c.installed != nil {
		if p := c.installed.Load(); p != nil {
			return *p
		}
	}
	return Programs{}
}

// probe asks a target once. It returns soon after its context has ended, and
// leaves nothing running.
func (c *checker) probe(ctx context.Context, t Target) Result {
	a := &attempt{checker: c, target: t, doing: connecting}
	seen, err := a.run(ctx)
	a.result.Outcome, a.result.Reason = Success, seen
	if err != nil {
		f := explain(ctx, err, a.doing, timeoutOf(t))
		a.result.Outcome, a.result.Reason = f.outcome, f.reason
	}
	return a.result
}

// attempt is one probe under way.
type attempt struct {
	*checker
	target Target
	doing  phase
	result Result
}

// run says in words what it saw, or what failed.
func (a *attempt) run(ctx context.Context) (string, error) {
	t := a.target
	switch {
	case t.Probe.Kind == pool.CheckExec:
		return a.exec(ctx)
	case t.Probe.Kind == pool.CheckRsync:
		return a.rsync(ctx)
	case t.URL != "":
		u, err := url.Parse(t.URL)
		if err != nil || u.Host == "" {
			return "", fail(Failed, "%s is not a URL that can be fetched", quote([]byte(t.URL)))
		}
		return a.fetch(ctx, u, u.Host)
	case !t.Address.IsValid():
		return "", fail(Failed, "target has neither address nor URL")
	case t.Probe.Kind == pool.CheckTCP:
		connection, err := a.connect(ctx, []netip.Addr{t.Address}, t.Probe.Port)
		if err != nil {
			return "", err
		}
		connection.Close()
		return "connected", nil
	case t.Probe.Kind == pool.CheckHTTP, t.Probe.Kind == pool.CheckHTTPS:
		raw := string(t.Probe.Kind) + "://" + net.JoinHostPort(t.Probe.Host, strconv.Itoa(int(t.Probe.Port))) +
			cmp.Or(t.Probe.Path, "/")
		u, err := url.Parse(raw)
		if err != nil || t.Probe.Host == "" {
			return "", fail(Failed, "host and path do not make a URL: %s", quote([]byte(raw)))
		}
		// The Host header is the name alone, whatever the port: that is
		// what the pool's clients send.
		return a.fetch(ctx, u, t.Probe.Host)
	}
	return "", fail(Failed, "no way to check %s", quote([]byte(t.Probe.Kind)))
}

// fetch gets a URL, follows redirects if it is asked to, and judges the answer.
func (a *attempt) fetch(ctx context.Context, u *url.URL, host string) (string, error) {
	probe := a.target.Probe
	var pattern *regexp.Regexp
	if probe.Body != "" {
		var err error
		if pattern, err = regexp.Compile(probe.Body); err != nil {
			return "", fail(Failed, "body pattern: %s", clip(err.Error()))
		}
	}
	for hops := 0; ; hops++ {
		got, err := a.exchange(ctx, u, host, func(status int) bool {
			return probe.Statuses.Has(status) && (pattern != nil || probe.MaxAge > 0)
		})
		if err != nil {
			return "", err
		}
		if probe.Statuses.Has(got.status) {
			return a.judge(got, pattern)
		}
		if !got.redirects() || !probe.FollowRedirects {
			return "", got.unexpected(probe.Statuses)
		}
		if hops == maxRedirects {
			return "", fail(Status, "more than %d redirects", maxRedirects)
		}
		if u, err = redirected(u, got.location); err != nil {
			return "", err
		}
		host = u.Host
	}
}

// judge looks at the body of an answer with the expected status.
func (a *attempt) judge(got *answer, pattern *regexp.Regexp) (string, error) {
	seen := fmt.Sprintf("status %d", got.status)
	if pattern != nil && !pattern.Match(got.body) {
		what := "body"
		if got.cut {
			what = fmt.Sprintf("body's first %d KiB", maxBody>>10)
		}
		return "", fail(Content, "%s does not match %s", what, quote([]byte(pattern.String())))
	}
	if maxAge := a.target.Probe.MaxAge; maxAge > 0 {
		age, fresh := freshness(got.body, maxAge, a.now())
		if !fresh {
			return "", &failure{Content, age}
		}
		seen += ", " + age
	}
	return seen, nil
}

// redirected is where a redirect from u leads, if it may be followed.
func redirected(u *url.URL, location string) (*url.URL, error) {
	next, err := u.Parse(location)
	switch {
	case err != nil:
		return nil, fail(Status, "redirect to %s, which is not a URL", quote([]byte(location)))
	case next.Scheme != "http" && next.Scheme != "https", next.Hostname() == "":
		return nil, fail(Status, "redirect to %s, which is neither http nor https", quote([]byte(location)))
	case u.Scheme == "https" && next.Scheme == "http":
		return nil, fail(Status, "redirect from https down to %s", quote([]byte(location)))
	}
	return next, nil
}

// addresses are those that a URL's host is to be asked at. A member's own name
// stands for its address; other names are resolved, and what a name cannot mean
// is left out. An address in a URL of the configuration is the administrators'
// own word, and asked whatever it is.
func (a *attempt) addresses(ctx context.Context, u *url.URL) ([]netip.Addr, error) {
	name := u.Hostname()
	if a.target.URL == "" && strings.EqualFold(name, a.target.Probe.Host) {
		return []netip.Addr{a.target.Address}, nil
	}
	if literal, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{literal.Unmap()}, nil
	}
	a.doing = resolving
	found, err := a.resolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, err
	}
	found = slices.Clone(found)
	for i := range found {
		found[i] = found[i].Unmap()
	}
	// Resolvers rotate their answers. In a fixed order the same address is
	// asked every time, and the mirror's place stays. IPv4 goes first, as not
	// every node has IPv6.
	slices.SortFunc(found, netip.Addr.Compare)
	found = slices.Compact(found)
	if len(found) == 0 {
		return nil, fail(Resolution, "resolving %s: no address", quote([]byte(name)))
	}
	first := found[0]
	found = slices.DeleteFunc(found, func(address netip.Addr) bool { return !askable(address) })
	if len(found) == 0 {
		return nil, fail(Resolution, "resolving %s: %s is no address of a server; write it in the URL if it is", quote([]byte(name)), first)
	}
	return found[:min(len(found), maxAddresses)], nil
}

// connect connects to the first of the addresses that lets it, as a client
// does. Each gets an equal part of the time that is left. If none does, the
// failure is that of the first.
func (a *attempt) connect(ctx context.Context, addresses []netip.Addr, port uint16) (net.Conn, error) {
	a.doing = connecting
	var first error
	for i, address := range addresses {
		part, cancel := ctx, context.CancelFunc(func() {})
		if deadline, ok := ctx.Deadline(); ok && i < len(addresses)-1 {
			part, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(len(addresses)-i))
		}
		connection, err := a.dial(part, "tcp", netip.AddrPortFrom(address, port).String())
		cancel()
		if err == nil {
			if !a.result.Address.IsValid() { // the first of all, not where redirects led
				a.result.Address = address
			}
			return connection, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	if len(addresses) > 1 && ctx.Err() == nil {
		f := explain(ctx, first, connecting, timeoutOf(a.target))
		return nil, fail(f.outcome, "%s (%s; none of %d addresses connects)", f.reason, addresses[0], len(addresses))
	}
	return nil, first
}
