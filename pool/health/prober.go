package health

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mirrorpool/pool"
)

// Config is what a Prober depends on. The zero Config is ready for use.
type Config struct {
	// Now is the wall clock: what states tell, how old traces are, whether
	// certificates are valid. nil: time.Now. The schedule follows the
	// machine's monotonic clock instead, which no one sets back.
	Now func() time.Time
	// Random is where phases and jitter come from; nil: a seed of its own.
	// The Prober keeps it for itself.
	Random rand.Source
	// Rate is how many probes are started in a second at most; 0 or less:
	// DefaultRate.
	Rate float64
	// Concurrency is how many probes are under way at most; 0 or less: as many
	// as Rate permits to start within two seconds, and 256 at the least.
	Concurrency int

	// Dial makes connections to an address and port ("127.0.0.1:80"), to
	// those of SetControl as well; nil: directly, as net.Dialer does. It has to return when its context ends.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Resolver finds the addresses of mirrors' names; nil: the machine's.
	Resolver Resolver
	// RootCAs are the authorities that certificates may be signed by; nil:
	// those of the machine.
	RootCAs *x509.CertPool
	// UserAgent is the header of that name; empty: "mirrorpool/1".
	UserAgent string
	// Probe takes the place of all checks: it asks a target once, and has to
	// return when its context ends, which it does after the probe's timeout.
	// nil: tcp, http and https, by the settings above.
	Probe func(ctx context.Context, t Target) Result
	// Observe is told of every probe that counts, one at a time and in their order. It
	// must return at once; nil: nobody is.
	Observe func(Observation)
}

// Observation is a probe that has ended, and what it has made of its target. Of
// failures that do not count, since states are frozen, there is none.
type Observation struct {
	Target        Target
	Result        Result
	Before, After State // at After.Checked
	// TakenBack tells that there was no probe, and Result is empty: what took the
	// target down was this machine's own fault, and it is again what it was.
	TakenBack bool
}

// DefaultRate is the cap on probes started in a second where none is set: 10,000
// targets every 30 s need two thirds of it.
const DefaultRate = 500

// Defaults of Config, and of schedules that are out of range.
const (
	leastConcurrency = 256
	mostConcurrency  = 16_384
	defaultUserAgent = "mirrorpool/1"
	defaultInterval  = 30 * time.Second
	defaultTimeout   = 5 * time.Second
)

// Prober asks targets again and again and knows which are up. Its methods may
// be called from any goroutine.
type Prober struct {
	// Set by NewProber.
	now       func() time.Time
	check     func(ctx context.Context, t Target) Result
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	wished    int           // Config.Concurrency
	base      time.Time     // the schedule's zero, on the monotonic clock
	wake      chan struct{} // the schedule has changed
	changed   chan struct{}
	metrics   *metrics
	observe   func(Observation)
	programs  atomic.Pointer[Programs]
	processes chan struct{} // has a place for every process that may run

	jobs  chan func()                   // that Run does, see do
	ended atomic.Pointer[chan struct{}] // closed when Run ends; nil: it does not run

	report atomic.Pointer[Report]
	stale  atomic.Bool // report is older than the entries; written under mu

	mu      sync.Mutex // guards all that follows
	active  bool       // Run is running
	random  *rand.Rand
	entries []*entry // in the order of targets
	targets []Target // shared with reports, never written after it is made
	index   map[Target]int
	queue   queue // entries that are not being probed
	running int   // probes under way
	// Those of them that must not be many, and what waits for a place.
	forProcesses, forTransfers places
	earliest                   time.Duration
	restored                   carried // until the first SetTargets; then empty
	assigned                   bool    // SetTargets has been called

	rate        float64
	concurrency int
	gap         time.Duration // between two starts, by the rate

	watches   []*watch // of every family
	sites     sites    // that were counted last
	allFrozen bool     // every family that has targets

	beat   time.Duration // when tend was called last; negative: not yet
	stood  time.Duration // when the machine was last found to have stood still; negative: never
	wall   time.Time     // the wall clock at wallAt
	wallAt time.Duration
	turned time.Duration // when the wall clock was last found to have been set; negative: never

	told   time.Duration // when Changed fired last
	toTell bool          // it is to fire again, at tell
	tell   time.Duration
}

// NewProber makes a Prober without targets. It touches no network before Run.
func NewProber(config Config) *Prober {
	p := &Prober{
		now:       config.Now,
		check:     config.Probe,
		wished:    config.Concurrency,
		base:      time.Now(),
		wake:      make(chan struct{}, 1),
		jobs:      make(chan func()),
		changed:   make(chan struct{}, 1),
		metrics:   newMetrics(),
		observe:   config.Observe,
		processes: make(chan struct{}, MaxProcesses),
		index:     map[Target]int{},
		watches:   newWatches(),
		beat:      -1,
		stood:     -1,
		turned:    -1,
		told:      -nearerEvery,

		forProcesses: places{most: MaxProcesses},
		forTransfers: places{most: MaxTransfers},
	}
	if p.now == nil {
		p.now = time.Now
	}
	p.SetRate(config.Rate)
	source := config.Random
	if source == nil {
		source = rand.NewPCG(rand.Uint64(), rand.Uint64())
	}
	p.random = rand.New(source)
	c := newChecker(config, p.now)
	c.installed = &p.programs
	if p.dial = c.dial; p.check == nil {
		p.check = c.probe
	}
	p.report.Store(&Report{})
	return p
}

func newChecker(config Config, now func() time.Time) *checker {
	c := &checker{
		dial:      config.Dial,
		resolver:  config.Resolver,
		roots:     config.RootCAs,
		userAgent: config.UserAgent,
		now:       now,
	}
	if c.dial == nil {
		c.dial = (&net.Dialer{KeepAlive: -1}).DialContext
	}
	if c.resolver == nil {
		c.resolver = NewResolver("")
	}
	if c.userAgent == "" {
		c.userAgent = defaultUserAgent
	}
	return c
}

// Probe asks a target once, outside of the schedule, and keeps nothing of what
// it finds. It returns soon after ctx ends or the probe's timeout is over, which
// begins when there is a place for the processes that the probe starts.
func (p *Prober) Probe(ctx context.Context, t Target) Result {
	if startsProcess(t.Probe) {
		select {
		case p.processes <- struct{}{}:
			defer func() { <-p.processes }()
		case <-ctx.Done():
			return Result{Outcome: Failed, Reason: "cancelled (waiting for other processes)"}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, timeoutOf(t))
	defer cancel()
	result := guarded(ctx, p.check, t)
	if result.Outcome == "" {
		result.Outcome = Failed
	}
	if result.Reason == "" {
		result.Reason = string(result.Outcome)
	}
	return result
}

// timeoutOf is how long a probe of the target may take.
func timeoutOf(t Target) time.Duration {
	if t.Probe.Timeout > 0 {
		return t.Probe.Timeout
	}
	return defaultTimeout
}

// guarded takes a panic for a failure: one strange answer must not end the
// program.
func guarded(ctx context.Context, check func(context.Context, Target) Result, t Target) (result Result) {
	defer func() {
		if r := recover(); r != nil {
			result = Result{Outcome: Failed, Reason: clip(fmt.Sprintf("the probe panicked: %v", r))}
		}
	}()
	return check(ctx, t)
}

// SetPrograms tells what probes of rsync and exec start from now on. Until it is called
// there is nothing that they could.
func (p *Prober) SetPrograms(programs Programs) { p.programs.Store(&programs) }

// SetRate tells how many probes are started in a second at most from now on; 0 or less:
// DefaultRate. How many may be under way follows, where Config does not say it.
func (p *Prober) SetRate(rate float64) {
	if !(rate > 0) {
		rate = DefaultRate
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = rate
	p.gap = time.Duration(min(float64(time.Second)/rate, float64(time.Hour)))
	p.concurrency = p.wished
	if p.concurrency <= 0 {
		p.concurrency = max(leastConcurrency, int(min(2*rate, mostConcurrency)))
	}
	signal(p.wake)
}

// Rate is how many probes are started in a second at most.
func (p *Prober) Rate() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rate
}

// SetTargets tells what is to be probed from now on, before Run or while it
// runs. Targets that stay keep their state and their place in the schedule;
// new ones are probed at once, within the rate; those that are missing are
// forgotten. Of a target that is given twice the strictest schedule counts;
// what has no check is left out. An interval that is not positive counts as
// 30 s, a threshold under 1 as 1.
func (p *Prober) SetTargets(assignments []Assignment) {
	merged := merge(assignments)
	p.do(func() { p.setTargets(merged) })
}

// setTargets does it. p.mu is held.
func (p *Prober) setTargets(merged []Assignment) {
	now := p.elapsed()
	var entries []*entry
	kept := make(map[*entry]bool)
	for _, a := range merged {
		if unchecked(a.Target.Probe) {
			continue
		}
		schedule := usable(a.Schedule)
		e := p.lookup(a.Target)
		if e == nil {
			e = p.newEntry(a.Target, schedule, now)
		} else if e.schedule != schedule {
			e.reschedule(schedule, now, p.random)
		}
		kept[e] = true
		entries = append(entries, e)
	}
	for _, e := range p.entries {
		if !kept[e] {
			e.leave()
		}
	}
	p.entries = entries
	p.targets = make([]Target, len(entries))
	p.index = make(map[Target]int, len(entries))
	for i, e := range entries {
		p.targets[i] = e.target
		p.index[e.target] = i
	}
	p.requeue()
	p.refreeze(now)
	p.restored, p.assigned = carried{}, true
	p.stale.Store(true)
	signal(p.wake)
}

// usable brings a schedule into range.
func usable(s pool.Schedule) pool.Schedule {
	if s.Interval <= 0 {
		s.Interval = defaultInterval
	}
	s.DownAfter, s.UpAfter = max(s.DownAfter, 1), max(s.UpAfter, 1)
	return s
}

// lookup finds a target's entry; nil if it has none. p.mu is held.
func (p *Prober) lookup(t Target) *entry {
	if i, ok := p.index[t]; ok {
		return p.entries[i]
	}
	return nil
}

// Report is what is known of all targets now.
func (p *Prober) Report() *Report {
	if p.stale.Load() {
		p.do(p.publish)
	}
	return p.report.Load()
}

// publish makes a report of what the entries hold. Most probes change nothing
// that anybody waits for, so it is made when it is asked for, not each time.
// p.mu is held.
func (p *Prober) publish() {
	if !p.stale.Load() {
		return
	}
	states := make([]State, len(p.entries))
	for i, e := range p.entries {
		states[i] = e.state
	}
	p.report.Store(&Report{targets: p.targets, index: p.index, states: states, freezes: p.freezes()})
	p.stale.Store(false)
}

// Changed receives a value after a verdict has changed or become known, a
// mirror's address has changed, a freeze has begun or ended, or State.Change has
// moved by a second or more; for that last alone no more than once a second.
// Changes that nobody has received yet are one value; there may be one receiver. A
// Report taken afterwards shows the change.
func (p *Prober) Changed() <-chan struct{} { return p.changed }

// Collectors are the Prober's metrics, to be registered once.
func (p *Prober) Collectors() []prometheus.Collector { return p.metrics.collectors() }

// errRunning tells of a second Run.
var errRunning = errors.New("running the prober: it is running already")

// signal leaves a value in a channel that has room for one, unless it is there.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
