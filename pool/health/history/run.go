package history

import (
	"context"
	"time"
)

// How often things are done.
const (
	// coalesce is how long Run waits after something has happened for what happens with it.
	coalesce = 200 * time.Millisecond
	// pace is how often figures are written for each paceTargets targets or part of them:
	// more targets are written less often, so that the disk has the same to do.
	pace        = time.Minute
	paceTargets = 2_000
	slowestPace = 10 * time.Minute
	// firstPause and longestPause bound the time between two tries after a failure.
	firstPause   = 5 * time.Second
	longestPause = 5 * time.Minute
	pruneEvery   = dayLength
)

// Run writes until ctx ends; what is left then is Close's. There may be one Run at a time.
func (h *History) Run(ctx context.Context) {
	pause := time.Duration(0) // after a failure
	h.examine()
	for {
		all, ended := h.await(ctx, pause)
		if ended {
			return
		}
		err := h.turn(all || pause > 0)
		if err == nil {
			pause = 0
		} else {
			pause = min(max(2*pause, firstPause), longestPause)
		}
	}
}

// await returns when something is to be written: soon after it is asked for, or when
// figures are due. After a failure it waits for the pause alone.
func (h *History) await(ctx context.Context, pause time.Duration) (all, ended bool) {
	wake, wait := h.wake, h.interval()
	if pause > 0 {
		wake, wait = nil, pause
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return true, true
	case <-timer.C:
		return true, false
	case <-wake:
	}
	timer.Reset(coalesce)
	select {
	case <-ctx.Done():
		return true, true
	case <-timer.C:
		return h.due(), false
	}
}

// interval is how long figures may still wait.
func (h *History) interval() time.Duration {
	h.writing.Lock()
	defer h.writing.Unlock()
	return max(h.rhythm()-time.Since(h.flushed), 0)
}

// rhythm is how often figures are written. h.writing is held.
func (h *History) rhythm() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return min(pace*time.Duration(1+len(h.tracks)/paceTargets), slowestPace)
}

func (h *History) due() bool { return h.interval() == 0 }

// turn writes once, and does from time to time what keeps the file in bounds.
func (h *History) turn(all bool) error {
	if h.suspect.Swap(false) {
		h.examine()
	}
	h.writing.Lock()
	defer h.writing.Unlock()
	err := h.write(all)
	if err == nil && all {
		h.flushed = time.Now()
		err = h.mending(h.prune)
	}
	if err == nil {
		err = h.mending(h.lookForFlags)
	}
	h.tell(err)
	return err
}

// mending does something with the file, and begins another one where it is damaged.
// h.writing is held.
func (h *History) mending(do func(context.Context) error) error {
	err := h.guarded(do)
	if err == nil || !damaged(err) {
		return err
	}
	if again := h.guarded(func(context.Context) error { return h.replace(err) }); again != nil {
		return again
	}
	return err
}

// tell reports what costs history, and that it costs none any more.
func (h *History) tell(err error) {
	if err != nil {
		h.metrics.failed.Inc()
	}
	if err != nil || h.failing {
		h.options.Report(err)
	}
	h.failing = err != nil
}

// examine reads the whole file once, as what is damaged may lie where nothing is written.
func (h *History) examine() {
	h.writing.Lock()
	defer h.writing.Unlock()
	err := h.mending(func(ctx context.Context) error {
		if err := h.reopen(ctx); err != nil {
			return err
		}
		err := h.store.check(ctx)
		if ctx.Err() != nil {
			return nil // a large file on a slow disk, of which nothing bad was read
		}
		return err
	})
	if err != nil {
		h.tell(err)
	}
}
