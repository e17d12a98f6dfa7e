//go:build e2e

package main

import (
	"fmt"
	"net/netip"
	"path/filepath"
)

// resolverKind is a resolver, and what it does beyond asking.
type resolverKind struct {
	name, program string
	capitals      bool // asks with capitals at random, and wants them back
	subnet        bool // tells the client's network
	cookies       bool
	// configure writes what it needs and gives the command that runs it.
	configure func(*lab, resolverSettings) []string
}

type resolverSettings struct {
	directory string // its own
	hints     string // the file that names the root
	size      int    // what it can take over UDP
	address   netip.AddrPort
	from      netip.Addr // its address towards servers
}

var resolverKinds = []resolverKind{
	{name: "unbound", program: "/usr/sbin/unbound", capitals: true, subnet: true, configure: unbound},
	{name: "bind", program: "/usr/sbin/named", cookies: true, configure: bind},
	{name: "knot-resolver", program: "/usr/sbin/kresd", capitals: true, configure: knotResolver},
	{name: "pdns-recursor", program: "/usr/sbin/pdns_recursor", subnet: true, configure: powerDNSRecursor},
}

// The times are such that a busy machine does not make it ask again.
func unbound(l *lab, s resolverSettings) []string {
	config := l.write(filepath.Base(s.directory)+"/unbound.conf", fmt.Sprintf(`
server:
  interface: %[1]s@%[2]d
  outgoing-interface: %[3]s
  access-control: 127.0.0.0/8 allow
  directory: "%[4]s"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  do-ip6: no
  do-not-query-localhost: no
  root-hints: "%[5]s"
  num-threads: 1
  module-config: "subnetcache iterator"
  send-client-subnet: %[6]s
  local-zone: "test." nodefault
  qname-minimisation: yes
  qname-minimisation-strict: yes
  use-caps-for-id: yes
  edns-buffer-size: %[7]d
  unknown-server-time-limit: 2000
  infra-cache-min-rtt: 2000
  infra-cache-max-rtt: 20000
remote-control:
  control-enable: no
`, s.address.Addr(), s.address.Port(), s.from, s.directory, s.hints, host(l.home, tapHost), s.size))
	return []string{"/usr/sbin/unbound", "-d", "-c", config}
}

func bind(l *lab, s resolverSettings) []string {
	config := l.write(filepath.Base(s.directory)+"/named.conf", fmt.Sprintf(`
options {
  directory "%[4]s";
  pid-file none;
  session-keyfile none;
  managed-keys-directory "%[4]s";
  listen-on port %[2]d { %[1]s; };
  listen-on-v6 { none; };
  query-source address %[3]s;
  allow-query { 127.0.0.0/8; };
  allow-recursion { 127.0.0.0/8; };
  dnssec-validation no;
  empty-zones-enable no;
  qname-minimization strict;
  edns-udp-size %[6]d;
  prefetch 0;
  max-cache-size 16m;
};
controls { };
zone "." { type hint; file "%[5]s"; };
`, s.address.Addr(), s.address.Port(), s.from, s.directory, s.hints, s.size))
	return []string{"/usr/sbin/named", "-g", "-4", "-n", "1", "-c", config}
}

func knotResolver(l *lab, s resolverSettings) []string {
	config := l.write(filepath.Base(s.directory)+"/kresd.conf", fmt.Sprintf(`
net.ipv6 = false
net.listen('%[1]s', %[2]d, { kind = 'dns' })
net.outgoing_v4('%[3]s')
net.bufsize(1232, %[6]d)
cache.open(10 * MB, 'lmdb://%[4]s/cache')
cache.min_ttl(0)
trust_anchors.remove('.')
modules.unload('priming')
modules.unload('ta_update')
modules.unload('ta_signal_query')
modules.unload('detect_time_skew')
modules.load('hints')
hints.root_file('%[5]s')
option('ALLOW_LOCAL', true)
policy.add(policy.suffix(policy.PASS, { todname('test.') }))
`, s.address.Addr(), s.address.Port(), s.from, s.directory, s.hints, s.size))
	return []string{"/usr/sbin/kresd", "-n", "-c", config, s.directory}
}

func powerDNSRecursor(l *lab, s resolverSettings) []string {
	l.write(filepath.Base(s.directory)+"/recursor.conf", fmt.Sprintf(`
local-address=%[1]s
local-port=%[2]d
query-local-address=%[3]s
socket-dir=%[4]s
config-dir=%[4]s
hint-file=%[5]s
edns-outgoing-bufsize=%[6]d
edns-subnet-allow-list=test
ecs-add-for=127.0.0.0/8
dont-query=
dnssec=process-no-validate
security-poll-suffix=
threads=1
daemon=no
write-pid=no
disable-syslog=yes
qname-minimization=yes
minimum-ttl-override=0
ecs-minimum-ttl-override=0
network-timeout=5000
`, s.address.Addr(), s.address.Port(), s.from, s.directory, s.hints, s.size))
	return []string{"/usr/sbin/pdns_recursor", "--config-dir=" + s.directory}
}
