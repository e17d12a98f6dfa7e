package publish

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// firstRetry is how soon a look that failed is made again; each one after it
	// waits twice as long, up to longestRetry.
	firstRetry   = 2 * time.Second
	longestRetry = 5 * time.Minute
	// pause is between two looks at least, so that pools that change all the time do
	// not keep the primary busy.
	pause = time.Second
	// settling is how long what may be another node's change is let be, at most: that
	// node may know earlier what this one will know.
	settling = 20 * time.Second
	// lateness is how long, and an interval more, a commit may take from one node to
	// another one.
	lateness = 5 * time.Minute
)

// worker keeps one entry published.
type worker struct {
	entry  Entry
	of     *Publisher
	poked  chan struct{} // the pool may give something else
	urged  chan struct{} // a look is wanted now
	cancel context.CancelFunc
	done   chan struct{}

	mutex sync.Mutex
	state State

	// Only the worker's goroutine uses these.
	primary  *primary
	last     *wanted // of the last round; nil: nothing was known
	retry    time.Duration
	known    map[netip.Addr]bool      // the pool's addresses by the last round that had a pool
	left     map[netip.Addr]time.Time // when addresses that were the pool's were no more
	settled  time.Time                // when what others changed is changed back; zero: nothing is let be
	notKept  error                    // of the last round
	noteSaid string
	// foreignSaid is what others had done by what was told last; empty: it is put right.
	foreignSaid string
}

func newWorker(e Entry, of *Publisher) *worker {
	return &worker{entry: e, of: of, poked: make(chan struct{}, 1), urged: make(chan struct{}, 1), state: State{
		Pool: e.Pool, Zone: canonical(e.Zone), Server: e.Server, Key: e.Key.Name(), DryRun: e.DryRun, Condition: Waiting,
	}}
}

func (w *worker) start(ctx context.Context, running *sync.WaitGroup) {
	ctx, w.cancel = context.WithCancel(ctx)
	w.done = make(chan struct{})
	running.Go(func() {
		defer close(w.done)
		defer w.cancel()
		w.run(ctx)
	})
}

// stop ends the worker and waits for it.
func (w *worker) stop() {
	w.cancel()
	<-w.done
}

// signal leaves word, unless there is some already.
func signal(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

func (w *worker) current() State {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.state
}

// change writes to the state and gives it.
func (w *worker) change(write func(*State)) State {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	write(&w.state)
	return w.state
}

func (w *worker) tell(kind Kind, text string, err error) {
	w.of.Tell(Event{Kind: kind, State: w.current(), Text: text, Err: err})
}

// run makes rounds until ctx ends.
func (w *worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		next := w.round(ctx)
		if ctx.Err() != nil {
			return
		}
		w.change(func(s *State) { s.NextLook = w.of.Now().Add(next) })
		if !w.wait(ctx, next) {
			return
		}
	}
}

// wait returns when it is time for the next round: after the time given, or sooner,
// when the pool gives something else and nothing fails.
func (w *worker) wait(ctx context.Context, next time.Duration) bool {
	timer := time.NewTimer(next)
	defer timer.Stop()
	earliest := time.After(pause)
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-w.urged:
			w.retry = 0
			return true
		case <-w.poked:
			if w.retry > 0 || !w.isNews() {
				continue
			}
			select {
			case <-earliest:
				return true
			case <-ctx.Done():
				return false
			}
		}
	}
}

// isNews reports whether the pool gives something else than in the last round.
func (w *worker) isNews() bool {
	given, err := w.of.Given(w.entry.Pool)
	if err != nil || given == nil {
		return w.last != nil
	}
	return !w.entry.want(*given, w.of.Now()).same(w.last)
}

// round looks, puts right, and says when to look again.
func (w *worker) round(ctx context.Context) time.Duration {
	given, err := w.of.Given(w.entry.Pool)
	if err != nil || given == nil {
		w.last = nil
		if err != nil {
			w.failed(err)
			w.change(func(s *State) { s.Wanted = nil })
		}
		w.retry = 0 // the primary is not at fault
		return w.entry.Interval
	}
	now := w.of.Now()
	want := w.entry.want(*given, now)
	want.former = w.former(want.known, now)
	w.last = want
	w.change(func(s *State) { s.Wanted, s.TTL = want.flat(), want.ttl })
	w.notKept = nil
	err = w.tend(ctx, want)
	var blockage *blockage
	switch {
	case ctx.Err() != nil:
		return 0
	case errors.As(err, &blockage), err == nil && w.notKept != nil:
		// The primary is not at fault: what changes meanwhile does not wait.
		w.failed(errors.Join(err, w.notKept))
		w.retry = 0
		return jittered(w.entry.Interval)
	case err != nil:
		w.failed(errors.Join(err, w.notKept))
		return w.backOff()
	}
	w.recovered()
	if !w.settled.IsZero() {
		return max(w.settled.Sub(w.of.Now()), pause)
	}
	return min(jittered(w.entry.Interval), w.entry.nextTurn(now)+pause)
}

// former gives the addresses that were the pool's until lately. The worker's rounds
// alone call it, once each.
func (w *worker) former(known map[netip.Addr]bool, now time.Time) map[netip.Addr]bool {
	if w.left == nil {
		w.left = map[netip.Addr]time.Time{}
	}
	for address := range w.known {
		if !known[address] {
			w.left[address] = now
		}
	}
	w.known = known
	maps.DeleteFunc(w.left, func(address netip.Addr, at time.Time) bool {
		return known[address] || now.Sub(at) > lateness+w.entry.Interval
	})
	former := make(map[netip.Addr]bool, len(w.left))
	for address := range w.left {
		former[address] = true
	}
	return former
}

// backOff gives the time to the next try after a failure.
func (w *worker) backOff() time.Duration {
	w.retry = min(max(2*w.retry, firstRetry), longestRetry)
	return jittered(w.retry)
}

// jittered is within a tenth of a duration.
func jittered(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// failed notes a failure, and tells of it if it is another one than the last.
func (w *worker) failed(err error) {
	var blocking *blockage
	news := false
	w.change(func(s *State) {
		s.Failures++
		if s.FailingSince.IsZero() {
			s.FailingSince = w.of.Now()
		}
		news = s.Error != err.Error()
		s.Error = err.Error()
		s.Condition = Failing
		if errors.As(err, &blocking) {
			s.Condition = Blocked
		}
	})
	if news {
		w.tell(Failed, "", err)
	}
}

func (w *worker) recovered() {
	w.retry = 0
	failed := false
	w.change(func(s *State) {
		failed = s.Error != ""
		s.Error, s.FailingSince = "", time.Time{}
	})
	if failed {
		w.tell(Recovered, "", nil)
	}
}

// noted tells what is to be known besides, once for each text.
func (w *worker) noted(notes []string) {
	w.change(func(s *State) { s.Notes = slices.Clone(notes) })
	text := joined(notes)
	if text != "" && text != w.noteSaid {
		w.tell(Noted, text, nil)
	}
	w.noteSaid = text
}
