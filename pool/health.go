package pool

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Defaults of a health check.
const (
	DefaultInterval  = 30 * time.Second
	DefaultTimeout   = 5 * time.Second // the interval, if that is shorter
	DefaultDownAfter = 3
	DefaultUpAfter   = 5
	DefaultStatus    = 200

	minInterval  = time.Second
	maxThreshold = 100
	maxBody      = 1000 // characters of a body's pattern
)

// healthUse is what a health check is for, on which its keys depend.
type healthUse int

const (
	poolHealth healthUse = iota
	redirectHealth
)

var (
	scheduleKeys = []string{"interval", "timeout", "down_after", "up_after"}
	httpKeys     = []string{"host", "path", "status", "body", "follow_redirects", "max_age"}
)

// readHealth reads the "health" of a pool or redirect host. name is the Host
// header where none is given.
func readHealth(owner object, name string, use healthUse) Check {
	field, ok := owner.optional("health")
	if !ok {
		each := "member"
		if use == redirectHealth {
			each = "mirror"
		}
		owner.missing(Warning, "health", fmt.Sprintf(`a health check, or { "check": "none" } to say that none is wanted: every %s counts as up`, each))
		return noCheck()
	}
	known := append([]string{"check", "port"}, append(slices.Clone(scheduleKeys), httpKeys...)...)
	if use == redirectHealth {
		known = slices.DeleteFunc(known, func(key string) bool { return key == "port" || key == "host" })
	}
	o, ok := field.object("a health check, which is an object", known...)
	if !ok {
		return noCheck()
	}
	kind := readCheckKind(o, use)
	check := Check{
		Probe: Probe{Kind: kind},
		Schedule: Schedule{
			DownAfter: int(o.optionalInteger("down_after", 1, maxThreshold, DefaultDownAfter, "")),
			UpAfter:   int(o.optionalInteger("up_after", 1, maxThreshold, DefaultUpAfter, "")),
		},
	}
	check.Interval, check.Timeout = readTimes(o)
	if kind == CheckNone {
		check.Timeout = 0
	}
	if kind == CheckHTTP || kind == CheckHTTPS {
		readHTTP(o, &check.Probe, name, use)
	} else if kind != "" {
		refuseKeys(o, kind, httpKeys)
	}
	readPort(o, &check.Probe, use)
	return check
}

// noCheck takes everything for up.
func noCheck() Check {
	return Check{
		Probe:    Probe{Kind: CheckNone},
		Schedule: Schedule{Interval: DefaultInterval, DownAfter: DefaultDownAfter, UpAfter: DefaultUpAfter},
	}
}

// readCheckKind gives the kind of a check, and nothing if it has none that is known.
func readCheckKind(o object, use healthUse) CheckKind {
	words := []string{"none", "tcp", "http", "https"}
	if use == redirectHealth {
		words = []string{"none", "http", "https"}
	}
	field, ok := o.required("check", "one of "+strings.Join(words, ", "))
	if !ok {
		return ""
	}
	return CheckKind(readWord(field, "", words...))
}

// refuseKeys reports the fields that a check of this kind makes nothing of.
func refuseKeys(o object, kind CheckKind, keys []string) {
	for _, f := range o.node.fields {
		if slices.Contains(keys, f.key) {
			o.document.report(Error, f.offset, keyPath(o.path, f.key),
				fmt.Sprintf("a setting that the check %q does not have", kind), "no such key here")
		}
	}
}

func readPort(o object, probe *Probe, use healthUse) {
	if use == redirectHealth {
		return // an unknown key, reported as such
	}
	const expected = "a port from 1 to 65535"
	var without int64
	switch probe.Kind {
	case CheckNone:
		refuseKeys(o, probe.Kind, []string{"port"})
		return
	case CheckTCP:
		o.required("port", expected+`, which the check "tcp" needs`)
	case CheckHTTP:
		without = 80
	case CheckHTTPS:
		without = 443
	}
	if field, ok := o.optional("port"); ok {
		without, _ = field.integer(1, 65535, expected)
	}
	probe.Port = uint16(without)
}

func readHTTP(o object, probe *Probe, name string, use healthUse) {
	probe.Statuses = StatusSet(strconv.Itoa(int(o.optionalInteger("status", 100, 599, DefaultStatus, ""))))
	probe.FollowRedirects = o.optionalBool("follow_redirects")
	probe.Path = readPath(o, use)
	if use == poolHealth {
		probe.Host = name
		if field, ok := o.optional("host"); ok {
			probe.Host = readName(field, "the Host header to send")
		}
	}
	if field, ok := o.optional("max_age"); ok {
		probe.MaxAge, _ = readDuration(field)
	}
	if field, ok := o.optional("body"); ok {
		probe.Body = readBody(field)
	}
}

// readPath gives the path to fetch: absolute for pools; for redirect hosts
// relative to a URL prefix that ends with "/", so a "/" before it is cut.
func readPath(o object, use healthUse) string {
	without, expected := "/", `a path that begins with "/", of letters, digits and -._~!$&'()*+,;=:@?/ (percent-encode others), without "." and ".."`
	if use == redirectHealth {
		without = ""
		expected = strings.Replace(expected, `a path that begins with "/"`, "a path below each mirror's url_prefix", 1)
	}
	field, ok := o.optional("path")
	if !ok {
		return without
	}
	text, ok := field.string(expected)
	if !ok {
		return without
	}
	if !isPath(checkPath, text) || use == poolHealth && !strings.HasPrefix(text, "/") {
		field.refuse(expected)
		return without
	}
	if use == redirectHealth {
		text = strings.TrimPrefix(text, "/")
	}
	return text
}

// readBody reads a pattern and sees that it compiles.
func readBody(v value) string {
	const expected = "a regular expression (RE2) of 1 to 1000 characters"
	text, ok := v.string(expected)
	if !ok {
		return ""
	}
	if length := utf8.RuneCountInString(text); length < 1 || length > maxBody {
		v.refuse(expected)
		return ""
	}
	if _, err := regexp.Compile(text); err != nil {
		reason := expected
		if syntaxError, ok := err.(*syntax.Error); ok {
			reason = fmt.Sprintf("%s: %s in %s", expected, syntaxError.Code, quote(syntaxError.Expr))
		}
		v.refuse(reason)
		return ""
	}
	return text
}

// readTimes reads how often and how long is asked.
func readTimes(o object) (interval, timeout time.Duration) {
	interval = DefaultInterval
	if field, ok := o.optional("interval"); ok {
		given, ok := readDuration(field)
		switch {
		case ok && given < minInterval:
			field.refuse(fmt.Sprintf("a duration of at least %s", minInterval))
		case ok:
			interval = given
		}
	}
	timeout = min(DefaultTimeout, interval)
	if field, ok := o.optional("timeout"); ok {
		given, ok := readDuration(field)
		switch {
		case ok && given > interval:
			field.refuse(fmt.Sprintf("a duration of at most the interval, which is %s", interval))
		case ok:
			timeout = given
		}
	}
	return interval, timeout
}

const expectedDuration = `a duration over 0 such as "30s", "1m30s" or "26h" (units h, m, s, ms)`

var durationForm = regexp.MustCompile(`^(?:[0-9]{1,6}(?:\.[0-9]{1,3})?(?:h|m|s|ms))+$`)

// readDuration reads a duration over 0.
func readDuration(v value) (time.Duration, bool) {
	text, ok := v.string(expectedDuration)
	if !ok {
		return 0, false
	}
	duration, err := time.ParseDuration(text)
	if err != nil || duration <= 0 || !durationForm.MatchString(text) {
		v.refuse(expectedDuration)
		return 0, false
	}
	return duration, true
}
