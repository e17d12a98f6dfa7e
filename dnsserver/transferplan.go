package dnsserver

import (
	"iter"
	"slices"

	"github.com/miekg/dns"

	"mirrorpool/zones"
)

// plan gives the records of the answer, and what they are.
func (t *zoneTransfer) plan() (iter.Seq[dns.RR], string) {
	if t.kind == kindAXFR {
		return t.whole(), transferWhole
	}
	// The same version or, as it seems, a newer one (RFC 1995 section 2).
	if !isOlder(t.serial, t.version.SOA.Serial) {
		return t.alone(), t.nothingNewer()
	}
	differences := t.since()
	if len(differences) == 0 || !t.brief && !t.isLess(differences) { // what fits into a packet is short
		return t.whole(), transferWhole
	}
	return t.differences(differences), transferDifferences
}

// isOlder compares serials (RFC 1982 section 3.2).
func isOlder(serial, current uint32) bool { return int32(current-serial) > 0 }

// nothingNewer says what it is when the SOA alone is given.
func (t *zoneTransfer) nothingNewer() string {
	if isOlder(t.version.SOA.Serial, t.serial) {
		return transferAhead
	}
	return transferCurrent
}

// alone is the SOA, which is all of an answer that has nothing new.
func (t *zoneTransfer) alone() iter.Seq[dns.RR] {
	return func(yield func(dns.RR) bool) { yield(t.version.SOA) }
}

// whole is the zone, between its SOA and the same again (RFC 5936 section 2.2).
func (t *zoneTransfer) whole() iter.Seq[dns.RR] {
	return func(yield func(dns.RR) bool) {
		if !yield(t.version.SOA) {
			return
		}
		for rr := range t.version.Records() {
			if !yield(rr) {
				return
			}
		}
		yield(t.version.SOA)
	}
}

// differences are sequences, each of the older SOA, what goes, the newer SOA, and
// what comes, between the newest SOA and the same again (RFC 1995 section 4).
func (t *zoneTransfer) differences(all []*zones.Difference) iter.Seq[dns.RR] {
	return func(yield func(dns.RR) bool) {
		if !yield(t.version.SOA) {
			return
		}
		for _, d := range all {
			for _, part := range [][]dns.RR{{d.Old}, d.Deleted, {d.New}, d.Added} {
				for _, rr := range part {
					if !yield(rr) {
						return
					}
				}
			}
		}
		yield(t.version.SOA)
	}
}

// mostInBrief is how many bytes of kept differences are looked at for an answer over
// UDP, whose sender may be anybody: some times what fits.
const mostInBrief = 16 << 10

// since gives what leads from the client's serial to the version that is given; none
// where not all of that is known. What is kept may be newer already.
func (t *zoneTransfer) since() []*zones.Difference {
	since := t.source.Since
	if t.brief {
		since = func(apex string, serial uint32) ([]*zones.Difference, bool) {
			return t.source.SinceWithin(apex, serial, mostInBrief)
		}
	}
	kept, ok := since(t.version.Apex, t.serial)
	if !ok {
		return nil
	}
	serial := t.serial
	for i, d := range kept {
		if d.Old.Serial != serial {
			return nil
		}
		if serial = d.New.Serial; serial == t.version.SOA.Serial {
			return condense(kept[:i+1])
		}
	}
	return nil
}

// mostCondensed is how many records are put together at most: it takes time and
// memory, and what comes to more is soon as long as the zone.
const mostCondensed = 50_000

// condense makes one difference of several, in which what came and went again is not
// told (RFC 1995 section 6).
func condense(all []*zones.Difference) []*zones.Difference {
	records := 0
	for _, d := range all {
		records += len(d.Deleted) + len(d.Added)
	}
	if len(all) < 2 || records > mostCondensed {
		return all
	}
	one := &zones.Difference{Old: all[0].Old, New: all[len(all)-1].New}
	deleted, added := make(map[string]dns.RR), make(map[string]dns.RR)
	for _, d := range all {
		for _, rr := range d.Deleted {
			move(rr, added, deleted)
		}
		for _, rr := range d.Added {
			move(rr, deleted, added)
		}
	}
	// Each record that is left stands where it came last.
	for _, d := range slices.Backward(all) {
		one.Deleted = append(one.Deleted, takeReversed(d.Deleted, deleted)...)
		one.Added = append(one.Added, takeReversed(d.Added, added)...)
	}
	slices.Reverse(one.Deleted)
	slices.Reverse(one.Added)
	return []*zones.Difference{one}
}

// move takes a record out of one set, or puts it into the other where it is not in
// the first.
func move(rr dns.RR, outOf, into map[string]dns.RR) {
	key := rr.String()
	if _, there := outOf[key]; there {
		delete(outOf, key)
		return
	}
	into[key] = rr
}

// takeReversed gives those of the records that are left, from the last to the first,
// each once.
func takeReversed(records []dns.RR, left map[string]dns.RR) []dns.RR {
	var taken []dns.RR
	for _, rr := range slices.Backward(records) {
		key := rr.String()
		if _, there := left[key]; there {
			delete(left, key)
			taken = append(taken, rr)
		}
	}
	return taken
}

// isLess reports whether differences are shorter than the whole zone, by a measure
// that takes no longer than sending them would.
func (t *zoneTransfer) isLess(differences []*zones.Difference) bool {
	size := 0
	for _, d := range differences {
		size += dns.Len(d.Old) + dns.Len(d.New)
		for _, rr := range d.Deleted {
			size += dns.Len(rr)
		}
		for _, rr := range d.Added {
			size += dns.Len(rr)
		}
	}
	for rr := range t.version.Records() {
		if size -= dns.Len(rr); size < 0 {
			return true
		}
	}
	return false
}
