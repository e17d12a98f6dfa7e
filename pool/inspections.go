package pool

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Defaults of inspections.
const (
	DefaultInspectionInterval  = time.Hour
	DefaultInspectionTimeout   = 30 * time.Second // the interval, if that is shorter
	DefaultInspectionDownAfter = 2
	DefaultInspectionUpAfter   = 1
	DefaultThroughputBytes     = 1 << 20
	DefaultSamples             = 3
	DefaultSampleBytes         = 64 << 10

	minThroughputBytes = 1 << 10
	maxThroughputBytes = 1 << 30
	maxFloor           = 1 << 40 // bytes a second
	maxSamples         = 100
	maxSampleBytes     = 16 << 20
	maxRequired        = 1000
	maxFileBytes       = 1 << 50

	// meaningfulBytes is how much a throughput takes to be one, and not a round trip.
	meaningfulBytes = 256 << 10
	// dearBytes is what inspecting one mirror may take in a day unmentioned.
	dearBytes = 1 << 30
)

var inspectionPace = pace{DefaultInspectionInterval, DefaultInspectionTimeout, DefaultInspectionDownAfter, DefaultInspectionUpAfter}

// inspectionReader reads what one kind of inspection asks into a probe that has the
// check's kind, port and host.
type inspectionReader struct {
	key  string
	keys func(healthUse) []string // beside those of the schedule
	read func(o object, i *Inspection, use healthUse)
}

// inspectionReaders are in the order of Check.Inspections.
func inspectionReaders() []inspectionReader {
	always := func(keys ...string) func(healthUse) []string {
		return func(healthUse) []string { return keys }
	}
	return []inspectionReader{
		{"throughput", always("path", "bytes", "floor"), readThroughput},
		{"integrity", always("path", "origin", "samples", "bytes", "sha256"), readIntegrity},
		{"must_have", always("paths", "index"), readMustHave},
		{"rsync", func(use healthUse) []string {
			if use == redirectHealth {
				return []string{"path", "max_age"}
			}
			return []string{"path", "max_age", "module", "port"}
		}, func(o object, i *Inspection, use healthUse) {
			i.Probe = Probe{Kind: CheckRsync, Timeout: i.Timeout}
			readRsync(o, &i.Probe, use)
		}},
		{"exec", always("command"), func(o object, i *Inspection, _ healthUse) {
			i.Probe = Probe{Kind: CheckExec, Timeout: i.Timeout, Command: readCommand(o)}
		}},
	}
}

// readInspections reads what else has to be right, beside the check. name is the pool's.
func readInspections(o object, check Probe, name string, use healthUse) []Inspection {
	var all []Inspection
	own := use.keys(check.Kind)
	for _, reader := range inspectionReaders() {
		field, ok := o.optional(reader.key)
		if !ok || !slices.Contains(own, reader.key) {
			continue // reported as a key that the check does not have
		}
		part, ok := field.object("an inspection, which is an object", append(reader.keys(use), scheduleKeys...)...)
		if !ok {
			continue
		}
		i := Inspection{Probe: Probe{
			Kind: check.Kind, Port: check.Port, Host: check.Host, FollowRedirects: check.FollowRedirects,
		}}
		i.Schedule, i.Timeout = readSchedule(part, inspectionPace)
		reader.read(part, &i, use)
		if i.Kind == CheckExec {
			i.Host = name
		}
		all = append(all, i)
	}
	return all
}

// readFile reads the path of a file, which the inspection cannot do without.
func readFile(o object, use healthUse) string {
	expected := "the path of a file, " + pathWords(use)
	field, ok := o.required("path", expected)
	if !ok {
		return ""
	}
	path, ok := parsePath(field, expected, use)
	if ok && (path == "" || strings.HasSuffix(path, "/")) {
		field.refuse(expected)
	}
	return path
}

func readThroughput(o object, i *Inspection, use healthUse) {
	i.Purpose = PurposeThroughput
	i.Path = readFile(o, use)
	i.Bytes = o.optionalInteger("bytes", minThroughputBytes, maxThroughputBytes, DefaultThroughputBytes, "")
	const expected = "a whole number of bytes a second from 1 to 1099511627776"
	floor, ok := o.required("floor", expected)
	if !ok {
		return
	}
	if i.MinRate, ok = floor.integer(1, maxFloor, expected); !ok {
		return
	}
	if bytes, ok := o.optional("bytes"); ok && i.Bytes < meaningfulBytes {
		bytes.report(Warning, bytes.describe(), fmt.Sprintf("at least %d: fewer measure the way to the mirror more than its speed", meaningfulBytes))
	}
	// A mirror that is just fast enough has to be able to show it.
	needed := time.Duration(float64(i.Bytes) / float64(i.MinRate) * float64(time.Second)).Round(time.Millisecond)
	_, given := o.optional("timeout")
	if !given {
		i.Timeout = min(max(i.Timeout, 2*needed), i.Interval)
	}
	if needed >= i.Timeout {
		floor.refuse(fmt.Sprintf("a floor at which %d bytes come within the timeout, which is %s: at this one they take %s",
			i.Bytes, words(i.Timeout), words(needed)))
	}
	warnDear(o, i.Bytes, i.Interval)
}

func readIntegrity(o object, i *Inspection, use healthUse) {
	i.Purpose = PurposeIntegrity
	i.Path = readFile(o, use)
	origin, sampled := o.optional("origin")
	sum, whole := o.optional("sha256")
	switch {
	case sampled && whole:
		sum.report(Error, `"sha256" beside "origin"`, "one of them: parts of the file are compared with the origin's, or the whole file with its published sum")
	case !sampled && !whole:
		o.missing(Error, "origin", `the URL of the same file at its origin, or "sha256" with its published sum`)
	case whole:
		i.SHA256 = readSHA256(sum)
		for _, key := range []string{"samples", "bytes"} {
			if field, ok := o.optional(key); ok {
				field.report(Error, `a setting that goes with "origin"`, `no such key beside "sha256": the whole file is read`)
			}
		}
	default:
		i.Origin = readFileURL(origin)
		i.Samples = int(o.optionalInteger("samples", 1, maxSamples, DefaultSamples, ""))
		i.Bytes = o.optionalInteger("bytes", 1, maxSampleBytes, DefaultSampleBytes, "")
		warnDear(o, int64(i.Samples)*i.Bytes, i.Interval)
	}
}

var sha256Form = regexp.MustCompile(`^[0-9A-Fa-f]{64}$`)

func readSHA256(v value) string {
	const expected = "a SHA-256 sum of 64 hexadecimal digits"
	text, ok := v.string(expected)
	if ok && !sha256Form.MatchString(text) {
		v.refuse(expected)
		return ""
	}
	return strings.ToLower(text)
}

func readMustHave(o object, i *Inspection, use healthUse) {
	i.Purpose = PurposeContents
	paths, hasPaths := o.optional("paths")
	index, hasIndex := o.optional("index")
	if !hasPaths && !hasIndex {
		o.missing(Error, "paths", `an array of paths, or "index" with the URL of a list of them: otherwise nothing has to be there`)
	}
	if hasPaths {
		i.Required = NewRequirements(readRequirements(paths, use))
	}
	if hasIndex {
		i.Index = readFileURL(index)
	}
}

// readRequirements reads paths, or objects of a path and the size of what is there.
func readRequirements(v value, use healthUse) []Requirement {
	elements, ok := v.elements("an array of paths")
	if !ok {
		return nil
	}
	if len(elements) == 0 {
		v.report(Error, "no path", "at least one")
	}
	if len(elements) > maxRequired {
		v.report(Error, fmt.Sprintf("%d paths", len(elements)), fmt.Sprintf(`at most %d; more of them in a list that "index" names`, maxRequired))
		return nil
	}
	files := make([]Requirement, 0, len(elements))
	first := map[string]Position{}
	for _, element := range elements {
		file, ok := readRequirement(element, use)
		if !ok {
			continue
		}
		if other, twice := first[file.Path]; twice {
			element.refuse(fmt.Sprintf("a path that stands here once: line %d has it too", other.Line))
			continue
		}
		first[file.Path] = element.position()
		files = append(files, file)
	}
	return files
}

func readRequirement(v value, use healthUse) (file Requirement, ok bool) {
	expected := "the path of what has to be there, " + pathWords(use)
	file.Size = -1
	path := v
	if v.kind == kindObject {
		o, _ := v.object(expected, "path", "size")
		if path, ok = o.required("path", expected); !ok {
			return Requirement{}, false
		}
		file.Size = o.optionalInteger("size", 0, maxFileBytes, -1, " of bytes")
	}
	if file.Path, ok = parsePath(path, expected, use); ok && file.Path == "" {
		path.refuse(expected)
		ok = false
	}
	return file, ok
}

// warnDear tells of inspections that take more of the mirrors than they may know.
func warnDear(o object, bytes int64, interval time.Duration) {
	day := float64(bytes) * float64(24*time.Hour) / float64(interval)
	if day <= dearBytes {
		return
	}
	o.report(Warning, fmt.Sprintf("%.1f GiB a day that every mirror has to send", day/(1<<30)),
		"at most 1.0: a longer interval, or fewer bytes")
}
