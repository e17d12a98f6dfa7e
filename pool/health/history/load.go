package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"mirrorpool/pool"
	"mirrorpool/pool/health"
)

// memberData is all that the file has of one member.
type memberData struct {
	memberRow
	now       time.Time
	places    []placeData
	targets   map[int64]*targetData
	incidents []Incident // the newest first; their evidence is not read yet
	omitted   int
}

type memberRow struct {
	id int64
	Member
	host        string
	since, seen time.Time
}

type placeData struct {
	id      int64
	address string
	days    []dated[spent] // ascending
}

type targetData struct {
	kind        pool.CheckKind
	purpose     pool.Purpose
	address     string
	floor       int64 // bytes a second
	warning     time.Duration
	certificate time.Time // its end; zero: there is none
	seen        time.Time
	days        []dated[figures] // ascending
	own, others []naming         // when it was the member's, and others'
}

// mostIncidents of one member are looked at, the newest.
const mostIncidents = 5_000

// listed calls a function for each row of a question.
func listed(ctx context.Context, tx *sql.Tx, each func(*sql.Rows) error, question string, values ...any) (err error) {
	rows, err := tx.QueryContext(ctx, question, values...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := each(rows); err != nil {
			return readable(err)
		}
	}
	return rows.Err()
}

// loadMembers lists all members with their addresses, by pool and id.
func loadMembers(ctx context.Context, tx *sql.Tx) (members []memberRow, addresses map[int64][]string, err error) {
	err = listed(ctx, tx, func(rows *sql.Rows) error {
		var m memberRow
		var since, seen int64
		if err := rows.Scan(&m.id, &m.Pool, &m.Redirect, &m.ID, &m.host, &since, &seen); err != nil {
			return err
		}
		m.since, m.seen = time.UnixMilli(since).UTC(), time.UnixMilli(seen).UTC()
		members = append(members, m)
		return nil
	}, `SELECT id, pool, redirect, member, host, since, seen FROM members ORDER BY pool, member, redirect`)
	if err != nil {
		return nil, nil, fmt.Errorf("listing members: %w", err)
	}
	addresses = map[int64][]string{}
	err = listed(ctx, tx, func(rows *sql.Rows) error {
		var member int64
		var address string
		if err := rows.Scan(&member, &address); err != nil {
			return err
		}
		addresses[member] = append(addresses[member], address)
		return nil
	}, `SELECT member, address FROM places WHERE address <> ''`)
	if err != nil {
		return nil, nil, fmt.Errorf("listing addresses: %w", err)
	}
	return members, addresses, nil
}

// load reads all of a member.
func load(ctx context.Context, tx *sql.Tx, m memberRow, now time.Time) (*memberData, error) {
	data := &memberData{memberRow: m, now: now, targets: map[int64]*targetData{}}
	for _, part := range []struct {
		name string
		load func(context.Context, *sql.Tx) error
	}{
		{"addresses", data.loadPlaces},
		{"targets", data.loadTargets},
		{"names", data.loadNamings},
		{"incidents", data.loadIncidents},
		{"availability", data.loadSpent},
		{"figures", data.loadFigures},
	} {
		if err := part.load(ctx, tx); err != nil {
			return nil, fmt.Errorf("reading the %s of %s: %w", part.name, m.Member, err)
		}
	}
	return data, nil
}

func (d *memberData) loadPlaces(ctx context.Context, tx *sql.Tx) error {
	return listed(ctx, tx, func(rows *sql.Rows) error {
		var p placeData
		if err := rows.Scan(&p.id, &p.address); err != nil {
			return err
		}
		d.places = append(d.places, p)
		return nil
	}, `SELECT id, address FROM places WHERE member = ? ORDER BY address`, d.id)
}

// ofMember picks the targets of a member.
const ofMember = ` IN (SELECT target FROM names WHERE place IN (SELECT id FROM places WHERE member = ?)) `

func (d *memberData) loadTargets(ctx context.Context, tx *sql.Tx) error {
	return listed(ctx, tx, func(rows *sql.Rows) error {
		var id, warning, seen int64
		var certificate sql.NullInt64
		t := &targetData{}
		if err := rows.Scan(&id, &t.kind, &t.purpose, &t.address, &t.floor, &warning, &certificate, &seen); err != nil {
			return err
		}
		t.warning, t.seen = time.Duration(warning)*time.Millisecond, time.UnixMilli(seen).UTC()
		if certificate.Valid {
			t.certificate = time.UnixMilli(certificate.Int64).UTC()
		}
		d.targets[id] = t
		return nil
	}, `SELECT id, kind, purpose, address, floor, warning, certificate, seen FROM targets WHERE id`+ofMember, d.id)
}

func (d *memberData) loadIncidents(ctx context.Context, tx *sql.Tx) error {
	err := listed(ctx, tx, func(rows *sql.Rows) error {
		var i Incident
		var target, started, failing int64
		var ended sql.NullInt64
		var outcome string
		if err := rows.Scan(&target, &started, &ended, &failing, &i.Target, &i.Check, &i.Reason, &outcome, &i.Ending, &i.Voided,
			&i.Failures, &i.first, &i.last, &i.worst); err != nil {
			return err
		}
		i.Outcome = health.Outcome(outcome)
		i.Started, i.Failing = time.UnixMilli(started).UTC(), time.UnixMilli(failing).UTC()
		if ended.Valid {
			i.Ended = time.UnixMilli(ended.Int64).UTC()
		}
		if t := d.targets[target]; t != nil {
			i.Address = t.address
			t.clip(&i)
		}
		i.early = i.Started.After(d.now.Add(clockSlack))
		d.incidents = append(d.incidents, i)
		return nil
	}, `SELECT target, started, ended, failing, words, "check", reason, outcome, ending, voided, failures, first, last, worst
		FROM incidents i WHERE target`+ofMember+`AND EXISTS (SELECT 1 FROM names n WHERE n.target = i.target
			AND n.place IN (SELECT id FROM places WHERE member = ?)
			AND (i.ended IS NULL OR n.since <= i.ended OR n.since > ?) AND (n.until IS NULL OR n.until > i.started))
		ORDER BY started DESC, id DESC LIMIT ?`, d.id, d.id, d.now.UnixMilli(), mostIncidents+1)
	if len(d.incidents) > mostIncidents {
		d.incidents = d.incidents[:mostIncidents]
		d.omitted = 1
	}
	return err
}

func (d *memberData) loadSpent(ctx context.Context, tx *sql.Tx) error {
	for i := range d.places {
		p := &d.places[i]
		err := listed(ctx, tx, func(rows *sql.Rows) error {
			var up, down, frozen int64
			var of dated[spent]
			if err := rows.Scan(&of.day, &up, &down, &frozen); err != nil {
				return err
			}
			of.value = spent{milliseconds(up), milliseconds(down), milliseconds(frozen)}
			p.days = append(p.days, of)
			return nil
		}, `SELECT day, up, down, frozen FROM availability WHERE place = ? ORDER BY day`, p.id)
		if err != nil {
			return err
		}
	}
	return nil
}

// milliseconds of one day, whatever the file says.
func milliseconds(count int64) time.Duration {
	return time.Duration(min(max(count, 0), dayLength.Milliseconds())) * time.Millisecond
}

func (d *memberData) loadFigures(ctx context.Context, tx *sql.Tx) error {
	return listed(ctx, tx, func(rows *sql.Rows) error {
		var target int64
		var of dated[figures]
		var err error
		if of.value, err = scanFigures(rows, &target, &of.day); err != nil {
			return err
		}
		if t := d.targets[target]; t != nil && t.ofDay(of.day) {
			t.days = append(t.days, of)
		}
		return nil
	}, `SELECT target, day, `+figuresColumns+` FROM days WHERE target`+ofMember+`ORDER BY target, day`, d.id)
}

// evidence reads what the incident's probes saw.
func (i *Incident) evidence() error {
	for _, one := range []struct {
		text string
		into **Evidence
	}{{i.first, &i.First}, {i.last, &i.Last}, {i.worst, &i.Worst}} {
		if one.text == "" {
			continue
		}
		e, err := decodeEvidence(one.text)
		if err != nil {
			return fmt.Errorf("%w: evidence of an incident: %w", errDamaged, err)
		}
		*one.into = &e
	}
	return nil
}
