package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// writer writes one batch in one transaction.
type writer struct {
	ctx   context.Context
	tx    *sql.Tx
	store *store
	now   time.Time
	named map[[2]int64]bool // places and targets that are there
}

func (w *writer) write(b batch) error {
	for _, row := range b.names {
		if err := w.name(row, false); err != nil {
			return fmt.Errorf("names: %w", err)
		}
	}
	for _, row := range b.gone {
		if err := w.name(row, true); err != nil {
			return fmt.Errorf("names: %w", err)
		}
	}
	if !b.parted.IsZero() {
		if err := w.part(b.parted); err != nil {
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
	f.settle()
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
