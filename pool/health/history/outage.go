package history

import (
	"slices"
	"time"
)

// outage is a time at which any target of a member was down.
type outage struct {
	from, to  time.Time // to is now for one that goes on
	open      bool
	incidents int
}

func (o outage) length() time.Duration { return o.to.Sub(o.from) }

// oneOutage is how close incidents are that count as one failure.
const oneOutage = time.Hour

// outagesOf joins the incidents of a member, of all its addresses and checks, to outages, the
// oldest first.
func outagesOf(incidents []Incident, now time.Time) []outage {
	var all []outage
	sorted := slices.Clone(incidents)
	slices.SortStableFunc(sorted, func(a, b Incident) int { return a.Started.Compare(b.Started) })
	for _, i := range sorted {
		if i.Voided || i.early && !i.Ended.IsZero() {
			continue
		}
		if i.early {
			i.Started = now // it goes on, whenever it began
		}
		one := outage{from: i.Started, to: i.Ended, open: i.Ended.IsZero(), incidents: 1}
		if one.open {
			one.to = now
		}
		if one.to.Before(one.from) {
			one.to = one.from
		}
		if len(all) > 0 && one.from.Sub(all[len(all)-1].to) <= oneOutage {
			last := &all[len(all)-1]
			last.incidents++
			last.open = last.open || one.open
			if one.to.After(last.to) {
				last.to = one.to
			}
			continue
		}
		all = append(all, one)
	}
	return all
}

// since leaves the outages that had not ended before a time.
func since(outages []outage, from time.Time) []outage {
	return slices.DeleteFunc(slices.Clone(outages), func(o outage) bool { return o.to.Before(from) })
}
