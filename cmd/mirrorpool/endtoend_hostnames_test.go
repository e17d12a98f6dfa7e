//go:build e2e

package main

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestEndToEndHostNames runs the built program with members that unbound knows the
// addresses of: it moves them, forgets them, and goes away.
func TestEndToEndHostNames(t *testing.T) {
	t.Parallel()
	need(t, "git", "/usr/sbin/unbound")
	h := newHosted(t)
	h.knows("static", "A 127.0.0.31", "AAAA ::1")
	h.startUnbound()
	h.start("server", h.program, "serve", "--config", h.config)
	h.gives("127.0.0.34 127.0.0.31", "::1")

	t.Run("a member moves when its TTL is over", func(t *testing.T) { h.on(t).moves() })
	t.Run("a name that is gone keeps its addresses", func(t *testing.T) { h.on(t).gone() })
	t.Run("a member leaves IPv6", func(t *testing.T) { h.on(t).leavesIPv6() })
	t.Run("unbound gone, and kill -9", func(t *testing.T) { h.on(t).resolverGone() })
}

// hosted is the world of a pool with a member that is given by name.
type hosted struct {
	*world
	atEnd func(func()) // of all steps
}

func (h *hosted) on(t *testing.T) *hosted {
	step := *h
	step.world = h.world.on(t)
	return &step
}

func newHosted(t *testing.T) *hosted {
	w := &world{T: t, directory: t.TempDir(), processes: map[string]*exec.Cmd{}}
	t.Cleanup(func() {
		for name := range w.processes {
			w.end(name, syscall.SIGKILL)
		}
	})
	h := &hosted{world: w, atEnd: t.Cleanup}
	w.program = builtProgram(t)
	w.checkout, w.config = filepath.Join(w.directory, "checkout"), filepath.Join(w.directory, "mirrorpool.yaml")
	for _, port := range []*int{&w.mirrorPort, &w.dnsPort, &w.adminPort, &w.resolver} {
		*port = unusedPort(t)
	}
	for _, address := range []string{"127.0.0.31", "127.0.0.32", "127.0.0.34", "::1"} {
		h.listen(address)
	}
	bare := filepath.Join(w.directory, "mirrors.git")
	w.command("git", "init", "--quiet", "--bare", "--initial-branch=main", bare)
	w.command("git", "clone", "--quiet", bare, w.checkout)
	w.commandIn(w.checkout, "git", "checkout", "--quiet", "-B", "main")
	w.write("checkout/zones/example.test.zone", "@ 300 IN SOA ns1 hostmaster 1 7200 900 1209600 60\n@ 300 IN NS ns1\nns1 300 IN A 127.0.0.1\n")
	w.write("checkout/pools.json", fmt.Sprintf(`{ "version": 1, "pools": [ {
  "name": "dl.example.test", "ttl": 30, "answers": 4,
  "health": { "check": "tcp", "port": %d, "interval": "1s", "timeout": "500ms", "down_after": 1, "up_after": 1 },
  "members": [
    { "id": "fixed", "addresses": ["127.0.0.34"], "weight": 10 },
    { "id": "named", "host": "m.mirror.test", "weight": 10 }
  ] } ] }
`, w.mirrorPort))
	w.push("The pool")
	w.write("mirrorpool.yaml", fmt.Sprintf(`
git: { url: %[1]q, branch: main, poll: 1s }
state_dir: %[2]s/state
dns: { listen: ["127.0.0.1:%[3]d"] }
http: { listen: [] }
admin: { listen: "127.0.0.1:%[4]d" }
health: { resolver: "127.0.0.1:%[5]d" }
`, bare, w.directory, w.dnsPort, w.adminPort, w.resolver))
	return h
}

// listen makes a mirror that can be connected to, which is all that is checked.
func (h *hosted) listen(address string) {
	h.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(address, fmt.Sprint(h.mirrorPort)))
	if err != nil {
		h.Fatal(err)
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			connection.Close()
		}
	}()
	h.atEnd(func() { listener.Close() })
}

// knows is what unbound says of the member's name from its next start or reload on.
func (h *hosted) knows(zone string, records ...string) {
	h.Helper()
	var local strings.Builder
	for _, record := range records {
		fmt.Fprintf(&local, "  local-data: \"m.mirror.test. 30 IN %s\"\n", record)
	}
	h.write("unbound/unbound.conf", fmt.Sprintf(`server:
  interface: 127.0.0.1@%d
  directory: "%s/unbound"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  do-ip6: no
  num-threads: 1
  module-config: "iterator"
  local-zone: "m.mirror.test." %s
%sremote-control:
  control-enable: no
`, h.resolver, h.directory, zone, local.String()))
	if unbound := h.processes["unbound"]; unbound != nil {
		if err := unbound.Process.Signal(syscall.SIGHUP); err != nil {
			h.Fatal(err)
		}
	}
}

func (h *hosted) startUnbound() {
	h.Helper()
	h.start("unbound", "/usr/sbin/unbound", "-d", "-c", filepath.Join(h.directory, "unbound/unbound.conf"))
	h.eventually("unbound answers", 10*time.Second, func() bool { return accepts("127.0.0.1", h.resolver) })
}

// refresh has all names asked at once, when unbound has read its configuration.
func (h *hosted) refresh(kind uint16, want string) {
	h.Helper()
	h.eventually("unbound says "+want, 10*time.Second, func() bool {
		question := new(dns.Msg).SetQuestion("m.mirror.test.", kind)
		reply, err := dns.Exchange(question, fmt.Sprintf("127.0.0.1:%d", h.resolver))
		return err == nil && dns.RcodeToString[reply.Rcode]+" "+strings.Join(addresses(reply), " ") == want
	})
	h.command(h.program, "reload", "--config", h.config)
}

// answer are the addresses that an answer has now, sorted; empty too where nothing answers.
func (h *hosted) answer(kind uint16) string {
	reply, err := dns.Exchange(new(dns.Msg).SetQuestion("dl.example.test.", kind), fmt.Sprintf("127.0.0.1:%d", h.dnsPort))
	if err != nil {
		return ""
	}
	return sortedWords(addresses(reply))
}

func sortedWords(words []string) string {
	words = slices.Clone(words)
	slices.Sort(words)
	return strings.Join(words, " ")
}

func (h *hosted) gives(v4, v6 string) {
	h.Helper()
	v4, v6 = sortedWords(strings.Fields(v4)), sortedWords(strings.Fields(v6))
	h.eventually("given are "+v4+" and "+v6, 20*time.Second, func() bool { return h.answer(dns.TypeA) == v4 && h.answer(dns.TypeAAAA) == v6 })
}

// moves waits for the TTL, 30 seconds, as nobody tells the server of the move.
func (h *hosted) moves() {
	before, after := "127.0.0.31 127.0.0.34", "127.0.0.32 127.0.0.34"
	start := time.Now()
	h.knows("static", "A 127.0.0.32", "AAAA ::1")
	for h.answer(dns.TypeA) == before {
		if time.Since(start) > 45*time.Second {
			h.Fatalf("it has not moved after %s", time.Since(start))
		}
		time.Sleep(20 * time.Millisecond)
	}
	// Nobody is given an answer without the member.
	if got := h.answer(dns.TypeA); got != after {
		h.Errorf("given: %q, want %q", got, after)
	}
	h.Logf("moved after %s", time.Since(start).Round(time.Millisecond))
}

func (h *hosted) gone() {
	h.knows("always_nxdomain")
	h.refresh(dns.TypeA, "NXDOMAIN ")
	h.eventually("status tells of it", 10*time.Second, func() bool {
		status := h.command(h.program, "status", "--config", h.config)
		return strings.Contains(status, "the name is not there (NXDOMAIN); the last good answer is kept (127.0.0.32)")
	})
	h.gives("127.0.0.32 127.0.0.34", "::1")
	h.knows("static", "A 127.0.0.32", "AAAA ::1")
	h.refresh(dns.TypeA, "NOERROR 127.0.0.32")
	h.eventually("all is well again", 10*time.Second, func() bool {
		return !strings.Contains(h.command(h.program, "status", "--config", h.config), "PROBLEM")
	})
}

func (h *hosted) leavesIPv6() {
	h.knows("static", "A 127.0.0.32")
	h.refresh(dns.TypeAAAA, "NOERROR ")
	h.eventually("the first answer without is not believed yet", 10*time.Second, func() bool {
		return strings.Contains(h.command(h.program, "status", "--config", h.config), "AAAA: the name has no such address now; the last good answer is kept (::1)")
	})
	h.gives("127.0.0.32 127.0.0.34", "::1")
	h.command(h.program, "reload", "--config", h.config)
	h.gives("127.0.0.32 127.0.0.34", "")
}

func (h *hosted) resolverGone() {
	h.end("unbound", syscall.SIGKILL)
	h.command(h.program, "reload", "--config", h.config)
	h.eventually("status tells of it", 10*time.Second, func() bool {
		return strings.Contains(h.command(h.program, "status", "--config", h.config), "connection refused; the last good answer is kept (127.0.0.32)")
	})
	h.gives("127.0.0.32 127.0.0.34", "")
	h.end("server", syscall.SIGKILL)
	start := time.Now()
	h.start("server", h.program, "serve", "--config", h.config)
	h.gives("127.0.0.32 127.0.0.34", "")
	h.Logf("given again %s after a start without a resolver", time.Since(start).Round(time.Millisecond))
	h.knows("static", "A 127.0.0.31")
	h.startUnbound()
	h.command(h.program, "reload", "--config", h.config)
	h.gives("127.0.0.31 127.0.0.34", "")
}
