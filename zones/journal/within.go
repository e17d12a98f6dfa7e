package journal

import (
	"slices"

	"mirrorpool/zones"
)

// SinceWithin is Since where what is kept of it has no more than so many bytes, which
// is found without reading it; otherwise it is not ok. It is for who has little room or
// time, such as an answer over UDP, to whoever says that he asks.
func (j *Journal) SinceWithin(apex string, serial uint32, most int64) (differences []*zones.Difference, ok bool) {
	changes, ok := j.since(apex, serial, most)
	if !ok {
		return nil, false
	}
	for i := range changes {
		d, err := changes[i].difference()
		if err != nil {
			return nil, false // what was written can be read; if not, the whole zone is right as well
		}
		differences = append(differences, d)
	}
	return differences, true
}

// since finds and measures in one, so that what is given is what was measured.
func (j *Journal) since(apex string, serial uint32, most int64) (changes []change, ok bool) {
	j.reading.RLock()
	defer j.reading.RUnlock()
	z := j.zones[apex]
	if z == nil {
		return nil, false
	}
	changes, ok = z.since(serial)
	for i := range changes {
		most -= changes[i].size()
	}
	return slices.Clone(changes), ok && most >= 0
}
