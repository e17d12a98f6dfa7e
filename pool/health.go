package pool

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Defaults of a health check.
const (
	DefaultInterval  = 30 * time.Second
	DefaultTimeout   = 5 * time.Second // the interval, if that is shorter
	DefaultDownAfter = 3
	DefaultUpAfter   = 5
	DefaultStatus    = 200
	// DefaultCertificateWarning is for https.
	DefaultCertificateWarning = 14 * 24 * time.Hour
	// DefaultRsyncPort is that of rsync daemons.
	DefaultRsyncPort = 873

	minInterval           = time.Second
	maxInterval           = 7 * 24 * time.Hour // maxThreshold times that is a time.Duration still
	maxThreshold          = 100
	maxBody               = 1000 // characters of a body's pattern
	maxRamp               = 7 * 24 * time.Hour
	maxCertificateWarning = 365 * 24 * time.Hour
	// lateDetection is how long a mirror that has failed may go on being given before
	// somebody is told that this is long.
	lateDetection = 15 * time.Minute
)

var checkPace = pace{DefaultInterval, DefaultTimeout, DefaultDownAfter, DefaultUpAfter}

// healthUse is what a health check is for, on which its keys depend.
type healthUse int

const (
	poolHealth healthUse = iota
	redirectHealth
)

// kinds are the checks there are, in the order in which people are told of them.
func (u healthUse) kinds() []CheckKind {
	if u == redirectHealth {
		return []CheckKind{CheckNone, CheckHTTP, CheckHTTPS}
	}
	return []CheckKind{CheckNone, CheckTCP, CheckHTTP, CheckHTTPS, CheckRsync, CheckExec}
}

// keys are what a check of a kind has, beside "check" and the keys of its schedule.
func (u healthUse) keys(kind CheckKind) []string {
	var keys []string
	switch kind {
	case CheckTCP:
		keys = []string{"port", "ramp", "rsync", "exec"}
	case CheckHTTP, CheckHTTPS:
		keys = []string{
			"port", "host", "path", "status", "body", "follow_redirects", "max_age", "trace", "ramp",
			"throughput", "integrity", "must_have", "rsync", "exec",
		}
		if kind == CheckHTTPS || u == redirectHealth {
			keys = append(keys, "certificate_warning")
		}
	case CheckRsync:
		keys = []string{"port", "module", "path", "max_age", "ramp", "exec"}
	case CheckExec:
		keys = []string{"command", "ramp", "rsync"}
	}
	if u == redirectHealth {
		keys = slices.DeleteFunc(keys, func(key string) bool { return key == "port" || key == "host" })
	}
	return keys
}

// known are the keys of all kinds.
func (u healthUse) known() []string {
	known := append([]string{"check"}, scheduleKeys...)
	for _, kind := range u.kinds() {
		known = append(known, u.keys(kind)...)
	}
	slices.Sort(known)
	return slices.Compact(known)
}

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
	o, ok := field.object("a health check, which is an object", use.known()...)
	if !ok {
		return noCheck()
	}
	check := Check{Probe: Probe{Kind: readCheckKind(o, use)}}
	check.Schedule, check.Timeout = readSchedule(o, checkPace)
	if check.Kind != "" {
		refuseKeys(o, check.Kind, use)
	}
	if unchecked := check.Kind == CheckNone || check.Kind == ""; unchecked {
		check.Timeout = 0
		return check
	}
	readProbe(o, &check, name, use)
	check.Ramp = readDurationOrOff(o, "ramp", 0, maxRamp)
	check.Inspections = readInspections(o, check.Probe, name, use)
	warnLateDetection(o, check.Schedule)
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
	var names []string
	for _, kind := range use.kinds() {
		names = append(names, string(kind))
	}
	field, ok := o.required("check", "one of "+strings.Join(names, ", "))
	if !ok {
		return ""
	}
	return CheckKind(readWord(field, "", names...))
}

// refuseKeys reports the fields that a check of this kind makes nothing of.
func refuseKeys(o object, kind CheckKind, use healthUse) {
	own, known := append(use.keys(kind), scheduleKeys...), use.known()
	for _, f := range o.node.fields {
		if f.key != "check" && slices.Contains(known, f.key) && !slices.Contains(own, f.key) {
			o.document.report(Error, f.offset, keyPath(o.path, f.key),
				fmt.Sprintf("a setting that the check %q does not have", kind), "no such key here")
		}
	}
}

// readProbe reads what the check of a kind asks.
func readProbe(o object, check *Check, name string, use healthUse) {
	switch check.Kind {
	case CheckTCP:
		o.required("port", expectedPort+`, which the check "tcp" needs`)
		check.Port = readPort(o, 0)
	case CheckHTTP, CheckHTTPS:
		readHTTP(o, check, name, use)
	case CheckRsync:
		readRsync(o, &check.Probe, use)
	case CheckExec:
		check.Command, check.Host = readCommand(o), name
	}
}

const expectedPort = "a port from 1 to 65535"

func readPort(o object, without int64) uint16 {
	if field, ok := o.optional("port"); ok {
		without, _ = field.integer(1, 65535, expectedPort)
	}
	return uint16(without)
}

// readRsync reads what is asked of an rsync daemon. Redirect hosts know from the mirrors
// which, and which module.
func readRsync(o object, probe *Probe, use healthUse) {
	const expectedModule = "the name of an rsync module, " + expectedID
	if use == poolHealth {
		probe.Port = readPort(o, DefaultRsyncPort)
		if field, ok := o.required("module", expectedModule); ok {
			probe.Module = readShort(field, expectedModule)
		}
	}
	const expected = `a path below the module of letters, digits and -._~+@=,:%/, without "." and ".."`
	if field, ok := o.optional("path"); ok {
		if text, ok := field.string(expected); ok && !isPath(rsyncPath, text) {
			field.refuse(expected)
		} else if ok {
			probe.Path = strings.TrimLeft(text, "/")
		}
	}
	if field, ok := o.optional("max_age"); ok {
		probe.MaxAge, _ = readDuration(field)
		o.required("path", `the path of the file whose time "max_age" looks at`)
	}
}

// readCommand reads which of the node's commands is run. The repository names it, and
// never says what it is: who may push may not run programs on the nodes.
func readCommand(o object) string {
	const expected = "the name that the command has in the nodes' health.commands, " + expectedID
	field, ok := o.required("command", expected)
	if !ok {
		return ""
	}
	return readShort(field, expected)
}

// readShort reads a short name.
func readShort(v value, expected string) string {
	text, ok := v.string(expected)
	if ok && !shortID.MatchString(text) {
		v.refuse(expected)
		return ""
	}
	return text
}

// warnLateDetection tells of checks that leave a mirror that failed in the answers for long.
func warnLateDetection(o object, s Schedule) {
	late := s.Interval * time.Duration(s.DownAfter)
	field, ok := o.optional("interval")
	if !ok || late <= lateDetection {
		return
	}
	field.report(Warning, field.describe(),
		fmt.Sprintf("interval and down_after that find a failure within %s: with these what has failed is given for up to %s more", words(lateDetection), words(late)))
}
