//go:build linux

package main

import (
	"strings"
	"testing"
	"time"

	"mirrorpool/bench/load"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1}, 5}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(c.values); got != c.want {
			t.Errorf("the median of %v is %g, expected %g", c.values, got, c.want)
		}
	}
}

func TestAMeasurementIsWorkedOut(t *testing.T) {
	result := &load.Result{Sent: 2_100_000, Answered: 2_000_000, Elapsed: 2 * time.Second, User: 500 * time.Millisecond, System: time.Second}
	m := newMeasurement(result, processorTimes{user: 500 * time.Millisecond, system: 1500 * time.Millisecond},
		processorTimes{user: 1200 * time.Millisecond, system: 2500 * time.Millisecond, steal: 100 * time.Millisecond})
	if m.PerQuery != 1 || m.PerQueryUser != 0.25 || m.PerQuerySystem != 0.75 || m.rate() != 1e6 {
		t.Errorf("%g us a query, %g user, %g system, %g q/s", m.PerQuery, m.PerQueryUser, m.PerQuerySystem, m.rate())
	}
	if m.Busy != 1 || m.Generator != 0.75 || m.Other < 0.0999 || m.Other > 0.1001 || m.Steal != 0.05 {
		t.Errorf("busy %g, generator %g, other %g, steal %g", m.Busy, m.Generator, m.Other, m.Steal)
	}
	if m.quiet(0.05) || !m.quiet(0.11) {
		t.Error("an undisturbed measurement is one with less than this of others")
	}
}

func TestTheTableFitsThePage(t *testing.T) {
	rows := []row{
		{name: floorName, perQuery: 0.8},
		{name: paddedName, perQuery: 0.9},
		{
			name: "gdnsd-weighted-multi", perQuery: 123.456, user: 60.123, system: 63.234, rate: 12345678, share: 1,
			p50: 999999, p99: 1000000, memory: 12345.6, busy: 1, generator: 1, other: 1, steal: 0.5,
		},
		{name: "ours", perQuery: 0.96},
	}
	var out strings.Builder
	if err := writeTable(&out, "pool: Pool", rows); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > 121 {
			t.Errorf("%d columns: %s", len(line)-1, line)
		}
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	ours := strings.Fields(lines[len(lines)-1])
	if ours[4] != "1.20" || ours[5] != "1.07" {
		t.Errorf("the ratios are %s and %s, expected 1.20 and 1.07: %s", ours[4], ours[5], out.String())
	}
	heads := strings.Fields(lines[1])
	if len(heads)+1 != len(ours) {
		t.Errorf("%d heads over %d columns", len(heads), len(ours))
	}
	for line := range strings.Lines(legend) {
		if len(line) > 121 {
			t.Errorf("%d columns: %s", len(line)-1, line)
		}
	}
}

func TestRowsAreMediansOfRounds(t *testing.T) {
	var rounds []*measurement
	for _, cost := range []float64{3, 1, 2} {
		rounds = append(rounds, &measurement{
			PerQuery: cost, Memory: int64(cost) << 20,
			Load: load.Result{Sent: 10, Answered: 9, Elapsed: time.Second, P99: time.Duration(cost) * time.Microsecond},
		})
	}
	r := newRow("ours", rounds)
	if r.perQuery != 2 || r.memory != 2 || r.p99 != 2 || r.share != 0.9 || r.rate != 9 || r.rounds != 3 {
		t.Errorf("the row is %+v", r)
	}
}

func TestLongLinesAreWrapped(t *testing.T) {
	text := wrapped("  knot", strings.Repeat("invented networks, ", 20))
	if strings.Count(text, "networks,") != 20 {
		t.Errorf("words are lost: %s", text)
	}
	for line := range strings.Lines(text) {
		if len(line) > 121 {
			t.Errorf("%d columns: %s", len(line)-1, line)
		}
	}
	if got := wrapped("  floor     ", ""); got != "  floor\n" {
		t.Errorf("without words it is %q", got)
	}
}
