package pool

import (
	"fmt"
	"regexp"
	"time"
)

const expectedDuration = `a duration over 0 such as "30s", "1m30s" or "26h" (units h, m, s, ms)`

var durationForm = regexp.MustCompile(`^(?:[0-9]{1,6}(?:\.[0-9]{1,3})?(?:h|m|s|ms))+$`)

// readDuration reads a duration over 0.
func readDuration(v value) (time.Duration, bool) {
	return readDurationFrom(v, 1, expectedDuration)
}

// readDurationOrOff reads a duration, or "0s" for nothing of the kind.
func readDurationOrOff(o object, key string, without, most time.Duration) time.Duration {
	field, ok := o.optional(key)
	if !ok {
		return without
	}
	expected := fmt.Sprintf(`a duration of at most %s such as "30s", "10m" or "26h" (units h, m, s, ms), or "0s" for none`, words(most))
	duration, ok := readDurationFrom(field, 0, expected)
	switch {
	case !ok:
		return without
	case duration > most:
		field.refuse(expected)
		return without
	}
	return duration
}

func readDurationFrom(v value, least time.Duration, expected string) (time.Duration, bool) {
	text, ok := v.string(expected)
	if !ok {
		return 0, false
	}
	duration, err := time.ParseDuration(text)
	if err != nil || duration < least || !durationForm.MatchString(text) {
		v.refuse(expected)
		return 0, false
	}
	return duration, true
}

// words gives a duration as people write it: "1h" and not "1h0m0s".
func words(d time.Duration) string {
	switch {
	case d >= time.Hour && d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= time.Minute && d < time.Hour && d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

// pace are the defaults of a schedule.
type pace struct {
	interval, timeout  time.Duration
	downAfter, upAfter int
}

var scheduleKeys = []string{"interval", "timeout", "down_after", "up_after"}

// readSchedule reads how often and how long is asked, and what turns the state. A default
// timeout is no longer than the interval.
func readSchedule(o object, without pace) (schedule Schedule, timeout time.Duration) {
	schedule = Schedule{
		Interval:  without.interval,
		DownAfter: int(o.optionalInteger("down_after", 1, maxThreshold, int64(without.downAfter), "")),
		UpAfter:   int(o.optionalInteger("up_after", 1, maxThreshold, int64(without.upAfter), "")),
	}
	if field, ok := o.optional("interval"); ok {
		given, ok := readDuration(field)
		switch {
		case ok && given < minInterval:
			field.refuse(fmt.Sprintf("a duration of at least %s", minInterval))
		case ok && given > maxInterval:
			field.refuse(fmt.Sprintf("a duration of at most %s", words(maxInterval)))
		case ok:
			schedule.Interval = given
		}
	}
	timeout = min(without.timeout, schedule.Interval)
	if field, ok := o.optional("timeout"); ok {
		given, ok := readDuration(field)
		switch {
		case ok && given > schedule.Interval:
			field.refuse(fmt.Sprintf("a duration of at most the interval, which is %s", words(schedule.Interval)))
		case ok:
			timeout = given
		}
	}
	return schedule, timeout
}
