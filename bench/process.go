//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a program that this one has started.
type process struct {
	name  string
	cmd   *exec.Cmd
	said  *tail
	ended chan struct{} // closed when it has ended
	err   error         // of its end; read after ended is closed
}

// startProcess starts a command on one processor. Its output is kept for
// errors, where the command does not say otherwise.
func startProcess(name string, cmd *exec.Cmd, cpu int) (*process, error) {
	p := &process{name: name, cmd: cmd, said: &tail{}, ended: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = p.said
	}
	cmd.Stderr = p.said
	// A group of its own keeps the terminal's Ctrl-C from it: it is ended here.
	// If this process is killed, so is it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	// What a child leaves behind with its output open must not hold the wait.
	cmd.WaitDelay = 500 * time.Millisecond
	if err := startOn(cmd, cpu); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// startOn starts a command from a thread that is kept to a processor, which
// the command inherits.
func startOn(cmd *exec.Cmd, cpu int) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	if err := keepTo(0, cpu); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.SchedSetaffinity(0, &before)) }()
	return cmd.Start()
}

// stop ends a process, gently if it can be, and all that come of it.
func (p *process) stop() {
	var left []identity
	for _, one := range processTree(p.cmd.Process.Pid) {
		left = append(left, identify(one))
	}
	// That it has ended meanwhile is what is wanted.
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
	}
	for _, one := range left {
		if one.runs() {
			_ = syscall.Kill(one.id, syscall.SIGKILL)
		}
	}
	<-p.ended
	// The kernel takes a moment to end what was killed.
	for _, one := range left {
		for deadline := time.Now().Add(time.Second); one.runs() && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
	}
}

// runs reports whether it is the same process still. One that has ended and
// waits to be asked about runs no more.
func (i identity) runs() bool {
	now := identify(i.id)
	return now.started != "" && now.started == i.started && !now.ended
}

// identity tells a process from another that has its number later.
type identity struct {
	id      int
	started string // in clock ticks since the machine's start; empty: there is none
	ended   bool   // nobody has asked for its exit status yet
}

func identify(id int) identity {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id))
	if err != nil {
		return identity{id: id}
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 {
		return identity{id: id}
	}
	return identity{id: id, started: fields[19], ended: fields[0] == "Z"}
}

// times is the processor time of a process and of all that come of it.
func (p *process) times() (processorTimes, error) {
	return processTimes(processTree(p.cmd.Process.Pid))
}

// hasEnded tells whether a process has ended, and why as far as it said.
func (p *process) hasEnded() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s has ended (%v): %s", p.name, p.err, p.said.last())
	default:
		return nil
	}
}

// wait waits for the end of a process.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w: %s", p.name, p.err, p.said.last())
	}
	return nil
}

// tail keeps the end of what a process says.
type tail struct {
	mutex sync.Mutex
	text  []byte
}

const (
	tailRoom  = 1 << 20
	tailLines = 5
)

// Write keeps the last of what is written.
func (t *tail) Write(text []byte) (int, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.text = append(t.text, text...)
	if len(t.text) > 2*tailRoom {
		t.text = append(t.text[:0], t.text[len(t.text)-tailRoom:]...)
	}
	return len(text), nil
}

// all is a copy of what is kept.
func (t *tail) all() string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return string(t.text)
}

// last are the last lines, in one.
func (t *tail) last() string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	lines := strings.Split(string(bytes.TrimSpace(t.text)), "\n")
	if len(lines) == 1 && lines[0] == "" {
		return "it said nothing"
	}
	return strings.Join(lines[max(0, len(lines)-tailLines):], " | ")
}
