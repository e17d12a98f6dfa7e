package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

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
