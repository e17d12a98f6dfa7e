//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"mirrorpool/bench/crowd"
)

// crowdCommand is how this program starts itself as the crowd.
const crowdCommand = "crowd"

// bringCrowd reads a plan, says "ready" once all have come, and prints the result
// once its input ends.
func bringCrowd(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	text, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("reading the plan: %w", err)
	}
	var plan crowd.Plan
	if err := json.Unmarshal(text, &plan); err != nil {
		return fmt.Errorf("reading the plan: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		defer cancel()
		_, _ = lines.ReadBytes('\n') // whatever it is, it is the end
	}()
	result, err := crowd.Run(ctx, plan, func() error {
		_, err := fmt.Fprintln(out, "ready")
		return err
	})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(result); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}

// gatheredCrowd is the process that the crowd is.
type gatheredCrowd struct {
	*process
	in  io.WriteCloser
	out *bufio.Reader
}

// gather starts the crowd, behind the generator on its processor, and waits until
// all have come.
func gather(ctx context.Context, shared *sharedFlags, plan crowd.Plan) (_ *gatheredCrowd, err error) {
	text, err := json.Marshal(plan)
	if err != nil {
		return nil, fmt.Errorf("writing the plan: %w", err)
	}
	cmd := exec.Command("/proc/self/exe", crowdCommand)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the crowd: %w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("starting the crowd: %w", err)
	}
	cmd.Stdout = write
	p, err := startProcess("the crowd", cmd, shared.cpus.generator)
	write.Close()
	if err != nil {
		read.Close()
		return nil, err
	}
	c := &gatheredCrowd{process: p, in: in, out: bufio.NewReader(read)}
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	if err := stepBehind(cmd.Process.Pid); err != nil {
		return nil, fmt.Errorf("letting the generator go before the crowd: %w", err)
	}
	if _, err := fmt.Fprintf(in, "%s\n", text); err != nil {
		return nil, fmt.Errorf("writing the plan: %w", err)
	}
	within, cancel := context.WithTimeout(ctx, crowdGathers)
	defer cancel()
	defer context.AfterFunc(within, p.stop)()
	if line, err := c.out.ReadString('\n'); err != nil || line != "ready\n" {
		return nil, fmt.Errorf("the crowd did not come (%q, %v): %s", line, err, p.said.last())
	}
	return c, nil
}

// stepBehind lets a process, which has a group of its own, stand behind this one on
// their processor.
func stepBehind(process int) error {
	const of, crowdNice = 20, 5
	ours, err := unix.Getpriority(unix.PRIO_PROCESS, 0) // of less niceness the more
	if err != nil {
		return err
	}
	return unix.Setpriority(unix.PRIO_PGRP, process, of-ours+crowdNice)
}

// end ends the crowd and gives what became of it.
func (c *gatheredCrowd) end(ctx context.Context) (*crowd.Result, error) {
	if err := c.in.Close(); err != nil {
		return nil, fmt.Errorf("ending the crowd: %w", err)
	}
	line, err := c.out.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the crowd failed (%w): %s", err, c.said.last())
	}
	result := &crowd.Result{}
	if err := json.Unmarshal([]byte(line), result); err != nil {
		return nil, fmt.Errorf("reading the crowd's result %q: %w", line, err)
	}
	return result, c.wait(ctx)
}
