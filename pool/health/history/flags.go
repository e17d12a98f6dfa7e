package history

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"mirrorpool/pool/health"
)

// FlagKind is what a red flag is about.
type FlagKind string

// The kinds of red flags, and where they begin.
const (
	FlagSlow        FlagKind = "slow"        // delivery under its floor, or under half of what it was
	FlagCertificate FlagKind = "certificate" // has ended, is about to, or was wrong in the last six months
	FlagAltered     FlagKind = "altered"     // a file was not what the origin has, at any time that is kept
	FlagRepeated    FlagKind = "repeated"    // more than two outages in 30 days that were not one event
	FlagLong        FlagKind = "long"        // an outage of more than a day in the last six months
	FlagFlapping    FlagKind = "flapping"    // down four times or more within a day, in the last 30
	FlagErrors      FlagKind = "errors"      // single errors in more than 2 % of the probes of the last 30 days
	FlagLate        FlagKind = "late"        // content too old or wrong on three of the last 30 days or more
	FlagMaintenance FlagKind = "maintenance" // three outages or more on different days at the same hour, half of all
)

// Flag is a reason to look at a member closely.
type Flag struct {
	Member
	Kind FlagKind `json:"kind"`
	// Since is when what raised it began, as far as that is known.
	Since time.Time `json:"since"`
	Words string    `json:"words"`
	// Worst is what the worst probe of the worst outage saw that has to do with it; nil:
	// there is none, or the member was not looked at in this run yet.
	Worst *Evidence `json:"-"`
}

// The figures of the comments above.
const (
	flagWindow       = 30 * dayLength
	repeatedOutages  = 2
	longOutage       = dayLength
	flappingTimes    = 4
	singlesPart      = 0.02
	fewestProbes     = 500 // for singlesPart to say something
	lateDays         = 3
	maintenanceTimes = 3
	slowRecent       = 7 * dayLength
	slowDaysBefore   = 14 // that are needed for a comparison
)

// altered counts the probes that found an altered file, in all that is kept.
func (d *memberData) altered() (count int64) {
	for _, t := range d.targets {
		for _, day := range t.days {
			count += day.value.Altered
		}
	}
	for _, i := range d.incidents {
		if i.Outcome == health.Altered && !i.Voided && count == 0 {
			count++
		}
	}
	return count
}

// flags finds the red flags of a member, by kind.
func (d *memberData) flags(now time.Time) []Flag {
	flags := []Flag{}
	raise := func(kind FlagKind, since time.Time, format string, values ...any) {
		flags = append(flags, Flag{Member: d.Member, Kind: kind, Since: whole(since.UTC()), Words: fmt.Sprintf(format, values...)})
	}
	failures := since(failuresOf(d.incidents, now), sixMonths(now))
	d.flagAltered(raise)
	d.flagCertificate(now, raise)
	d.flagSlow(now, raise)
	flagRepeated(failures, now, raise)
	flagLong(failures, raise)
	d.flagFlapping(now, raise)
	d.flagErrors(now, raise)
	flagMaintenance(eventsOf(failures), raise)
	slices.SortStableFunc(flags, func(a, b Flag) int { return cmp.Compare(a.Kind, b.Kind) })
	flags = slices.CompactFunc(flags, func(a, b Flag) bool { return a.Kind == b.Kind })
	for i := range flags {
		flags[i].Worst = d.worstFor(flags[i].Kind, now)
	}
	return flags
}

// flagOutcomes are those of the outages that a kind of flag is about; of the kinds that
// have none here all are.
var flagOutcomes = map[FlagKind]health.Outcome{
	FlagAltered: health.Altered, FlagCertificate: health.Certificate, FlagSlow: health.Slow, FlagLate: health.Content,
}

// worstFor is the evidence of the longest outage that has to do with a kind of flag; nil:
// there is none.
func (d *memberData) worstFor(kind FlagKind, now time.Time) *Evidence {
	longest, of := time.Duration(-1), ""
	for i := range d.incidents {
		one := &d.incidents[i]
		if outcome, only := flagOutcomes[kind]; one.Voided || one.worst == "" || only && one.Outcome != outcome {
			continue
		}
		end := one.Ended
		if end.IsZero() {
			end = now
		}
		if lasted := end.Sub(one.Started); lasted > longest {
			longest, of = lasted, one.worst
		}
	}
	evidence, err := decodeEvidence(of)
	if err != nil || of == "" {
		return nil // what is damaged is told of where it is read
	}
	return &evidence
}

type raiser func(kind FlagKind, since time.Time, format string, values ...any)

func (d *memberData) flagAltered(raise raiser) {
	count, first := d.altered(), time.Time{}
	if count == 0 {
		return
	}
	earlier := func(t time.Time) {
		if first.IsZero() || t.Before(first) {
			first = t
		}
	}
	for _, t := range d.targets {
		for _, day := range t.days {
			if day.value.Altered > 0 {
				earlier(day.day.start())
			}
		}
	}
	for _, i := range d.incidents {
		if i.Outcome == health.Altered && !i.Voided {
			earlier(i.Started)
		}
	}
	raise(FlagAltered, first, "%d probes found a file that is not what the origin has, the first on %s", count, first.UTC().Format(dateForm))
}

func (d *memberData) flagCertificate(now time.Time, raise raiser) {
	present := false
	for _, t := range d.targets {
		present = present || !t.gone()
	}
	for _, t := range d.targets {
		left := t.certificate.Sub(now)
		switch {
		case t.certificate.IsZero() || t.seen.Before(d.seen.Add(-2*dayLength)) || present && t.gone():
			// There is none, or the target is one of earlier times, or another's by now.
		case left <= 0:
			raise(FlagCertificate, t.certificate, "its certificate ended on %s", t.certificate.Format(dateForm))
			return
		case left < t.warning:
			raise(FlagCertificate, t.certificate.Add(-t.warning), "its certificate ends on %s", t.certificate.Format(dateForm))
			return
		}
	}
	for _, i := range d.incidents {
		if i.Outcome == health.Certificate && !i.Voided && !i.early && i.Started.After(sixMonths(now)) {
			raise(FlagCertificate, i.Started, "it was down for its certificate on %s: %s", i.Started.Format(dateForm), i.Reason)
			return
		}
	}
}

// flagSlow looks at measured throughput, on the last days against the floor and against
// what it was before.
func (d *memberData) flagSlow(now time.Time, raise raiser) {
	recentFrom, today := dayOf(now.Add(-slowRecent)), dayOf(now.Add(clockSlack))
	for _, t := range d.targets {
		var recent sample
		var before []int64
		var slow int64
		var firstSlow dayNumber
		for _, day := range t.days {
			switch {
			case day.day > today:
				// It was noted under a clock that was ahead.
			case day.day > recentFrom:
				recent.merge(day.value.Delivery)
				if day.value.Slow > 0 && slow == 0 {
					firstSlow = day.day
				}
				slow += day.value.Slow
			case day.value.Delivery.Count > 0:
				before = append(before, day.value.Delivery.mean())
			}
		}
		switch {
		case slow > 0:
			raise(FlagSlow, firstSlow.start(), "%d measurements of the last 7 days found it slower than its floor of %s", slow, rate(t.floor))
			return
		case recent.Count == 0:
		case t.floor > 0 && recent.mean() < t.floor:
			raise(FlagSlow, recentFrom.start(), "it delivered %s in the last 7 days, under its floor of %s", rate(recent.mean()), rate(t.floor))
			return
		case len(before) >= slowDaysBefore && recent.mean() < median(before)/2:
			raise(FlagSlow, recentFrom.start(), "it delivered %s in the last 7 days, less than half of the %s that it did before", rate(recent.mean()), rate(median(before)))
			return
		}
	}
}

func median(values []int64) int64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// rate words a throughput.
func rate(bytes int64) string {
	switch {
	case bytes >= 1_000_000:
		return fmt.Sprintf("%.1f MB/s", float64(bytes)/1e6)
	case bytes >= 1_000:
		return fmt.Sprintf("%.0f kB/s", float64(bytes)/1e3)
	}
	return fmt.Sprintf("%d B/s", bytes)
}

func flagRepeated(failures []outage, now time.Time, raise raiser) {
	recent := since(failures, now.Add(-flagWindow))
	if len(eventsOf(recent)) > repeatedOutages {
		raise(FlagRepeated, recent[0].from, "%d outages in 30 days", len(recent))
	}
}

func flagLong(failures []outage, raise raiser) {
	for _, o := range slices.Backward(failures) {
		if o.length() > longOutage {
			words := "an outage of %s from %s"
			if o.open {
				words = "an outage of %s since %s, which goes on"
			}
			raise(FlagLong, o.from, words, inWords(o.length()), o.from.Format("2006-01-02 15:04 UTC"))
			return
		}
	}
}

// inWords gives a time in days and hours.
func inWords(length time.Duration) string {
	days, hours := length/dayLength, length%dayLength/time.Hour
	if days == 0 {
		return fmt.Sprintf("%d h", hours)
	}
	return fmt.Sprintf("%d d %d h", days, hours)
}

// flagFlapping looks for a target that went down again and again within a day.
func (d *memberData) flagFlapping(now time.Time, raise raiser) {
	starts := map[string][]time.Time{} // of each target, the newest first
	for _, i := range d.incidents {
		if i.Voided || i.early || i.Started.Before(now.Add(-flagWindow)) {
			continue
		}
		all := append(starts[i.Target], i.Started)
		starts[i.Target] = all
		if len(all) < flappingTimes {
			continue
		}
		if last := all[len(all)-flappingTimes]; last.Sub(i.Started) <= dayLength {
			raise(FlagFlapping, i.Started, "down %d times between %s and %s (%s)", flappingTimes,
				i.Started.Format("2006-01-02 15:04"), last.Format("2006-01-02 15:04 UTC"), i.Check)
			return
		}
	}
}

func (d *memberData) flagErrors(now time.Time, raise raiser) {
	from := dayOf(now.Add(-flagWindow))
	var probes, singles int64
	late := map[dayNumber]bool{}
	for _, t := range d.targets {
		for _, day := range t.days {
			if day.day < from || day.day > dayOf(now.Add(clockSlack)) {
				continue
			}
			probes += day.value.Probes
			singles += day.value.Singles
			if day.value.Late > 0 {
				late[day.day] = true
			}
		}
	}
	if probes >= fewestProbes && float64(singles) > singlesPart*float64(probes) {
		raise(FlagErrors, from.start(), "%.1f %% of its probes in 30 days failed without taking it down", 100*float64(singles)/float64(probes))
	}
	if len(late) >= lateDays {
		raise(FlagLate, from.start(), "its content was too old or wrong on %d of the last 30 days", len(late))
	}
}

// flagMaintenance looks for outages that begin within the same hour of different days:
// nobody has announced them.
func flagMaintenance(outages []outage, raise raiser) {
	for _, anchor := range outages {
		days := map[dayNumber]bool{}
		var first, last outage
		for _, o := range outages {
			after := o.from.Sub(dayOf(o.from).start()) - anchor.from.Sub(dayOf(anchor.from).start())
			if (after+dayLength)%dayLength >= time.Hour {
				continue
			}
			if len(days) == 0 {
				first = o
			}
			last = o
			days[dayOf(o.from)] = true
		}
		if len(days) >= maintenanceTimes && 2*len(days) >= len(outages) {
			raise(FlagMaintenance, first.from, "on %d days of six months, the last one %s, an outage began within the hour after %s: maintenance that is not announced?",
				len(days), last.from.Format(dateForm), anchor.from.UTC().Format("15:04 UTC"))
			return
		}
	}
}
