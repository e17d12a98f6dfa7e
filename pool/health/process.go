package health

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// MaxProcesses is how many processes of probes run at the same time.
const MaxProcesses = 16

// Limits of one process that a probe starts.
const (
	maxKept        = 64 << 10    // bytes of what it prints that are looked at
	maxPrinted     = 1 << 20     // bytes that it may print before it is ended
	leftoversDelay = time.Second // until what a process has left behind no longer holds its output open
)

// process is one run of a program of this machine: without a shell, without a terminal,
// with nothing to read, with no other environment than the one given, and in "/".
type process struct {
	path        string // absolute
	arguments   []string
	environment []string
	together    bool   // errors stand between the rest of the output, and its end is kept
	memory      uint64 // bytes of address space; 0: no limit
}

// printed is what a process has said.
type printed struct {
	output, errors []byte // at most maxKept of each
	over           bool   // it printed more than it may, and was ended for that
	status         int    // that it exited with; -1: a signal ended it
}

// notStarted is the error of a program that this machine cannot start, which says
// nothing of the target.
type notStarted struct{ error }

func (e notStarted) Unwrap() error { return e.error }

// run starts the process and waits for its end, or ends it with its context. All that
// it started in its turn and has not put into another session ends with it. The error
// is a notStarted, or the context's.
func (p *process) run(ctx context.Context) (printed, error) {
	if err := ctx.Err(); err != nil {
		return printed{}, err
	}
	over := make(chan struct{}, 1)
	output := &kept{most: maxKept, over: over}
	mistakes := &kept{most: maxPrinted, over: over}
	command := exec.Command(p.path, p.arguments...)
	command.Stdout, command.Stderr = output, mistakes
	if p.together {
		output.last, output.most = true, maxPrinted
		command.Stderr = output // the same writer: what is written stays in its order
	}
	command.Env = append([]string{}, p.environment...) // never nil, which would be this program's own
	command.Dir = "/"
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a group to end, and no terminal to ask on
	command.WaitDelay = leftoversDelay
	if err := command.Start(); err != nil {
		return printed{}, notStarted{fmt.Errorf("starting %s: %w", p.path, err)}
	}
	if p.memory > 0 {
		limitMemory(command.Process.Pid, p.memory)
	}
	ended, wait := watchProcess(command)
	var err error
	select {
	case <-ended:
	case <-over:
	case <-ctx.Done():
		err = ctx.Err()
	}
	endGroup(command.Process.Pid)
	<-ended
	waited := wait()
	got := printed{output: output.text, errors: mistakes.text, over: output.full || mistakes.full, status: command.ProcessState.ExitCode()}
	if err == nil && !got.over && waited != nil {
		if _, exited := errors.AsType[*exec.ExitError](waited); !exited && !errors.Is(waited, exec.ErrWaitDelay) {
			err = fmt.Errorf("waiting for %s: %w", p.path, waited)
		}
	}
	return got, err
}

// endGroup ends a process and all of its group.
func endGroup(id int) {
	// It fails where nothing is left to end.
	_ = syscall.Kill(-id, syscall.SIGKILL)
}

// errOver stops the copying of an output that is too long.
var errOver = errors.New("too much output")

// kept takes what a process prints, and keeps maxKept bytes of it: the first, or the
// last.
type kept struct {
	last  bool
	most  int // bytes that may come
	over  chan<- struct{}
	text  []byte
	total int
	full  bool // more came than may
}

func (k *kept) Write(data []byte) (int, error) {
	k.total += len(data)
	switch {
	case k.last:
		k.text = append(k.text, data...)
		k.text = k.text[max(0, len(k.text)-maxKept):]
	default:
		k.text = append(k.text, data[:min(len(data), maxKept-len(k.text))]...)
	}
	if k.total > k.most {
		k.full = true
		signal(k.over)
		return 0, errOver
	}
	return len(data), nil
}
