package gitsource

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"mirrorpool/testport"
)

// process is a program that the test has started.
type process struct {
	command *exec.Cmd
	output  *lastWords
}

func start(t *testing.T, program string, arguments ...string) *process {
	t.Helper()
	p := &process{command: exec.Command(program, arguments...), output: new(lastWords)}
	p.command.Env = gitEnvironment()
	p.command.Stdout, p.command.Stderr = p.output, p.output
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.command.WaitDelay = time.Second
	if err := p.command.Start(); err != nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL)
		_ = p.command.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(program), p.output)
		}
	})
	return p
}

func awaitPort(t *testing.T, port int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			_ = c.Close()
			return
		}
	}
	t.Fatalf("nobody listens on port %d", port)
}

// keyPair writes a new ed25519 key for OpenSSH and returns its public half.
func keyPair(t *testing.T, file string) ssh.PublicKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, string(pem.EncodeToMemory(block)), 0o600)
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sshServer is a real sshd that lets one key in.
type sshServer struct {
	port             int
	directory        string
	hostKey          ssh.PublicKey
	key, knownHosts  string // files for a Config
	user, authorized string
}

func newSSHServer(t *testing.T) *sshServer {
	t.Helper()
	program := need(t, "sshd", "openssh-server")
	// Where root runs it, sshd wants its directory for separated privileges.
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d := t.TempDir()
	s := &sshServer{
		port: int(testport.Unused(t)), directory: d, key: filepath.Join(d, "id"), knownHosts: filepath.Join(d, "known_hosts"),
		authorized: filepath.Join(d, "authorized_keys"), user: run(t, "", "id", "-un"),
	}
	s.hostKey = keyPair(t, filepath.Join(d, "host_key"))
	write(t, s.authorized, string(ssh.MarshalAuthorizedKey(keyPair(t, s.key))), 0o600)
	s.trust(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), s.hostKey)
	config := filepath.Join(d, "sshd_config")
	write(t, config, fmt.Sprintf(`
Port %d
ListenAddress 127.0.0.1
HostKey %s
AuthorizedKeysFile %s
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PermitUserEnvironment no
`, s.port, filepath.Join(d, "host_key"), s.authorized), 0o600)
	start(t, program, "-D", "-e", "-f", config)
	awaitPort(t, s.port)
	return s
}

// trust makes one host key the only known one.
func (s *sshServer) trust(t *testing.T, host string, key ssh.PublicKey) {
	t.Helper()
	write(t, s.knownHosts, knownhosts.Line([]string{knownhosts.Normalize(host)}, key)+"\n", 0o600)
}

func (s *sshServer) config(path string) Config {
	return Config{
		URL:        fmt.Sprintf("ssh://%s@127.0.0.1:%d%s", s.user, s.port, path),
		Branch:     "main",
		SSHKey:     s.key,
		KnownHosts: s.knownHosts,
	}
}

// socksServer is a SOCKS5 proxy that leads every name to one address.
type socksServer struct {
	address string
	mutex   sync.Mutex
	asked   []string // "name host:port" or "address host:port"
	users   []string
}

func newSOCKSServer(t *testing.T, target string) *socksServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &socksServer{address: l.Addr().String()}
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); _ = l.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer context.AfterFunc(ctx, func() { _ = c.Close() })()
				defer func() { _ = c.Close() }()
				s.serve(ctx, c, target)
			})
		}
	})
	return s
}

func (s *socksServer) note(list *[]string, entry string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	*list = append(*list, entry)
}

func (s *socksServer) requests() ([]string, []string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return append([]string(nil), s.asked...), append([]string(nil), s.users...)
}

func (s *socksServer) serve(ctx context.Context, c net.Conn, target string) {
	read := func(n int) []byte {
		b := make([]byte, n)
		_, _ = io.ReadFull(c, b)
		return b
	}
	methods := read(int(read(2)[1]))
	if bytes.Contains(methods, []byte{2}) {
		_, _ = c.Write([]byte{5, 2})
		user := string(read(int(read(2)[1])))
		password := string(read(int(read(1)[0])))
		s.note(&s.users, user+":"+password)
		_, _ = c.Write([]byte{1, 0})
	} else {
		_, _ = c.Write([]byte{5, 0})
	}
	var host, kind string
	switch read(4)[3] {
	case 1:
		kind, host = "address", net.IP(read(4)).String()
	case 3:
		kind, host = "name", string(read(int(read(1)[0])))
	default:
		return
	}
	port := read(2)
	s.note(&s.asked, fmt.Sprintf("%s %s:%d", kind, host, int(port[0])<<8|int(port[1])))
	onward, err := net.Dial("tcp", target)
	if err != nil {
		_, _ = c.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	defer context.AfterFunc(ctx, func() { _ = onward.Close() })()
	defer func() { _ = onward.Close() }()
	_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	go func() { _, _ = io.Copy(onward, c); _ = onward.(*net.TCPConn).CloseWrite() }()
	_, _ = io.Copy(c, onward)
}

// silentServer takes connections and says nothing, or only the greeting once
// it was spoken to. It reports how many of its connections were closed by the other side.
func silentServer(t *testing.T, greeting string) (address string, closed func() int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mutex sync.Mutex
	var count int
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); _ = l.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer context.AfterFunc(ctx, func() { _ = c.Close() })()
				_, _ = c.Read(make([]byte, 1))
				_, _ = io.WriteString(c, greeting)
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
				mutex.Lock()
				defer mutex.Unlock()
				count++
			})
		}
	})
	return l.Addr().String(), func() int {
		mutex.Lock()
		defer mutex.Unlock()
		return count
	}
}
