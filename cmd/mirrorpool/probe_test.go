package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"mirrorpool/testport"
)

// TestProbeScripts runs probe as a person does, between a real nginx and a real rsync
// daemon: one script a behaviour.
func TestProbeScripts(t *testing.T) {
	need(t, "/usr/sbin/nginx", "rsync")
	mirrors := startProbeMirrors(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/probe",
		RequireExplicitExec: true,
		Setup: func(environment *testscript.Env) error {
			for name, value := range mirrors {
				environment.Setenv(name, value)
			}
			endAtOnce(environment)
			return nil
		},
		Condition: func(condition string) (bool, error) {
			if condition == "ipv6" {
				return mirrors["GOOD6_PORT"] != "0", nil
			}
			return false, fmt.Errorf("there is no condition %q", condition)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"expand": expandVariables,
		},
	})
}

// expandVariables puts the environment's values into files.
func expandVariables(script *testscript.TestScript, _ bool, files []string) {
	for _, file := range files {
		text := os.Expand(script.ReadFile(file), script.Getenv)
		script.Check(os.WriteFile(script.MkAbs(file), []byte(text), 0o644))
	}
}

// probeSites are servers of nginx, each on a port of its own, by the name of the variable
// that scripts find it by.
var probeSites = []struct{ name, address, directives string }{
	{"GOOD", "127.0.0.1", ""},
	{"GOOD6", "::1", ""},
	{"SLOW", "127.0.0.1", "location /tails/stable/ { limit_rate 20k; }"},
	{"NORANGES", "127.0.0.1", "max_ranges 0;"},
	{"REDIRECT", "127.0.0.1", "return 302 http://elsewhere.test/;"},
	{"LEADS", "127.0.0.1", "location = /tails/project/trace { return 302 /other/project/trace; }"},
	{"OLD", "127.0.0.1", "location = /tails/project/trace { alias DIR/www/old; }"},
	{"FAILS", "127.0.0.1", "return 503;"},
	{"SOON", "127.0.0.1", "ssl_certificate DIR/soon.pem; ssl_certificate_key DIR/soon.key;"},
	{"LONG", "127.0.0.1", "ssl_certificate DIR/long.pem; ssl_certificate_key DIR/long.key;"},
	{"EXPIRED", "127.0.0.1", "ssl_certificate DIR/expired.pem; ssl_certificate_key DIR/expired.key;"},
}

// startProbeMirrors runs nginx and rsync over one tree, and servers that no package has.
// What it gives are the variables of scripts: "127.0.0.1:PORT" for each server, NAME_PORT
// beside it, and where the authority's certificate is.
func startProbeMirrors(t *testing.T) map[string]string {
	directory := t.TempDir()
	t.Cleanup(func() { os.Chmod(directory, 0o755) })
	writeProbeTree(t, directory)
	given := map[string]string{"SSL_CERT_FILE": filepath.Join(directory, "ca.pem"), "NO_PROXY": "*"}
	note := func(name string, at net.Addr) {
		given[name], given[name+"_PORT"] = at.String(), strconv.Itoa(at.(*net.TCPAddr).Port)
	}
	startNginx(t, directory, note)
	note("RSYNC", startRsync(t, directory))
	note("ANCIENT", talkTo(t, func(c net.Conn) {
		c.Read(make([]byte, 4096))
		fmt.Fprintf(c, "HTTP/1.0 200 OK\r\n\r\n%d\n", time.Now().Unix())
	}))
	note("SILENT", talkTo(t, func(c net.Conn) { io.Copy(io.Discard, c) }))
	note("CLOSED", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(testport.Unused(t))})
	return given
}

// writeProbeTree writes what the mirrors have, and certificates of an authority.
func writeProbeTree(t *testing.T, directory string) {
	t.Helper()
	now := strconv.FormatInt(time.Now().Unix(), 10) + "\n"
	large := make([]byte, 300_000)
	rand.Read(large)
	for name, data := range map[string]string{
		"www/tails/project/trace": now, "www/other/project/trace": now, "www/tails/stable/image.img": string(large), "www/old": "1700000000\n",
	} {
		path := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	day := 24 * time.Hour
	authority := issueFor(t, directory, "ca", nil, 1000*day)
	issueFor(t, directory, "soon", authority, 7*day+time.Hour)
	issueFor(t, directory, "long", authority, 90*day)
	issueFor(t, directory, "expired", authority, -day)
}

// probeAuthority signs certificates.
type probeAuthority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// issueFor writes a certificate for mirror.test and 127.0.0.1 that ends after so long; of
// an authority of its own without one.
func issueFor(t *testing.T, directory, name string, by *probeAuthority, ends time.Duration) *probeAuthority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "probe " + name},
		NotBefore: time.Now().Add(-1000 * time.Hour), NotAfter: time.Now().Add(ends),
		DNSNames: []string{"mirror.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: by == nil, BasicConstraintsValid: true,
	}
	one := &probeAuthority{template, key}
	if by == nil {
		by = one
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.certificate, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for suffix, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: encoded}} {
		if err := os.WriteFile(filepath.Join(directory, name+suffix), pem.EncodeToMemory(block), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if one.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return one
}

// startNginx gives nginx sockets that listen already, as it does to itself when it is
// replaced: so each port is a free one.
func startNginx(t *testing.T, directory string, note func(string, net.Addr)) {
	t.Helper()
	var servers strings.Builder
	var sockets []*os.File
	inherited := "NGINX="
	for i, site := range probeSites {
		l, err := net.Listen("tcp", net.JoinHostPort(site.address, "0"))
		if err != nil && site.address == "::1" {
			note(site.name, &net.TCPAddr{})
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		file, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		defer l.Close()
		sockets = append(sockets, file)
		inherited += strconv.Itoa(2+len(sockets)) + ";"
		note(site.name, l.Addr())
		secure := ""
		if strings.Contains(site.directives, "ssl_certificate") {
			secure = " ssl"
		}
		fmt.Fprintf(&servers, "server { listen %s%s; server_name s%d; root %s/www; %s }\n",
			l.Addr(), secure, i, directory, strings.ReplaceAll(site.directives, "DIR", directory))
	}
	configuration := filepath.Join(directory, "nginx.conf")
	text := fmt.Sprintf("daemon off; worker_processes 1; pid %[1]s/pid; error_log %[1]s/errors;\nevents {}\nhttp {\naccess_log off;\n", directory)
	if os.Getuid() == 0 {
		text = "user root;\n" + text // nobody else may read what is made for the test
	}
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		text += fmt.Sprintf("%s_temp_path %s/temporary;\n", kind, directory)
	}
	if err := os.WriteFile(configuration, []byte(text+servers.String()+"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	nginx := exec.Command("/usr/sbin/nginx", "-p", directory, "-e", filepath.Join(directory, "errors"), "-c", configuration)
	nginx.Env, nginx.ExtraFiles = []string{inherited}, sockets
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nginx.Process.Signal(syscall.SIGTERM) // what is killed leaves its workers behind
		if err := nginx.Wait(); err != nil {
			said, _ := os.ReadFile(filepath.Join(directory, "errors"))
			t.Errorf("nginx: %v\n%s", err, said)
		}
	})
}

// startRsync serves the tree by a process of rsync for each connection.
func startRsync(t *testing.T, directory string) net.Addr {
	t.Helper()
	configuration := filepath.Join(directory, "rsyncd.conf")
	text := fmt.Sprintf("use chroot = no\nlog file = %[1]s/rsync.log\n[tails]\npath = %[1]s/www/tails\n", directory)
	if err := os.WriteFile(configuration, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return talkTo(t, func(c net.Conn) {
		socket, err := c.(*net.TCPConn).File()
		if err != nil {
			return
		}
		defer socket.Close()
		daemon := exec.Command("rsync", "--daemon", "--no-detach", "--config="+configuration)
		daemon.Stdin, daemon.Stdout = socket, socket
		_ = daemon.Run() // it fails where the probe ends the dialogue
	})
}

// talkTo hands each connection to a function, until the test ends.
func talkTo(t *testing.T, talk func(net.Conn)) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				talk(c)
			}()
		}
	}()
	t.Cleanup(func() { l.Close() })
	return l.Addr()
}
