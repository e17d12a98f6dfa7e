package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mirrorpool/zones"
)

// directory is where the files are.
type directory string

const (
	suffix    = "journal"   // behind an apex with its final dot
	newSuffix = ".new"      // of a file that is being written
	writable  = os.O_WRONLY // and never made by opening
)

func (d directory) path(name string) string { return filepath.Join(string(d), name) }

// fileName is that of a zone's file: its name where that can be one.
func fileName(apex string) string {
	const most = 200
	plain := strings.Trim(apex, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == "" && apex != "." && len(apex) <= most
	if !plain {
		hash := sha256.Sum256([]byte(apex))
		apex = hex.EncodeToString(hash[:]) + "."
	}
	return apex + suffix
}

// open makes the directory, removes what writing has left, and gives the names of
// the zones' files.
func (d directory) open() (names []string, err error) {
	if err := os.MkdirAll(string(d), 0o750); err != nil {
		return nil, fmt.Errorf("making the journal's directory: %w; it has to belong to the user that runs mirrorpool", err)
	}
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, fmt.Errorf("reading the journal's directory: %w", err)
	}
	var problems []error
	for _, one := range entries {
		switch {
		case !one.Type().IsRegular():
		case strings.HasSuffix(one.Name(), "."+suffix+newSuffix):
			problems = append(problems, os.Remove(d.path(one.Name())))
		case strings.HasSuffix(one.Name(), "."+suffix):
			names = append(names, one.Name())
		}
	}
	return names, errors.Join(problems...)
}

// read reads a zone's file. What is not whole, or does not join, is dropped, and the
// error says so; without a zone there is nothing left. Highest is the highest number
// of an entry.
func (d directory) read(name string, limits Limits) (z *zone, highest uint64, err error) {
	data, err := d.load(name, limits)
	if err == nil {
		z, highest, err = readFile(data)
	}
	if z != nil && fileName(z.apex) != name {
		z, err = nil, fmt.Errorf("it is of the zone %s", z.apex)
	}
	if err != nil {
		dropped := "all of it is dropped, and secondaries get the zone whole once"
		if z != nil {
			dropped = fmt.Sprintf("it is dropped from there on, to serial %d", z.last.SOA.Serial)
		}
		err = fmt.Errorf("reading the journal %s: %w; %s", d.path(name), err, dropped)
	}
	return z, highest, err
}

func (d directory) load(name string, limits Limits) (data []byte, err error) {
	file, err := os.Open(d.path(name))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	// A file that is written whole has one snapshot and all that is kept; until it
	// is written again, it grows by as much and some more.
	most := limits.Snapshot + 4*max(limits.Zone, smallZone) + 1<<20
	data, err = io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(data)) > most {
		return nil, fmt.Errorf("it is larger than %d bytes", most)
	}
	return data, err
}

// readFile reads a file's content, up to the first entry that is no good.
func readFile(data []byte) (z *zone, highest uint64, err error) {
	if len(data) < len(magic) || string(data[:len(magic)]) != magic {
		return nil, 0, errors.New("it is no journal of this version of mirrorpool")
	}
	r := fileReader{zone: zone{fileSize: int64(len(magic))}}
	for rest := data[len(magic):]; len(rest) > 0; {
		e, length, broken := readEntry(rest)
		if broken == nil {
			broken = r.take(e)
		}
		if broken != nil {
			err = fmt.Errorf("at byte %d: %w", len(data)-len(rest), broken)
			break
		}
		highest = max(highest, e.number)
		r.fileSize += int64(length)
		rest = rest[length:]
	}
	if r.last == nil {
		return nil, highest, errors.Join(err, errors.New("it lacks the content of the zone"))
	}
	if applied := r.apply(); applied != nil {
		return nil, highest, errors.Join(err, applied)
	}
	r.stale = err != nil
	return &r.zone, highest, err
}

// fileReader takes entries one after another.
type fileReader struct {
	zone
	pending []*zones.Difference // from last on
}

func (r *fileReader) take(e entry) error {
	switch e.kind {
	case kindSnapshot:
		v, err := readSnapshot(e.data)
		if err != nil {
			return err
		}
		if r.last != nil && r.last.Apex != v.Apex {
			return fmt.Errorf("the content of %s stands beside that of %s", v.Apex, r.last.Apex)
		}
		if n := len(r.changes); n > 0 && r.changes[n-1].New != v.SOA.Serial {
			r.drop(n)
		}
		r.apex, r.last, r.pending = v.Apex, v, nil
		r.size = int64(len(e.data))
		r.snapshotSize += entrySize(len(e.data))
	case kindDifference:
		d, err := zones.UnpackDifference(e.data)
		if err != nil {
			return err
		}
		if !serialAfter(d.New.Serial, d.Old.Serial) {
			return fmt.Errorf("a difference leads from serial %d to %d, which is not after it", d.Old.Serial, d.New.Serial)
		}
		if r.last != nil {
			if at := r.newest(); at != d.Old.Serial {
				return fmt.Errorf("a difference begins at serial %d behind serial %d", d.Old.Serial, at)
			}
			r.pending = append(r.pending, d)
		} else if n := len(r.changes); n > 0 && r.changes[n-1].New != d.Old.Serial {
			r.drop(n)
		}
		// A copy: the file's content is let go of.
		c := change{zones.Packed{Old: d.Old.Serial, New: d.New.Serial, Records: string(e.data)}, e.number}
		r.changes = append(r.changes, c)
		r.bytes += c.size()
	default:
		return fmt.Errorf("an entry of the unknown kind %q", e.kind)
	}
	return nil
}

// newest is the serial that all entries so far lead to.
func (r *fileReader) newest() uint32 {
	if n := len(r.pending); n > 0 {
		return r.pending[n-1].New.Serial
	}
	return r.last.SOA.Serial
}

// apply brings the content to the newest serial.
func (r *fileReader) apply() error {
	if len(r.pending) == 0 {
		return nil
	}
	v, err := r.last.Apply(r.pending...)
	if err != nil {
		return err
	}
	r.last = v
	return nil
}

// append writes a change behind what is in a zone's file.
func (d directory) append(z *zone, c *change) (err error) {
	path := d.path(fileName(z.apex))
	file, err := os.OpenFile(path, writable|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			err = fmt.Errorf("writing the journal %s: %w", path, err)
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() != z.fileSize {
		return fmt.Errorf("it has %d bytes and not the %d that were written: somebody else writes to it", info.Size(), z.fileSize)
	}
	if _, err := file.Write(c.appendTo(nil)); err != nil {
		// Half an entry would be dropped when it is read; without it nothing is said.
		return errors.Join(err, file.Truncate(z.fileSize))
	}
	if err := file.Sync(); err != nil {
		return err
	}
	z.fileSize += c.size()
	return nil
}

// replace writes a zone's file whole: a crash leaves the old one or the new one. A
// zone that is too large to be kept has none.
func (d directory) replace(z *zone, number uint64, limits Limits) error {
	snapshot, err := snapshotData(z.last, limits.Snapshot)
	if err != nil {
		if errors.Is(err, errTooLarge) {
			z.size, z.tooLarge = limits.Snapshot, true
			return d.remove(z)
		}
		return fmt.Errorf("writing the journal of %s: %w", z.apex, err)
	}
	z.size, z.tooLarge = int64(len(snapshot)), false
	size := entrySize(len(snapshot))
	content := make([]byte, 0, int64(len(magic))+z.bytes+size)
	content = append(content, magic...)
	for i := range z.changes {
		content = z.changes[i].appendTo(content)
	}
	content = appendEntry(content, kindSnapshot, number, snapshot)
	if err := d.write(fileName(z.apex), content); err != nil {
		return err
	}
	z.fileSize, z.snapshotSize = int64(len(content)), size
	return nil
}

// write replaces a file whole.
func (d directory) write(name string, content []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing the journal %s: %w", d.path(name), err)
		}
	}()
	if err := os.MkdirAll(string(d), 0o750); err != nil {
		return err
	}
	temporary := d.path(name + newSuffix)
	file, err := os.OpenFile(temporary, writable|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(temporary, d.path(name))
	}
	if err != nil {
		if left := os.Remove(temporary); !errors.Is(left, fs.ErrNotExist) {
			err = errors.Join(err, left)
		}
		return err
	}
	return d.sync()
}

// sync brings the names of files to the disk.
func (d directory) sync() error {
	opened, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}

// remove removes a zone's file.
func (d directory) remove(z *zone) error {
	z.fileSize, z.snapshotSize = 0, 0
	return d.removeFile(fileName(z.apex))
}

func (d directory) removeFile(name string) error {
	if err := os.Remove(d.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing a journal: %w", err)
	}
	return nil
}
