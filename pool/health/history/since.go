package history

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

var sinceForm = regexp.MustCompile(`^([0-9]{1,5})(h|d|w|mo|y)$`)

// ParseSince reads how far back to go from now: hours, days, weeks, months or years of the
// calendar, as in "48h", "30d", "12w", "6mo" and "1y". It is more than nothing and at most
// ten years.
func ParseSince(text string, now time.Time) (time.Time, error) {
	wrong := fmt.Errorf("reading the time to go back: found %q, expected a number with h, d, w, mo or y, such as 48h, 30d, 12w, 6mo or 1y", text)
	parts := sinceForm.FindStringSubmatch(text)
	if parts == nil {
		return time.Time{}, wrong
	}
	count, err := strconv.Atoi(parts[1])
	if err != nil || count == 0 {
		return time.Time{}, wrong
	}
	var from time.Time
	switch parts[2] {
	case "h":
		from = now.Add(-time.Duration(count) * time.Hour)
	case "d":
		from = now.AddDate(0, 0, -count)
	case "w":
		from = now.AddDate(0, 0, -7*count)
	case "mo":
		from = now.AddDate(0, -count, 0)
	default:
		from = now.AddDate(-count, 0, 0)
	}
	if from.Before(now.AddDate(-10, 0, 0)) {
		return time.Time{}, fmt.Errorf("reading the time to go back: %s is more than ten years", text)
	}
	return from, nil
}
