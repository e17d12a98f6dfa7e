//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mirrorpool/bench/load"
)

// robustNames are asked for by what becomes the corpus: names of each kind that
// the repository has.
var robustNames = []string{
	poolName + ".", "w.example.test.", "alias.example.test.", "any.wild.example.test.", "below.old.example.test.",
	"host.sub.example.test.", "host1.example.test.", "big.example.test.", "sv.example.test.", "no.example.test.", ".",
}

// robustRecords are records beside the ordinary ones.
const robustRecords = `w IN CNAME dl
alias IN CNAME w
*.wild IN TXT "any"
old IN DNAME new
below.new IN TXT "through a DNAME"
sub IN NS ns.sub
ns.sub IN A 127.0.0.99
sv IN HTTPS 1 host1 alpn=h2
sv IN SRV 1 2 3 host1
sv IN CAA 0 issue "ca.test"
a.b.c IN TXT "below empty non-terminals"
loop1 IN CNAME loop2
loop2 IN CNAME loop1
`

// robustNode is a node with everything on that packets come to.
type robustNode struct {
	server  *server
	admin   string         // where it tells its metrics
	secure  string         // where it answers over TLS
	trusted *x509.CertPool // its certificate
	site    *site
	files   certificateFiles
}

type certificateFiles struct{ certificate, key string }

func newRobustNode(ctx context.Context, program, directory string, members *memberListeners) (*robustNode, error) {
	content, err := ordinaryContent(members)
	if err != nil {
		return nil, err
	}
	zone := "zones/" + zoneName + ".zone"
	content[zone] += robustRecords
	for i := range 40 {
		content[zone] += fmt.Sprintf("big IN TXT \"%0100d\"\n", i)
	}
	home := filepath.Join(directory, "site")
	if err := os.Mkdir(home, 0o700); err != nil {
		return nil, fmt.Errorf("making a directory for the repository: %w", err)
	}
	node := &robustNode{}
	if node.site, err = newSite(ctx, program, home, content); err != nil {
		return nil, err
	}
	if node.files, node.trusted, err = writeCertificate(home); err != nil {
		return nil, err
	}
	node.server = oursAsServer(oursName, node.site)
	node.server.command = node.command
	return node, nil
}

// robustConfiguration leaves rate limits and all else as they are by default:
// loopback addresses are exempt.
const robustConfiguration = `git:
  url: %s
  branch: main
  poll: %s
state_dir: %s
dns:
  listen: ["127.0.0.1:%d"]
  tls:
    listen: ["%s"]
    certificate: %s
    key: %s
  nsid: robust
  version: mirrorpool
  identity: robust
http:
  listen: []
admin:
  listen: %s
geo:
  overrides: %s
log:
  level: info
`

// command writes the configuration for a start.
func (n *robustNode) command(o startOptions) (*exec.Cmd, error) {
	for _, address := range []*string{&n.admin, &n.secure} {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		*address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	file := filepath.Join(o.directory, "mirrorpool.yaml")
	text := fmt.Sprintf(robustConfiguration, n.site.remote, n.site.poll, n.site.state, o.port, n.secure,
		n.files.certificate, n.files.key, n.admin, n.site.overrides)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	return exec.Command(n.site.program, "serve", "--config", file), nil
}

// goodQuestions have one right answer each, or one of a known form.
func (n *robustNode) goodQuestions() ([]load.Question, error) {
	var all []load.Question
	for _, ask := range []func(*server) ([]load.Question, error){
		poolQuestions(1, 1, load.Form{}), poolQuestions(1, 1, load.Form{EDNS: true}), staticQuestions(load.Form{}), missingQuestions(load.Form{}),
	} {
		questions, err := ask(n.server)
		if err != nil {
			return nil, err
		}
		all = append(all, questions[:min(len(questions), 5)]...)
	}
	return all, nil
}

// writeCertificate makes a certificate for 127.0.0.1 that lasts a day.
func writeCertificate(directory string) (files certificateFiles, trusted *x509.CertPool, err error) {
	fail := func(err error) (certificateFiles, *x509.CertPool, error) {
		return certificateFiles{}, nil, fmt.Errorf("making a certificate: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return fail(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fail(err)
	}
	files = certificateFiles{filepath.Join(directory, "certificate.pem"), filepath.Join(directory, "key.pem")}
	for file, block := range map[string]*pem.Block{
		files.certificate: {Type: "CERTIFICATE", Bytes: certificate}, files.key: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			return fail(err)
		}
	}
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		return fail(err)
	}
	trusted = x509.NewCertPool()
	trusted.AddCert(parsed)
	return files, trusted, nil
}

// dial connects for messages over TCP or TLS.
func (n *robustNode) dial(over, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: answerWithin}
	if over != "tls" {
		return dialer.Dial("tcp", address)
	}
	return tls.DialWithDialer(dialer, "tcp", n.secure, &tls.Config{RootCAs: n.trusted, NextProtos: []string{"dot"}})
}

// metrics are sums over what the server counts: "queries TRANSPORT" and
// "failures".
func (n *robustNode) metrics(ctx context.Context) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.admin+"/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("asking for the metrics: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking for the metrics: %w", err)
	}
	defer response.Body.Close()
	sums := make(map[string]float64)
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		addMetric(sums, lines.Text())
	}
	if err := lines.Err(); err != nil || response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("reading the metrics: status %d, %w", response.StatusCode, err)
	}
	return sums, nil
}

// addMetric adds a line of the metrics to the sums that it belongs to.
func addMetric(sums map[string]float64, line string) {
	space := strings.LastIndexByte(line, ' ')
	value, err := strconv.ParseFloat(line[space+1:], 64)
	if err != nil {
		return
	}
	switch {
	case strings.HasPrefix(line, "mirrorpool_dns_queries_total{"):
		_, rest, _ := strings.Cut(line, `transport="`)
		over, _, _ := strings.Cut(rest, `"`)
		sums["queries "+over] += value
	case strings.HasPrefix(line, "mirrorpool_dns_failures_total"):
		sums["failures"] += value
	}
}
