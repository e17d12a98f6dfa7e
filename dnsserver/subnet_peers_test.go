package dnsserver

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/testport"
)

// subnetResolverKind is a resolver that tells servers its clients' networks.
type subnetResolverKind struct {
	name, program, debian string
	// scopedNegatives: what there is not for one network, there may be for
	// another. RFC 7871 section 7.4 warns of those that know no such thing.
	scopedNegatives bool
	configure       func(directory string, port uint16, server netip.AddrPort) (file, text string, arguments []string)
}

var subnetResolverKinds = []subnetResolverKind{
	{"unbound", "/usr/sbin/unbound", "unbound", true, func(directory string, port uint16, server netip.AddrPort) (string, string, []string) {
		return "unbound.conf", fmt.Sprintf(`
server:
  interface: 127.0.0.1@%[1]d
  access-control: 127.0.0.0/8 allow
  directory: %[2]q
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  do-ip6: no
  do-not-query-localhost: no
  num-threads: 1
  module-config: "subnetcache iterator"
  send-client-subnet: %[3]s
  max-client-subnet-ipv4: 24
  local-zone: "test." nodefault
  unknown-server-time-limit: 2000
  infra-cache-min-rtt: 2000
  infra-cache-max-rtt: 20000
remote-control:
  control-enable: no
stub-zone:
  name: "example.test."
  stub-addr: %[3]s@%[4]d
stub-zone:
  name: "."
  stub-addr: 127.0.0.254
`, port, directory, server.Addr(), server.Port()), []string{"-d", "-c", filepath.Join(directory, "unbound.conf")}
	}},
	{"PowerDNS Recursor", "/usr/sbin/pdns_recursor", "pdns-recursor", false, func(directory string, port uint16, server netip.AddrPort) (string, string, []string) {
		return "recursor.conf", fmt.Sprintf(`
local-address=127.0.0.1
local-port=%[1]d
socket-dir=%[2]s
config-dir=%[2]s
forward-zones=example.test=%[3]s
edns-subnet-allow-list=example.test
ecs-add-for=127.0.0.0/8
ecs-ipv4-bits=24
dont-query=
dnssec=off
security-poll-suffix=
threads=1
daemon=no
write-pid=no
disable-syslog=yes
minimum-ttl-override=0
ecs-minimum-ttl-override=0
network-timeout=5000
`, port, directory, server), []string{"--config-dir=" + directory}
	}},
}

// startDaemon runs a program, and ends it with the test.
func startDaemon(t *testing.T, name, program, debian string, arguments []string) {
	t.Helper()
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing: install %s", name, debian)
		}
		t.Skipf("%s is missing: install %s", name, debian)
	}
	command := exec.Command(program, arguments...)
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = command.Wait(); close(exited) }()
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		select {
		case <-exited:
		case <-time.After(patience):
			_ = command.Process.Kill()
			<-exited
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", name, &out)
		}
	})
}

// shortDirectory is one with a short name: sockets may be in it.
func shortDirectory(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "subnet")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	return directory
}

// askAs asks a resolver as a client with an address of this machine, until it is
// there.
func askAs(t *testing.T, client string, resolver netip.AddrPort, name string, options ...[]byte) *dns.Msg {
	t.Helper()
	q := query{id: 7, flags: flagRD, name: name, qtype: dns.TypeA}
	if len(options) > 0 {
		q.opts = [][]byte{opt(1232, 0, options...)}
	}
	for end := time.Now().Add(2 * patience); ; {
		c := dialAs(t, "udp", client, resolver)
		c.SetDeadline(time.Now().Add(patience))
		send(t, c, q.bytes())
		answer, err := receive(c)
		c.Close()
		if err == nil {
			return parse(t, answer)
		}
		if time.Now().After(end) {
			t.Fatalf("%s of %s: %v", name, client, err)
		}
		time.Sleep(10 * time.Millisecond) // nobody listens there yet
	}
}

// Behind resolvers that tell their clients' networks: clients in different scopes
// get what is near to each, and those in one scope one answer from the cache.
func TestResolversTellSubnets(t *testing.T) {
	a := subnetTable(t)
	const everybody = "127.0.1.1 127.0.1.2 127.0.1.3"
	for _, kind := range subnetResolverKinds {
		t.Run(kind.name, func(t *testing.T) {
			s := start(t, Config{Table: func() Answerer { return a.table }})
			directory, port := shortDirectory(t), testport.Unused(t)
			file, text, arguments := kind.configure(directory, port, s.address(false))
			if err := os.WriteFile(filepath.Join(directory, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			startDaemon(t, kind.name, kind.program, kind.debian, arguments)
			resolver := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
			for _, c := range []struct {
				client, name, want string
				rcode              int
				asks               bool // the server, since nothing in the cache is for this client
			}{
				{"127.1.2.3", "near.p.example.test.", "127.0.1.1", 0, true},
				{"127.1.2.3", "near.p.example.test.", "127.0.1.1", 0, false},
				{"127.1.2.99", "near.p.example.test.", "127.0.1.1", 0, false},    // the same /24
				{"127.1.77.3", "near.p.example.test.", "127.0.1.1", 0, false},    // another /24 in the scope, a /17
				{"127.1.144.3", "near.p.example.test.", "127.0.1.1", 0, true},    // DE too, but beside FR
				{"127.1.130.3", "near.p.example.test.", "127.0.1.2", 0, true},    // in the scope of FR, a /20
				{"127.1.143.255", "near.p.example.test.", "127.0.1.2", 0, false}, // at its end
				{"127.2.2.3", "near.p.example.test.", "127.0.1.3", 0, true},
				{"127.2.255.3", "near.p.example.test.", "127.0.1.3", 0, false},
				{"127.3.2.3", "near.p.example.test.", everybody, 0, true},
				// through a wildcard's alias
				{"127.1.2.3", "x.w.example.test.", "127.0.1.1", 0, true},
				{"127.2.2.3", "x.w.example.test.", "127.0.1.3", 0, true},
				{"127.1.2.4", "x.w.example.test.", "127.0.1.1", 0, false},
				// for everybody: one answer
				{"127.1.2.3", "ns1.example.test.", "127.0.0.53", 0, true},
				{"127.2.2.3", "ns1.example.test.", "127.0.0.53", 0, false},
				{"127.1.2.3", "none.example.test.", everybody, 0, true},
				{"127.2.2.3", "none.example.test.", everybody, 0, false},
				{"127.1.2.3", "off.example.test.", everybody, 0, true},
				{"127.2.2.3", "off.example.test.", everybody, 0, false},
				{"127.1.2.3", "nope.example.test.", "", dns.RcodeNameError, true},
				{"127.2.2.3", "nope.example.test.", "", dns.RcodeNameError, false},
				// none for some
				{"127.2.2.3", "few.example.test.", "", 0, true},
				{"127.2.2.4", "few.example.test.", "", 0, false},
				{"127.1.2.3", "few.example.test.", "127.0.1.1", 0, true},
			} {
				if c.name == "few.example.test." && !kind.scopedNegatives {
					continue
				}
				before := s.featured("opt")
				m := askAs(t, c.client, resolver, c.name)
				asked := s.featured("opt") > before
				if got := addresses(m); m.Rcode != c.rcode || got != c.want {
					t.Errorf("%s for %s: response code %d, %s; want %d, %s", c.name, c.client, m.Rcode, got, c.rcode, c.want)
				}
				if asked != c.asks {
					t.Errorf("%s for %s: the server was asked: %v, want %v", c.name, c.client, asked, c.asks)
				}
			}
			if s.featured("client_subnet") < 8 {
				t.Errorf("only %v questions had a client subnet", s.featured("client_subnet"))
			}
		})
	}
}

// subnetServers are authoritative servers that can read the option.
var subnetServers = []struct {
	name, program, debian string
	settings              Settings // with which we do as it does
	configure             func(directory string, port uint16) (file, text string, arguments []string)
}{
	{"BIND", "/usr/sbin/named", "bind9", Settings{}, func(directory string, port uint16) (string, string, []string) {
		return "named.conf", fmt.Sprintf(`options {
	directory %q; pid-file none; session-keyfile none; lock-file none;
	listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; };
	recursion no; dnssec-validation no; notify no; empty-zones-enable no;
};
controls { };
zone "example.test" { type primary; file "zone"; };
zone "." { type primary; file "zone"; };
`, directory, port), []string{"-g", "-n", "1", "-c", filepath.Join(directory, "named.conf")}
	}},
	{"Knot, with the option off", "/usr/sbin/knotd", "knot", Settings{SubnetFrom: []netip.Prefix{}}, func(directory string, port uint16) (string, string, []string) {
		return "knot.conf", fmt.Sprintf(`server:
    rundir: %[1]q
    listen: 127.0.0.1@%[2]d
    edns-client-subnet: off
database:
    storage: %[1]q
zone:
  - domain: example.test
    file: zone
    storage: %[1]q
    zonefile-sync: -1
    journal-content: none
`, directory, port), []string{"-c", filepath.Join(directory, "knot.conf")}
	}},
}

// What we take for malformed BIND does too, and what of it we answer; to a
// resolver that is not believed we are as Knot is while it has the option off.
func TestSubnetsAsOthersReadThem(t *testing.T) {
	table := fakeTable{"ns.example.test.": static(records("ns.example.test. 60 IN A 127.0.0.1"))}
	values := map[string]string{
		"IPv4 /24": "\x00\x01\x18\x00\x7f\x01\x02", "IPv4 /32": "\x00\x01\x20\x00\x7f\x01\x02\x03", "IPv4 /1": "\x00\x01\x01\x00\x80",
		"IPv6 /56": "\x00\x02\x38\x00\xfd\x01\x02\x03\x04\x05\x06", "IPv6 /128": "\x00\x02\x80\x00\xfd" + strings.Repeat("\x01", 15),
		"IPv4 in IPv6": "\x00\x02\x78\x00" + strings.Repeat("\x00", 10) + "\xff\xff\x7f\x01\x02",
		"IPv4 /0":      "\x00\x01\x00\x00", "IPv6 /0": "\x00\x02\x00\x00", "no family": "\x00\x00\x00\x00",
	}
	for _, c := range malformedSubnets {
		values["malformed: "+c.name] = c.value
	}
	for _, server := range subnetServers {
		t.Run(server.name, func(t *testing.T) {
			s := start(t, Config{Table: func() Answerer { return table }, Settings: server.settings})
			directory, port := shortDirectory(t), testport.Unused(t)
			file, text, arguments := server.configure(directory, port)
			for name, text := range map[string]string{
				file: text, "zone": "$TTL 60\n@ IN SOA ns h 1 2 3 4 5\n@ IN NS ns\nns IN A 127.0.0.1\n",
			} {
				if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			startDaemon(t, server.name, server.program, server.debian, arguments)
			other := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
			for name, value := range values {
				theirs := askAs(t, "127.0.0.1", other, "ns.example.test.", option(optionSubnet, value))
				ours := askAs(t, "127.0.0.1", s.address(false), "ns.example.test.", option(optionSubnet, value))
				if got, want := subnetAndCode(ours), subnetAndCode(theirs); got != want {
					t.Errorf("%s, %x: we say %s, they %s", name, value, got, want)
				}
			}
		})
	}
}

// subnetAndCode is an answer's response code, its addresses and its client subnet.
func subnetAndCode(m *dns.Msg) string {
	text := dns.RcodeToString[m.Rcode] + " " + addresses(m)
	if o := m.IsEdns0(); o != nil {
		for _, each := range o.Option {
			text += " " + each.String()
		}
	}
	return text
}

// dig as it is, over a table as it is.
func TestDigSubnet(t *testing.T) {
	a := subnetTable(t)
	s := start(t, Config{Table: func() Answerer { return a.table }})
	for arguments, want := range map[string][]string{
		"+subnet=127.1.2.3 near.p.example.test A":      {"CLIENT-SUBNET: 127.1.2.3/32/17", "IN A 127.0.1.1"},
		"+subnet=127.1.2.0/24 near.p.example.test A":   {"CLIENT-SUBNET: 127.1.2.0/24/17", "IN A 127.0.1.1"},
		"+subnet=127.1.133.0/23 near.p.example.test A": {"CLIENT-SUBNET: 127.1.132.0/23/20", "IN A 127.0.1.2"},
		"+subnet=fd01::1/128 near.p.example.test A":    {"CLIENT-SUBNET: fd01::1/128/32", "IN A 127.0.1.3"},
		"+subnet=0 near.p.example.test A":              {"CLIENT-SUBNET: 0.0.0.0/0/0", "ANSWER: 3"},
		"+subnet=::/0 near.p.example.test A":           {"CLIENT-SUBNET: ::/0/0", "ANSWER: 3"},
		"+subnet=127.1.2.0/24 x.w.example.test A":      {"CLIENT-SUBNET: 127.1.2.0/24/17", "IN A 127.0.1.1"},
		"+subnet=127.1.2.0/24 off.example.test A":      {"CLIENT-SUBNET: 127.1.2.0/24/0", "ANSWER: 3"},
		"+subnet=127.1.2.0/24 elsewhere.test A":        {"CLIENT-SUBNET: 127.1.2.0/24/0", "status: REFUSED"},
		"+ednsopt=8:00031800 near.p.example.test A":    {"status: FORMERR", "EDNS: version: 0"},
	} {
		for _, transport := range []string{"+notcp", "+tcp"} {
			out := dig(t, s, false, append(strings.Fields(arguments), transport)...)
			for _, part := range want {
				if !strings.Contains(out, part) {
					t.Errorf("dig %s %s: no %q in\n%s", arguments, transport, part, out)
				}
			}
		}
	}
}
