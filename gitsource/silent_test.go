package gitsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

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
				Timeout:    3 * time.Second, // all wait at the same time
			}
			if test.proxy != "" {
				config.Proxy = "socks5h://" + address
			}
			begin := time.Now()
			_, _, err := lookAt(t, config)
			wantError(t, err, []string{test.stage, "no end within 3s", "silent"}, context.DeadlineExceeded)
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("the look took %s", took)
			}
			for end := time.Now().Add(time.Minute); closed() == 0; time.Sleep(5 * time.Millisecond) {
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
	var text []byte
	for limit := time.Second; len(text) == 0; limit *= 2 { // longer only where it takes so long to start
		begin := time.Now()
		_, _, err := lookAt(t, Config{URL: directory, Timeout: limit})
		wantError(t, err, []string{fmt.Sprintf("no end within %s", limit)}, context.DeadlineExceeded)
		if took := time.Since(begin); took > limit+time.Minute {
			t.Errorf("the look took %s", took)
		}
		if text, err = os.ReadFile(pids); err != nil && limit > 16*time.Second {
			t.Fatal(err)
		}
	}
	for _, pid := range strings.Fields(string(text)) {
		for end := time.Now().Add(time.Minute); running(pid); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("process %s is still there", pid)
			}
		}
	}
}

// running tells whether a process is there and no zombie.
func running(pid string) bool {
	state, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(state), ") Z ")
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
