package main

import (
	"os"
	"runtime"
)

// shareCores lets work beside the answering have a thread of its own, so that
// the system divides a busy core between both. Go's scheduler alone would hand a
// core that all workers share to a compilation or a fetch for 10 ms at a time,
// and the next questions would wait as long. It is called once the node knows
// its number of workers. An operator's own GOMAXPROCS stays in force.
func shareCores() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
}
