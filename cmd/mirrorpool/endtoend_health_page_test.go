//go:build e2e

package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	healthPage = "../../docs/health.md"
	// What stands between these lines of the page is the test's.
	healthTableBegins = "<!-- measured: made by make health -->\n"
	healthTableEnds   = "<!-- measured: end -->\n"
)

// healthTable is what the page shows.
type healthTable struct {
	rows [][]string
	// Downloads while faults were in, of them those that no address gave, and those that
	// the machine was too slow for.
	all, lost, late int
}

var healthColumns = []string{
	"fault", "seen by", "found after", "downloads failed", "back after", "whole share after",
	"gdnsd: found after", "gdnsd: downloads failed", "gdnsd: back after",
}

func newHealthTable(faults []*faultPool, cuts []cutFigures) *healthTable {
	table := &healthTable{}
	for _, fault := range faults {
		var ours, theirs []systemFigures
		var whole []time.Duration
		for _, round := range fault.measured {
			ours, theirs, whole = append(ours, round.ours), append(theirs, round.theirs), append(whole, round.whole)
			table.all += round.ours.all
			table.lost += round.ours.lost
			table.late += round.ours.late
		}
		row := []string{fault.name, fault.seen}
		row = append(row, wordsOfFigures(ours, fault.steady, "not found")...)
		if ours := row[len(row)-1]; fault.steady || ours == "–" {
			row = append(row, "–")
		} else {
			row = append(row, spread(whole))
		}
		unseen := "not found"
		if fault.gdnsd == gdnsdBlind {
			unseen = "no such check"
		}
		table.rows = append(table.rows, append(row, wordsOfFigures(theirs, fault.steady, unseen)...))
	}
	table.rows = append(table.rows, rowOfCuts(cuts))
	return table
}

// rowOfCuts is what came of checks that did not reach most mirrors.
func rowOfCuts(cuts []cutFigures) []string {
	var all cutFigures
	for _, cut := range cuts {
		all.pools, all.ours, all.theirs = all.pools+cut.pools, all.ours+cut.ours, all.theirs+cut.theirs
		all.all, all.failed = all.all+cut.all, all.failed+cut.failed
	}
	stays := func(left int) string {
		if left == 0 {
			return "stays"
		}
		return fmt.Sprintf("leaves %d of %d pools", left, all.pools)
	}
	return []string{
		"who checks is cut off from three mirrors in four over IPv4, and clients are not", "the freeze",
		stays(all.ours), fmt.Sprintf("%d of %d", all.failed, all.all), "–", "–", stays(all.theirs), "–", "–",
	}
}

// wordsOfFigures are three cells: found after, downloads failed, back after.
func wordsOfFigures(rounds []systemFigures, steady bool, unseen string) []string {
	var detected, returned []time.Duration
	all, failed, left := 0, 0, 0
	for _, figures := range rounds {
		all, failed, left = all+figures.all, failed+figures.failed, left+figures.left
		if figures.left > 0 {
			detected = append(detected, figures.detected)
		}
		if figures.returned > 0 {
			returned = append(returned, figures.returned)
		}
	}
	downloads := fmt.Sprintf("%d of %d", failed, all)
	if all > 0 && failed > 0 {
		downloads += fmt.Sprintf(", %.1f %%", 100*float64(failed)/float64(all))
	}
	switch {
	case left == 0 && steady:
		return []string{"stays", downloads, "–"}
	case left == 0:
		return []string{unseen, downloads, "–"}
	}
	found := spread(detected)
	if len(detected) < len(rounds) {
		found += fmt.Sprintf(", in %d of %d rounds", len(detected), len(rounds))
	}
	if left > len(detected) {
		found += fmt.Sprintf(", %d times in a round", (left+len(rounds)-1)/len(rounds))
	}
	return []string{found, downloads, spread(returned)}
}

// spread is the median, and the longest where there are several.
func spread(times []time.Duration) string {
	if len(times) == 0 {
		return "–"
	}
	sorted := slices.Sorted(slices.Values(times))
	text := fmt.Sprintf("%.1f s", sorted[len(sorted)/2].Seconds())
	if len(sorted) > 1 {
		text += fmt.Sprintf(" (%.1f)", sorted[len(sorted)-1].Seconds())
	}
	return text
}

func (table *healthTable) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(healthColumns, " | "), strings.Repeat("---|", len(healthColumns)))
	for _, row := range table.rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	return b.String()
}

// write puts the table into the page, with what it was measured with.
func (table *healthTable) write(t *testing.T, versions string) {
	t.Helper()
	if 200*table.late > table.all {
		t.Errorf("this machine is too busy to measure on: of %d downloads %d took more than %s from mirrors that work", table.all, table.late, clientWaits)
		return
	}
	before, _, after := pageParts(t)
	others := fmt.Sprintf("All of the %d downloads that began while faults were in found the file at an address of their answer, if they tried the next ones.", table.all)
	if table.lost > 0 {
		others = fmt.Sprintf("Of %d downloads that began while faults were in, %d found the file at no address of their answer.", table.all, table.lost)
	}
	text := fmt.Sprintf("%s\n%s\n%s\n\n", table, versions, others)
	if err := os.WriteFile(healthPage, []byte(before+healthTableBegins+"\n"+text+healthTableEnds+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func pageParts(t *testing.T) (before, table, after string) {
	t.Helper()
	page, err := os.ReadFile(healthPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(page), healthTableBegins)
	table, after, ends := strings.Cut(rest, healthTableEnds)
	if !begins || !ends {
		t.Fatalf("%s has not the lines %q and %q", healthPage, healthTableBegins, healthTableEnds)
	}
	return before, table, after
}

// isThatOfPage holds that the page has the same faults, which are seen by the same checks.
func (table *healthTable) isThatOfPage(t *testing.T) {
	t.Helper()
	_, written, _ := pageParts(t)
	var there []string
	for line := range strings.Lines(written) {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| ") && len(cells) == len(healthColumns) {
			there = append(there, strings.TrimPrefix(cells[0], "| ")+": "+cells[1])
		}
	}
	var here []string
	for _, row := range append([][]string{healthColumns}, table.rows...) {
		here = append(here, row[0]+": "+row[1])
	}
	if !slices.Equal(there, here) {
		t.Errorf("%s has other faults than the test, run make health:\n%s\nthe test has\n%s", healthPage,
			strings.Join(there, "\n"), strings.Join(here, "\n"))
	}
}

// versions says what was measured with what, in one line.
func (lab *healthLab) versions(rounds int) string {
	lab.Helper()
	number := regexp.MustCompile(`[0-9]+\.[0-9]+(\.[0-9]+)?`)
	said := func(program string, arguments ...string) string {
		output, _ := exec.Command(program, arguments...).CombinedOutput() // some end with an error all the same
		return number.FindString(string(output))
	}
	times := "One round was measured."
	if rounds > 1 {
		times = fmt.Sprintf("Times are the median of %d rounds, and in parentheses the longest; downloads are those of all rounds.", rounds)
	}
	return fmt.Sprintf("%s nginx %s, unbound %s, gdnsd %s.", times,
		said("/usr/sbin/nginx", "-v"), said("/usr/sbin/unbound", "-V"), said("/usr/sbin/gdnsd", "-V"))
}
