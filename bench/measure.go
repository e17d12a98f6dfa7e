//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"mirrorpool/bench/load"
)

// options are what is chosen for all measurements of a run.
type options struct {
	rounds   int
	duration time.Duration
	warmUp   time.Duration
	rate     float64
	tries    int
	noise    float64
	cpus     processors

	startWithin time.Duration // a server gives its first right answer

	directory string // temporary, of this run
}

// measurement is one run of one server with one kind of question.
type measurement struct {
	Server   string      `json:"server"`
	Scenario string      `json:"scenario"`
	Round    int         `json:"round"`
	Load     load.Result `json:"load"`

	// Processor time of the server for each right answer, in microseconds.
	PerQuery       float64 `json:"us_per_query"`
	PerQueryUser   float64 `json:"us_per_query_user"`
	PerQuerySystem float64 `json:"us_per_query_system"`

	// Processors that were busy: with the server, the generator, other
	// processes; and taken by the host of a virtual machine.
	Busy      float64 `json:"busy"`
	Generator float64 `json:"generator"`
	Other     float64 `json:"other"`
	Steal     float64 `json:"steal"`

	Memory int64 `json:"memory_bytes"` // after the load
}

// quiet tells that little else ran meanwhile.
func (m *measurement) quiet(noise float64) bool { return m.Other <= noise && m.Steal <= noise }

func (m *measurement) disturbance() float64 { return m.Other + m.Steal }

// share is the part of the questions that was answered rightly.
func (m *measurement) share() float64 {
	if m.Load.Sent == 0 {
		return 0
	}
	return float64(m.Load.Answered) / float64(m.Load.Sent)
}

// rate is right answers a second.
func (m *measurement) rate() float64 { return float64(m.Load.Answered) / m.Load.Elapsed.Seconds() }

// running is a server that answers.
type running struct {
	*process
	server  *server
	address netip.AddrPort
	home    string
}

// start starts a server in a directory of its own and waits until it gives
// right answers to these questions.
func (o *options) start(ctx context.Context, s *server, pad int, questions []load.Question, tcp bool) (*running, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp(o.directory, s.name+"-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for %s: %w", s.name, err)
	}
	cmd, err := s.command(startOptions{port: port, directory: filepath.Clean(home), pad: pad})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(home))
	}
	p, err := startProcess(s.name, cmd, o.cpus.server)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(home))
	}
	r := &running{process: p, server: s, home: home, address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))}
	if err := waitUntilRight(ctx, o.startWithin, p, s, questions, r.address.String(), tcp); err != nil {
		return nil, errors.Join(err, r.end())
	}
	return r, nil
}

// end stops a server and removes its directory.
func (r *running) end() error {
	r.stop()
	if err := os.RemoveAll(r.home); err != nil {
		return fmt.Errorf("removing the directory of %s: %w", r.server.name, err)
	}
	return nil
}

// measure starts a server, puts one kind of question to it, and stops it. It
// returns the bytes by which its answers are larger than their questions too.
func (o *options) measure(ctx context.Context, s *server, c *scenario, pad int) (m *measurement, larger int, err error) {
	plan, err := c.plan(s, o)
	if err != nil {
		return nil, 0, err
	}
	r, err := o.start(ctx, s, pad, plan.Questions, c.tcp)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, r.end()) }()
	if larger, err = verify(s, plan.Questions, r.address.String(), c.tcp); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", s.name, err)
	}
	m, err = o.load(ctx, r, plan)
	if err != nil {
		return nil, 0, err
	}
	m.Scenario = c.name
	return m, larger, nil
}

// load puts a plan to a running server.
func (o *options) load(ctx context.Context, r *running, plan load.Plan) (*measurement, error) {
	plan.Server = r.address
	plan.Seed = uint64(time.Now().UnixNano())
	var serverBefore, machineBefore processorTimes
	result, err := o.generator(ctx, plan, func() (err error) {
		if serverBefore, err = r.times(); err != nil {
			return err
		}
		machineBefore, err = machineTimes()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("measuring %s: %w", r.server.name, err)
	}
	machineAfter, err := machineTimes()
	if err != nil {
		return nil, err
	}
	serverAfter, err := r.times()
	if err != nil {
		return nil, err
	}
	if err := r.hasEnded(); err != nil {
		return nil, err
	}
	m := newMeasurement(result, serverAfter.since(serverBefore), machineAfter.since(machineBefore))
	m.Server = r.server.name
	m.Memory = memory(processTree(r.cmd.Process.Pid))
	if result.Answered == 0 {
		return nil, fmt.Errorf("measuring %s: no right answer to %d questions: %v", r.server.name, result.Sent, result.Wrong)
	}
	return m, nil
}

func newMeasurement(result *load.Result, server, machine processorTimes) *measurement {
	answered, elapsed := float64(max(result.Answered, 1)), result.Elapsed.Seconds()
	generator := result.User + result.System
	user, system := server.split()
	return &measurement{
		Load:           *result,
		PerQuery:       server.total().Seconds() * 1e6 / answered,
		PerQueryUser:   user.Seconds() * 1e6 / answered,
		PerQuerySystem: system.Seconds() * 1e6 / answered,
		Busy:           server.total().Seconds() / elapsed,
		Generator:      generator.Seconds() / elapsed,
		Other:          max(0, (machine.total()-server.total()-generator).Seconds()/elapsed),
		Steal:          machine.steal.Seconds() / elapsed,
	}
}

// generator runs the generator as a process on its own processor. Between the
// warm-up and the measurement it calls atStart.
func (o *options) generator(ctx context.Context, plan load.Plan, atStart func() error) (result *load.Result, err error) {
	// Interrupted, what fails then is no news.
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = ctx.Err()
		}
	}()
	if err := plan.Validate(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(plan)
	if err != nil {
		return nil, fmt.Errorf("writing the plan: %w", err)
	}
	cmd := exec.Command("/proc/self/exe", generatorCommand)
	// The loop never yields: it is not to be stopped to ask it to.
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the generator: %w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("starting the generator: %w", err)
	}
	defer read.Close()
	cmd.Stdout = write
	p, err := startProcess("the generator", cmd, o.cpus.generator)
	write.Close()
	if err != nil {
		return nil, err
	}
	defer p.stop()
	defer context.AfterFunc(ctx, p.stop)()
	out := bufio.NewReader(read)
	if _, err := fmt.Fprintf(in, "%s\n", text); err != nil {
		return nil, fmt.Errorf("writing the plan: %w", err)
	}
	line, err := out.ReadString('\n')
	if err != nil || line != "ready\n" {
		return nil, generatorError(p, line, err)
	}
	if err := atStart(); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(in, "measure\n"); err != nil {
		return nil, fmt.Errorf("starting the measurement: %w", err)
	}
	if line, err = out.ReadString('\n'); err != nil {
		return nil, generatorError(p, line, err)
	}
	result = &load.Result{}
	if err := json.Unmarshal([]byte(line), result); err != nil {
		return nil, fmt.Errorf("reading the generator's result %q: %w", line, err)
	}
	return result, p.wait(ctx)
}

func generatorError(p *process, line string, err error) error {
	return fmt.Errorf("the generator failed (%q, %v): %s", line, err, p.said.last())
}
