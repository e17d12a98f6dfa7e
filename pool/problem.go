package pool

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity tells whether a Problem makes a commit unusable.
type Severity int

const (
	// Warning is reported and changes nothing.
	Warning Severity = iota
	// Error makes the whole commit be refused.
	Error
)

func (s Severity) String() string {
	if s == Error {
		return "error"
	}
	return "warning"
}

// MarshalText makes "error" and "warning" of a Severity, in JSON too.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Severity) UnmarshalText(text []byte) error {
	switch string(text) {
	case "error":
		*s = Error
	case "warning":
		*s = Warning
	default:
		return fmt.Errorf("reading a severity: found %q, expected error or warning", text)
	}
	return nil
}

// Position is a place in a file of the repository. Line and Column count from
// 1, Column in bytes; both are 0 where a problem belongs to the file as a whole.
type Position struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

func (p Position) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Problem is one mistake in the repository, worded for the person who can
// mend it: where it is, what it is about, what was found, what was expected.
type Problem struct {
	Position
	Severity Severity `json:"severity"`
	// What names the thing: a path such as "pools[0].members[1].weight".
	What string `json:"what"`
	// Found is what stands in the file; empty where that says nothing.
	Found string `json:"found,omitempty"`
	// Expected is what should stand there, or what to do.
	Expected string `json:"expected"`
}

// String gives the problem on one line:
//
//	pools.json:14:22: error: pools[0].ttl: found "soon", expected a whole number of seconds from 1 to 86400
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s: ", p.Position, p.Severity)
	if p.What != "" {
		fmt.Fprintf(&b, "%s: ", p.What)
	}
	if p.Found != "" {
		fmt.Fprintf(&b, "found %s, ", p.Found)
	}
	fmt.Fprintf(&b, "expected %s", p.Expected)
	return b.String()
}

// HasErrors reports whether any of the problems is an Error.
func HasErrors(problems []Problem) bool {
	for _, p := range problems {
		if p.Severity == Error {
			return true
		}
	}
	return false
}

// SortProblems puts problems in the order of file, line, column and name, errors
// before warnings at the same place.
func SortProblems(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(b.Severity, a.Severity),
			cmp.Compare(a.What, b.What),
		)
	})
}

// maxProblems is how many errors, and how many warnings, are kept of one
// repository: nobody reads more, and memory and status pages have to bear them.
const maxProblems = 1000

// problemList gathers problems.
type problemList struct {
	kept    []Problem
	counted [2]int // by Severity
}

func (l *problemList) add(p Problem) {
	if !l.full(p.Severity) {
		l.kept = append(l.kept, p)
	}
	l.counted[p.Severity]++
}

// full reports whether another problem of that kind would not be kept.
func (l *problemList) full(severity Severity) bool { return l.counted[severity] >= maxProblems }

// sorted gives what was gathered, with a line for what was not kept.
func (l *problemList) sorted() []Problem {
	for severity, count := range l.counted {
		if count > maxProblems {
			l.kept = append(l.kept, Problem{
				Position: Position{File: "."}, Severity: Severity(severity),
				Found:    fmt.Sprintf("%d more %ss than are listed here", count-maxProblems, Severity(severity)),
				Expected: "none",
			})
		}
	}
	SortProblems(l.kept)
	return l.kept
}
