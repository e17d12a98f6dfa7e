package dnsserver

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"mirrorpool/testport"
	"mirrorpool/zones"
)

// TestSecondariesOverTLS has BIND and NSD fetch a zone, and what changes in it, over TLS
// alone, signed, with the certificate checked (RFC 9103), and ask again where there were
// too many transfers. Knot 3.2 fetches nothing over TLS yet.
func TestSecondariesOverTLS(t *testing.T) {
	key := testKeys(t).Keys()[0]
	secret := base64.StdEncoding.EncodeToString(testSecret)
	for name, run := range map[string]func(*testing.T, *transferServer, string, uint16){
		"BIND": func(t *testing.T, s *transferServer, directory string, port uint16) {
			program := debian(t, "named", "bind9")
			write(t, directory, "named.conf", fmt.Sprintf(`
options { directory %q; listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; }; pid-file none; recursion no;
  notify no; dnssec-validation no; session-keyfile none; min-refresh-time 1; max-refresh-time 1; min-retry-time 1; max-retry-time 1; };
controls { };
tls ours { ca-file %q; remote-hostname "ns.example.test"; };
key %q { algorithm hmac-sha256; secret %q; };
zone "example.test" { type secondary; file "example"; primaries { 127.0.0.1 port %d key %q tls ours; }; };
`, directory, port, certificates().file(t), key.Name(), secret, s.TLSAddresses()[0].Port(), key.Name()))
			inForeground(t, program, "-g", "-c", filepath.Join(directory, "named.conf"))
		},
		"NSD": func(t *testing.T, s *transferServer, directory string, port uint16) {
			program := debian(t, "nsd", "nsd")
			write(t, directory, "nsd.conf", fmt.Sprintf(`
server:
  ip-address: 127.0.0.1@%d
  do-ip6: no
  username: ""
  chroot: ""
  zonesdir: %q
  database: ""
  pidfile: ""
  zonelistfile: %q
  xfrdfile: %q
  xfrdir: %q
  tls-cert-bundle: %q
remote-control:
  control-enable: no
key:
  name: %q
  algorithm: hmac-sha256
  secret: %q
tls-auth:
  name: ours
  auth-domain-name: ns.example.test
zone:
  name: example.test
  zonefile: example
  max-refresh-time: 1
  max-retry-time: 1
  request-xfr: 127.0.0.1@%d %s ours
`, port, directory, filepath.Join(directory, "zone.list"), filepath.Join(directory, "xfrd.state"), directory, certificates().file(t),
				key.Name(), secret, s.TLSAddresses()[0].Port(), key.Name()))
			inForeground(t, program, "-d", "-c", filepath.Join(directory, "nsd.conf"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			settings := everybody(t)
			settings.Transfer.Allow = []TransferRule{{Key: key.Name()}}
			settings.Transfer.TLSOnly = true
			settings.Transfer.Concurrent = 1
			given := testTransfers(1000)
			given.versions["large.test."] = testTransfers(manyHosts).versions["example.test."]
			s := startTransfers(t, given, settings)
			port := testport.Unused(t)
			run(t, s, t.TempDir(), port)
			expectSerial(t, port, 7)

			s.transfers.Store(changedTo(given, 8))
			expectSerial(t, port, 8)
			s.expectCounted(t, kindIXFR, transferDifferences, 1)

			held := s.dialTLS(t, nil)
			packet, _ := signedQuestion(query{name: "large.test.", qtype: dns.TypeAXFR}.bytes(), key, time.Now())
			send(t, held, packet)
			mustReceive(t, held)
			s.transfers.Store(changedTo(given, 9))
			eventually(t, "the secondary is told that there are too many", func() bool {
				for _, kind := range []string{kindAXFR, kindIXFR} {
					if testutil.ToFloat64(s.metrics.transfers.total.WithLabelValues(kind, transferBusy)) > 0 {
						return true
					}
				}
				return false
			})
			held.Close()
			expectSerial(t, port, 9)
		})
	}
}

// changedTo are zones in which that of the tests has a higher serial, and one name more
// than at serial 7.
func changedTo(given *fakeTransfers, serial int) *fakeTransfers {
	changed := &fakeTransfers{versions: maps.Clone(given.versions), differences: maps.Clone(given.differences)}
	newest := records("newest.example.test. 60 IN A 127.0.0.8")
	changed.versions["example.test."] = zones.NewVersion(soaOfSerial(serial), slices.Concat(hosts(1000), newest))
	steps := []*zones.Difference{{Old: soaOfSerial(7), New: soaOfSerial(8), Added: newest}}
	for last := 8; last < serial; last++ {
		steps = append(steps, &zones.Difference{Old: soaOfSerial(last), New: soaOfSerial(last + 1)})
	}
	changed.differences["example.test."] = append(slices.Clone(given.differences["example.test."]), steps...)
	return changed
}

func write(t testing.TB, directory, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// expectSerial waits until a secondary has a version.
func expectSerial(t *testing.T, port uint16, serial uint32) {
	t.Helper()
	address := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
	packet := query{name: "example.test.", qtype: dns.TypeSOA}.bytes()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("udp", address.String())
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(time.Second))
		send(t, c, packet)
		answer, err := receive(c)
		c.Close()
		if err != nil {
			continue
		}
		if m := parse(t, answer); len(m.Answer) == 1 && m.Answer[0].(*dns.SOA).Serial == serial {
			return
		}
	}
	t.Fatalf("serial %d has not come", serial)
}
