package dnsserver

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mirrorpool/testport"
)

// debian gives the path of a program, or skips the test where it is missing.
func debian(t *testing.T, program, from string) string {
	t.Helper()
	for _, path := range []string{program, "/usr/sbin/" + program} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing: install %s", program, from)
	}
	t.Skipf("%s is missing: install %s", program, from)
	return ""
}

// inForeground starts a program, which ends with the test.
func inForeground(t *testing.T, program string, arguments ...string) {
	t.Helper()
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
			t.Logf("%s said:\n%s", program, &out)
		}
	})
}

// lockedBuffer is what a program says, which a test reads meanwhile.
type lockedBuffer struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(data []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buffer.Write(data)
}

func (b *lockedBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buffer.String()
}

func writeText(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The clients that people have, over TLS: their way of asking, of many questions
// over one connection, and of checking who answers.
func TestTLSClients(t *testing.T) {
	authority := certificates().file(t)
	for _, c := range []struct {
		program, from string
		arguments     string
		questions     float64
		want          []string
		not           []string
	}{
		{"kdig", "knot-dnsutils", "+tls txt.example.test TXT", 1, []string{"TLS session (TLS1.3)", "status: NOERROR", `"two"`}, nil},
		{"kdig", "knot-dnsutils", "+tls-ca=AUTHORITY +tls-hostname=ns.example.test pool.example.test A", 1, []string{"TLS session", "ANSWER: 4"}, nil},
		{"kdig", "knot-dnsutils", "+tls-ca=AUTHORITY +tls-hostname=other.example.test +retry=0 txt.example.test TXT", 0, []string{"certificate"}, []string{"NOERROR"}},
		{"kdig", "knot-dnsutils", "+tls +keepopen txt.example.test TXT pool.example.test A nothing.example.test A", 3, []string{`"two"`, "ANSWER: 4", "NXDOMAIN"}, nil},
		{"kdig", "knot-dnsutils", "+tls +padding big.example.test TXT", 1, []string{"ANSWER: 30"}, nil},
		{"dig", "bind9-dnsutils", "-r +tls txt.example.test TXT", 1, []string{"status: NOERROR", `"two"`, "(TLS)"}, []string{"malformed"}},
		{"dig", "bind9-dnsutils", "-r +tls-ca=AUTHORITY +tls-hostname=ns.example.test pool.example.test A", 1, []string{"ANSWER: 4", "(TLS)"}, nil},
		{"dig", "bind9-dnsutils", "-r +tls +keepopen txt.example.test TXT pool.example.test A", 2, []string{`"two"`, "ANSWER: 4"}, nil},
		{"dig", "bind9-dnsutils", "-r +tls +keepalive +nsid txt.example.test TXT", 1, []string{"TCP KEEPALIVE: 10.0 secs", `NSID: 6e 73 31 ("ns1")`}, nil},
	} {
		t.Run(c.program+" "+c.arguments, func(t *testing.T) {
			program := debian(t, c.program, c.from)
			s := startSecure(t, Config{Settings: Settings{NSID: "ns1"}})
			a := s.TLSAddresses()[0]
			arguments := append([]string{"@" + a.Addr().String(), "-p", strconv.Itoa(int(a.Port()))},
				strings.Fields(strings.ReplaceAll(c.arguments, "AUTHORITY", authority))...)
			out, err := exec.Command(program, arguments...).CombinedOutput()
			if c.questions > 0 && err != nil {
				t.Errorf("%v", err)
			}
			text := strings.Join(strings.Fields(string(out)), " ")
			for _, part := range c.want {
				if !strings.Contains(text, part) {
					t.Errorf("no %q in\n%s", part, out)
				}
			}
			for _, part := range c.not {
				if strings.Contains(text, part) {
					t.Errorf("%q in\n%s", part, out)
				}
			}
			got := counted(s.metrics.queries, "", "NOERROR", "tls") + counted(s.metrics.queries, "", "NXDOMAIN", "tls") +
				counted(s.metrics.queries, "pool.example.test", "NOERROR", "tls")
			if got != c.questions {
				t.Errorf("%v questions counted, want %v", got, c.questions)
			}
		})
	}
}

// What openssl sees of the server: the protocol, the chain, tickets, and that it
// takes a change of keys in the middle.
func TestTLSToOpenSSL(t *testing.T) {
	program := debian(t, "openssl", "openssl")
	s := startSecure(t, Config{})
	address := s.TLSAddresses()[0].String()
	authority := certificates().file(t)
	ticket := filepath.Join(t.TempDir(), "session")
	for _, c := range []struct {
		arguments string
		want      []string
		fails     bool
	}{
		{"-tls1_3 -alpn dot", []string{"ALPN protocol: dot", "Verification: OK", "TLSv1.3"}, false},
		{"-tls1_2 -alpn dot -sess_out " + ticket, []string{"ALPN protocol: dot", "Verification: OK", "TLSv1.2", "Secure Renegotiation IS supported", "Compression: NONE"}, false},
		{"-tls1_2 -alpn dot -sess_in " + ticket, []string{"Reused, TLSv1.2"}, false},
		{"-tls1_3", []string{"No ALPN negotiated", "Verification: OK"}, false},
		{"-tls1_3 -alpn h2", []string{"no application protocol"}, true},
		{"-tls1_2 -cipher AES128-SHA", []string{"handshake failure"}, true},
		{"-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA", []string{"handshake failure"}, true},
		{"-tls1_1 -cipher DEFAULT@SECLEVEL=0", []string{"protocol version"}, true},
	} {
		t.Run(c.arguments, func(t *testing.T) {
			arguments := append([]string{
				"s_client", "-connect", address, "-CAfile", authority, "-verify_return_error",
				"-servername", "ns.example.test",
			}, strings.Fields(c.arguments)...)
			raw, err := exec.Command(program, arguments...).CombinedOutput() // it ends with its input, which is empty
			out := strings.Join(strings.Fields(string(raw)), " ")
			if (err != nil) != c.fails {
				t.Errorf("%v\n%s", err, raw)
			}
			for _, part := range c.want {
				if !strings.Contains(out, part) {
					t.Errorf("no %q in\n%s", part, raw)
				}
			}
		})
	}
	t.Run("change of keys", func(t *testing.T) {
		command := exec.Command(program, "s_client", "-connect", address, "-CAfile", authority, "-tls1_3", "-alpn", "dot")
		in, err := command.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var out lockedBuffer
		command.Stdout, command.Stderr = &out, &out
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		before := counted(s.metrics.queries, "", "NOERROR", "tls")
		question := string(framed(query{id: 0x4141, name: "txt.example.test.", qtype: typeTXT}.bytes()))
		// A line that is K alone asks for new keys of both sides; it has to come by
		// itself, as a line that somebody types does.
		for i, part := range []string{question, "K\n", question, "K\n", question} {
			if _, err := in.Write([]byte(part)); err != nil {
				t.Fatalf("part %d: %v", i, err)
			}
			eventually(t, fmt.Sprintf("part %d is done", i), func() bool {
				return counted(s.metrics.queries, "", "NOERROR", "tls") == before+float64(i/2+1) &&
					strings.Count(out.String(), "KEYUPDATE") == (i+1)/2
			})
		}
		in.Close()
		if err := command.Wait(); err != nil {
			t.Errorf("%v\n%q", err, out.String())
		}
	})
}

// unbound in front of us asks over TLS alone, and checks who answers.
func TestTLSBehindUnbound(t *testing.T) {
	program := debian(t, "unbound", "unbound")
	s := startSecure(t, Config{})
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		clause, host string
		answered     bool
	}{
		"stub":                 {"stub", "ns.example.test", true},
		"forwarder":            {"forward", "ns.example.test", true},
		"stub of another name": {"stub", "other.example.test", false},
	} {
		t.Run(name, func(t *testing.T) {
			port := testport.Unused(t)
			config := writeText(t, "unbound.conf", fmt.Sprintf(`
server:
  interface: 127.0.0.1
  port: %d
  username: %q
  chroot: ""
  directory: %q
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  num-threads: 1
  do-not-query-localhost: no
  module-config: "iterator"
  tls-cert-bundle: %q
  local-zone: "test." nodefault
remote-control:
  control-enable: no
%s-zone:
  name: "example.test"
  %s-addr: 127.0.0.1@%d#%s
  %s-tls-upstream: yes
`, port, self.Username, t.TempDir(), certificates().file(t), c.clause, c.clause, s.TLSAddresses()[0].Port(), c.host, c.clause))
			inForeground(t, program, "-d", "-p", "-c", config)
			client := dialWhenUp(t, port)
			before := counted(s.metrics.queries, "", "NOERROR", "tls")
			m := parse(t, ask(t, client, query{id: 3, flags: flagRD, name: "txt.example.test.", qtype: typeTXT}.bytes()))
			if answered := m.Rcode == 0 && len(m.Answer) == 2; answered != c.answered {
				t.Errorf("got %v", m)
			}
			if got := counted(s.metrics.queries, "", "NOERROR", "tls"); (got > before) != c.answered {
				t.Errorf("%v questions counted over TLS", got-before)
			}
			for _, network := range []string{"udp", "tcp"} {
				if got := counted(s.metrics.queries, "", "NOERROR", network); got != 0 {
					t.Errorf("%v questions came over %s", got, network)
				}
			}
		})
	}
}

// dialWhenUp connects over TCP to a program that is about to listen.
func dialWhenUp(t *testing.T, port uint16) net.Conn {
	t.Helper()
	address := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port).String()
	eventually(t, "it listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return dialThrough(t, "tcp", "127.0.0.1", port)
}

// dialThrough connects to a port of this machine from an address of it.
func dialThrough(t *testing.T, network, from string, port uint16) net.Conn {
	t.Helper()
	var local net.Addr = &net.UDPAddr{IP: net.ParseIP(from)}
	if network == "tcp" {
		local = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	d := net.Dialer{LocalAddr: local}
	c, err := d.Dial(network, fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil && runtime.GOOS != "linux" {
		t.Skipf("this system has but one address of loopback: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// dnsdist in front of us tells its clients' addresses, over UDP, TCP and TLS, and
// speaks for itself where it looks whether we are there.
func TestProxyIsDnsdist(t *testing.T) {
	program := debian(t, "dnsdist", "dnsdist")
	const secure = `tls="openssl", subjectName="ns.example.test", validateCertificates=true, caStore=`
	for name, more := range map[string]string{"plain": "", "tls": secure + strconv.Quote(certificates().file(t)) + ", "} {
		t.Run(name, func(t *testing.T) {
			s := proxyServer(t, false, TCPLimits{})
			port, behind := testport.Unused(t), s.address(false)
			if name == "tls" {
				behind = s.TLSAddresses()[0]
			}
			config := writeText(t, "dnsdist.conf", fmt.Sprintf(`
setLocal("127.0.0.1:%d")
setACL("127.0.0.0/8")
setSecurityPollSuffix("")
newServer({address=%q, useProxyProtocol=true, %s checkName="txt.example.test.", checkType="TXT", mustResolve=true})
`, port, behind, more))
			inForeground(t, program, "--supervised", "--verbose", "--disable-syslog", "-C", config)
			dialWhenUp(t, port)
			network := map[string]string{"plain": "udp", "tls": "tls"}[name]
			eventually(t, "dnsdist has looked whether we are there", func() bool {
				return counted(s.metrics.queries, "", "NOERROR", network) > 0
			})
			eventually(t, "dnsdist believes so", func() bool {
				c := dialThrough(t, "udp", "127.0.7.7", port)
				c.SetDeadline(time.Now().Add(100 * time.Millisecond))
				send(t, c, who)
				_, err := receive(c)
				return err == nil
			})
			for _, from := range []string{"127.0.7.7", "127.0.8.8"} {
				for _, over := range []string{"udp", "tcp"} {
					if got := client(t, ask(t, dialThrough(t, over, from, port), who)); got != from {
						t.Errorf("from %s over %s: the client is %s", from, over, got)
					}
				}
			}
			if got := counted(s.metrics.dropped, dropProxy); got != 0 {
				t.Errorf("%v dropped", got)
			}
		})
	}
}

// HAProxy in front of us tells its clients' addresses, for TCP and for TLS that
// it passes through.
func TestProxyIsHAProxy(t *testing.T) {
	program := debian(t, "haproxy", "haproxy")
	s := proxyServer(t, false, TCPLimits{})
	plain, secure := testport.Unused(t), testport.Unused(t)
	config := writeText(t, "haproxy.cfg", fmt.Sprintf(`
defaults
  mode tcp
  timeout connect 5s
  timeout client 10s
  timeout server 10s
listen plain
  bind 127.0.0.1:%d
  server ours 127.0.0.1:%d send-proxy-v2 check inter 100ms
listen secure
  bind 127.0.0.1:%d
  server ours 127.0.0.1:%d send-proxy-v2 check inter 100ms
`, plain, s.address(false).Port(), secure, s.TLSAddresses()[0].Port()))
	inForeground(t, program, "-db", "-f", config)
	dialWhenUp(t, plain)
	for _, from := range []string{"127.0.7.7", "127.0.8.8"} {
		c := dialThrough(t, "tcp", from, plain)
		for range 3 {
			if got := client(t, ask(t, c, who)); got != from {
				t.Errorf("from %s: the client is %s", from, got)
			}
		}
		over := tls.Client(dialThrough(t, "tcp", from, secure), clientTLS())
		if got := client(t, ask(t, over, who)); got != from {
			t.Errorf("from %s over TLS: the client is %s", from, got)
		}
	}
	// Its looking whether we are there begins with LOCAL, and then ends.
	if got := counted(s.metrics.dropped, dropProxy); got != 0 {
		t.Errorf("%v dropped", got)
	}
}
