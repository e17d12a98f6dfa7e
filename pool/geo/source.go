package geo

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Config names the files of a Source. Every one may be empty.
type Config struct {
	// City, Country and ASN are databases in the MaxMind format. With neither
	// City nor Country, the country table of the program is used. With both,
	// Country is asked for what City does not know.
	City, Country, ASN string
	// Overrides is the operator's list of networks, in JSON.
	Overrides string
	// InstalledIPv4 and InstalledIPv6 are where Debian's tor-geoipdb has its
	// files. Each is used in place of that family of the program's own country
	// table while it is there, is newer and is whole.
	InstalledIPv4, InstalledIPv6 string
}

// Source keeps a Map of the configured files, and makes a new one when they
// change. Its methods may be called from any goroutine.
type Source struct {
	mutex sync.Mutex // held by Refresh; guards slots and embedded
	slots []*slot
	// useBase tells that there is neither a city nor a country database.
	useBase bool
	// embedded is the decoded country table of the program; nil while it is
	// not needed.
	embedded *countryBase
	current  atomic.Pointer[state]
}

// state is a Map and where it comes from.
type state struct {
	places    *Map
	databases []Database
}

// Open reads the configured files. A file that is named and missing, or that
// does not hold what it should, is an error that names it; all of them are
// reported in one error. The installed country tables are not named by
// anybody: one that is missing is not used, and what is wrong with one that
// is there is reported by Refresh.
func Open(c Config) (*Source, error) {
	if c.City != "" || c.Country != "" {
		return open(c, nil, measure{}, measure{})
	}
	embedded, err := loadEmbedded()
	if err != nil {
		return nil, err
	}
	return open(c, embedded, embedded.ipv4, embedded.ipv6)
}

// open holds the installed country tables against the given measures. The
// program's own table is decoded when it is needed, where it is not given.
func open(c Config, embedded *countryBase, ipv4, ipv6 measure) (*Source, error) {
	s := &Source{useBase: c.City == "" && c.Country == "", embedded: embedded}
	s.addPlaces(KindCity, c.City)
	s.addPlaces(KindCountry, c.Country)
	s.addASNs(c.ASN)
	if s.useBase {
		s.addInstalled(c.InstalledIPv4, false, ipv4)
		s.addInstalled(c.InstalledIPv6, true, ipv6)
	}
	s.addOverrides(c.Overrides)
	var problems []error
	for _, slot := range s.slots {
		if _, err := slot.look(); err != nil && !slot.optional {
			problems = append(problems, err)
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if err := s.build(); err != nil {
		return nil, err
	}
	return s, nil
}

// Map is the current map; never nil.
func (s *Source) Map() *Map { return s.current.Load().places }

// Description tells what the current map is made of.
func (s *Source) Description() []Database {
	databases := s.current.Load().databases
	return append(make([]Database, 0, len(databases)), databases...)
}

// Refresh looks at the files, and reads those that are not what they were: by
// time of change, size and inode. When one of them cannot be used, what was
// read of it before stays, and the error names it, at every call until it is
// mended; the others are taken all the same, so that changed may be true
// beside an error. Calls wait for each other.
func (s *Source) Refresh() (changed bool, err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var problems []error
	for _, slot := range s.slots {
		slotChanged, err := slot.look()
		if err != nil {
			problems = append(problems, err)
		}
		changed = changed || slotChanged
	}
	if changed {
		if err := s.build(); err != nil {
			return false, errors.Join(append(problems, err)...)
		}
	}
	return changed, errors.Join(problems...)
}

// build makes the current state of what the slots hold.
func (s *Source) build() error {
	next := &state{places: &Map{}}
	for _, slot := range s.slots {
		if slot.fill != nil {
			slot.fill(next.places)
			next.databases = append(next.databases, slot.database)
		}
	}
	if !s.useBase || next.places.base4 != nil && next.places.base6 != nil {
		s.embedded = nil
		s.current.Store(next)
		return nil
	}
	if s.embedded == nil {
		embedded, err := loadEmbedded()
		if err != nil {
			return err
		}
		s.embedded = embedded
	}
	database := s.embedded.database
	switch {
	case next.places.base4 != nil:
		database.Families = "IPv6"
	case next.places.base6 != nil:
		database.Families = "IPv4"
	}
	if next.places.base4 == nil {
		next.places.base4 = s.embedded.table
	}
	if next.places.base6 == nil {
		next.places.base6 = s.embedded.table
	}
	next.databases = append(next.databases, database)
	s.current.Store(next)
	return nil
}

func (s *Source) addPlaces(kind Kind, path string) {
	s.add(&slot{name: "the " + string(kind) + " database", path: path, limit: maxDatabase, parse: func(data []byte, _ time.Time) (func(*Map), Database, error) {
		places, database, err := parsePlaces(data, kind)
		return func(m *Map) {
			if kind == KindCity {
				m.city = places
			} else {
				m.country = places
			}
		}, database, err
	}})
}

func (s *Source) addASNs(path string) {
	s.add(&slot{name: "the AS database", path: path, limit: maxDatabase, parse: func(data []byte, _ time.Time) (func(*Map), Database, error) {
		numbers, database, err := parseASNs(data)
		return func(m *Map) { m.asn = numbers }, database, err
	}})
}

func (s *Source) addOverrides(path string) {
	s.add(&slot{name: "the overrides", path: path, limit: maxOverrides, parse: func(data []byte, modified time.Time) (func(*Map), Database, error) {
		list, err := parseOverrides(path, data)
		if err != nil {
			return nil, Database{}, err
		}
		given := newOverrides(list)
		return func(m *Map) { m.given = given }, Database{
			Kind: KindOverrides, Type: "networks of the operator", Built: modified.UTC(), Entries: len(list),
		}, nil
	}})
}

func (s *Source) add(slot *slot) {
	if slot.path != "" {
		s.slots = append(s.slots, slot)
	}
}

// The largest files that are read.
const (
	maxDatabase  = 2 << 30
	maxOverrides = 16 << 20
)

// slot is one file, and what was made of it.
type slot struct {
	name, path string
	limit      int64 // of the file's size in bytes
	optional   bool  // it may be missing
	// parse makes something of the file's content, of which it keeps nothing; a
	// nil function and no error means that the file is well and is not wanted.
	parse func(data []byte, modified time.Time) (fill func(*Map), database Database, err error)

	seen     fs.FileInfo // of the file that was read last; nil: none was
	err      error       // what was wrong with that one
	fill     func(*Map)  // of the last one that could be used; nil: none
	database Database
}

// look reads the file if it is another one than at the last look.
func (s *slot) look() (changed bool, err error) {
	info, err := os.Stat(s.path)
	switch {
	case s.optional && errors.Is(err, fs.ErrNotExist):
		return s.drop(), nil
	case err != nil:
		return false, fmt.Errorf("looking at %s: %w: put the file there, or take it out of the configuration", s.name, err)
	case s.seen != nil && sameFile(info, s.seen):
		return false, s.err
	}
	data, info, release, err := readWhole(s.path, s.limit)
	switch {
	case s.optional && errors.Is(err, fs.ErrNotExist): // it went meanwhile
		return s.drop(), nil
	case err != nil:
		return false, fmt.Errorf("reading %s: %w", s.name, err)
	}
	defer release()
	s.seen = info
	fill, database, err := s.parse(data, info.ModTime())
	if err != nil {
		s.err = fmt.Errorf("reading %s from %s: %w\nput a whole file of the right kind in its place", s.name, s.path, err)
		return false, s.err
	}
	s.err = nil
	if fill == nil && s.fill == nil {
		return false, nil
	}
	database.Path = s.path
	s.fill, s.database = fill, database
	return true, nil
}

// drop forgets the file and what was wrong with it. It reports whether it was
// in use.
func (s *slot) drop() (changed bool) {
	changed = s.fill != nil
	s.seen, s.err, s.fill, s.database = nil, nil, nil, Database{}
	return changed
}

// sameFile tells whether nobody replaced or wrote the file in between.
func sameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// readWhole reads a file that is at rest, and gives what it was when it was
// read. One that is being written or replaced is tried a few times. The data
// must not be used any more once they are released.
func readWhole(path string, limit int64) (data []byte, info fs.FileInfo, release func(), err error) {
	for range 3 {
		data, info, release, err = readOnce(path, limit)
		if err != nil {
			return nil, nil, nil, err
		}
		after, err := os.Stat(path)
		if err != nil {
			release()
			return nil, nil, nil, err
		}
		if int64(len(data)) == info.Size() && sameFile(info, after) {
			return data, info, release, nil
		}
		release()
	}
	return nil, nil, nil, fmt.Errorf("%s is being written: it is read when it is left alone", path)
}

func readOnce(path string, limit int64) (data []byte, info fs.FileInfo, release func(), err error) {
	if info, err = os.Stat(path); err != nil {
		return nil, nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, nil, fmt.Errorf("%s is no regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, nil, err
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return nil, nil, nil, err
	}
	if info.Size() > limit {
		return nil, nil, nil, fmt.Errorf("%s has %d bytes, expected at most %d", path, info.Size(), limit)
	}
	data, release = fileMemory(int(info.Size()))
	n, err := io.ReadFull(file, data)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		release()
		return nil, nil, nil, err
	}
	return data[:n], info, release, nil
}
