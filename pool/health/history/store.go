package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strconv"
	"time"

	"modernc.org/sqlite" // and the driver
)

// store is the open file. Writing to it is guarded by the History's writing mutex;
// reading may be done at the same time.
type store struct {
	path  string
	file  fs.FileInfo // that was opened, to see whether it is still the one at path
	write *sql.DB     // one connection
	read  *sql.DB
	// What is known of the file, by the writer alone.
	targets map[string]int64 // by key
	places  map[place]int64
	members map[Member]int64
}

// pageSize is that of new files, in bytes.
const pageSize = 4096

// reading is how many questions are answered at the same time.
const reading = 2

// busyTimeout is how long another program may hold the file up.
const busyTimeout = 5 * time.Second

// source names the file for the driver, with the settings of each connection.
func source(path string, settings url.Values) string {
	for _, pragma := range []string{
		"busy_timeout(" + strconv.FormatInt(busyTimeout.Milliseconds(), 10) + ")",
		"synchronous(FULL)", // what is committed is on the disk
		"foreign_keys(ON)",
		"cell_size_check(ON)", // do not trust the file
		"trusted_schema(OFF)",
		"mmap_size(0)",
		"cache_size(-2000)",
		"journal_size_limit(4194304)",
	} {
		settings.Add("_pragma", pragma)
	}
	settings.Set("_defensive", "1")
	return (&url.URL{Scheme: "file", Path: path, RawQuery: settings.Encode()}).String()
}

// openStore opens the file, or makes one, and brings its tables up to date.
func openStore(ctx context.Context, path string, maxBytes int64) (_ *store, err error) {
	// The database takes over the file's mode for those that it puts beside it.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	about, err := file.Stat()
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	if !about.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	s := &store{path: path, file: about, targets: map[string]int64{}, places: map[place]int64{}, members: map[Member]int64{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.write, err = sql.Open("sqlite", source(path, url.Values{"_txlock": {"immediate"}})); err != nil {
		return nil, err
	}
	s.write.SetMaxOpenConns(1)
	if err := s.prepare(ctx, about.Size() == 0, maxBytes); err != nil {
		return nil, err
	}
	if err := migrate(ctx, s.write, migrations); err != nil {
		return nil, err
	}
	if s.read, err = sql.Open("sqlite", source(path, url.Values{"_pragma": {"query_only(ON)"}})); err != nil {
		return nil, err
	}
	s.read.SetMaxOpenConns(reading)
	s.read.SetMaxIdleConns(1)
	s.read.SetConnMaxIdleTime(time.Minute)
	return s, nil
}

// prepare makes the settings that belong to the file.
func (s *store) prepare(ctx context.Context, empty bool, maxBytes int64) error {
	settings := []string{
		"PRAGMA journal_mode=WAL",
		fmt.Sprintf("PRAGMA max_page_count=%d", max(maxBytes+maxBytes/4, 64*pageSize)/pageSize),
	}
	if empty {
		settings = append([]string{
			fmt.Sprintf("PRAGMA page_size=%d", pageSize), "PRAGMA auto_vacuum=INCREMENTAL",
			fmt.Sprintf("PRAGMA application_id=%d", applicationID),
		}, settings...)
	}
	for _, setting := range settings {
		if _, err := s.write.ExecContext(ctx, setting); err != nil {
			return fmt.Errorf("%s: %w", setting, err)
		}
	}
	return nil
}

// close gives up what is open.
func (s *store) close() error {
	var problems []error
	for _, one := range []*sql.DB{s.read, s.write} { // the last one to close writes the log back
		if one != nil {
			problems = append(problems, one.Close())
		}
	}
	return errors.Join(problems...)
}

// replaced reports whether the file at path is another one than was opened, or is gone.
func (s *store) replaced() bool {
	now, err := os.Stat(s.path)
	return err != nil || !os.SameFile(now, s.file)
}

// errDamaged tells that what the file holds cannot be.
var errDamaged = errors.New("the file is damaged")

// The primary codes of SQLite (sqlite.org/rescode.html) that tell of a damaged file or of
// no room, and those that a sound one does not give for the statements of this package.
const (
	codeCorrupt = 11
	codeNotADB  = 26

	codeFull = 13 // the disk is, or the file has reached its bound

	codeError      = 1
	codeSchema     = 17
	codeTooBig     = 18
	codeConstraint = 19
	codeMismatch   = 20
	codeFormat     = 24
	codeRange      = 25
)

// codeOf is the primary code of an error of the database; 0: it is another one's.
func codeOf(err error) int {
	if coded, ok := errors.AsType[*sqlite.Error](err); ok {
		return coded.Code() & 0xff
	}
	return 0
}

// damaged reports whether an error comes from a damaged file, and not from a disk that is
// full, or does not work.
func damaged(err error) bool {
	code := codeOf(err)
	return errors.Is(err, errDamaged) || code == codeCorrupt || code == codeNotADB
}

// doubtful reports whether an error comes either from a damaged file, or from something
// that cannot be written for what it is.
func doubtful(err error) bool {
	switch codeOf(err) {
	case codeError, codeSchema, codeTooBig, codeConstraint, codeMismatch, codeFormat, codeRange:
		return true
	}
	return false
}

// readable takes an error of reading values: one that is not the database's tells of a value
// that cannot be there.
func readable(err error) error {
	if err == nil || errors.Is(err, sql.ErrNoRows) || errors.Is(err, context.Canceled) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, sql.ErrTxDone) || errors.Is(err, sql.ErrConnDone) {
		return err
	}
	if _, ok := errors.AsType[*sqlite.Error](err); ok {
		return err
	}
	return fmt.Errorf("%w: %w", errDamaged, err)
}

// check reads all of the file and says what is wrong with it.
func (s *store) check(ctx context.Context) error {
	var found string
	if err := s.read.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&found); err != nil {
		return readable(err)
	}
	if found != "ok" {
		return fmt.Errorf("%w: %s", errDamaged, printable(found))
	}
	for _, table := range []string{"members", "places", "targets", "names", "incidents", "days", "availability", "flags", "marks", "facts"} {
		var row int
		err := s.read.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM "+table+" LIMIT 1)").Scan(&row)
		if codeOf(err) == codeError {
			return fmt.Errorf("%w: %w", errDamaged, err)
		} else if err != nil {
			return readable(err)
		}
	}
	return nil
}

// size gives the bytes of the file, and those of them that are in use.
func (s *store) size(ctx context.Context) (whole, used int64, err error) {
	var pages, free, size int64
	for pragma, into := range map[string]*int64{"page_count": &pages, "freelist_count": &free, "page_size": &size} {
		if err := s.write.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(into); err != nil {
			return 0, 0, readable(err)
		}
	}
	return pages * size, (pages - free) * size, nil
}
