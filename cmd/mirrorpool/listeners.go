package main

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/rs/zerolog"

	"mirrorpool/admin"
	"mirrorpool/dnsserver"
	"mirrorpool/redirect"
)

// startListeners binds every address; it fails whole.
func (n *node) startListeners(config *config) error {
	n.dns = n.newService("dns")
	n.redirect = n.newService("http")
	n.admin = n.newService("admin")
	if err := n.admin.start(n.bindAdmin(config)); err != nil {
		return err
	}
	if err := n.dns.start(n.bindDNS(config)); err != nil {
		return err
	}
	return n.redirect.start(n.bindRedirect(config))
}

func (n *node) newService(name string) *service {
	return &service{name: name, registry: n.registry, failed: n.failed}
}

// stopListeners ends those that were started.
func (n *node) stopListeners() {
	for _, service := range []*service{n.dns, n.redirect, n.admin} {
		if service != nil {
			service.stop()
		}
	}
}

func (n *node) bindDNS(config *config) func() (listener, error) {
	return func() (listener, error) {
		server, err := dnsserver.Listen(dnsserver.Config{
			Listen:    config.DNS.Listen,
			TLS:       n.tls(config),
			Table:     dnsserver.FromTable(n.compiler.table.Load),
			Transfers: n.compiler.transfers,
			Workers:   n.workers,
			Report:    n.reporter("dns"),
			Settings:  config.dnsSettings(),
		})
		if err != nil {
			return nil, fmt.Errorf("dns: %w", err)
		}
		return server, nil
	}
}

// reporter counts and logs what goes wrong inside a listener, with a bound on
// the lines: whoever provokes it must not fill the disk.
func (n *node) reporter(listener string) func(error) {
	logger := n.logger.Sample(&zerolog.BurstSampler{Burst: 10, Period: time.Second})
	return func(err error) {
		n.stages.count(stageAnswer)
		logger.Error().Err(err).Str("stage", string(stageAnswer)).Str("listener", listener).Msg("answering goes on")
	}
}

func (n *node) bindRedirect(config *config) func() (listener, error) {
	return func() (listener, error) {
		if len(config.HTTP.Listen) == 0 {
			return nil, nil
		}
		server, err := redirect.Listen(redirect.Config{
			Listen:         config.HTTP.Listen,
			TrustedProxies: mustPrefixes(config.HTTP.TrustedProxies),
			Table:          n.compiler.table.Load,
			Report:         n.reporter("http"),
		})
		if err != nil {
			return nil, fmt.Errorf("http: %w", err)
		}
		return server, nil
	}
}

func (n *node) bindAdmin(config *config) func() (listener, error) {
	return func() (listener, error) {
		server, err := admin.Listen(admin.Config{
			Listen:    config.Admin.Listen,
			Table:     n.compiler.table.Load,
			Status:    n.status,
			Health:    n.prober.Report,
			Reload:    n.requestReload,
			Rollovers: leading{n.rollovers},
			Words:     n.words,
			History:   n.history,
			Gatherer:  n.registry,
			Report:    n.reporter("admin"),
		})
		if err != nil {
			return nil, fmt.Errorf("admin: %w", err)
		}
		return server, nil
	}
}

// mustPrefixes parses prefixes that the configuration's validation has seen.
func mustPrefixes(texts []string) []netip.Prefix {
	prefixes := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		prefixes = append(prefixes, netip.MustParsePrefix(text))
	}
	return prefixes
}

// selfAddresses are the addresses under which clients reach the redirect
// listener: those that it is bound to, or the machine's public ones where it is
// bound to all.
func selfAddresses(listen []string) ([]netip.Addr, error) {
	var addresses []netip.Addr
	for _, text := range listen {
		bound := netip.MustParseAddrPort(text).Addr()
		if !bound.IsUnspecified() {
			addresses = append(addresses, bound.Unmap())
			continue
		}
		own, err := net.InterfaceAddrs()
		if err != nil {
			return nil, fmt.Errorf("listing the machine's addresses: %w", err)
		}
		for _, one := range own {
			prefix, err := netip.ParsePrefix(one.String())
			if err != nil {
				continue // not an IP address
			}
			address := prefix.Addr().Unmap().WithZone("")
			if address.Is4() == bound.Is4() && address.IsGlobalUnicast() && !address.IsPrivate() {
				addresses = append(addresses, address)
			}
		}
	}
	return addresses, nil
}
