//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mirrorpool/bench/load"
)

// size is mirrorpool with so many of something.
type size struct {
	what   string // "pools", "members", "static names"
	count  int
	server *server
	// questions are spread over all that there is.
	questions []load.Question
	results   []*grown
}

// grown is a measurement with what a size costs beside queries.
type grown struct {
	*measurement
	Compile time.Duration `json:"compile"` // of the whole table, at the start
	Start   time.Duration `json:"start"`   // until the first right answer, with one probe of every member
}

// growthSizes are those that are measured. Those of one kind stand together,
// the smallest first.
var growthSizes = []struct {
	what   string
	counts []int
}{
	{"pools", []int{1, 10, 100, 1000}},
	{"members", []int{10, 100, 1000}},
	{"static names", []int{1, 100_000}},
}

// growthProbes is how often a member is probed: as often as is the default, for
// probes of a thousand members are no part of a query.
const growthProbes = 30 * time.Second

func growthCommand(ctx context.Context, arguments []string, out, errorOut io.Writer) (err error) {
	flags := newFlags("growth", errorOut)
	shared := sharedFlags{options: options{rounds: 5}}
	shared.define(flags)
	if err := shared.parse(flags, arguments); err != nil {
		return err
	}
	b, err := shared.begin(ctx)
	if err != nil {
		return err
	}
	defer func() { err = b.end(err) }()
	members, err := listenAsMembers(memberAddresses(1000))
	if err != nil {
		return err
	}
	defer members.close()
	sizes, err := makeSizes(ctx, &shared, members)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s; %d rounds of %s\n", b.heading(), shared.rounds, shared.duration)
	for round := range shared.rounds {
		for _, one := range sizes {
			g, err := one.measureQuietly(ctx, &shared.options)
			if err != nil {
				return fmt.Errorf("%d %s: %w", one.count, one.what, err)
			}
			g.Round = round
			one.results = append(one.results, g)
			fmt.Fprintf(errorOut, "round %d of %d: %d %s %.3f us\n", round+1, shared.rounds, one.count, one.what, g.PerQuery)
			if err := b.keep(g); err != nil {
				return err
			}
		}
	}
	return writeGrowth(out, sizes, shared.noise)
}

// makeSizes writes a repository for each size.
func makeSizes(ctx context.Context, shared *sharedFlags, members *memberListeners) ([]*size, error) {
	var sizes []*size
	for _, kind := range growthSizes {
		for _, count := range kind.counts {
			one := &size{what: kind.what, count: count}
			content, names, err := grownContent(kind.what, count, members)
			if err != nil {
				return nil, err
			}
			directory := filepath.Join(shared.directory, fmt.Sprintf("site-%s-%d", strings.ReplaceAll(kind.what, " ", "-"), count))
			if err := os.Mkdir(directory, 0o700); err != nil {
				return nil, fmt.Errorf("making a directory for %d %s: %w", count, kind.what, err)
			}
			s, err := newSite(ctx, shared.program, directory, content)
			if err != nil {
				return nil, err
			}
			s.logLevel = "debug" // which tells how long compiling took
			one.server = oursAsServer(oursName, s)
			if kind.what == "static names" {
				one.server.records = 1
			}
			if one.questions, err = askAll(names, one.server.records); err != nil {
				return nil, err
			}
			sizes = append(sizes, one)
		}
	}
	return sizes, nil
}

// grownContent is a repository with so many of something, and the names to ask
// for. All names are of one length.
func grownContent(what string, count int, members *memberListeners) (content repository, names []string, err error) {
	health := tcpHealth(members.port, growthProbes)
	var pools []poolText
	hosts, form := 0, "h%05d"
	switch what {
	case "pools":
		for i := range count {
			name := fmt.Sprintf("p%05d.%s", i, zoneName)
			pools = append(pools, newPool(name, members.addresses[:5], health))
			names = append(names, name)
		}
	case "members":
		pools = []poolText{newPool("p00000."+zoneName, members.addresses[:count], health)}
		names = []string{pools[0].Name}
	default:
		pools = []poolText{newPool("p00000."+zoneName, members.addresses[:5], health)}
		hosts = count
		for i := range count {
			names = append(names, fmt.Sprintf(form+".%s", i, zoneName))
		}
	}
	content, err = newContent(pools, hosts, form)
	return content, names, err
}

// askAll asks for all names in an order that has no sense.
func askAll(names []string, records int) ([]load.Question, error) {
	questions := make([]load.Question, len(names))
	for i, at := range rand.New(rand.NewPCG(1, 2)).Perm(len(names)) {
		q, err := load.NewQuestion(names[at], load.TypeA, load.Form{})
		if err != nil {
			return nil, err
		}
		q.Records = records
		questions[i] = q
	}
	return questions, nil
}

// measureQuietly measures again what was disturbed, and keeps the quietest.
func (s *size) measureQuietly(ctx context.Context, o *options) (*grown, error) {
	var best *grown
	for range o.tries {
		g, err := s.measure(ctx, o)
		if err != nil {
			return nil, err
		}
		if best == nil || g.disturbance() < best.disturbance() {
			best = g
		}
		if g.quiet(o.noise) {
			break
		}
	}
	return best, nil
}

func (s *size) measure(ctx context.Context, o *options) (g *grown, err error) {
	begin := time.Now()
	r, err := o.start(ctx, s.server, 0, s.questions, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.end()) }()
	started := time.Since(begin)
	m, err := o.load(ctx, r, load.Plan{
		Questions: s.questions, Sockets: sockets, Window: window, WarmUp: o.warmUp, Duration: o.duration, GiveUp: giveUp,
	})
	if err != nil {
		return nil, err
	}
	m.Scenario = fmt.Sprintf("growth: %d %s", s.count, s.what)
	compile, err := firstCompile(r.said.all())
	if err != nil {
		return nil, err
	}
	return &grown{measurement: m, Compile: compile, Start: started}, nil
}

// firstCompile finds in the program's log how long the first table took.
func firstCompile(log string) (time.Duration, error) {
	for line := range strings.Lines(log) {
		var entry struct {
			Message string  `json:"message"`
			Took    float64 `json:"took"` // milliseconds
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Message == "serving a new table" && entry.Took > 0 {
			return time.Duration(entry.Took * float64(time.Millisecond)), nil
		}
	}
	return 0, errors.New("the program's log does not tell how long compiling took")
}

// writeGrowth prints a line for each size; "/least" is over the smallest of its
// kind.
func writeGrowth(out io.Writer, sizes []*size, noise float64) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-22s %8s %6s %6s %6s %8s %7s %7s %10s %8s %4s %4s %5s %5s\n",
		"", "us/query", "user", "system", "/least", "q/s", "ans%", "MB", "compile ms", "start s", "busy", "gen", "other", "steal")
	var least float64
	disturbed := 0
	for i, one := range sizes {
		measurements := make([]*measurement, len(one.results))
		compile, start := make([]float64, len(one.results)), make([]float64, len(one.results))
		for k, g := range one.results {
			measurements[k], compile[k], start[k] = g.measurement, g.Compile.Seconds()*1e3, g.Start.Seconds()
			if !g.quiet(noise) {
				disturbed++
			}
		}
		r := newRow(fmt.Sprintf("%d %s", one.count, one.what), measurements)
		if i == 0 || sizes[i-1].what != one.what {
			least = r.perQuery
		}
		fmt.Fprintf(&b, "%-22s %8.3f %6.3f %6.3f %6s %8.0f %7.3f %7.1f %10.1f %8.2f %4.2f %4.2f %5.2f %5.2f\n",
			r.name, r.perQuery, r.user, r.system, ratio(r.perQuery, least), r.rate, 100*r.share, r.memory,
			median(compile), median(start), r.busy, r.generator, r.other, r.steal)
	}
	if disturbed > 0 {
		fmt.Fprintf(&b, "%d measurements were disturbed by others\n", disturbed)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
