//go:build e2e

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestEndToEndPublish runs the built program beside BIND, which stays the primary of
// the zone that the pool is published in: the repository has no zone of its own.
func TestEndToEndPublish(t *testing.T) {
	t.Parallel()
	need(t, "git", "/usr/sbin/named", "nsupdate")
	p := newPublished(t)
	p.startPrimary()
	p.runServer()

	t.Run("a push is there within seconds", func(t *testing.T) { p.on(t).pushed() })
	t.Run("a mirror that fails is gone within seconds", func(t *testing.T) { p.on(t).mirrorFails() })
	t.Run("what others change is put back", func(t *testing.T) { p.on(t).changedByOthers() })
	t.Run("the state and the metrics tell", func(t *testing.T) { p.on(t).told() })
	t.Run("the primary gone and back", func(t *testing.T) { p.on(t).primaryGone() })
	t.Run("SIGHUP changes what is published", func(t *testing.T) { p.on(t).reloads() })
	t.Run("a dry run says what it would send", func(t *testing.T) { p.on(t).dryRun() })
	t.Run("a restart knows what is its own", func(t *testing.T) { p.on(t).restarts() })
	t.Run("kill -9 at any moment", func(t *testing.T) { p.on(t).killed() })
}

// published is the world of a pool in a zone of BIND.
type published struct {
	*world
	primary int
	mirrors map[string]net.Listener
	atEnd   func(func()) // of all steps
}

func (p *published) on(t *testing.T) *published {
	step := *p
	step.world = p.world.on(t)
	return &step
}

const publishedPools = `{ "version": 1, "pools": [ {
  "name": "dl.example.test", "ttl": 30,
  "health": { "check": "tcp", "port": MIRROR_PORT, "interval": "1s", "timeout": "500ms", "down_after": 1, "up_after": 1 },
  "members": [
    { "id": "one", "addresses": ["127.0.0.31"], "weight": 10 },
    { "id": "two", "addresses": ["127.0.0.32"], "weight": 10 },
    { "id": "three", "addresses": ["127.0.0.33"], "weight": 10 }
  ] } ] }
`

func newPublished(t *testing.T) *published {
	w := &world{T: t, directory: t.TempDir(), processes: map[string]*exec.Cmd{}}
	t.Cleanup(func() {
		for name := range w.processes {
			w.end(name, syscall.SIGKILL)
		}
	})
	p := &published{world: w, mirrors: map[string]net.Listener{}, atEnd: t.Cleanup}
	w.program = builtProgram(t)
	w.checkout, w.config = filepath.Join(w.directory, "checkout"), filepath.Join(w.directory, "mirrorpool.yaml")
	for _, port := range []*int{&w.mirrorPort, &w.dnsPort, &w.adminPort, &p.primary} {
		*port = unusedPort(t)
	}
	for _, address := range mirrorAddresses {
		p.startListening(address)
	}
	bare := filepath.Join(w.directory, "mirrors.git")
	w.command("git", "init", "--quiet", "--bare", "--initial-branch=main", bare)
	w.command("git", "clone", "--quiet", bare, w.checkout)
	w.commandIn(w.checkout, "git", "checkout", "--quiet", "-B", "main")
	w.write("checkout/pools.json", strings.ReplaceAll(publishedPools, "MIRROR_PORT", fmt.Sprint(w.mirrorPort)))
	w.push("The pool")
	w.write("publish.keys", "key \"mirrorpool\" { algorithm hmac-sha256; secret \"YSBzZWNyZXQ=\"; };\n")
	w.write("mirrorpool.yaml", fmt.Sprintf(`
git: { url: %[1]q, branch: main, poll: 1s }
state_dir: %[2]s/state
dns: { listen: ["127.0.0.1:%[3]d"] }
http: { listen: [] }
admin: { listen: "127.0.0.1:%[4]d" }
publish:
  - pool: dl.example.test
    zone: example.test
    server: 127.0.0.1:%[5]d
    tsig_keys: %[2]s/publish.keys
    interval: 2s
`, bare, w.directory, w.dnsPort, w.adminPort, p.primary))
	return p
}

// startListening is a mirror that can be connected to, which is all that is checked.
func (p *published) startListening(address string) {
	p.Helper()
	listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", address, p.mirrorPort))
	if err != nil {
		p.Fatal(err)
	}
	p.mirrors[address] = listener
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			connection.Close()
		}
	}()
	p.atEnd(func() { listener.Close() })
}

func (p *published) startPrimary() {
	p.Helper()
	if _, err := os.Stat(filepath.Join(p.directory, "bind/example.test.zone")); err != nil {
		p.write("bind/example.test.zone", "$TTL 300\n@ IN SOA ns1 hostmaster 1 7200 900 1209600 60\n@ IN NS ns1\nns1 IN A 127.0.0.1\nwww IN A 127.0.0.99\ndl IN TXT \"text\"\n")
	}
	config := p.write("bind/named.conf", fmt.Sprintf(`include "%[1]s/publish.keys";
key "other" { algorithm hmac-sha256; secret "YW5vdGhlcg=="; };
options { directory "%[1]s/bind"; pid-file none; listen-on port %[2]d { 127.0.0.1; }; listen-on-v6 { none; };
  recursion no; dnssec-validation no; notify no; session-keyfile none; };
controls {};
zone "example.test" { type primary; file "example.test.zone";
  update-policy { grant mirrorpool name dl.example.test. A AAAA; grant other subdomain example.test. ANY; }; };
`, p.directory, p.primary))
	p.start("named", "/usr/sbin/named", "-g", "-c", config, "-n", "1")
	p.eventually("named answers", 10*time.Second, func() bool { return accepts("127.0.0.1", p.primary) })
}

// has gives the pool's addresses at the primary, sorted.
func (p *published) has() []string {
	question := new(dns.Msg)
	question.SetQuestion("dl.example.test.", dns.TypeA)
	reply, _, err := (&dns.Client{Net: "tcp", Timeout: 5 * time.Second}).Exchange(question, fmt.Sprintf("127.0.0.1:%d", p.primary))
	if err != nil {
		return nil
	}
	list := addresses(reply)
	slices.Sort(list)
	return list
}

func (p *published) expect(what string, within time.Duration, wanted ...string) {
	p.Helper()
	start := time.Now()
	p.eventually(fmt.Sprintf("%s: the primary has %v", what, wanted), within, func() bool { return slices.Equal(p.has(), wanted) })
	p.Logf("%s: after %s", what, time.Since(start).Round(time.Millisecond))
}

func (p *published) nsupdate(commands string) {
	p.Helper()
	file := p.write("nsupdate.txt", fmt.Sprintf("server 127.0.0.1 %d\nzone example.test\n%s\nsend\n", p.primary, commands))
	p.command("nsupdate", "-y", "hmac-sha256:other:YW5vdGhlcg==", file)
}

func (p *published) pushed() {
	p.expect("the start", 10*time.Second, mirrorAddresses...)
	p.edit("pools.json", `"id": "two", "addresses": ["127.0.0.32"], "weight": 10`, `"id": "two", "addresses": ["127.0.0.32"], "weight": 0`)
	p.push("Disable two")
	p.expect("a push", shortly, mirrorAddresses[0], mirrorAddresses[2])
	p.edit("pools.json", `"weight": 0`, `"weight": 10`)
	p.push("Enable two")
	p.expect("another push", shortly, mirrorAddresses...)
}

func (p *published) mirrorFails() {
	p.mirrors[mirrorAddresses[1]].Close()
	p.expect("a mirror is down", shortly, mirrorAddresses[0], mirrorAddresses[2])
	p.startListening(mirrorAddresses[1])
	p.expect("it is up again", shortly, mirrorAddresses...)
}

func (p *published) changedByOthers() {
	p.nsupdate("update delete dl.example.test A\nupdate add dl.example.test 60 A 127.0.0.66")
	p.expect("others replaced it", shortly, mirrorAddresses...)
	p.nsupdate("update delete dl.example.test A")
	p.expect("others removed it", shortly, mirrorAddresses...)
	p.nsupdate("update add other.example.test 60 A 127.0.0.66")
	if log := p.read(p.log("server")); strings.Count(log, "others changed what is published") != 2 || !strings.Contains(log, "127.0.0.66") {
		p.Error("the log does not tell of both changes, or not what was found")
	}
}

func (p *published) told() {
	if state := p.get("/api/v1/state"); !strings.Contains(state, `"condition": "published"`) || !strings.Contains(state, `"foreign_changes": 2`) {
		p.Errorf("the state: %s", state)
	}
	if output := p.command(p.program, "publish", "--config", p.config); !strings.Contains(output, "dl.example.test, published, last right ") {
		p.Errorf("mirrorpool publish: %s", output)
	}
	metrics := p.get("/metrics")
	for _, line := range []string{"mirrorpool_publish_good{", "mirrorpool_publish_foreign_changes_total{"} {
		at := strings.Index(metrics, "\n"+line)
		if at < 0 {
			p.Errorf("no metric %s", line)
			continue
		}
		p.Log(strings.SplitN(metrics[at+1:], "\n", 2)[0])
	}
	if reply := p.ask(p.dnsPort, "dl.example.test.", dns.TypeA); reply.Rcode != dns.RcodeRefused {
		p.Errorf("the node answers for a name that it has no zone of: %v", reply)
	}
}

func (p *published) primaryGone() {
	p.end("named", syscall.SIGTERM) // so that its journal is in the zone file
	p.mirrors[mirrorAddresses[0]].Close()
	p.eventually("the state says that the primary is gone", 10*time.Second, func() bool {
		return strings.Contains(p.get("/api/v1/state"), "connection refused")
	})
	p.startPrimary()
	p.expect("the primary is back", 30*time.Second, mirrorAddresses[1:]...)
	p.startListening(mirrorAddresses[0])
	p.expect("it is up again", shortly, mirrorAddresses...)
}

func (p *published) reloads() {
	config := p.read(p.config)
	p.write("mirrorpool.yaml", config+"    limit: 2\n")
	if err := p.processes["server"].Process.Signal(syscall.SIGHUP); err != nil {
		p.Fatal(err)
	}
	p.eventually("two addresses are published", shortly, func() bool { return len(p.has()) == 2 })
	p.write("mirrorpool.yaml", strings.Replace(config, "interval: 2s", "interval: two", 1))
	reload := exec.CommandContext(p.Context(), p.program, "reload", "--config", p.config)
	if output, _ := reload.CombinedOutput(); reload.ProcessState.ExitCode() != exitUsage || !strings.Contains(string(output), ":12:15: publish[0].interval") {
		p.Errorf("a mistake in publish: %s", output)
	}
	p.write("mirrorpool.yaml", config)
	p.command(p.program, "reload", "--config", p.config)
	p.expect("all again", shortly, mirrorAddresses...)
}

func (p *published) dryRun() {
	config := p.read(p.config)
	p.write("mirrorpool.yaml", config+"    ttl: 60\n    dry_run: true\n")
	p.command(p.program, "reload", "--config", p.config)
	status := ""
	p.eventually("the status says what would be sent", shortly, func() bool {
		output, _ := exec.CommandContext(p.Context(), p.program, "status", "--config", p.config).CombinedOutput()
		status = string(output)
		return strings.Contains(status, "update add dl.example.test. 60 A "+mirrorAddresses[0])
	})
	p.Log(status)
	ask := exec.CommandContext(p.Context(), p.program, "publish", "--config", p.config)
	if output, _ := ask.CombinedOutput(); ask.ProcessState.ExitCode() != exitNo || !strings.Contains(string(output), "update delete dl.example.test. A") {
		p.Errorf("mirrorpool publish, of what differs: %s", output)
	}
	if reply := p.ask(p.primary, "dl.example.test.", dns.TypeA); len(reply.Answer) != 3 || reply.Answer[0].Header().Ttl != 30 {
		p.Errorf("a dry run changes the primary: %v", reply)
	}
	p.write("mirrorpool.yaml", config)
	p.command(p.program, "reload", "--config", p.config)
}

func (p *published) restarts() {
	if code := p.end("server", syscall.SIGTERM); code != 0 {
		p.Errorf("after SIGTERM the server ended with code %d", code)
	}
	// What was put there is known, though these are no members' addresses any more.
	pools := p.read(filepath.Join(p.checkout, "pools.json"))
	p.write("checkout/pools.json", strings.ReplaceAll(pools, "127.0.0.32", "127.0.0.34"))
	p.push("Two moves")
	p.startListening("127.0.0.34")
	p.runServer()
	p.expect("after a restart", 10*time.Second, "127.0.0.31", "127.0.0.33", "127.0.0.34")
	p.write("checkout/pools.json", pools)
	p.push("Two moves back")
	p.expect("moved back", shortly, mirrorAddresses...)
}

// killed kills the program while it updates, and changes the pool meanwhile, so that
// only what was kept tells that what is there is its own.
func (p *published) killed() {
	for i := range 5 {
		p.mirrors[mirrorAddresses[i%2]].Close()
		time.Sleep(700*time.Millisecond + time.Duration(i)*150*time.Millisecond)
		p.end("server", syscall.SIGKILL)
		p.startListening(mirrorAddresses[i%2])
		p.runServer()
		p.expect("after kill -9", shortly, mirrorAddresses...)
	}
	if log := p.read(p.log("server")); strings.Count(log, "adopt: true") > 0 {
		p.Error("the server took its own records for those of others")
	}
}
