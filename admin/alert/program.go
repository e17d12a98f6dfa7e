package alert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Program is started for each message, which it reads as a Document from its standard
// input. Exit code 0: the message is delivered. It is started without a shell, in the
// root directory, with PATH and LANG alone in its environment; when its time is over it
// is killed with all of its process group.
type Program struct {
	Path      string // absolute
	Arguments []string
}

// Validate reports what is wrong with the path.
func (p *Program) Validate() error {
	switch {
	case !filepath.IsAbs(p.Path):
		return fmt.Errorf("found %q, expected the absolute path of a program", p.Path)
	case strings.ContainsRune(p.Path+strings.Join(p.Arguments, ""), 0):
		return errors.New("found a zero byte in the program or its arguments")
	}
	return nil
}

// maxOutput is what is kept of a program's output for the words of an error, in bytes.
const maxOutput = 2048

// grace is how long a program's output is waited for after its end.
const grace = time.Second

// send implements sender.
func (p *Program) send(ctx context.Context, m *message) error {
	input, err := m.document()
	if err != nil {
		return hopeless{err}
	}
	command := exec.CommandContext(ctx, p.Path, p.Arguments...)
	command.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	command.Dir = "/"
	command.Stdin = bytes.NewReader(append(input, '\n'))
	output := &head{most: maxOutput}
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return killGroup(command.Process.Pid) }
	command.WaitDelay = grace
	if err := command.Start(); err != nil {
		return hopeless{fmt.Errorf("starting the program: %w", err)}
	}
	err = command.Wait()
	// What it has left behind in its group is not to gather.
	_ = killGroup(command.Process.Pid)
	switch {
	case ctx.Err() != nil && err != nil:
		return fmt.Errorf("running %s: it did not end in time, and was killed", p.Path)
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		if text := clean(output.String(), 300); text != "" {
			return fmt.Errorf("running %s: %w: %q", p.Path, err, text)
		}
		return fmt.Errorf("running %s: %w", p.Path, err)
	}
	return nil
}

// killGroup ends all processes of a group.
func killGroup(leader int) error {
	if err := syscall.Kill(-leader, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("killing the program: %w", err)
	}
	return nil
}

// head keeps the beginning of what is written to it.
type head struct {
	bytes.Buffer
	most int
}

// Write is io.Writer's.
func (h *head) Write(data []byte) (int, error) {
	h.Buffer.Write(data[:min(len(data), h.most-h.Buffer.Len())])
	return len(data), nil
}
