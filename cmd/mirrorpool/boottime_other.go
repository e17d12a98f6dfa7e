//go:build !linux

package main

import "time"

// firstLook is any moment: only differences matter.
var firstLook = time.Now()

// sinceBoot is the time since this program was started.
func sinceBoot() time.Duration { return time.Since(firstLook) }
