package main

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"mirrorpool/pool"
	"mirrorpool/pool/health"
)

// What a probe is to find out, as JSON names it.
const (
	asksAnswer     = "answer"
	asksThroughput = "throughput"
	asksRanges     = "ranges"
	asksHTTPS      = "https"
	asksRsync      = "rsync"
	asksDaemon     = "rsync daemon" // that nobody has named
)

// mostAddresses is how many addresses of a name are asked.
const mostAddresses = 8

// mirrorFound is what was found of one mirror.
type mirrorFound struct {
	name     string // for people
	resolved *resolvedName
	probes   []probed
	took     time.Duration
	cut      bool // Ctrl-C came before all was asked

	// Set by judge.
	verdict probeVerdict
	reasons []string
	flags   []redFlag
}

// resolvedName is what a URL's name led to.
type resolvedName struct {
	name      string
	literal   bool // it is an address itself
	addresses []netip.Addr
	mistake   string
	took      time.Duration
}

// probed is one probe that was made.
type probed struct {
	what    string
	label   string     // of the group that it is printed in, such as the address
	address netip.Addr // that was asked; the zero Addr: what the name led to
	pinned  string     // a name that was resolved before; empty: none
	target  health.Target
	result  health.Result
	took    time.Duration

	undecided bool // another look was to come before it counts, and Ctrl-C came
}

// ask makes all probes of one mirror.
func (o *probeOptions) ask(ctx context.Context, with asking) *mirrorFound {
	found := &mirrorFound{name: o.heading()}
	addresses := []netip.Addr{o.address}
	if o.url != nil {
		found.resolved = resolve(ctx, with.resolver, o.url.Hostname(), o.timeout)
		addresses = found.resolved.addresses
		found.cut = ctx.Err() != nil && found.resolved.mistake != "" // it failed through us
	}
	for _, address := range addresses[:min(len(addresses), mostAddresses)] {
		o.askAddress(ctx, with, found, address)
	}
	if o.rsync != "" && !o.fast {
		found.make(ctx, with.prober(with.resolver), probed{what: asksRsync, label: o.rsync, target: o.rsyncTarget()})
	}
	return found
}

// heading says what is asked, for people.
func (o *probeOptions) heading() string {
	switch {
	case o.url == nil:
		return fmt.Sprintf("%s at %s, %s to port %s", o.host, o.address, o.kind(), o.portAsked())
	case o.host != "":
		return o.argument + " as " + o.host
	}
	return o.argument
}

// askAddress asks one address: whether it answers, and if so for the rest.
func (o *probeOptions) askAddress(ctx context.Context, with asking, found *mirrorFound, address netip.Addr) {
	one := probed{what: asksAnswer, label: address.String(), address: address}
	resolver := with.resolver
	if o.url != nil {
		one.pinned = o.url.Hostname()
		resolver = pinned{one.pinned, address, with.resolver}
	}
	prober := with.prober(resolver)
	one.target = o.target(address, o.path)
	answer := found.make(ctx, prober, one)
	if o.anyPath && answer.Evidence.Status == http.StatusNotFound {
		elsewhere, second := *o, &mirrorFound{}
		elsewhere.path = otherPath
		one.target = elsewhere.target(address, otherPath)
		other := second.make(ctx, prober, one)
		if second.cut {
			found.cut, found.probes[len(found.probes)-1].undecided = true, true
		}
		if status := other.Evidence.Status; len(second.probes) == 1 && status != 0 && status != http.StatusNotFound {
			found.probes[len(found.probes)-1] = second.probes[0]
			o, answer = &elsewhere, other
		}
	}
	if answer.Outcome != health.Success || answer.NotMade {
		return
	}
	file, bytes, what := o.file, o.bytes, asksThroughput
	if file == "" || o.fast {
		file, bytes, what = o.path, 1, asksRanges
	}
	one.what, one.target = what, o.target(address, file)
	one.target.Probe.Purpose, one.target.Probe.MaxAge, one.target.Probe.Bytes = pool.PurposeThroughput, 0, bytes
	one.target.Probe.Timeout = 3 * o.timeout
	found.make(ctx, prober, one)
	if o.kind() == pool.CheckHTTP && o.portAsked() == "80" {
		one.what, one.target = asksHTTPS, o.secureTarget(address)
		found.make(ctx, prober, one)
	}
	if port := o.portAsked(); o.rsync == "" && !o.fast && (port == "80" || port == "443") {
		one.what, one.target = asksDaemon, daemonTarget(address, o.timeout)
		found.make(ctx, prober, one)
	}
}

// daemonTarget asks whether there is an rsync daemon, and for its modules. It is not waited
// for as long as for others, since nobody has said that there is one.
func daemonTarget(address netip.Addr, timeout time.Duration) health.Target {
	probe := pool.Probe{Kind: pool.CheckRsync, Port: 873, Timeout: min(timeout, 3*time.Second)}
	return health.Target{Probe: probe, Address: address}
}

// target is what is asked of an address for a file: as of a member if a pool's name is
// given, and as of a mirror if not.
func (o *probeOptions) target(address netip.Addr, file string) health.Target {
	probe := pool.Probe{
		Kind: o.kind(), Statuses: "200", MaxAge: o.maxAge, FollowRedirects: o.follow, Timeout: o.timeout,
	}
	if o.host == "" {
		return health.Target{Probe: probe, URL: prefixOf(o.url) + file}
	}
	probe.Host, probe.Path = strings.ToLower(strings.TrimSuffix(o.host, ".")), "/"+file
	if o.url != nil {
		probe.Path = o.url.EscapedPath() + file
	}
	port, _ := strconv.ParseUint(o.portAsked(), 10, 16)
	probe.Port = uint16(port)
	return health.Target{Probe: probe, Address: address}
}

// secureTarget asks whether https answers beside http, with whatever status.
func (o *probeOptions) secureTarget(address netip.Addr) health.Target {
	secure := *o
	secure.secure, secure.port, secure.maxAge, secure.follow = true, 0, 0, false
	if o.url != nil {
		u := *o.url
		u.Scheme = "https"
		u.Host = strings.TrimSuffix(u.Host, ":80")
		secure.url = &u
	}
	t := secure.target(address, o.path)
	t.Probe.Statuses = "100-599"
	return t
}

func prefixOf(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }

func (o *probeOptions) rsyncTarget() health.Target {
	probe := pool.Probe{Kind: pool.CheckRsync, Timeout: o.timeout}
	return health.Target{Probe: probe, URL: strings.TrimRight(o.rsync, "/") + "/" + o.path}
}

// oneProber makes one probe, as a *health.Prober does.
type oneProber interface {
	Probe(ctx context.Context, t health.Target) health.Result
}

// make makes a probe and notes it, unless all is to end.
func (f *mirrorFound) make(ctx context.Context, prober oneProber, one probed) health.Result {
	if ctx.Err() != nil {
		f.cut = true
		return health.Result{}
	}
	start := time.Now()
	one.result = prober.Probe(ctx, one.target)
	one.took = time.Since(start)
	if ctx.Err() != nil && one.result.Outcome != health.Success {
		f.cut = true // it failed through us
		return one.result
	}
	f.probes = append(f.probes, one)
	return one.result
}

// resolve finds the addresses of a URL's host, IPv4 first.
func resolve(ctx context.Context, resolver health.Resolver, name string, timeout time.Duration) *resolvedName {
	if literal, err := netip.ParseAddr(name); err == nil {
		return &resolvedName{name: name, literal: true, addresses: []netip.Addr{literal.Unmap()}}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	start := time.Now()
	found, err := resolver.LookupNetIP(ctx, "ip", name)
	r := &resolvedName{name: name, took: time.Since(start)}
	for _, address := range found {
		r.addresses = append(r.addresses, address.Unmap())
	}
	slices.SortFunc(r.addresses, netip.Addr.Compare)
	r.addresses = slices.Compact(r.addresses)
	if err != nil {
		r.mistake = err.Error()
	} else if len(r.addresses) == 0 {
		r.mistake = "no address"
	}
	return r
}

// pinned is a resolver by which one name leads to one address.
type pinned struct {
	name    string
	address netip.Addr
	others  health.Resolver
}

func (p pinned) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if strings.EqualFold(host, p.name) {
		return []netip.Addr{p.address}, nil
	}
	return p.others.LookupNetIP(ctx, network, host)
}
