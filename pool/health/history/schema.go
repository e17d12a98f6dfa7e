package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// applicationID marks the file as one of this program ("mpHi").
const applicationID = 0x6d704869

// migrations make the tables, one version after the other. One that was released is never
// changed.
var migrations = []string{
	`
CREATE TABLE members (
	id INTEGER PRIMARY KEY,
	pool TEXT NOT NULL,        -- or redirect host
	redirect INTEGER NOT NULL, -- 1: a mirror of a redirect host
	member TEXT NOT NULL,      -- id, or URL prefix
	host TEXT NOT NULL,        -- host name of the mirror, or empty
	since INTEGER NOT NULL,    -- known since
	seen INTEGER NOT NULL,     -- last known to be there
	UNIQUE (pool, redirect, member)
);
CREATE TABLE places (
	id INTEGER PRIMARY KEY,
	member INTEGER NOT NULL REFERENCES members ON DELETE CASCADE,
	address TEXT NOT NULL, -- empty for mirrors
	UNIQUE (member, address)
);
CREATE TABLE targets (
	id INTEGER PRIMARY KEY,
	key TEXT NOT NULL UNIQUE,
	name TEXT NOT NULL,     -- in words
	kind TEXT NOT NULL,
	purpose TEXT NOT NULL,
	address TEXT NOT NULL,
	floor INTEGER NOT NULL,   -- bytes a second; 0: none
	warning INTEGER NOT NULL, -- milliseconds before a certificate's end
	certificate INTEGER,      -- its end
	seen INTEGER NOT NULL
);
CREATE TABLE names (
	place INTEGER NOT NULL REFERENCES places ON DELETE CASCADE,
	target INTEGER NOT NULL REFERENCES targets ON DELETE CASCADE,
	PRIMARY KEY (place, target)
) WITHOUT ROWID;
CREATE INDEX names_target ON names (target);
CREATE TABLE incidents (
	id INTEGER PRIMARY KEY,
	target INTEGER NOT NULL REFERENCES targets ON DELETE CASCADE,
	started INTEGER NOT NULL,
	ended INTEGER,            -- NULL: it goes on
	failing INTEGER NOT NULL, -- the first failure that led to it
	words TEXT NOT NULL,      -- the target
	"check" TEXT NOT NULL,
	reason TEXT NOT NULL,
	outcome TEXT NOT NULL,    -- the worst
	ending TEXT NOT NULL,
	voided INTEGER NOT NULL,  -- 1: it was not the target's own
	failures INTEGER NOT NULL,
	first TEXT NOT NULL,      -- evidence as JSON
	last TEXT NOT NULL,
	worst TEXT NOT NULL,
	UNIQUE (target, started)
);
CREATE INDEX incidents_started ON incidents (started);
CREATE INDEX incidents_open ON incidents (ended) WHERE ended IS NULL;
CREATE TABLE days (
	target INTEGER NOT NULL REFERENCES targets ON DELETE CASCADE,
	day INTEGER NOT NULL,
	probes INTEGER NOT NULL,
	failures INTEGER NOT NULL,
	singles INTEGER NOT NULL, -- failures that did not take the target down
	altered INTEGER NOT NULL,
	slow INTEGER NOT NULL,
	late INTEGER NOT NULL,
	response_count INTEGER NOT NULL,
	response_sum REAL NOT NULL,
	response_min INTEGER NOT NULL,
	response_max INTEGER NOT NULL,
	response_buckets BLOB NOT NULL,
	delivery_count INTEGER NOT NULL,
	delivery_sum REAL NOT NULL,
	delivery_min INTEGER NOT NULL,
	delivery_max INTEGER NOT NULL,
	delivery_buckets BLOB NOT NULL,
	PRIMARY KEY (target, day)
) WITHOUT ROWID;
CREATE TABLE availability (
	place INTEGER NOT NULL REFERENCES places ON DELETE CASCADE,
	day INTEGER NOT NULL,
	up INTEGER NOT NULL, -- milliseconds; the rest of the day is not known
	down INTEGER NOT NULL,
	frozen INTEGER NOT NULL,
	PRIMARY KEY (place, day)
) WITHOUT ROWID;
CREATE TABLE flags (
	member INTEGER NOT NULL REFERENCES members ON DELETE CASCADE,
	kind TEXT NOT NULL,
	since INTEGER NOT NULL,
	words TEXT NOT NULL,
	PRIMARY KEY (member, kind)
) WITHOUT ROWID;
CREATE TABLE marks (
	id INTEGER PRIMARY KEY,
	time INTEGER NOT NULL,
	kind TEXT NOT NULL,
	pool TEXT NOT NULL,
	member TEXT NOT NULL,
	words TEXT NOT NULL
);
CREATE INDEX marks_time ON marks (time);
CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
`,
	`
CREATE TABLE names_in_time (
	place INTEGER NOT NULL REFERENCES places ON DELETE CASCADE,
	target INTEGER NOT NULL REFERENCES targets ON DELETE CASCADE,
	since INTEGER NOT NULL, -- 0: it is not known
	until INTEGER,          -- NULL: it still is
	PRIMARY KEY (place, target, since)
) WITHOUT ROWID;
INSERT INTO names_in_time (place, target, since) SELECT place, target, 0 FROM names;
DROP TABLE names;
ALTER TABLE names_in_time RENAME TO names;
CREATE INDEX names_target ON names (target);
`,
}

// errNewer tells of a file that this version must not touch.
var errNewer = errors.New("the file was written by a newer version of the program: run that one, or move the file away")

// migrate brings the tables to the last version, each step whole or not at all.
func migrate(ctx context.Context, db *sql.DB, steps []string) error {
	var version, id int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return readable(err)
	}
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return readable(err)
	}
	switch {
	case id != applicationID:
		return fmt.Errorf("%w: it is not marked as this program's history", errDamaged)
	case version < 0:
		return fmt.Errorf("%w: its version is %d", errDamaged, version)
	case version > len(steps):
		return fmt.Errorf("its tables have version %d, this program knows %d: %w", version, len(steps), errNewer)
	}
	for i, step := range steps[version:] {
		next := version + i + 1
		if err := inside(ctx, db, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, step); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version=%d", next))
			return err
		}); err != nil {
			return fmt.Errorf("making version %d of the tables: %w", next, err)
		}
	}
	return nil
}

// inside does something in one transaction.
func inside(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		if undone := tx.Rollback(); undone != nil && !errors.Is(undone, sql.ErrTxDone) {
			err = errors.Join(err, undone)
		}
		return err
	}
	return tx.Commit()
}
