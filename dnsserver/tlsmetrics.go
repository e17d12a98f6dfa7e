package dnsserver

import (
	"crypto/tls"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// tlsMetrics are what is counted of handshakes, and of TLS after them.
type tlsMetrics struct {
	handshakes *prometheus.CounterVec
	failures   *prometheus.CounterVec
	broken     prometheus.Counter
}

func newTLSMetrics() tlsMetrics {
	return tlsMetrics{
		handshakes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mirrorpool_dns_tls_handshakes_total",
			Help: "TLS handshakes, by version (1.2, 1.3) and by whether the client came back with a ticket.",
		}, []string{"version", "resumed"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mirrorpool_dns_tls_handshake_failures_total",
			Help: "TLS handshakes that failed, by reason (alpn, version, certificate, not_tls, refused, timeout, closed, too_large, other).",
		}, []string{"reason"}),
		broken: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mirrorpool_dns_tls_broken_total",
			Help: "Connections over TLS that ended after the handshake because what came is not TLS as it has to be.",
		}),
	}
}

func (m *tlsMetrics) shookHands(state tls.ConnectionState) {
	version := "1.3"
	if state.Version == tls.VersionTLS12 {
		version = "1.2"
	}
	m.handshakes.WithLabelValues(version, strconv.FormatBool(state.DidResume)).Inc()
}

func (m *tlsMetrics) handshakeFailed(reason string) { m.failures.WithLabelValues(reason).Inc() }
