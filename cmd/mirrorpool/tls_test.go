package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/rs/zerolog"

	"mirrorpool/dnsserver"
)

// pair is a certificate that signs itself, with its key.
type pair struct {
	leaf       *x509.Certificate
	chain, key []byte
}

var lastSerial int64

func newPair(t *testing.T, until time.Time) *pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	lastSerial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(lastSerial), Subject: pkix.Name{CommonName: "ns.example.test"},
		NotBefore: until.Add(-24 * time.Hour), NotAfter: until, DNSNames: []string{"ns.example.test"},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &pair{
		leaf:  leaf,
		chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}),
		key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}),
	}
}

// pairFiles are the files of a certificate.
type pairFiles struct {
	*testing.T
	directory string
}

func (f *pairFiles) chainFile() string { return filepath.Join(f.directory, "chain.pem") }
func (f *pairFiles) keyFile() string   { return filepath.Join(f.directory, "key.pem") }

func (f *pairFiles) config(listen ...string) *tlsConfig {
	return &tlsConfig{Listen: listen, Certificate: f.chainFile(), Key: f.keyFile()}
}

func (f *pairFiles) put(path string, data []byte) {
	f.Helper()
	if err := os.WriteFile(path, data, 0o640); err != nil {
		f.Fatal(err)
	}
}

func (f *pairFiles) write(p *pair) {
	f.Helper()
	f.put(f.chainFile(), p.chain)
	f.put(f.keyFile(), p.key)
}

// soon is when the tests' certificates expire.
func soon() time.Time { return time.Now().Add(time.Hour).Truncate(time.Second) }

func TestCertificatesThatAreNoGood(t *testing.T) {
	good := newPair(t, soon())
	for name, c := range map[string]struct {
		spoil func(f *pairFiles)
		want  string
	}{
		"no certificate": {func(f *pairFiles) { os.Remove(f.chainFile()) }, "dns.tls.certificate: stat CHAIN: no such file or directory: write it there, or take dns.tls out"},
		"no key":         {func(f *pairFiles) { os.Remove(f.keyFile()) }, "dns.tls.key: stat KEY: no such file or directory"},
		"another's key":  {func(f *pairFiles) { f.put(f.keyFile(), newPair(f.T, soon()).key) }, "dns.tls: CHAIN with KEY: tls: private key does not match public key"},
		"files swapped":  {func(f *pairFiles) { f.put(f.keyFile(), good.chain); f.put(f.chainFile(), good.key) }, "dns.tls: CHAIN with KEY: "},
		"half of it":     {func(f *pairFiles) { f.put(f.chainFile(), good.chain[:len(good.chain)/2]) }, "dns.tls: CHAIN with KEY: "},
		"nothing in it":  {func(f *pairFiles) { f.put(f.keyFile(), nil) }, "expected a certificate with its chain and the key that belongs to it, both in PEM"},
		"no certificate in it": {
			func(f *pairFiles) {
				f.put(f.chainFile(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))
			}, "dns.tls: CHAIN with KEY: ",
		},
		"too much": {func(f *pairFiles) { f.put(f.keyFile(), bytes.Repeat([]byte("#"), maxCertificateFile+1)) }, "dns.tls.key: KEY has more than 1048576 bytes: name a file in PEM"},
		"a pipe": {func(f *pairFiles) {
			os.Remove(f.keyFile())
			if err := syscall.Mkfifo(f.keyFile(), 0o600); err != nil {
				f.Fatal(err)
			}
		}, "dns.tls.key: KEY is no regular file: name a file in PEM"},
		"a directory": {func(f *pairFiles) {
			os.Remove(f.chainFile())
			if err := os.Mkdir(f.chainFile(), 0o700); err != nil {
				f.Fatal(err)
			}
		}, "dns.tls.certificate: CHAIN is no regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &pairFiles{t, t.TempDir()}
			f.write(good)
			c.spoil(f)
			_, err := openCertificate(f.config())
			want := strings.NewReplacer("CHAIN", f.chainFile(), "KEY", f.keyFile()).Replace(c.want)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

// TestCertificateIsWatched holds that another certificate is noticed without a
// reload, that a half replaced one changes nothing and the stage tells of it, and
// that the log warns of what is legal and not good.
func TestCertificateIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &pairFiles{t, t.TempDir()}
		first, second, expired := newPair(t, soon()), newPair(t, soon()), newPair(t, time.Now().Add(-time.Hour))
		f.write(first)
		var log lockedBuffer
		n := &node{stages: newStages(time.Now), logger: zerolog.New(&log)}
		c := &config{DNS: dnsConfig{TLS: f.config("127.0.0.1:0")}}
		if err := n.openCertificate(c); err != nil {
			t.Fatal(err)
		}
		n.config.Store(c)
		shown := n.tls(c).Certificate
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go n.certificateFollow(ctx)
		look := func(what string, want *pair, fails bool) {
			t.Helper()
			time.Sleep(rereadInterval)
			synctest.Wait()
			if !shown().Leaf.Equal(want.leaf) {
				t.Errorf("%s: another certificate is shown", what)
			}
			if failing := n.stages.list(); (len(failing) == 1) != fails || fails && failing[0].stage != stageTLS {
				t.Errorf("%s: failing: %v", what, failing)
			}
		}
		look("as it was", first, false)
		f.put(f.chainFile(), second.chain)
		look("half replaced", first, true)
		f.put(f.keyFile(), second.key[:40])
		look("half written", first, true)
		f.put(f.keyFile(), second.key)
		look("replaced", second, false)
		if err := os.Remove(f.chainFile()); err != nil {
			t.Fatal(err)
		}
		look("gone", second, true)
		f.write(second)
		look("back", second, false)
		if got := log.String(); strings.Contains(got, `"warn"`) {
			t.Errorf("a warning of what is good:\n%s", got)
		}
		if strings.Contains(log.String(), string(second.key[40:60])) {
			t.Error("the log shows the key")
		}
		if err := os.Chmod(f.keyFile(), 0o644); err != nil {
			t.Fatal(err)
		}
		f.write(expired)
		look("expired", expired, false)
		for _, want := range []string{"chmod 640", "it is not valid now"} {
			if got := strings.Count(log.String(), want); got != 1 {
				t.Errorf("%d warnings of %q, want 1:\n%s", got, want, &log)
			}
		}
		look("as it was", expired, false)
		f.write(first)
		look("replaced, for all to read as before", first, false)
		if got := strings.Count(log.String(), "chmod 640"); got != 2 {
			t.Errorf("%d warnings of keys that all may read, want 2:\n%s", got, &log)
		}
	})
}

func (r *running) tlsAddress() string {
	r.Helper()
	addresses := r.node.dns.listener().(*dnsserver.Server).TLSAddresses()
	if len(addresses) == 0 {
		r.Fatal("no address of TLS")
	}
	return addresses[0].String()
}

// overTLS connects to the node and asks.
func (r *running) overTLS() *dns.Conn {
	r.Helper()
	config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"dot"}} // what is shown is looked at
	c, err := tls.Dial("tcp", r.tlsAddress(), config)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { c.Close() })
	conn := &dns.Conn{Conn: c}
	r.askOver(conn)
	return conn
}

func (r *running) askOver(c *dns.Conn) {
	r.Helper()
	question := new(dns.Msg)
	question.SetQuestion("dl.example.test.", dns.TypeA)
	c.SetDeadline(time.Now().Add(time.Minute))
	if err := c.WriteMsg(question); err != nil {
		r.Fatal(err)
	}
	if reply, err := c.ReadMsg(); err != nil || len(reply.Answer) != 1 {
		r.Fatalf("%v, %v", reply, err)
	}
}

func (r *running) isShown(c *dns.Conn, want *pair) {
	r.Helper()
	if got := c.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0]; !got.Equal(want.leaf) {
		r.Errorf("was shown certificate %s, want %s", got.SerialNumber, want.leaf.SerialNumber)
	}
}

// TestTLSOfANode holds that a reload takes another certificate, other files and
// other addresses, and keeps what was there where it cannot.
func TestTLSOfANode(t *testing.T) {
	f := &pairFiles{t, t.TempDir()}
	first, second, third := newPair(t, soon()), newPair(t, soon().Add(time.Minute)), newPair(t, soon().Add(2*time.Minute))
	f.write(first)
	settings := func(chain string) string {
		return fmt.Sprintf("dns: {listen: [\"127.0.0.1:0\"], tls: {listen: [\"127.0.0.1:0\"], certificate: %q, key: %q}}\n", chain, f.keyFile())
	}
	r := newRunning(t, settings(f.chainFile()))
	r.start()
	r.serving(r.git(r.path("checkout"), "rev-parse", "HEAD"))
	reload := func() error { return r.node.requestReload(t.Context()) }
	expiry := func(want *pair) {
		t.Helper()
		_, metrics := r.get("/metrics")
		if line := fmt.Sprintf("mirrorpool_dns_tls_certificate_expiry_seconds %v\n", float64(want.leaf.NotAfter.Unix())); !strings.Contains(metrics, line) {
			t.Errorf("no %q in the metrics", line)
		}
	}
	before := r.overTLS()
	r.isShown(before, first)
	expiry(first)

	f.write(second)
	if err := reload(); err != nil {
		t.Fatal(err)
	}
	r.isShown(r.overTLS(), second)
	expiry(second)
	r.askOver(before)

	f.put(f.keyFile(), third.key)
	if err := reload(); err != nil {
		t.Fatal(err)
	}
	if stage := r.stage(stageTLS); !strings.Contains(stage.Error, f.keyFile()+": tls: private key does not match public key") {
		t.Errorf("the stage says %+v", stage)
	}
	r.isShown(r.overTLS(), second)

	// Another file, at the same address: nobody has to come again.
	other := filepath.Join(f.directory, "other.pem")
	f.put(other, third.chain)
	address := r.tlsAddress()
	r.write("node.yaml", r.config(settings(other)))
	if err := reload(); err != nil {
		t.Fatal(err)
	}
	r.isShown(r.overTLS(), third)
	expiry(third)
	r.askOver(before)
	if r.tlsAddress() != address {
		t.Error("the sockets are others")
	}
	if stage := r.stage(stageTLS); stage.Error != "" {
		t.Errorf("the stage says %+v", stage)
	}

	// A file that is no good changes nothing.
	r.write("node.yaml", r.config(settings(other+"2")))
	if err := reload(); err == nil || !strings.Contains(err.Error(), "dns.tls.certificate: ") {
		t.Errorf("a file that is missing: %v", err)
	}
	r.isShown(r.overTLS(), third)

	// Without TLS there is no address and no metric.
	r.write("node.yaml", r.config(""))
	if err := reload(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("the address is still there")
	}
	if _, metrics := r.get("/metrics"); strings.Contains(metrics, "certificate_expiry") {
		t.Error("a metric of a certificate that is not there")
	}
	r.write("node.yaml", r.config(settings(other)))
	if err := reload(); err != nil {
		t.Fatal(err)
	}
	r.isShown(r.overTLS(), third)
}

func TestStartFailsWithoutCertificate(t *testing.T) {
	f := &pairFiles{t, t.TempDir()}
	r := newRunning(t, fmt.Sprintf("dns: {listen: [\"127.0.0.1:0\"], tls: {listen: [\"127.0.0.1:0\"], certificate: %q, key: %q}}\n", f.chainFile(), f.keyFile()))
	config, err := loadConfig(r.path("node.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = newNode(r.path("node.yaml"), config, r.log); err == nil || !strings.Contains(err.Error(), "dns.tls.certificate: stat "+f.chainFile()) {
		t.Errorf("started with: %v", err)
	}
}

func TestTLSConfigurationIsChecked(t *testing.T) {
	for text, want := range map[string]string{
		"tls: {}": `dns.tls.listen: found "[]", expected at least one address and port`,
		`tls: {listen: ["127.0.0.1:853"], key: k}`:                          `dns.tls.certificate: found "", expected a file`,
		`tls: {listen: ["127.0.0.1:853"], certificate: c}`:                  `dns.tls.key: found "", expected a file`,
		`tls: {listen: ["853"], certificate: c, key: k}`:                    `x.yaml:4:18: dns.tls.listen[0]: found "853", expected an IP address and a port`,
		`tls: {listen: ["127.0.0.1:53"], certificate: c, key: k}`:           `dns.tls.listen[0]: found "127.0.0.1:53", expected an address that is not in dns.listen`,
		`tls: {listen: ["127.0.0.1:853"], certificate: c, key: k, cert: c}`: `unknown key "cert"`,
		`proxy_protocol_from: ["127.0.0.1/8"]`:                              `dns.proxy_protocol_from[0]: found "127.0.0.1/8", expected a network without host bits`,
	} {
		_, err := parseConfig("x.yaml", []byte("git: {url: /srv/mirrors.git}\ndns:\n  listen: [\"127.0.0.1:53\"]\n  "+text+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// A node that may open fewer files than it has places for connections says so.
func TestTooFewFilesAreToldOf(t *testing.T) {
	var log lockedBuffer
	n := &node{logger: zerolog.New(&log)}
	n.warnFiles(&config{DNS: dnsConfig{TCPConnections: 1}})
	if log.String() != "" {
		t.Errorf("for one connection:\n%s", &log)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<40 {
		t.Skipf("no limit of files: %v", err)
	}
	n.warnFiles(&config{DNS: dnsConfig{TCPConnections: int(limit.Cur)}})
	if !strings.Contains(log.String(), "LimitNOFILE=") || !strings.Contains(log.String(), fmt.Sprint(neededFiles(int(limit.Cur)))) {
		t.Errorf("for as many as there may be files:\n%s", &log)
	}
}
