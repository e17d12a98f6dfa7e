package dnsserver

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// dig runs Debian's dig against the server and gives what it printed.
func dig(t *testing.T, s *running, v6 bool, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("dig")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("dig is missing: install bind9-dnsutils")
		}
		t.Skip("dig is missing: install bind9-dnsutils")
	}
	a := s.address(v6)
	args = append([]string{"-r", "@" + a.Addr().String(), "-p", strconv.Itoa(int(a.Port())), "+tries=1", "+time=10"}, args...)
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("dig %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

func TestDig(t *testing.T) {
	s := start(t, Config{Settings: Settings{NSID: "ns1"}})
	for _, c := range []struct {
		args string
		want []string
		not  []string
	}{
		{"pool.example.test A", []string{"status: NOERROR", "flags: qr aa rd;", "ANSWER: 4", "udp: 1232"}, []string{"WARNING: Message"}},
		{"+tcp pool.example.test A", []string{"status: NOERROR", "ANSWER: 4"}, nil},
		{"+short www.example.test A", []string{"pool.example.test. 127.0.1.1 127.0.1.2"}, nil},
		{"+subnet=127.1.2.0/24 pool.example.test A", []string{"CLIENT-SUBNET: 127.1.2.0/24/20"}, nil},
		{"+subnet=0 pool.example.test A", []string{"status: NOERROR", "CLIENT-SUBNET: 0.0.0.0/0/0"}, nil},
		{"+subnet=fc00:1::/48 txt.example.test TXT", []string{"CLIENT-SUBNET: fc00:1::/48/0"}, nil},
		{"+nsid txt.example.test TXT", []string{`NSID: 6e 73 31 ("ns1")`}, nil},
		{"+dnssec txt.example.test TXT", []string{"flags: do;", "status: NOERROR"}, nil},
		{"+edns=1 +noednsneg txt.example.test TXT", []string{"status: BADVERS", "EDNS: version: 0"}, nil},
		{"+ednsopt=65001:abcd +ednsflags=0x40 txt.example.test TXT", []string{"status: NOERROR", "ANSWER: 2"}, []string{"MBZ"}},
		{"+noedns txt.example.test TXT", []string{"status: NOERROR"}, []string{"OPT PSEUDOSECTION"}},
		{"+ignore +noedns big.example.test TXT", []string{"flags: qr aa tc rd;", "ANSWER: 0"}, nil},
		{"big.example.test TXT", []string{"Truncated, retrying in TCP mode", "ANSWER: 30"}, nil},
		{"+opcode=9 +header-only", []string{"status: NOTIMP"}, nil},
		{"+opcode=status txt.example.test", []string{"status: NOTIMP", "EDNS: version: 0"}, nil},
		{"version.bind CH TXT", []string{"status: REFUSED"}, nil},
		{"example.test AXFR", []string{"Transfer failed"}, nil},
		{"+cookie txt.example.test TXT", []string{"status: NOERROR"}, []string{"COOKIE: bad"}},
	} {
		for _, v6 := range []bool{false, true} {
			t.Run(c.args, func(t *testing.T) {
				out := dig(t, s, v6, strings.Fields(c.args)...)
				for _, part := range c.want {
					if !strings.Contains(out, part) {
						t.Errorf("no %q in\n%s", part, out)
					}
				}
				for _, part := range append(c.not, "malformed", "Warning", "mismatch") {
					if strings.Contains(out, part) {
						t.Errorf("%q in\n%s", part, out)
					}
				}
			})
		}
	}
}
