package history

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"mirrorpool/pool/health"
)

// Options bound what is kept, and say who is told. The zero Options are ready for use.
type Options struct {
	// Now is the wall clock; nil: time.Now. The times of probes are the prober's own.
	Now func() time.Time
	// Keep is how long history is kept; 0 or less: DefaultKeep.
	Keep time.Duration
	// MaxIncidents is how many incidents are kept; 0 or less: DefaultMaxIncidents.
	MaxIncidents int
	// MaxBytes is how large the file gets, its write-ahead log aside, which has some
	// megabytes at most; 0 or less: DefaultMaxBytes. A quarter more is the most that
	// the file ever takes.
	MaxBytes int64
	// Report is called by Run with each error that costs history, and with nil when
	// writing goes on after one. It must return soon; nil: nobody is told.
	Report func(error)
	// Flagged is called by Run with each red flag that was not there before, soon after
	// what raised it, also over a restart only once. It must return soon, and not call
	// Close; nil: nobody is told.
	Flagged func(Flag)
}

// What Options mean where they say nothing.
const (
	DefaultKeep         = 366 * dayLength
	DefaultMaxIncidents = 100_000
	DefaultMaxBytes     = 200 << 20
)

// Bounds of what waits to be written.
const (
	mostEnded = 10_000 // incidents that are over
	// mostEndedBytes is what these take with their evidence, of which a probe may have 20 kB.
	mostEndedBytes = 32 << 20
	mostMarks      = 1_000
)

// History remembers what the checks have found. Its methods may be called from any
// goroutine.
type History struct {
	path    string
	options Options
	wake    chan struct{} // something is to be written soon
	metrics *metrics

	mu         sync.Mutex // guards what follows; never held while the disk is waited for
	tracks     map[health.Target]*track
	subjects   map[place]*subject
	assigned   bool        // SetTargets has been called
	parted     time.Time   // and when, last
	renamed    bool        // the names are not written yet
	ended      []*incident // that are not written yet
	endedBytes int64       // of their words
	// leaving and left are no longer there, and have something that is not written yet.
	leaving []*track
	left    []*subject
	marks   []Mark
	// orphans are incidents that the file says are open, by the key of their target,
	// until SetTargets has told whose they are.
	orphans  map[string]*incident
	standing map[Member][]Flag // red flags

	readers  atomic.Pointer[store]  // that questions are answered from; nil: there is none now
	suspect  atomic.Bool            // somebody has found it damaged
	panicked atomic.Pointer[string] // the database has, in a question

	writing sync.Mutex // guards what follows, and all writing to the file
	store   *store     // nil: the file cannot be had now
	broken  error      // the database has panicked: it is not used again
	clock   wallClock
	elapsed func() time.Time // a time that goes by and never jumps, for wallClock
	alive   time.Time        // of the last run: its last write
	flushed time.Time        // all was written
	longest time.Duration    // that one turn of writing may take
	failing bool             // Report was told of an error last
	pruned  time.Time
	flags   flagRound
	// acknowledged is told of incidents that are over and on the disk, for tests.
	acknowledged func([]*incident)
}

// Mark is something beside the checks that explains what they have found, such as a
// freeze or a word of an administrator.
type Mark struct {
	Time time.Time `json:"time"`
	Kind string    `json:"kind"` // a word, such as "freeze" or "disable"
	// Member is an id or a URL prefix; empty: it is about all.
	Member string `json:"member,omitempty"`
	Pool   string `json:"pool,omitempty"` // empty: all pools
	Words  string `json:"words"`
}

// Open begins a History that is kept in the file of the given path, and opens the file or
// makes it. The History is ready for use also where that fails: the error says why
// nothing is remembered for now, and Run tries again. The directory has to be there.
func Open(path string, options Options) (*History, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Keep <= 0 {
		options.Keep = DefaultKeep
	}
	if options.MaxIncidents <= 0 {
		options.MaxIncidents = DefaultMaxIncidents
	}
	if options.MaxBytes <= 0 {
		options.MaxBytes = DefaultMaxBytes
	}
	if options.Report == nil {
		options.Report = func(error) {}
	}
	if options.Flagged == nil {
		options.Flagged = func(Flag) {}
	}
	h := &History{
		path: path, options: options, wake: make(chan struct{}, 1),
		tracks: map[health.Target]*track{}, subjects: map[place]*subject{}, orphans: map[string]*incident{}, standing: map[Member][]Flag{},
		elapsed: time.Now, longest: longestWrite, acknowledged: func([]*incident) {},
	}
	h.metrics = newMetrics(h)
	absolute, err := filepath.Abs(path)
	if err != nil {
		return h, fmt.Errorf("opening the history %s: %w", path, err)
	}
	h.path = absolute
	h.writing.Lock()
	defer h.writing.Unlock()
	err = h.guarded(h.reopen)
	h.failing = err != nil
	return h, err
}

// lastWrite bounds the writing of what is left at the end.
const lastWrite = 4 * time.Second

// Close writes what is left, unless writing fails anyway, and closes the file. Run has to have
// returned; nothing is remembered afterwards.
func (h *History) Close() error {
	h.writing.Lock()
	defer h.writing.Unlock()
	if h.store == nil {
		return nil
	}
	h.longest = lastWrite
	var err error
	if !h.failing {
		err = h.write(true)
	}
	return errors.Join(err, h.drop())
}

// Observe takes in a probe that has ended. It does not wait for the disk.
func (h *History) Observe(o health.Observation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.tracks[o.Target]
	if t == nil {
		// SetTargets has not told of it yet.
		t = h.newTrack(o.Target)
		t.probed = true
		h.tracks[o.Target] = t
		h.renamed = true
	}
	down := t.incident != nil
	ended, dropped := t.observe(o)
	h.metrics.drop(dropped)
	for _, one := range ended {
		h.keepEnded(one)
	}
	if len(ended) > 0 || (t.incident != nil) != down {
		signal(h.wake)
	}
}

// keepEnded has an incident that is over written. h.mu is held.
func (h *History) keepEnded(one *incident) {
	h.ended = append(h.ended, one)
	h.endedBytes += one.size()
	h.boundEnded()
}

// boundEnded drops the oldest of too many incidents that are over. h.mu is held.
func (h *History) boundEnded() {
	most := min(mostEndedBytes, h.options.MaxBytes/8)
	over := 0
	for len(h.ended)-over > mostEnded || h.endedBytes > most && over < len(h.ended)-1 {
		h.endedBytes -= h.ended[over].size()
		over++
	}
	if over > 0 {
		h.ended = append([]*incident(nil), h.ended[over:]...)
		h.metrics.drop(over)
	}
}

// Mark keeps a mark.
func (h *History) Mark(m Mark) {
	m.Time, m.Words = exact(m.Time), printable(m.Words)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.marks = append(h.marks, m)
	if over := len(h.marks) - mostMarks; over > 0 {
		h.marks = append([]Mark(nil), h.marks[over:]...)
		h.metrics.drop(over)
	}
	signal(h.wake)
}
