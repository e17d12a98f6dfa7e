//go:build e2e

package main

import (
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/miekg/dns"
)

// resolverKind is a resolver, and what it does beyond asking.
type resolverKind struct {
	name, program string
	capitals      bool // asks with capitals at random, and wants them back
	subnet        bool // tells the client's network
	cookies       bool
	overTCP       bool // can be told to ask over TCP alone
	// emptyWildcards tells that it takes a wildcard that is an empty non-terminal
	// for what RFC 4592 says: the others believe a name below not to be there, or
	// its proof to be none.
	emptyWildcards bool
	// configure writes what it needs and gives the command that runs it.
	configure func(*lab, resolverSettings) []string
}

type resolverSettings struct {
	directory string // its own
	hints     string // the file that names the root
	size      int    // what it can take over UDP
	address   netip.AddrPort
	from      netip.Addr // its address towards servers
	anchor    *dns.DS    // what it validates from; nil: it does not validate
	streams   bool       // asks over TCP alone, where it can be told to
	// placeless is without the clients' networks. unbound takes a name below an alias
	// for bogus where it tells them and minimises names.
	placeless bool
}

// digestText is what a DS record says, as configurations write it.
func digestText(ds *dns.DS, quote string) string {
	return fmt.Sprintf("%d %d %d %s", ds.KeyTag, ds.Algorithm, ds.DigestType, quote+ds.Digest+quote)
}

var resolverKinds = []resolverKind{
	{name: "unbound", program: "/usr/sbin/unbound", capitals: true, subnet: true, overTCP: true, emptyWildcards: true, configure: unbound},
	{name: "bind", program: "/usr/sbin/named", cookies: true, configure: bind},
	{name: "knot-resolver", program: "/usr/sbin/kresd", capitals: true, configure: knotResolver},
	{name: "pdns-recursor", program: "/usr/sbin/pdns_recursor", subnet: true, configure: powerDNSRecursor},
}

// The times are such that a busy machine does not make it ask again.
func unbound(l *lab, s resolverSettings) []string {
	modules, validation := "iterator", ""
	if s.anchor != nil {
		modules = "validator " + modules
		validation = fmt.Sprintf("\n  trust-anchor: %q\n  aggressive-nsec: yes\n  val-log-level: 2", s.anchor.Hdr.Name+" DS "+digestText(s.anchor, ""))
	}
	if s.streams {
		validation += "\n  tcp-upstream: yes"
	}
	if !s.placeless {
		modules = "subnetcache " + modules
		validation += fmt.Sprintf("\n  send-client-subnet: %s", host(l.home, tapHost))
	}
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
  module-config: "%[7]s"%[8]s
  local-zone: "test." nodefault
  qname-minimisation: yes
  qname-minimisation-strict: yes
  use-caps-for-id: yes
  edns-buffer-size: %[6]d
  unknown-server-time-limit: 2000
  infra-cache-min-rtt: 2000
  infra-cache-max-rtt: 20000
remote-control:
  control-enable: no
`, s.address.Addr(), s.address.Port(), s.from, s.directory, s.hints, s.size, modules, validation))
	return []string{"/usr/sbin/unbound", "-d", "-c", config}
}

func bind(l *lab, s resolverSettings) []string {
	validation, anchors := "no", ""
	if s.anchor != nil {
		validation = "yes;\n  synth-from-dnssec yes"
		anchors = fmt.Sprintf("trust-anchors { %s static-ds %s; };\n", s.anchor.Hdr.Name, digestText(s.anchor, `"`))
	}
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
  dnssec-validation %[7]s;
  empty-zones-enable no;
  qname-minimization strict;
  edns-udp-size %[6]d;
  prefetch 0;
  max-cache-size 16m;
};
controls { };
%[8]szone "." { type hint; file "%[5]s"; };
`, s.address.Addr(), s.address.Port(), s.from, s.directory, s.hints, s.size, validation, anchors))
	return []string{"/usr/sbin/named", "-g", "-4", "-n", "1", "-c", config}
}

func knotResolver(l *lab, s resolverSettings) []string {
	anchors := ""
	if s.anchor != nil {
		anchors = fmt.Sprintf("\ntrust_anchors.add('%s DS %s')", s.anchor.Hdr.Name, digestText(s.anchor, ""))
	}
	config := l.write(filepath.Base(s.directory)+"/kresd.conf", fmt.Sprintf(`
net.ipv6 = false
net.listen('%[1]s', %[2]d, { kind = 'dns' })
net.outgoing_v4('%[3]s')
net.bufsize(1232, %[6]d)
cache.open(10 * MB, 'lmdb://%[4]s/cache')
cache.min_ttl(0)
trust_anchors.remove('.')%[7]s
modules.unload('priming')
modules.unload('ta_update')
modules.unload('ta_signal_query')
modules.unload('detect_time_skew')
modules.load('hints')
hints.root_file('%[5]s')
option('ALLOW_LOCAL', true)
policy.add(policy.suffix(policy.PASS, { todname('test.') }))
`, s.address.Addr(), s.address.Port(), s.from, s.directory, s.hints, s.size, anchors))
	return []string{"/usr/sbin/kresd", "-n", "-c", config, s.directory}
}

func powerDNSRecursor(l *lab, s resolverSettings) []string {
	validation := "process-no-validate"
	if s.anchor != nil {
		file := l.write(filepath.Base(s.directory)+"/anchors.lua", fmt.Sprintf("clearTA()\naddTA(%q, %q)\n", s.anchor.Hdr.Name, digestText(s.anchor, "")))
		validation = "validate\nlua-config-file=" + file
	}
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
dnssec=%[7]s
security-poll-suffix=
threads=1
daemon=no
write-pid=no
disable-syslog=yes
qname-minimization=yes
minimum-ttl-override=0
ecs-minimum-ttl-override=0
network-timeout=5000
`, s.address.Addr(), s.address.Port(), s.from, s.directory, s.hints, s.size, validation))
	return []string{"/usr/sbin/pdns_recursor", "--config-dir=" + s.directory}
}
