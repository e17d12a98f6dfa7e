package history

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// absence is how long the server may not have been running for its clock to be believed at
// once. After a longer one, what is old goes only when the program has run for a day: a
// machine that starts with a clock years ahead must not lose its history.
const absence = 2 * dayLength

// prune removes what is too old, or too much, once a day. What it frees is given back to the
// file system little by little.
func (h *History) prune(ctx context.Context) error {
	now := h.options.Now()
	if !h.pruned.IsZero() && now.Sub(h.pruned) < pruneEvery && now.After(h.pruned) {
		return nil
	}
	h.pruned = now
	if err := h.seen(ctx, now); err != nil {
		return fmt.Errorf("keeping the history %s in bounds: %w", h.path, err)
	}
	if time.Since(h.opened) < dayLength && !h.alive.IsZero() && absDuration(now.Sub(h.alive)) > absence {
		return nil
	}
	if err := h.removeOld(ctx, now.Add(-h.options.Keep)); err != nil {
		return fmt.Errorf("keeping the history %s in bounds: %w", h.path, err)
	}
	if err := h.removeMuch(ctx); err != nil {
		return fmt.Errorf("keeping the history %s in bounds: %w", h.path, err)
	}
	if _, err := h.store.write.ExecContext(ctx, "PRAGMA incremental_vacuum"); err != nil {
		return fmt.Errorf("giving back what the history %s does not need: %w", h.path, err)
	}
	size, _, err := h.store.size(ctx)
	h.metrics.bytes.Set(float64(size))
	return err
}

func absDuration(d time.Duration) time.Duration { return max(d, -d) }

// seen notes of all that is there that it is.
func (h *History) seen(ctx context.Context, now time.Time) error {
	return inside(ctx, h.store.write, func(tx *sql.Tx) error {
		for _, id := range h.store.targets {
			if _, err := tx.ExecContext(ctx, `UPDATE targets SET seen = ? WHERE id = ?`, now.UnixMilli(), id); err != nil {
				return err
			}
		}
		for _, id := range h.store.members {
			if _, err := tx.ExecContext(ctx, `UPDATE members SET seen = ? WHERE id = ?`, now.UnixMilli(), id); err != nil {
				return err
			}
		}
		return nil
	})
}

// removeOld removes what was before a time, and names of which nothing is left.
func (h *History) removeOld(ctx context.Context, before time.Time) error {
	moment, day := before.UnixMilli(), int64(dayOf(before))
	err := inside(ctx, h.store.write, func(tx *sql.Tx) error {
		for _, one := range []struct {
			statement string
			limit     int64
		}{
			{`DELETE FROM incidents WHERE ended < ?`, moment},
			{`DELETE FROM days WHERE day < ?`, day},
			{`DELETE FROM availability WHERE day < ?`, day},
			{`DELETE FROM marks WHERE time < ?`, moment},
			{`DELETE FROM targets WHERE seen < ? 
				AND NOT EXISTS (SELECT 1 FROM incidents WHERE target = targets.id) AND NOT EXISTS (SELECT 1 FROM days WHERE target = targets.id)`, moment},
			{`DELETE FROM places WHERE NOT EXISTS (SELECT 1 FROM names WHERE place = places.id)
				AND NOT EXISTS (SELECT 1 FROM availability WHERE place = places.id) AND member IN (SELECT id FROM members WHERE seen < ?)`, moment},
			{`DELETE FROM members WHERE seen < ? AND NOT EXISTS (SELECT 1 FROM places WHERE member = members.id)`, moment},
		} {
			if _, err := tx.ExecContext(ctx, one.statement, one.limit); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		h.store.forgetIDs()
	}
	return err
}

// forgetIDs has the writer look up again what may be gone.
func (s *store) forgetIDs() {
	clear(s.targets)
	clear(s.places)
	clear(s.members)
}

// removeMuch removes the oldest of what is too much: incidents over their number, and
// whole days while the file is too large.
func (h *History) removeMuch(ctx context.Context) error {
	if _, err := h.store.write.ExecContext(ctx, `DELETE FROM incidents WHERE ended IS NOT NULL AND id IN
		(SELECT id FROM incidents ORDER BY started DESC LIMIT -1 OFFSET ?)`, h.options.MaxIncidents); err != nil {
		return err
	}
	for range 400 {
		_, used, err := h.store.size(ctx)
		if err != nil || used <= h.options.MaxBytes {
			return err
		}
		var oldest sql.NullInt64
		if err := h.store.write.QueryRowContext(ctx, `SELECT min(day) FROM (SELECT min(day) AS day FROM days
			UNION ALL SELECT min(day) FROM availability UNION ALL SELECT min(started) / 86400000 FROM incidents WHERE ended IS NOT NULL
			UNION ALL SELECT min(time) / 86400000 FROM marks)`).Scan(&oldest); err != nil {
			return readable(err)
		}
		day := dayNumber(oldest.Int64)
		if !oldest.Valid || day >= dayOf(h.options.Now()) {
			return nil
		}
		// A week at a time, as each turn reads all days.
		before := min(day+7, dayOf(h.options.Now()))
		if err := h.removeOld(ctx, before.start()); err != nil {
			return err
		}
		if _, err := h.store.write.ExecContext(ctx, `DELETE FROM incidents WHERE ended IS NOT NULL AND started < ?`, before.start().UnixMilli()); err != nil {
			return err
		}
	}
	return nil
}
