package gitsource

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

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
