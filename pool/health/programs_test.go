package health

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// needProgram finds a program, or skips the test; in CI it fails.
func needProgram(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing: %v", name, err)
		}
		t.Skipf("%s is missing; .ci/run names the Debian packages", name)
	}
	return path
}

// rsyncDaemon serves a directory with a trace file by Debian's rsync: a process for each
// connection, which has it for its standard input, as inetd starts them.
func rsyncDaemon(t *testing.T, address string) netip.AddrPort {
	t.Helper()
	program := needProgram(t, "rsync")
	directory := t.TempDir()
	tree := filepath.Join(directory, "tree")
	for path, text := range map[string]string{
		"project/trace": "1790000000\n", "stable/image.img": "image", "a b": "space", "locked/file": "x",
	} {
		path = filepath.Join(tree, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	changed := time.Now().Add(-90 * time.Minute)
	if err := os.Chtimes(filepath.Join(tree, "project/trace"), changed, changed); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"link": "project/trace", "dangling": "nowhere", "inside": "project"} {
		if err := os.Symlink(to, filepath.Join(tree, name)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3000 {
		name := filepath.Join(tree, "many", fmt.Sprintf("a-file-with-a-long-name-%04d", i))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(directory, "motd"), []byte("Welcome\tto the mirror\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(directory, "secrets"), []byte("joe:secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := strings.NewReplacer("DIR", directory, "TREE", tree).Replace(`use chroot = no
motd file = DIR/motd
log file = DIR/log
[tails]
path = TREE
comment = all
[hidden]
path = TREE
list = no
[gone]
path = DIR/nothing
[secret]
path = TREE
auth users = joe
secrets file = DIR/secrets
[denied]
path = TREE
hosts deny = *
`)
	configuration := filepath.Join(directory, "rsyncd.conf")
	if err := os.WriteFile(configuration, []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	return rawOn(t, address, func(c net.Conn) {
		file, err := c.(*net.TCPConn).File()
		if err != nil {
			return
		}
		defer file.Close()
		daemon := exec.Command(program, "--daemon", "--no-detach", "--config="+configuration)
		daemon.Stdin, daemon.Stdout = file, file
		_ = daemon.Run() // it fails where the probe ends the dialogue
	})
}

// script writes a program for /bin/sh.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// cancelled is a context that has ended.
func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
