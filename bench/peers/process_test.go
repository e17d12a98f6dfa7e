//go:build linux

package peers_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mirrorpool/testport"
)

const (
	// startBound is how long a start may take: the first one of a geo-aware peer
	// compiles geodb and runs it, on a machine that is busy.
	startBound = 2 * time.Minute
	// endBound is how long a server may take to end; YADIFA needs over 2 s.
	endBound = 20 * time.Second
)

// A server is a peer's server while it runs.
type server struct {
	address   string
	directory string
	command   *exec.Cmd
	said      *bytes.Buffer // to be read after ended is closed
	ended     chan struct{}
	err       error // of its end, to be read after ended is closed
}

// start runs a peer until the end of the test. It skips the test where the
// server is not installed.
func start(t *testing.T, name string) *server {
	t.Helper()
	bash(t)
	for try := 1; ; try++ {
		port := int(testport.Unused(t))
		s := &server{
			address:   net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
			directory: filepath.Join(t.TempDir(), "work"),
			said:      &bytes.Buffer{},
			ended:     make(chan struct{}),
		}
		s.command = exec.Command("./"+name+".sh", strconv.Itoa(port), s.directory, "1")
		s.command.Stdout, s.command.Stderr = s.said, s.said
		// A process group of its own tells which processes come of it.
		s.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		s.command.WaitDelay = endBound
		if err := s.command.Start(); err != nil {
			t.Fatal(err)
		}
		go func() {
			s.err = s.command.Wait()
			close(s.ended)
		}()
		t.Cleanup(func() { s.kill(t) })
		if s.ready() {
			return s
		}
		s.kill(t)
		if exitStatus(s.err) == exitNotInstalled {
			if os.Getenv("CI") == "true" && slices.Contains(always, name) {
				t.Fatal(s.said)
			}
			t.Skip(strings.TrimSpace(s.said.String()))
		}
		// Another program may have taken the port between the look and the start.
		if try == 3 {
			t.Fatalf("%s does not answer: %v: %s", name, s.err, s.said)
		}
	}
}

// ready waits for a good answer over UDP and over TCP, for gdnsd listens for the
// one before the other. It tells whether they came before the server ended or
// the time was over.
func (s *server) ready() bool {
	deadline := time.After(startBound)
	waitFor := []string{"udp", "tcp"}
	for {
		if answer, err := ask(question("dl", "A"), waitFor[0], s.address); err == nil && len(answer.Answer) > 0 {
			if waitFor = waitFor[1:]; len(waitFor) == 0 {
				return true
			}
			continue
		}
		select {
		case <-s.ended:
			return false
		case <-deadline:
			return false
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends the server as the benchmark does, by a signal to its first process
// alone, and checks that it ends, and all that came of it with it.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.ended:
	case <-time.After(endBound):
		t.Fatalf("it runs on %v after SIGTERM", endBound)
	}
	status := s.command.ProcessState.Sys().(syscall.WaitStatus)
	if !(status.Exited() && status.ExitStatus() == 0) && !(status.Signaled() && status.Signal() == syscall.SIGTERM) {
		t.Errorf("it ended with %v after SIGTERM: %s", s.err, s.said)
	}
	for deadline := time.Now().Add(endBound); len(s.processes(t)) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("processes %v outlive it", s.processes(t))
		}
	}
}

// kill makes sure that nothing of the server runs on.
func (s *server) kill(t *testing.T) {
	if err := syscall.Kill(-s.command.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Errorf("killing process group %d: %v", s.command.Process.Pid, err)
	}
	<-s.ended
}

// processes are the ids of the processes of the server that have not ended.
func (s *server) processes(t *testing.T) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var ids []int
	for _, entry := range entries {
		id, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id))
		if err != nil {
			continue // it has ended
		}
		// After the program's name in parentheses: state, parent, process group.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if fields[0] != "Z" && fields[2] == strconv.Itoa(s.command.Process.Pid) {
			ids = append(ids, id)
		}
	}
	return ids
}

// ports are the addresses that the server receives at, each once, such as
// "udp 127.0.0.1:5300".
func (s *server) ports(t *testing.T) []string {
	t.Helper()
	sockets := map[string]bool{}
	for _, id := range s.processes(t) {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", id))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			target, err := os.Readlink(file)
			if err != nil {
				continue // it has been closed
			}
			if inode, ok := strings.CutPrefix(target, "socket:["); ok {
				sockets[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	var ports []string
	for _, table := range []string{"udp", "udp6", "tcp", "tcp6"} {
		text, err := os.ReadFile("/proc/net/" + table)
		if errors.Is(err, os.ErrNotExist) {
			continue // a machine without IPv6
		}
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			// sl, local address, remote address, state, ..., inode
			fields := strings.Fields(line)
			const tcpListens, udpUnconnected = "0A", "07"
			if len(fields) < 10 || !sockets[fields[9]] || fields[3] != tcpListens && fields[3] != udpUnconnected {
				continue
			}
			ports = append(ports, table+" "+readable(t, fields[1]))
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// readable turns an address of /proc/net into the usual form, where it is one
// of 127.0.0.1.
func readable(t *testing.T, hex string) string {
	t.Helper()
	host, port, _ := strings.Cut(hex, ":")
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		t.Fatal(err)
	}
	if host == "0100007F" {
		host = "127.0.0.1"
	}
	return fmt.Sprintf("%s:%d", host, number)
}
