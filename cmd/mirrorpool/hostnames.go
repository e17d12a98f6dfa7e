package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"mirrorpool/admin"
	"mirrorpool/pool"
	"mirrorpool/pool/health"
	"mirrorpool/pool/hostnames"
)

const (
	// hostnamesFile keeps the last good answers for members given by host name.
	hostnamesFile = "hostnames.json"
	// hostnamesWait is how long a commit waits for names that it is the first to have.
	hostnamesWait = 15 * time.Second
)

// hosts leads the members that are given by host name.
type hosts struct {
	logger   zerolog.Logger
	stages   *stages
	state    *stateDir
	resolver *hostnames.Resolver
	urls     *urlResolver // of mirrors
	// serving has room for whoever changes what is served. It guards what follows.
	serving chan struct{}
	// adopted is the commit that is served as it was read, without addresses of names.
	adopted *commitContent
	written []byte // what is on disk

	unkept atomic.Pointer[error] // why it is not; nil: it is
	silent atomic.Bool           // the log has it that the resolver does not answer
}

func (c *config) validateResolver(v *validation) {
	const key = "health.resolver"
	if c.Health.Resolver == "" {
		return
	}
	v.addressPort(key, c.Health.Resolver)
	resolver, err := netip.ParseAddrPort(c.Health.Resolver)
	if err != nil {
		return // said already
	}
	for _, listen := range c.DNS.Listen {
		own, err := netip.ParseAddrPort(listen)
		if err == nil && reaches(resolver, own, machineAddresses) {
			v.wrong(key, c.Health.Resolver, "a resolver: at this address, which dns.listen has, this server answers for its own zones alone; where a resolver runs beside it, name the addresses in dns.listen one by one")
		}
	}
}

// reaches reports whether what is sent to an address and port comes to who listens at the
// other one, on a machine with the addresses besides those of loopback, which are asked for
// where they count.
func reaches(to, listen netip.AddrPort, machine func() []netip.Addr) bool {
	address, own := to.Addr().Unmap(), listen.Addr().Unmap()
	switch {
	case to.Port() != listen.Port():
		return false
	case address.IsUnspecified(): // it is sent to a loopback address, of one family or the other
		return own.IsLoopback() || own.IsUnspecified()
	case own.IsUnspecified(): // for its own family alone
		return address.Is4() == own.Is4() && (address.IsLoopback() || slices.Contains(machine(), address))
	}
	return address == own
}

// machineAddresses are those that this machine has now; without zones, for a link-local one
// may be another machine's on another link. None where they cannot be found out.
func machineAddresses() []netip.Addr {
	networks, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var all []netip.Addr
	for _, network := range networks {
		if prefix, err := netip.ParsePrefix(network.String()); err == nil {
			all = append(all, prefix.Addr().Unmap())
		}
	}
	return all
}

// useResolver has names asked of the resolver that the configuration names.
func (n *node) useResolver(config *config) {
	n.urls.set(config.Health.Resolver)
	n.hosts.resolver.SetServer(config.Health.Resolver)
}

func (n *node) openHosts(config *config) {
	h := &hosts{logger: n.logger, stages: n.stages, state: n.state, urls: n.urls, serving: make(chan struct{}, 1)}
	h.resolver = hostnames.New(hostnames.Config{Tell: h.told})
	h.resolver.SetServer(config.Health.Resolver)
	data, err := h.state.read(hostnamesFile)
	if err == nil && data != nil {
		err = h.resolver.Restore(data)
	}
	if err != nil {
		h.logger.Warn().Err(err).Str("stage", string(stageHostnames)).Msg("host names are resolved anew: nothing is known from before")
	}
	n.hosts = h
}

// lock waits until nobody else changes what is served.
func (h *hosts) lock(ctx context.Context) error {
	select {
	case h.serving <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *hosts) unlock() { <-h.serving }

// resolve gives a commit the addresses of its host names. Those that no commit had before
// are waited for, within a bound.
func (h *hosts) resolve(ctx context.Context, read *content) *content {
	names := read.definition.HostNames()
	if h.adopted != nil {
		names = hostNames(read.definition, h.adopted.definition)
	}
	h.resolver.SetNames(names)
	if len(names) > 0 {
		waiting, cancel := context.WithTimeout(ctx, hostnamesWait)
		defer cancel()
		if err := h.resolver.WaitKnown(waiting); err != nil && ctx.Err() == nil {
			h.logger.Warn().Err(err).Str("stage", string(stageHostnames)).Msg("members whose host names are not resolved yet are given once they are")
		}
	}
	return read.resolved(h.resolver.Addresses)
}

// hostNames are those of two definitions; where both have one, the first says what it may
// lead to.
func hostNames(first, second *pool.Definition) []pool.HostName {
	names := first.HostNames()
	for _, name := range second.HostNames() {
		if !slices.ContainsFunc(names, func(other pool.HostName) bool { return other.Name == name.Name }) {
			names = append(names, name)
		}
	}
	return names
}

// adopt tells what commit is served now; nil: the same as before.
func (h *hosts) adopt(commit *commitContent) {
	if commit != nil {
		h.adopted = commit
	}
	if h.adopted == nil {
		return // nothing is served: what is known may be of use for the next commit
	}
	h.resolver.SetNames(h.adopted.definition.HostNames())
	h.judge()
}

// resolved is the content with the addresses that host names have now.
func (c *content) resolved(addresses func(string) []netip.Addr) *content {
	definition := c.definition.Resolved(addresses)
	if definition == c.definition {
		return c
	}
	other := *c
	other.definition, other.static = definition, c.static.For(definition)
	return &other
}

// followHosts has what is served follow the addresses of host names, until ctx ends.
func (n *node) followHosts(ctx context.Context) {
	again := time.NewTicker(keepInterval)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.hosts.resolver.Changed():
			if !sleep(ctx, coalesce) {
				return
			}
		case <-again.C:
		}
		if n.hosts.lock(ctx) != nil {
			return
		}
		n.moveHosts(ctx)
		n.hosts.keep()
		n.hosts.judge()
		n.hosts.unlock()
	}
}

// moveHosts serves the addresses that host names have now. New ones are probed before any
// client is given them, and meanwhile what was served goes on.
func (n *node) moveHosts(ctx context.Context) {
	h := n.hosts
	table := n.compiler.table.Load()
	if h.adopted == nil || table == nil {
		return
	}
	served, next := table.Definition, h.adopted.resolved(h.resolver.Addresses)
	if sameAddresses(served, next.definition) {
		return
	}
	err := guarded("following host names", func() error {
		commit := *h.adopted
		commit.content = next
		return n.switchTo(ctx, served, &commit)
	})
	if err != nil && ctx.Err() == nil {
		h.logger.Error().Err(err).Str("stage", string(stageHostnames)).Msg("the addresses that host names had before go on being served: trying again")
	}
}

// sameAddresses reports whether the members of two forms of one definition have the same
// addresses.
func sameAddresses(a, b *pool.Definition) bool {
	return slices.EqualFunc(a.Pools, b.Pools, func(p, q *pool.Pool) bool {
		return slices.EqualFunc(p.Members, q.Members, func(x, y *pool.Member) bool { return slices.Equal(x.Addresses, y.Addresses) })
	})
}

// keep writes the last good answers down, where they are others than those on disk.
func (h *hosts) keep() {
	data, err := h.resolver.Save()
	if err == nil && (string(data) == string(h.written) || h.adopted == nil) {
		return
	}
	if err == nil {
		err = h.state.write(hostnamesFile, data)
	}
	if err != nil {
		if h.unkept.Swap(&err) == nil {
			h.logger.Error().Err(err).Str("stage", string(stageHostnames)).Msg("the addresses of host names are not kept for the next start: trying again")
		}
	} else {
		h.written = data
		h.unkept.Store(nil)
	}
	h.judge()
}

// told logs the news of a host name.
func (h *hosts) told(before, now hostnames.State) {
	log := func(event *zerolog.Event, message string) {
		event.Str("stage", string(stageHostnames)).Str("host", now.Name.Name).Msg(message)
	}
	if was, is := before.Addresses(), now.Addresses(); !slices.Equal(was, is) {
		log(h.logger.Info().Stringers("addresses", stringers(is)).Stringers("before", stringers(was)), "a host name has other addresses")
	}
	problem := now.Problem()
	switch {
	case now.Failing():
		log(h.logger.Error().Str("problem", problem), "a host name cannot be resolved: trying again")
	case before.Failing():
		log(h.logger.Info().Dur("after", now.Said().Sub(before.FailingSince())).Str("problem", problem), "a host name can be resolved again")
	case problem != "":
		log(h.logger.Warn().Str("problem", problem), "a host name needs somebody to look at it")
	}
	if now.Failing() || before.Failing() {
		h.judge()
	}
}

func stringers(addresses []netip.Addr) []fmt.Stringer {
	all := make([]fmt.Stringer, len(addresses))
	for i, address := range addresses {
		all[i] = address
	}
	return all
}

// judge says whether the stage fails.
func (h *hosts) judge() {
	silent := h.urls.silent()
	h.tellSilence(silent)
	if unkept := h.unkept.Load(); unkept != nil {
		h.stages.fail(stageHostnames, *unkept)
		return
	}
	first, failing := h.resolver.Failing()
	if failing == 0 {
		if silent != nil {
			h.stages.fail(stageHostnames, silent)
		} else {
			h.stages.succeed(stageHostnames)
		}
		return
	}
	err := fmt.Errorf("resolving %s: %s", first.Name.Name, first.Problem())
	if more := failing - 1; more > 0 {
		err = fmt.Errorf("%w (and %d more host names)", err, more)
	}
	h.stages.fail(stageHostnames, err)
}

// tellSilence logs that the resolver does not answer for the names in mirrors' URLs, once,
// and that it does again. The reason has whichever name was asked last, and is no news.
func (h *hosts) tellSilence(reason error) {
	switch was := h.silent.Swap(reason != nil); {
	case reason != nil && !was:
		h.logger.Error().Err(reason).Str("stage", string(stageHostnames)).Msg("mirrors whose names cannot be looked up are asked where they were last: trying again")
	case reason == nil && was:
		h.logger.Info().Str("stage", string(stageHostnames)).Msg("the resolver answers again for the names of mirrors")
	}
}

// status is what the admin listener shows of the host names.
func (h *hosts) status() []admin.HostName {
	states := h.resolver.States()
	names := make([]admin.HostName, len(states))
	for i, one := range states {
		names[i] = admin.HostName{
			Name: one.Name.Name, IPv4: one.IPv4.Addresses, IPv6: one.IPv6.Addresses,
			Answered: one.Said(), FailingSince: one.FailingSince(), Problem: one.Problem(),
		}
	}
	return names
}

// urlResolver finds the addresses of mirrors' host names by the configured resolver, or
// the machine's own.
type urlResolver struct {
	current atomic.Pointer[health.NameResolver]
}

func newURLResolver(server string) *urlResolver {
	u := &urlResolver{}
	u.set(server)
	return u
}

func (u *urlResolver) set(server string) {
	if before := u.current.Load(); before != nil {
		u.current.Store(before.Asking(server))
		return
	}
	u.current.Store(health.NewResolver(server))
}

// silent is why the names in mirrors' URLs lead where they led last; nil: they are resolved.
func (u *urlResolver) silent() error {
	if err := u.current.Load().Silent(); err != nil {
		return fmt.Errorf("the resolver does not answer: %w; names of mirrors lead where they led last: see to health.resolver, or /etc/resolv.conf", err)
	}
	return nil
}

// LookupNetIP is that of health.NameResolver.
func (u *urlResolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return u.current.Load().LookupNetIP(ctx, network, host)
}
