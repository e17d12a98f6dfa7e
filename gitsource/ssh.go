package gitsource

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	skeema "github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/go-git/go-git/v5/plumbing/transport"
)

// openSSH connects to an SSH server and starts git-upload-pack there.
func (r *remote) openSSH(ctx context.Context, m *meter) (session, error) {
	key, err := readKey(r.config.SSHKey)
	if err != nil {
		return nil, err
	}
	hosts, err := readKnownHosts(r.config.KnownHosts)
	if err != nil {
		return nil, err
	}
	conn, err := r.dialer.dial(ctx, r.address.hostPort(), m)
	if err != nil {
		return nil, err
	}
	client, err := r.handshake(conn, key, hosts)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	s, err := startSSH(client, r.address.path)
	if err != nil {
		_ = client.Close()
		return nil, err
	}
	return s, nil
}

func (r *remote) handshake(conn net.Conn, key ssh.Signer, hosts *skeema.HostKeyDB) (*ssh.Client, error) {
	host := r.address.hostPort()
	algorithms := hosts.HostKeyAlgorithms(host)
	// The callback's own error: the handshake may wrap it as text only.
	var untrusted error
	check := func(hostname string, remote net.Addr, offered ssh.PublicKey) error {
		untrusted = r.trusted(hosts.HostKeyCallback()(hostname, placeholder, offered), host, offered)
		return untrusted
	}
	accepted, channels, requests, err := ssh.NewClientConn(conn, host, &ssh.ClientConfig{
		User:            r.address.user,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: check,
		// Empty for an unknown host: then the check tells the key that it has.
		HostKeyAlgorithms: algorithms,
		ClientVersion:     "SSH-2.0-mirrorpool",
	})
	var mismatch *ssh.AlgorithmNegotiationError
	switch {
	case err == nil:
		return ssh.NewClient(accepted, channels, requests), nil
	case untrusted != nil:
		return nil, untrusted
	case len(algorithms) > 0 && errors.As(err, &mismatch) && strings.Contains(err.Error(), "host key"):
		return nil, worded(fmt.Sprintf(
			"THE HOST KEY OF %s HAS CHANGED: the host has no key of the kinds that %s holds for it (%s). Somebody may be listening. If its administrator confirms the change, put the new key there",
			knownhosts.Normalize(host), r.config.KnownHosts, strings.Join(algorithms, ", ")), ErrHostKeyChanged, err)
	case strings.Contains(err.Error(), "unable to authenticate"):
		return nil, worded(fmt.Sprintf(
			"%s does not accept the key %s (%s) for the user %s: add its public half to that user's authorized_keys",
			knownhosts.Normalize(host), r.config.SSHKey, ssh.FingerprintSHA256(key.PublicKey()), r.address.user), ErrAuthentication, err)
	}
	return nil, fmt.Errorf("shaking hands with %s: %w", knownhosts.Normalize(host), shortened{err})
}

// placeholder stands for the remote's address, which known_hosts is not asked
// for: behind a proxy it is the proxy's.
var placeholder = &net.TCPAddr{IP: net.IPv4zero}

// trusted words the verdict of the known_hosts file.
func (r *remote) trusted(verdict error, host string, offered ssh.PublicKey) error {
	if verdict == nil {
		return nil
	}
	name := knownhosts.Normalize(host)
	shown := offered.Type() + " " + ssh.FingerprintSHA256(offered)
	var revoked *knownhosts.RevokedError
	if errors.As(verdict, &revoked) {
		return worded(fmt.Sprintf("THE HOST KEY OF %s IS REVOKED: it is %s, which %s:%d revokes. Somebody may be listening",
			name, shown, revoked.Revoked.Filename, revoked.Revoked.Line), ErrHostKeyChanged, verdict)
	}
	var known *knownhosts.KeyError
	if !errors.As(verdict, &known) {
		return fmt.Errorf("checking the host key of %s: %w", name, verdict)
	}
	if len(known.Want) > 0 {
		return worded(fmt.Sprintf(
			"THE HOST KEY OF %s HAS CHANGED: it is now %s, and not the one in %s:%d. Somebody may be listening. If its administrator confirms the change, replace that line",
			name, shown, known.Want[0].Filename, known.Want[0].Line), ErrHostKeyChanged, verdict)
	}
	scan := "ssh-keyscan"
	if r.dialer.proxy != nil {
		scan = "torsocks ssh-keyscan"
	}
	if r.address.port != defaultPorts[schemeSSH] {
		scan += fmt.Sprintf(" -p %d", r.address.port)
	}
	return worded(fmt.Sprintf(
		"host key of %s is not in %s: add it with %s %s >> %s, after comparing the fingerprint with its administrator's (the host showed %s)",
		name, r.config.KnownHosts, scan, r.address.host, r.config.KnownHosts, shown), ErrHostKeyUnknown, verdict)
}

// startSSH runs git-upload-pack on the other side.
func startSSH(client *ssh.Client, path string) (session, error) {
	channel, err := client.NewSession()
	if err != nil {
		return nil, fmt.Errorf("opening an SSH session: %w", err)
	}
	s := &stream{path: path}
	channel.Stderr = &s.said
	out, err := channel.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("opening an SSH session: %w", err)
	}
	in, err := channel.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("opening an SSH session: %w", err)
	}
	if err := channel.Start(transport.UploadPackServiceName + " " + quoted(path)); err != nil {
		return nil, fmt.Errorf("starting %s over SSH: %w", transport.UploadPackServiceName, err)
	}
	s.in, s.out = in, out
	s.ended = func() { _ = channel.Wait() } // at the latest when the look ends, and the connection with it
	s.end = func() { _ = client.Close() }
	return s, nil
}

// quoted puts a path in quotes for the other side's shell, as Git does.
func quoted(path string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(path) + "'"
}

// readKey reads a private key that only its owner may read.
func readKey(file string) (ssh.Signer, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("reading the SSH key: %w", err)
	}
	if err := checkKeyMode(file, info); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the SSH key: %w", err)
	}
	key, err := ssh.ParsePrivateKey(text)
	var locked *ssh.PassphraseMissingError
	switch {
	case err == nil:
		return key, nil
	case errors.As(err, &locked):
		return nil, worded(fmt.Sprintf("the SSH key %s has a passphrase, and nobody is there to type it: take it off with ssh-keygen -p -N '' -f %s, or make another key", file, file), err)
	case strings.HasPrefix(string(text), "ssh-"):
		return nil, worded(fmt.Sprintf("the SSH key %s is a public key: give the file of the private one", file), err)
	}
	return nil, fmt.Errorf("reading the SSH key %s: not a private key in OpenSSH or PEM form: %w", file, err)
}

// checkKeyMode holds the rule of OpenSSH: a key of our own may be read by
// nobody else, and one of another owner (root's, say, for our group) not by
// everybody.
func checkKeyMode(file string, info os.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("the SSH key %s is not a regular file", file)
	}
	forbidden := os.FileMode(0o007)
	if system, ok := info.Sys().(*syscall.Stat_t); ok && int(system.Uid) == os.Getuid() {
		forbidden = 0o077
	}
	if mode := info.Mode().Perm(); mode&forbidden != 0 {
		return fmt.Errorf("the SSH key %s can be read by others (mode %04o): chmod 600 %s", file, mode, file)
	}
	return nil
}

func readKnownHosts(file string) (*skeema.HostKeyDB, error) {
	hosts, err := skeema.NewDB(file)
	if err != nil {
		return nil, fmt.Errorf("reading known_hosts %s: %w", file, err)
	}
	return hosts, nil
}
