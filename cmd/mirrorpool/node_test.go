package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/admin"
	"mirrorpool/dnsserver"
	"mirrorpool/gitsource"
	"mirrorpool/redirect"
)

// running is a node in this process that follows a repository of its own.
type running struct {
	*testing.T
	node      *node
	directory string
	log       *lockedBuffer
	stop      func()
}

// lockedBuffer is a log that a test reads while it is written.
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

const (
	testZone  = "@ 300 IN SOA ns1 hostmaster 1 7200 900 1209600 60\n@ 300 IN NS ns1\nns1 300 IN A 127.0.0.1\n"
	testPools = `{ "version": 1, "pools": [ {
  "name": "dl.example.test", "ttl": 5, "answers": 1, "health": { "check": "none" },
  "members": [
    { "id": "one", "addresses": ["127.0.0.41"], "weight": 10 },
    { "id": "two", "addresses": ["127.0.0.42"], "weight": 0 }
  ] } ] }
`
)

// newRunning makes the repository and the configuration; more is added to it.
func newRunning(t *testing.T, more string) *running {
	t.Helper()
	need(t, "git")
	r := &running{T: t, directory: t.TempDir(), log: &lockedBuffer{}}
	r.git(r.directory, "init", "--quiet", "--bare", "--initial-branch=main", "mirrors.git")
	r.git(r.directory, "clone", "--quiet", "mirrors.git", "checkout")
	r.git(r.path("checkout"), "checkout", "--quiet", "-B", "main")
	r.write("checkout/zones/example.test.zone", testZone)
	r.write("checkout/pools.json", testPools)
	r.push("First")
	r.write("node.yaml", r.config(more))
	return r
}

// config is a configuration on free ports of loopback; what more has of dns and
// http takes the place of that.
func (r *running) config(more string) string {
	text := fmt.Sprintf("git: {url: %q, poll: 1s}\nstate_dir: %q\nadmin: {listen: \"127.0.0.1:0\"}\n%s",
		r.path("mirrors.git"), r.path("state"), more)
	for _, section := range []string{"dns", "http"} {
		if !strings.Contains(more, section+": ") {
			text += section + ": {listen: [\"127.0.0.1:0\"]}\n"
		}
	}
	if !strings.Contains(more, "geo: ") {
		text += fmt.Sprintf("geo: {country: %q}\n", r.countries())
	}
	return text
}

// countries is a small database of them: to read that of the program, and the installed
// one, takes a second of a processor with the race detector.
func (r *running) countries() string {
	r.Helper()
	path, err := filepath.Abs("../../pool/geo/testdata/mmdb/GeoLite2-Country-Test.mmdb")
	if err != nil {
		r.Fatal(err)
	}
	return path
}

func (r *running) path(name string) string { return filepath.Join(r.directory, name) }

func (r *running) write(name, content string) {
	r.Helper()
	if err := os.MkdirAll(filepath.Dir(r.path(name)), 0o755); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(r.path(name), []byte(content), 0o644); err != nil {
		r.Fatal(err)
	}
}

func (r *running) git(directory string, arguments ...string) string {
	r.Helper()
	command := exec.Command("git", arguments...)
	command.Dir = directory
	command.Env = append(gitEnvironment(), "GIT_AUTHOR_NAME=Test", "GIT_AUTHOR_EMAIL=test@localhost", "GIT_COMMITTER_NAME=Test", "GIT_COMMITTER_EMAIL=test@localhost")
	output, err := command.CombinedOutput()
	if err != nil {
		r.Fatalf("git %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
	return strings.TrimSpace(string(output))
}

func (r *running) push(message string) string {
	r.Helper()
	checkout := r.path("checkout")
	r.git(checkout, "add", ".")
	r.git(checkout, "commit", "--quiet", "-m", message)
	r.git(checkout, "push", "--quiet", "origin", "main")
	return r.git(checkout, "rev-parse", "HEAD")
}

// start runs the node until the test ends or stop is called.
func (r *running) start() {
	r.Helper()
	r.startWith(func(*node) {})
}

// startWith starts the node after something is changed in it.
func (r *running) startWith(change func(*node)) {
	r.Helper()
	config, err := loadConfig(r.path("node.yaml"))
	if err != nil {
		r.Fatal(err)
	}
	if r.node, err = newNode(r.path("node.yaml"), config, r.log); err != nil {
		r.Fatal(err)
	}
	change(r.node)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.node.run(ctx, nil) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			r.Errorf("the node ended with: %v", err)
		}
	})
	r.Cleanup(r.stop)
}

func (r *running) eventually(what string, condition func() bool) {
	r.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.Fatalf("this does not come about: %s\n%s", what, r.log)
		}
	}
}

func (r *running) serving(commit string) {
	r.Helper()
	r.eventually("commit "+commit+" is served", func() bool {
		table := r.node.compiler.table.Load()
		return table != nil && table.Commit == commit
	})
}

// ask asks the node's first DNS address.
func (r *running) ask(name string, kind uint16) *dns.Msg {
	r.Helper()
	question := new(dns.Msg)
	question.SetQuestion(name, kind)
	reply, _, err := new(dns.Client).Exchange(question, r.dnsAddress())
	if err != nil {
		r.Fatal(err)
	}
	return reply
}

// nsid is the server's identifier, hexadecimal.
func (r *running) nsid() string {
	r.Helper()
	question := new(dns.Msg)
	question.SetQuestion("dl.example.test.", dns.TypeA)
	question.SetEdns0(1232, false)
	question.IsEdns0().Option = append(question.IsEdns0().Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})
	reply, _, err := new(dns.Client).Exchange(question, r.dnsAddress())
	if err != nil {
		r.Fatal(err)
	}
	for _, option := range reply.IsEdns0().Option {
		if identifier, is := option.(*dns.EDNS0_NSID); is {
			return identifier.Nsid
		}
	}
	return ""
}

func (r *running) dnsAddress() string {
	return r.node.dns.listener().(*dnsserver.Server).Addresses()[0].String()
}

func (r *running) get(path string) (int, string) {
	r.Helper()
	response, err := http.Get("http://" + r.node.admin.listener().(*admin.Server).Address().String() + path)
	if err != nil {
		r.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func (r *running) stage(name stage) admin.Stage {
	r.Helper()
	for _, one := range r.node.status().Stages {
		if one.Name == string(name) {
			return one
		}
	}
	r.Fatalf("no stage %q", name)
	return admin.Stage{}
}

func TestNodeServesItsRepository(t *testing.T) {
	r := newRunning(t, "")
	first := r.git(r.path("checkout"), "rev-parse", "HEAD")
	r.start()
	r.serving(first)
	reply := r.ask("dl.example.test.", dns.TypeA)
	if len(reply.Answer) != 1 || reply.Answer[0].(*dns.A).A.String() != "127.0.0.41" {
		t.Errorf("answered: %v", reply)
	}
	if code, body := r.get("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz: %d %s", code, body)
	}
	if code, body := r.get("/api/v1/explain?client=127.0.0.1"); code != http.StatusOK || !strings.Contains(body, "weight 0") {
		t.Errorf("/api/v1/explain: %d %s", code, body)
	}
}

func TestRefusedCommitsChangeNothing(t *testing.T) {
	r := newRunning(t, "")
	first := r.git(r.path("checkout"), "rev-parse", "HEAD")
	r.start()
	r.serving(first)
	for _, bad := range []struct{ name, pools, problem string }{
		{"syntax", strings.Replace(testPools, `"ttl": 5,`, `"ttl": 5`, 1), "pools.json:2:"},
		{"capacity", strings.Replace(testPools, `"weight": 10`, `"weight": 4`, 1), "git.max_capacity_drop"},
		{"no zone", strings.Replace(testPools, "dl.example.test", "dl.elsewhere.test", 1), "which lies in no zone"},
	} {
		r.write("checkout/pools.json", bad.pools)
		commit := r.push(bad.name)
		r.eventually(fmt.Sprintf("%s is refused, and status, stage and log say %q", bad.name, bad.problem), func() bool {
			refused, stage := r.node.status().Source.Refused, r.stage(stageCommit)
			return refused != nil && refused.Commit == commit && strings.Contains(stage.Error, bad.problem) &&
				!stage.StaleSince.IsZero() && strings.Contains(r.log.String(), bad.problem)
		})
		r.serving(first)
	}
	// Back to what is served: nothing is refused any more.
	r.git(r.path("checkout"), "reset", "--quiet", "--hard", first)
	r.git(r.path("checkout"), "push", "--quiet", "--force", "origin", "main")
	r.eventually("nothing is refused", func() bool {
		return r.node.status().Source.Refused == nil && r.stage(stageCommit).Error == ""
	})
}

func TestKeptCommitIsServedWithoutTheRemote(t *testing.T) {
	r := newRunning(t, "")
	first := r.git(r.path("checkout"), "rev-parse", "HEAD")
	r.start()
	r.serving(first)
	serial := r.ask("example.test.", dns.TypeSOA).Answer[0].(*dns.SOA).Serial
	r.stop()
	if err := os.Rename(r.path("mirrors.git"), r.path("gone.git")); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.serving(first)
	if after := r.ask("example.test.", dns.TypeSOA).Answer[0].(*dns.SOA).Serial; after != serial {
		t.Errorf("serial %d after the restart, %d before, for the same content", after, serial)
	}
	r.eventually("the source is stale", func() bool { return r.stage(stageSource).Error != "" })
}

// A kept commit that this program does not take must not hide the remote's.
func TestUnusableKeptCommitIsFetchedAnew(t *testing.T) {
	r := newRunning(t, "")
	first := r.git(r.path("checkout"), "rev-parse", "HEAD")
	config, err := loadConfig(r.path("node.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	// Another program, which takes anything, keeps a commit that has a mistake.
	r.write("checkout/pools.json", "{")
	bad := r.push("A mistake")
	source, err := gitsource.Open(config.source(nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = source.Run(ctx, func(context.Context, *gitsource.Revision) error {
		time.AfterFunc(500*time.Millisecond, cancel)
		return nil
	})
	if err != nil || source.Status().Good.Commit != bad {
		t.Fatalf("not kept: %v %+v", err, source.Status())
	}
	r.start()
	r.eventually("the same commit is looked at and refused", func() bool {
		refused := r.node.status().Source.Refused
		return refused != nil && refused.Commit == bad
	})
	if stage := r.stage(stageKept); stage.Error == "" {
		t.Error("the stage of the kept commit is fine")
	}
	r.git(r.path("checkout"), "reset", "--quiet", "--hard", first)
	r.git(r.path("checkout"), "push", "--quiet", "--force", "origin", "main")
	r.serving(first)
	r.eventually("the stage of the kept commit is fine again", func() bool { return r.stage(stageKept).Error == "" })
}

func TestUnwritableStateStillServes(t *testing.T) {
	r := newRunning(t, "")
	// Root may write to read-only directories, but not replace one by a file.
	if err := os.MkdirAll(r.path("state/serials.json/in-the-way"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.serving(r.git(r.path("checkout"), "rev-parse", "HEAD"))
	if stage := r.stage(stageSerials); !strings.Contains(stage.Error, "serials.json") {
		t.Errorf("the stage says nothing: %+v", stage)
	}
	if reply := r.ask("dl.example.test.", dns.TypeA); len(reply.Answer) != 1 {
		t.Errorf("answered: %v", reply)
	}
}

func TestSerialGrowsWithContent(t *testing.T) {
	r := newRunning(t, "")
	r.start()
	r.serving(r.git(r.path("checkout"), "rev-parse", "HEAD"))
	before := r.ask("example.test.", dns.TypeSOA).Answer[0].(*dns.SOA).Serial
	r.write("checkout/zones/example.test.zone", testZone+"more 300 IN TXT \"more\"\n")
	r.serving(r.push("One record more"))
	after := r.ask("example.test.", dns.TypeSOA).Answer[0].(*dns.SOA).Serial
	if after <= before {
		t.Errorf("serial %d after the change, %d before", after, before)
	}
	var kept keptSerials
	data, err := os.ReadFile(r.path("state/serials.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &kept); err != nil || kept.Zones["example.test."].Number != after {
		t.Errorf("kept: %v %v, want %d", kept, err, after)
	}
}

func TestSecondServerIsKeptOut(t *testing.T) {
	r := newRunning(t, "")
	r.start()
	config, err := loadConfig(r.path("node.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newNode(r.path("node.yaml"), config, io.Discard); err == nil || !strings.Contains(err.Error(), "another mirrorpool uses it") {
		t.Errorf("a second node on the same state_dir: %v", err)
	}
}

func TestBrokenGeoFileDoesNotKeepTheServerDown(t *testing.T) {
	overrides := filepath.Join(t.TempDir(), "nets.json")
	if err := os.WriteFile(overrides, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := newRunning(t, "")
	r.write("node.yaml", r.config(fmt.Sprintf("geo: {country: %q, overrides: %q}\n", r.countries(), overrides)))
	r.start()
	r.serving(r.git(r.path("checkout"), "rev-parse", "HEAD"))
	if stage := r.stage(stageGeo); !strings.Contains(stage.Error, overrides) {
		t.Errorf("the stage does not name the file: %+v", stage)
	}
	if err := os.WriteFile(overrides, []byte(`{"127.0.0.0/8": {"country": "DE"}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := r.node.requestReload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if stage := r.stage(stageGeo); stage.Error != "" {
		t.Errorf("the mended file is not taken: %+v", stage)
	}
	r.eventually("the mended file is used", func() bool {
		_, body := r.get("/api/v1/explain?client=127.0.0.1")
		return strings.Contains(body, `"DE"`)
	})
}

func TestReload(t *testing.T) {
	r := newRunning(t, "")
	r.start()
	r.serving(r.git(r.path("checkout"), "rev-parse", "HEAD"))

	// Other addresses are bound, and the old ones are let go.
	before := r.node.dns.running
	r.write("node.yaml", r.config("dns: {listen: [\"127.0.0.2:0\"]}\n"))
	if err := r.node.requestReload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.node.dns.running == before {
		t.Error("the DNS listener is the same")
	}
	if reply := r.ask("dl.example.test.", dns.TypeA); len(reply.Answer) != 1 {
		t.Errorf("answered at the new address: %v", reply)
	}

	// What needs no other sockets changes beneath the running listeners.
	dnsBefore, httpBefore := r.node.dns.running, r.node.redirect.running
	r.write("node.yaml", r.config("dns: {listen: [\"127.0.0.2:0\"], nsid: second}\nhttp: {listen: [\"127.0.0.1:0\"], trusted_proxies: [\"127.0.0.1/32\"]}\n"))
	if err := r.node.requestReload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.node.dns.running != dnsBefore || r.node.redirect.running != httpBefore {
		t.Error("a listener was replaced without need")
	}
	if got := r.nsid(); got != hex.EncodeToString([]byte("second")) {
		t.Errorf("NSID %q after the reload", got)
	}

	// What cannot be changed or read changes nothing.
	for _, bad := range []struct{ name, content, say string }{
		{"mistake", r.config("dnss: {}\n"), "unknown key"},
		{"state_dir", strings.Replace(r.config(""), r.path("state"), r.path("elsewhere"), 1), "by a restart only"},
		{"address of another machine", r.config("dns: {listen: [\"192.0.2.1:0\"]}\n"), "192.0.2.1"},
		{"geo file", r.config(fmt.Sprintf("geo: {country: %q, overrides: %q}\n", r.countries(), r.path("missing.json"))), "missing.json"},
	} {
		running := r.node.config.Load()
		r.write("node.yaml", bad.content)
		if err := r.node.requestReload(t.Context()); err == nil || !strings.Contains(err.Error(), bad.say) {
			t.Errorf("%s: %v, want %q", bad.name, err, bad.say)
		}
		if r.node.config.Load() != running {
			t.Errorf("%s: the configuration has changed", bad.name)
		}
		if stage := r.stage(stageConfig); stage.Error == "" {
			t.Errorf("%s: the stage is fine", bad.name)
		}
		if reply := r.ask("dl.example.test.", dns.TypeA); len(reply.Answer) != 1 {
			t.Errorf("%s: answered: %v", bad.name, reply)
		}
	}

	// Another repository is followed.
	r.git(r.directory, "clone", "--quiet", "--bare", "mirrors.git", "other.git")
	r.git(r.path("checkout"), "remote", "set-url", "origin", r.path("other.git"))
	r.write("checkout/pools.json", strings.Replace(testPools, `"ttl": 5`, `"ttl": 7`, 1))
	commit := r.push("To the other repository")
	r.write("node.yaml", strings.Replace(r.config(""), "mirrors.git", "other.git", 1))
	if err := r.node.requestReload(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.serving(commit)
}

// TestNoClientAddressIsLoggedOrCounted has one client ask in every way there
// is, from an address of its own, and looks for that address in all that stays.
func TestNoClientAddressIsLoggedOrCounted(t *testing.T) {
	const client = "127.99.1.1"
	r := newRunning(t, "log: {level: debug}\nhttp: {listen: [\"127.0.0.1:0\"], trusted_proxies: [\"127.99.1.1/32\"]}\n")
	r.write("checkout/mirrors.json", `[ { "url_prefix": "http://127.0.0.41/", "weight": 1 } ]`)
	r.write("checkout/pools.json", strings.TrimSuffix(strings.TrimSpace(testPools), "}")+`, "redirects": [ { "host": "download.example.test" } ] }`)
	commit := r.push("A redirect host")
	r.start()
	r.serving(commit)

	from := net.ParseIP(client)
	subnet := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 32, Address: from}
	for _, name := range []string{"dl.example.test.", "nothing.example.test.", "elsewhere.test."} {
		for _, network := range []string{"udp", "tcp"} {
			question := new(dns.Msg)
			question.SetQuestion(name, dns.TypeA)
			question.SetEdns0(1232, false)
			question.IsEdns0().Option = append(question.IsEdns0().Option, subnet)
			var local net.Addr = &net.UDPAddr{IP: from}
			if network == "tcp" {
				local = &net.TCPAddr{IP: from}
			}
			asking := &dns.Client{Net: network, Dialer: &net.Dialer{LocalAddr: local}}
			if _, _, err := asking.Exchange(question, r.dnsAddress()); err != nil {
				t.Fatal(err)
			}
		}
	}
	web := &http.Client{
		Transport:     &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}).DialContext, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for path, want := range map[string]int{"/file": http.StatusFound, "/../x": http.StatusBadRequest} {
		request, err := http.NewRequest(http.MethodGet, "http://"+r.node.redirect.listener().(*redirect.Server).Addresses()[0].String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "download.example.test"
		request.Header.Set("X-Forwarded-For", client)
		response, err := web.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: %s", path, response.Status)
		}
	}
	r.get("/api/v1/explain?client=" + client)

	_, metrics := r.get("/metrics")
	_, state := r.get("/api/v1/state")
	if !strings.Contains(metrics, `mirrorpool_dns_choices_total{member="one"`) || !strings.Contains(metrics, "mirrorpool_http_choices_total{") {
		t.Error("the questions were not counted at all")
	}
	r.stop()
	for name, text := range map[string]string{"log": r.log.String(), "metrics": metrics, "state": state, "state_dir": r.kept()} {
		if text == "" {
			t.Errorf("%s: empty", name)
		}
		if strings.Contains(text, client) {
			t.Errorf("%s: holds the client's address", name)
		}
	}
}

// kept is all that the node has written to its state_dir.
func (r *running) kept() string {
	r.Helper()
	var all strings.Builder
	err := filepath.WalkDir(r.path("state"), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all.Write(data)
		return err
	})
	if err != nil {
		r.Fatal(err)
	}
	return all.String()
}

func TestTakenAddressIsExplained(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, section := range []string{"dns", "http"} {
		r := newRunning(t, "")
		r.write("node.yaml", r.config(fmt.Sprintf("%s: {listen: [%q]}\n", section, taken.Addr())))
		config, err := loadConfig(r.path("node.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = newNode(r.path("node.yaml"), config, io.Discard)
		if err == nil || !strings.Contains(err.Error(), taken.Addr().String()) || !strings.Contains(err.Error(), "ss -lntup") {
			t.Errorf("%s: %v", section, err)
		}
	}
}

// What fails after state_dir is locked is an error, and lets the lock go.
func TestFailedStartLetsGo(t *testing.T) {
	r := newRunning(t, "")
	config, err := loadConfig(r.path("node.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	without := *config
	without.Git.URL = ""
	if _, err := newNode(r.path("node.yaml"), &without, io.Discard); err == nil || !strings.Contains(err.Error(), "git.url") {
		t.Errorf("without a remote: %v", err)
	}
	r.start()
	r.serving(r.git(r.path("checkout"), "rev-parse", "HEAD"))
}
