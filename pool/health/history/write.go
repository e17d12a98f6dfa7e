package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// longestWrite bounds one turn of writing.
const longestWrite = time.Minute

// guarded does something with the database and takes a panic for the end of it: what the
// database has in memory cannot be relied upon then. A page of its shared memory that
// cannot be read, on a disk that does not work, comes as one. h.writing is held.
func (h *History) guarded(do func(context.Context) error) (err error) {
	if p := h.panicked.Load(); p != nil && h.broken == nil {
		h.breakOff(*p)
	}
	if h.broken != nil {
		return h.broken
	}
	ctx, cancel := context.WithTimeout(context.Background(), h.longest)
	defer cancel()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			h.breakOff(fmt.Sprint(p))
			err = h.broken
		}
	}()
	return do(ctx)
}

// breakOff gives up the database for good. h.writing is held.
func (h *History) breakOff(why string) {
	h.broken = fmt.Errorf("using the history %s: panic: %s; nothing is remembered before a restart", h.path, why)
	h.store = nil // closing it may wait for ever
	h.readers.Store(nil)
}

// reopen opens the file, if it is not open, and takes up what it says is open.
func (h *History) reopen(ctx context.Context) error {
	if h.store != nil && !h.store.replaced() {
		return nil
	}
	if err := h.drop(); err != nil {
		return err
	}
	s, err := openStore(ctx, h.path, h.options.MaxBytes)
	if err != nil {
		return fmt.Errorf("opening the history %s: %w", h.path, err)
	}
	if err := h.takeUp(ctx, s); err != nil {
		if doubtful(err) { // the tables are not those that were made
			err = fmt.Errorf("%w: %w", errDamaged, err)
		}
		return fmt.Errorf("reading the history %s: %w", h.path, errors.Join(err, s.close()))
	}
	return nil
}

// takeUp goes on with a file that was opened.
func (h *History) takeUp(ctx context.Context, s *store) error {
	open, err := s.openIncidents(ctx)
	if err != nil {
		return fmt.Errorf("incidents that go on: %w", err)
	}
	standing, err := s.standingFlags(ctx)
	if err != nil {
		return fmt.Errorf("red flags: %w", err)
	}
	if h.alive.IsZero() {
		if h.alive, err = s.alive(ctx); err != nil {
			return fmt.Errorf("the last write: %w", err)
		}
	}
	h.store = s
	h.readers.Store(s)
	for m, flags := range standing {
		h.stand(m, flags)
	}
	h.resume(open)
	return nil
}

// drop closes the file; it is opened again for the next write.
func (h *History) drop() error {
	if h.store == nil {
		return nil
	}
	h.readers.Store(nil)
	err := h.store.close()
	h.store = nil
	h.mu.Lock()
	h.renamed = true
	h.rewriteOpen() // it may be another file
	h.mu.Unlock()
	if err != nil {
		return fmt.Errorf("closing the history %s: %w", h.path, err)
	}
	return nil
}

// write writes what waits: all of it, or only incidents that begin or end. An error has
// cost nothing yet: what waits goes on waiting.
func (h *History) write(all bool) error {
	return h.guarded(func(ctx context.Context) error {
		err := h.writeOnce(ctx, all)
		if codeOf(err) == codeFull {
			made, failed := h.makeRoom(ctx)
			if made {
				err = h.writeOnce(ctx, all)
			} else {
				err = errors.Join(err, failed, h.drop())
			}
		}
		if err == nil || !damaged(err) {
			return err
		}
		if err := h.replace(err); err != nil {
			return err
		}
		if again := h.writeOnce(ctx, all); again != nil {
			return errors.Join(err, again)
		}
		h.failing = true
		h.options.Report(err)
		return nil
	})
}

// replace puts a damaged file aside, and says so in the new one.
func (h *History) replace(why error) error {
	now := h.options.Now()
	// What the file holds is not relied upon, nor that it can be closed well.
	_ = h.drop()
	name, err := putAside(h.path, now)
	if name == "" {
		return errors.Join(why, err)
	}
	h.metrics.replaced.Inc()
	h.Mark(Mark{Time: now, Kind: "history", Words: fmt.Sprintf("history begins here: the file was damaged (%v) and is put aside as %s", why, name)})
	return nil
}

func (h *History) writeOnce(ctx context.Context, all bool) error {
	if err := h.reopen(ctx); err != nil {
		return err
	}
	b := h.take(all)
	now := h.options.Now()
	err := inside(ctx, h.store.write, func(tx *sql.Tx) error {
		w := writer{ctx: ctx, tx: tx, store: h.store, now: now, named: map[[2]int64]bool{}}
		return w.write(b)
	})
	if err != nil {
		err = fmt.Errorf("writing the history %s: %w", h.path, err)
		if doubtful(err) {
			if found := h.store.check(ctx); damaged(found) {
				err = errors.Join(err, found)
			} else {
				// It would fail for ever, and keep all that comes later out.
				h.metrics.drop(b.size())
				return errors.Join(err, h.drop())
			}
		}
		h.giveBack(b)
		return errors.Join(err, h.drop())
	}
	h.metrics.written.Set(float64(now.Unix()))
	if len(b.ended) > 0 {
		h.acknowledged(b.ended)
	}
	return nil
}
