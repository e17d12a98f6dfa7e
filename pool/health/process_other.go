//go:build !linux

package health

import "os/exec"

// watchProcess tells of the end of a process. It has been waited for by then.
func watchProcess(command *exec.Cmd) (ended <-chan struct{}, wait func() error) {
	end := make(chan struct{})
	var err error
	go func() {
		defer close(end)
		err = command.Wait()
	}()
	return end, func() error { return err }
}

// limitMemory does nothing: only Linux bounds another process.
func limitMemory(int, uint64) {}
