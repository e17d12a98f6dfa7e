package history

import "github.com/prometheus/client_golang/prometheus"

// metrics tell how remembering goes.
type metrics struct {
	dropped  prometheus.Counter
	failed   prometheus.Counter
	replaced prometheus.Counter
	written  prometheus.Gauge
	bytes    prometheus.Gauge
	open     prometheus.GaugeFunc
}

func newMetrics(h *History) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	return &metrics{
		dropped: counter("mirrorpool_history_dropped_total",
			"What was found by checks and is not remembered, since it could not be written for too long: incidents, marks, and days of single targets."),
		failed:   counter("mirrorpool_history_failures_total", "Failures to write the history; what was to be written is tried again."),
		replaced: counter("mirrorpool_history_replaced_total", "Damaged history files that were put aside."),
		written:  gauge("mirrorpool_history_written_timestamp_seconds", "When the history was last written."),
		bytes:    gauge("mirrorpool_history_bytes", "Size of the history file when it was last kept in bounds, once a day."),
		open: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "mirrorpool_history_open_incidents",
			Help: "Incidents that go on: targets that are down.",
		}, h.countOpen),
	}
}

func (m *metrics) drop(count int) {
	if count > 0 {
		m.dropped.Add(float64(count))
	}
}

// Collectors are the History's metrics, to be registered once.
func (h *History) Collectors() []prometheus.Collector {
	m := h.metrics
	return []prometheus.Collector{m.dropped, m.failed, m.replaced, m.written, m.bytes, m.open}
}

func (h *History) countOpen() float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	count := 0
	for _, t := range h.tracks {
		if t.incident != nil {
			count++
		}
	}
	return float64(count)
}
