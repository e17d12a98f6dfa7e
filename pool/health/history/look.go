package history

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"mirrorpool/pool/administrative"
)

// Bounds of answers.
const (
	mostMembers    = 200
	usualIncidents = 100
	mostGivenMarks = 100
)

// ErrUnavailable tells that the file cannot be read now.
var ErrUnavailable = errors.New("the history cannot be read now")

// ErrTooMany tells of a question that names more members than are answered for.
var ErrTooMany = errors.New("too many members")

// Look answers a question from what the file has, and from what waits if that can be
// written at once. An error is ErrUnavailable, ErrTooMany, or that of the context.
func (h *History) Look(ctx context.Context, q Question) (Answer, error) {
	h.writeNow()
	var answer Answer
	err := h.read(ctx, func(tx *sql.Tx) (err error) {
		answer, err = h.answer(ctx, tx, q)
		return err
	})
	return answer, err
}

// writeNow writes what waits unless that is being done, or has failed.
func (h *History) writeNow() {
	if !h.writing.TryLock() {
		return
	}
	defer h.writing.Unlock()
	if h.failing || h.store == nil {
		return
	}
	if err := h.write(true); err != nil {
		signal(h.wake) // Run meets the same error, and tells of it
	}
}

// read does something in one transaction that sees the file as it is now.
func (h *History) read(ctx context.Context, do func(*sql.Tx) error) (err error) {
	s := h.readers.Load()
	if s == nil {
		return ErrUnavailable
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			words := fmt.Sprint(p)
			h.panicked.Store(&words)
			signal(h.wake)
			err = fmt.Errorf("reading the history: panic: %s: %w", words, ErrUnavailable)
		}
	}()
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err == nil {
		err = do(tx)
		if undone := tx.Rollback(); err == nil && undone != nil && !errors.Is(undone, sql.ErrTxDone) {
			err = undone
		}
	}
	switch {
	case err == nil || errors.Is(err, ErrTooMany) || ctx.Err() != nil:
		return err
	case damaged(err):
		h.suspect.Store(true)
		signal(h.wake)
	}
	return fmt.Errorf("reading the history: %w: %w", err, ErrUnavailable)
}

func (h *History) answer(ctx context.Context, tx *sql.Tx, q Question) (Answer, error) {
	now := h.options.Now().UTC()
	if q.Since.IsZero() {
		q.Since = sixMonths(now)
	}
	if q.Limit <= 0 {
		q.Limit = usualIncidents
	}
	answer := Answer{Now: whole(now), Since: whole(q.Since), Members: []MemberHistory{}}
	members, addresses, err := loadMembers(ctx, tx)
	if err != nil {
		return answer, err
	}
	members = slices.DeleteFunc(members, func(m memberRow) bool { return !q.names(m, addresses[m.id]) })
	if len(members) > mostMembers {
		return answer, fmt.Errorf("%w: the question names %d, and %d are answered for at once: name fewer", ErrTooMany, len(members), mostMembers)
	}
	present, places := h.present(), h.presentPlaces()
	for _, m := range members {
		data, err := load(ctx, tx, m, now)
		if err != nil {
			return answer, err
		}
		data.forgetPlaces(q.Since, places)
		one, err := data.history(q, now)
		if err != nil {
			return answer, err
		}
		one.Present = present[m.Member]
		if one.Marks, err = loadMarks(ctx, tx, q.Since, one.Member); err != nil {
			return answer, err
		}
		answer.Members = append(answer.Members, one)
	}
	return answer, nil
}

// present are the members that are in what is served.
func (h *History) present() map[Member]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := map[Member]bool{}
	for at := range h.subjects {
		all[at.Member] = true
	}
	return all
}

// presentPlaces are the addresses of the members that are in what is served.
func (h *History) presentPlaces() map[place]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make(map[place]bool, len(h.subjects))
	for at := range h.subjects {
		all[at] = true
	}
	return all
}

// forgetPlaces leaves out addresses that the member has no more, and of which nothing is
// known in the time that was asked for.
func (d *memberData) forgetPlaces(from time.Time, present map[place]bool) {
	d.places = slices.DeleteFunc(d.places, func(p placeData) bool {
		address, _ := netip.ParseAddr(p.address) // the zero one for mirrors
		known := len(p.days) > 0 && p.days[len(p.days)-1].day >= dayOf(from)
		return !known && !present[place{d.Member, address}]
	})
}

// names reports whether the question is about a member.
func (q Question) names(m memberRow, addresses []string) bool {
	if q.Pool != "" && !strings.EqualFold(q.Pool, m.Pool) {
		return false
	}
	names := append([]string{m.ID, m.host}, addresses...)
	return q.Member == (administrative.Pattern{}) || slices.ContainsFunc(names, q.Member.Matches)
}

// history puts together what the answer says of a member.
func (d *memberData) history(q Question, now time.Time) (MemberHistory, error) {
	outages := failuresOf(d.incidents, now)
	recent := since(outages, sixMonths(now))
	one := MemberHistory{
		Member: d.Member, Host: d.host, KnownSince: whole(d.since), Failures: len(recent),
		Verdict: d.verdict(outages, now), Availability: []Availability{},
		Incidents: []Incident{}, Omitted: d.omitted, Flags: d.flags(now),
	}
	if len(outages) > 0 {
		last := outages[len(outages)-1]
		one.LastFailure = whole(last.from)
		if last.open {
			one.DownSince = whole(last.from)
		}
	}
	from := q.Since
	if from.Before(d.since) {
		from = d.since
	}
	one.Trend = d.trend(outages, from, now)
	for _, p := range d.places {
		one.Availability = append(one.Availability, p.availability(from, now))
	}
	for _, i := range d.incidents {
		if !i.Ended.IsZero() && i.Ended.Before(q.Since) {
			continue
		}
		if len(one.Incidents) == q.Limit {
			one.Omitted++
			continue
		}
		if err := i.evidence(); err != nil {
			return one, err
		}
		end := i.Ended
		if end.IsZero() {
			end = now
		}
		i.Seconds = int64(max(end.Sub(i.Started), 0) / time.Second)
		one.Incidents = append(one.Incidents, i)
	}
	return one, nil
}

// availability sums up the days of a place, that on which the time begins as a whole.
func (p placeData) availability(from, now time.Time) Availability {
	var sum spent
	for _, day := range p.days {
		if day.day >= dayOf(from) {
			sum.add(day.value)
		}
	}
	length := now.Sub(from)
	a := Availability{
		Address: p.address, Up: int64(sum.Up / time.Second), Down: int64(sum.Down / time.Second),
		Frozen: int64(sum.Frozen / time.Second), Percent: percentOf(sum),
	}
	a.Unknown = max(int64(length/time.Second)-a.Up-a.Down-a.Frozen, 0)
	return a
}

// loadMarks gives the marks that are about a member, the newest first.
func loadMarks(ctx context.Context, tx *sql.Tx, from time.Time, m Member) ([]Mark, error) {
	marks := []Mark{}
	err := listed(ctx, tx, func(rows *sql.Rows) error {
		var one Mark
		var at int64
		if err := rows.Scan(&at, &one.Kind, &one.Pool, &one.Member, &one.Words); err != nil {
			return err
		}
		one.Time = time.UnixMilli(at).UTC()
		about := one.Member == "" || one.Member == m.ID
		if about && len(marks) < mostGivenMarks {
			marks = append(marks, one)
		}
		return nil
	}, `SELECT time, kind, pool, member, words FROM marks WHERE time >= ? AND (pool = '' OR pool = ?) ORDER BY time DESC, id DESC LIMIT 10000`,
		from.UnixMilli(), m.Pool)
	slices.SortStableFunc(marks, func(a, b Mark) int { return cmp.Compare(b.Time.UnixMilli(), a.Time.UnixMilli()) })
	return marks, err
}
