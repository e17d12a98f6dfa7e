package history

import (
	"fmt"
	"strconv"
	"time"
)

// sixMonths before now is where the runbook's question begins.
func sixMonths(now time.Time) time.Time { return now.AddDate(0, -6, 0) }

const dateForm = "2006-01-02"

// verdict answers the runbook: has it failed already in the last six months, and what is
// to be done then?
func (d *memberData) verdict(outages []outage, now time.Time) string {
	if len(d.targets) == 0 {
		return "it is not checked: nothing is known of it"
	}
	if d.altered() > 0 {
		return "it has delivered altered files: remove it, and tell its operator"
	}
	recent, known := since(outages, sixMonths(now)), d.since
	switch count := len(recent); count {
	case 0:
		if len(outages) > 0 {
			return fmt.Sprintf("no failure in six months; the last one was on %s", outages[len(outages)-1].from.Format(dateForm))
		}
		return fmt.Sprintf("no failure since it is known: %s", known.Format(dateForm))
	case 1:
		words := "first failure in six months: disable it for a while, write to its operator"
		if known.After(sixMonths(now)) {
			words += fmt.Sprintf(" (known only since %s)", known.Format(dateForm))
		}
		return words
	default:
		words := ordinal(count) + " failure in six months: consider removing it"
		if len(eventsOf(recent)) == 1 {
			words += " (within an hour of each other: it may have been one event)"
		}
		return words
	}
}

func ordinal(n int) string {
	words := []string{"", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"}
	if n < len(words) {
		return words[n]
	}
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return strconv.Itoa(n) + suffix
}
