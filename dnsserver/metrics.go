package dnsserver

import (
	"github.com/prometheus/client_golang/prometheus"

	"mirrorpool/zones"
)

// Values of the label "reason". There are only those below and the faults.
const (
	dropShort    = "short"     // not even a header
	dropResponse = "response"  // QR is set
	dropNotReady = "not_ready" // no table yet
	dropSource   = "source"    // nobody can be answered at port 0

	failurePanic = "panic"
	failurePack  = "pack"
)

// metrics are what the server counts. Pools and members are labels as the
// table names them; nothing that a client sends is one.
type metrics struct {
	queries     *prometheus.CounterVec
	choices     *prometheus.CounterVec
	truncated   *prometheus.CounterVec
	malformed   *prometheus.CounterVec
	dropped     *prometheus.CounterVec
	failures    *prometheus.CounterVec
	sockets     *prometheus.CounterVec
	connections prometheus.Gauge
	evicted     prometheus.Counter
}

func newMetrics() *metrics {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "mirrorpool_dns_" + name, Help: help}, labels)
	}
	return &metrics{
		queries: vec("queries_total",
			"Questions answered, by pool (empty: no pool's name), response code and transport (udp, tcp).",
			"pool", "rcode", "transport"),
		choices: vec("choices_total",
			"Members given, by pool and by whether they came first.", "pool", "member", "position"),
		truncated: vec("truncated_total", "Answers with TC set.", "transport"),
		malformed: vec("malformed_total", "Questions answered with FORMERR, by what was wrong.", "reason"),
		dropped:   vec("dropped_total", "Packets that got silence.", "reason"),
		failures:  vec("failures_total", "Questions answered with SERVFAIL by a fault of this program.", "reason"),
		sockets:   vec("socket_errors_total", "System calls that failed.", "operation"),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mirrorpool_dns_tcp_connections", Help: "Open TCP connections.",
		}),
		evicted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mirrorpool_dns_tcp_evicted_total", Help: "TCP connections closed to make room for new ones.",
		}),
	}
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		m.queries, m.choices, m.truncated, m.malformed, m.dropped, m.failures, m.sockets, m.connections, m.evicted,
	}
}

// counters are one worker's handles on the metrics, kept so that counting is
// an atomic addition. There are as many as tables had pools and members.
type counters struct {
	metrics *metrics
	queries map[queryKey]prometheus.Counter
	choices map[choiceKey]prometheus.Counter
}

type queryKey struct {
	pool  string
	rcode int
	over  transport
}

type choiceKey struct {
	pool, member string
	first        bool
}

func newCounters(m *metrics) *counters {
	return &counters{
		metrics: m,
		queries: make(map[queryKey]prometheus.Counter),
		choices: make(map[choiceKey]prometheus.Counter),
	}
}

func (c *counters) answered(pool string, rcode int, over transport) {
	key := queryKey{pool, rcode, over}
	counter, ok := c.queries[key]
	if !ok {
		counter = c.metrics.queries.WithLabelValues(pool, rcodeName(rcode), string(over))
		c.queries[key] = counter
	}
	counter.Inc()
}

// chose counts the members of an answer of which so many drawn records were
// given: those of which at least one record was.
func (c *counters) chose(a *zones.Answer, given int) {
	for i, member := range a.Members {
		if given <= 0 {
			return
		}
		if i < len(a.MemberRecords) {
			given -= a.MemberRecords[i]
		} else {
			given--
		}
		key := choiceKey{a.Pool, member, i == 0}
		counter, ok := c.choices[key]
		if !ok {
			position := "other"
			if i == 0 {
				position = "first"
			}
			counter = c.metrics.choices.WithLabelValues(a.Pool, member, position)
			c.choices[key] = counter
		}
		counter.Inc()
	}
}

func (c *counters) truncated(over transport) {
	c.metrics.truncated.WithLabelValues(string(over)).Inc()
}
func (c *counters) malformed(f fault)    { c.metrics.malformed.WithLabelValues(string(f)).Inc() }
func (c *counters) drop(reason string)   { c.metrics.dropped.WithLabelValues(reason).Inc() }
func (c *counters) failed(reason string) { c.metrics.failures.WithLabelValues(reason).Inc() }

// rcodeName is a response code in words. The library's name for 16 is that of
// TSIG; ours is EDNS's.
func rcodeName(rcode int) string {
	switch rcode {
	case 0:
		return "NOERROR"
	case 1:
		return "FORMERR"
	case 2:
		return "SERVFAIL"
	case 3:
		return "NXDOMAIN"
	case 4:
		return "NOTIMP"
	case 5:
		return "REFUSED"
	case 6:
		return "YXDOMAIN"
	case 16:
		return "BADVERS"
	}
	return "other"
}
