package dnsserver

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"mirrorpool/dnsserver/tsig"
)

// asTool runs dig or kdig, and gives what it printed. It may fail.
func asTool(t *testing.T, tool string, to netip.AddrPort, key *tsig.Key, secret []byte, arguments ...string) string {
	t.Helper()
	path := debian(t, tool, map[string]string{"dig": "bind9-dnsutils", "kdig": "knot-dnsutils"}[tool])
	all := []string{"@" + to.Addr().String(), "-p", strconv.Itoa(int(to.Port()))}
	if tool == "dig" {
		all = append([]string{"-r"}, all...)
	}
	if key != nil {
		all = append(all, "-y", key.Algorithm()+":"+key.Name()+":"+base64.StdEncoding.EncodeToString(secret))
	}
	out, _ := exec.Command(path, append(all, arguments...)...).CombinedOutput()
	return strings.Join(strings.Fields(string(out)), " ")
}

// TestToolsTransfer has dig and kdig transfer a zone, and see what is refused.
func TestToolsTransfer(t *testing.T) {
	s := startTransfers(t, testTransfers(2000), everybody(t))
	authority := certificates().file(t)
	keys := testKeys(t).Keys()
	for _, tool := range []string{"dig", "kdig"} {
		for _, key := range []*tsig.Key{nil, keys[0], keys[1], keys[2]} {
			for _, over := range []string{"tcp", "tls"} {
				to, options := s.address(false), []string{"+tcp"}
				if over == "tls" {
					to = s.TLSAddresses()[0]
					options = []string{"+tls-ca=" + authority, "+tls-hostname=ns.example.test"}
				}
				for asked, want := range map[string]string{
					"AXFR": "host001999.example.test. 60 IN A 127.0.7.207", "IXFR=5": "newer.example.test. 60 IN A 127.0.0.7",
					"IXFR=7": "xample.test. 60 IN SOA", "IXFR=4": "host001999.example.test. 60 IN A 127.0.7.207",
				} {
					t.Run(fmt.Sprint(tool, " ", key, " ", over, " ", asked), func(t *testing.T) {
						out := asTool(t, tool, to, key, testSecret, append(options, "example.test", asked)...)
						if !strings.Contains(out, want) {
							t.Errorf("no %q in\n%.2000s", want, out)
						}
						for _, bad := range []string{"failed", "WARNING", "Couldn't", "malformed", "error", "mismatch", "extra"} {
							if strings.Contains(out, bad) {
								t.Errorf("%q in\n%.2000s", bad, out)
							}
						}
						if key != nil && !strings.Contains(out, key.Name()) {
							t.Errorf("no signature is shown:\n%.2000s", out)
						}
					})
				}
			}
		}
	}
}

// TestToolsSeeWhatIsWrong has dig sign badly.
func TestToolsSeeWhatIsWrong(t *testing.T) {
	s := startTransfers(t, testTransfers(20), everybody(t))
	keys := testKeys(t).Keys()
	stranger, err := tsig.NewKey("stranger.test", "hmac-sha512", testSecret)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"AXFR", "IXFR=5", "SOA", "A"} {
		for name, test := range map[string]struct {
			key       *tsig.Key
			secret    []byte
			arguments []string
		}{
			"BADKEY":  {stranger, testSecret, nil},
			"BADSIG":  {keys[0], []byte("another secret"), nil},
			"BADTIME": {keys[2], testSecret, []string{"+fuzztime=646972862"}},
			"refused": {nil, nil, []string{"-b", "127.0.0.9"}},
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				if name == "refused" {
					if kind == "SOA" || kind == "A" {
						return
					}
					settings := everybody(t)
					settings.Transfer.Allow[0].Network = netip.MustParsePrefix("127.0.0.1/32")
					if err := s.Set(settings); err != nil {
						t.Fatal(err)
					}
					defer func() {
						if err := s.Set(everybody(t)); err != nil {
							t.Fatal(err)
						}
					}()
				}
				out := asTool(t, "dig", s.address(false), test.key, test.secret, append(test.arguments, "+tcp", "example.test", kind, "+tries=1")...)
				want := []string{name, "status: NOTAUTH"}
				switch {
				case name == "refused":
					want = []string{"Transfer failed"} // and dig tells no more
				case strings.Contains(kind, "XFR"):
					want = []string{name, "Transfer failed"}
				}
				for _, one := range want {
					if !strings.Contains(out, one) {
						t.Errorf("no %q in\n%s", one, out)
					}
				}
			})
		}
	}
}
