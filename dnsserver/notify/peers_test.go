package notify

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/testport"
)

// peer is a name server that is a secondary of two zones, one of which it takes
// signed NOTIFYs of, the other one such without a signature. Its primary is nowhere.
type peer struct {
	name, program string
	configure     func(directory string, at netip.AddrPort, secret string) (config string, arguments []string)
}

var peers = []peer{
	{"NSD", "nsd", func(directory string, at netip.AddrPort, secret string) (string, []string) {
		return fmt.Sprintf(`
server:
  ip-address: %[1]s@%[2]d
  server-count: 1
  username: ""
  zonesdir: "%[3]s"
  database: ""
  xfrdfile: "%[3]s/xfrd.state"
  xfrdir: "%[3]s"
  pidfile: "%[3]s/pid"
  zonelistfile: "%[3]s/zone.list"
remote-control:
  control-enable: no
key:
  name: transfer
  algorithm: hmac-sha256
  secret: %[4]q
zone:
  name: signed.test
  request-xfr: 127.0.0.1@1 transfer
  allow-notify: 127.0.0.1 transfer
zone:
  name: unsigned.test
  request-xfr: 127.0.0.1@1 NOKEY
  allow-notify: 127.0.0.1 NOKEY
`, at.Addr(), at.Port(), directory, secret), []string{"-d", "-c"}
	}},
	{"Knot", "knotd", func(directory string, at netip.AddrPort, secret string) (string, []string) {
		return fmt.Sprintf(`
server:
  rundir: %[3]s
  listen: %[1]s@%[2]d
database:
  storage: %[3]s
log:
  - target: stderr
    any: info
key:
  - id: transfer
    algorithm: hmac-sha256
    secret: %[4]q
remote:
  - id: primary
    address: 127.0.0.1@1
acl:
  - id: signed
    key: transfer
    action: notify
  - id: unsigned
    address: 127.0.0.1
    action: notify
template:
  - id: default
    storage: %[3]s
    master: primary
zone:
  - domain: signed.test
    acl: signed
  - domain: unsigned.test
    acl: unsigned
`, at.Addr(), at.Port(), directory, secret), []string{"-c"}
	}},
	{"BIND", "named", func(directory string, at netip.AddrPort, secret string) (string, []string) {
		return fmt.Sprintf(`
options {
  directory "%[3]s";
  pid-file none;
  session-keyfile none;
  listen-on port %[2]d { %[1]s; };
  listen-on-v6 { none; };
  recursion no;
  notify no;
  dnssec-validation no;
};
controls { };
key "transfer" { algorithm hmac-sha256; secret %[4]q; };
zone "signed.test" { type secondary; file "signed"; primaries { 127.0.0.1 port 1; }; allow-notify { key transfer; }; };
zone "unsigned.test" { type secondary; file "unsigned"; primaries { 127.0.0.1 port 1; }; };
`, at.Addr(), at.Port(), directory, secret), []string{"-g", "-n", "1", "-c"}
	}},
}

// TestPeersTakeIt tells the name servers that there are, and holds what they say.
func TestPeersTakeIt(t *testing.T) {
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			address := p.start(t)
			right := testKey(t, "transfer", "a secret of thirty-two bytes ....")
			n := New(nil)
			n.Set([]Secondary{
				{Address: address, Key: right},
				{Address: address, Key: testKey(t, "transfer", "another secret")},
				{Address: address, Key: testKey(t, "unknown", "another secret"), Unsigned: true},
				{Address: address},
			})
			n.Serve([]*dns.SOA{soa("signed.test.", 7), soa("unsigned.test.", 7), soa("elsewhere.test.", 7)})
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				n.Run(ctx)
			}()
			for deadline := time.Now().Add(time.Minute); n.Behind("signed.test.") || n.Behind("unsigned.test.") || n.Behind("elsewhere.test."); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("no judgement: %+v", n.States())
				}
			}
			cancel()
			<-ended
			states := n.States() // zones: elsewhere, signed, unsigned
			for _, want := range []struct {
				secondary, zone int
				standing        Standing
				problem         string
			}{
				{0, 0, StandsRefused, ""},
				{0, 1, StandsCurrent, ""},
				{1, 1, StandsRefused, "BADSIG"},
				{2, 2, StandsCurrent, ""},
				{3, 2, StandsCurrent, ""},
			} {
				got := states[want.secondary].Zones[want.zone]
				if got.Standing() != want.standing || !strings.Contains(got.Problem, want.problem) {
					t.Errorf("secondary %d, %s: %s, %q, want %s with %q", want.secondary, got.Apex, got.Standing(), got.Problem, want.standing, want.problem)
				}
			}
			if ignored := n.Counts()[Ignored]; ignored != 0 {
				t.Errorf("%d answers are not taken", ignored)
			}
		})
	}
}

// start runs the server until the test ends, and waits until it listens.
func (p *peer) start(t *testing.T) netip.AddrPort {
	t.Helper()
	path, err := exec.LookPath(p.program)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("%v; .ci/run names the Debian packages", err)
	}
	directory, err := os.MkdirTemp("", "notify") // sockets have short paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	address := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), testport.Unused(t))
	config, arguments := p.configure(directory, address, "YSBzZWNyZXQgb2YgdGhpcnR5LXR3byBieXRlcyAuLi4u")
	file := filepath.Join(directory, "configuration")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(directory, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	command := exec.Command(path, append(arguments, file)...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // NSD has children
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		hurry := time.AfterFunc(10*time.Second, func() { _ = command.Process.Kill() })
		defer hurry.Stop()
		_ = command.Wait()
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		if t.Failed() {
			said, _ := os.ReadFile(log.Name())
			t.Logf("its log:\n%s", said)
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		connection, err := net.Dial("tcp", address.String())
		if err == nil {
			connection.Close()
			return address
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log.Name())
			t.Fatalf("%s does not listen:\n%s", p.name, said)
		}
	}
}
