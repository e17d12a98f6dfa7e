//go:build e2e

package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

// secondaryLab is the server as the primary of three secondaries, which are
// configured as the operator's page says, on ports of their own.
type secondaryLab struct {
	*world
	page        map[string]string // the page's configurations, by the words before them
	keys        map[string]string // secrets by name
	mirrors     map[string]*http.Server
	secondaries []*secondary
	taken       *int // whole zones, by the test itself from the server
	tlsPort     int  // where zones are fetched over TLS; 0: they are not
	certificate *pairFiles
}

// secondary is one server that fetches zones.
type secondary struct {
	name      string // also of the process
	key       string
	port      int
	directory string
	program   []string
	configure func(*secondaryLab, *secondary)
	soonest   time.Duration // that it had a change of health
}

func (s *secondary) address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// The zones of the lab.
const (
	labZone    = "mirrors.test."
	labCatalog = "catalog.invalid."
)

// newSecondaryLab starts mirrors and prepares all else; nothing runs yet.
func newSecondaryLab(t *testing.T) *secondaryLab {
	t.Helper()
	need(t, "git", "nsd", "knotd", "named")
	// The path of a socket has no more than a hundred bytes, and tests' directories
	// have long names.
	directory, err := os.MkdirTemp("", "secondaries")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(directory); err != nil {
			t.Error(err)
		}
	})
	l := &secondaryLab{
		world:   &world{T: t, directory: directory, processes: map[string]*exec.Cmd{}},
		keys:    map[string]string{},
		mirrors: map[string]*http.Server{},
		taken:   new(int),
	}
	t.Cleanup(func() {
		for name := range l.processes {
			l.endGroup(name)
		}
	})
	for _, port := range []*int{&l.mirrorPort, &l.dnsPort, &l.adminPort} {
		*port = unusedPort(t)
	}
	l.program = builtProgram(t)
	l.config = filepath.Join(l.directory, "mirrorpool.yaml")
	l.checkout = filepath.Join(l.directory, "checkout")
	l.page = configurations(t, "../../docs/operator.md")
	l.makeKeys()
	l.commitRepository()
	for _, address := range mirrorAddresses {
		l.startTinyMirror(address)
	}
	t.Cleanup(func() {
		for _, server := range l.mirrors {
			server.Close()
		}
	})
	l.addSecondary("nsd", "transfer", (*secondaryLab).configureNSD)
	l.addSecondary("knot", "other", (*secondaryLab).configureKnot)
	l.addSecondary("bind", "transfer", (*secondaryLab).configureBIND)
	return l
}

func (l *secondaryLab) addSecondary(name, key string, configure func(*secondaryLab, *secondary)) {
	l.secondaries = append(l.secondaries, &secondary{
		name: name, key: key, port: unusedPort(l.T), directory: filepath.Join(l.directory, name), configure: configure,
	})
}

// startAll writes all configurations and starts the server and the secondaries.
func (l *secondaryLab) startAll(more string) {
	l.Helper()
	l.configureServer(more)
	l.runServer()
	for _, s := range l.secondaries {
		s.configure(l, s)
		l.startSecondary(s)
	}
}

func (l *secondaryLab) on(t *testing.T) *secondaryLab {
	step := *l
	step.world = l.world.on(t)
	return &step
}

// configurations are the indented blocks of a page by the last words before each.
func configurations(t *testing.T, page string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]string{}
	var before string
	var block []string
	for line := range strings.Lines(string(data) + "\nend\n") {
		line = strings.TrimRight(line, "\n")
		switch indented := strings.HasPrefix(line, "    "); {
		case indented:
			block = append(block, line[4:])
		case line == "":
		default:
			if block != nil {
				blocks[before] = strings.Join(block, "\n") + "\n"
			}
			before, block = line, nil
		}
	}
	return blocks
}

// onPage gives the page's configuration after the line that has these words.
func (l *secondaryLab) onPage(words string) string {
	l.Helper()
	for before, block := range l.page {
		if strings.Contains(before, words) {
			return block
		}
	}
	l.Fatalf("the operator's page has no configuration after %q", words)
	return ""
}

// put replaces what has to be there.
func (l *secondaryLab) put(text string, replacements ...string) string {
	l.Helper()
	for i := 0; i < len(replacements); i += 2 {
		if !strings.Contains(text, replacements[i]) {
			l.Fatalf("the operator's page does not hold %q any more:\n%s", replacements[i], text)
		}
		text = strings.ReplaceAll(text, replacements[i], replacements[i+1])
	}
	return text
}

// algorithms of the lab's keys.
var labAlgorithms = map[string]string{"transfer": "hmac-sha256", "other": "hmac-sha512"}

func (l *secondaryLab) makeKeys() {
	var file strings.Builder
	for _, name := range []string{"transfer", "other"} {
		secret := make([]byte, 32)
		_, _ = rand.Read(secret)
		l.keys[name] = base64.StdEncoding.EncodeToString(secret)
		fmt.Fprintf(&file, "key %q {\n\talgorithm %s;\n\tsecret %q;\n};\n", name, labAlgorithms[name], l.keys[name])
	}
	l.write("transfer.keys", file.String())
}

func (l *secondaryLab) commitRepository() {
	for _, file := range txtar.Parse([]byte(l.read("../../testdata/end-to-end/secondaries.txtar"))).Files {
		content := strings.ReplaceAll(string(file.Data), "MIRROR_PORT", fmt.Sprint(l.mirrorPort))
		l.write(filepath.Join("checkout", file.Name), content)
	}
	l.command("git", "init", "--quiet", "--initial-branch=main", l.checkout)
	l.commit("The mirrors")
}

// commit commits everything, where the server looks for it.
func (l *secondaryLab) commit(message string) string {
	l.Helper()
	l.commandIn(l.checkout, "git", "add", ".")
	l.commandIn(l.checkout, "git", "commit", "--quiet", "-m", message)
	return strings.TrimSpace(l.commandIn(l.checkout, "git", "rev-parse", "HEAD"))
}

// note commits other words into the zone, and gives the commit.
func (l *secondaryLab) note(words string) string {
	l.Helper()
	file := filepath.Join("checkout", "zones/mirrors.test.zone")
	zone := regexp.MustCompile(`(?m)^note.*$`).ReplaceAllString(l.read(filepath.Join(l.directory, file)), fmt.Sprintf("note\tIN TXT\t%q", words))
	l.write(file, zone)
	return l.commit(words)
}

// startTinyMirror answers on the mirrors' port of an address.
func (l *secondaryLab) startTinyMirror(address string) {
	l.Helper()
	listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", address, l.mirrorPort))
	if err != nil {
		l.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	go func() { _ = server.Serve(listener) }() // until it is closed
	l.mirrors[address] = server
}

// transferConfiguration is the lab's dns.transfer, as the page has it.
func (l *secondaryLab) transferConfiguration() string {
	var entries []string
	for _, s := range l.secondaries {
		entry := s.address()
		if s.name != "bind" { // which is told by the first key without being asked to
			entry += " key " + s.key
		}
		entries = append(entries, fmt.Sprintf("%q", entry))
	}
	text := l.put(l.onPage("In `mirrorpool.yaml` under `dns`:"),
		"/etc/mirrorpool/transfer.keys", filepath.Join(l.directory, "transfer.keys"),
		`["key transfer"]`, `["key transfer", "key other"]`,
		`["198.51.100.53:53 key transfer"]`, "["+strings.Join(entries, ", ")+"]")
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}

// configureServer writes the server's configuration; more is added to its dns.
func (l *secondaryLab) configureServer(more string) {
	l.write("mirrorpool.yaml", fmt.Sprintf(`
git:
  url: %[1]s
  branch: main
  poll: 1s
state_dir: %[2]s/state
dns:
  listen: ["127.0.0.1:%[3]d"]
%[5]s
%[6]s
http:
  listen: []
admin:
  listen: 127.0.0.1:%[4]d
`, l.checkout, l.directory, l.dnsPort, l.adminPort, l.transferConfiguration(), more))
}

// startSecondary starts one, and waits until it answers over TCP.
func (l *secondaryLab) startSecondary(s *secondary) {
	l.Helper()
	output, err := os.OpenFile(l.log(s.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		l.Fatal(err)
	}
	defer output.Close()
	command := exec.Command(s.program[0], s.program[1:]...)
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // NSD has children
	if err := command.Start(); err != nil {
		l.Fatal(err)
	}
	l.processes[s.name] = command
	l.secondaryEventually(s, "it listens", 20*time.Second, func() bool { return accepts("127.0.0.1", s.port) })
}

// endGroup ends a process with its children.
func (l *secondaryLab) endGroup(name string) {
	command := l.processes[name]
	if command == nil {
		return
	}
	delete(l.processes, name)
	_ = command.Process.Signal(syscall.SIGTERM)
	hurry := time.AfterFunc(10*time.Second, func() { _ = command.Process.Kill() })
	defer hurry.Stop()
	_ = command.Wait()
	if command.SysProcAttr != nil && command.SysProcAttr.Setpgid {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) // whoever is left
	}
}

// secondaryEventually waits for a condition and shows both logs if it does not come.
func (l *secondaryLab) secondaryEventually(s *secondary, what string, within time.Duration, condition func() bool) time.Duration {
	l.Helper()
	start := time.Now()
	for !condition() {
		if time.Since(start) > within {
			log, _ := os.ReadFile(l.log(s.name))
			server, _ := os.ReadFile(l.log("server"))
			l.Fatalf("%s: not within %s: %s\nits log:\n%s\nserver's log:\n%s\nsecondaries: %+v", s.name, within, what,
				lastLines(string(log), 30), lastLines(string(server), 15), l.states())
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(start)
}
