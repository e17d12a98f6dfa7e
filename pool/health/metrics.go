package health

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mirrorpool/pool"
)

// metrics counts probes, by kind and outcome, never by target.
type metrics struct {
	duration *prometheus.HistogramVec
	total    *prometheus.CounterVec
	delay    prometheus.Histogram
	running  prometheus.Gauge
	frozen   *prometheus.GaugeVec
}

func newMetrics() *metrics {
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "mirrorpool_probe_duration_seconds",
			Help:    "Time that health probes took, by kind of check and result.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"kind", "result"}),
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mirrorpool_probes_total",
			Help: "Health probes that have ended, by result.",
		}, []string{"result"}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "mirrorpool_probe_start_delay_seconds",
			Help:    "How late health probes were started, for want of rate or of free places.",
			Buckets: []float64{.01, .1, 1, 5, 10, 30, 60, 300},
		}),
		running: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mirrorpool_probes_running",
			Help: "Health probes under way.",
		}),
		frozen: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mirrorpool_health_frozen",
			Help: "1 while failures of health probes over an address family do not count, since so many came at once.",
		}, []string{"family"}),
	}
	for _, family := range families {
		m.setFrozen(family, false)
	}
	return m
}

// setFrozen notes whether failures of a family do not count.
func (m *metrics) setFrozen(family Family, frozen bool) {
	value := 0.0
	if frozen {
		value = 1
	}
	m.frozen.WithLabelValues(string(family)).Set(value)
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.duration, m.total, m.delay, m.running, m.frozen}
}

// started notes a probe that begins so late.
func (m *metrics) started(late time.Duration) {
	m.delay.Observe(late.Seconds())
	m.running.Inc()
}

// ended notes that a probe is no longer under way.
func (m *metrics) ended() { m.running.Dec() }

// observe counts a probe that says something of its target.
func (m *metrics) observe(kind string, outcome Outcome, took time.Duration) {
	m.duration.WithLabelValues(kind, string(outcome)).Observe(took.Seconds())
	m.total.WithLabelValues(string(outcome)).Inc()
}

// kindOf is the kind by which a probe of a target is counted.
func kindOf(t Target) string {
	switch t.Probe.Kind {
	case pool.CheckTCP, pool.CheckHTTP, pool.CheckHTTPS, pool.CheckRsync, pool.CheckExec:
		return string(t.Probe.Kind)
	}
	return "other"
}
