package history

import (
	"time"

	"mirrorpool/pool"
)

// periods divides the time into days, weeks from Monday or months, so that there are not too
// many. The first one begins where the time does.
func periods(from, to time.Time) []Period {
	var next func(time.Time) time.Time
	day := func(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC) }
	switch length := to.Sub(from); {
	case length <= 15*dayLength:
		next = func(t time.Time) time.Time { return day(t).AddDate(0, 0, 1) }
	case length <= 100*dayLength:
		next = func(t time.Time) time.Time { return day(t).AddDate(0, 0, 7-(int(t.Weekday())+6)%7) }
	default:
		next = func(t time.Time) time.Time { return time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC) }
	}
	var all []Period
	for from = from.UTC(); from.Before(to); {
		until := next(from)
		if until.After(to) {
			until = to
		}
		all = append(all, Period{From: whole(from), To: whole(until)})
		from = until
	}
	return all
}

// trend sums up a member's days by period. A day belongs to the period in which it begins,
// and the first one to the first.
func (d *memberData) trend(outages []outage, from, to time.Time) []Period {
	all := periods(from, to)
	if len(all) == 0 {
		return []Period{}
	}
	at := func(t time.Time) int {
		found := -1
		for i := range all {
			if !t.Before(all[i].From) {
				found = i
			}
		}
		if found < 0 && dayOf(t) == dayOf(from) {
			found = 0
		}
		return found
	}
	times, response, delivery := make([]spent, len(all)), make([]sample, len(all)), make([]sample, len(all))
	for _, p := range d.places {
		for _, day := range p.days {
			if i := at(day.day.start()); i >= 0 {
				times[i].add(day.value)
			}
		}
	}
	answers := d.answering()
	for id, t := range d.targets {
		for _, day := range t.days {
			i := at(day.day.start())
			if i < 0 {
				continue
			}
			all[i].Probes += day.value.Probes
			all[i].Failures += day.value.Failures
			all[i].Singles += day.value.Singles
			if answers[id] {
				response[i].merge(day.value.Response)
			}
			delivery[i].merge(day.value.Delivery)
		}
	}
	for _, o := range outages {
		if i := at(o.from); i >= 0 && !o.from.Before(from) {
			all[i].Outages++
		}
	}
	for i := range all {
		all[i].Percent = percentOf(times[i])
		all[i].Response, all[i].Delivery = figuresOf(response[i], 1000), figuresOf(delivery[i], 1)
	}
	return all
}

// answering picks the targets whose probes tell how fast the member answers: those over
// http, https or tcp that ask for no more than an answer, or else whatever there is.
func (d *memberData) answering() map[int64]bool {
	picked := map[int64]bool{}
	for id, t := range d.targets {
		if t.purpose == pool.PurposeAnswer && t.kind != pool.CheckRsync && t.kind != pool.CheckExec {
			picked[id] = true
		}
	}
	if len(picked) == 0 {
		for id := range d.targets {
			picked[id] = true
		}
	}
	return picked
}
