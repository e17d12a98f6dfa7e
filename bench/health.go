//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// healthTargets are probed every healthInterval, which is what a large project has.
	healthTargets  = 10_000
	healthInterval = 30 * time.Second
	// healthPools share them out.
	healthPools = 20
	// burst is by how much more than on average may be probed in any second.
	burst = 1.5
)

func healthCommand(ctx context.Context, arguments []string, out, errorOut io.Writer) (err error) {
	flags := newFlags("health", errorOut)
	shared := sharedFlags{seconds: 60}
	shared.define(flags)
	targets := flags.Int("targets", healthTargets, "`mirrors` that are probed every 30 s")
	if err := shared.parse(flags, arguments); err != nil {
		return err
	}
	if *targets < 100 || *targets > 2*healthTargets {
		return usageError{fmt.Errorf("expected 100 to %d targets", 2*healthTargets)}
	}
	b, err := shared.begin(ctx)
	if err != nil {
		return err
	}
	defer func() { err = b.end(err) }()
	fmt.Fprintf(out, "%s\n%d targets over http every %s, on one processor, for %s each.\n",
		b.heading(), *targets, healthInterval, shared.duration)
	fmt.Fprintf(out, "\n%-36s %9s %9s %12s %9s %8s %5s %5s\n", "", "probes/s", "most in 1", "CPU s/minute", "memory", "sockets", "other", "steal")
	missed := false
	for range shared.rounds {
		fmt.Fprintln(errorOut, "waiting for the first two rounds")
		if err := healthOnce(ctx, &shared, *targets, func(one *probed) error {
			missed = missed || one.missed()
			one.write(out)
			return b.keep(one)
		}); err != nil {
			return err
		}
	}
	if missed {
		fmt.Fprintln(out, "\nmissed: fewer probes than targets a round, or a burst of them")
		return errMissed
	}
	return nil
}

// probed is what probing has cost for some time.
type probed struct {
	What    string  `json:"what"`
	Targets int     `json:"targets"`
	Probes  float64 `json:"probes"` // a second
	Most    int     `json:"most"`   // in any second
	CPU     float64 `json:"cpu"`    // seconds a minute
	Memory  int64   `json:"memory"` // bytes
	Sockets int     `json:"sockets"`
	Other   float64 `json:"other"` // processors that others used
	Steal   float64 `json:"steal"`
}

func (p *probed) missed() bool {
	wanted := float64(p.Targets) / healthInterval.Seconds()
	return p.Probes < 0.97*wanted || float64(p.Most) > burst*wanted+10
}

func (p *probed) write(out io.Writer) {
	fmt.Fprintf(out, "%-36s %9.1f %9d %12.2f %6d MB %8d %5.2f %5.2f\n", p.What, p.Probes, p.Most, p.CPU, p.Memory>>20, p.Sockets, p.Other, p.Steal)
}

// phase is one thing that is measured of a node.
type phase struct {
	what  string
	fails func(probe int64) bool // nil: as before
	every func(second int) error // nil: nothing happens
}

// healthOnce runs one node through all that is measured, and gives each as it comes.
func healthOnce(ctx context.Context, shared *sharedFlags, targets int, give func(*probed) error) error {
	if err := raiseFiles(); err != nil {
		return err
	}
	mirrors, err := listenAsMirrors(memberAddresses(targets))
	if err != nil {
		return err
	}
	defer mirrors.close()
	directory, err := os.MkdirTemp(shared.directory, "site-")
	if err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	content, err := healthContent(mirrors.members, 0)
	if err != nil {
		return err
	}
	site, err := newSite(ctx, shared.program, directory, content)
	if err != nil {
		return err
	}
	site.poll = "1s"
	port, err := freePort()
	if err != nil {
		return err
	}
	command, err := site.command(startOptions{port: port, directory: filepath.Clean(directory)})
	if err != nil {
		return err
	}
	node, err := startProcess(oursName, command, shared.cpus.server)
	if err != nil {
		return err
	}
	defer node.stop()
	// The first round is as fast as the rate permits; then the rhythm has to be found.
	if !sleep(ctx, 2*healthInterval+time.Duration(targets)*2*time.Millisecond) {
		return ctx.Err()
	}
	for _, one := range []phase{
		{what: "all are well"},
		{what: "a push, then SIGHUP, every 10 s", every: func(second int) error {
			switch second % 10 {
			case 2:
				content, err := healthContent(mirrors.members, second)
				if err != nil {
					return err
				}
				return site.push(ctx, content)
			case 7:
				return node.cmd.Process.Signal(syscall.SIGHUP)
			}
			return nil
		}},
		{what: "one probe in a hundred fails", fails: func(probe int64) bool { return probe%100 == 0 }},
		{what: "all fail, and are frozen", fails: func(int64) bool { return true }},
	} {
		if one.fails != nil {
			mirrors.fail(one.fails)
		}
		p, err := mirrors.measure(ctx, node, shared.duration, one.every)
		if err != nil {
			return err
		}
		p.What, p.Targets = one.what, targets
		if err := give(p); err != nil {
			return err
		}
	}
	return awaitFrozen(ctx, node)
}

// awaitFrozen holds that the probes that were counted were looked at.
func awaitFrozen(ctx context.Context, node *process) error {
	for deadline := time.Now().Add(2 * healthInterval); !strings.Contains(node.said.all(), `"health is frozen`); {
		if ended := node.hasEnded(); ended != nil {
			return ended
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("all mirrors fail and nothing was frozen; the server said: %s", node.said.last())
		}
		if !sleep(ctx, time.Second) {
			return ctx.Err()
		}
	}
	return nil
}

// healthContent is the repository after so many pushes, which change weights.
func healthContent(members *memberListeners, push int) (repository, error) {
	check := healthText{Check: "http", Path: "/trace", Port: members.port, Interval: healthInterval.String(), Timeout: "5s", DownAfter: 3, UpAfter: 5}
	var pools []poolText
	for i := range healthPools {
		from, to := i*len(members.addresses)/healthPools, (i+1)*len(members.addresses)/healthPools
		one := newPool(fmt.Sprintf("p%02d.%s", i, zoneName), members.addresses[from:to], check)
		for j := range one.Members {
			one.Members[j].Weight += push % 7
		}
		pools = append(pools, one)
	}
	return newContent(pools, 0, hostForm)
}
