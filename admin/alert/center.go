package alert

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// maxTroubles is how many troubles there is room for.
const maxTroubles = 16_384

// gather is how long Run waits after something was reported, so that it does not look
// at everything for each of many.
const gather = 200 * time.Millisecond

// keepEvery is how often what has changed is kept, beside after each message.
const keepEvery = time.Minute

// Config is what a Center depends on.
type Config struct {
	// Node is the name of this node in messages.
	Node string
	// Kept is what Keep was given in the last run; nil: nothing.
	Kept []byte
	// Keep is given what has to survive a restart, whole each time. It is called by Run.
	// nil: it is not kept.
	Keep func([]byte) error
	// Tell is told what becomes of messages, by several goroutines; nil: nobody is.
	Tell func(Told)
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Told is what has become of a message.
type Told struct {
	Way     string
	Subject string
	// Operator is the mail address of the mirrors' operator that it was for; empty: it
	// was for the administrators.
	Operator string
	// Text is what a dry run would have sent; empty: it was sent, or was to be.
	Text string
	// Err is why it was not delivered, or not to all; nil: it was. Delivered tells which.
	// Without a way it is why what was told cannot be kept; nil: it is kept again.
	Err       error
	Delivered bool
}

// Center knows what is wrong, and tells people. Its methods may be called from any
// goroutine, and none but Run waits for anything.
type Center struct {
	node    string
	now     func() time.Time
	keep    func([]byte) error
	tell    func(Told)
	wake    chan struct{}
	metrics *metrics
	sending sync.WaitGroup

	mutex    sync.Mutex
	troubles map[string]*trouble
	ways     []*wayState
	absent   map[string]*wayKept // of ways that are not configured now, by their ledgers' names
	dirty    bool                // something is to be kept
	keepNow  bool                // at once
	running  context.Context     // nil: Run is not

	keepFails bool // Run alone reads and writes it
}

// wayState is a way and what it was told.
type wayState struct {
	Way
	wayKept
	flight   context.CancelFunc // of the message that is being delivered; nil: none is
	failures int                // messages in a row that were given up
	until    time.Time          // when to try again after them
	err      error              // why the last message was not delivered, or not to all
	last     time.Time          // when the last was delivered
	held     uint64             // times that the limit began to hold back
}

// wayKept is what is kept of a way.
type wayKept struct {
	Administrators ledger `json:"administrators"`
	Operators      ledger `json:"operators"`
}

// ledgers is the name under which it is kept what a way was told. A dry run tells nobody:
// it has ledgers of its own.
func (w *Way) ledgers() string {
	if w.DryRun {
		return w.Name + "\ndry run"
	}
	return w.Name
}

// New makes a Center without ways. An error says that what was kept cannot be read: the
// Center works all the same, and begins anew.
func New(config Config) (*Center, error) {
	c := &Center{
		node: config.Node, now: config.Now, keep: config.Keep, tell: config.Tell,
		wake: make(chan struct{}, 1), metrics: newMetrics(),
		troubles: map[string]*trouble{}, absent: map[string]*wayKept{},
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.tell == nil {
		c.tell = func(Told) {}
	}
	c.metrics.center = c
	return c, c.restore(config.Kept)
}

// Set replaces the ways. One of the same name as before goes on from what was told by it,
// to which what a dry run would have told does not belong.
func (c *Center) Set(ways []Way) error {
	if len(ways) > MaxWays {
		return fmt.Errorf("%d ways to tell people, expected at most %d", len(ways), MaxWays)
	}
	names, ledgers := map[string]bool{}, map[string]bool{}
	for i := range ways {
		if err := ways[i].Validate(); err != nil {
			return err
		}
		if names[ways[i].Name] {
			return fmt.Errorf("two ways to tell people have the name %s", ways[i].Name)
		}
		names[ways[i].Name], ledgers[ways[i].ledgers()] = true, true
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	before := map[string]*wayState{}
	for _, w := range c.ways {
		if before[w.ledgers()] = w; !ledgers[w.ledgers()] {
			c.absent[w.ledgers()] = &w.wayKept
			if w.flight != nil {
				w.flight()
			}
		}
	}
	c.ways = make([]*wayState, 0, len(ways))
	for _, way := range ways {
		w := before[way.ledgers()]
		if w == nil {
			w = &wayState{wayKept: wayKept{newLedger(), newLedger()}}
			if kept := c.absent[way.ledgers()]; kept != nil {
				w.wayKept = *kept
				delete(c.absent, way.ledgers())
			}
		}
		w.Way, w.until, w.failures = way, time.Time{}, 0
		c.ways = append(c.ways, w)
	}
	c.changed()
	return nil
}

// changed has Run look at everything; the mutex is held.
func (c *Center) changed() {
	c.dirty = true
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Report tells that a trouble is there. One that is known has its words replaced.
func (c *Center) Report(e Event) {
	now := c.now()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.report(e, now)
	c.changed()
}

func (c *Center) report(e Event, now time.Time) {
	if e.Key == "" || len(e.Key) > maxKey {
		c.metrics.dropped.Inc()
		return
	}
	e = e.bounded(now)
	t := c.troubles[e.Key]
	if t == nil {
		if len(c.troubles) >= maxTroubles && !c.makeRoom(now) {
			c.metrics.dropped.Inc()
			return
		}
		t = &trouble{}
		c.troubles[e.Key] = t
	}
	t.report(e, now)
}

// Resolve tells that a trouble is over, and how, such as "is up: status 200". One that
// is not known is passed over.
func (c *Center) Resolve(key, words string) {
	now := c.now()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if t := c.troubles[key]; t != nil && t.Open {
		t.resolve(words, now)
		c.changed()
	}
}

// Settle tells of all troubles of a kind that are there now. Of those that are open and
// not among them ended says whether they are over, and how; nil: they are.
func (c *Center) Settle(kind Kind, there []Event, ended func(key string) (words string, is bool)) {
	now := c.now()
	keys := make(map[string]bool, len(there))
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for i := range there {
		keys[there[i].Key] = true
		if t := c.troubles[there[i].Key]; t != nil && t.Open && t.Event.Words == there[i].Words {
			// Nothing is new but what was seen.
			t.Reported, t.Event.Evidence = now, boundedLines(there[i].Evidence)
			continue
		}
		there[i].Kind = kind
		c.report(there[i], now)
		c.changed()
	}
	for key, t := range c.troubles {
		if t.Event.Kind != kind || !t.Open || keys[key] {
			continue
		}
		words, is := "", true
		if ended != nil {
			words, is = ended(key)
		}
		if is {
			t.resolve(words, now)
			c.changed()
		}
	}
}

// makeRoom drops troubles that are over and that nobody waits to hear of, and reports
// whether there is room now; the mutex is held.
func (c *Center) makeRoom(now time.Time) bool {
	for key, t := range c.troubles {
		if (t.standing() == over || t.Event.Once) && !c.toldOf(key) && t.Since.Before(now.Add(-gather)) {
			delete(c.troubles, key)
		}
	}
	return len(c.troubles) < maxTroubles
}

// toldOf reports whether anybody was told of a trouble and not of its end, also before a
// dry run that lasts.
func (c *Center) toldOf(key string) bool {
	for _, w := range c.ways {
		if w.has(key) || w.DryRun && c.absent[w.Name] != nil && c.absent[w.Name].has(key) {
			return true
		}
	}
	return false
}

// has reports whether anybody was told of a trouble by the way and not of its end.
func (w *wayKept) has(key string) bool {
	_, a := w.Administrators.Told[key]
	_, o := w.Operators.Told[key]
	return a || o
}

func (c *Center) anyOpen(kind Kind) bool {
	for _, t := range c.troubles {
		if t.Open && t.Event.Kind == kind {
			return true
		}
	}
	return false
}
