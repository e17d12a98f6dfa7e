package main

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Only the thread of who steps back does.
func TestStepBack(t *testing.T) {
	niceness := func() int {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		given, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
		if err != nil {
			t.Error(err)
		}
		return 20 - given // the system call gives it so
	}
	before := niceness()
	inside := make(chan int)
	go func() {
		stepBack()
		inside <- niceness()
	}()
	if got, want := <-inside, max(before, backgroundNice); got != want {
		t.Errorf("the thread has niceness %d, want %d", got, want)
	}
	if got := niceness(); got != before {
		t.Errorf("others have niceness %d, want %d", got, before)
	}
}
