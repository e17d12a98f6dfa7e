package main

import (
	"fmt"
	"runtime"
	"strings"

	"mirrorpool/pool"
)

// panicError is a mistake of this program that some content has brought to light.
// What is served does not depend on that content, and goes on.
type panicError struct {
	doing string
	value any
	place string // functions and lines: stack traces print arguments
}

func (e *panicError) Error() string {
	return fmt.Sprintf("%s: internal error: panic: %v at %s", e.doing, e.value, e.place)
}

// problem says it as what is wrong with a commit.
func (e *panicError) problem() pool.Problem {
	return pool.Problem{
		Position: pool.Position{File: "."}, Severity: pool.Error, What: "internal error while " + e.doing,
		Found:    fmt.Sprintf("panic: %v at %s", e.value, e.place),
		Expected: "none: this is a mistake of mirrorpool, which its authors want to know of; without what was changed last it may not show",
	}
}

// guarded calls f, and makes a panic in it an error.
func guarded(doing string, f func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &panicError{doing: doing, value: value, place: panicPlace()}
		}
	}()
	return f()
}

// panicPlace tells where a deferred function's panic began, and what led there.
func panicPlace() string {
	const most = 6
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)])
	var places []string
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, "runtime.") {
			places = append(places, fmt.Sprintf("%s:%d", frame.Function, frame.Line))
		}
		if !more || len(places) == most {
			return strings.Join(places, ", called by ")
		}
	}
}
