package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot is the time since the machine was started, with the time that it slept.
func sinceBoot() time.Duration {
	var at unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &at) // every kernel that Go runs on has it
	return time.Duration(at.Nano())
}
