package main

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// backgroundNice is the niceness of threads that work beside the answering.
const backgroundNice = 10

// stepBack makes the goroutine that calls it work on a thread of its own, behind
// those that answer: where a core is busy, the system gives them most of it. The
// thread ends with the goroutine.
func stepBack() {
	runtime.LockOSThread()
	// Where it is not allowed, the work goes on as it is.
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, backgroundNice)
}
