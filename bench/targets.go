//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// rowsByScenario are the printed rows of a run.
type rowsByScenario map[string][]row

// find gives the row of a server, and whether there is one.
func (r rowsByScenario) find(scenario, server string) (row, bool) {
	i := slices.IndexFunc(r[scenario], func(one row) bool { return one.name == server })
	if i < 0 {
		return row{}, false
	}
	return r[scenario][i], true
}

// target is what a figure of ours should not exceed.
type target struct {
	scenario string
	server   string // whose figure it is
	figure   figure
	most     float64 // times the figure of each of these, or absolute where there are none
	than     []reference
}

// reference is a figure to compare with. One that was not measured is left out.
type reference struct{ scenario, server string }

type figure struct {
	name string
	of   func(row) float64
}

var (
	cost  = figure{"us/query", func(r row) float64 { return r.perQuery }}
	p50   = figure{"p50 us", func(r row) float64 { return r.p50 }}
	p99   = figure{"p99 us", func(r row) float64 { return r.p99 }}
	inUse = figure{"MB", func(r row) float64 { return r.memory }}
)

// targets are what the program is to reach, all on one processor.
func targets() []target {
	in := func(scenario string, servers ...string) (list []reference) {
		for _, server := range servers {
			list = append(list, reference{scenario, server})
		}
		return list
	}
	var list []target
	for _, pool := range []string{"pool-a", "pool-aaaa"} {
		list = append(list,
			target{pool, oursName, cost, 1.20, in(pool, floorName)},
			target{pool, oursName, cost, 1, in(pool, "gdnsd-weighted", "gdnsd-weighted-multi", "nsd", "knot", "yadifa")})
	}
	for _, server := range []string{oursName, cityName} {
		for _, subnet := range []string{"subnet", "subnet6"} {
			list = append(list,
				target{subnet, server, cost, 1.10, in("pool", server)},
				target{subnet, server, cost, 1, in(subnet, "gdnsd-geoip", "gdnsd-geoip-multi", "knot-geoip", "knot-geoip-subnet")})
		}
	}
	list = append(list, target{"do", oursName, cost, 1.35, in("do", paddedName)})
	list = append(list, target{"pool-do", signedName, cost, 1.35, in("pool-do", paddedName)})
	for _, plain := range []string{"pool-do", "static-do", "nxdomain-do"} {
		list = append(list, target{plain, signedName, cost, 1.05, in(plain, "nsd-signed", "knot-signed")})
	}
	for _, plain := range []string{"static", "nxdomain"} {
		list = append(list, target{plain, oursName, cost, 1.05, in(plain, "nsd", "knot", "gdnsd-static")})
	}
	return append(list,
		target{"latency", oursName, p50, 1, in("latency", "knot")},
		target{"latency", oursName, p99, 1, in("latency", "knot")},
		target{"tcp", oursName, cost, 1, in("tcp", "nsd")},
		target{"pool", oursName, inUse, 40, nil},
		target{"pool", cityName, inUse, 150, nil})
}

// judge says whether a target is reached, in a line; empty: not measured.
func (t *target) judge(rows rowsByScenario) string {
	ours, measured := rows.find(t.scenario, t.server)
	if !measured {
		return ""
	}
	value := t.figure.of(ours)
	line := fmt.Sprintf("%-10s %-9s %-8s %9.3f", t.scenario, t.server, t.figure.name, value)
	if t.than == nil {
		return verdictOf(value <= t.most) + fmt.Sprintf("%s, at most %g", line, t.most)
	}
	// The one that is hardest to reach decides.
	var hardest reference
	least := 0.0
	for _, one := range t.than {
		if r, measured := rows.find(one.scenario, one.server); measured && (least == 0 || t.figure.of(r) < least) {
			least, hardest = t.figure.of(r), one
		}
	}
	if least == 0 {
		return ""
	}
	name := hardest.server
	if hardest.scenario != t.scenario {
		name = hardest.scenario + " of " + hardest.server
	}
	return verdictOf(value <= t.most*least) + fmt.Sprintf("%s, %.2f of %s (%.3f), at most %.2f", line, value/least, name, least, t.most)
}

func verdictOf(reached bool) string {
	if reached {
		return "  reached  "
	}
	return "  MISSED   "
}

// writeTargets prints which of the targets that were measured are reached.
func writeTargets(out io.Writer, rows rowsByScenario) error {
	var b strings.Builder
	for _, one := range targets() {
		if line := one.judge(rows); line != "" {
			b.WriteString(line + "\n")
		}
	}
	if b.Len() == 0 {
		return nil
	}
	_, err := io.WriteString(out, "\nTo reach:\n"+b.String())
	return err
}
