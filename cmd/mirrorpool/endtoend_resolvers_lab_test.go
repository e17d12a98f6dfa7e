//go:build e2e

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
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
	"golang.org/x/tools/txtar"
)

// lab is one resolver with all that it needs: a root, the server behind a tap,
// and a name server below, each on port 53 of a loopback address, so that the
// resolver has to be told of nothing but the root, and finds its way as it does
// in the world. Nothing is asked that is not on loopback.
type lab struct {
	*world
	home     netip.Prefix // servers and resolver have addresses of this network
	abroad   netip.Prefix // clients' of another country
	tap      *tap
	resolver string // where the resolver is asked
}

// The last bytes of the addresses in a lab's networks.
const (
	tapHost      = 1
	rootHost     = 2
	belowHost    = 3
	outgoingHost = 20 // from where the resolver asks
	clientHost   = 200
)

func host(network netip.Prefix, last byte) netip.Addr {
	address := network.Addr().As4()
	address[3] = last
	return netip.AddrFrom4(address)
}

// newLab starts everything but the resolver.
func newLab(t *testing.T, program string) *lab {
	// The path of a socket has no more than a hundred bytes, and test's
	// directories have long names.
	directory, err := os.MkdirTemp("", "resolvers")
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{world: &world{T: t, directory: directory, program: program, processes: map[string]*exec.Cmd{}}}
	t.Cleanup(func() {
		if err := os.RemoveAll(directory); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		for name := range l.processes {
			l.end(name, syscall.SIGKILL)
		}
	})
	l.config = filepath.Join(l.directory, "mirrorpool.yaml")
	l.checkout = filepath.Join(l.directory, "checkout")
	l.dnsPort, l.adminPort = unusedPort(t), unusedPort(t)
	packets, streams := l.takeNetwork()
	l.startRoot(tapHost, ourZones...)
	l.startBelow()
	l.commitZones()
	l.serve()
	l.tap = startTap(t, packets, streams, fmt.Sprintf("127.0.0.1:%d", l.dnsPort))
	return l
}

func (l *lab) on(t *testing.T) *lab {
	step := *l
	step.world = l.world.on(t)
	return &step
}

// takeNetwork looks for a network that nobody else uses, and gives the sockets
// of its first address.
func (l *lab) takeNetwork() (*net.UDPConn, *net.TCPListener) {
	for range 50 {
		third := byte(2 * rand.IntN(128))
		second := byte(64 + rand.IntN(64))
		l.home = netip.PrefixFrom(netip.AddrFrom4([4]byte{127, second, third, 0}), 24)
		l.abroad = netip.PrefixFrom(netip.AddrFrom4([4]byte{127, second, third + 1, 0}), 24)
		packets, streams, err := listen(host(l.home, tapHost))
		switch {
		case err == nil:
			return packets, streams
		case errors.Is(err, syscall.EADDRINUSE):
		case os.Getenv("CI") == "true":
			l.Fatalf("resolvers ask port 53 (be root, or set net.ipv4.ip_unprivileged_port_start to 53): %v", err)
		default:
			l.Skipf("resolvers ask port 53, which is not to be had (be root, or set net.ipv4.ip_unprivileged_port_start to 53): %v", err)
		}
	}
	l.Fatal("no loopback address has port 53 free")
	return nil, nil
}

func listen(address netip.Addr) (*net.UDPConn, *net.TCPListener, error) {
	at := netip.AddrPortFrom(address, 53)
	packets, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, nil, err
	}
	streams, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
	if err != nil {
		packets.Close()
		return nil, nil, err
	}
	return packets, streams, nil
}

// ourZones are all zones of the repository.
var ourZones = []string{
	"mirrors.test.", "name-minimum.test.", "name-ttl.test.", "type-minimum.test.", "type-ttl.test.", "pool-minimum.test.",
}

// startRoot leads to the name server of the zones.
func (l *lab) startRoot(nameServer byte, zones ...string) {
	var zone strings.Builder
	fmt.Fprintf(&zone, ". 600 SOA root.invalid. hostmaster.invalid. 1 7200 900 1209600 600\n. 600 NS a.root-server.test.\n")
	fmt.Fprintf(&zone, "a.root-server.test. 600 A %s\nns1.mirrors.test. 600 A %s\n", host(l.home, rootHost), host(l.home, nameServer))
	for _, name := range zones {
		fmt.Fprintf(&zone, "%s 600 NS ns1.mirrors.test.\n", name)
	}
	packets, streams, err := listen(host(l.home, rootHost))
	if err != nil {
		l.Fatal(err)
	}
	startAuthority(l.T, packets, streams, ".", zone.String())
	l.write("root.hints", fmt.Sprintf(". 600 NS a.root-server.test.\na.root-server.test. 600 A %s\n", host(l.home, rootHost)))
}

func (l *lab) startBelow() {
	address := host(l.home, belowHost)
	packets, streams, err := listen(address)
	if err != nil {
		l.Fatal(err)
	}
	startAuthority(l.T, packets, streams, "below.mirrors.test.", fmt.Sprintf(`
below.mirrors.test. 300 SOA ns.below.mirrors.test. hostmaster.mirrors.test. 1 7200 900 1209600 300
below.mirrors.test. 300 NS ns.below.mirrors.test.
ns.below.mirrors.test. 300 A %s
www.below.mirrors.test. 300 A 127.0.0.44
`, address))
}

// sharePools is how many equal pools there are, each of which is a draw that a
// resolver keeps apart from the others.
const sharePools = 80

func sharePool(i int) string { return fmt.Sprintf("s%02d.mirrors.test.", i) }

func (l *lab) commitZones() {
	var pools, texts []string
	for i := range sharePools {
		pools = append(pools, fmt.Sprintf(`{ "name": %q, "ttl": 1, "answers": 1, "health": { "check": "none" }, "members": [
  { "id": "one", "addresses": ["127.0.0.31"], "weight": 50 },
  { "id": "two", "addresses": ["127.0.0.32"], "weight": 30 },
  { "id": "three", "addresses": ["127.0.0.33"], "weight": 20 } ] }`, strings.TrimSuffix(sharePool(i), ".")))
	}
	for name, count := range textNames {
		for _, text := range textsOf(name, count) {
			texts = append(texts, fmt.Sprintf("%s IN TXT %q", name, text))
		}
	}
	replace := strings.NewReplacer("SERVER", host(l.home, tapHost).String(), "BELOW", host(l.home, belowHost).String(),
		"SHARE_POOLS", strings.Join(pools, ",\n"), "TEXTS", strings.Join(texts, "\n"))
	for _, file := range txtar.Parse([]byte(l.read("../../testdata/end-to-end/resolvers.txtar"))).Files {
		l.write(filepath.Join("checkout", file.Name), replace.Replace(string(file.Data)))
	}
	l.command("git", "init", "--quiet", "--initial-branch=main", l.checkout)
	l.commandIn(l.checkout, "git", "add", ".")
	l.commandIn(l.checkout, "git", "commit", "--quiet", "-m", "The mirrors")
}

// textNames are names with so many texts of a hundred bytes: more than a packet
// takes with the usual buffer, and more than it takes with a small one.
var textNames = map[string]int{"big.mirrors.test.": 30, "medium.mirrors.test.": 8}

func textsOf(name string, count int) (texts []string) {
	for i := range count {
		texts = append(texts, fmt.Sprintf("%s%02d%s", name, i, strings.Repeat("x", 98-len(name))))
	}
	return texts
}

func (l *lab) serve() {
	l.write("nets.json", fmt.Sprintf(`{ "%s": { "country": "JP" }, "%s": { "country": "DE" } }`, l.home, l.abroad))
	l.write("mirrorpool.yaml", fmt.Sprintf(`
git:
  url: %[1]s
  branch: main
  poll: 1h
state_dir: %[2]s/state
dns:
  listen: ["127.0.0.1:%[3]d"]
http:
  listen: []
admin:
  listen: 127.0.0.1:%[4]d
geo:
  overrides: %[2]s/nets.json
`, l.checkout, l.directory, l.dnsPort, l.adminPort))
	l.runServer()
}

// startResolver starts a resolver whose UDP buffer has that size, and waits for
// it to listen.
func (l *lab) startResolver(kind resolverKind, size int) {
	l.Helper()
	l.startResolverWith(kind, resolverSettings{size: size})
}

// startResolverWith starts one of which what matters to the test is set.
func (l *lab) startResolverWith(kind resolverKind, settings resolverSettings) {
	l.Helper()
	// named listens on addresses that an interface has, and on no others.
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(unusedPort(l.T)))
	directory, err := os.MkdirTemp(l.directory, "resolver-")
	if err != nil {
		l.Fatal(err)
	}
	settings.directory, settings.hints = directory, filepath.Join(l.directory, "root.hints")
	settings.address, settings.from = at, host(l.home, outgoingHost)
	program := kind.configure(l, settings)
	if l.processes["resolver"] != nil {
		l.end("resolver", syscall.SIGKILL)
	}
	l.start("resolver", program[0], program[1:]...)
	l.resolver = at.String()
	deadline := time.Now().Add(30 * time.Second)
	for !accepts(at.Addr().String(), int(at.Port())) {
		if time.Now().After(deadline) {
			l.Fatalf("%s does not listen; its log:\n%s", kind.name, lastLines(l.read(l.log("resolver")), 40))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// ask sends one question to the resolver from the client in a network.
func (l *lab) ask(from netip.Prefix, name string, kind uint16) *dns.Msg {
	l.Helper()
	return l.askOver("udp", host(from, clientHost), name, kind)
}

func (l *lab) askOver(network string, from netip.Addr, name string, kind uint16) *dns.Msg {
	l.Helper()
	l.tap.clientAsks()
	question := new(dns.Msg)
	question.SetQuestion(name, kind)
	question.SetEdns0(1232, false)
	dialer := &net.Dialer{LocalAddr: &net.UDPAddr{IP: from.AsSlice()}}
	if network == "tcp" {
		dialer.LocalAddr = &net.TCPAddr{IP: from.AsSlice()}
	}
	// A resolver may leave a question that waited for too long.
	client := &dns.Client{Net: network, Timeout: 4 * time.Second, Dialer: dialer}
	for tries := 5; ; tries-- {
		reply, _, err := client.Exchange(question, l.resolver)
		if err == nil {
			return reply
		}
		if tries == 1 {
			l.Fatalf("asking for %s %s: %v", name, dns.TypeToString[kind], err)
		}
	}
}
