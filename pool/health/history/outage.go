package history

import (
	"slices"
	"time"
)

// outage is a time at which any target of a member was down.
type outage struct {
	from, to time.Time // to is now for one that goes on
	failing  time.Time // when the first of the failures came that led to it; from, if that is not known
	open     bool
	unseen   bool // it has ended because nobody looked any more
}

func (o outage) length() time.Duration { return o.to.Sub(o.from) }

// oneEvent is how close failures are that may have been one event.
const oneEvent = time.Hour

// failuresOf joins the incidents of a member, of all its addresses and checks, to outages,
// the oldest first: those that overlap, such as over IPv4 and IPv6, are one.
func failuresOf(incidents []Incident, now time.Time) []outage {
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
		one := outage{from: i.Started, to: i.Ended, failing: i.Failing, open: i.Ended.IsZero(), unseen: i.Ending != ""}
		if one.failing.IsZero() || one.failing.After(one.from) {
			one.failing = one.from
		}
		if one.open {
			one.to = now
		}
		if one.to.Before(one.from) {
			one.to = one.from
		}
		if len(all) == 0 || !all[len(all)-1].join(one) {
			all = append(all, one)
		}
	}
	return all
}

// join makes another outage a part of this one if that had not ended when the other began
// to fail. What had ended because nobody looked any more may have gone on.
func (o *outage) join(other outage) bool {
	apart := time.Duration(0)
	if o.unseen {
		apart = oneEvent
	}
	if other.failing.Sub(o.to) > apart {
		return false
	}
	if other.failing.Before(o.failing) {
		o.failing = other.failing
	}
	o.open = o.open || other.open
	if other.to.After(o.to) {
		o.to, o.unseen = other.to, other.unseen
	}
	return true
}

// eventsOf leaves the first failure of each event: those that began to fail within an hour
// after its end may have been the same one. So what fails every hour is many.
func eventsOf(failures []outage) []outage {
	var all []outage
	var until time.Time
	for _, o := range failures {
		if len(all) == 0 || o.failing.After(until) {
			all, until = append(all, o), o.to.Add(oneEvent)
		}
	}
	return all
}

// since leaves the outages that had not ended before a time.
func since(outages []outage, from time.Time) []outage {
	return slices.DeleteFunc(slices.Clone(outages), func(o outage) bool { return o.to.Before(from) })
}
