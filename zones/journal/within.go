package journal

import "mirrorpool/zones"

// SinceWithin is Since where what is kept of it has no more than so many bytes, which
// is found without reading it; otherwise it is not ok. It is for who has little room or
// time, such as an answer over UDP, to whoever says that he asks.
func (j *Journal) SinceWithin(apex string, serial uint32, most int64) (differences []*zones.Difference, ok bool) {
	j.reading.RLock()
	if z := j.zones[apex]; z != nil {
		changes, _ := z.since(serial)
		for i := range changes {
			most -= changes[i].size()
		}
	}
	j.reading.RUnlock()
	if most < 0 {
		return nil, false
	}
	return j.Since(apex, serial)
}
