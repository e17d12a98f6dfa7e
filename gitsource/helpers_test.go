package gitsource

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// need skips the test without the program, except where it has to be there.
func need(t *testing.T, program, debianPackage string) string {
	t.Helper()
	found, err := exec.LookPath(program)
	if err != nil {
		found = filepath.Join("/usr/sbin", program)
		_, err = os.Stat(found)
	}
	switch {
	case err == nil:
		return found
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is missing: install the package %s", program, debianPackage)
	}
	t.Skipf("%s is missing: install the package %s", program, debianPackage)
	return ""
}

// gitEnvironment keeps the user's configuration out.
func gitEnvironment() []string {
	return append(os.Environ(),
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "HOME=/nonexistent", "LC_ALL=C",
		"GIT_AUTHOR_NAME=Ada Author", "GIT_AUTHOR_EMAIL=ada@test.invalid", "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z",
		"GIT_COMMITTER_NAME=Carl Committer", "GIT_COMMITTER_EMAIL=carl@test.invalid", "GIT_COMMITTER_DATE=2026-02-03T04:05:06Z",
	)
}

// repository is a bare repository made with the git program.
type repository struct {
	t    *testing.T
	path string
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	need(t, "git", "git")
	t.Setenv("GIT_CONFIG_GLOBAL", "/dev/null")
	t.Setenv("GIT_CONFIG_SYSTEM", "/dev/null")
	r := &repository{t: t, path: filepath.Join(t.TempDir(), "mirrors.git")}
	run(t, "", "git", "init", "-q", "--bare", "-b", "main", r.path)
	return r
}

func run(t *testing.T, input, program string, arguments ...string) string {
	t.Helper()
	command := exec.Command(program, arguments...)
	command.Env = gitEnvironment()
	command.Stdin = strings.NewReader(input)
	var complaints bytes.Buffer
	command.Stderr = &complaints
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(arguments, " "), err, complaints.String())
	}
	return strings.TrimSpace(string(out))
}

func (r *repository) git(arguments ...string) string {
	r.t.Helper()
	return run(r.t, "", "git", append([]string{"-C", r.path}, arguments...)...)
}

// blob stores a file's content and returns its name.
func (r *repository) blob(content string) string {
	r.t.Helper()
	return run(r.t, content, "git", "-C", r.path, "hash-object", "-w", "--stdin")
}

// tree stores a directory from lines such as "100644 blob NAME\tfile".
func (r *repository) tree(lines ...string) string {
	r.t.Helper()
	return run(r.t, strings.Join(lines, "\x00")+"\x00", "git", "-C", r.path, "mktree", "-z", "--missing")
}

// commitTree makes a tree the head of a branch.
func (r *repository) commitTree(branch, tree, message string, parents ...string) string {
	r.t.Helper()
	arguments := []string{"commit-tree", "-m", message, tree}
	for _, parent := range parents {
		arguments = append(arguments, "-p", parent)
	}
	commit := r.git(arguments...)
	r.git("update-ref", "refs/heads/"+branch, commit)
	return commit
}

// commit makes the files, which may lie in directories, the head of a branch.
func (r *repository) commit(branch string, files map[string]string) string {
	r.t.Helper()
	work := r.t.TempDir()
	for name, content := range files {
		full := filepath.Join(work, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	index := filepath.Join(r.t.TempDir(), "index")
	in := func(arguments ...string) string {
		command := exec.Command("git", append([]string{"--git-dir", r.path, "--work-tree", work}, arguments...)...)
		command.Env = append(gitEnvironment(), "GIT_INDEX_FILE="+index)
		out, err := command.Output()
		if err != nil {
			r.t.Fatalf("git %v: %v", arguments, err)
		}
		return strings.TrimSpace(string(out))
	}
	in("add", "-A")
	return r.commitTree(branch, in("write-tree"), "Change the pool\n\nWith a reason.")
}

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

// freePort is one that nobody listens on now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func awaitPort(t *testing.T, port int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			_ = c.Close()
			return
		}
	}
	t.Fatalf("nobody listens on port %d", port)
}

// gitDaemon serves a repository with git:// and returns its URL.
func (r *repository) gitDaemon() string {
	r.t.Helper()
	port := freePort(r.t)
	start(r.t, "git", "daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1",
		fmt.Sprintf("--port=%d", port), "--base-path="+filepath.Dir(r.path), filepath.Dir(r.path))
	awaitPort(r.t, port)
	return fmt.Sprintf("git://127.0.0.1:%d/%s", port, filepath.Base(r.path))
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

func write(t *testing.T, file, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
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
		port: freePort(t), directory: d, key: filepath.Join(d, "id"), knownHosts: filepath.Join(d, "known_hosts"),
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

// silentServer takes connections and says nothing, or only the greeting.
// It reports how many of its connections were closed by the other side.
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

// lookAt makes one look at a remote, knowing the given commits.
func lookAt(t *testing.T, config Config, knownCommits ...string) (string, *content, error) {
	t.Helper()
	config.StateDir = "/nonexistent"
	if err := config.Validate(); err != nil {
		t.Fatalf("the configuration is refused: %v", err)
	}
	if config.Timeout == 0 {
		config.Timeout = 30 * time.Second
	}
	r, err := newRemote(config.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), config.Timeout)
	defer cancel()
	return r.look(ctx, func(commit string) bool {
		for _, known := range knownCommits {
			if commit == known {
				return true
			}
		}
		return false
	})
}

// filesOf lists a file system as name -> content.
func filesOf(t *testing.T, files fs.FS) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			t.Errorf("%s is not a regular file", name)
		}
		text, err := fs.ReadFile(files, name)
		found[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func mustRevision(t *testing.T, c *content) *Revision {
	t.Helper()
	if c == nil {
		t.Fatal("nothing was fetched")
	}
	r, err := c.revision()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wantError checks an error's text, and that it is each of the given errors.
func wantError(t *testing.T, err error, texts []string, kinds ...error) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q:\n%s", text, err)
		}
	}
	for _, kind := range kinds {
		if !isError(err, kind) {
			t.Errorf("the error is not %q:\n%s", kind, err)
		}
	}
}
