//go:build e2e

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// healthFault is one thing that goes wrong with a mirror.
type healthFault struct {
	name  string // in docs/health.md
	label string // of its pools: LABEL.health.test with us, LABEL.gdnsd.test with gdnsd
	seen  string // which check is to see it, for the page
	// checks are what the pool's "health" says beside what all pools say; empty: the trace
	// file over HTTP.
	checks string
	gdnsd  gdnsdCheck
	secure bool // over HTTPS
	rsync  bool // members have an rsync daemon as well
	dual   bool // members have IPv6 addresses as well
	six    bool // it is those that fail
	// harmless: downloads of the file work all the while.
	harmless bool
	// steady: the mirror is to stay in all answers.
	steady bool
	pauses time.Duration // that the fault makes, and may delay its being found by
	// put puts it in, and gives what takes it out again.
	put func(*healthMirror) func()
}

// gdnsdCheck is how gdnsd checks the same mirrors.
type gdnsdCheck string

const (
	gdnsdTrace gdnsdCheck = "http_status of the trace file"
	gdnsdFiles gdnsdCheck = "http_status of the trace file and of the file"
	gdnsdBlind gdnsdCheck = "" // it has no check that could see the fault
)

const (
	// tracePath and imagePath are what mirrors have: when they last followed, and the file
	// that clients want.
	tracePath = "/project/trace"
	imagePath = "/stable/image.img"
	imageSize = 64 << 10 // bytes
)

// healthFaults are all of them, in the order of the page.
func healthFaults() []healthFault {
	return []healthFault{
		{name: "connection refused", label: "refused", seen: "`http`", gdnsd: gdnsdTrace, put: stopped},
		{name: "black hole: packets are dropped", label: "hole", seen: "`http`", gdnsd: gdnsdTrace, put: dropped(false)},
		{name: "connects, and never answers", label: "silent", seen: "`http`", gdnsd: gdnsdTrace, put: suspended},
		{name: "status 503", label: "status", seen: "`http`", gdnsd: gdnsdTrace, put: says("return 503;")},
		{name: "redirect to somewhere else", label: "redirect", seen: "`http`", gdnsd: gdnsdTrace, put: says("return 302 http://elsewhere.test$request_uri;")},
		{name: "follows no more: trace and files of two hours ago", label: "old", seen: "`http` with `max_age`", put: outdated},
		{
			name: "slow: 8 kB a second", label: "slow", seen: "`throughput`", put: says("limit_rate 8k;"),
			checks: `"throughput": { "path": "IMAGE", "bytes": SIZE, "floor": 100000, SCHEDULE }`,
		},
		{
			name: "a file is missing", label: "missing", seen: "`must_have`", gdnsd: gdnsdFiles, put: removed,
			checks: `"must_have": { "paths": ["IMAGE"], SCHEDULE }`,
		},
		{
			name: "a file is truncated", label: "truncated", seen: "`must_have` with `size`", put: truncated,
			checks: `"must_have": { "paths": [{ "path": "IMAGE", "size": SIZE }], SCHEDULE }`,
		},
		{
			name: "a file is altered, and as long as before", label: "altered", seen: "`integrity`", put: altered,
			checks: `"integrity": { "path": "IMAGE", "origin": "http://ORIGIN/IMAGE", "bytes": 4096, SCHEDULE }`,
		},
		{
			name: "certificate expired", label: "expired", seen: "`https`", secure: true,
			put: presents(func(m *healthMirror) []string { return []string{m.label} }, -time.Hour),
		},
		{
			name: "certificate for another name", label: "name", seen: "`https`", secure: true,
			put: presents(func(*healthMirror) []string { return []string{"other"} }, time.Hour),
		},
		{name: "IPv6 is dropped, IPv4 works", label: "six", seen: "`http`", gdnsd: gdnsdTrace, dual: true, six: true, put: dropped(true)},
		{name: "IPv4 is dropped, IPv6 works", label: "four", seen: "`http`", gdnsd: gdnsdTrace, dual: true, put: dropped(false)},
		{
			name: "rsync daemon without the module", label: "rsync", seen: "`rsync`", harmless: true, rsync: true, put: withoutModule,
			checks: `"rsync": { "module": "mirror", "path": "IMAGE", SCHEDULE }`,
		},
		{name: "flapping: 503 for 4.5 s of every 7 s", label: "flapping", seen: "`http`", gdnsd: gdnsdTrace, put: flapping, pauses: 2 * healthInterval},
		{name: "one request in five fails", label: "single", seen: "nothing moves", gdnsd: gdnsdTrace, steady: true, put: everyFifth},
	}
}

// poolsFile is the repository's pools.json.
func (lab *healthLab) poolsFile() string {
	var pools []string
	for _, fault := range lab.faults {
		check := "http"
		if fault.secure {
			check = "https"
		}
		var members []string
		for i := range healthMembers {
			list := fmt.Sprintf("%q", fault.memberAddress(i))
			if fault.dual {
				list += fmt.Sprintf(", %q", fault.memberAddress6(i))
			}
			members = append(members, fmt.Sprintf(`{ "id": "m%d", "addresses": [%s], "weight": 10 }`, i+1, list))
		}
		schedule := fmt.Sprintf(`"interval": "%s", "timeout": "%s", "down_after": %[3]d, "up_after": %[3]d`, healthInterval, healthTimeout, healthThreshold)
		extra := ""
		if fault.checks != "" {
			extra = ", " + strings.NewReplacer("SCHEDULE", schedule, "ORIGIN/IMAGE", originAddress+imagePath, "IMAGE", imagePath,
				"SIZE", fmt.Sprint(imageSize)).Replace(fault.checks)
		}
		pools = append(pools, fmt.Sprintf(`{ "name": "%s.health.test", "ttl": %d, "answers": %d,
    "health": { "check": %q, "path": %q, "max_age": "1h", "ramp": %q, %s%s },
    "members": [
      %s ] }`, fault.label, healthTTL/time.Second, healthMembers, check, tracePath, healthRamp, schedule, extra, strings.Join(members, ",\n      ")))
	}
	return "{ \"version\": 1, \"pools\": [\n  " + strings.Join(pools, ",\n  ") + "\n] }\n"
}

func stopped(m *healthMirror) func() {
	m.lab.end(m.process(), syscall.SIGTERM)
	return m.start
}

func suspended(m *healthMirror) func() {
	m.signalAll(syscall.SIGSTOP)
	return func() { m.signalAll(syscall.SIGCONT) }
}

func dropped(six bool) func(*healthMirror) func() {
	return func(m *healthMirror) func() {
		element := "gone4 { " + m.address + " }"
		if six {
			element = "gone6 { " + m.address6 + " }"
		}
		m.lab.command("nft", "add element inet faults "+element)
		return func() { m.lab.command("nft", "delete element inet faults "+element) }
	}
}

// says has nginx follow these directives for whatever is asked for.
func says(directives string) func(*healthMirror) func() {
	return func(m *healthMirror) func() {
		m.reconfigure(directives)
		return func() { m.reconfigure("") }
	}
}

// outdated leaves the mirror with what it had two hours ago.
func outdated(m *healthMirror) func() {
	m.put(tracePath, []byte(fmt.Sprintln(time.Now().Add(-2*time.Hour).Unix())))
	m.put(imagePath, m.lab.content.before)
	return m.fill
}

func removed(m *healthMirror) func() {
	if err := os.Remove(filepath.Join(m.root, imagePath)); err != nil {
		m.lab.Errorf("taking the file from the mirror of %s: %v", m.label, err)
	}
	return m.fill
}

func truncated(m *healthMirror) func() {
	m.put(imagePath, m.lab.content.image[:imageSize/2])
	return m.fill
}

func altered(m *healthMirror) func() {
	m.put(imagePath, m.lab.content.before)
	return m.fill
}

// withoutModule has the mirror's rsync daemon forget it: daemons read their configuration
// for each client.
func withoutModule(m *healthMirror) func() {
	m.configureRsync(m.address, "other")
	return func() { m.configureRsync(m.address, "mirror") }
}

// presents has the mirror show a certificate for other names, or one that is valid no more.
func presents(labels func(*healthMirror) []string, until time.Duration) func(*healthMirror) func() {
	return func(m *healthMirror) func() {
		m.certify(until, labels(m)...)
		m.reconfigure("")
		return func() {
			m.certify(time.Hour, m.label)
			m.reconfigure("")
		}
	}
}

// flapping has the mirror fail for long enough that two checks meet it, and work for too
// short a time for three.
func flapping(m *healthMirror) func() {
	const fails, works = 4500 * time.Millisecond, 2500 * time.Millisecond
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			for _, phase := range []struct {
				directives string
				lasts      time.Duration
			}{{"return 503;", fails}, {"", works}} {
				m.reconfigure(phase.directives)
				select {
				case <-time.After(phase.lasts):
				case <-end:
					return
				}
			}
		}
	}()
	return func() {
		close(end)
		<-ended
		m.reconfigure("")
	}
}

// everyFifth has the mirror fail every fifth request for each file of each host.
func everyFifth(m *healthMirror) func() {
	m.reconfigure(fmt.Sprintf("location / { proxy_set_header Host $host; proxy_pass http://%s; }", m.lab.startFailing(m)))
	return func() { m.reconfigure("") }
}

// put replaces one of the mirror's files.
func (m *healthMirror) put(path string, data []byte) {
	name := filepath.Join(m.root, path)
	for _, err := range []error{
		os.MkdirAll(filepath.Dir(name), 0o755),
		os.WriteFile(name+".new", data, 0o644),
		os.Rename(name+".new", name),
	} {
		if err != nil {
			m.lab.Errorf("putting %s on the mirror of %s: %v", path, m.label, err)
		}
	}
}
