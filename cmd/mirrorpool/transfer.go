package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mirrorpool/dnsserver"
	"mirrorpool/dnsserver/tsig"
	"mirrorpool/zones"
)

// transferConfig is who gets whole zones, and who is told of new ones.
type transferConfig struct {
	Allow      []string `yaml:"allow"`
	Notify     []string `yaml:"notify"`
	TSIGKeys   string   `yaml:"tsig_keys"`
	Concurrent *int     `yaml:"concurrent"` // nil: dnsserver.DefaultTransfers
	TLSOnly    bool     `yaml:"tls_only"`
	Catalog    string   `yaml:"catalog"` // the catalog zone's name; empty: there is none

	Serials string `yaml:"serials"` // which serials the node gives; empty: all

	serials zones.SerialShare // what validation has read of Serials
	// What validation has read of Allow and Notify, in their order.
	allow  []allowEntry
	notify []notifyEntry
}

// allowEntry is an entry of dns.transfer.allow.
type allowEntry struct {
	rule  dnsserver.TransferRule
	place string // in the file, with the entry's key
}

// notifyEntry is an entry of dns.transfer.notify.
type notifyEntry struct {
	address netip.AddrPort
	key     string // canonical; empty: the first of dns.transfer.tsig_keys, if there is one
	place   string
}

// validate is told whether there is DNS over TLS.
func (t *transferConfig) validate(v *validation, tls bool) {
	if t == nil {
		return
	}
	if t.TLSOnly && !tls {
		v.wrong("dns.transfer.tls_only", true, "dns.tls as well: nobody could get a zone")
	}
	for i, text := range t.Allow {
		t.readAllow(v, fmt.Sprintf("dns.transfer.allow[%d]", i), text)
	}
	for i, text := range t.Notify {
		t.readNotify(v, fmt.Sprintf("dns.transfer.notify[%d]", i), text)
	}
	if t.Concurrent != nil && (*t.Concurrent < 1 || *t.Concurrent > 10000) {
		v.wrong("dns.transfer.concurrent", *t.Concurrent, "a whole number from 1 to 10000")
	}
	if t.Serials != "" {
		var err error
		if t.serials, err = zones.ParseSerialShare(t.Serials); err != nil {
			v.say("dns.transfer.serials", err.Error())
		}
	}
	if t.Catalog != "" {
		if err := zones.ValidCatalog(t.Catalog); err != nil {
			v.say("dns.transfer.catalog", err.Error())
		}
	}
}

// readAllow reads a network or address, a key, or both.
func (t *transferConfig) readAllow(v *validation, key, text string) {
	const expected = `an address or a network without host bits, "key NAME", or both, such as "192.0.2.0/24 key NAME"`
	first, name, ok := splitKey(text)
	if !ok {
		v.wrong(key, text, expected)
		return
	}
	one := allowEntry{rule: dnsserver.TransferRule{Key: name}, place: v.place(key)}
	if first != "" {
		if address, err := netip.ParseAddr(first); err == nil && address.Zone() == "" {
			first = fmt.Sprintf("%s/%d", first, address.BitLen())
		}
		network, err := netip.ParsePrefix(first)
		if err != nil || network != network.Masked() || network.Addr().Is4In6() {
			v.wrong(key, text, expected)
			return
		}
		one.rule.Network = network
	}
	t.needKeys(v, key, text, name)
	t.allow = append(t.allow, one)
}

// readNotify reads an address, and possibly a key.
func (t *transferConfig) readNotify(v *validation, key, text string) {
	address, name, ok := splitKey(text)
	at, err := netip.ParseAddrPort(address)
	switch {
	case !ok, err != nil, at.Addr().Is4In6(), at.Port() == 0:
		v.wrong(key, text, `an IP address and a port, such as 192.0.2.53:53 or [2001:db8::53]:53, with or without a key as in "192.0.2.53:53 key NAME"`)
		return
	case slices.ContainsFunc(t.notify, func(one notifyEntry) bool { return one.address == at }):
		v.wrong(key, text, "each address once")
	}
	t.needKeys(v, key, text, name)
	t.notify = append(t.notify, notifyEntry{address: at, key: name, place: v.place(key)})
}

// needKeys refuses the name of a key where there are no keys.
func (t *transferConfig) needKeys(v *validation, key, text, name string) {
	if name != "" && t.TSIGKeys == "" {
		v.wrong(key, text, "dns.transfer.tsig_keys as well: the file with the key")
	}
}

// splitKey cuts "WHAT", "key NAME" or "WHAT key NAME" into its parts. The name comes
// back as keys have it.
func splitKey(text string) (what, name string, ok bool) {
	fields := strings.Fields(text)
	if len(fields) == 1 && fields[0] != "key" {
		return fields[0], "", true
	}
	if len(fields) == 3 {
		what, fields = fields[0], fields[1:]
	}
	if len(fields) != 2 || fields[0] != "key" {
		return "", "", false
	}
	_, valid := dns.IsDomainName(fields[1])
	return what, dns.CanonicalName(fields[1]), valid
}

// checkNames finds each key that the configuration names among those of the file.
func (t *transferConfig) checkNames(keys *tsig.Keyring) error {
	if t == nil {
		return nil
	}
	var errs []error
	check := func(place, name string) {
		if name == "" || keys.Find(name) != nil {
			return
		}
		names := "none"
		if all := keys.Keys(); len(all) > 0 {
			names = ""
			for i, key := range all {
				names += strings.Repeat(", ", min(i, 1)) + key.Name()
			}
		}
		errs = append(errs, fmt.Errorf("%s: found the key %s, expected one that is in %s: %s", place, name, t.TSIGKeys, names))
	}
	for _, one := range t.allow {
		check(one.place, one.rule.Key)
	}
	for _, one := range t.notify {
		check(one.place, one.key)
	}
	return errors.Join(errs...)
}

// transferSettings are what the name server takes while it runs. Where no entry
// names a key, each key may have all zones, wherever it asks from.
func (c *config) transferSettings() dnsserver.TransferSettings {
	t := c.DNS.Transfer
	if t == nil {
		return dnsserver.TransferSettings{}
	}
	s := dnsserver.TransferSettings{Keys: c.transferKeys.current(), TLSOnly: t.TLSOnly}
	if t.Concurrent != nil {
		s.Concurrent = *t.Concurrent
	}
	named := false
	for _, one := range t.allow {
		s.Allow = append(s.Allow, one.rule)
		named = named || one.rule.Key != ""
	}
	for _, key := range s.Keys.Keys() {
		if !named {
			s.Allow = append(s.Allow, dnsserver.TransferRule{Key: key.Name()})
		}
	}
	return s
}

// openTransferKeys reads the keys at the start, where a mistake is the operator's to
// mend.
func (n *node) openTransferKeys(config *config) (err error) {
	if config.transferKeys, err = config.openTransferKeys(nil); err != nil {
		return err
	}
	n.warnTransferKeys(config.transferKeys)
	return nil
}

// openTransferKeys reads the file that the configuration names. Where it is that of
// before, and has become bad, the keys of before stay.
func (c *config) openTransferKeys(before *keyFile) (*keyFile, error) {
	path := ""
	if c.DNS.Transfer != nil {
		path = c.DNS.Transfer.TSIGKeys
	}
	return before.reopen("dns.transfer.tsig_keys", path, c.DNS.Transfer.checkNames)
}

func (n *node) warnTransferKeys(keys *keyFile) {
	if keys.isExposed() {
		n.logger.Warn().Str("file", keys.path).
			Msg("every user of this machine may read or change the TSIG keys, and whoever knows one passes for its owner: chmod 640")
	}
}

// transferKeysFollow looks at the file until ctx ends.
func (n *node) transferKeysFollow(ctx context.Context) {
	rereadFollow(ctx, n.refreshTransferKeys, n.transferKeysChanged)
}

// refreshTransferKeys reads the file now and reports whether there are other keys.
func (n *node) refreshTransferKeys() (changed bool) {
	keys := n.config.Load().transferKeys
	return n.reread(keys, stageTSIG, "TSIG keys", func() { n.warnTransferKeys(keys) })
}

// useTransferKeys gives the name server, and those who tell secondaries, the keys that are
// current.
func (n *node) useTransferKeys() {
	if n.useReread(stageTSIG, "TSIG keys") {
		n.notifier.Set(n.config.Load().secondaries())
	}
}
