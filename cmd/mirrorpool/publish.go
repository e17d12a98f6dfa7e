package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"github.com/rs/zerolog"

	"mirrorpool/admin"
	"mirrorpool/dnsserver/tsig"
	"mirrorpool/publish"
	"mirrorpool/zones"
)

// publishConfig is an entry of publish: a pool whose addresses are kept in a zone of
// another primary.
type publishConfig struct {
	Pool     string   `yaml:"pool"`
	Zone     string   `yaml:"zone"`
	Server   string   `yaml:"server"`
	TSIGKeys string   `yaml:"tsig_keys"` // empty: dns.transfer.tsig_keys
	Key      string   `yaml:"key"`       // empty: the only one of the file
	TTL      string   `yaml:"ttl"`       // empty: the pool's
	Interval duration `yaml:"interval"`  // empty: publish.DefaultInterval
	Limit    int      `yaml:"limit"`     // 0: all addresses
	Rotate   duration `yaml:"rotate"`    // empty: publish.DefaultRotation
	Adopt    bool     `yaml:"adopt"`
	DryRun   bool     `yaml:"dry_run"`

	// What validation has made of it.
	server           netip.AddrPort
	ttl              uint32
	interval, rotate time.Duration
	place, keysPlace string // of the entry, and of its tsig_keys, in the file
}

// validatePublish checks publish, and reads what is in its texts.
func (c *config) validatePublish(v *validation) {
	seen := map[string]bool{}
	for i := range c.Publish {
		p, key := &c.Publish[i], fmt.Sprintf("publish[%d]", i)
		if p.TSIGKeys == "" && c.DNS.Transfer != nil {
			p.TSIGKeys = c.DNS.Transfer.TSIGKeys
		}
		p.validate(v, key)
		name := strings.Join([]string{dns.CanonicalName(p.Pool), dns.CanonicalName(p.Zone), p.server.String()}, " ")
		if seen[name] && p.server.IsValid() {
			v.wrong(key+".pool", p.Pool, "each pool once for a zone and a server")
		}
		seen[name] = true
	}
}

func (p *publishConfig) validate(v *validation, key string) {
	p.place, p.keysPlace = v.place(key), v.place(key+".tsig_keys")
	isName := func(text string) bool {
		_, valid := dns.IsDomainName(text)
		return valid && strings.Trim(text, ".") != ""
	}
	switch {
	case !isName(p.Pool):
		v.wrong(key+".pool", p.Pool, "the name of a pool in pools.json")
	case !isName(p.Zone):
		v.wrong(key+".zone", p.Zone, "the apex of the zone at the server, such as example.org")
	case !dns.IsSubDomain(dns.CanonicalName(p.Zone), dns.CanonicalName(p.Pool)):
		v.wrong(key+".zone", p.Zone, fmt.Sprintf("a zone that %s lies in", p.Pool))
	}
	at, err := netip.ParseAddrPort(p.Server)
	if err != nil || at.Addr().Is4In6() || at.Port() == 0 {
		v.wrong(key+".server", p.Server, "the IP address and port of the zone's primary, such as 192.0.2.53:53 or [2001:db8::53]:53")
	}
	p.server = at
	if p.TSIGKeys == "" {
		v.wrong(key+".tsig_keys", "", "a file with the key that signs, as `tsig-keygen -a hmac-sha256 NAME` writes it: updates are always signed")
	}
	if p.ttl, err = readTTL(p.TTL); err != nil {
		v.wrong(key+".ttl", p.TTL, err.Error())
	}
	if p.Limit < 0 || p.Limit > publish.MaxLimit {
		v.wrong(key+".limit", p.Limit, fmt.Sprintf("a whole number to %d, 0 for all addresses", publish.MaxLimit))
	}
	p.interval = p.within(v, key+".interval", p.Interval, publish.DefaultInterval, publish.MinInterval, publish.MaxInterval)
	p.rotate = p.within(v, key+".rotate", p.Rotate, publish.DefaultRotation, publish.MinRotation, publish.MaxRotation)
}

// within reads a duration that may be left out.
func (p *publishConfig) within(v *validation, key string, value duration, otherwise, least, most time.Duration) time.Duration {
	if value == "" {
		return otherwise
	}
	v.between(key, value, least, most)
	return value.value()
}

// readTTL reads seconds, as 60 or 1m; nothing is 0.
func readTTL(text string) (uint32, error) {
	if text == "" {
		return 0, nil
	}
	seconds, err := strconv.Atoi(text)
	if err != nil {
		length, bad := time.ParseDuration(text)
		if err = bad; length%time.Second != 0 {
			err = errors.New("a part of a second")
		}
		seconds = int(length / time.Second)
	}
	if err != nil || seconds < 1 || seconds > publish.MaxTTL {
		return 0, fmt.Errorf("seconds from 1 to %d, such as 60, or a duration such as 5m", publish.MaxTTL)
	}
	return uint32(seconds), nil
}

// pick finds the key of an entry in its file.
func (p *publishConfig) pick(keys *tsig.Keyring) (*tsig.Key, error) {
	all := keys.Keys()
	names := make([]string, len(all))
	for i, key := range all {
		names[i] = key.Name()
	}
	switch {
	case p.Key == "" && len(all) == 1:
		return all[0], nil
	case p.Key == "":
		return nil, fmt.Errorf("%s: found no key, and several in %s, expected `key` with one of: %s", p.place, p.TSIGKeys, strings.Join(names, ", "))
	}
	if key := keys.Find(p.Key); key != nil {
		return key, nil
	}
	return nil, fmt.Errorf("%s: found the key %s, expected one that is in %s: %s", p.place, p.Key, p.TSIGKeys, strings.Join(names, ", "))
}

// openPublishKeys reads the files of keys that publish names, one for each entry. Where
// a file is one of before, and has become bad, the keys of before stay.
func (c *config) openPublishKeys(before []*keyFile) error {
	c.publishKeys = make([]*keyFile, len(c.Publish))
	for i := range c.Publish {
		entry := &c.Publish[i]
		var last *keyFile
		if at := slices.IndexFunc(before, func(f *keyFile) bool { return f.path == entry.TSIGKeys }); at >= 0 {
			last = before[at]
		}
		var err error
		c.publishKeys[i], err = last.reopen(entry.keysPlace, entry.TSIGKeys, func(keys *tsig.Keyring) error {
			_, err := entry.pick(keys)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// publications are as package publish takes them. The keys have been read.
func (c *config) publications() []publish.Entry {
	list := make([]publish.Entry, 0, len(c.Publish))
	for i := range c.Publish {
		p := &c.Publish[i]
		key, err := p.pick(c.publishKeys[i].current())
		if err != nil {
			continue // the file was refused with other keys than these
		}
		list = append(list, publish.Entry{
			Pool: p.Pool, Zone: p.Zone, Server: p.server, Key: key, TTL: p.ttl, Interval: p.interval,
			Limit: p.Limit, Rotation: p.rotate, Adopt: p.Adopt, DryRun: p.DryRun,
		})
	}
	return list
}

// publishedPools are those that may lie in no zone of the repository.
func (c *config) publishedPools() []string {
	names := make([]string, len(c.Publish))
	for i, p := range c.Publish {
		names[i] = p.Pool
	}
	return names
}

// publishing is the node's part in keeping pools published.
type publishing struct {
	*publish.Publisher
	node *node
	// setting is held while entries are handed over, so that the newest stay.
	setting sync.Mutex
	// staging is held while the stage is made of all entries' states, so that the
	// newest stay.
	staging sync.Mutex
}

// publishedFile holds what was put where.
const publishedFile = "published.json"

// openPublishing reads keys and what the last run kept.
func (n *node) openPublishing(config *config) error {
	if err := config.openPublishKeys(nil); err != nil {
		return err
	}
	kept, err := n.state.read(publishedFile)
	p := &publishing{node: n}
	var unread error
	p.Publisher, unread = publish.New(publish.Config{
		Given: n.givenToPublish, Kept: kept, Tell: p.told,
		Keep: func(data []byte) error { return n.state.write(publishedFile, data) },
	})
	if err = errors.Join(err, unread); err != nil {
		n.logger.Warn().Err(err).Str("stage", string(stagePublish)).Msg("it is not known what an earlier run has published")
	}
	n.publishing = p
	p.warnExposed(config.publishKeys)
	return p.use(config)
}

// givenToPublish says what a pool gives by the table that is served.
func (n *node) givenToPublish(name string) (*zones.Given, error) {
	table := n.compiler.table.Load()
	if table == nil {
		return nil, nil
	}
	given, found := table.Given(name)
	if !found {
		return nil, fmt.Errorf("the commit that is served has no pool %s: what is published of it stays as it is", name)
	}
	return &given, nil
}

// use hands the entries of a configuration over.
func (p *publishing) use(config *config) error {
	if err := p.Set(config.publications()); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// useCurrent does so for the configuration that is current, whoever else does at the
// same time.
func (p *publishing) useCurrent() {
	p.setting.Lock()
	defer p.setting.Unlock()
	if err := p.use(p.node.config.Load()); err != nil {
		p.node.stages.fail(stagePublish, err)
		p.node.logger.Error().Err(err).Str("stage", string(stagePublish)).Msg("what was published before goes on being kept")
	}
}

func (p *publishing) warnExposed(files []*keyFile) {
	var warned []string
	for _, keys := range files {
		if keys.isExposed() && !slices.Contains(warned, keys.path) {
			warned = append(warned, keys.path)
			p.node.logger.Warn().Str("file", keys.path).
				Msg("every user of this machine may read or change the TSIG key, and whoever knows it may change what is published: chmod 640")
		}
	}
}

// followKeys looks at the files of keys until ctx ends.
func (p *publishing) followKeys(ctx context.Context) {
	for sleep(ctx, rereadInterval) {
		p.refreshKeys()
	}
}

// refreshKeys reads the files now.
func (p *publishing) refreshKeys() {
	config := p.node.config.Load()
	changed := false
	var look []*keyFile // that may be exposed, and nobody was told
	var errs []error
	for _, keys := range config.publishKeys {
		exposed := keys.isExposed()
		other, err := keys.refresh()
		changed, errs = changed || other, append(errs, err)
		if other || !exposed {
			look = append(look, keys)
		}
	}
	err := errors.Join(errs...)
	switch {
	case err == nil && p.node.stages.succeed(stagePublishKeys):
		p.node.logger.Info().Msg("the TSIG keys of what is published can be read again")
	case err != nil && p.node.stages.fail(stagePublishKeys, err):
		p.node.logger.Error().Err(err).Str("stage", string(stagePublishKeys)).Msg("the TSIG keys that were read last stay")
	}
	p.warnExposed(look)
	if changed {
		p.useCurrent()
	}
}

// told logs what happens, and keeps the stage.
func (p *publishing) told(event publish.Event) {
	logger := p.node.logger
	line, message := logger.Info(), ""
	switch event.Kind {
	case publish.Arranged:
		p.stage()
		return
	case publish.Sent:
		line, message = line.Str("update", oneLine(event.Text)), "the primary took an update"
	case publish.WouldSend:
		line, message = line.Str("update", oneLine(event.Text)), "dry run: this update would be sent"
	case publish.Foreign:
		line, message = logger.Warn().Str("changed", event.Text), "others changed what is published: trying to put it back"
	case publish.Noted:
		line, message = logger.Warn().Str("note", event.Text), "not all at the primary is as it may be expected"
	case publish.Recovered:
		message = "what is published can be kept up to date again"
	case publish.Failed:
		line, message = logger.Error().Err(event.Err).Str("stage", string(stagePublish)), "what is published is not kept up to date: trying again"
	}
	if event.Kind == publish.Failed || event.Kind == publish.Recovered {
		p.stage()
	}
	describePublication(line, event.State).Msg(message)
}

func describePublication(line *zerolog.Event, s publish.State) *zerolog.Event {
	return line.Str("pool", s.Pool).Str("zone", s.Zone).Stringer("server", s.Server)
}

func oneLine(text string) string { return strings.ReplaceAll(text, "\n", "; ") }

// stage says what fails now, of all entries.
func (p *publishing) stage() {
	p.staging.Lock()
	defer p.staging.Unlock()
	var failing []string
	for _, s := range p.States() {
		if s.Error != "" {
			failing = append(failing, fmt.Sprintf("pool %s at %s: %s", s.Pool, s.Server, s.Error))
		}
	}
	if len(failing) == 0 {
		p.node.stages.succeed(stagePublish)
		return
	}
	p.node.stages.fail(stagePublish, errors.New(strings.Join(failing, "; ")))
}

// status is what the admin listener shows.
func (p *publishing) status() []admin.Publication {
	list := []admin.Publication{}
	for _, s := range p.States() {
		list = append(list, admin.Publication{
			Pool: s.Pool, Zone: s.Zone, Server: s.Server.String(), Key: s.Key, DryRun: s.DryRun, Condition: string(s.Condition),
			Wanted: s.Wanted, Found: s.Found, TTL: s.TTL,
			LastLook: s.LastLook, LastGood: s.LastGood, LastUpdate: s.LastUpdate, NextLook: s.NextLook,
			Updates: s.Updates, Failures: s.Failures, ForeignChanges: s.ForeignChanges, Foreign: s.Foreign, ForeignTime: s.ForeignTime,
			FailingSince: s.FailingSince, Error: s.Error, Notes: s.Notes, WouldSend: s.WouldSend,
		})
	}
	return list
}

// warnUnpublished tells of pools that are served to nobody by questions: the
// configuration does not name them any more, and the repository has no zone of them.
// The commit that is served stays; the next one is refused.
func (n *node) warnUnpublished() {
	table := n.compiler.table.Load()
	if table == nil {
		return
	}
	published := map[string]bool{}
	for _, name := range n.config.Load().publishedPools() {
		published[dns.CanonicalName(name)] = true
	}
	for _, one := range table.Pools(nil) {
		if one.Zone == "" && !published[dns.CanonicalName(one.Name)] {
			n.logger.Warn().Str("pool", one.Name).
				Msg("the pool lies in no zone of the repository, and is not published any more: name it in publish, or take it out of pools.json, for the next commit is refused otherwise")
		}
	}
}
