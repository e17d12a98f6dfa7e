package dnsserver

import "github.com/prometheus/client_golang/prometheus"

// tcpMetrics are what is counted of connections. Networks are no label.
type tcpMetrics struct {
	tlsMetrics
	open           prometheus.Gauge
	evicted        *prometheus.CounterVec
	evictedTotal   prometheus.Counter // of evicted
	evictedNetwork prometheus.Counter // of evicted
	expired        prometheus.Counter
}

func newTCPMetrics() *tcpMetrics {
	evicted := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mirrorpool_dns_tcp_evicted_total",
		Help: "TCP connections closed to make room for new ones, by the cap that was reached (total, network).",
	}, []string{"cap"})
	return &tcpMetrics{
		tlsMetrics: newTLSMetrics(),
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mirrorpool_dns_tcp_connections", Help: "Open TCP connections, those over TLS among them.",
		}),
		evicted:        evicted,
		evictedTotal:   evicted.WithLabelValues("total"),
		evictedNetwork: evicted.WithLabelValues("network"),
		expired: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mirrorpool_dns_tcp_expired_total",
			Help: "TCP connections closed because the client was quiet or slow for too long.",
		}),
	}
}

func (m *tcpMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.open, m.evicted, m.expired, m.handshakes, m.failures, m.broken}
}
