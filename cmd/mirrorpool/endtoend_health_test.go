//go:build e2e

package main

import (
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What all pools of the laboratory are checked with. gdnsd has no timeout below a second,
// and wants one that is shorter than the interval.
const (
	healthInterval  = 2 * time.Second
	healthTimeout   = time.Second
	healthThreshold = 3 // down_after and up_after
	healthTTL       = 3 * time.Second
	healthRamp      = 4 * time.Second

	// faultLasts is how long a fault is left in, which no detection may take.
	faultLasts = 18 * time.Second
	// cutLasts is how long the checks are cut off from most mirrors: long enough for them
	// to find all of those down.
	cutLasts = healthThreshold*healthInterval + 3*healthInterval
	// healthSlack is what a busy machine may be late by: less than a TTL that is four times too long.
	healthSlack = 4 * time.Second
	// loadedSlack is what a loaded machine may add to what the schedule says, since probes,
	// tables and those who ask for them take turns on it.
	loadedSlack = 8 * time.Second
	// detectedWithin and backWithin are what the page promises, and loadedSlack: the first
	// probe that finds a change begins an interval later at most, and the last one may run
	// into its timeout.
	detectedWithin = healthThreshold*healthInterval + healthTimeout + loadedSlack
	backWithin     = detectedWithin
)

// healthRounds tells the test to measure so many times, and to write the page.
const healthRounds = "HEALTH_ROUNDS"

// TestEndToEndHealth puts faults into nginx mirrors, one pool for each and all at once,
// while clients resolve through unbound and fetch a file from the first address that they
// get. gdnsd checks the same mirrors at the same times. All is in a network of its own.
func TestEndToEndHealth(t *testing.T) {
	if program := os.Getenv(insideVariable); program != "" {
		measureFaults(t, program)
		return
	}
	need(t, "git", "unshare", "setsid", "ip", "nft", "rsync", "/usr/sbin/nginx", "/usr/sbin/unbound", "/usr/sbin/gdnsd")
	runApart(t)
}

// healthLab is everything that the test started.
type healthLab struct {
	*world
	gdnsdPort int
	content   healthFiles
	// authority signs the mirrors' certificates; clients and the server believe it.
	authority    *x509.Certificate
	authorityKey *ecdsa.PrivateKey
	faults       []*faultPool
	cuts         []cutFigures
	failing      string         // address of the server that fails every fifth request; empty: not started
	running      sync.WaitGroup // clients and those who watch the answers
}

func measureFaults(t *testing.T, program string) {
	requireAlone(t)
	rounds := 1
	if text := os.Getenv(healthRounds); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil || rounds < 1 {
			t.Fatalf("%s: found %q, expected a number of rounds", healthRounds, text)
		}
	}
	lab := newHealthLab(t, program)
	lab.startHealthMirrors()
	lab.startHealthServer()
	lab.startGdnsd()
	lab.startHealthResolver()
	lab.watchAll()
	for range rounds {
		lab.round()
		lab.cutOff()
	}
	table := newHealthTable(lab.faults, lab.cuts)
	t.Logf("after %d rounds, in which %d of %d downloads were too much for this machine:\n%s", rounds, table.late, table.all, table)
	if os.Getenv(healthRounds) != "" {
		table.write(t, lab.versions(rounds))
	}
	table.isThatOfPage(t)
}

func newHealthLab(t *testing.T, program string) *healthLab {
	lab := &healthLab{
		world:     &world{T: t, directory: t.TempDir(), program: program, processes: map[string]*exec.Cmd{}},
		gdnsdPort: 5301,
	}
	t.Cleanup(func() {
		for name := range lab.processes {
			lab.end(name, syscall.SIGKILL) // nginx's workers end with the test
		}
	})
	lab.dnsPort, lab.resolver, lab.adminPort = 5300, 5302, 8053
	lab.config, lab.checkout = filepath.Join(lab.directory, "mirrorpool.yaml"), filepath.Join(lab.directory, "checkout")
	lab.command("ip", "link", "set", "lo", "up")
	for i, fault := range healthFaults() {
		lab.faults = append(lab.faults, lab.newFaultPool(fault, i+1))
	}
	lab.command("nft", `table inet faults {
		set gone4 { type ipv4_addr; }
		set gone6 { type ipv6_addr; }
		set far4 { type ipv4_addr; }
		chain received {
			type filter hook input priority 0
			ip daddr @gone4 drop
			ip6 daddr @gone6 drop
			ip saddr != `+clientAddress+` ip daddr @far4 tcp dport { 80, 443, 873 } drop
		}
	}`)
	lab.command("ip", "address", "add", clientAddress6+"/128", "dev", "lo", "nodad")
	return lab
}

// startHealthServer runs the program on a repository with a pool for each fault.
func (lab *healthLab) startHealthServer() {
	lab.Helper()
	lab.write("checkout/zones/health.test.zone", "$TTL 60\n@ IN SOA ns1 hostmaster ( 1 7200 900 1209600 1 )\n@ IN NS ns1\nns1 IN A 127.0.0.1\n")
	lab.write("checkout/pools.json", lab.poolsFile())
	lab.command("git", "init", "--quiet", "--initial-branch=main", lab.checkout)
	lab.commandIn(lab.checkout, "git", "add", ".")
	lab.commandIn(lab.checkout, "git", "commit", "--quiet", "-m", "A pool for each fault")
	lab.command(lab.program, "check", lab.checkout)
	lab.write("mirrorpool.yaml", fmt.Sprintf(`
git: { url: %[1]q, branch: main, poll: 1h }
state_dir: %[2]s/state
dns: { listen: ["127.0.0.1:%[3]d"] }
http: { listen: [] }
admin: { listen: "127.0.0.1:%[4]d" }
`, lab.checkout, lab.directory, lab.dnsPort, lab.adminPort))
	lab.runServer()
}

// startHealthResolver runs unbound, which knows our zone and that of gdnsd, and keeps
// answers for as long as their TTL says.
func (lab *healthLab) startHealthResolver() {
	lab.Helper()
	config := lab.write("unbound.conf", fmt.Sprintf(`
server:
  interface: 127.0.0.1@%[1]d
  directory: "%[2]s"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  do-not-query-localhost: no
  module-config: "iterator"
  root-hints: "%[2]s/root.hints"
  num-threads: 1
  rrset-roundrobin: yes
  prefetch: no
  serve-expired: no
  local-zone: "test." nodefault
stub-zone:
  name: "health.test"
  stub-addr: 127.0.0.1@%[3]d
stub-zone:
  name: "gdnsd.test"
  stub-addr: 127.0.0.1@%[4]d
`, lab.resolver, lab.directory, lab.dnsPort, lab.gdnsdPort))
	lab.write("root.hints", ". 3600000 NS a.root.\na.root. 3600000 A 127.0.0.254\n")
	lab.start("unbound", "/usr/sbin/unbound", "-d", "-c", config)
	lab.eventually("unbound answers", 10*time.Second, func() bool { return accepts("127.0.0.1", lab.resolver) })
}
