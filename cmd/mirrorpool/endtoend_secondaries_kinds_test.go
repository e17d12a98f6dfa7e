//go:build e2e

package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// What each secondary's configuration has beside the operator's page is what lets it
// run on a port of its own without privileges, and lets the test look at its zones.

func (l *secondaryLab) primaryAt(separator string) string {
	return fmt.Sprintf("127.0.0.1%s%d", separator, l.dnsPort)
}

// authorities is where the page's configurations have the certificates that are
// trusted.
const authorities = "/etc/ssl/certs/ca-certificates.crt"

// certifiedName is what the tests' certificates are for.
const certifiedName = "ns.example.test"

func (l *secondaryLab) configureNSD(s *secondary) {
	request := "request-xfr: " + l.primaryAt("@") + " transfer"
	tls := ""
	if l.tlsPort != 0 {
		request = fmt.Sprintf("request-xfr: 127.0.0.1@%d transfer mirrorpool", l.tlsPort)
		tls = l.put(l.onPage("NSD has TLS with this"), authorities, l.certificate.chainFile(), "ns1.amnesia.boum.org", certifiedName)
	}
	block := tls + l.put(l.onPage("NSD, in"),
		"SECRET", l.keys[s.key], "amnesia.boum.org", strings.TrimSuffix(labZone, "."),
		"request-xfr: 192.0.2.53 transfer", request,
		"allow-notify: 192.0.2.53", "allow-notify: 127.0.0.1")
	config := l.write("nsd/nsd.conf", fmt.Sprintf(`
server:
  ip-address: %[1]s
  server-count: 1
  username: ""
  zonesdir: "%[2]s"
  database: "%[2]s/nsd.db"
  xfrdfile: "%[2]s/xfrd.state"
  xfrdir: "%[2]s"
  pidfile: "%[2]s/pid"
  zonelistfile: "%[2]s/zone.list"
  verbosity: 3
remote-control:
  control-enable: no
%[3]s  provide-xfr: 127.0.0.1 NOKEY
`, fmt.Sprintf("127.0.0.1@%d", s.port), s.directory, block))
	s.program = []string{"nsd", "-d", "-c", config}
}

func (l *secondaryLab) configureKnot(s *secondary) {
	block := l.put(l.onPage("Knot, in"),
		"SECRET", l.keys[s.key], "hmac-sha256", labAlgorithms[s.key],
		"id: transfer", "id: "+s.key, "key: transfer", "key: "+s.key,
		"192.0.2.53", l.primaryAt("@"), "/var/lib/knot", s.directory,
		"acl: mirrorpool", "acl: [mirrorpool, look]")
	config := l.write("knot/knot.conf", fmt.Sprintf(`
server:
  rundir: %[2]s
  listen: %[1]s
database:
  storage: %[2]s
log:
  - target: stderr
    any: info
acl:
  - id: look
    address: 127.0.0.1
    action: transfer
%[3]s`, fmt.Sprintf("127.0.0.1@%d", s.port), s.directory, block))
	s.program = []string{"knotd", "-c", config}
}

func (l *secondaryLab) configureBIND(s *secondary) {
	primary, tls := fmt.Sprintf("127.0.0.1 port %d key transfer;", l.dnsPort), ""
	if l.tlsPort != 0 {
		primary = fmt.Sprintf("127.0.0.1 port %d key transfer tls mirrorpool;", l.tlsPort)
		tls = l.put(l.onPage("in `primaries` and `default-primaries`"), authorities, l.certificate.chainFile(), "ns1.amnesia.boum.org", certifiedName)
	}
	options := l.put(l.onPage("BIND, in"), "192.0.2.53 key transfer;", primary, "/var/cache/bind", s.directory)
	zones := tls + l.put(l.onPage("and in `named.conf.local`"), "192.0.2.53 key transfer;", primary,
		"/etc/bind/transfer.keys", filepath.Join(l.directory, "transfer.keys"))
	config := l.write("bind/named.conf", fmt.Sprintf(`
options {
  directory "%[2]s";
  pid-file none;
  session-keyfile none;
  listen-on port %[1]d { 127.0.0.1; };
  listen-on-v6 { none; };
  recursion no;
  notify no;
  dnssec-validation no;
  allow-transfer { any; };
%[3]s};
controls { };
%[4]s`, s.port, s.directory, options, zones))
	s.program = []string{"named", "-g", "-n", "1", "-c", config}
}

// metric adds up the values of a metric whose labels match.
func (l *secondaryLab) metric(name, labels string) float64 {
	l.Helper()
	pattern := regexp.MustCompile(`(?m)^` + name + `\{[^}]*` + labels + `[^}]*\} (\S+)$`)
	sum := 0.0
	for _, match := range pattern.FindAllStringSubmatch(l.get("/metrics"), -1) {
		var value float64
		if _, err := fmt.Sscan(match[1], &value); err != nil {
			l.Fatal(err)
		}
		sum += value
	}
	return sum
}
