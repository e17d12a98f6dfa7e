package journal

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

// Limits bound what is kept; zero stands for the default.
type Limits struct {
	// Bytes is how much the differences of all zones may take, in memory and, up to
	// twice as much, on disk; the oldest go first. Default: 16 MiB.
	Bytes int64
	// Zone is the same of one zone. Default: half of Bytes.
	Zone int64
	// Differences is how many one zone may have. Default: 10,000.
	Differences int
	// Snapshot is how large a zone may be whose content is kept for the time after
	// a restart; of a larger one there are no differences from before. Default:
	// 64 MiB.
	Snapshot int64
}

func (l Limits) withDefaults() Limits {
	if l.Bytes <= 0 {
		l.Bytes = 16 << 20
	}
	if l.Zone <= 0 {
		l.Zone = l.Bytes / 2
	}
	if l.Differences <= 0 {
		l.Differences = 10_000
	}
	if l.Snapshot <= 0 {
		l.Snapshot = 64 << 20
	}
	return l
}

// Journal keeps the differences of zones. It is safe for concurrent use.
type Journal struct {
	directory directory
	limits    Limits

	writing sync.Mutex // held by who changes the zones, also while files are written
	number  uint64     // of the last entry
	unread  []string   // names of files that gave nothing

	reading sync.RWMutex // held for as long as it takes to change what Since reads
	zones   map[string]*zone
}

// Open reads what is kept in a directory, and makes it if it is missing. The journal
// is good in any case: the error tells what was dropped, or that the directory cannot
// be used. Nobody else may write there meanwhile.
func Open(path string, limits Limits) (*Journal, error) {
	j := &Journal{directory: directory(path), limits: limits.withDefaults(), zones: map[string]*zone{}}
	files, err := j.directory.open()
	problems := []error{err}
	for _, name := range files {
		z, highest, err := j.directory.read(name, j.limits)
		problems = append(problems, err)
		if z == nil {
			j.unread = append(j.unread, name)
			continue
		}
		j.zones[z.apex] = z
		j.number = max(j.number, highest)
	}
	for _, z := range j.zones {
		z.trim(j.limits)
	}
	j.trim()
	return j, errors.Join(problems...)
}

// Record takes over the newest version of a zone, and notes what it changes in the
// one before it. It returns when that is on disk; only a zone that is not there at
// all yet waits for Flush. After an error the difference is kept in memory; the disk
// is not tried again before Retry, and the error is returned until that succeeds.
func (j *Journal) Record(v *zones.Version) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	z := j.zones[v.Apex]
	if z == nil {
		z = &zone{apex: v.Apex}
	}
	if z.last == v {
		return z.failed
	}
	added, anew := j.difference(z, v)
	j.reading.Lock()
	j.zones[v.Apex] = z
	z.last = v
	if anew {
		z.drop(len(z.changes))
	}
	if added != nil {
		z.changes = append(z.changes, *added)
		z.bytes += added.size()
	}
	z.trim(j.limits)
	j.trim()
	j.reading.Unlock()
	unchanged := !anew && added == nil && !z.stale
	if unchanged || z.failed != nil || z.tooLarge && !anew {
		return z.failed
	}
	if anew && z.fileSize == 0 {
		z.stale = true
		return nil
	}
	return j.write(z, added)
}

// difference makes what is to be noted of a version: a change, or nothing where it
// is the same as the last one. With anew, what was noted before is no use any more.
func (j *Journal) difference(z *zone, v *zones.Version) (added *change, anew bool) {
	if z.last == nil {
		return nil, true
	}
	d := zones.Compare(z.last, v)
	same := len(d.Deleted)+len(d.Added) == 0 && sameSOA(d.Old, d.New)
	switch {
	case same:
		return nil, false
	case !serialAfter(d.New.Serial, d.Old.Serial):
		return nil, true // serials were lost: nobody can be told from where to where
	}
	packed, err := d.Pack()
	j.number++
	c := change{packed, j.number}
	if err != nil || c.size() > min(j.limits.Zone, max(z.size, smallZone)) {
		return nil, true
	}
	return &c, false
}

func sameSOA(a, b *dns.SOA) bool {
	x, y := *a, *b
	x.Hdr.Rdlength, y.Hdr.Rdlength = 0, 0
	return x == y
}

// trim holds all zones together to their limit: the oldest differences go first.
func (j *Journal) trim() {
	total := int64(0)
	for _, z := range j.zones {
		total += z.bytes
	}
	for total > j.limits.Bytes {
		var oldest *zone
		for _, z := range j.zones {
			if len(z.changes) > 0 && (oldest == nil || z.changes[0].number < oldest.changes[0].number) {
				oldest = z
			}
		}
		total -= oldest.changes[0].size()
		oldest.drop(1)
	}
}

// write brings a zone's file up to date: a change is appended, or the file is written
// whole where it is stale, or has grown beyond twice of what is kept.
func (j *Journal) write(z *zone, added *change) error {
	var err error
	grown := z.fileSize - z.snapshotSize
	if added != nil && !z.stale && z.fileSize > 0 && grown+added.size() <= 2*max(z.bytes, smallZone) {
		err = j.directory.append(z, added)
	} else {
		j.number++
		err = j.directory.replace(z, j.number, j.limits)
	}
	z.stale, z.failed = err != nil, err
	return err
}

// Flush writes the zones that are new, and tells whether all is on disk.
func (j *Journal) Flush() error { return j.flush(false) }

// Retry does as Flush, and tries once more to write what could not be written.
func (j *Journal) Retry() error { return j.flush(true) }

func (j *Journal) flush(again bool) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	var problems []error
	for _, apex := range slices.Sorted(maps.Keys(j.zones)) {
		z := j.zones[apex]
		if z.failed != nil && again || z.failed == nil && z.stale {
			_ = j.write(z, nil) // it is in failed
		}
		problems = append(problems, z.failed)
	}
	return errors.Join(problems...)
}

// Retain forgets all zones but some, given by apex, and the files that Open could not
// read and that are of none of these.
func (j *Journal) Retain(wanted func(apex string) bool) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	var problems []error
	for apex, z := range j.zones {
		if wanted(apex) {
			continue
		}
		j.reading.Lock()
		delete(j.zones, apex)
		j.reading.Unlock()
		problems = append(problems, j.directory.remove(z))
	}
	for _, name := range j.unread {
		if !j.has(name) {
			problems = append(problems, j.directory.removeFile(name))
		}
	}
	j.unread = nil
	return errors.Join(problems...)
}

// has reports whether a file is that of a zone.
func (j *Journal) has(name string) bool {
	for apex := range j.zones {
		if fileName(apex) == name {
			return true
		}
	}
	return false
}

// Since gives the differences that lead from a serial of a zone, given by its apex as
// zones.Version has it, to the version that was recorded last, the oldest first; none if
// it is the newest. It is not ok where they are not kept, and the zone has to be given
// whole, nor where they take more than so many bytes.
func (j *Journal) Since(apex string, serial uint32, most int64) (differences []zones.Packed, ok bool) {
	changes, ok := j.since(apex, serial)
	for i := range changes {
		if most -= changes[i].size(); most < 0 {
			return nil, false
		}
	}
	for i := range changes {
		differences = append(differences, changes[i].Packed)
	}
	return differences, ok
}

// since gives them as they are kept: what is in changes is never written again.
func (j *Journal) since(apex string, serial uint32) (changes []change, ok bool) {
	j.reading.RLock()
	defer j.reading.RUnlock()
	if z := j.zones[apex]; z != nil {
		return z.since(serial)
	}
	return nil, false
}

// Serials are those of the newest versions, by apex. The map is the caller's.
func (j *Journal) Serials() map[string]uint32 {
	j.reading.RLock()
	defer j.reading.RUnlock()
	serials := make(map[string]uint32, len(j.zones))
	for apex, z := range j.zones {
		serials[apex] = z.last.SOA.Serial
	}
	return serials
}

// Size tells how many differences are kept, and how many bytes they take.
func (j *Journal) Size() (differences int, bytes int64) {
	j.reading.RLock()
	defer j.reading.RUnlock()
	for _, z := range j.zones {
		differences += len(z.changes)
		bytes += z.bytes
	}
	return differences, bytes
}
