package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

func TestDefaultsHoldWhereKeysAreAbsent(t *testing.T) {
	got, err := parseConfig("node.yaml", []byte("git:\n  url: /srv/mirrors.git\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := defaultConfig()
	want.Git.URL = "/srv/mirrors.git"
	if difference := cmp.Diff(want, got, cmp.AllowUnexported(config{}, unusedKey{})); difference != "" {
		t.Error(difference)
	}
	if want.Git.Poll.value() != time.Minute || want.Admin.Listen != "127.0.0.1:8053" || want.Log.ClientAddresses {
		t.Errorf("defaults: %+v", want)
	}
}

// whole is a configuration with every key.
const whole = `
git:
  url: user@host.example:/srv/mirrors.git
  branch: master
  poll: 60s
  timeout: 60s
  proxy: socks5h://127.0.0.1:9050
  ssh_key: /etc/mirrorpool/id_ed25519
  known_hosts: /etc/mirrorpool/known_hosts
  allowed_signers: /etc/mirrorpool/allowed_signers
  max_capacity_drop: 0.5
state_dir: /var/lib/mirrorpool
dns:
  listen: ["0.0.0.0:53", "[::]:53"]
  nsid: ns1
  version: none of your business
  identity: ns1
  client_subnet_from: ["192.0.2.0/24"]
  proxy_protocol_from: ["192.0.2.7/32"]
  tls:
    listen: ["0.0.0.0:853", "[::]:853"]
    certificate: /etc/mirrorpool/tls/fullchain.pem
    key: /etc/mirrorpool/tls/key.pem
  udp_size: 1400
  tcp_connections: 1000
  tcp_connections_per_network: 250
  tcp_idle: 10s
  transfer:
    allow: ["192.0.2.0/24", "key One.example", "2001:db8::/32 key two"]
    notify: ["198.51.100.53:53", "[2001:db8::53]:5353 key two"]
    tsig_keys: /etc/mirrorpool/tsig.keys
    concurrent: 5
    tls_only: true
    catalog: catalog.example
    serials: 2/4
  dnssec_keys: /var/lib/mirrorpool/keys
  rrl:
    responses_per_second: 200
    slip: 3
    exempt: ["127.0.0.0/8", "::1/128"]
  cookie_secret_file: /etc/mirrorpool/cookie.secret
http:
  listen: ["0.0.0.0:80", "[::]:80"]
  trusted_proxies: ["127.0.0.1/32"]
publish:
  - pool: dl.example.org
    zone: example.org
    server: 192.0.2.53:53
    tsig_keys: /etc/mirrorpool/publish.keys
    key: mirrorpool
    ttl: 60
    interval: 60s
    limit: 4
    rotate: 1h
    adopt: true
    dry_run: true
admin:
  listen: 127.0.0.1:8053
geo:
  city: /var/lib/GeoIP/GeoLite2-City.mmdb
  country: /var/lib/GeoIP/GeoLite2-Country.mmdb
  asn: /var/lib/GeoIP/GeoLite2-ASN.mmdb
  overrides: /etc/mirrorpool/nets.json
log:
  level: info
  format: json
  client_addresses: true
`

func TestEveryKeyIsReadAndUnusedOnesAreNamed(t *testing.T) {
	got, err := parseConfig("node.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	var unused []string
	for _, key := range got.unused {
		unused = append(unused, key.key)
		if said := key.String(); !regexp.MustCompile(`^node\.yaml:\d+:\d+: ` + key.key + `: not in force in this version: .+`).MatchString(said) {
			t.Errorf("%s is told of as %q", key.key, said)
		}
	}
	want := []string{
		"git.allowed_signers", "log.client_addresses",
	}
	if !slices.Equal(unused, want) {
		t.Errorf("not in force: %q, want %q", unused, want)
	}
	if got.Git.MaxCapacityDrop != 0.5 || *got.DNS.RRL.Slip != 3 || got.Geo.ASN == "" || got.DNS.TCPPerNetwork != 250 || got.DNS.settings().UDPSize != 1400 || !got.Log.ClientAddresses {
		t.Errorf("not all read: %+v", got)
	}
}

// TestExampleHasEveryKey reads the documented example, as it is and with every
// key taken in.
func TestExampleHasEveryKey(t *testing.T) {
	data, err := os.ReadFile("../../docs/mirrorpool.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseConfig("docs/mirrorpool.yaml", data); err != nil {
		t.Errorf("the example as it is: %v", err)
	}
	keys := regexp.MustCompile(`(?m)^( *)# ((?:  )*(?:- )?[a-z_]+:)`)
	all := keys.ReplaceAllString(string(data), "$1$2")
	if _, err := parseConfig("docs/mirrorpool.yaml", []byte(all)); err != nil {
		t.Errorf("the example with every key: %v\n%s", err, all)
	}
	for _, line := range strings.Split(whole, "\n") {
		if key, _, isKey := strings.Cut(strings.Trim(line, " -"), ":"); isKey && !strings.Contains(all, key+":") {
			t.Errorf("the example lacks the key %s", key)
		}
	}
}

func TestMistakesAreReportedTogether(t *testing.T) {
	_, err := parseConfig("node.yaml", []byte("git:\n  url: /srv/mirrors.git\n  max_capacity_drop: 2\nhttp:\n  trusted_proxies: [\"192.0.2.1/24\"]\ndns: {tcp_connections: 0, tcp_connections_per_network: -1, tcp_idle: 1ms}\nlog:\n  format: xml\n"))
	if err == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{
		`node.yaml:3:22: git.max_capacity_drop: found "2", expected a part from 0`,
		`node.yaml:5:21: http.trusted_proxies[0]: found "192.0.2.1/24", expected a network without host bits`,
		`node.yaml:6:24: dns.tcp_connections: found "0", expected a whole number, at least 1`,
		`node.yaml:6:56: dns.tcp_connections_per_network: found "-1", expected a whole number`,
		`node.yaml:6:70: dns.tcp_idle: found "1ms", expected a duration from 100ms to 1h0m0s`,
		`node.yaml:8:11: log.format: found "xml", expected one of json, text`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not said: %s\nin: %v", want, err)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("git: {url: a, poll: 1}"))
	f.Add([]byte("&a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		config, err := parseConfig("node.yaml", data)
		if (config == nil) == (err == nil) {
			t.Errorf("config %v, error %v", config, err)
		}
	})
}

func TestMistakesAreLocated(t *testing.T) {
	for _, test := range []struct{ name, config, want string }{
		{"no unit", "git: {url: /a, poll: 60}", `f.yaml:1:22: git.poll: found "60", expected a duration from 1s`},
		{"no duration", "git:\n  url: /a\n  poll: 5 minutes\n", `f.yaml:3:9: git.poll: found "5 minutes", expected a duration`},
		{"too long", "git: {url: /a, poll: 2562047h}", `f.yaml:1:22: git.poll: found "2562047h"`},
		{"not a number", "git: {url: /a, max_capacity_drop: .nan}", `f.yaml:1:35: git.max_capacity_drop: found "NaN"`},
		{"wrong type", "git: {url: /a}\nlog: {client_addresses: maybe}", `f.yaml:2:25: log.client_addresses: found "maybe", expected true or false`},
		{"list for text", "git: {url: [a]}", `f.yaml:1:12: git.url: found a list, expected text`},
		{"second document", "git: {url: /a}\n---\nfoo: 1\n", `f.yaml:3:4: a second YAML document`},
		{"key twice", "git: {url: /a}\ngit: {url: /b}\n", `f.yaml:2:1: mapping key "git" already defined`},
		{"address twice", "git: {url: /a}\ndns: {listen: [\"127.0.0.1:53\", \"127.0.0.1:53\"]}", `f.yaml:2:32: dns.listen[1]: found "127.0.0.1:53", expected each address once`},
		{"mapped proxy", "git: {url: /a}\nhttp: {trusted_proxies: [\"::ffff:127.0.0.0/104\"]}", `f.yaml:2:26: http.trusted_proxies[0]`},
		{"address twice, written otherwise", "git: {url: /a}\ndns: {dnssec_parents: [\"[::1]:53\", \"[0:0::1]:53\"]}", `f.yaml:2:36: dns.dnssec_parents[1]: found "[0:0::1]:53", expected each address once`},
		{"port of nobody", "git: {url: /a}\ndns: {dnssec_parents: [\"127.0.0.1:0\"]}", `f.yaml:2:24: dns.dnssec_parents[0]: found "127.0.0.1:0", expected a port that can be asked`},
		{"catalog of no name", "git: {url: /a}\ndns: {transfer: {catalog: \"a b\"}}", `f.yaml:2:27: dns.transfer.catalog: found "a b"`},
		{"no pool", "git: {url: /a}\npublish:\n  - {zone: example.org, server: \"[::1]:53\", tsig_keys: /k}\n", `f.yaml:3:5: publish[0].pool: found ""`},
		{"no entry", "git: {url: /a}\npublish:\n  - null\n", `f.yaml:3:5: publish[0]: found nothing, expected keys with values`},
		{
			"published twice, written otherwise",
			"git: {url: /a}\npublish:\n  - {pool: dl.example.org, zone: example.org, server: \"[::1]:53\", tsig_keys: /k}\n" +
				"  - {pool: dl.example.org, zone: example.org, server: \"[0:0::1]:53\", tsig_keys: /k}\n",
			`f.yaml:4:12: publish[1].pool: found "dl.example.org", expected each pool once`,
		},
		{"a key that is no text", "1: 2\ngit: {url: /a}\n", `f.yaml:1:1: unknown key "1"`},
		{"nothing as a key", "git: {url: /a}\nnull: 2\n", `f.yaml:2:1: unknown key "null"`},
		{"empty", "", `f.yaml: git.url: found "", expected the repository to follow`},
		{"only a comment", "# nothing\n", `f.yaml: git.url: found "", expected the repository to follow`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseConfig("f.yaml", []byte(test.config))
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Fatalf("found %v, want %s", err, test.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("one mistake, and more than one line: %v", err)
			}
		})
	}
}

// A file or a directory of keys that is not there is told with the place that names it.
func TestMissingKeysAreLocated(t *testing.T) {
	gone := t.TempDir() + "/gone"
	c, err := parseConfig("f.yaml", fmt.Appendf(nil, "git: {url: /a}\ndns: {dnssec_keys: %s}\npublish:\n  - {pool: dl.example.org, zone: example.org, server: \"[::1]:53\", tsig_keys: %s}\n", gone, gone))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.openPublishKeys(nil); err == nil || !strings.HasPrefix(err.Error(), "f.yaml:4:78: publish[0].tsig_keys: ") {
		t.Error(err)
	}
	if err := newKeys(zerolog.Nop(), newStages(time.Now)).use(c.keysSettings()); err == nil || !strings.HasPrefix(err.Error(), "f.yaml:2:20: dns.dnssec_keys: ") {
		t.Error(err)
	}
}

func TestByteOrderMarkIsNoKey(t *testing.T) {
	if _, err := parseConfig("f.yaml", []byte("\xef\xbb\xbfgit: {url: /a}\n")); err != nil {
		t.Error(err)
	}
}

// What an rrl section leaves out has its default, and zeros are no absence.
func TestRateLimitsHaveTheirDefaults(t *testing.T) {
	for _, c := range []struct {
		text                    string
		perSecond, slip, exempt int
	}{
		{"", 200, 2, 2},
		{"dns: {rrl: {slip: 1}}", 200, 1, 2},
		{"dns: {rrl: {responses_per_second: 0, slip: 0, exempt: []}}", 0, 0, 0},
	} {
		got, err := parseConfig("node.yaml", []byte("git: {url: /srv/mirrors.git}\n"+c.text))
		if err != nil {
			t.Fatal(err)
		}
		limits := got.DNS.settings().RateLimits
		if limits.PerSecond != c.perSecond || limits.Slip != c.slip || len(limits.Exempt) != c.exempt {
			t.Errorf("%q: got %+v", c.text, limits)
		}
	}
}

// Nobody's subnet is believed with an empty list, and everyone's without one.
func TestWhoseSubnetIsBelieved(t *testing.T) {
	for text, nobody := range map[string]bool{"": false, "dns: {client_subnet_from: []}": true} {
		got, err := parseConfig("node.yaml", []byte("git: {url: /srv/mirrors.git}\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		if from := got.DNS.settings().SubnetFrom; (from != nil) != nobody || len(from) > 0 {
			t.Errorf("%q: got %#v", text, from)
		}
	}
}
