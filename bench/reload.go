//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mirrorpool/bench/load"
)

const (
	// lateAfter is when an answer counts as late.
	lateAfter = 10 * time.Millisecond
	// changeEvery is how often each kind of change comes.
	changeEvery = time.Second
	// reloadProbes is how often members are probed: a change of health is seen
	// within that time.
	reloadProbes = time.Second
	reloadHosts  = 1000 // static names, so that a table is more than a pool
)

func reloadCommand(ctx context.Context, arguments []string, out, errorOut io.Writer) (err error) {
	flags := newFlags("reload", errorOut)
	shared := sharedFlags{seconds: 20}
	shared.define(flags)
	if err := shared.parse(flags, arguments); err != nil {
		return err
	}
	b, err := shared.begin(ctx)
	if err != nil {
		return err
	}
	defer func() { err = b.end(err) }()
	fmt.Fprintf(out, "%s\nEvery second for %s: a push, a change of health, SIGHUP.\n",
		b.heading(), shared.duration)
	fmt.Fprintf(out, "\n%-32s %9s %6s %6s %9s %9s %9s %6s %6s %7s %5s %5s\n",
		"", "answered", "lost", "> 10ms", "p50 us", "p99 us", "max us", "pushes", "tables", "skipped", "other", "steal")
	missed := false
	for range shared.rounds {
		// What the machine alone does to the latency is measured first.
		for _, kind := range []reloaded{{Rate: shared.rate, Unchanged: true}, {Rate: shared.rate}, {}} {
			r, err := reloadQuietly(ctx, &shared, kind)
			if err != nil {
				return err
			}
			if err := r.write(out); err != nil {
				return fmt.Errorf("writing a result: %w", err)
			}
			if err := b.keep(r); err != nil {
				return err
			}
			missed = missed || r.missed()
		}
	}
	if missed {
		fmt.Fprintln(out, "\nmissed: an answer was lost, or later than 10 ms at the fixed rate")
		return errMissed
	}
	return nil
}

// reloaded is a measurement while changes come.
type reloaded struct {
	*measurement
	Rate      float64 `json:"rate"`      // 0: flat out
	Unchanged bool    `json:"unchanged"` // nothing changes: the figures to compare with
	Pushes    int     `json:"pushes"`    // that were served
	Tables    int     `json:"tables"`    // that were made
}

func (r *reloaded) missed() bool {
	return !r.Unchanged && (r.Load.Lost > 0 || r.Load.WrongAnswers() > 0 || r.Rate > 0 && r.Load.Late > 0)
}

func (r *reloaded) write(out io.Writer) error {
	name := "flat out"
	if r.Rate > 0 {
		name = fmt.Sprintf("at %.0f q/s", r.Rate)
	}
	if r.Unchanged {
		name += ", nothing changes"
	}
	microseconds := func(d time.Duration) float64 { return d.Seconds() * 1e6 }
	_, err := fmt.Fprintf(out, "%-32s %9d %6d %6d %9.0f %9.0f %9.0f %6d %6d %7d %5.2f %5.2f\n",
		name, r.Load.Answered, r.Load.Lost, r.Load.Late, microseconds(r.Load.P50), microseconds(r.Load.P99), microseconds(r.Load.Max),
		r.Pushes, r.Tables, r.Load.Skipped, r.Other, r.Steal)
	for what, count := range r.Load.Wrong {
		fmt.Fprintf(out, "%28s: %d wrong answers: %s\n", "", count, what)
	}
	return err
}

// reloadQuietly measures again what missed while others disturbed it.
func reloadQuietly(ctx context.Context, shared *sharedFlags, kind reloaded) (*reloaded, error) {
	var last *reloaded
	for range shared.tries {
		r, err := reloadOnce(ctx, shared, kind)
		if err != nil {
			return nil, err
		}
		if last = r; !r.missed() || r.quiet(shared.noise) {
			break
		}
	}
	return last, nil
}

// reloadOnce measures one server, while changes come unless it is told not to.
func reloadOnce(ctx context.Context, shared *sharedFlags, kind reloaded) (result *reloaded, err error) {
	members, err := listenAsMembers(memberAddresses(5))
	if err != nil {
		return nil, err
	}
	defer members.close()
	directory, err := os.MkdirTemp(shared.directory, "site-")
	if err != nil {
		return nil, fmt.Errorf("making a directory: %w", err)
	}
	content, err := reloadContent(members, 0)
	if err != nil {
		return nil, err
	}
	site, err := newSite(ctx, shared.program, directory, content)
	if err != nil {
		return nil, err
	}
	site.poll = "1s"
	site.logLevel = "debug" // which tells of every table
	server := oursAsServer(oursName, site)
	// While members go, an answer has fewer of them.
	server.records = 1
	questions, err := poolQuestions(4, 1, load.Form{})(server)
	if err != nil {
		return nil, err
	}
	static, err := staticQuestions(load.Form{})(server)
	if err != nil {
		return nil, err
	}
	questions = append(questions, static...)
	r, err := shared.start(ctx, server, 0, questions, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.end()) }()
	if !kind.Unchanged {
		changing := startChanging(ctx, r, site, members, shared.duration)
		defer func() { err = errors.Join(err, changing.stop()) }()
	}
	plan := load.Plan{
		Questions: questions, Sockets: sockets, Window: window, Rate: kind.Rate,
		WarmUp: shared.warmUp, Duration: shared.duration, GiveUp: giveUp, Late: lateAfter,
	}
	m, err := shared.load(ctx, r, plan)
	if err != nil {
		return nil, err
	}
	m.Scenario = "reload"
	log := r.said.all()
	result = &reloaded{
		measurement: m, Rate: kind.Rate, Unchanged: kind.Unchanged,
		Pushes: strings.Count(log, `"serving a commit"`) - 1, Tables: strings.Count(log, `"serving a new table"`),
	}
	if !kind.Unchanged && (result.Pushes < 1 || result.Tables <= result.Pushes) {
		return nil, fmt.Errorf("the server took over %d pushes and made %d tables: nothing was measured; it said: %s", result.Pushes, result.Tables, r.said.last())
	}
	return result, nil
}

// reloadContent is the repository after so many pushes: weights and a name
// change with each.
func reloadContent(members *memberListeners, pushes int) (repository, error) {
	first := newPool(poolName, members.addresses, tcpHealth(members.port, reloadProbes))
	for i := range first.Members {
		first.Members[i].Weight += (pushes + i) % 7
	}
	content, err := newContent([]poolText{
		first,
		newPool(ourAAAA, []string{"2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8::5"}, healthText{Check: "none"}),
	}, reloadHosts, hostForm)
	if err != nil {
		return nil, err
	}
	content["zones/"+zoneName+".zone"] += fmt.Sprintf("push%d IN TXT \"a name of push %d\"\n", pushes, pushes)
	return content, nil
}

// changing makes changes come until it is stopped.
type changing struct {
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // read after ended is closed
}

func startChanging(ctx context.Context, r *running, site *site, members *memberListeners, duration time.Duration) *changing {
	ctx, cancel := context.WithTimeout(ctx, 2*duration+time.Minute)
	c := &changing{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		// The thread is this goroutine's to the end, and goes with it: what it
		// starts stands behind the generator on their processor.
		runtime.LockOSThread()
		if c.err = unix.Setpriority(unix.PRIO_PROCESS, 0, 10); c.err != nil {
			return
		}
		if err := change(ctx, r, site, members); err != nil && ctx.Err() == nil {
			c.err = err
		}
	}()
	return c
}

func (c *changing) stop() error {
	c.cancel()
	<-c.ended
	return c.err
}

// change makes each kind of change come once a second, spread over it.
func change(ctx context.Context, r *running, site *site, members *memberListeners) error {
	for i := 1; ; i++ {
		begin := time.Now()
		content, err := reloadContent(members, i)
		if err != nil {
			return err
		}
		if err := site.push(ctx, content); err != nil {
			return err
		}
		if !sleep(ctx, changeEvery/3) {
			return nil
		}
		// One member goes and another comes back. One stays to be asked.
		address := members.addresses[i%(len(members.addresses)-1)]
		before := members.addresses[(i-1)%(len(members.addresses)-1)]
		members.shut(address)
		if i > 1 {
			if err := members.open(before); err != nil {
				return err
			}
		}
		if !sleep(ctx, changeEvery/3) {
			return nil
		}
		if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			return fmt.Errorf("sending SIGHUP to %s: %w", r.name, err)
		}
		if !sleep(ctx, changeEvery-min(time.Since(begin), changeEvery)) {
			return nil
		}
	}
}
