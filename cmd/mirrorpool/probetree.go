package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"mirrorpool/pool/health"
)

// treeFound is what was found of a working tree.
type treeFound struct {
	directory string
	mirrors   []*treeMirror
	took      time.Duration
}

// verdict is good if everything that has a weight is.
func (t *treeFound) verdict() probeVerdict {
	verdict := probeGood
	for _, m := range t.mirrors {
		switch {
		case m.weight == 0:
		case m.found.verdict == probeBad:
			return probeBad
		case m.found.verdict == probeUnfinished:
			verdict = probeUnfinished
		}
	}
	return verdict
}

// flagged is how many of those that have a weight have red flags.
func (t *treeFound) flagged() int {
	flagged := 0
	for _, m := range t.mirrors {
		if m.weight > 0 && len(m.found.flags) > 0 {
			flagged++
		}
	}
	return flagged
}

// treeReport is what --all --json prints. probe --help documents it.
type treeReport struct {
	Verdict   probeVerdict       `json:"verdict"`
	Directory string             `json:"directory"`
	Seconds   float64            `json:"seconds"`
	Mirrors   []treeMirrorReport `json:"mirrors"`
}

type treeMirrorReport struct {
	Verdict   probeVerdict   `json:"verdict"`
	Reasons   []string       `json:"reasons"`
	RedFlags  []redFlag      `json:"red_flags"`
	Weight    uint32         `json:"weight"`
	Pool      string         `json:"pool,omitempty"`
	Member    string         `json:"member,omitempty"`
	Address   string         `json:"address,omitempty"`
	Host      string         `json:"host,omitempty"`
	URLPrefix string         `json:"url_prefix,omitempty"`
	Seconds   float64        `json:"seconds"`
	Probes    []probedReport `json:"probes"`
}

// report is in the order of the working tree.
func (t *treeFound) report() treeReport {
	r := treeReport{Verdict: t.verdict(), Directory: t.directory, Seconds: seconds(t.took), Mirrors: []treeMirrorReport{}}
	for _, m := range t.mirrors {
		one := treeMirrorReport{
			Verdict: m.found.verdict, Reasons: orEmpty(m.found.reasons), RedFlags: orEmpty(m.found.flags), Weight: m.weight,
			Pool: m.pool, Member: m.member, Host: m.host, URLPrefix: m.urlPrefix,
			Seconds: seconds(m.found.took), Probes: m.found.reportProbes(),
		}
		if m.address.IsValid() {
			one.Address = m.address.String()
		}
		r.Mirrors = append(r.Mirrors, one)
	}
	return r
}

// rank is the place in the table: first what somebody has to look at.
func (m *treeMirror) rank() int {
	switch {
	case m.weight == 0:
		return 4
	case m.found.verdict == probeBad:
		return 0
	case m.found.verdict == probeUnfinished:
		return 1
	case len(m.found.flags) > 0:
		return 2
	}
	return 3
}

// state is the first column of the table.
func (m *treeMirror) state() string {
	switch {
	case m.found.verdict == probeBad && m.weight > 0:
		return "NOT GOOD"
	case m.found.verdict == probeBad:
		return "not good"
	case m.found.verdict == probeUnfinished:
		return "not asked"
	case len(m.found.flags) > 0:
		return "red flags"
	}
	return "good"
}

// words are the last column: what is wrong, or else what the first probe saw.
func (m *treeMirror) words() string {
	words := slices.Clone(m.found.reasons)
	if len(words) == 0 {
		for _, p := range m.found.probes {
			if p.result.Outcome == health.Success && p.judged() {
				words = append(words, p.result.Reason)
				break
			}
		}
	}
	for _, flag := range m.found.flags {
		words = append(words, flag.Text)
	}
	if len(words) == 0 && len(m.targets) == 0 {
		return "not checked"
	}
	return plain(strings.Join(words, "; "))
}

// print writes the table, and a summary as its last line.
func (t *treeFound) print(out io.Writer) error {
	colours := paintOf(out)
	sorted := slices.Clone(t.mirrors)
	slices.SortStableFunc(sorted, func(a, b *treeMirror) int {
		return cmp.Or(a.rank()-b.rank(), strings.Compare(a.name(), b.name()))
	})
	width := 0
	for _, m := range sorted {
		width = max(width, min(len(m.name()), 60))
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%-9s %6s  %-*s %9s  %s\n", "state", "weight", width, "mirror", "time", "what was found")
	for _, m := range sorted {
		state := fmt.Sprintf("%-9s", m.state())
		switch m.rank() {
		case 0:
			state = colours.bad(state)
		case 1, 2:
			state = colours.flag(state)
		case 3:
			state = colours.good(state)
		}
		line := fmt.Sprintf("%s %6d  %-*s %9s  %s", state, m.weight, width, plain(m.name()), inMilliseconds(m.found.took), m.words())
		fmt.Fprintln(&text, strings.TrimRight(line, " "))
	}
	fmt.Fprintf(&text, "\n%s\n", t.summary())
	if _, err := io.WriteString(out, text.String()); err != nil {
		return fmt.Errorf("writing what was found: %w", err)
	}
	return nil
}

// summary counts what has a weight, and apart from it what has none.
func (t *treeFound) summary() string {
	var counted [5]int
	total := 0
	for _, m := range t.mirrors {
		counted[m.rank()]++
		if m.weight > 0 {
			total++
		}
	}
	words := fmt.Sprintf("of %d with a weight %d are good", total, counted[2]+counted[3])
	if n := counted[2]; n > 0 {
		words += fmt.Sprintf(" (%d with red flags)", n)
	}
	words += fmt.Sprintf(", %d not", counted[0])
	if n := counted[1]; n > 0 {
		words += fmt.Sprintf(", %d not asked", n)
	}
	if n := counted[4]; n > 0 {
		words += fmt.Sprintf("; %d more of weight 0", n)
	}
	return words + "; " + t.took.Round(100*time.Millisecond).String()
}
