//go:build e2e

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/testport"
)

// programVariable tells the tests where the program is that they are to run.
const programVariable = "MIRRORPOOL_TEST_PROGRAM"

// builtProgram is the program: the one named in the environment, or it is built now.
func builtProgram(t *testing.T) string {
	t.Helper()
	if program := os.Getenv(programVariable); program != "" {
		return program
	}
	program := filepath.Join(t.TempDir(), "mirrorpool")
	(&world{T: t}).command("go", "build", "-o", program, ".")
	return program
}

// TestEndToEnd runs the built program between real peers: nginx as mirrors,
// sshd in front of the repository, unbound as the resolver that clients ask,
// curl and dnsperf as clients. Its steps build on each other.
func TestEndToEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startMirrors()
	w.startRepository()
	w.startServer()
	w.startResolver()

	t.Run("the pool resolves through unbound", func(t *testing.T) { w.on(t).resolves() })
	t.Run("shares are those configured", func(t *testing.T) { w.on(t).sharesHold() })
	t.Run("curl is redirected", func(t *testing.T) { w.on(t).redirects() })
	t.Run("explain names everyone", func(t *testing.T) { w.on(t).explains() })
	t.Run("a killed mirror leaves and comes back", func(t *testing.T) { w.on(t).mirrorFails() })
	t.Run("weight 0 takes a member out", func(t *testing.T) { w.on(t).weightZero() })
	t.Run("broken JSON changes nothing", func(t *testing.T) { w.on(t).brokenPush() })
	t.Run("SIGHUP reads the configuration", func(t *testing.T) { w.on(t).reload() })
	t.Run("pushes under load lose no question", func(t *testing.T) { w.on(t).load() })
	t.Run("the remote gone, a restart serves the last good commit", func(t *testing.T) { w.on(t).remoteGone() })
}

// world is everything that the test started.
type world struct {
	*testing.T
	directory  string
	program    string
	config     string
	checkout   string
	mirrorPort int
	dnsPort    int
	httpPort   int
	adminPort  int
	sshPort    int
	resolver   int
	// processes are those that run now, by name; they are shared by all steps.
	processes map[string]*exec.Cmd
}

// on makes a step's failures those of its own subtest.
func (w *world) on(t *testing.T) *world {
	step := *w
	step.T = t
	return &step
}

func newWorld(t *testing.T) *world {
	need(t, "git", "ssh", "ssh-keygen", "/usr/sbin/sshd", "/usr/sbin/nginx", "/usr/sbin/unbound", "dnsperf", "curl")
	w := &world{T: t, directory: t.TempDir(), processes: map[string]*exec.Cmd{}}
	t.Cleanup(func() {
		for name := range w.processes {
			w.end(name, syscall.SIGKILL)
		}
	})
	w.program = builtProgram(t)
	w.checkout = filepath.Join(w.directory, "checkout")
	w.config = filepath.Join(w.directory, "mirrorpool.yaml")
	for _, port := range []*int{&w.mirrorPort, &w.dnsPort, &w.httpPort, &w.adminPort, &w.sshPort, &w.resolver} {
		*port = unusedPort(t)
	}
	return w
}

func unusedPort(t *testing.T) int {
	t.Helper()
	return int(testport.Unused(t))
}

// command runs a program to its end and gives what it printed.
func (w *world) command(name string, arguments ...string) string {
	w.Helper()
	return w.commandIn("", name, arguments...)
}

func (w *world) commandIn(directory, name string, arguments ...string) string {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, name, arguments...)
	command.Dir = directory
	command.Env = append(gitEnvironment(),
		"GIT_AUTHOR_NAME=Test", "GIT_AUTHOR_EMAIL=test@localhost", "GIT_COMMITTER_NAME=Test", "GIT_COMMITTER_EMAIL=test@localhost",
		"GIT_SSH_COMMAND="+w.sshCommand())
	output, err := command.CombinedOutput()
	if err != nil {
		w.Fatalf("%s %s: %v\n%s", name, strings.Join(arguments, " "), err, output)
	}
	return string(output)
}

func (w *world) sshCommand() string {
	return fmt.Sprintf("ssh -F /dev/null -o IdentityFile=%s -o UserKnownHostsFile=%s -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes",
		filepath.Join(w.directory, "id_ed25519"), filepath.Join(w.directory, "known_hosts"))
}

// start runs a program in the background under a name; it is killed at the end
// of the test.
func (w *world) start(name, program string, arguments ...string) {
	w.Helper()
	output, err := os.OpenFile(w.log(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		w.Fatal(err)
	}
	defer output.Close()
	command := exec.Command(program, arguments...)
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		w.Fatal(err)
	}
	w.processes[name] = command
}

// log is where a process of that name writes.
func (w *world) log(name string) string { return filepath.Join(w.directory, name+".log") }

// end stops a process by a signal, waits for it and gives its exit code.
func (w *world) end(name string, signal os.Signal) int {
	command := w.processes[name]
	delete(w.processes, name)
	_ = command.Process.Signal(signal)
	_ = command.Wait()
	return command.ProcessState.ExitCode()
}

// eventually waits for a condition that real processes bring about.
func (w *world) eventually(what string, within time.Duration, condition func() bool) {
	w.Helper()
	deadline := time.Now().Add(within)
	for !condition() {
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(w.log("server"))
			w.Fatalf("not within %s: %s\nserver's log:\n%s", within, what, lastLines(string(log), 40))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// shortly is within what takes a second or two has to be there on a busy machine.
const shortly = 15 * time.Second

func lastLines(text string, count int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}

func (w *world) write(name, content string) string {
	w.Helper()
	path := filepath.Join(w.directory, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.Fatal(err)
	}
	return path
}

func (w *world) read(path string) string {
	w.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		w.Fatal(err)
	}
	return string(data)
}

// ask sends one question over UDP.
func (w *world) ask(port int, name string, kind uint16) *dns.Msg {
	w.Helper()
	question := new(dns.Msg)
	question.SetQuestion(name, kind)
	reply, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(question, fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		w.Fatalf("asking for %s: %v", name, err)
	}
	return reply
}

// addresses are the A or AAAA records of a reply, in order.
func addresses(reply *dns.Msg) []string {
	var list []string
	for _, record := range reply.Answer {
		switch record := record.(type) {
		case *dns.A:
			list = append(list, record.A.String())
		case *dns.AAAA:
			list = append(list, record.AAAA.String())
		}
	}
	return list
}

// given are all addresses that twenty answers of the server hold.
func (w *world) given(kind uint16) []string {
	w.Helper()
	seen := map[string]bool{}
	for range 20 {
		for _, address := range addresses(w.ask(w.dnsPort, "dl.mirrors.test.", kind)) {
			seen[address] = true
		}
	}
	return slices.Sorted(mapKeys(seen))
}

func mapKeys(set map[string]bool) func(func(string) bool) {
	return func(yield func(string) bool) {
		for key := range set {
			if !yield(key) {
				return
			}
		}
	}
}

func (w *world) get(path string) string {
	w.Helper()
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", w.adminPort, path))
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}

// served is the commit that the server's state names.
func (w *world) served() string {
	w.Helper()
	var state struct {
		Commit string `json:"commit"`
	}
	if body := w.get("/api/v1/state"); body != "" {
		if err := json.Unmarshal([]byte(body), &state); err != nil {
			w.Fatal(err)
		}
	}
	return state.Commit
}
