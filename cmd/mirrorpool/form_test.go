package main

import (
	"reflect"
	"strings"
	"testing"
)

// inDNS is a configuration with these lines in its section dns.
func inDNS(lines string) []byte {
	return []byte("git: {url: /a}\ndns:\n  " + strings.ReplaceAll(lines, "\n", "\n  ") + "\n")
}

// A value that the YAML library would cut, read in another base or take for an
// absent one is refused with its place, its key and what the key takes.
func TestValuesOfTheWrongFormAreRefused(t *testing.T) {
	const whole, section = "a whole number, such as 200, in at most 15 digits", "keys with values"
	for _, c := range []struct{ text, want string }{
		{"rrl: {responses_per_second: 0.5}", `3:31: dns.rrl.responses_per_second: found "0.5", expected ` + whole},
		{"rrl:\n  slip: 0.9", `4:11: dns.rrl.slip: found "0.9", expected ` + whole},
		{"rrl: {slip: 1e0}", `3:15: dns.rrl.slip: found "1e0", expected ` + whole},
		{"rrl: {slip: 0x2}", `3:15: dns.rrl.slip: found "0x2", expected ` + whole},
		{"rrl: {slip: 1_0}", `3:15: dns.rrl.slip: found "1_0", expected ` + whole},
		{"rrl: {slip: +1}", `3:15: dns.rrl.slip: found "+1", expected ` + whole},
		{"rrl: {slip: true}", `3:15: dns.rrl.slip: found "true", expected ` + whole},
		{"rrl: {slip: [1]}", `3:15: dns.rrl.slip: found a list, expected ` + whole},
		{"rrl: {slip: !!int 0.9}", `dns.rrl.slip: found "0.9", expected ` + whole},
		{"rrl: {slip: 99999999999999999999}", `3:15: dns.rrl.slip: found "99999999999999999999", expected ` + whole},
		{"tcp_connections: 1000.7", `3:20: dns.tcp_connections: found "1000.7", expected ` + whole},
		{"tcp_connections: 010", `3:20: dns.tcp_connections: found "010", expected ` + whole},
		{"tcp_connections_per_network: 0.3", `3:32: dns.tcp_connections_per_network: found "0.3", expected ` + whole},
		{"udp_size: 1232.5", `3:13: dns.udp_size: found "1232.5", expected ` + whole},
		{`udp_size: "1232.5"`, `3:13: dns.udp_size: found "1232.5", expected ` + whole},

		{"rrl: true", `3:8: dns.rrl: found "true", expected ` + section},
		{"rrl: [1]", `3:8: dns.rrl: found a list, expected ` + section},
		{"client_subnet_from: 192.0.2.0/24", `3:23: dns.client_subnet_from: found "192.0.2.0/24", expected a list, such as ["192.0.2.0/24"]`},
		{"listen: {a: b}", `3:11: dns.listen: found keys with values, expected a list`},
		{"nsid: {a: b}", `3:9: dns.nsid: found keys with values, expected text`},
		{"rrl: {exempt: [\"::1/128\", [a]]}", `3:29: dns.rrl.exempt[1]: found a list, expected text`},

		{"client_subnet_from:", `dns.client_subnet_from: found nothing, expected a list, [] for none, or no such key`},
		{"client_subnet_from: ~", `dns.client_subnet_from: found nothing, expected a list`},
		{"client_subnet_from: !!null", `dns.client_subnet_from: found nothing, expected a list`},
		{"client_subnet_from:\n  # - 192.0.2.0/24\nnsid: a", `dns.client_subnet_from: found nothing, expected a list`},
		{"nsid: &nothing\nclient_subnet_from: *nothing", `dns.client_subnet_from: found nothing, expected a list`},
		{"? client_subnet_from\n:", `dns.client_subnet_from: found nothing, expected a list`},
		{"\"client_subnet_from\":", `dns.client_subnet_from: found nothing, expected a list`},
		{"listen:", `dns.listen: found nothing, expected a list`},
		{"proxy_protocol_from:", `dns.proxy_protocol_from: found nothing, expected a list`},
		{"tls:", `dns.tls: found nothing, expected keys with values, or no such key`},
		{"tls: {listen: }", `dns.tls.listen: found nothing, expected a list`},
		{"rrl:\n  # slip: 2", `dns.rrl: found nothing, expected keys with values, or no such key`},
		{"rrl: {exempt: }", `dns.rrl.exempt: found nothing, expected a list`},
		{"transfer:", `dns.transfer: found nothing, expected keys with values`},
	} {
		t.Run(c.text, func(t *testing.T) {
			_, err := parseConfig("f.yaml", inDNS(c.text))
			if err == nil || !strings.HasPrefix(err.Error(), "f.yaml:") || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("found %v, want %s", err, c.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("one mistake, and more than one line: %v", err)
			}
		})
	}
}

func TestFormOutsideOfSectionDNS(t *testing.T) {
	for text, want := range map[string]string{
		"http:\n  listen:\n":                      `f.yaml:2:11: http.listen: found nothing, expected a list`,
		"http: {trusted_proxies: ~}":              `f.yaml:1:25: http.trusted_proxies: found nothing, expected a list`,
		"git: {url: /a, max_capacity_drop: lots}": `f.yaml:1:35: git.max_capacity_drop: found "lots", expected a number`,
		"git: {url: /a}\ndns: 5":                  `f.yaml:2:6: dns: found "5", expected keys with values`,
		"- a":                                     `f.yaml:1:1: found a list, expected keys with values`,
		"~":                                       `f.yaml:1:1: found nothing, expected keys with values`,
		"git: &git {url: /a}\ndns: {<<: {rrl: {slip: .5}}}": `f.yaml:2:24: dns.rrl.slip: found ".5", expected a whole number`,
	} {
		if _, err := parseConfig("f.yaml", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: found %v, want %s", text, err, want)
		}
	}
}

func TestMistakesOfFormAreReportedTogether(t *testing.T) {
	_, err := parseConfig("f.yaml", inDNS("rrl: {slip: 0.9}\ntls:\nudp_size: x"))
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("found %v, want three lines", err)
	}
}

// What opens nothing by being empty has its default.
func TestWhatMayBeEmpty(t *testing.T) {
	want, err := parseConfig("f.yaml", []byte("git: {url: /a}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"dns:\nhttp:\nadmin:\ngeo:\n  # city: /a\nlog:\n",
		"dns: {nsid: , udp_size: , tcp_idle: }\nlog: {level: }\n",
	} {
		got, err := parseConfig("f.yaml", []byte("git: {url: /a, poll: }\n"+text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, error %v", text, got, err)
		}
	}
}

func TestWholeNumbersAreTaken(t *testing.T) {
	got, err := parseConfig("f.yaml", inDNS("udp_size: &size 1400\ntcp_connections: *size\ntcp_connections_per_network: \"700\"\nrrl: {responses_per_second: 0, slip: 7}"))
	if err != nil {
		t.Fatal(err)
	}
	s := got.DNS.settings()
	if s.UDPSize != 1400 || s.TCP.Connections != 1400 || s.TCP.PerNetwork != 700 || s.RateLimits.PerSecond != 0 || s.RateLimits.Slip != 7 {
		t.Errorf("got %+v", s)
	}
}
