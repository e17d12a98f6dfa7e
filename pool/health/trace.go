package health

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// maxAhead is how far a trace may lie in the future: clocks differ a little.
const maxAhead = 5 * time.Minute

// parseTrace reads the Unix time in seconds that is the first line of a trace
// file. White space around it does not count.
func parseTrace(body []byte) (int64, error) {
	line, _, _ := bytes.Cut(bytes.TrimSpace(body), []byte("\n"))
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return 0, fmt.Errorf("trace is empty, expected a Unix time")
	}
	// Twelve digits last until the year 33,000; more is no time.
	seconds, err := strconv.ParseUint(string(line), 10, 63)
	if err != nil || len(line) > 12 {
		return 0, fmt.Errorf("trace is %s, expected a Unix time", quote(line))
	}
	return int64(seconds), nil
}

// freshness tells in words how old a trace is, and whether that is neither
// older than maxAge nor too far in the future.
func freshness(body []byte, maxAge time.Duration, now time.Time) (reason string, fresh bool) {
	seconds, err := parseTrace(body)
	if err != nil {
		return err.Error(), false
	}
	age := wholeSeconds(now.Unix() - seconds)
	switch {
	case age > maxAge:
		return fmt.Sprintf("trace is %s old, max_age is %s", ageInWords(age, maxAge), maxAge), false
	case age < -maxAhead:
		return fmt.Sprintf("trace is %s in the future, at most %s is taken for a difference of clocks",
			ageInWords(-age, maxAhead), maxAhead), false
	}
	return fmt.Sprintf("trace is %s old", ageInWords(max(age, 0), 0)), true
}

// wholeSeconds is a Duration of so many seconds, or as near as a Duration can
// come to it.
func wholeSeconds(n int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Second)
	return time.Duration(min(max(n, -most), most)) * time.Second
}

// ageInWords writes an age to the minute where it is an hour or more, "27h3m",
// unless it would then read like the limit that it passes.
func ageInWords(age, limit time.Duration) string {
	minutes := age.Truncate(time.Minute)
	if age < time.Hour || minutes == limit.Truncate(time.Minute) {
		return age.String()
	}
	return fmt.Sprintf("%dh%dm", minutes/time.Hour, minutes%time.Hour/time.Minute)
}
