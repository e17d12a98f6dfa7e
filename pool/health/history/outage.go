package history

import (
	"slices"
	"time"
)

// outage is a time at which any target of a member was down.
type outage struct {
	from, to  time.Time // to is now for one that goes on
	open      bool
	unseen    bool // it has ended because nobody looked any more
	incidents int
}

func (o outage) length() time.Duration { return o.to.Sub(o.from) }

// oneEvent is how close failures are that may have been one event.
const oneEvent = time.Hour

// failuresOf joins the incidents of a member, of all its addresses and checks, to outages,
// the oldest first: those that overlap, such as over IPv4 and IPv6, are one.
func failuresOf(incidents []Incident, now time.Time) []outage { return outagesOf(incidents, now, 0) }

// eventsOf joins those as well that are close to each other.
func eventsOf(incidents []Incident, now time.Time) []outage {
	return outagesOf(incidents, now, oneEvent)
}

// outagesOf joins incidents that lie no further apart than so. What had ended because
// nobody looked any more may have gone on.
func outagesOf(incidents []Incident, now time.Time, apart time.Duration) []outage {
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
		one := outage{from: i.Started, to: i.Ended, open: i.Ended.IsZero(), incidents: 1, unseen: i.Ending != ""}
		if one.open {
			one.to = now
		}
		if one.to.Before(one.from) {
			one.to = one.from
		}
		if len(all) == 0 || !all[len(all)-1].join(one, i.Failing, apart) {
			all = append(all, one)
		}
	}
	return all
}

// join makes another outage, which began to fail at a time, a part of this one if it is
// close enough.
func (o *outage) join(other outage, failing time.Time, apart time.Duration) bool {
	if o.unseen {
		apart = oneEvent
	}
	if failing.IsZero() || failing.After(other.from) {
		failing = other.from
	}
	if failing.Sub(o.to) > apart {
		return false
	}
	o.incidents++
	o.open = o.open || other.open
	if other.to.After(o.to) {
		o.to, o.unseen = other.to, other.unseen
	}
	return true
}

// since leaves the outages that had not ended before a time.
func since(outages []outage, from time.Time) []outage {
	return slices.DeleteFunc(slices.Clone(outages), func(o outage) bool { return o.to.Before(from) })
}
