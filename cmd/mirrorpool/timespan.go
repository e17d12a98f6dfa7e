package main

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// timeSpanForm is a whole number with a unit that time.ParseDuration does not have.
var timeSpanForm = regexp.MustCompile(`^([0-9]{1,4})(d|w|mo|y)$`)

// parseTimeSpan reads a length of time of at least a second: 48h and the like, or days,
// weeks, months of 30.44 days and years of 365.25 days, such as 6mo.
func parseTimeSpan(text string) (time.Duration, error) {
	if parts := timeSpanForm.FindStringSubmatch(text); parts != nil {
		count, err := strconv.Atoi(parts[1])
		if err == nil && count > 0 && count <= 1000 {
			days := map[string]float64{"d": 1, "w": 7, "mo": 30.44, "y": 365.25}[parts[2]]
			length := time.Duration(float64(count) * days * 24 * float64(time.Hour))
			return length.Round(time.Hour), nil
		}
	} else if length, err := time.ParseDuration(text); err == nil && length >= time.Second {
		return length, nil
	}
	return 0, fmt.Errorf("found %q, expected a time such as 48h, 7d, 2w, 6mo or 1y", text)
}
