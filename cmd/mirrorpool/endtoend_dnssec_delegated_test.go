//go:build e2e

package main

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

// insideVariable tells the test that it runs in a network of its own, and where
// the program is.
const insideVariable = "MIRRORPOOL_TEST_NETWORK"

// TestEndToEndDelegated has dnsviz and Zonemaster look at a signed zone below
// others that are signed, from a root of their own. These tools know no port but
// 53 and believe no hints but addresses, so that all is in a network of its own,
// which leads nowhere.
func TestEndToEndDelegated(t *testing.T) {
	if program := os.Getenv(insideVariable); program != "" {
		lookFromOutside(t, program)
		return
	}
	t.Parallel()
	need(t, "git", "unshare", "ip", "/usr/sbin/knotd", "dnssec-keygen", "dnssec-signzone", "dnsviz", "zonemaster-cli")
	runApart(t)
}

// runApart runs this very test in a network of its own. Whatever it starts ends with it,
// however that ends.
func runApart(t *testing.T) {
	arguments := []string{"--net", "--pid", "--fork", "--kill-child"}
	if os.Geteuid() != 0 {
		arguments = append(arguments, "--map-root-user")
	}
	if output, err := exec.Command("unshare", append(arguments, "ip", "link", "set", "lo", "up")...).CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("a network of its own cannot be made here: %v: %s", err, output)
		}
		t.Skipf("a network of its own cannot be made here: %v: %s", err, output)
	}
	program := builtProgram(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	remaining := 5 * time.Minute
	if deadline, ok := t.Deadline(); ok {
		remaining = time.Until(deadline) - 5*time.Second // so that it tells itself what it was waiting for
	}
	command := exec.CommandContext(t.Context(), "unshare", append(arguments, self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout="+remaining.String())...)
	command.Env = append(os.Environ(), insideVariable+"="+program)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	output, err := command.CombinedOutput()
	t.Logf("in a network of its own:\n%s", output)
	if err != nil {
		t.Errorf("in a network of its own: %v", err)
	}
}

// delegation is the chain from the root to our zone.
type delegation struct {
	*world
	keys, above string // directories
}

// The zones of the chain that are not ours, from below.
var zonesAbove = []string{"boum.org.", "org.", "."}

const delegatedZone = "amnesia.boum.org."

func lookFromOutside(t *testing.T, program string) {
	requireAlone(t)
	directory := t.TempDir()
	d := &delegation{
		world: &world{T: t, directory: directory, program: program, processes: map[string]*exec.Cmd{}},
		keys:  filepath.Join(directory, "keys"), above: filepath.Join(directory, "above"),
	}
	t.Cleanup(func() {
		for name := range d.processes {
			d.end(name, syscall.SIGKILL)
		}
	})
	d.config, d.checkout = filepath.Join(directory, "mirrorpool.yaml"), filepath.Join(directory, "checkout")
	d.adminPort = 8053
	d.command("ip", "link", "set", "lo", "up")
	for _, address := range []string{"fd00:1::1", "fd00:2::1", "fd00:3::1", "fd00:4::1"} {
		d.command("ip", "address", "add", address+"/128", "dev", "lo")
	}
	d.writeZones()
	d.serve()
	t.Run("zonemaster", func(t *testing.T) { d.on(t).zonemaster() })
	t.Run("dnsviz", func(t *testing.T) { d.on(t).dnsviz() })
}

// requireAlone fails where anything could leave the network.
func requireAlone(t *testing.T) {
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if link.Flags&net.FlagLoopback == 0 && link.Flags&net.FlagUp != 0 {
			t.Fatalf("this network has a way out, %s: run the test without %s", link.Name, insideVariable)
		}
	}
}

func (d *delegation) on(t *testing.T) *delegation {
	step := *d
	step.world = d.world.on(t)
	return &step
}

// writeZones makes all keys, writes all zones and signs those above.
func (d *delegation) writeZones() {
	for _, zone := range []string{delegatedZone, "broken.boum.org."} {
		d.generateKey(d.keys, zone)
	}
	for _, zone := range zonesAbove {
		d.generateBINDKey(d.directory, zone)
	}
	replace := strings.NewReplacer(
		"DS_OF_OURS", digestText(d.digestOf(d.keys, delegatedZone), ""),
		"DS_OF_BOUM", digestText(d.digestOf(d.directory, "boum.org."), ""),
		"DS_OF_ORG", digestText(d.digestOf(d.directory, "org."), ""),
	)
	for _, file := range txtar.Parse([]byte(d.read("../../testdata/end-to-end/delegated.txtar"))).Files {
		name := file.Name
		if zone, ok := strings.CutPrefix(name, "above/"); ok {
			name = filepath.Join("above", strings.TrimSuffix(strings.TrimSuffix(zone, "zone"), ".")+".zone")
		} else {
			name = filepath.Join("checkout", name)
		}
		d.write(name, replace.Replace(string(file.Data)))
	}
	for _, zone := range zonesAbove {
		file := filepath.Join(d.above, zone+"zone")
		d.command("dnssec-signzone", "-S", "-z", "-K", d.directory, "-d", d.directory, "-o", zone, "-f", file+".signed", file)
		d.command("mv", file+".signed", file)
	}
	d.command("git", "init", "--quiet", "--initial-branch=main", d.checkout)
	d.commandIn(d.checkout, "git", "add", ".")
	d.commandIn(d.checkout, "git", "commit", "--quiet", "-m", "The mirrors")
}

// serve starts the name servers: one program above, and ours.
func (d *delegation) serve() {
	d.startKnot("above", d.above, "127.1.3.1@53, 127.1.4.1@53, fd00:3::1@53, fd00:4::1@53", zonesAbove...)
	d.write("root.hints", `
. 3600 NS ns.boum.org.
. 3600 NS ns.other.boum.org.
ns.boum.org. 3600 A 127.1.3.1
ns.boum.org. 3600 AAAA fd00:3::1
ns.other.boum.org. 3600 A 127.1.4.1
ns.other.boum.org. 3600 AAAA fd00:4::1
`)
	d.write("mirrorpool.yaml", strings.NewReplacer("DIRECTORY", d.directory).Replace(`
git:
  url: DIRECTORY/checkout
  branch: main
  poll: 1h
state_dir: DIRECTORY/state
dns:
  listen: ["127.1.1.1:53", "127.1.2.1:53", "[fd00:1::1]:53", "[fd00:2::1]:53"]
  dnssec_keys: DIRECTORY/keys
http:
  listen: []
admin:
  listen: 127.0.0.1:8053
`))
	d.runServer()
	d.eventually("the name server above answers", 10*time.Second, func() bool { return accepts("127.1.3.1", 53) })
}

// allowedByZonemaster are the complaints about this network, not about the server.
// Each has to come.
var allowedByZonemaster = map[string]string{
	"NAMESERVER_IP_PRIVATE_NETWORK":       "a network that leads nowhere has no public addresses",
	"NAMESERVER_IP_WITHOUT_REVERSE":       "there are no reverse zones in it",
	"REFRESH_MINIMUM_VALUE_LOWER":         "the zone's file says so: secondaries are told of changes by NOTIFY",
	"RETRY_MINIMUM_VALUE_LOWER":           "the zone's file says so",
	"SOA_DEFAULT_TTL_MAXIMUM_VALUE_LOWER": "the zone's file says so: what is not there may be there in a minute",
}

// complaint is one of Zonemaster's.
type complaint struct {
	Tag      string          `json:"tag"`
	Level    string          `json:"level"`
	TestCase string          `json:"testcase"`
	Args     json.RawMessage `json:"args"`
}

func (d *delegation) complaints(zone string) []complaint {
	d.Helper()
	said, err := exec.CommandContext(d.Context(), "zonemaster-cli", "--hints", filepath.Join(d.directory, "root.hints"),
		"--level", "NOTICE", "--json", "--show-testcase", strings.TrimSuffix(zone, ".")).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			said = append(said, exit.Stderr...)
		}
		d.Fatalf("zonemaster-cli: %v\n%s", err, said)
	}
	var list []complaint
	if err := json.Unmarshal(said, &list); err != nil {
		d.Fatalf("zonemaster-cli said %q: %v", said, err)
	}
	return list
}

func (d *delegation) zonemaster() {
	missing := map[string]bool{}
	for tag := range allowedByZonemaster {
		missing[tag] = true
	}
	for _, c := range d.complaints(delegatedZone) {
		delete(missing, c.Tag)
		if allowedByZonemaster[c.Tag] == "" {
			d.Errorf("%s in %s: %s %s", c.Level, c.TestCase, c.Tag, c.Args)
		}
	}
	for tag := range missing {
		d.Errorf("%s did not come and need not be allowed", tag)
	}
	if !slices.ContainsFunc(d.complaints("broken.boum.org."), func(c complaint) bool { return c.Level == "ERROR" && allowedByZonemaster[c.Tag] == "" }) {
		d.Error("no complaint about a zone whose DS is that of another")
	}
}

// delegatedNames are those that dnsviz looks at, beside one of its own making that
// is not there.
var delegatedNames = []string{
	"amnesia.boum.org", "dl.amnesia.boum.org", "25.dl.amnesia.boum.org", "www.amnesia.boum.org", "mail.amnesia.boum.org",
	"b.c.amnesia.boum.org", "a.b.c.amnesia.boum.org", "_acme-challenge.dl.amnesia.boum.org", "nothing.amnesia.boum.org",
}

// notSecure is how dnsviz marks what is bogus, insecure or not known.
var notSecure = regexp.MustCompile(`\[[-!?]`)

// dnsviz looks at each name, and is to say nothing but that all is secure.
func (d *delegation) dnsviz() {
	if complaints, tree := d.looked(delegatedNames...); complaints != "" || notSecure.MatchString(tree) || !strings.Contains(tree, "[.]  A: ") {
		d.Errorf("dnsviz says\n%s\n%s", complaints, tree)
	}
	if complaints, _ := d.looked("broken.boum.org"); complaints == "" {
		d.Error("no complaint about a zone whose DS is that of another")
	}
}

// looked gives what dnsviz complains of, and what it found.
func (d *delegation) looked(names ...string) (complaints, tree string) {
	d.Helper()
	found := filepath.Join(d.directory, "probe.json")
	d.command("dnsviz", append([]string{
		"probe", "-d", "2", "-A", "-E", "-a", ".", "-o", found,
		"-x", ".+:ns.boum.org=127.1.3.1,ns.boum.org=[fd00:3::1]",
	}, names...)...)
	key, _ := d.keyOf(d.directory, ".")
	anchor := d.write("root.key", key.String()+"\n")
	// The addresses are private ones by need.
	complaints = strings.TrimSpace(d.command("dnsviz", "grok", "-P", "-l", "warning", "-r", found))
	return strings.TrimPrefix(complaints, "{}"), d.command("dnsviz", "print", "-P", "-t", anchor, "-r", found)
}
