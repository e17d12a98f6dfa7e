package load

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// engine asks by one transport.
type engine interface {
	// run asks for that long, waits for what is not answered, and counts.
	run(time.Duration) error
	counted() *tally
	close()
}

// Run does what a plan says. Between the warm-up and the measurement it calls
// ready, which may take its time: nothing is asked and nothing is under way
// then. An error of ready ends it.
//
// It is for a process of its own: it keeps one processor busy and turns the
// garbage collector off.
func Run(plan Plan, ready func() error) (*Result, error) {
	if err := plan.Validate(); err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	// Sleeps are as short as they are asked for.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("setting the timer slack: %w", err)
	}
	engine, err := newEngine(&plan)
	if err != nil {
		return nil, err
	}
	defer engine.close()
	if plan.WarmUp > 0 {
		if err := engine.run(plan.WarmUp); err != nil {
			return nil, err
		}
	}
	if err := ready(); err != nil {
		return nil, err
	}
	*engine.counted() = tally{}
	var before, after unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &before); err != nil {
		return nil, fmt.Errorf("reading the processor time: %w", err)
	}
	start := time.Now()
	if err := engine.run(plan.Duration); err != nil {
		return nil, err
	}
	elapsed := time.Since(start)
	if err := unix.Getrusage(unix.RUSAGE_SELF, &after); err != nil {
		return nil, fmt.Errorf("reading the processor time: %w", err)
	}
	result := engine.counted().result()
	result.Elapsed = elapsed
	result.User = time.Duration(after.Utime.Nano() - before.Utime.Nano())
	result.System = time.Duration(after.Stime.Nano() - before.Stime.Nano())
	return result, nil
}

func newEngine(plan *Plan) (engine, error) {
	questions := make([]prepared, len(plan.Questions))
	for i, q := range plan.Questions {
		end, err := questionEnd(q.Packet)
		if err != nil {
			return nil, err
		}
		questions[i] = prepared{Question: q, end: end}
	}
	if plan.TCP {
		return newStreams(plan, questions)
	}
	// Questions of one size follow each other, for the batches of one send.
	slices.SortStableFunc(questions, func(a, b prepared) int { return len(a.Packet) - len(b.Packet) })
	return newDatagrams(plan, questions)
}

// pause is how long it sleeps when nothing comes: well below the time in which
// a server works off a window, so that the server finds the next questions
// waiting and pays for no wake-up of this process.
const pause = 20 * time.Microsecond

// nap sleeps apart from Go's scheduler, for which there is nothing else to run.
// Woken early by a signal its caller looks again, which does no harm.
func nap() {
	wait := unix.NsecToTimespec(int64(pause))
	unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&wait)), 0, 0)
}

// loopback gives a server's address as the system calls want it.
func loopback(plan *Plan) (family int, address unix.Sockaddr) {
	port := int(plan.Server.Port())
	if plan.Server.Addr().Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: plan.Server.Addr().As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: port, Addr: plan.Server.Addr().As16()}
}
