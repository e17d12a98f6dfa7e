package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"mirrorpool/dnsserver"
	"mirrorpool/gitsource"
)

// config is the node's configuration file. Each section is comparable by
// reflect.DeepEqual, so that a reload can tell what changed.
type config struct {
	Git      gitConfig       `yaml:"git"`
	StateDir string          `yaml:"state_dir"`
	DNS      dnsConfig       `yaml:"dns"`
	HTTP     httpConfig      `yaml:"http"`
	Admin    adminConfig     `yaml:"admin"`
	Geo      geoConfig       `yaml:"geo"`
	Log      logConfig       `yaml:"log"`
	Health   healthConfig    `yaml:"health"`
	Publish  []publishConfig `yaml:"publish"`
	Alerts   []alertConfig   `yaml:"alerts"`

	// unused are the keys that are set and not in force in this version.
	unused []unusedKey
	// cookies are from DNS.CookieSecretFile, which the node opens.
	cookies *cookies
	// certificate is from DNS.TLS, which the node opens as well; nil: there is no TLS.
	certificate *certificate
	// transferKeys are from DNS.Transfer, which the node opens too.
	transferKeys *keyFile
	// publishKeys are those of each entry of Publish; the node opens them.
	publishKeys []*keyFile
	// keysPlace is where dns.dnssec_keys stands in the file.
	keysPlace string
}

type gitConfig struct {
	URL             string   `yaml:"url"`
	Branch          string   `yaml:"branch"`
	Poll            duration `yaml:"poll"`
	Timeout         duration `yaml:"timeout"`
	Proxy           string   `yaml:"proxy"`
	SSHKey          string   `yaml:"ssh_key"`
	KnownHosts      string   `yaml:"known_hosts"`
	AllowedSigners  string   `yaml:"allowed_signers"`
	MaxCapacityDrop float64  `yaml:"max_capacity_drop"`
}

// duration is a time with its unit, such as 60s. It is kept as it is written,
// so that validation can tell where a wrong one stands.
type duration string

// value is 0 for what is no duration, which validation refuses.
func (d duration) value() time.Duration {
	value, err := time.ParseDuration(string(d))
	if err != nil {
		return 0
	}
	return value
}

type dnsConfig struct {
	Listen           []string        `yaml:"listen"`
	TLS              *tlsConfig      `yaml:"tls"`
	NSID             string          `yaml:"nsid"`
	Version          string          `yaml:"version"`
	Identity         string          `yaml:"identity"`
	UDPSize          int             `yaml:"udp_size"`
	TCPConnections   int             `yaml:"tcp_connections"`
	TCPPerNetwork    int             `yaml:"tcp_connections_per_network"` // 0: a quarter
	TCPIdle          duration        `yaml:"tcp_idle"`
	Transfer         *transferConfig `yaml:"transfer"`
	ClientSubnetFrom *[]string       `yaml:"client_subnet_from"` // nil: everyone's
	ProxyFrom        []string        `yaml:"proxy_protocol_from"`
	DNSSECKeys       string          `yaml:"dnssec_keys"`
	DNSSECLifetime   duration        `yaml:"dnssec_lifetime"`
	DNSSECParents    []string        `yaml:"dnssec_parents"`
	// DNSSECPropagation is how long secondaries may be behind; empty: computed.
	DNSSECPropagation duration   `yaml:"dnssec_propagation"`
	RRL               *rrlConfig `yaml:"rrl"`
	CookieSecretFile  string     `yaml:"cookie_secret_file"`
}

type rrlConfig struct {
	ResponsesPerSecond *int      `yaml:"responses_per_second"`
	Slip               *int      `yaml:"slip"`
	Exempt             *[]string `yaml:"exempt"`
}

type httpConfig struct {
	Listen         []string `yaml:"listen"`
	TrustedProxies []string `yaml:"trusted_proxies"`
}

type adminConfig struct {
	Listen string `yaml:"listen"`
}

type geoConfig struct {
	City      string `yaml:"city"`
	Country   string `yaml:"country"`
	ASN       string `yaml:"asn"`
	Overrides string `yaml:"overrides"`
}

type logConfig struct {
	Level           string `yaml:"level"`
	Format          string `yaml:"format"`
	ClientAddresses bool   `yaml:"client_addresses"`
}

func defaultConfig() *config {
	return &config{
		Git: gitConfig{
			Poll: "60s", Timeout: "60s", MaxCapacityDrop: 0.5,
		},
		StateDir: "/var/lib/mirrorpool",
		DNS: dnsConfig{
			Listen:         []string{"0.0.0.0:53", "[::]:53"},
			UDPSize:        dnsserver.DefaultUDPSize,
			TCPConnections: dnsserver.DefaultTCPConnections,
			TCPIdle:        duration(dnsserver.DefaultTCPIdle.String()),
			DNSSECLifetime: defaultSignatureLifetime,
		},
		HTTP:   httpConfig{Listen: []string{"0.0.0.0:80", "[::]:80"}},
		Admin:  adminConfig{Listen: "127.0.0.1:8053"},
		Log:    logConfig{Level: "info", Format: "json"},
		Health: healthConfig{Rsync: defaultRsync},
	}
}

// loadConfig reads a configuration file. Its errors name file, line and column
// and are of kind exitUsage.
func loadConfig(path string) (*config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, usageError{fmt.Errorf("reading the configuration: %w; name another file with --config", err)}
	}
	c, err := parseConfig(path, data)
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

func parseConfig(path string, data []byte) (*config, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, yamlError(path, err)
	}
	documents := slices.DeleteFunc(slices.Clone(file.Docs), func(document *ast.DocumentNode) bool { return document.Body == nil })
	if len(documents) > 1 {
		position := documents[1].Body.GetToken().Position
		return nil, fmt.Errorf("%s:%d:%d: a second YAML document, expected one", path, position.Line, position.Column)
	}
	c, v := defaultConfig(), &validation{path: path, file: file}
	if len(documents) > 0 {
		if checkForm(v, documents[0].Body); len(v.mistakes) > 0 {
			return nil, errors.New(strings.Join(v.mistakes, "\n"))
		}
		if err := yaml.UnmarshalWithOptions(data, c, yaml.Strict()); err != nil {
			return nil, yamlError(path, err)
		}
	}
	if c.StateDir != "" {
		if c.StateDir, err = filepath.Abs(c.StateDir); err != nil {
			return nil, fmt.Errorf("%s: state_dir: %w", path, err)
		}
	}
	c.validate(v)
	if len(v.mistakes) > 0 {
		return nil, errors.New(strings.Join(v.mistakes, "\n"))
	}
	c.unused = v.unused
	return c, nil
}

// validation collects what is wrong with values, each with its place.
type validation struct {
	path     string
	file     *ast.File
	mistakes []string
	unused   []unusedKey
}

// unusedKey is a key that is accepted and not acted upon.
type unusedKey struct {
	key   string
	place string // in the file, with the key
	so    string // what is so nevertheless
}

// String is for who may rely on the key.
func (u unusedKey) String() string {
	return fmt.Sprintf("%s: not in force in this version: %s", u.place, u.so)
}

// position finds the value of a key such as "git.poll" or "dns.listen[1]".
func (v *validation) position(key string) (line, column int, found bool) {
	path, err := yaml.PathString("$." + key)
	if err != nil {
		return 0, 0, false
	}
	node, err := path.FilterFile(v.file)
	if err != nil || node == nil || node.GetToken() == nil {
		return 0, 0, false
	}
	position := node.GetToken().Position
	return position.Line, position.Column, true
}

func (v *validation) wrong(key string, value any, expected string) {
	v.say(key, fmt.Sprintf("found %q, expected %s", fmt.Sprint(value), expected))
}

func (v *validation) say(key, mistake string) {
	v.mistakes = append(v.mistakes, v.place(key)+": "+mistake)
}

// place is where a key stands, or the section that it is missing in, with the key
// itself.
func (v *validation) place(key string) string {
	for at := key; at != ""; at = at[:max(strings.LastIndexAny(at, ".["), 0)] {
		if line, column, found := v.position(at); found {
			return fmt.Sprintf("%s:%d:%d: %s", v.path, line, column, key)
		}
	}
	return v.path + ": " + key
}

// notUsed notes a key that is set and not in force, and what is so nevertheless.
func (v *validation) notUsed(key string, set bool, so string) {
	if set {
		v.unused = append(v.unused, unusedKey{key: key, place: v.place(key), so: so})
	}
}

// printUnused tells who has just had the configuration read.
func (c *config) printUnused(out io.Writer) {
	for _, key := range c.unused {
		fmt.Fprintln(out, "warning:", key)
	}
}

func (v *validation) between(key string, value duration, least, most time.Duration) {
	if value.value() < least || value.value() > most {
		v.wrong(key, value, fmt.Sprintf("a duration from %s to %s with its unit, such as 60s", least, most))
	}
}

func (v *validation) listen(key string, addresses []string) {
	for i, address := range addresses {
		v.addressPort(fmt.Sprintf("%s[%d]", key, i), address)
		if !strings.HasSuffix(address, ":0") {
			v.once(key, addresses, i)
		}
	}
}

// once refuses an address that stands before in the list, however it is written.
func (v *validation) once(key string, addresses []string, i int) {
	at, err := netip.ParseAddrPort(addresses[i])
	if err == nil && slices.ContainsFunc(addresses[:i], func(before string) bool {
		one, err := netip.ParseAddrPort(before)
		return err == nil && one == at
	}) {
		v.wrong(fmt.Sprintf("%s[%d]", key, i), addresses[i], "each address once")
	}
}

func (v *validation) addressPort(key, value string) {
	if at, err := netip.ParseAddrPort(value); err != nil || at.Addr().Is4In6() {
		v.wrong(key, value, "an IP address and a port, such as 127.0.0.1:8053 or [::]:53")
	}
}

func (v *validation) prefixes(key string, prefixes []string) {
	for i, text := range prefixes {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix != prefix.Masked() || prefix.Addr().Is4In6() {
			v.wrong(fmt.Sprintf("%s[%d]", key, i), text, "a network without host bits, such as 192.0.2.0/24 or 2001:db8::/32")
		}
	}
}

func (v *validation) oneOf(key, value string, allowed ...string) {
	for _, one := range allowed {
		if value == one {
			return
		}
	}
	v.wrong(key, value, "one of "+strings.Join(allowed, ", "))
}

func (c *config) validate(v *validation) {
	c.Git.validate(v)
	if c.StateDir == "" {
		v.wrong("state_dir", "", "a directory that the program may write to")
	}
	c.validateSource(v)
	c.DNS.validate(v)
	c.Health.validate(v)
	c.validateResolver(v)
	v.listen("http.listen", c.HTTP.Listen)
	v.prefixes("http.trusted_proxies", c.HTTP.TrustedProxies)
	v.addressPort("admin.listen", c.Admin.Listen)
	v.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("log.format", c.Log.Format, "json", "text")
	if c.DNS.DNSSECKeys != "" {
		c.keysPlace = v.place("dns.dnssec_keys")
	}
	c.validatePublish(v)
	c.validateAlerts(v)
	v.notUsed("log.client_addresses", c.Log.ClientAddresses, "no client address is logged")
}

func (g *gitConfig) validate(v *validation) {
	if g.URL == "" {
		v.wrong("git.url", "", "the repository to follow: a path, file://, https://, ssh:// or user@host:/path")
	}
	v.between("git.poll", g.Poll, time.Second, 24*time.Hour)
	v.between("git.timeout", g.Timeout, time.Second, time.Hour)
	if !(g.MaxCapacityDrop >= 0 && g.MaxCapacityDrop <= 1) { // so that NaN is refused
		v.wrong("git.max_capacity_drop", g.MaxCapacityDrop, "a part from 0 (nothing may be removed) to 1 (everything may)")
	}
	v.notUsed("git.allowed_signers", g.AllowedSigners != "", "commits are taken whoever has signed them, and those that nobody has")
}

// limits are as package dnsserver takes them. What is left out has its default.
func (r *rrlConfig) limits() dnsserver.RateLimits {
	limits := dnsserver.DefaultRateLimits()
	if r == nil {
		return limits
	}
	if r.ResponsesPerSecond != nil {
		limits.PerSecond = *r.ResponsesPerSecond
	}
	if r.Slip != nil {
		limits.Slip = *r.Slip
	}
	if r.Exempt != nil {
		limits.Exempt = mustPrefixes(*r.Exempt)
	}
	return limits
}

// settings are as package dnsserver takes them.
func (d *dnsConfig) settings() dnsserver.Settings {
	s := dnsserver.Settings{
		NSID:      d.NSID,
		Version:   d.Version,
		Identity:  d.Identity,
		UDPSize:   d.UDPSize,
		TCP:       dnsserver.TCPLimits{Connections: d.TCPConnections, PerNetwork: d.TCPPerNetwork, Idle: d.TCPIdle.value()},
		ProxyFrom: mustPrefixes(d.ProxyFrom),
	}
	s.RateLimits = d.RRL.limits()
	if d.ClientSubnetFrom != nil {
		s.SubnetFrom = mustPrefixes(*d.ClientSubnetFrom)
	}
	return s
}

// validateSource adds what package gitsource has to say of its settings.
func (c *config) validateSource(v *validation) {
	if c.Git.URL == "" || c.StateDir == "" || c.Git.Poll.value() <= 0 || c.Git.Timeout.value() <= 0 {
		return // said already
	}
	err := c.source(nil).Validate()
	list := []error{err}
	if joined, isJoined := err.(interface{ Unwrap() []error }); isJoined {
		list = joined.Unwrap()
	}
	for _, one := range list {
		var setting *gitsource.SettingError
		if errors.As(one, &setting) {
			v.say("git."+setting.Setting, setting.Err.Error())
		} else if one != nil {
			v.say("git", one.Error())
		}
	}
}

func (d *dnsConfig) validate(v *validation) {
	if len(d.Listen) == 0 {
		v.wrong("dns.listen", "[]", "at least one address and port")
	}
	v.listen("dns.listen", d.Listen)
	d.TLS.validate(v, d.Listen)
	for _, one := range []struct{ key, text string }{
		{"dns.nsid", d.NSID}, {"dns.version", d.Version}, {"dns.identity", d.Identity},
	} {
		if len(one.text) > 128 {
			v.wrong(one.key, one.text, "at most 128 bytes")
		}
	}
	if d.UDPSize < 512 || d.UDPSize > 4096 {
		v.wrong("dns.udp_size", d.UDPSize, "512 to 4096 bytes")
	}
	if d.TCPConnections < 1 {
		v.wrong("dns.tcp_connections", d.TCPConnections, "a whole number, at least 1")
	}
	if d.TCPPerNetwork < 0 {
		v.wrong("dns.tcp_connections_per_network", d.TCPPerNetwork, "a whole number, 0 for a quarter of dns.tcp_connections")
	}
	v.between("dns.tcp_idle", d.TCPIdle, 100*time.Millisecond, time.Hour)
	if d.ClientSubnetFrom != nil {
		v.prefixes("dns.client_subnet_from", *d.ClientSubnetFrom)
	}
	v.prefixes("dns.proxy_protocol_from", d.ProxyFrom)
	d.Transfer.validate(v, d.TLS != nil)
	d.RRL.validate(v)
	d.validateDNSSEC(v)
}

func (r *rrlConfig) validate(v *validation) {
	if r == nil {
		return
	}
	if n := r.ResponsesPerSecond; n != nil && (*n < 0 || *n > 1e9) {
		v.wrong("dns.rrl.responses_per_second", *n, "a whole number to 1000000000, 0 for no limit")
	}
	if r.Slip != nil && *r.Slip < 0 {
		v.wrong("dns.rrl.slip", *r.Slip, "a whole number, 0 for none")
	}
	if r.Exempt != nil {
		v.prefixes("dns.rrl.exempt", *r.Exempt)
	}
}
