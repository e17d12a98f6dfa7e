package health

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"mirrorpool/pool"
)

// maxAhead is how far a trace may lie in the future: clocks differ a little.
const maxAhead = 5 * time.Minute

// parseTrace reads the time, in seconds since 1970, that is the first line of a
// trace file. White space around it does not count.
func parseTrace(body []byte, format pool.TraceFormat) (int64, error) {
	line, _, _ := bytes.Cut(bytes.TrimSpace(body), []byte("\n"))
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return 0, fmt.Errorf("trace is empty, expected %s", traceInWords(format))
	}
	var seconds int64
	var err error
	switch {
	case format == pool.TraceUnix, format == pool.TraceAny && allDigits(line):
		seconds, err = parseUnix(line)
	case format == pool.TraceRFC3339, format == pool.TraceAny && line[0] >= '0' && line[0] <= '9' && bytes.IndexByte(line, '-') == 4:
		seconds, err = parseRFC3339(line)
	case format == pool.TraceDate, format == pool.TraceAny:
		seconds, err = parseDate(line)
	default:
		return 0, fmt.Errorf("no way to read a trace as %s", quote([]byte(format)))
	}
	switch {
	case err != nil && err != errNoTime:
		return 0, fmt.Errorf("trace is %s: %w", quote(line), err)
	case err != nil, seconds < 0:
		return 0, fmt.Errorf("trace is %s, expected %s", quote(line), traceInWords(format))
	}
	return seconds, nil
}

// traceInWords is what a trace of the format is expected to be.
func traceInWords(format pool.TraceFormat) string {
	switch format {
	case pool.TraceUnix:
		return "a Unix time"
	case pool.TraceRFC3339:
		return "a time as RFC 3339 has it"
	case pool.TraceDate:
		return "a time as date prints it"
	}
	return "a Unix time, or one as RFC 3339 has it or date prints it"
}

// errNoTime tells that a text is no time of a format, and nothing else of it.
var errNoTime = fmt.Errorf("not a time")

func allDigits(text []byte) bool {
	return len(bytes.TrimLeft(text, "0123456789")) == 0
}

// parseUnix reads seconds since 1970. Twelve digits last until the year 33,000;
// more is no time.
func parseUnix(line []byte) (int64, error) {
	seconds, err := strconv.ParseUint(string(line), 10, 63)
	if err != nil || len(line) > 12 {
		return 0, errNoTime
	}
	return int64(seconds), nil
}

// parseRFC3339 reads a time as RFC 3339, section 5.6, has it; a space may stand
// in place of the T, as date --rfc-3339 prints it.
func parseRFC3339(line []byte) (int64, error) {
	if len(line) > len("2006-01-02T15:04:05.000000000+00:00") || len(line) < len("2006-01-02T15:04:05Z") {
		return 0, errNoTime
	}
	text := strings.ToUpper(string(line))
	if text[10] == ' ' {
		text = text[:10] + "T" + text[11:]
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, errNoTime
	}
	return t.Unix(), nil
}

// parseDate reads a time as date(1) prints it, in the forms of its English
// locales, with -u, and with -R (RFC 5322, section 3.3):
//
//	Mon Nov 23 14:48:24 UTC 2026
//	Mon 23 Nov 2026 02:48:24 PM UTC
//	Mon 23 Nov 14:48:24 GMT 2026
//	Mon, 23 Nov 2026 14:48:24 +0000
func parseDate(line []byte) (int64, error) {
	const most = 8 // fields; the longest form has seven
	fields := strings.Fields(string(line[:min(len(line), 64)]))
	if len(line) > 64 || len(fields) > most || len(fields) < 6 || !isWeekday(strings.TrimSuffix(fields[0], ",")) {
		return 0, errNoTime
	}
	for _, form := range [][]string{
		{"Jan", "_2", "clock", "zone", "2006"},
		{"2", "Jan", "2006", "clock", "zone"},
		{"2", "Jan", "clock", "zone", "2006"},
	} {
		seconds, err := parseDateForm(fields[1:], form)
		if err != errNoTime {
			return seconds, err
		}
	}
	return 0, errNoTime
}

// parseDateForm reads the fields of one form, of which "clock" is a time of the
// day, in two fields if it is one of twelve hours, and "zone" a zone.
func parseDateForm(fields, form []string) (int64, error) {
	var layout, text []string
	var zone string
	for _, part := range form {
		if len(fields) == 0 {
			return 0, errNoTime
		}
		field := fields[0]
		fields = fields[1:]
		switch part {
		case "zone":
			zone = field
			continue
		case "clock":
			part = "15:04:05"
			if len(fields) > 0 && (fields[0] == "AM" || fields[0] == "PM") {
				part, field = "03:04:05PM", field+fields[0]
				fields = fields[1:]
			}
		}
		if len(field) > 10 {
			return 0, errNoTime
		}
		layout, text = append(layout, part), append(text, field)
	}
	if len(fields) > 0 {
		return 0, errNoTime
	}
	t, err := time.Parse(strings.Join(layout, " "), strings.Join(text, " "))
	if err != nil {
		return 0, errNoTime
	}
	offset, err := zoneOffset(zone)
	if err != nil {
		return 0, err
	}
	return t.Unix() - int64(offset/time.Second), nil
}

func isWeekday(name string) bool {
	for day := time.Sunday; day <= time.Saturday; day++ {
		if name == day.String()[:3] {
			return true
		}
	}
	return false
}

// freshness tells in words how old a trace is, and whether that is neither
// older than maxAge nor too far in the future.
func freshness(body []byte, format pool.TraceFormat, maxAge time.Duration, now time.Time) (reason string, fresh bool) {
	seconds, err := parseTrace(body, format)
	if err != nil {
		return err.Error(), false
	}
	age := wholeSeconds(now.Unix() - seconds)
	return ageHeld("trace", age, maxAge)
}

// ageHeld tells in words how old something is, and whether that is neither over maxAge
// nor too far in the future.
func ageHeld(what string, age, maxAge time.Duration) (reason string, fresh bool) {
	switch {
	case age > maxAge:
		return fmt.Sprintf("%s is %s old, max_age is %s", what, ageInWords(age, maxAge), maxAge), false
	case age < -maxAhead:
		return fmt.Sprintf("%s is %s in the future, at most %s is taken for a difference of clocks",
			what, ageInWords(-age, maxAhead), maxAhead), false
	}
	return fmt.Sprintf("%s is %s old", what, ageInWords(max(age, 0), 0)), true
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
