package health

import (
	"errors"
	"os/exec"

	"golang.org/x/sys/unix"
)

// watchProcess tells of the end of a process before it is waited for: until then its id, which
// is its group's, is not given to another one.
func watchProcess(command *exec.Cmd) (ended <-chan struct{}, wait func() error) {
	end := make(chan struct{})
	go func() {
		defer close(end)
		for errors.Is(unix.Waitid(unix.P_PID, command.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
		}
	}()
	return end, command.Wait
}

// limitMemory bounds the address space of a process.
func limitMemory(id int, most uint64) {
	// Where it fails the process has ended already.
	_ = unix.Prlimit(id, unix.RLIMIT_AS, &unix.Rlimit{Cur: most, Max: most}, nil)
}
