//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// comparison is a run of servers side by side.
type comparison struct {
	options
	*begun
	servers   []*server
	scenarios []scenario
	out       io.Writer
	progress  io.Writer
	broken    map[string]bool
	rows      rowsByScenario
}

func compareCommand(ctx context.Context, arguments []string, out, errorOut io.Writer) (err error) {
	flags := newFlags("compare", errorOut)
	shared := sharedFlags{options: options{rounds: 5}}
	shared.define(flags)
	names := flags.String("servers", "", "`names` of servers, with commas between them; none: all that are installed")
	kinds := flags.String("questions", "", "`kinds` of questions, with commas between them; none: all")
	peers := flags.String("peers", "bench/peers", "`directory` with the peers' scripts")
	echo := flags.String("echo", "bin/bench-echo", "the built `echo`")
	list := flags.Bool("list", false, "list servers and kinds of questions, and end")
	if err := shared.parse(flags, arguments); err != nil {
		return err
	}
	chosen, err := chooseScenarios(*kinds)
	if err != nil {
		return err
	}
	b, err := shared.begin(ctx)
	if err != nil {
		return err
	}
	defer func() { err = b.end(err) }()
	c := &comparison{options: shared.options, begun: b, scenarios: chosen, out: out, progress: errorOut, broken: map[string]bool{}, rows: rowsByScenario{}}
	members, err := listenAsMembers([]string{"127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.14", "127.0.0.15"})
	if err != nil {
		return err
	}
	defer members.close()
	all, err := c.allServers(ctx, shared.program, *echo, *peers, members)
	if err != nil {
		return err
	}
	if *list {
		return listAll(out, all)
	}
	if c.servers, err = chooseServers(all, *names); err != nil {
		return err
	}
	if err := c.makeCity(ctx); err != nil {
		return err
	}
	if err := c.writeHeader(all); err != nil {
		return err
	}
	return c.run(ctx)
}

// allServers are the floors, ours, and the peers.
func (c *comparison) allServers(ctx context.Context, program, echo, peers string, members *memberListeners) ([]*server, error) {
	content, err := ordinaryContent(members)
	if err != nil {
		return nil, err
	}
	all := floors(echo)
	for _, name := range []string{oursName, cityName, signedName} {
		directory := filepath.Join(c.directory, "site-"+name)
		if err := os.Mkdir(directory, 0o700); err != nil {
			return nil, fmt.Errorf("making a directory for %s: %w", name, err)
		}
		s, err := newSite(ctx, program, directory, content)
		if err != nil {
			return nil, err
		}
		ours := oursAsServer(name, s)
		ours.version = c.version
		if name == cityName {
			ours.site = s
			ours.notes = []string{"with a city database of 100 MB"}
		}
		if name == signedName {
			ours.can = []string{signed}
			ours.notes = []string{"the zone is signed, with ECDSA P-256"}
			keys := filepath.Join(directory, "keys")
			if err := os.Mkdir(keys, 0o700); err != nil {
				return nil, fmt.Errorf("making a directory for keys: %w", err)
			}
			if err := s.sign(ctx, keys); err != nil {
				return nil, err
			}
		}
		all = append(all, ours)
	}
	found, err := findPeers(ctx, peers)
	if err != nil {
		return nil, err
	}
	return append(all, found...), nil
}

// chooseServers takes those that are named, or all that can be run.
func chooseServers(all []*server, names string) ([]*server, error) {
	var chosen []*server
	for _, s := range all {
		if names == "" && s.missing == "" {
			chosen = append(chosen, s)
		}
	}
	if names == "" {
		return chosen, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(s *server) bool { return s.name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, usageError{fmt.Errorf("there is no server %q; bench compare -list names them", name)}
		}
		if all[i].missing != "" {
			return nil, fmt.Errorf("%s: %s", all[i].name, all[i].missing)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// chooseScenarios takes those that are named, or all.
func chooseScenarios(names string) ([]scenario, error) {
	all := scenarios()
	if names == "" {
		return all, nil
	}
	var chosen []scenario
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(c scenario) bool { return c.name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, usageError{fmt.Errorf("there is no kind of question %q; bench compare -list names them", name)}
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func listAll(out io.Writer, servers []*server) error {
	var b strings.Builder
	for _, s := range servers {
		state := s.version
		if s.missing != "" {
			state = s.missing
		}
		fmt.Fprintf(&b, "%-20s %-9s %s\n", s.name, s.kind, state)
	}
	b.WriteByte('\n')
	for _, c := range scenarios() {
		fmt.Fprintf(&b, "%-20s %s\n", c.name, c.title)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// writeHeader says what is measured, on what, and what is not there.
func (c *comparison) writeHeader(all []*server) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s; %d rounds of %s, the server on processor %d, the generator on %d\n",
		c.heading(), c.rounds, c.duration, c.cpus.server, c.cpus.generator)
	for _, s := range c.servers {
		records := fmt.Sprintf("%d records", s.records)
		if s.echo {
			records = ""
		}
		words := strings.Join(append([]string{s.version}, s.notes...), "; ")
		b.WriteString(wrapped(fmt.Sprintf("  %-20s %-9s %-10s", s.name, s.kind, records), strings.Trim(words, "; ")))
	}
	for _, s := range all {
		if s.missing != "" {
			b.WriteString(wrapped(fmt.Sprintf("  %-20s left out:", s.name), s.missing))
		}
	}
	b.WriteString(legend)
	_, err := io.WriteString(c.out, b.String())
	return err
}

// run measures every kind of question, and prints a table after each.
func (c *comparison) run(ctx context.Context) error {
	for i := range c.scenarios {
		if err := c.runScenario(ctx, &c.scenarios[i]); err != nil {
			return err
		}
	}
	return writeTargets(c.out, c.rows)
}

func (c *comparison) runScenario(ctx context.Context, one *scenario) error {
	servers := slices.Clone(c.servers)
	var leftOut []string
	servers = slices.DeleteFunc(servers, func(s *server) bool {
		out := !s.is(one.needs) || (s.name == cityName && !one.extra) || (s.echo && one.tcp)
		if out && s.name != cityName {
			leftOut = append(leftOut, s.name)
		}
		return out
	})
	results := map[string][]*measurement{}
	pad, err := c.padding(ctx, servers, one)
	if err != nil {
		return err
	}
	for round := range c.rounds {
		for _, s := range servers {
			if c.broken[s.name+" "+one.name] {
				continue
			}
			m, err := c.measureQuietly(ctx, s, one, pad)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				fmt.Fprintf(c.progress, "%s, %s: %v\n", one.name, s.name, err)
				c.broken[s.name+" "+one.name] = true
				continue
			}
			m.Round = round
			fmt.Fprintf(c.progress, "%s, round %d of %d: %s %.3f us\n", one.name, round+1, c.rounds, s.name, m.PerQuery)
			results[s.name] = append(results[s.name], m)
			if err := c.keep(m); err != nil {
				return err
			}
		}
	}
	title := fmt.Sprintf("%s: %s", one.name, one.title)
	if one.rate {
		title += fmt.Sprintf(" of %.0f q/s", c.rate)
	}
	var rows []row
	for _, s := range servers {
		if len(results[s.name]) > 0 {
			rows = append(rows, newRow(s.name, results[s.name]))
		}
	}
	c.rows[one.name] = rows
	if err := writeTable(c.out, title, rows); err != nil {
		return err
	}
	return c.writeRemarks(one, leftOut, results)
}

// writeRemarks names what is missing in a table, and what was disturbed.
func (c *comparison) writeRemarks(one *scenario, leftOut []string, results map[string][]*measurement) error {
	var b strings.Builder
	if len(leftOut) > 0 {
		fmt.Fprintf(&b, "cannot do it: %s\n", strings.Join(leftOut, ", "))
	}
	for _, s := range c.servers {
		if c.broken[s.name+" "+one.name] {
			fmt.Fprintf(&b, "%s failed; see above\n", s.name)
		}
		disturbed, wrong := 0, map[string]uint64{}
		for _, m := range results[s.name] {
			if !m.quiet(c.noise) {
				disturbed++
			}
			for what, count := range m.Load.Wrong {
				wrong[what] += count
			}
		}
		if disturbed > 0 {
			fmt.Fprintf(&b, "%s: %d of %d rounds were disturbed by others, each the quietest of %d\n", s.name, disturbed, len(results[s.name]), c.tries)
		}
		if len(wrong) > 0 {
			fmt.Fprintf(&b, "%s: wrong answers: %v\n", s.name, wrong)
		}
	}
	_, err := io.WriteString(c.out, b.String())
	return err
}

// padding is how much larger ours are than the questions: for the padded floor.
func (c *comparison) padding(ctx context.Context, servers []*server, one *scenario) (pad int, err error) {
	like := slices.IndexFunc(servers, func(s *server) bool { return s.name == oursName || s.name == cityName || s.name == signedName })
	if like < 0 {
		like = slices.IndexFunc(servers, func(s *server) bool { return !s.echo })
	}
	if like < 0 {
		return 0, nil
	}
	plan, err := one.plan(servers[like], &c.options)
	if err != nil {
		return 0, err
	}
	r, err := c.start(ctx, servers[like], 0, plan.Questions, one.tcp)
	if err != nil {
		if ctx.Err() == nil {
			fmt.Fprintf(c.progress, "%s, %s: %v\n", one.name, servers[like].name, err)
			return 0, nil
		}
		return 0, err
	}
	defer func() { err = errors.Join(err, r.end()) }()
	pad, err = verify(servers[like], plan.Questions, r.address.String(), one.tcp)
	if err != nil {
		fmt.Fprintf(c.progress, "%s, %s: %v\n", one.name, servers[like].name, err)
		return 0, nil
	}
	return max(pad, 0), nil
}

// measureQuietly measures again what was disturbed, and keeps the quietest.
func (c *comparison) measureQuietly(ctx context.Context, s *server, one *scenario, pad int) (*measurement, error) {
	var best *measurement
	for range c.tries {
		m, _, err := c.measure(ctx, s, one, pad)
		if err != nil {
			return nil, err
		}
		if best == nil || m.disturbance() < best.disturbance() {
			best = m
		}
		if m.quiet(c.noise) {
			break
		}
	}
	return best, nil
}
