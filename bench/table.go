//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// median is the middle value, or the mean of the two in the middle; 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// row is what is printed of a server for one kind of question: medians of its
// rounds, each figure by itself.
type row struct {
	name                                 string
	perQuery, user, system               float64
	rate, share, p50, p99, memory, wrong float64
	busy, generator, other, steal        float64
	rounds                               int
}

func newRow(name string, measurements []*measurement) row {
	of := func(value func(*measurement) float64) float64 {
		values := make([]float64, len(measurements))
		for i, m := range measurements {
			values[i] = value(m)
		}
		return median(values)
	}
	microseconds := func(d time.Duration) float64 { return d.Seconds() * 1e6 }
	return row{
		name:      name,
		rounds:    len(measurements),
		perQuery:  of(func(m *measurement) float64 { return m.PerQuery }),
		user:      of(func(m *measurement) float64 { return m.PerQueryUser }),
		system:    of(func(m *measurement) float64 { return m.PerQuerySystem }),
		rate:      of((*measurement).rate),
		share:     of((*measurement).share),
		p50:       of(func(m *measurement) float64 { return microseconds(m.Load.P50) }),
		p99:       of(func(m *measurement) float64 { return microseconds(m.Load.P99) }),
		memory:    of(func(m *measurement) float64 { return float64(m.Memory) / (1 << 20) }),
		busy:      of(func(m *measurement) float64 { return m.Busy }),
		generator: of(func(m *measurement) float64 { return m.Generator }),
		other:     of(func(m *measurement) float64 { return m.Other }),
		steal:     of(func(m *measurement) float64 { return m.Steal }),
		wrong:     of(func(m *measurement) float64 { return float64(m.Load.WrongAnswers()) }),
	}
}

const legend = `us/query, user, system: processor time of the server for each right answer, in microseconds. /floor, /padded: over that
of the echo, and of the echo with answers as large as ours. ans%: questions answered rightly. p50, p99: latency in
microseconds; with as many questions waiting as can be, it is that of the queue. MB: memory (PSS) after the load. busy,
gen, other, steal: processors used by the server, by the generator, by other processes, by the host. Medians of rounds.
`

// writeTable prints the rows of one kind of question, 120 columns wide.
func writeTable(out io.Writer, title string, rows []row) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n", title)
	fmt.Fprintf(&b, "%-20s %7s %6s %6s %6s %7s %8s %7s %6s %7s %7s %4s %4s %5s %5s\n",
		"", "us/query", "user", "system", "/floor", "/padded", "q/s", "ans%", "p50", "p99", "MB", "busy", "gen", "other", "steal")
	floor, padded := costOf(rows, floorName), costOf(rows, paddedName)
	for _, r := range rows {
		fmt.Fprintf(&b, "%-20s %8.3f %6.3f %6.3f %6s %7s %8.0f %7.3f %6.0f %7.0f %7.1f %4.2f %4.2f %5.2f %5.2f\n",
			r.name, r.perQuery, r.user, r.system, ratio(r.perQuery, floor), ratio(r.perQuery, padded), r.rate, 100*r.share,
			r.p50, r.p99, r.memory, r.busy, r.generator, r.other, r.steal)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func costOf(rows []row, name string) float64 {
	for _, r := range rows {
		if r.name == name {
			return r.perQuery
		}
	}
	return 0
}

func ratio(a, b float64) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", a/b)
}

// columns is how wide a page is.
const columns = 120

// wrapped puts words after a head, on lines no wider than a page if no word is.
func wrapped(head, words string) string {
	var b strings.Builder
	b.WriteString(head)
	width := len(head)
	for _, word := range strings.Fields(words) {
		if width+1+len(word) > columns {
			indent := strings.Repeat(" ", 22)
			b.WriteString("\n" + indent)
			width = len(indent)
		}
		b.WriteString(" " + word)
		width += 1 + len(word)
	}
	return strings.TrimRight(b.String(), " ") + "\n"
}
