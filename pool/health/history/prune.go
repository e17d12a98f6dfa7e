package history

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// prune removes what is too old, or too much, once a day. What it frees is given back to the
// file system little by little.
func (h *History) prune(ctx context.Context) error {
	now := h.options.Now().Round(0) // by the clock alone
	believed := h.clock.look(now, h.elapsed(), h.alive)
	if !h.pruned.IsZero() && now.Sub(h.pruned) < pruneEvery && now.After(h.pruned) {
		return nil
	}
	if err := h.seen(ctx, now); err != nil {
		return fmt.Errorf("keeping the history %s in bounds: %w", h.path, err)
	}
	if believed {
		if err := h.removeOld(ctx, now.Add(-h.options.Keep)); err != nil {
			return fmt.Errorf("keeping the history %s in bounds: %w", h.path, err)
		}
	}
	if err := h.removeMuch(ctx); err != nil {
		return fmt.Errorf("keeping the history %s in bounds: %w", h.path, err)
	}
	if _, err := h.store.write.ExecContext(ctx, "PRAGMA incremental_vacuum"); err != nil {
		return fmt.Errorf("giving back what the history %s does not need: %w", h.path, err)
	}
	size, _, err := h.store.size(ctx)
	if err != nil {
		return fmt.Errorf("measuring the history %s: %w", h.path, err)
	}
	h.metrics.bytes.Set(float64(size))
	h.pruned = now
	return nil
}

// makeRoom removes the oldest of a file that could not be written since it has reached its
// bound, and reports whether there is room now. Where the disk is what is full, nothing is
// removed: that would cost history and not help.
func (h *History) makeRoom(ctx context.Context) (bool, error) {
	if err := h.reopen(ctx); err != nil {
		return false, err
	}
	_, before, err := h.store.size(ctx)
	if err == nil && before <= h.options.MaxBytes {
		return false, nil
	}
	if err == nil {
		err = h.removeMuch(ctx)
	}
	if err != nil {
		return false, fmt.Errorf("making room in the history %s: %w", h.path, err)
	}
	_, after, err := h.store.size(ctx)
	return after < before, err
}

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
			{`DELETE FROM names WHERE until < ?`, moment},
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
		h.mu.Lock()
		h.renamed = true // what is there is to be seen the next time, too
		h.mu.Unlock()
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
// days while the file is too large.
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
		removed, err := h.removeOldest(ctx)
		if err != nil || !removed {
			return err
		}
	}
	return nil
}

// usefulFigures is how many days of figures are kept before incidents have to go: who asks
// whether something has failed wants these longest.
const usefulFigures = 60

// removeOldest removes the oldest figures, or incidents where there are few of those, and
// reports whether there was anything to remove.
func (h *History) removeOldest(ctx context.Context) (bool, error) {
	today := dayOf(h.options.Now())
	figures, err := h.oldest(ctx, `SELECT min(day) FROM (SELECT min(day) AS day FROM days UNION ALL SELECT min(day) FROM availability)`)
	if err != nil {
		return false, err
	}
	statements := []string{`DELETE FROM days WHERE day < ?`, `DELETE FROM availability WHERE day < ?`}
	from := figures
	if today-figures < usefulFigures {
		rest, err := h.oldest(ctx, `SELECT min(day) FROM (SELECT min(started) / 86400000 AS day FROM incidents WHERE ended IS NOT NULL
			UNION ALL SELECT min(time) / 86400000 FROM marks)`)
		if err != nil {
			return false, err
		}
		from = min(figures, rest)
		statements = append(statements, `DELETE FROM incidents WHERE ended IS NOT NULL AND started < ? * 86400000`, `DELETE FROM marks WHERE time < ? * 86400000`)
	}
	if from >= today {
		return h.removeOldestIncidents(ctx)
	}
	// A part of it at a time, as each turn reads all days.
	before := from + max((today-from)/50, 1)
	return true, inside(ctx, h.store.write, func(tx *sql.Tx) error {
		for _, statement := range statements {
			if _, err := tx.ExecContext(ctx, statement, before); err != nil {
				return err
			}
		}
		return nil
	})
}

// removeOldestIncidents removes a part of the incidents that are over, where all that the
// file has is of today.
func (h *History) removeOldestIncidents(ctx context.Context) (bool, error) {
	done, err := h.store.write.ExecContext(ctx, `DELETE FROM incidents WHERE id IN (SELECT id FROM incidents WHERE ended IS NOT NULL
		ORDER BY started LIMIT (SELECT count(*) / 20 + 1 FROM incidents))`)
	if err != nil {
		return false, err
	}
	removed, err := done.RowsAffected()
	return removed > 0, err
}

// oldest asks for a day; today where there is none.
func (h *History) oldest(ctx context.Context, question string) (dayNumber, error) {
	var day sql.NullInt64
	if err := h.store.write.QueryRowContext(ctx, question).Scan(&day); err != nil {
		return 0, readable(err)
	}
	if !day.Valid {
		return dayOf(h.options.Now()), nil
	}
	return dayNumber(day.Int64), nil
}
