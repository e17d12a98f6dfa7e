package history

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"time"
)

// flagRound is how far looking for flags has come.
type flagRound struct {
	last  time.Time // the last look, on the machine's own clock
	queue []Member  // what is left of this round
	owed  float64   // members that are to be looked at by now
}

// wholeRound is how long it takes at most until each member was looked at, so that the work
// is spread; where something has happened it is looked at at once.
const wholeRound = 4 * time.Hour

// lookForFlags looks at the members to which something has happened, and at some of the
// others, and tells of flags that were not there before. h.writing is held.
func (h *History) lookForFlags(ctx context.Context) error {
	members := h.toLookAt()
	for i, m := range members {
		if ctx.Err() != nil {
			h.lookLater(members[i:])
			return fmt.Errorf("looking for red flags in the history %s: %w", h.path, ctx.Err())
		}
		if err := h.flag(ctx, m); err != nil {
			h.lookLater(members[i:])
			return fmt.Errorf("looking for red flags of %s in the history %s: %w", m, h.path, err)
		}
	}
	return nil
}

// lookLater has members looked at that could not be now.
func (h *History) lookLater(members []Member) {
	h.mu.Lock()
	defer h.mu.Unlock()
	missed := map[Member]bool{}
	for _, m := range members {
		missed[m] = true
	}
	for at, s := range h.subjects {
		s.look = s.look || missed[at.Member]
	}
}

// mostLooks are made in one turn, for each of the two reasons.
const mostLooks = 500

// toLookAt picks the members whose turn it is.
func (h *History) toLookAt() []Member {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := &h.flags
	var now []Member
	for at, s := range h.subjects {
		if s.look && len(now) < mostLooks {
			s.look = false
			now = append(now, at.Member)
		}
	}
	slices.SortFunc(now, Member.compare)
	now = slices.Compact(now)
	elapsed := wholeRound
	if !r.last.IsZero() {
		elapsed = time.Since(r.last)
	}
	r.last = time.Now()
	r.owed += float64(len(h.subjects)) * elapsed.Hours() / wholeRound.Hours()
	if r.owed < 1 {
		return now
	}
	if len(r.queue) == 0 {
		for at := range h.subjects {
			r.queue = append(r.queue, at.Member)
		}
		slices.SortFunc(r.queue, Member.compare)
		r.queue = slices.Compact(r.queue)
	}
	count := min(int(r.owed), mostLooks, len(r.queue))
	now = append(now, r.queue[:count]...)
	r.queue, r.owed = r.queue[count:], 0
	return now
}

func (m Member) compare(o Member) int {
	redirect := func(m Member) int {
		if m.Redirect {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(m.Pool, o.Pool), cmp.Compare(m.ID, o.ID), redirect(m)-redirect(o))
}

// flag looks at one member and notes its flags.
func (h *History) flag(ctx context.Context, m Member) error {
	now := h.options.Now().UTC()
	var found, fresh []Flag
	err := inside(ctx, h.store.write, func(tx *sql.Tx) error {
		row, err := loadMember(ctx, tx, m)
		if err != nil || row.id == 0 {
			return err
		}
		data, err := load(ctx, tx, row, now)
		if err != nil {
			return err
		}
		found = data.flags(now)
		fresh, err = noteFlags(ctx, tx, row.id, found)
		return err
	})
	if err != nil {
		return err
	}
	h.stand(m, found)
	for _, one := range fresh {
		h.options.Flagged(one)
	}
	return nil
}

func loadMember(ctx context.Context, tx *sql.Tx, m Member) (row memberRow, err error) {
	row.Member = m
	var since, seen int64
	err = listed(ctx, tx, func(rows *sql.Rows) error {
		return rows.Scan(&row.id, &row.host, &since, &seen)
	}, `SELECT id, host, since, seen FROM members WHERE pool = ? AND redirect = ? AND member = ?`, m.Pool, m.Redirect, m.ID)
	row.since, row.seen = time.UnixMilli(since).UTC(), time.UnixMilli(seen).UTC()
	return row, err
}

// noteFlags makes the rows of a member's flags what was found, and gives those that are new.
func noteFlags(ctx context.Context, tx *sql.Tx, member int64, found []Flag) (fresh []Flag, err error) {
	before := map[FlagKind]string{}
	err = listed(ctx, tx, func(rows *sql.Rows) error {
		var kind FlagKind
		var words string
		if err := rows.Scan(&kind, &words); err != nil {
			return err
		}
		before[kind] = words
		return nil
	}, `SELECT kind, words FROM flags WHERE member = ?`, member)
	if err != nil {
		return nil, err
	}
	for _, one := range found {
		words, known := before[one.Kind]
		delete(before, one.Kind)
		if !known {
			fresh = append(fresh, one)
		}
		if known && words == one.Words {
			continue
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO flags (member, kind, since, words) VALUES (?, ?, ?, ?)
			ON CONFLICT (member, kind) DO UPDATE SET words = excluded.words`, member, one.Kind, one.Since.UnixMilli(), one.Words); err != nil {
			return nil, err
		}
	}
	for kind := range before {
		if _, err := tx.ExecContext(ctx, `DELETE FROM flags WHERE member = ? AND kind = ?`, member, kind); err != nil {
			return nil, err
		}
	}
	return fresh, nil
}

// Flags gives the red flags of the members that there are, as they were found last, by
// member and kind. It
// does not wait for the disk.
func (h *History) Flags() []Flag {
	present := h.present()
	h.mu.Lock()
	defer h.mu.Unlock()
	flags := []Flag{}
	for _, m := range slices.SortedFunc(maps.Keys(h.standing), Member.compare) {
		if present[m] {
			flags = append(flags, h.standing[m]...)
		}
	}
	return flags
}

// stand notes what flags a member has.
func (h *History) stand(m Member, flags []Flag) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(flags) == 0 {
		delete(h.standing, m)
		return
	}
	h.standing[m] = flags
}

// standingFlags reads the flags that stood in the last run.
func (s *store) standingFlags(ctx context.Context) (map[Member][]Flag, error) {
	standing := map[Member][]Flag{}
	err := inside(ctx, s.read, func(tx *sql.Tx) error {
		return listed(ctx, tx, func(rows *sql.Rows) error {
			var one Flag
			var at int64
			if err := rows.Scan(&one.Pool, &one.Redirect, &one.ID, &one.Kind, &at, &one.Words); err != nil {
				return err
			}
			one.Since = time.UnixMilli(at).UTC()
			standing[one.Member] = append(standing[one.Member], one)
			return nil
		}, `SELECT m.pool, m.redirect, m.member, f.kind, f.since, f.words FROM flags f JOIN members m ON m.id = f.member ORDER BY f.kind`)
	})
	return standing, err
}
