package dnsserver

import (
	"math/bits"
	"sync"

	"github.com/miekg/dns"
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
	types       *prometheus.CounterVec
	edns        *prometheus.CounterVec
	cookies     *prometheus.CounterVec
	signatures  *prometheus.CounterVec
	unusual     *prometheus.CounterVec
	limited     *prometheus.CounterVec
	truncated   *prometheus.CounterVec
	malformed   *prometheus.CounterVec
	dropped     *prometheus.CounterVec
	failures    *prometheus.CounterVec
	sockets     *prometheus.CounterVec
	connections *tcpMetrics
	transfers   *transferMetrics

	mu      sync.Mutex
	workers []*counters
}

func newMetrics() *metrics {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "mirrorpool_dns_" + name, Help: help}, labels)
	}
	return &metrics{
		queries: vec("queries_total",
			"Questions answered, by pool (empty: no pool's name), response code and transport (udp, tcp, tls).",
			"pool", "rcode", "transport"),
		choices: vec("choices_total",
			"Members given, by pool and by whether they came first.", "pool", "member", "position"),
		types: vec("questions_total", "Questions of class IN that could be read, by type.", "type"),
		edns: vec("edns_total",
			"Requests with EDNS (opt), and what was in it: flags, versions and options.", "feature"),
		cookies: vec("cookies_total",
			"Requests with a cookie, by the server's part of it (new: none yet; good; bad).", "state"),
		signatures: vec("tsig_total",
			"Requests with a TSIG, by what it was found to be (good, badkey, badsig, badtime, badtrunc).", "result"),
		unusual: vec("unusual_total", "Requests that are no plain questions of class IN, by what they were.", "kind"),
		limited: vec("rate_limited_total",
			"Answers over the rate limit, by kind and by what became of them (dropped, truncated, badcookie; slipped: an error sent as it is).", "kind", "action"),
		truncated:   vec("truncated_total", "Answers with TC set, also where the rate limit held them back.", "transport"),
		malformed:   vec("malformed_total", "Questions answered with FORMERR, by what was wrong.", "reason"),
		dropped:     vec("dropped_total", "Packets that got silence.", "reason"),
		failures:    vec("failures_total", "Questions answered with SERVFAIL, and transfers broken off, by a fault of this program.", "reason"),
		sockets:     vec("socket_errors_total", "System calls that failed.", "operation"),
		connections: newTCPMetrics(), transfers: newTransferMetrics(),
	}
}

func (m *metrics) collectors() []prometheus.Collector {
	return append(append(m.connections.collectors(), m.transfers.collectors()...),
		summed{m}, m.signatures, m.unusual, m.limited, m.truncated, m.malformed, m.dropped, m.failures, m.sockets)
}

// summed are the metrics to which workers' own numbers are added when they are
// read.
type summed struct{ *metrics }

// Describe is prometheus.Collector's.
func (s summed) Describe(to chan<- *prometheus.Desc) {
	for _, one := range s.all() {
		one.Describe(to)
	}
}

// Collect is prometheus.Collector's.
func (s summed) Collect(to chan<- prometheus.Metric) {
	s.sum()
	for _, one := range s.all() {
		one.Collect(to)
	}
}

func (s summed) all() []*prometheus.CounterVec {
	return []*prometheus.CounterVec{s.queries, s.choices, s.types, s.edns, s.cookies}
}

// sum adds up what workers have counted.
func (m *metrics) sum() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.workers {
		counted, tallies := c.take()
		m.addNumbers(&counted, c.over)
		for _, tally := range tallies {
			m.add(tally, c.over)
		}
	}
}

// addNumbers adds what a worker has counted in plain numbers.
func (m *metrics) addNumbers(n *numbers, over transport) {
	for rcode, count := range n.plain {
		if count > 0 {
			m.queries.WithLabelValues("", rcodeName(rcode), string(over)).Add(float64(count))
		}
	}
	for slot, count := range n.types {
		if count > 0 {
			m.types.WithLabelValues(typeName(slot)).Add(float64(count))
		}
	}
	for bit, count := range n.features {
		if count > 0 {
			m.edns.WithLabelValues(featureNames[bit]).Add(float64(count))
		}
	}
	for state, name := range cookieNames {
		if count := n.cookies[state]; name != "" && count > 0 {
			m.cookies.WithLabelValues(name).Add(float64(count))
		}
	}
}

// add adds a tally that no worker writes to any more.
func (m *metrics) add(y *zones.Tally, over transport) {
	y.Each(func(pool string, n uint64) {
		m.queries.WithLabelValues(pool, rcodeName(0), string(over)).Add(float64(n))
	}, func(pool, member string, first bool, n uint64) {
		m.choices.WithLabelValues(pool, member, position(first)).Add(float64(n))
	})
}

// counters are one worker's part in the metrics: handles on them, kept so that
// counting is an atomic addition, and numbers of its own for what is counted
// most, which go into the metrics when somebody reads them.
type counters struct {
	metrics *metrics
	over    transport
	queries map[queryKey]prometheus.Counter
	choices map[choiceKey]prometheus.Counter
	limits  map[limitKey]prometheus.Counter

	// mu is held while a batch is answered, and by who reads.
	mu sync.Mutex
	numbers
	tally *zones.Tally // questions for pools; nil: there are none yet
	// retired are the tallies of commits that are served no more.
	retired []*zones.Tally
}

// numbers are counted without looking anything up.
type numbers struct {
	plain    [rcodes]uint64 // questions for no pool, by response code
	types    [typeSlots + 1]uint64
	features [len(featureNames)]uint64
	cookies  [len(cookieNames)]uint64
}

// cookieNames are the values of a label.
var cookieNames = [...]string{cookieNew: "new", cookieGood: "good", cookieBad: "bad"}

// maxRetired is how many tallies of former commits wait for somebody to read.
// Each holds its commit's definition; past it the worker adds them up itself.
const maxRetired = 4

// rcodes is how many response codes fit a header.
const rcodes = 16

type queryKey struct {
	pool  string
	rcode int
	over  transport
}

type choiceKey struct {
	pool, member string
	first        bool
}

type limitKey struct {
	kind   responseKind
	action string
}

func newCounters(m *metrics, over transport) *counters {
	c := &counters{
		metrics: m,
		over:    over,
		queries: make(map[queryKey]prometheus.Counter),
		choices: make(map[choiceKey]prometheus.Counter),
		limits:  make(map[limitKey]prometheus.Counter),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.workers = append(m.workers, c)
	return c
}

// tallyFor gives the tally for a table, with mu held. Tables of one commit share
// it; that of another commit is left to whoever reads next.
func (c *counters) tallyFor(table *zones.Table) *zones.Tally {
	if c.tally != nil && c.tally.Fits(table) {
		return c.tally
	}
	if c.tally != nil {
		c.retired = append(c.retired, c.tally)
	}
	if len(c.retired) > maxRetired {
		for _, tally := range c.retired {
			c.metrics.add(tally, c.over)
		}
		c.retired = nil
	}
	c.tally = table.NewTally()
	return c.tally
}

// take gives what was counted, and starts anew.
func (c *counters) take() (counted numbers, tallies []*zones.Tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	counted, tallies = c.numbers, c.retired
	if c.tally != nil {
		tallies = append(tallies, c.tally)
	}
	c.numbers, c.retired, c.tally = numbers{}, nil, nil
	return counted, tallies
}

// noticed counts what a request is, with mu held.
func (c *counters) noticed(q *request) {
	c.saw(q.edns.seen)
	c.cookies[q.cookie]++
	kind, named := unusualOpcodes[q.opcode()]
	switch {
	case named:
	case q.opcode() != dns.OpcodeQuery:
		kind = unusualOpcode
	case q.fault != faultNone:
		return
	case q.signature.Present():
		kind = unusualTSIG
	case q.asksNothing:
		kind = unusualCookie
	case q.class == dns.ClassINET:
		c.types[typeSlot(q.qtype)]++
		return
	case q.class == dns.ClassCHAOS:
		kind = unusualChaos
	default:
		kind = unusualClass
	}
	c.metrics.unusual.WithLabelValues(string(kind)).Inc()
}

// noticedOnWire is noticed for a question that the wire path answers.
func (c *counters) noticedOnWire(kind uint16, e *wireEDNS) {
	c.types[typeSlot(kind)]++
	if e.present {
		c.saw(e.seen)
		c.cookies[e.cookie]++
	}
}

func (c *counters) saw(seen features) {
	for ; seen != 0; seen &= seen - 1 {
		c.features[bits.TrailingZeros16(uint16(seen))]++
	}
}

// limited counts an answer over the rate limit.
func (c *counters) limited(kind responseKind, action string) {
	key := limitKey{kind, action}
	counter, ok := c.limits[key]
	if !ok {
		counter = c.metrics.limited.WithLabelValues(kind.String(), action)
		c.limits[key] = counter
	}
	counter.Inc()
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
			counter = c.metrics.choices.WithLabelValues(a.Pool, member, position(i == 0))
			c.choices[key] = counter
		}
		counter.Inc()
	}
}

func (c *counters) truncated(over transport) {
	c.metrics.truncated.WithLabelValues(string(over)).Inc()
}

func (c *counters) signature(code uint16) {
	c.metrics.signatures.WithLabelValues(signatureResults[code]).Inc()
}
func (c *counters) malformed(f fault)    { c.metrics.malformed.WithLabelValues(string(f)).Inc() }
func (c *counters) drop(reason string)   { c.metrics.dropped.WithLabelValues(reason).Inc() }
func (c *counters) failed(reason string) { c.metrics.failures.WithLabelValues(reason).Inc() }

// position is a place in an answer as the value of a label.
func position(first bool) string {
	if first {
		return "first"
	}
	return "other"
}

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
	case 9:
		return "NOTAUTH"
	case 16:
		return "BADVERS"
	case 23:
		return "BADCOOKIE"
	}
	return "other"
}
