package alert

import (
	"maps"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Kind is what an event is about; a way may be for some of them.
type Kind string

// The kinds.
const (
	State  Kind = "state"  // a member or mirror is down
	Flag   Kind = "flag"   // something about a mirror that somebody should look at
	Commit Kind = "commit" // a commit is refused
	Stale  Kind = "stale"  // the repository cannot be followed
	Frozen Kind = "frozen" // the checks are not believed
	Stage  Kind = "stage"  // a part of the program fails
)

// Kinds are all of them.
func Kinds() []Kind { return []Kind{State, Flag, Commit, Stale, Frozen, Stage} }

// Severity says how much an event matters.
type Severity string

// The severities.
const (
	Notice  Severity = "notice"  // it is good to know
	Warning Severity = "warning" // somebody should look at it some day
	Error   Severity = "error"   // somebody should look at it now
)

// rank orders severities; what is none of them is a notice.
func (s Severity) rank() int {
	switch s {
	case Error:
		return 2
	case Warning:
		return 1
	}
	return 0
}

// Event is something that is wrong. Texts may hold what comes from elsewhere: they are
// made one line each, and cut.
type Event struct {
	// Key names the trouble, the same one each time and after a restart, such as
	// "state pool.example ams 192.0.2.1". An event without a key, or with
	// one of more than 1,024 bytes, is dropped.
	Key      string   `json:"key"`
	Kind     Kind     `json:"kind"`
	Severity Severity `json:"severity"`
	// Begin is when it began; zero: when it is reported first.
	Begin time.Time `json:"begin"`
	// Pools are the pools and redirect hosts that it concerns; empty: all of the node.
	Pools []string `json:"pools"`
	// Subject is what it is about, and Words what is wrong with it: together they are a
	// sentence, such as "commit 12ab" and "is refused: pools.json:3:4: ...".
	Subject string `json:"subject"`
	Words   string `json:"words"`
	// Details are the same for programs.
	Details map[string]string `json:"details"`
	// Evidence is what was seen, in lines for people.
	Evidence []string `json:"evidence"`
	// Operator is the mail address of who runs the mirror that it is about, and Mirror
	// the name that they know it by; empty: nobody's.
	Operator string `json:"operator,omitempty"`
	Mirror   string `json:"mirror,omitempty"`
	// Once is for what may last for months: it is told when it begins and when it is over,
	// without reminders between, and not again while it is reported at least every other
	// day.
	Once bool `json:"once,omitempty"`
}

// What of an event is kept, in bytes and in numbers.
const (
	maxKey      = 1024
	maxLine     = 500
	maxWords    = 2000
	maxEvidence = 20
	maxDetails  = 24
	maxPools    = 64
)

// bounded is a copy of the event that holds no more than there is room for, and nobody
// else's memory.
func (e Event) bounded(now time.Time) Event {
	if e.Begin.IsZero() || e.Begin.After(now) {
		e.Begin = now
	}
	e.Begin = e.Begin.UTC().Round(0)
	e.Subject, e.Words = clean(e.Subject, maxLine), clean(e.Words, maxWords)
	e.Operator, e.Mirror = clean(e.Operator, maxLine), clean(e.Mirror, maxLine)
	pools := make([]string, 0, min(len(e.Pools), maxPools))
	for _, pool := range e.Pools[:min(len(e.Pools), maxPools)] {
		pools = append(pools, clean(pool, maxLine))
	}
	e.Pools = pools
	e.Evidence = boundedLines(e.Evidence)
	details := make(map[string]string, len(e.Details))
	for name, value := range maps.All(e.Details) {
		if len(details) < maxDetails {
			details[clean(name, maxLine)] = clean(value, maxLine)
		}
	}
	e.Details = details
	return e
}

// boundedLines is a copy of no more evidence than there is room for.
func boundedLines(evidence []string) []string {
	lines := make([]string, 0, min(len(evidence), maxEvidence))
	for _, line := range evidence[:min(len(evidence), maxEvidence)] {
		lines = append(lines, clean(line, maxLine))
	}
	return lines
}

// clean makes a text one line of what can be printed, no longer than most bytes.
func clean(text string, most int) string {
	short := text
	if len(short) > most {
		short = short[:most]
		for !utf8.ValidString(short[max(len(short)-utf8.UTFMax, 0):]) && len(short) > most-utf8.UTFMax {
			short = short[:len(short)-1]
		}
		short += "…"
	}
	return strings.TrimSpace(strings.Map(func(c rune) rune {
		switch {
		case c == '\n' || c == '\t' || c == '\r':
			return ' '
		case c == utf8.RuneError || !unicode.IsPrint(c):
			return '.'
		}
		return c
	}, short))
}
