package history

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// naming is a time in which a target was that of a place. Addresses go from one member to
// another, and each is to answer for its own time alone.
type naming struct {
	since time.Time // zero: it is not known
	until time.Time // zero: it still is
}

// holds reports whether it was so at any moment from one time to another; zero: now.
func (n naming) holds(from, to time.Time) bool {
	return (to.IsZero() || !n.since.After(to)) && (n.until.IsZero() || n.until.After(from))
}

// ofDay reports whether a day's figures are those of this time. Those of the day on which
// the target went from one place to another are neither's: they cannot be told apart.
func (n naming) ofDay(day dayNumber, others []naming) bool {
	came, went := !n.since.IsZero() && dayOf(n.since) == day, !n.until.IsZero() && dayOf(n.until) == day
	if dayOf(n.since) > day && !n.since.IsZero() || !n.until.IsZero() && dayOf(n.until) < day {
		return false
	}
	for _, o := range others {
		if came && !o.until.IsZero() && dayOf(o.until) == day || went && !o.since.IsZero() && dayOf(o.since) == day {
			return false
		}
	}
	return true
}

// ofDay reports whether a day's figures are the member's.
func (t *targetData) ofDay(day dayNumber) bool {
	for _, n := range t.own {
		if n.ofDay(day, t.others) {
			return true
		}
	}
	return false
}

// gone reports whether the target is the member's no more.
func (t *targetData) gone() bool {
	for _, n := range t.own {
		if n.until.IsZero() {
			return false
		}
	}
	return true
}

// clip leaves of an incident the time in which its target was the member's.
func (t *targetData) clip(i *Incident) {
	var from, to time.Time
	found := false
	for _, n := range t.own {
		if !n.holds(i.Started, i.Ended) {
			continue
		}
		if !found || n.since.Before(from) {
			from = n.since
		}
		if !found || !to.IsZero() && (n.until.IsZero() || n.until.After(to)) {
			to = n.until
		}
		found = true
	}
	if !found {
		return
	}
	if from.After(i.Started) {
		i.Started = from
		if i.Failing.Before(from) {
			i.Failing = from
		}
	}
	if !to.IsZero() && (i.Ended.IsZero() || i.Ended.After(to)) {
		i.Ended, i.Ending = to, endedMoved
	}
}

// loadNamings reads in which times the targets were the member's, and others'. What was
// noted under a clock that was ahead is taken for not known.
func (d *memberData) loadNamings(ctx context.Context, tx *sql.Tx) error {
	own := map[int64]bool{}
	for _, p := range d.places {
		own[p.id] = true
	}
	return listed(ctx, tx, func(rows *sql.Rows) error {
		var place, target, since int64
		var until sql.NullInt64
		if err := rows.Scan(&place, &target, &since, &until); err != nil {
			return err
		}
		var n naming
		if since > 0 && since <= d.now.UnixMilli() {
			n.since = time.UnixMilli(since).UTC()
		}
		if until.Valid {
			n.until = time.UnixMilli(min(until.Int64, d.now.UnixMilli())).UTC()
		}
		t := d.targets[target]
		switch {
		case t == nil:
		case own[place]:
			t.own = append(t.own, n)
		default:
			t.others = append(t.others, n)
		}
		return nil
	}, `SELECT place, target, since, until FROM names WHERE target`+ofMember, d.id)
}

// name notes at which places a target stands.
func (w *writer) name(row nameRow, gone bool) error {
	target, err := w.target(row.track)
	if err != nil {
		return err
	}
	if err := w.exec(`UPDATE targets SET warning = ? WHERE id = ? AND warning <> ?`, row.warning.Milliseconds(), target, row.warning.Milliseconds()); err != nil {
		return err
	}
	for _, p := range row.places {
		at, err := w.place(p.placeRow)
		if err != nil {
			return err
		}
		if !gone {
			w.named[[2]int64{at, target}] = true
		}
		if err := w.exec(`INSERT INTO names (place, target, since) SELECT ?1, ?2, ?3
			WHERE NOT EXISTS (SELECT 1 FROM names WHERE place = ?1 AND target = ?2 AND (until IS NULL OR ?4 AND until >= ?3))
			ON CONFLICT DO UPDATE SET until = NULL`, at, target, p.joined.UnixMilli(), gone); err != nil {
			return err
		}
	}
	return nil
}

// part notes of targets that stand where they stood no more that they do not.
func (w *writer) part(at time.Time) error {
	var over [][2]int64
	err := listed(w.ctx, w.tx, func(rows *sql.Rows) error {
		var one [2]int64
		if err := rows.Scan(&one[0], &one[1]); err != nil {
			return err
		}
		if !w.named[one] {
			over = append(over, one)
		}
		return nil
	}, `SELECT place, target FROM names WHERE until IS NULL`)
	if err != nil {
		return fmt.Errorf("listing names: %w", err)
	}
	for _, one := range over {
		if err := w.exec(`UPDATE names SET until = ? WHERE place = ? AND target = ? AND until IS NULL`, at.UnixMilli(), one[0], one[1]); err != nil {
			return err
		}
	}
	return nil
}
