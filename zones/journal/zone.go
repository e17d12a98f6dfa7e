package journal

import "mirrorpool/zones"

// change is a difference as it is kept.
type change struct {
	zones.Packed
	number uint64 // of its entry
}

// size is that of its entry in a file.
func (c *change) size() int64 { return entrySize(len(c.Records)) }

// appendTo writes its entry behind others.
func (c *change) appendTo(file []byte) []byte {
	return appendEntry(file, kindDifference, c.number, c.Records)
}

// zone is what is kept of one zone. Record alone changes it; what Since reads it
// changes under the journal's lock.
type zone struct {
	apex string
	// last is the newest version; nil: there is none yet. changes join one another,
	// and the last of them joins last.
	last    *zones.Version
	changes []change
	bytes   int64 // of changes, in a file

	// size is that of the last version when it was last written, in bytes.
	size int64
	// fileSize is the file's, whole entries and the magic; 0: there is none.
	// snapshotSize is that of the snapshots in it.
	fileSize, snapshotSize int64
	// stale tells that the file is not what is in memory, and has to be written anew.
	stale bool
	// tooLarge tells that the zone is not kept on disk for its size.
	tooLarge bool
	// failed is why the file could not be written; it is not tried again before
	// Retry.
	failed error
}

// drop forgets the oldest changes.
func (z *zone) drop(count int) {
	for _, c := range z.changes[:count] {
		z.bytes -= c.size()
	}
	z.changes = append([]change(nil), z.changes[count:]...)
}

// trim holds a zone to its limits: more than the zone itself is no use to anybody,
// for a whole transfer is shorter.
func (z *zone) trim(limits Limits) {
	most := min(limits.Zone, max(z.size, smallZone))
	count, bytes := 0, z.bytes
	for count < len(z.changes) && (bytes > most || len(z.changes)-count > limits.Differences) {
		bytes -= z.changes[count].size()
		count++
	}
	if count > 0 {
		z.drop(count)
	}
}

// smallZone is how many bytes of differences are kept of the smallest zone.
const smallZone = 256 << 10

// since gives the differences from a serial on; not ok: they are not there.
func (z *zone) since(serial uint32) (changes []change, ok bool) {
	if z.last.SOA.Serial == serial {
		return nil, true
	}
	for i := len(z.changes) - 1; i >= 0; i-- {
		if z.changes[i].Old == serial {
			return z.changes[i:], true
		}
	}
	return nil, false
}

// serialAfter reports whether a is greater than b (RFC 1982, section 3.2).
func serialAfter(a, b uint32) bool { return int32(a-b) > 0 }
