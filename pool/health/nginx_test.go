package health

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorpool/pool"
)

// startNginx runs Debian's nginx with the given server block on a socket in the file
// system, and gives what connects to it in place of any address.
func startNginx(t *testing.T, server string, files map[string][]byte) func(context.Context, string, string) (net.Conn, error) {
	t.Helper()
	path, err := exec.LookPath("/usr/sbin/nginx")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("nginx is missing: install nginx-light")
		}
		t.Skip("nginx is missing: install nginx-light")
	}
	// Not t.TempDir: the path of a socket has a hundred bytes at most.
	home, err := os.MkdirTemp("", "nginx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(home, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, b := range files {
		write(name, b)
	}
	write("nginx.conf", fmt.Appendf(nil, `
daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http {
  access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
  server { listen unix:%[1]s/socket; root %[1]s; %[2]s }
}`, home, server))
	var said bytes.Buffer
	command := exec.Command(path, "-p", home, "-e", home+"/error.log", "-c", home+"/nginx.conf")
	command.Stdout, command.Stderr = &said, &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
	})
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", home+"/socket")
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		c, err := dial(t.Context(), "", "")
		if err == nil {
			c.Close()
			return dial
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(home + "/error.log")
			t.Fatalf("nginx does not answer: %v\n%s%s", err, said.Bytes(), log)
		}
	}
}

// TestNginx holds every purpose against a server as mirrors have it.
func TestNginx(t *testing.T) {
	good := content(2_000_000)
	bad := bytes.Clone(good)
	bad[len(bad)-1] ^= 1
	dial := startNginx(t, `
    gzip on; gzip_types *; gzip_min_length 1; keepalive_requests 7;
    location /slow/ { rewrite ^/slow(.*)$ $1 break; limit_rate 50k; }
    location /whole/ { rewrite ^/whole(.*)$ $1 break; max_ranges 0; }
    location /away/ { return 302 http://mirror.test/good; }`,
		map[string][]byte{"good": good, "bad": bad, "short": good[:1000], "empty": {}})
	p := NewProber(Config{Dial: dial, Resolver: hosts{"mirror.test": {addr("127.0.0.1")}, "origin.test": {addr("127.0.0.2")}}})
	const origin = "http://origin.test/good"
	for _, test := range []struct {
		name    string
		path    string
		probe   pool.Probe
		outcome Outcome
		reason  string
	}{
		{"answer", "good", pool.Probe{}, Success, "status 200"},
		{"a set of statuses", "none", pool.Probe{Statuses: "200,404"}, Success, "status 404"},
		{"throughput", "good", pool.Probe{Purpose: pool.PurposeThroughput, Bytes: 1 << 20, MinRate: 10_000}, Success, "status 206, 1.0 MB *"},
		{"throughput of a short file", "short", pool.Probe{Purpose: pool.PurposeThroughput, Bytes: 1 << 20, MinRate: 10_000}, Success, "status 206, 1000 bytes *"},
		{"throughput without ranges", "whole/good", pool.Probe{Purpose: pool.PurposeThroughput, Bytes: 1 << 20, MinRate: 10_000}, Success, "status 200, 1.0 MB *"},
		{"slow", "slow/good", pool.Probe{Purpose: pool.PurposeThroughput, Bytes: 1 << 20, MinRate: 1_000_000, Timeout: 2 * time.Second}, Slow, "* kB/s, at least 1.0 MB/s is wanted (*"},
		{"empty", "empty", pool.Probe{Purpose: pool.PurposeThroughput, Bytes: 1 << 20}, Content, "the file is empty"},
		{"integrity", "good", pool.Probe{Purpose: pool.PurposeIntegrity, Origin: origin}, Success, "3 parts of 2.0 MB are the origin's"},
		{"of many parts", "good", pool.Probe{Purpose: pool.PurposeIntegrity, Origin: origin, Samples: 50, Bytes: 1000}, Success, "50 parts of 2.0 MB are the origin's"},
		{"all of it", "good", pool.Probe{Purpose: pool.PurposeIntegrity, Origin: origin, Samples: 3, Bytes: 1 << 20}, Success, "2 parts of 2.0 MB are the origin's"},
		{"altered", "bad", pool.Probe{Purpose: pool.PurposeIntegrity, Origin: origin}, Altered, "bytes 1934464-1999999 differ from the origin's at 1999999 (sha256 *"},
		{"cut", "short", pool.Probe{Purpose: pool.PurposeIntegrity, Origin: origin}, Altered, "the file has 1000 bytes, the origin's 2000000"},
		{"no ranges", "whole/good", pool.Probe{Purpose: pool.PurposeIntegrity, Origin: origin}, Content, "does not do ranges: asked for *"},
		{"redirect", "away/", pool.Probe{Purpose: pool.PurposeIntegrity, Origin: origin, FollowRedirects: true}, Success, "3 parts of 2.0 MB are the origin's"},
		{"hash", "good", pool.Probe{Purpose: pool.PurposeIntegrity, SHA256: hashOf(string(good))}, Success, "the file of 2.0 MB has the published sha256"},
		{"other hash", "bad", pool.Probe{Purpose: pool.PurposeIntegrity, SHA256: hashOf(string(good))}, Altered, "the file of 2.0 MB has sha256 *"},
		{
			"contents", "",
			pool.Probe{Purpose: pool.PurposeContents, Required: pool.NewRequirements([]pool.Requirement{{Path: "good", Size: 2_000_000}, {Path: "short", Size: 1000}, {Path: "empty", Size: 0}})},
			Success, "3 files are there",
		},
		{
			"missing", "",
			pool.Probe{Purpose: pool.PurposeContents, Required: pool.NewRequirements([]pool.Requirement{{Path: "good", Size: 1}, {Path: "none", Size: -1}})},
			Missing, "2 of 2 files missing: good (2000000 bytes, expected 1), none (404)",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.probe.Timeout == 0 {
				test.probe.Timeout = 30 * time.Second
			}
			got := p.Probe(t.Context(), Target{URL: "http://mirror.test/" + test.path, Probe: test.probe})
			if parts := strings.SplitN(test.reason, "*", 3); len(parts) == 3 {
				test.reason = parts[0] + "*"
				if !strings.Contains(got.Reason, parts[1]) {
					t.Errorf("%q has no %q", got.Reason, parts[1])
				}
			}
			expect(t, got, test.outcome, test.reason)
			if got.NotMade {
				t.Errorf("not made: %s", got.Reason)
			}
			t.Logf("%s: %s, %d B/s", got.Outcome, got.Reason, got.Evidence.BytesPerSecond)
		})
	}
}

// TestNginxManyFiles holds that 300 files are looked for on connections that the server
// ends again and again.
func TestNginxManyFiles(t *testing.T) {
	on := map[string][]byte{}
	var wanted []pool.Requirement
	for i := range 300 {
		on[fmt.Sprintf("file-%d", i)] = bytes.Repeat([]byte{'x'}, i)
		wanted = append(wanted, pool.Requirement{Path: fmt.Sprintf("/file-%d", i), Size: int64(i)})
	}
	dial := startNginx(t, "keepalive_requests 7;", on)
	var p pool.Probe
	p.Kind, p.Host, p.Port, p.Timeout, p.Purpose = pool.CheckHTTP, "dl.test", 80, 30*time.Second, pool.PurposeContents
	p.Required = pool.NewRequirements(wanted)
	start := time.Now()
	got := NewProber(Config{Dial: dial}).Probe(t.Context(), Target{Address: addr("127.0.0.1"), Probe: p})
	expect(t, got, Success, "300 files are there")
	t.Logf("took %s", time.Since(start))
}
