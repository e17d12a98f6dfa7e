package zones

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// inParallel calls f with the numbers below n, on all processors, and gives the
// first error. It returns when all calls have.
func inParallel(n int, f func(i int) error) error {
	workers := min(runtime.GOMAXPROCS(0), n)
	if workers <= 1 {
		for i := range n {
			if err := f(i); err != nil {
				return err
			}
		}
		return nil
	}
	var group errgroup.Group
	var next atomic.Int64
	var panicked atomic.Pointer[string]
	for range workers {
		group.Go(func() error {
			defer func() {
				if value := recover(); value != nil {
					next.Store(int64(n))
					text := fmt.Sprintf("%v at %s", value, panicPlace())
					panicked.Store(&text)
				}
			}()
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := f(i); err != nil {
					next.Store(int64(n))
					return err
				}
			}
		})
	}
	err := group.Wait()
	if text := panicked.Load(); text != nil {
		panic(*text)
	}
	return err
}

// panicPlace tells where a deferred function's panic began.
func panicPlace() string {
	callers := make([]uintptr, 16)
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)])
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, "runtime.") || !more {
			return fmt.Sprintf("%s:%d", frame.Function, frame.Line)
		}
	}
}
