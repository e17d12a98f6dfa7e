package dnsserver

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net"
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

// stand is where a test puts another server: a directory and a port.
type stand struct {
	*testing.T
	dir  string
	port uint16
}

func newStand(t *testing.T) *stand {
	t.Helper()
	b := &stand{T: t, dir: t.TempDir(), port: testport.Unused(t)}
	b.write("example.test.zone", cookieZone)
	return b
}

// write writes a file, in which DIR and PORT stand for its own, and gives
// its path.
func (b *stand) write(name, text string) string {
	b.Helper()
	path := filepath.Join(b.dir, name)
	text = strings.NewReplacer("DIR", b.dir, "PORT", fmt.Sprint(b.port)).Replace(text)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
	return path
}

// run runs a server in the foreground until the test ends, and gives a
// connection to it over UDP.
func (b *stand) run(program string, arguments ...string) net.Conn {
	b.Helper()
	command := exec.Command(program, arguments...)
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = command.Wait(); close(exited) }()
	b.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		select {
		case <-exited:
		case <-time.After(patience):
			_ = command.Process.Kill()
			<-exited
		}
		if b.Failed() {
			b.Logf("%s said:\n%s", program, &out)
		}
	})
	address := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), b.port)
	for end := time.Now().Add(patience); ; {
		if answersAt(address) {
			return dial(b.T, "udp", address)
		}
		select {
		case <-exited:
			b.Fatalf("%s ended: %v", program, command.ProcessState)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			b.Fatalf("%s does not answer within %v", program, patience)
		}
	}
}

// answersAt reports whether there is an answer of a zone that has been read.
func answersAt(address netip.AddrPort) bool {
	client := dns.Client{Net: "tcp", Timeout: time.Second}
	m, _, err := client.Exchange(new(dns.Msg).SetQuestion("txt.example.test.", dns.TypeTXT), address.String())
	return err == nil && len(m.Answer) == 2
}

// listenAt are the addresses at which a server is to answer, in a list.
func listenAt(port string) string {
	if haveIPv6() {
		return "127.0.0.1" + port + ", ::1" + port
	}
	return "127.0.0.1" + port
}

func nsdListenAt() string {
	return "ip-address: " + strings.ReplaceAll(listenAt("@PORT"), ", ", "\n\tip-address: ")
}

// programOf finds a program of a Debian package.
func programOf(t *testing.T, name, debian string) string {
	t.Helper()
	for _, place := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(place); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing: install %s", name, debian)
	}
	t.Skipf("%s is missing: install %s", name, debian)
	return ""
}

// cookiePeer is another server that is given our secrets.
type cookiePeer struct {
	name, program, debian string
	// secrets is a file that we read too; where the other server does so as well,
	// its configuration names it.
	secrets string
	// configure gives the arguments after it has written the configuration.
	configure func(b *stand) []string
	// refuses: a cookie that is not good gets BADCOOKIE. Of others one tells
	// whether they took it by whether one that is five minutes old comes back
	// as it was.
	refuses bool
	// forgets: it does not keep to the hour that a cookie is good for.
	forgets bool
}

var cookiePeers = []cookiePeer{
	{
		name: "BIND", program: "named", debian: "bind9", refuses: true,
		secrets: "cookie-secret \"" + secretNew + "\"; # the current one\ncookie-secret \"" + secretOld + "\";\n",
		configure: func(b *stand) []string {
			return []string{"-g", "-n", "1", "-c", b.write("named.conf", `options {
	directory "DIR"; pid-file none; session-keyfile none; lock-file none;
	listen-on port PORT { 127.0.0.1; }; listen-on-v6 port PORT { ::1; };
	recursion no; dnssec-validation no; empty-zones-enable no;
	cookie-algorithm siphash24; include "DIR/secrets"; require-server-cookie yes;
};
controls { };
zone "example.test" { type primary; file "DIR/example.test.zone"; };
`)}
		},
	},
	{
		name: "Knot", program: "knotd", debian: "knot", refuses: true,
		secrets: secretNew + "\n",
		configure: func(b *stand) []string {
			return []string{"-c", b.write("knot.conf", `server:
    rundir: "DIR"
    listen: [ `+listenAt("@PORT")+` ]
database:
    storage: "DIR"
mod-cookies:
  - id: default
    badcookie-slip: 1
    secret: 0x`+secretNew+`
template:
  - id: default
    storage: "DIR"
    zonefile-sync: -1
    journal-content: none
    global-module: mod-cookies/default
zone:
  - domain: example.test
    file: "DIR/example.test.zone"
`)}
		},
	},
	{
		name: "NSD", program: "nsd", debian: "nsd",
		secrets: secretNew + "\n" + secretOld + "\n",
		configure: func(b *stand) []string {
			return []string{"-d", "-c", b.write("nsd.conf", `server:
	`+nsdListenAt()+`
	server-count: 1
	username: ""
	chroot: ""
	zonesdir: "DIR"
	database: ""
	pidfile: "DIR/nsd.pid"
	xfrdfile: "DIR/xfrd.state"
	xfrdir: "DIR"
	zonelistfile: "DIR/zone.list"
	rrl-ratelimit: 0
	answer-cookie: yes
	cookie-secret-file: "DIR/secrets"
remote-control:
	control-enable: no
zone:
	name: "example.test"
	zonefile: "DIR/example.test.zone"
`)}
		},
	},
	{
		name: "PowerDNS", program: "pdns_server", debian: "pdns-server pdns-backend-bind", refuses: true, forgets: true,
		secrets: secretNew + "\n",
		configure: func(b *stand) []string {
			b.write("zones.conf", `zone "example.test" { type native; file "DIR/example.test.zone"; };`)
			b.write("pdns.conf", `launch=bind
bind-config=DIR/zones.conf
local-address=`+listenAt("")+`
local-port=PORT
socket-dir=DIR
security-poll-suffix=
edns-cookie-secret=`+secretNew+"\n")
			return []string{"--config-dir=" + b.dir, "--daemon=no", "--guardian=no", "--disable-syslog"}
		},
	},
}

// TestCookiePeers holds that others know our cookies, and we theirs, where the
// operator has given both the same secret.
func TestCookiePeers(t *testing.T) {
	table := bothTables(t)["wire"]
	for _, p := range cookiePeers {
		t.Run(p.name, func(t *testing.T) {
			program := programOf(t, p.program, p.debian)
			b := newStand(t)
			b.write("secrets", p.secrets)
			theirs := b.run(program, p.configure(b)...)
			secrets := mustSecrets(t, p.secrets)
			ours := func() *running {
				return start(t, Config{Settings: Settings{Cookies: secrets}, Table: func() Answerer { return table }})
			}
			comparePeerCookies(t, &p, theirs, ours(), secrets, "127.0.0.1", "127.0.0.9")
			if haveIPv6() {
				theirs = dial(t, "udp", netip.AddrPortFrom(netip.IPv6Loopback(), b.port))
				comparePeerCookies(t, &p, theirs, ours(), secrets, "::1", "::2")
			}
		})
	}
}

// comparePeerCookies asks both as one client.
func comparePeerCookies(t *testing.T, p *cookiePeer, theirs net.Conn, s *running, secrets CookieSecrets, client, another string) {
	t.Helper()
	const name = "txt.example.test."
	ours := dial(t, "udp", s.address(strings.Contains(client, ":")))
	// Theirs at ours.
	fromThem := unhex(t, cookieIn(askWithCookies(t, theirs, name, []byte("clientpt"))))
	askWithCookies(t, ours, name, fromThem)
	if got, want := s.cookieCounts(), [4]float64{0, 1, 0, 0}; got != want {
		t.Errorf("of a cookie by %s we count %v, want %v", p.name, got, want)
	}
	// Ours at theirs, as a client comes by it.
	fromUs := unhex(t, cookieIn(askWithCookies(t, ours, name, []byte("clientpt"))))
	if m := askWithCookies(t, theirs, name, fromUs); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 2 {
		t.Errorf("%s, of a cookie that a client got from us: %v", p.name, m)
	}
	// And older ones, which are told from those that are given out anew.
	now := time.Now()
	for _, test := range []struct {
		what    string
		secrets CookieSecrets
		client  string
		age     time.Duration
		want    bool
	}{
		{"ours", secrets, client, 5 * time.Minute, true},
		{"another client's", secrets, another, 5 * time.Minute, false},
		{"by a stranger's secret", mustSecrets(t, secretOne), client, 5 * time.Minute, false},
		{"two hours old", secrets, client, 2 * time.Hour, p.forgets},
	} {
		cookie := cookieAt(t, test.secrets, test.client, now.Add(-test.age))
		m := askWithCookies(t, theirs, name, cookie)
		got := m.Rcode == dns.RcodeSuccess && len(m.Answer) == 2
		if !p.refuses {
			got = cookieIn(m) == hex.EncodeToString(cookie)
		}
		if got != test.want {
			t.Errorf("%s takes a cookie of %s, %s: %v, want %v\n%v", p.name, client, test.what, got, test.want, m)
		}
	}
	if secrets.count > 1 {
		cookie := cookieAt(t, mustSecrets(t, secretOld), client, now.Add(-5*time.Minute))
		if m := askWithCookies(t, theirs, name, cookie); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 2 {
			t.Errorf("%s, of a cookie by the second secret: %v", p.name, m)
		}
	}
}

// TestCookieClients holds that dig finds our cookies good, and that we find
// good what it shows us again.
func TestCookieClients(t *testing.T) {
	s := start(t, Config{Settings: Settings{Cookies: mustSecrets(t, secretOne)}})
	for _, v6 := range []bool{false, true} {
		if v6 && !haveIPv6() {
			continue
		}
		client := s.address(v6).Addr().String()
		cookie := cookieAt(t, mustSecrets(t, secretOne), client, time.Now())
		good := hex.EncodeToString(cookie)
		cookie[len(cookie)-1] ^= 1
		forged := hex.EncodeToString(cookie)
		before := s.cookieCounts()
		for _, arguments := range []string{"+cookie", "+cookie=" + good, "+tcp +cookie=" + good, "+cookie=" + good[:16], "+cookie=" + forged} {
			out := dig(t, s, v6, append(strings.Fields(arguments), "txt.example.test", "TXT")...)
			if !strings.Contains(out, "status: NOERROR") || !strings.Contains(out, "(good)") {
				t.Errorf("dig %s: %s", arguments, out)
			}
		}
		after := s.cookieCounts()
		for i := range after {
			after[i] -= before[i]
		}
		if want := [4]float64{2, 2, 1, 0}; after != want {
			t.Errorf("counted %v, want %v", after, want)
		}
	}
}

// TestCookieClientsComeBack holds that dig and kdig, told BADCOOKIE, come back
// with the cookie that they were told, and have their answer.
func TestCookieClientsComeBack(t *testing.T) {
	for _, client := range []struct {
		program, debian string
		arguments       []string
	}{
		{"dig", "bind9-dnsutils", []string{"-r", "+badcookie", "+tries=1", "+time=10"}},
		{"kdig", "knot-dnsutils", []string{"+badcookie", "+retry=0", "+timeout=10"}},
	} {
		t.Run(client.program, func(t *testing.T) {
			program := programOf(t, client.program, client.debian)
			s := startCookies(t, testTable(), Settings{Cookies: mustSecrets(t, secretOne), RateLimits: RateLimits{PerSecond: 1, Slip: 1}})
			a := s.address(false)
			for range 3 { // the first is within the limit
				arguments := append(client.arguments, "@"+a.Addr().String(), "-p", fmt.Sprint(a.Port()), "+cookie", "txt.example.test", "TXT")
				out, err := exec.Command(program, arguments...).CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				for _, part := range []string{"status: NOERROR", "ANSWER: 2", "COOKIE: "} {
					if !strings.Contains(string(out), part) {
						t.Errorf("no %q in\n%s", part, out)
					}
				}
			}
			if got, want := s.cookieCounts(), [4]float64{3, 2, 0, 0}; got != want {
				t.Errorf("counted %v, want %v", got, want)
			}
			if got := counted(s.metrics.limited, "answer", actionBadCookie); got != 2 {
				t.Errorf("%v answers became BADCOOKIE, want 2", got)
			}
		})
	}
}

// TestBINDResolvesWithCookies holds that a resolver that has cookies by default
// takes ours and shows them again.
func TestBINDResolvesWithCookies(t *testing.T) {
	program := programOf(t, "named", "bind9")
	archive := newArchived(t, "cookies", map[string]string{
		"pools.json": `{"version": 1, "pools": []}`, "zones/example.test.zone": cookieZone + "$GENERATE 1-20 t$ TXT \"$\"\n",
	})
	s := start(t, Config{Table: func() Answerer { return archive.table }})
	b := newStand(t)
	b.write("hints", ". 3600 IN NS a.hint.\na.hint. 3600 IN A 127.0.0.254\n")
	c := b.run(program, "-g", "-n", "1", "-c", b.write("named.conf", fmt.Sprintf(`options {
	directory "DIR"; pid-file none; session-keyfile none; lock-file none;
	listen-on port PORT { 127.0.0.1; }; listen-on-v6 { none; };
	recursion yes; dnssec-validation no; empty-zones-enable no;
};
controls { };
zone "." { type hint; file "hints"; };
zone "example.test" { type forward; forward only; forwarders { 127.0.0.1 port %d; }; };
`, s.address(false).Port())))
	for i := range 20 {
		q := query{id: uint16(i), flags: flagRD, name: fmt.Sprintf("t%d.example.test.", i+1), qtype: typeTXT}
		if m := parse(t, ask(t, c, q.bytes())); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 {
			t.Fatalf("resolved: %v", m)
		}
	}
	if got := s.cookieCounts(); got[0] < 1 || got[1] < 18 || got[2]+got[3] != 0 {
		t.Errorf("counted %v: want a cookie that is new at first, and good from then on", got)
	}
}
