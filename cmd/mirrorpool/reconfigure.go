package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"mirrorpool/dnsserver"
	"mirrorpool/pool/geo"
	"mirrorpool/redirect"
)

// requestReload asks the node to read its configuration again, for the admin
// listener.
func (n *node) requestReload(ctx context.Context) error {
	reply := make(chan error, 1)
	select {
	case n.reloads <- reply:
	case <-n.stopping:
		return errors.New("the server is stopping")
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reload reads the configuration again and does what it says, or changes
// nothing and says why. In any case the repository, the addresses of host names, the geo
// data, the cookie secrets and the certificate are looked at now.
func (n *node) reload(work context.Context) error {
	err := n.reconfigure(work)
	if err != nil {
		n.stages.fail(stageConfig, err)
		n.logger.Error().Err(err).Str("stage", string(stageConfig)).Msg("the configuration that was read last stays")
	} else {
		n.stages.succeed(stageConfig)
		n.logger.Info().Str("file", n.configPath).Msg("configuration read")
	}
	n.refreshGeo()
	if n.refreshCookies() {
		n.useCookies()
	}
	if n.refreshTransferKeys() {
		n.useTransferKeys()
	}
	n.refreshCertificate()
	n.refreshKeys()
	n.publishing.refreshKeys()
	n.publishing.Look()
	n.source.Load().Poke()
	n.hosts.resolver.Refresh()
	n.sweeper.soon()
	return err
}

func (n *node) reconfigure(work context.Context) error {
	next, err := loadConfig(n.configPath)
	if err != nil {
		return err
	}
	old := n.config.Load()
	if next.StateDir != old.StateDir || next.Admin != old.Admin {
		return fmt.Errorf("%s: state_dir and admin.listen change by a restart only: nothing is changed", n.configPath)
	}
	addresses, err := selfAddresses(next.HTTP.Listen)
	if err != nil {
		return err
	}
	source, err := n.openSource(next)
	if err != nil {
		return err
	}
	geography, err := n.reopenGeography(old, next)
	if err != nil {
		return err
	}
	if next.cookies, err = old.cookies.reopen(next.DNS.CookieSecretFile); err != nil {
		return err
	}
	if next.certificate, err = old.certificate.reopen(next.DNS.TLS); err != nil {
		return err
	}
	if next.transferKeys, err = next.openTransferKeys(old.transferKeys); err != nil {
		return err
	}
	if err := next.openPublishKeys(old.publishKeys); err != nil {
		return err
	}
	ways, exposed, err := next.openAlerts()
	if err != nil {
		return err
	}
	var keys *keysChange // nil: the same ones
	if wanted := next.keysSettings(); !wanted.same(old.keysSettings()) {
		if keys, err = n.keys.prepare(wanted, servedZones(n.compiler.table.Load())); err != nil {
			return err
		}
	}
	if err := n.replaceListeners(old, next); err != nil {
		return err
	}
	// From here on nothing can fail.
	n.config.Store(next)
	if keys != nil {
		n.keys.adopt(keys)
	}
	n.keys.placed(next.keysPlace)
	n.notifier.Set(next.secondaries())
	n.useAlerts(ways, exposed)
	n.publishing.useCurrent()
	n.publishing.warnExposed(next.publishKeys)
	n.warnUnpublished()
	n.usePrograms(next)
	n.useHealthPace(next)
	n.useResolver(next)
	n.warnUnused(next)
	n.warnFiles(next)
	if next.cookies != old.cookies {
		n.warnExposed(next.cookies)
	}
	if next.certificate != old.certificate {
		n.warnCertificate(next.certificate)
	}
	if !old.transferKeys.isExposed() || next.transferKeys.path != old.transferKeys.path || !next.transferKeys.current().Equal(old.transferKeys.current()) {
		n.warnTransferKeys(next.transferKeys)
	}
	n.logOutput.configure(next.Log)
	if geography != nil {
		n.geo.Store(geography)
	}
	n.compiler.selfAddresses.Store(&addresses)
	n.compiler.transfer.Store(next.transferWish())
	n.compiler.geographyChanged()
	if next.Git != old.Git {
		n.following.stop()
		n.source.Store(source)
		n.following = n.follow(work)
	}
	return nil
}

// reopenGeography opens other databases; nil if they are the same ones.
func (n *node) reopenGeography(old, next *config) (*geography, error) {
	if next.Geo == old.Geo {
		return nil, nil
	}
	files := next.Geo.files()
	source, err := geo.Open(files)
	if err != nil {
		return nil, err
	}
	return &geography{config: files, source: source}, nil
}

// replaceListeners binds what other addresses are configured for. An address that
// cannot be had is found before anything changes, where that can be told; if the
// second listener cannot be bound nevertheless, the first goes back to what it was.
// What can change without new sockets does.
func (n *node) replaceListeners(old, next *config) error {
	otherDNS := !slices.Equal(next.DNS.Listen, old.DNS.Listen) || !slices.Equal(next.DNS.tlsListen(), old.DNS.tlsListen())
	otherHTTP := !slices.Equal(next.HTTP.Listen, old.HTTP.Listen)
	var givenUp []place
	if otherDNS {
		givenUp = n.dns.places()
		if err := probePlaces(next.dnsPlaces(), givenUp); err != nil {
			return err
		}
	}
	if otherHTTP {
		if err := probePlaces(next.httpPlaces(), slices.Concat(givenUp, n.redirect.places())); err != nil {
			return err
		}
	}
	if otherDNS {
		if err := n.dns.replace(n.bindDNS(next), n.bindDNS(old), next.dnsPlaces()); err != nil {
			return err
		}
	}
	if otherHTTP {
		if err := n.redirect.replace(n.bindRedirect(next), n.bindRedirect(old), next.httpPlaces()); err != nil {
			if otherDNS {
				err = errors.Join(err, n.dns.replace(n.bindDNS(old), n.bindDNS(old), old.dnsPlaces()))
			}
			return err
		}
	}
	return n.adjustListeners(next)
}

// adjustListeners gives the listeners what they take while they run. The
// configuration's validation has seen it all.
func (n *node) adjustListeners(next *config) error {
	if server, runs := n.dns.listener().(*dnsserver.Server); runs {
		if err := server.Set(next.dnsSettings()); err != nil {
			return err
		}
	}
	if server, runs := n.redirect.listener().(*redirect.Server); runs {
		return server.SetTrustedProxies(mustPrefixes(next.HTTP.TrustedProxies))
	}
	return nil
}
