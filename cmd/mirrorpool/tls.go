package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mirrorpool/dnsserver"
)

// maxCertificateFile is more than the longest chain takes.
const maxCertificateFile = 1 << 20

// tlsConfig is for DNS over TLS.
type tlsConfig struct {
	Listen      []string `yaml:"listen"`
	Certificate string   `yaml:"certificate"`
	Key         string   `yaml:"key"`
}

func (t *tlsConfig) validate(v *validation, plain []string) {
	if t == nil {
		return
	}
	if len(t.Listen) == 0 {
		v.wrong("dns.tls.listen", "[]", `at least one address and port, such as ["0.0.0.0:853", "[::]:853"]`)
	}
	v.listen("dns.tls.listen", t.Listen)
	for i, address := range t.Listen {
		if slices.Contains(plain, address) && !strings.HasSuffix(address, ":0") {
			v.wrong(fmt.Sprintf("dns.tls.listen[%d]", i), address, "an address that is not in dns.listen: DNS over TLS has port 853")
		}
	}
	if t.Certificate == "" {
		v.wrong("dns.tls.certificate", "", "a file with the certificate and its chain, in PEM")
	}
	if t.Key == "" {
		v.wrong("dns.tls.key", "", "a file with the certificate's key, in PEM")
	}
}

// tlsListen are the addresses for DNS over TLS.
func (d *dnsConfig) tlsListen() []string {
	if d.TLS == nil {
		return nil
	}
	return d.TLS.Listen
}

// certificate is what is shown to clients over TLS, from files that are read again
// and again. Files that have become bad change nothing. It is safe for concurrent
// use.
type certificate struct {
	chainFile, keyFile string
	shown              atomic.Pointer[tls.Certificate]

	mutex      sync.Mutex
	chain, key []byte // of shown
	exposed    bool   // others than the file's owner and group may read the key
}

// openCertificate reads the files; without a configuration there is none.
func openCertificate(config *tlsConfig) (*certificate, error) {
	if config == nil {
		return nil, nil
	}
	c := &certificate{chainFile: config.Certificate, keyFile: config.Key}
	if _, err := c.refresh(); err != nil {
		return nil, err
	}
	return c, nil
}

// reopen gives the certificate of a configuration that may name other files.
func (c *certificate) reopen(config *tlsConfig) (*certificate, error) {
	if c != nil && config != nil && c.chainFile == config.Certificate && c.keyFile == config.Key {
		return c, nil
	}
	return openCertificate(config)
}

// isExposed reports whether any user of the machine may read the key.
func (c *certificate) isExposed() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.exposed
}

// refresh reads the files and reports whether they hold another certificate now.
// A pair of which only one half has been replaced is an error, and read again the
// next time.
func (c *certificate) refresh() (changed bool, err error) {
	chain, _, err := pemFiles.read(c.chainFile)
	if err != nil {
		return false, fmt.Errorf("dns.tls.certificate: %w", err)
	}
	key, mode, err := pemFiles.read(c.keyFile)
	if err != nil {
		return false, fmt.Errorf("dns.tls.key: %w", err)
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if bytes.Equal(chain, c.chain) && bytes.Equal(key, c.key) {
		c.exposed = mode.Perm()&0o004 != 0
		return false, nil
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err == nil && pair.Leaf == nil {
		pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0])
	}
	if err != nil {
		return false, fmt.Errorf("dns.tls: %s with %s: %w: expected a certificate with its chain and the key that belongs to it, both in PEM",
			c.chainFile, c.keyFile, err)
	}
	c.shown.Store(&pair)
	c.chain, c.key, c.exposed = chain, key, mode.Perm()&0o004 != 0
	return true, nil
}

// pemFiles are those of a certificate and its key.
var pemFiles = smallFile{
	most:      maxCertificateFile,
	missing:   "write it there, or take dns.tls out",
	irregular: "name a file in PEM, or take dns.tls out",
	large:     "name a file in PEM of the certificate with its chain, or of its key, alone",
}

// openCertificate reads the certificate at the start, where a mistake is the
// operator's to mend.
func (n *node) openCertificate(config *config) (err error) {
	if config.certificate, err = openCertificate(config.DNS.TLS); err != nil {
		return err
	}
	n.warnCertificate(config.certificate)
	return nil
}

// warnCertificate tells what is legal and not good.
func (n *node) warnCertificate(c *certificate) {
	if c == nil {
		return
	}
	n.warnKey(c)
	n.warnValidity(c)
}

func (n *node) warnValidity(c *certificate) {
	leaf := c.shown.Load().Leaf
	if now := time.Now(); now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		n.logger.Warn().Str("file", c.chainFile).Time("from", leaf.NotBefore).Time("until", leaf.NotAfter).
			Msg("clients that check the certificate refuse it: it is not valid now")
	}
}

func (n *node) warnKey(c *certificate) {
	if c.isExposed() {
		n.logger.Warn().Str("file", c.keyFile).
			Msg("every user of this machine may read the key of the certificate: chmod 640")
	}
}

// tls is what the name server takes for DNS over TLS. Which certificate it shows
// is what the configuration in force says, or, before this one is in force, it
// itself.
func (n *node) tls(config *config) dnsserver.TLSConfig {
	return dnsserver.TLSConfig{
		Listen: config.DNS.tlsListen(),
		Certificate: func() *tls.Certificate {
			c := n.config.Load().certificate
			if c == nil {
				c = config.certificate
			}
			return c.shown.Load()
		},
	}
}

// certificateFollow looks at the files until ctx ends.
func (n *node) certificateFollow(ctx context.Context) {
	for sleep(ctx, rereadInterval) {
		n.refreshCertificate()
	}
}

// refreshCertificate reads the files now; the next client is shown what they hold.
func (n *node) refreshCertificate() {
	c := n.config.Load().certificate
	if c == nil {
		n.stages.succeed(stageTLS) // that it failed before TLS was turned off is no matter any more
		return
	}
	if n.reread(c, stageTLS, "certificate and its key", func() { n.warnKey(c) }) {
		n.logger.Info().Time("until", c.shown.Load().Leaf.NotAfter).Msg("another certificate is in use")
		n.warnValidity(c)
	}
}

// certificateExpiry is the metric of the certificate in use; there is none without
// TLS.
type certificateExpiry struct{ node *node }

var certificateExpiryDescription = prometheus.NewDesc("mirrorpool_dns_tls_certificate_expiry_seconds",
	"When the certificate for DNS over TLS expires, in Unix time.", nil, nil)

// Describe is prometheus.Collector's.
func (certificateExpiry) Describe(to chan<- *prometheus.Desc) { to <- certificateExpiryDescription }

// Collect is prometheus.Collector's.
func (e certificateExpiry) Collect(to chan<- prometheus.Metric) {
	if c := e.node.config.Load().certificate; c != nil {
		to <- prometheus.MustNewConstMetric(certificateExpiryDescription, prometheus.GaugeValue,
			float64(c.shown.Load().Leaf.NotAfter.Unix()))
	}
}
