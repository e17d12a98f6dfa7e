package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"time"
)

// garbagePercent is how much garbage may gather beside what is in use, in per
// cent of that, before it is collected. Most of what a node holds are tables
// without pointers, which cost nothing to mark: collecting twice as often as Go
// does by default takes no time that could be measured, and spares a quarter of
// the heap.
const garbagePercent = 50

// boundGarbage sets garbagePercent, unless the operator's environment has
// another one. The environment's GOMEMLIMIT is in force by itself.
func boundGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
}

// sweepDelay is how long after a large event its garbage is collected: what
// comes with it has happened by then, such as the table of new geo data.
const sweepDelay = 2 * time.Second

// sweeper gives back what large and rare events need for a moment: reading
// databases, fetching a commit, making the first table. Without it their
// garbage would stay until as much garbage again has come together, which takes
// minutes where answering makes none.
type sweeper struct {
	wanted  chan struct{} // capacity 1
	collect func()
}

func newSweeper() *sweeper {
	return &sweeper{wanted: make(chan struct{}, 1), collect: collectGarbage}
}

// soon asks for a sweep after sweepDelay. It does not block.
func (s *sweeper) soon() {
	select {
	case s.wanted <- struct{}{}:
	default: // one is asked for already
	}
}

// run sweeps when it is asked to until ctx ends.
func (s *sweeper) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wanted:
		}
		if !sleep(ctx, sweepDelay) {
			return
		}
		s.collect()
	}
}

// collectGarbage collects beside the answering. Go's runtime then gives free
// memory back to the system bit by bit over a few seconds, but spares pages
// that were in use during the collection before the last one, and pooled
// buffers live as long: hence two. debug.FreeOSMemory would give all back in
// one piece, and hold up a core meanwhile: 9 ms for 100 MB.
func collectGarbage() {
	runtime.GC()
	runtime.GC()
}
