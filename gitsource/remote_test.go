package gitsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
)

func isError(err, kind error) bool { return errors.Is(err, kind) }

var poolFiles = map[string]string{
	"mirrors.json":            `{"mirrors": []}`,
	"zones/example.test.zone": "@ IN SOA ns1 hostmaster 1 2 3 4 5\n",
	"a/b/c/deep":              strings.Repeat("deep ", 1000),
}

// followed checks that a remote's branch is seen, fetched, and not fetched
// again.
func followed(t *testing.T, r *repository, config Config) {
	t.Helper()
	for _, files := range []map[string]string{poolFiles, {"mirrors.json": "[]"}} {
		want := r.commit("main", files)
		head, found, err := lookAt(t, config)
		if err != nil {
			t.Fatal(err)
		}
		revision := mustRevision(t, found)
		if head != want || revision.Commit != want {
			t.Errorf("head %s, commit %s, want %s", head, revision.Commit, want)
		}
		if diff := cmp.Diff(files, filesOf(t, revision.Files)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
		if head, found, err = lookAt(t, config, want); err != nil || head != want || found != nil {
			t.Errorf("a look at a known head: %s, fetched %v, error %v", head, found != nil, err)
		}
	}
}

func TestLocalRemote(t *testing.T) {
	r := newRepository(t)
	for name, url := range map[string]string{"path": r.path, "URL": "file://" + r.path} {
		t.Run(name, func(t *testing.T) { followed(t, r, Config{URL: url, Branch: "main"}) })
	}
	t.Run("revision", func(t *testing.T) {
		commit := r.commit("main", poolFiles)
		_, found, err := lookAt(t, Config{URL: r.path})
		if err != nil {
			t.Fatal(err)
		}
		revision := mustRevision(t, found)
		names := make([]string, 0, len(poolFiles))
		for name := range poolFiles {
			names = append(names, name)
		}
		if err := fstest.TestFS(revision.Files, names...); err != nil {
			t.Error(err)
		}
		revision.Files = nil
		want := &Revision{
			Commit:  commit,
			Time:    time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC),
			Author:  "Ada Author <ada@test.invalid>",
			Subject: "Change the pool",
		}
		if diff := cmp.Diff(want, revision); diff != "" {
			t.Errorf("revision (-want +got):\n%s", diff)
		}
	})
}

// A pack of many similar files has deltas in it.
func TestPackWithDeltas(t *testing.T) {
	r := newRepository(t)
	files := make(map[string]string)
	var text strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, "line %d of a long file\n", i*i)
	}
	for i := range 50 {
		files[fmt.Sprintf("file%d", i)] = text.String() + strconv.Itoa(i)
	}
	r.commit("main", files)
	r.git("repack", "-adfq", "--depth=20", "--window=30")
	_, found, err := lookAt(t, Config{URL: r.path})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(files, filesOf(t, mustRevision(t, found).Files)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestGitDaemonRemote(t *testing.T) {
	r := newRepository(t)
	url := r.gitDaemon()
	followed(t, r, Config{URL: url, Branch: "main"})
	_, _, err := lookAt(t, Config{URL: url + "nope", Branch: "main"})
	wantError(t, err, []string{"mirrors.gitnope"})
}

func TestRewoundBranchIsFollowed(t *testing.T) {
	r := newRepository(t)
	config := Config{URL: r.gitDaemon(), Branch: "main"}
	first := r.commit("main", map[string]string{"file": "1"})
	second := r.commit("main", map[string]string{"file": "2"})
	for _, want := range []string{second, first} {
		r.git("update-ref", "refs/heads/main", want)
		_, found, err := lookAt(t, config)
		if err != nil {
			t.Fatal(err)
		}
		if got := mustRevision(t, found).Commit; got != want {
			t.Errorf("fetched %s, want %s", got, want)
		}
	}
}

func TestBranches(t *testing.T) {
	r := newRepository(t)
	_, _, err := lookAt(t, Config{URL: r.path, Branch: "main"})
	wantError(t, err, []string{r.path, "is empty", "push a commit to main"}, ErrRepositoryEmpty)
	_, _, err = lookAt(t, Config{URL: r.gitDaemon()})
	wantError(t, err, []string{"is empty", "default branch"}, ErrRepositoryEmpty)

	for i := range 8 {
		r.commit(fmt.Sprintf("topic%d", i), poolFiles)
	}
	_, _, err = lookAt(t, Config{URL: r.path, Branch: "main"})
	wantError(t, err, []string{`no branch "main"`, "topic0, topic1, topic2, topic3, topic4 and 3 more"}, ErrBranchMissing)
	_, _, err = lookAt(t, Config{URL: r.path})
	wantError(t, err, []string{"HEAD", "topic0"}, ErrBranchMissing)
	if _, found, err := lookAt(t, Config{URL: r.path, Branch: "topic3"}); err != nil || found == nil {
		t.Errorf("a branch that is there: %v", err)
	}
}

func TestLocalTroubles(t *testing.T) {
	r := newRepository(t)
	r.commit("main", poolFiles)
	t.Run("nothing there", func(t *testing.T) {
		_, _, err := lookAt(t, Config{URL: filepath.Dir(r.path) + "/other.git"})
		wantError(t, err, []string{"other.git", "no such file"}, fs.ErrNotExist)
	})
	t.Run("no repository", func(t *testing.T) {
		_, _, err := lookAt(t, Config{URL: t.TempDir()})
		wantError(t, err, []string{"no Git repository at"})
	})
	t.Run("SHA-256", func(t *testing.T) {
		other := &repository{t: t, path: filepath.Join(t.TempDir(), "other.git")}
		run(t, "", "git", "init", "-q", "--bare", "--object-format=sha256", "-b", "main", other.path)
		other.commit("main", poolFiles)
		_, _, err := lookAt(t, Config{URL: other.path})
		wantError(t, err, []string{"SHA-256", "git init --object-format=sha1"})
	})
	t.Run("no git program", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		_, _, err := lookAt(t, Config{URL: r.path})
		wantError(t, err, []string{"git program", "install the package git"})
	})
	t.Run("other owner", func(t *testing.T) {
		if os.Getuid() != 0 {
			t.Skip("only root can give files away")
		}
		err := filepath.WalkDir(r.path, func(name string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(name, 65534, 65534))
		})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = lookAt(t, Config{URL: r.path})
		wantError(t, err, []string{"another user", "safe.directory " + r.path}, ErrAuthentication)
	})
}

// A local repository's configuration must not make us run anything.
func TestLocalRepositoryRunsNothing(t *testing.T) {
	r := newRepository(t)
	r.commit("main", poolFiles)
	mark := filepath.Join(t.TempDir(), "mark")
	script := filepath.Join(t.TempDir(), "script")
	write(t, script, "#!/bin/sh\ntouch "+mark+"\nexit 1\n", 0o755)
	for _, key := range []string{"uploadpack.packObjectsHook", "core.alternateRefsCommand", "core.fsmonitor", "core.sshCommand", "core.gitProxy"} {
		r.git("config", key, script)
	}
	for _, hook := range []string{"post-upload-pack", "pre-upload-pack", "reference-transaction"} {
		write(t, filepath.Join(r.path, "hooks", hook), "#!/bin/sh\ntouch "+mark+"\n", 0o755)
	}
	if _, _, err := lookAt(t, Config{URL: r.path}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a command of the repository's was run")
	}
}

func TestSSHRemote(t *testing.T) {
	r := newRepository(t)
	s := newSSHServer(t)
	followed(t, r, s.config(r.path))

	t.Run("nothing there", func(t *testing.T) {
		_, _, err := lookAt(t, s.config("/nonexistent.git"))
		wantError(t, err, []string{"no Git repository at /nonexistent.git"})
	})
	t.Run("path that a shell would read", func(t *testing.T) {
		odd := filepath.Join(t.TempDir(), `it's $(odd) !x`)
		run(t, "", "git", "clone", "-q", "--bare", r.path, odd)
		config := s.config("")
		config.URL += strings.NewReplacer(" ", "%20").Replace(odd)
		if _, _, err := lookAt(t, config); err != nil {
			t.Error(err)
		}
	})
	t.Run("too large", func(t *testing.T) {
		random := make([]byte, 3<<20)
		_, _ = rand.NewChaCha8([32]byte{}).Read(random)
		r.commit("random", map[string]string{"random": string(random)})
		config := s.config(r.path)
		config.Branch, config.MaxBytes = "random", 1<<20
		_, _, err := lookAt(t, config)
		wantError(t, err, []string{"sent more than 1 MiB"}, ErrTooLarge)
	})
	t.Run("key not let in", func(t *testing.T) {
		config := s.config(r.path)
		config.SSHKey = filepath.Join(t.TempDir(), "stranger")
		stranger := keyPair(t, config.SSHKey)
		_, _, err := lookAt(t, config)
		wantError(t, err, []string{config.SSHKey, ssh.FingerprintSHA256(stranger), s.user, "authorized_keys"}, ErrAuthentication)
	})
}

func TestSSHHostKeys(t *testing.T) {
	r := newRepository(t)
	r.commit("main", poolFiles)
	s := newSSHServer(t)
	here := net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
	fingerprint := ssh.FingerprintSHA256(s.hostKey)
	other := keyPair(t, filepath.Join(t.TempDir(), "other"))
	config := s.config(r.path)

	t.Run("unknown", func(t *testing.T) {
		for _, known := range []string{"[127.0.0.1]:1", "127.0.0.1", "127.0.0.2"} {
			s.trust(t, known, s.hostKey)
			_, _, err := lookAt(t, config)
			wantError(t, err, []string{
				"host key of [" + strings.Replace(here, ":", "]:", 1) + " is not in " + s.knownHosts,
				fmt.Sprintf("ssh-keyscan -p %d 127.0.0.1 >> %s", s.port, s.knownHosts), fingerprint,
			}, ErrHostKeyUnknown)
			if errors.Is(err, ErrHostKeyChanged) {
				t.Error("an unknown key is taken for a changed one")
			}
		}
	})
	t.Run("changed", func(t *testing.T) {
		s.trust(t, here, other)
		_, _, err := lookAt(t, config)
		wantError(t, err, []string{"HAS CHANGED", fingerprint, s.knownHosts + ":1"}, ErrHostKeyChanged)
	})
	t.Run("of another kind", func(t *testing.T) {
		rsa := "ecdsa-sha2-nistp256 " + ecdsaKey(t)
		write(t, s.knownHosts, "["+strings.Replace(here, ":", "]:", 1)+" "+rsa+"\n", 0o600)
		_, _, err := lookAt(t, config)
		wantError(t, err, []string{"HAS CHANGED", "ecdsa-sha2-nistp256"}, ErrHostKeyChanged)
	})
	t.Run("revoked", func(t *testing.T) {
		s.trust(t, here, s.hostKey)
		line, err := os.ReadFile(s.knownHosts)
		if err != nil {
			t.Fatal(err)
		}
		write(t, s.knownHosts, string(line)+"@revoked * "+string(ssh.MarshalAuthorizedKey(s.hostKey)), 0o600)
		_, _, err = lookAt(t, config)
		wantError(t, err, []string{"IS REVOKED", fingerprint, s.knownHosts + ":2"}, ErrHostKeyChanged)
	})
	t.Run("file missing", func(t *testing.T) {
		config := config
		config.KnownHosts = "/nonexistent/known_hosts"
		_, _, err := lookAt(t, config)
		wantError(t, err, []string{"/nonexistent/known_hosts"}, fs.ErrNotExist)
	})
	t.Run("file damaged", func(t *testing.T) {
		write(t, s.knownHosts, "\nhost ssh-ed25519 AAAA!\n", 0o600)
		_, _, err := lookAt(t, config)
		wantError(t, err, []string{s.knownHosts + ":2"})
	})
}

func TestSSHKeyFile(t *testing.T) {
	directory := t.TempDir()
	good := filepath.Join(directory, "good")
	public := keyPair(t, good)
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	locked := filepath.Join(directory, "locked")
	write(t, locked, string(text), 0o600)
	need(t, "ssh-keygen", "openssh-client")
	run(t, "", "ssh-keygen", "-q", "-p", "-P", "", "-N", "secret word", "-f", locked)
	tests := []struct {
		name, content string
		mode          os.FileMode
		says          []string
	}{
		{"readable by the group", string(text), 0o640, []string{"chmod 600", "0640"}},
		{"readable by all", string(text), 0o604, []string{"chmod 600", "0604"}},
		{"public key", string(ssh.MarshalAuthorizedKey(public)), 0o600, []string{"public key", "private one"}},
		{"no key", "hello", 0o600, []string{"not a private key"}},
		{"empty", "", 0o600, []string{"not a private key"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(directory, "key")
			write(t, file, test.content, test.mode)
			_, err := readKey(file)
			wantError(t, err, append(test.says, file))
		})
	}
	_, err = readKey(locked)
	wantError(t, err, []string{"has a passphrase", "ssh-keygen -p -N '' -f " + locked})
	_, err = readKey(directory + "/none")
	wantError(t, err, []string{directory + "/none"}, fs.ErrNotExist)
	_, err = readKey(directory)
	wantError(t, err, []string{"not a regular file"})
	if _, err := readKey(good); err != nil {
		t.Error(err)
	}
}

const onion = "ytvgvqwbpz4mzzdxzc7pzdxzc7pzdxzc7pzdxzc7pzdxzc7pzdxzcyd.onion"

func TestProxyResolvesTheName(t *testing.T) {
	r := newRepository(t)
	s := newSSHServer(t)
	s.trust(t, onion, s.hostKey)
	proxy := newSOCKSServer(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)))
	// What must not leak in: a proxy of the environment, and one of its kind
	// that goes unused; a host alias and a proxy of the user's SSH settings.
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(home, ".ssh", "config"), "Host *\n  Hostname 127.0.0.9\n  Port 9\n  User nobody\n", 0o600)
	t.Setenv("HOME", home)
	for _, name := range []string{"ALL_PROXY", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "https_proxy"} {
		t.Setenv(name, "socks5://127.0.0.9:9")
	}
	config := s.config(r.path)
	config.URL = fmt.Sprintf("%s@%s:%s", s.user, onion, r.path)
	config.Proxy = "socks5h://" + proxy.address
	followed(t, r, config)
	config.Proxy = "socks5://one:two@" + proxy.address
	followed(t, r, config)

	asked, users := proxy.requests()
	for _, what := range asked {
		if want := "name " + onion + ":22"; what != want {
			t.Errorf("the proxy was asked for %s, want %s", what, want)
		}
	}
	if len(asked) != 8 || len(users) != 4 {
		t.Errorf("%d requests of the proxy, %d with a user; want 8 and 4", len(asked), len(users))
	}
	for _, user := range users {
		if user != "one:two" {
			t.Errorf("the proxy got user and password %s", user)
		}
	}

	t.Run("unknown host", func(t *testing.T) {
		s.trust(t, "127.0.0.1", s.hostKey)
		_, _, err := lookAt(t, config)
		wantError(t, err, []string{"torsocks ssh-keyscan " + onion}, ErrHostKeyUnknown)
	})
	t.Run("direct without leaks", func(t *testing.T) {
		direct := s.config(r.path)
		s.trust(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), s.hostKey)
		followed(t, r, direct)
	})
	t.Run("git through it", func(t *testing.T) {
		url := r.gitDaemon()
		port := url[strings.LastIndex(url, ":")+1 : strings.LastIndex(url, "/")]
		through := newSOCKSServer(t, "127.0.0.1:"+port)
		followed(t, r, Config{URL: "git://" + onion + "/mirrors.git", Branch: "main", Proxy: "socks5h://" + through.address})
		if asked, _ := through.requests(); asked[0] != "name "+onion+":9418" {
			t.Errorf("the proxy was asked for %s", asked[0])
		}
	})
	t.Run("proxy gone", func(t *testing.T) {
		gone := config
		gone.Proxy = fmt.Sprintf("socks5h://one:secret@127.0.0.1:%d", freePort(t))
		_, _, err := lookAt(t, gone)
		wantError(t, err, []string{"through the proxy 127.0.0.1", onion})
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows a password: %v", err)
		}
	})
}

func TestRealProxy(t *testing.T) {
	program := need(t, "microsocks", "microsocks")
	r := newRepository(t)
	s := newSSHServer(t)
	port := freePort(t)
	start(t, program, "-i", "127.0.0.1", "-p", strconv.Itoa(port), "-u", "one", "-P", "two")
	awaitPort(t, port)
	config := s.config(r.path)
	config.Proxy = fmt.Sprintf("socks5h://one:two@127.0.0.1:%d", port)
	followed(t, r, config)
	config.Proxy = fmt.Sprintf("socks5h://one:wrong@127.0.0.1:%d", port)
	_, _, err := lookAt(t, config)
	wantError(t, err, []string{"through the proxy", "username/password"})
}

// nak is what git-upload-pack answers before the pack of a shallow fetch.
const nak = "0000" + "0008NAK\n"

// advertisement is a list of one branch, main, at the commit 1111….
func advertisement() string {
	line := strings.Repeat("1", 40) + " refs/heads/main\x00side-band-64k ofs-delta shallow no-progress"
	return fmt.Sprintf("%04x%s0000", len(line)+4, line)
}

// Whoever never stops talking is cut off, whatever it is that it sends.
func TestEndlessRemotes(t *testing.T) {
	packet := func(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }
	tests := []struct {
		name, greeting, again string
		unusable              bool
	}{
		{"branches", advertisement()[:len(advertisement())-4], packet(strings.Repeat("2", 40) + " refs/heads/" + strings.Repeat("x", 900)), false},
		{"progress", advertisement() + nak, packet("\x02" + strings.Repeat("wait ", 1000)), true},
		{"shallow lines", advertisement(), packet("shallow " + strings.Repeat("2", 40)), true},
		{"acknowledgements", advertisement() + "0000", "0008NAK\n", true},
		{"pack", advertisement() + nak + packet("\x01PACK\x00\x00\x00\x02\x00\x00\x00\x01"), packet("\x01" + strings.Repeat("\xff", 1000)), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			sent := make(chan int64, 1)
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, test.greeting)
				chunk := []byte(strings.Repeat(test.again, 1+10_000/len(test.again)))
				total := int64(0)
				for err == nil {
					var n int
					n, err = c.Write(chunk)
					total += int64(n)
				}
				_ = c.Close()
				sent <- total
			}()
			_, _, err = lookAt(t, Config{URL: "git://" + l.Addr().String() + "/x", Branch: "main", MaxBytes: 1 << 20})
			_ = l.Close()
			if test.name == "pack" {
				wantError(t, err, []string{"fetching"}) // it is no pack, which may show first
			} else {
				wantError(t, err, []string{"sent more than 1 MiB"}, ErrTooLarge)
			}
			var unusable unusableError
			if errors.As(err, &unusable) != test.unusable && test.name != "pack" {
				t.Errorf("a commit is refused: %v", !test.unusable)
			}
			// What is sent beyond the limit is what the kernel's buffers hold.
			if total := <-sent; total > 32<<20 {
				t.Errorf("the remote could send %d bytes", total)
			}
		})
	}
}

// Whoever says nothing gets the timeout and no more, and the connection is
// closed.
func TestSilentRemotes(t *testing.T) {
	directory := t.TempDir()
	key, hosts := filepath.Join(directory, "key"), filepath.Join(directory, "known_hosts")
	keyPair(t, key)
	write(t, hosts, "", 0o600)
	advertised := advertisement()
	tests := []struct {
		name, url, greeting, proxy string
		stage                      string
	}{
		{"git", "git://HOST/x", "", "", "for its branches"},
		{"git in the middle of the list", "git://HOST/x", advertised[:90], "", "for its branches"},
		{"git before the pack", "git://HOST/x", advertised, "", "fetching commit 1111"},
		{"git in the middle of the pack", "git://HOST/x", advertised + nak + "000a\x01PACK\x00", "", "fetching commit 1111"},
		{"ssh", "ssh://u@HOST/x", "", "", "connecting"},
		{"ssh after its version", "ssh://u@HOST/x", "SSH-2.0-silent\r\n", "", "connecting"},
		{"http", "http://HOST/x", "", "", "for its branches"},
		{"http after its head", "http://HOST/x", "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", "", "for its branches"},
		{"https", "https://HOST/x", "", "", "for its branches"},
		{"ssh through a silent proxy", "u@" + onion + ":x", "", "HOST", "connecting"},
		{"ssh through a proxy that breaks off", "u@" + onion + ":x", "\x05\x00\x05", "HOST", "connecting"},
		{"https through a silent proxy", "https://" + onion + "/x", "", "HOST", "for its branches"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			address, closed := silentServer(t, test.greeting)
			config := Config{
				URL:        strings.Replace(test.url, "HOST", address, 1),
				Branch:     "main",
				SSHKey:     key,
				KnownHosts: hosts,
				Timeout:    time.Second,
			}
			if test.proxy != "" {
				config.Proxy = "socks5h://" + address
			}
			begin := time.Now()
			_, _, err := lookAt(t, config)
			wantError(t, err, []string{test.stage, "no end within 1s", "silent"}, context.DeadlineExceeded)
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("the look took %s", took)
			}
			for end := time.Now().Add(10 * time.Second); closed() == 0; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("the connection is still open")
				}
			}
		})
	}
}

// A process that does not end is killed with its children.
func TestSilentGitProcess(t *testing.T) {
	need(t, "git", "git")
	directory := t.TempDir()
	pids := filepath.Join(directory, "pids")
	write(t, filepath.Join(directory, "git"), "#!/bin/sh\nPATH=/usr/bin:/bin\nsleep 1000 &\necho $! $$ > "+pids+".new\nmv "+pids+".new "+pids+"\nwait\n", 0o755)
	t.Setenv("PATH", directory)
	begin := time.Now()
	_, _, err := lookAt(t, Config{URL: directory, Timeout: time.Second})
	wantError(t, err, []string{"no end within 1s"}, context.DeadlineExceeded)
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("the look took %s", took)
	}
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range strings.Fields(string(text)) {
		if state, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil && !strings.Contains(string(state), ") Z ") {
			t.Errorf("process %s is still there: %s", pid, state)
		}
	}
}

func TestCancelledLook(t *testing.T) {
	address, _ := silentServer(t, "")
	r, err := newRemote(Config{URL: "git://" + address + "/x"}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, _, err = r.look(ctx, func(string) bool { return false })
	wantError(t, err, nil, context.Canceled)
}
