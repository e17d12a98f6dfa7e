package gitsource

import (
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// What the zero values in a Config stand for.
const (
	DefaultPoll        = time.Minute
	DefaultTimeout     = time.Minute
	DefaultMaxBytes    = 64 << 20
	DefaultMaxFiles    = 10_000
	DefaultMaxUnpacked = 128 << 20
)

// Config says what to follow and how. It is copied by Open, and not written
// afterwards.
type Config struct {
	// URL is the remote; see the package comment for its forms. A password
	// (http and https only) is never shown and never stored, nor is a user of
	// http and https, which may be a token.
	URL string
	// Branch is the branch's name without "refs/heads/"; empty: the one that
	// the remote's HEAD names.
	Branch string
	// Poll is the time between two looks; every one is jittered by 10 % to
	// either side. 0: DefaultPoll.
	Poll time.Duration
	// Timeout bounds a look with all that it fetches. 0: DefaultTimeout.
	Timeout time.Duration
	// Proxy is socks5h://[user:password@]host[:port] or the same with socks5;
	// both leave it to the proxy to resolve the remote's name. Port 1080 if
	// none is given. Empty: none. A local repository is read without it.
	Proxy string
	// SSHKey is the file of a private key without a passphrase, in OpenSSH or
	// PEM form. It is read at every connection. Needed for ssh, unused otherwise.
	SSHKey string
	// KnownHosts is a file in the form of OpenSSH's known_hosts. It is read at
	// every connection. Needed for ssh, unused otherwise.
	KnownHosts string
	// RootCAs are the authorities trusted for https; nil: the system's.
	RootCAs *x509.CertPool
	// StateDir is the directory for the last good commit, in one file. Open
	// makes it if need be. It is this process's alone.
	StateDir string
	// MaxBytes bounds what is read from the remote in one look. 0:
	// DefaultMaxBytes.
	MaxBytes int64
	// MaxFiles bounds the number of files in a commit. 0: DefaultMaxFiles.
	MaxFiles int
	// MaxUnpacked bounds the bytes of a commit's files together, and of the
	// objects that they are unpacked from. 0: DefaultMaxUnpacked.
	MaxUnpacked int64
	// Notify, if not nil, is called after every look from the goroutine that
	// Run was called in. It has to return soon.
	Notify func(Status)
}

// SettingError is what is wrong with one setting of a Config.
type SettingError struct {
	// Setting is the setting's name as in a configuration file, such as
	// "known_hosts".
	Setting string
	Err     error
}

func (e *SettingError) Error() string { return "git." + e.Setting + ": " + e.Err.Error() }

func (e *SettingError) Unwrap() error { return e.Err }

// Validate reports everything that is wrong with the settings, as SettingErrors
// joined by errors.Join. It looks at no file and at no network.
func (c Config) Validate() error {
	var wrong []error
	bad := func(setting string, err error) {
		if err != nil {
			wrong = append(wrong, &SettingError{Setting: setting, Err: err})
		}
	}
	remote, err := parseAddress(c.URL)
	bad("url", err)
	bad("branch", checkBranch(c.Branch))
	_, err = parseProxy(c.Proxy)
	bad("proxy", err)
	bad("poll", notNegative(c.Poll))
	bad("timeout", notNegative(c.Timeout))
	bad("max_bytes", notNegative(c.MaxBytes))
	bad("max_files", notNegative(c.MaxFiles))
	bad("max_unpacked", notNegative(c.MaxUnpacked))
	if remote.scheme == schemeSSH {
		if c.SSHKey == "" {
			bad("ssh_key", errors.New("an ssh remote needs the file of a private key: make one with ssh-keygen -t ed25519 -N ''"))
		}
		if c.KnownHosts == "" {
			bad("known_hosts", errors.New("an ssh remote needs a known_hosts file with the host's key, for no unknown host is trusted: make one with ssh-keyscan, and compare the fingerprint"))
		}
	}
	if strings.HasSuffix(remote.host, ".onion") && c.Proxy == "" {
		bad("proxy", fmt.Errorf("%s can only be reached through Tor: set it to Tor's, such as socks5h://127.0.0.1:9050", remote.host))
	}
	if !filepath.IsAbs(c.StateDir) {
		bad("state_dir", fmt.Errorf("%q is not an absolute path", c.StateDir))
	}
	return errors.Join(wrong...)
}

func notNegative[T ~int | ~int64](n T) error {
	if n < 0 {
		return fmt.Errorf("%v is below zero", n)
	}
	return nil
}

func checkBranch(name string) error {
	if name == "" {
		return nil
	}
	if strings.HasPrefix(name, "refs/") {
		return fmt.Errorf("%q is the name of a reference: give the branch's own name, without refs/heads/", name)
	}
	if plumbing.NewBranchReferenceName(name).Validate() != nil {
		return fmt.Errorf("%q cannot be a branch's name", name)
	}
	return nil
}

// withDefaults fills in what the zero values stand for.
func (c Config) withDefaults() Config {
	fill(&c.Poll, DefaultPoll)
	fill(&c.Timeout, DefaultTimeout)
	fill(&c.MaxBytes, DefaultMaxBytes)
	fill(&c.MaxFiles, DefaultMaxFiles)
	fill(&c.MaxUnpacked, DefaultMaxUnpacked)
	return c
}

func fill[T comparable](value *T, otherwise T) {
	var zero T
	if *value == zero {
		*value = otherwise
	}
}
