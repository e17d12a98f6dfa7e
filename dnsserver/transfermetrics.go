package dnsserver

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// What was asked for, as values of a label.
const (
	kindAXFR = "axfr"
	kindIXFR = "ixfr"
)

// What became of it, as values of a label.
const (
	transferWhole       = "whole"       // the whole zone was given
	transferDifferences = "differences" // what has changed since the client's version was
	transferCurrent     = "current"     // the SOA alone: there is nothing newer, or over UDP, not all of it fits
	transferAhead       = "ahead"       // the SOA alone: the client has a later serial, which is not from here
	transferRefused     = "refused"     // who asks gets no zones, or not this way
	transferNotHere     = "not_here"    // there is no such zone
	transferNotReady    = "not_ready"   // there are no zones yet
	transferMalformed   = "malformed"   // the request cannot be read
	transferBusy        = "busy"        // there are too many already
	transferBroken      = "broken"      // the connection ended before the last message
	transferFailed      = "failed"      // a record cannot be packed, or making a message has panicked
)

// transferMetrics are what is counted of transfers. Zones and clients are no labels.
type transferMetrics struct {
	total   *prometheus.CounterVec
	bytes   prometheus.Counter
	running atomic.Int64
	now     prometheus.GaugeFunc
}

func newTransferMetrics() *transferMetrics {
	m := &transferMetrics{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mirrorpool_dns_transfers_total",
			Help: "Requests for zones, by kind (axfr, ixfr) and by what became of them (whole, differences, current, ahead, refused, not_here, not_ready, malformed, busy, broken, failed).",
		}, []string{"kind", "result"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mirrorpool_dns_transfer_bytes_total", Help: "Bytes of the messages of transfers.",
		}),
	}
	m.now = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "mirrorpool_dns_transfers_in_progress", Help: "Transfers that go on now.",
	}, func() float64 { return float64(m.running.Load()) })
	return m
}

func (m *transferMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.total, m.bytes, m.now}
}

func (m *transferMetrics) count(kind, result string) { m.total.WithLabelValues(kind, result).Inc() }

func (m *transferMetrics) finished(kind, result string, bytes int) {
	m.count(kind, result)
	m.bytes.Add(float64(bytes))
}

// begin takes one of so many places; end gives it back.
func (m *transferMetrics) begin(most int) bool {
	if m.running.Add(1) <= int64(most) {
		return true
	}
	m.running.Add(-1)
	return false
}

func (m *transferMetrics) end() { m.running.Add(-1) }
