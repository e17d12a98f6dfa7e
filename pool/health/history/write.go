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
		w := writer{ctx: ctx, tx: tx, store: h.store, now: now}
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

// resume takes up the incidents that the file says are open: of a target that is down they
// go on, and of others they end.
func (h *History) resume(open []*incident) {
	h.mu.Lock()
	defer h.mu.Unlock()
	tracks := make(map[string]*track, len(h.tracks))
	for _, t := range h.tracks {
		tracks[t.key] = t
	}
	known := map[string]bool{} // that end with the next write
	for _, one := range h.ended {
		known[one.name()] = true
	}
	for _, one := range open {
		t := tracks[one.track.key]
		switch {
		case known[one.name()]:
		case t == nil && !h.assigned && h.orphans[one.track.key] == nil:
			h.orphans[one.track.key] = one
		case t == nil || !t.probed:
			one.end(one.lastSign(), endedUnchecked)
			h.keepEnded(one)
		case t.incident == nil && t.seen:
			one.end(one.lastSign(), endedAbsent)
			h.keepEnded(one)
		case t.incident == nil:
			one.track, t.incident = t, one
		case t.incident.started.After(one.started):
			t.incident.goOn(one)
		case t.incident.started.Before(one.started):
			one.end(one.lastSign(), endedAbsent)
			h.keepEnded(one)
		}
	}
}

// name tells incidents apart.
func (i *incident) name() string { return fmt.Sprint(i.track.key, " ", i.started.UnixMilli()) }

// goOn makes the incident the further course of one that began before.
func (i *incident) goOn(earlier *incident) {
	i.started, i.failing, i.reason = earlier.started, earlier.failing, earlier.reason
	i.failures += earlier.failures
	i.first = earlier.first
	if !graver(i.worst.Outcome, earlier.worst.Outcome) {
		i.worst = earlier.worst
	}
	i.dirty = true
}

// writer writes one batch in one transaction.
type writer struct {
	ctx   context.Context
	tx    *sql.Tx
	store *store
	now   time.Time
}

func (w *writer) write(b batch) error {
	for _, row := range b.names {
		if err := w.name(row); err != nil {
			return fmt.Errorf("names: %w", err)
		}
	}
	for _, row := range b.places {
		if _, err := w.place(row); err != nil {
			return fmt.Errorf("places: %w", err)
		}
	}
	for _, one := range b.incidents {
		if err := w.incident(one); err != nil {
			return fmt.Errorf("incidents: %w", err)
		}
	}
	for _, row := range b.figures {
		if err := w.figures(row); err != nil {
			return fmt.Errorf("figures of days: %w", err)
		}
	}
	for _, row := range b.spent {
		if err := w.spent(row); err != nil {
			return fmt.Errorf("availability: %w", err)
		}
	}
	for _, row := range b.expiries {
		if err := w.expiry(row); err != nil {
			return fmt.Errorf("certificates: %w", err)
		}
	}
	for _, m := range b.marks {
		if err := w.exec(`INSERT INTO marks (time, kind, pool, member, words) VALUES (?, ?, ?, ?, ?)`,
			m.Time.UnixMilli(), m.Kind, m.Pool, m.Member, m.Words); err != nil {
			return fmt.Errorf("marks: %w", err)
		}
	}
	return w.exec(`INSERT INTO facts (name, value) VALUES ('alive', ?) ON CONFLICT DO UPDATE SET value = excluded.value`, w.now.UnixMilli())
}

func (w *writer) exec(statement string, values ...any) error {
	_, err := w.tx.ExecContext(w.ctx, statement, values...)
	return err
}

// id makes a row where there is none and gives its id.
func (w *writer) id(statement string, values ...any) (id int64, err error) {
	err = readable(w.tx.QueryRowContext(w.ctx, statement, values...).Scan(&id))
	return id, err
}

func (w *writer) target(t *track) (int64, error) {
	if id, ok := w.store.targets[t.key]; ok {
		return id, nil
	}
	address := ""
	if t.target.Address.IsValid() {
		address = t.target.Address.String()
	}
	probe := t.target.Probe
	id, err := w.id(`INSERT INTO targets (key, name, kind, purpose, address, floor, warning, seen) VALUES (?, ?, ?, ?, ?, ?, 0, ?)
		ON CONFLICT (key) DO UPDATE SET seen = excluded.seen RETURNING id`,
		t.key, printable(t.target.String()), string(probe.Kind), string(probe.Purpose), address, probe.MinRate, w.now.UnixMilli())
	if err == nil {
		w.store.targets[t.key] = id
	}
	return id, err
}

func (w *writer) member(m Member, host string, since time.Time) (int64, error) {
	if id, ok := w.store.members[m]; ok {
		return id, nil
	}
	id, err := w.id(`INSERT INTO members (pool, redirect, member, host, since, seen) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (pool, redirect, member) DO UPDATE SET host = excluded.host, seen = excluded.seen RETURNING id`,
		m.Pool, m.Redirect, m.ID, host, since.UnixMilli(), w.now.UnixMilli())
	if err == nil {
		w.store.members[m] = id
	}
	return id, err
}

func (w *writer) place(p placeRow) (int64, error) {
	if id, ok := w.store.places[p.place]; ok {
		return id, nil
	}
	member, err := w.member(p.Member, p.host, p.since)
	if err != nil {
		return 0, err
	}
	address := ""
	if p.Address.IsValid() {
		address = p.Address.String()
	}
	id, err := w.id(`INSERT INTO places (member, address) VALUES (?, ?)
		ON CONFLICT (member, address) DO UPDATE SET address = excluded.address RETURNING id`, member, address)
	if err == nil {
		w.store.places[p.place] = id
	}
	return id, err
}

func (w *writer) name(row nameRow) error {
	target, err := w.target(row.track)
	if err != nil {
		return err
	}
	if err := w.exec(`UPDATE targets SET warning = ? WHERE id = ? AND warning <> ?`, row.warning.Milliseconds(), target, row.warning.Milliseconds()); err != nil {
		return err
	}
	for _, p := range row.places {
		at, err := w.place(p)
		if err != nil {
			return err
		}
		if err := w.exec(`INSERT INTO names (place, target) VALUES (?, ?) ON CONFLICT DO NOTHING`, at, target); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) incident(i *incident) error {
	target, err := w.target(i.track)
	if err != nil {
		return err
	}
	var evidence [3]string
	for at, one := range []Evidence{i.first, i.last, i.worst} {
		if evidence[at], err = one.encode(); err != nil {
			return fmt.Errorf("writing evidence: %w", err)
		}
	}
	var ended any
	if !i.ended.IsZero() {
		ended = i.ended.UnixMilli()
	}
	return w.exec(`INSERT INTO incidents (target, started, ended, failing, words, "check", reason, outcome, ending, voided, failures, first, last, worst)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (target, started) DO UPDATE SET outcome = excluded.outcome, ended = excluded.ended, ending = excluded.ending, voided = excluded.voided,
			failures = excluded.failures, first = excluded.first, last = excluded.last, worst = excluded.worst`,
		target, i.started.UnixMilli(), ended, i.failing.UnixMilli(), i.target, i.check, i.reason, string(i.worst.Outcome), i.ending, i.voided, i.failures,
		evidence[0], evidence[1], evidence[2])
}

func (w *writer) expiry(row expiryRow) error {
	target, err := w.target(row.track)
	if err != nil {
		return err
	}
	return w.exec(`UPDATE targets SET certificate = ? WHERE id = ?`, row.expiry.UnixMilli(), target)
}

const figuresColumns = `probes, failures, singles, altered, slow, late,
	response_count, response_sum, response_min, response_max, response_buckets,
	delivery_count, delivery_sum, delivery_min, delivery_max, delivery_buckets`

// figures adds to what the file has of that day.
func (w *writer) figures(row figuresRow) error {
	target, err := w.target(row.track)
	if err != nil {
		return err
	}
	f, err := scanFigures(w.tx.QueryRowContext(w.ctx, `SELECT `+figuresColumns+` FROM days WHERE target = ? AND day = ?`, target, row.day))
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	f.add(row.value)
	return w.exec(`INSERT OR REPLACE INTO days (target, day, `+figuresColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		target, row.day, f.Probes, f.Failures, f.Singles, f.Altered, f.Slow, f.Late,
		f.Response.Count, f.Response.Sum, f.Response.Min, f.Response.Max, f.Response.encode(),
		f.Delivery.Count, f.Delivery.Sum, f.Delivery.Min, f.Delivery.Max, f.Delivery.encode())
}

// scanFigures reads the columns of figuresColumns, after others that it is given places for.
func scanFigures(row interface{ Scan(...any) error }, before ...any) (f figures, err error) {
	var response, delivery []byte
	err = readable(row.Scan(append(before, &f.Probes, &f.Failures, &f.Singles, &f.Altered, &f.Slow, &f.Late,
		&f.Response.Count, &f.Response.Sum, &f.Response.Min, &f.Response.Max, &response,
		&f.Delivery.Count, &f.Delivery.Sum, &f.Delivery.Min, &f.Delivery.Max, &delivery)...))
	f.Response.buckets, f.Delivery.buckets = decodeBuckets(response), decodeBuckets(delivery)
	return f, err
}

func (w *writer) spent(row spentRow) error {
	at, err := w.place(row.placeRow)
	if err != nil {
		return err
	}
	return w.exec(`INSERT INTO availability (place, day, up, down, frozen) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (place, day) DO UPDATE SET up = up + excluded.up, down = down + excluded.down, frozen = frozen + excluded.frozen`,
		at, row.day, row.value.Up.Milliseconds(), row.value.Down.Milliseconds(), row.value.Frozen.Milliseconds())
}

// alive is when the file was last written; zero: never.
func (s *store) alive(ctx context.Context) (time.Time, error) {
	var at int64
	err := readable(s.read.QueryRowContext(ctx, `SELECT value FROM facts WHERE name = 'alive'`).Scan(&at))
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return time.UnixMilli(at).UTC(), err
}

// openIncidents reads those that have no end.
func (s *store) openIncidents(ctx context.Context) (open []*incident, err error) {
	rows, err := s.read.QueryContext(ctx, `SELECT t.key, i.started, i.failing, i.words, i."check", i.reason, i.failures, i.first, i.last, i.worst
		FROM incidents i JOIN targets t ON t.id = i.target WHERE i.ended IS NULL ORDER BY i.started`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		i := &incident{track: &track{}, resumed: true}
		var started, failing int64
		var evidence [3]string
		if err := rows.Scan(&i.track.key, &started, &failing, &i.target, &i.check, &i.reason, &i.failures,
			&evidence[0], &evidence[1], &evidence[2]); err != nil {
			return nil, readable(err)
		}
		i.started, i.failing = time.UnixMilli(started).UTC(), time.UnixMilli(failing).UTC()
		for at, into := range []*Evidence{&i.first, &i.last, &i.worst} {
			if *into, err = decodeEvidence(evidence[at]); err != nil {
				return nil, fmt.Errorf("%w: evidence of an incident: %w", errDamaged, err)
			}
		}
		open = append(open, i)
	}
	return open, rows.Err()
}
