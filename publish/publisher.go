package publish

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mirrorpool/zones"
)

// Config is what a Publisher works with. Its functions are called by several
// goroutines at once.
type Config struct {
	// Given says what a pool gives now: nil for nothing known yet, an error where
	// there is no such pool.
	Given func(pool string) (*zones.Given, error)
	// Kept is what Keep was given last in an earlier run; nil: nothing.
	Kept []byte
	// Keep writes down what has to survive a restart, before it is relied upon.
	Keep func([]byte) error
	// Tell is told of what happens. It must not call the Publisher but for States.
	Tell func(Event)
	// Now is the time; nil: time.Now.
	Now func() time.Time
	// Dial connects over TCP; nil: by a net.Dialer.
	Dial func(context.Context, netip.AddrPort) (net.Conn, error)
}

// Publisher keeps entries published. Its methods are safe for concurrent use.
type Publisher struct {
	Config
	keeper *keeper
	again  chan struct{} // the entries are others

	mutex   sync.Mutex
	entries []Entry
	workers []*worker // that run now, as the entries stand
	slots   map[netip.AddrPort]chan struct{}
}

// New makes a Publisher, which does nothing before Run. An error says that what an
// earlier run kept cannot be read; the Publisher is good without it.
func New(c Config) (*Publisher, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Dial == nil {
		c.Dial = func(ctx context.Context, at netip.AddrPort) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", at.String())
		}
	}
	if c.Tell == nil {
		c.Tell = func(Event) {}
	}
	kept, err := newKeeper(c.Kept, c.Keep)
	return &Publisher{Config: c, keeper: kept, again: make(chan struct{}, 1), slots: map[netip.AddrPort]chan struct{}{}}, err
}

// Set has other entries published from now on. Records of an entry that is gone
// stay as they are, and are not this Publisher's any more. The error names the entry that cannot be; then nothing changes.
func (p *Publisher) Set(entries []Entry) error {
	seen := map[place]bool{}
	for _, e := range entries {
		if err := e.Validate(); err != nil {
			return fmt.Errorf("publishing pool %s at %s: %w", e.Pool, e.Server, err)
		}
		if seen[e.place()] {
			return fmt.Errorf("publishing pool %s at %s: it is there twice", e.Pool, e.Server)
		}
		seen[e.place()] = true
	}
	p.mutex.Lock()
	p.entries = slices.Clone(entries)
	p.mutex.Unlock()
	signal(p.again)
	return nil
}

// Run publishes until ctx ends, and returns when every message is over.
func (p *Publisher) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		p.reconcile(ctx, &running)
		select {
		case <-ctx.Done():
			return
		case <-p.again:
		}
	}
}

// reconcile ends the workers of entries that are gone or say something else, waits
// for them, and starts those of the others.
func (p *Publisher) reconcile(ctx context.Context, running *sync.WaitGroup) {
	p.mutex.Lock()
	entries, before := p.entries, p.workers
	p.mutex.Unlock()
	var after, fresh []*worker
	for _, e := range entries {
		at := slices.IndexFunc(before, func(w *worker) bool { return w.entry.same(e) })
		if at >= 0 {
			after = append(after, before[at])
			continue
		}
		w := newWorker(e, p)
		after, fresh = append(after, w), append(fresh, w)
	}
	for _, w := range before {
		if !slices.Contains(after, w) {
			w.stop()
		}
	}
	places := map[place]bool{}
	for _, e := range entries {
		places[e.place()] = true
	}
	// What cannot be written down now is, with the next thing that is; and whoever
	// starts with the old memory forgets it here.
	_ = p.keeper.forget(places)
	p.mutex.Lock()
	p.workers = after
	p.mutex.Unlock()
	p.Tell(Event{Kind: Arranged})
	for _, w := range fresh {
		w.start(ctx, running)
	}
}

// Changed says that pools may give something else now.
func (p *Publisher) Changed() {
	for _, w := range p.running() {
		signal(w.poked)
	}
}

// Look has every primary looked at now, also those that are waited for because they
// failed.
func (p *Publisher) Look() {
	for _, w := range p.running() {
		signal(w.urged)
	}
}

func (p *Publisher) running() []*worker {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.workers
}

// slotsOf are those of a server, for all entries.
func (p *Publisher) slotsOf(server netip.AddrPort) chan struct{} {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.slots[server] == nil {
		p.slots[server] = make(chan struct{}, underWay)
	}
	return p.slots[server]
}

// States tell how each entry is, as the entries stand.
func (p *Publisher) States() []State {
	list := []State{}
	for _, w := range p.running() {
		list = append(list, w.current())
	}
	return list
}

// Collectors are for a metrics registry.
func (p *Publisher) Collectors() []prometheus.Collector { return []prometheus.Collector{collector{p}} }

// joined is a list in one line.
func joined(list []string) string { return strings.Join(list, "; ") }
