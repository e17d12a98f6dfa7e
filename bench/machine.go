//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// clockTick is the unit of processor times in /proc: USER_HZ, which is 100 on
// every architecture that Go runs on.
const clockTick = 10 * time.Millisecond

// processorTimes is what a machine or some processes have used so far.
type processorTimes struct {
	user, system, steal time.Duration // in clock ticks

	// exact is the sum of user and system as the scheduler counts it, in
	// nanoseconds; 0: not known.
	exact time.Duration
}

// since is what was used after an earlier reading.
func (t processorTimes) since(before processorTimes) processorTimes {
	return processorTimes{t.user - before.user, t.system - before.system, t.steal - before.steal, t.exact - before.exact}
}

// split shares out the exact sum by the ticks in which user and system ran.
func (t processorTimes) split() (user, system time.Duration) {
	total, ticks := t.total(), t.user+t.system
	if ticks <= 0 {
		return 0, total
	}
	user = time.Duration(float64(total) * float64(max(t.user, 0)) / float64(ticks))
	return user, total - user
}

// total is the exact sum. That of the threads lacks those that have ended:
// where it is much below the ticks, the ticks count.
func (t processorTimes) total() time.Duration {
	ticks := t.user + t.system
	if t.exact <= 0 || t.exact < ticks-ticks/20-5*clockTick {
		return ticks
	}
	return t.exact
}

// machineTimes reads what all processors have done: system has interrupts.
func machineTimes() (processorTimes, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return processorTimes{}, fmt.Errorf("reading the machine's processor time: %w", err)
	}
	return parseMachineTimes(string(text))
}

func parseMachineTimes(text string) (processorTimes, error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return processorTimes{}, fmt.Errorf("reading the machine's processor time: found %q in /proc/stat", line)
	}
	var ticks [8]time.Duration // user nice system idle iowait irq softirq steal
	for i := range ticks {
		n, err := strconv.ParseInt(fields[i+1], 10, 64)
		if err != nil {
			return processorTimes{}, fmt.Errorf("reading the machine's processor time: %w", err)
		}
		ticks[i] = time.Duration(n) * clockTick
	}
	return processorTimes{user: ticks[0] + ticks[1], system: ticks[2] + ticks[5] + ticks[6], steal: ticks[7]}, nil
}

// processTimes reads what processes have used.
func processTimes(processes []int) (processorTimes, error) {
	var sum processorTimes
	for _, process := range processes {
		directory := filepath.Join("/proc", strconv.Itoa(process))
		text, err := os.ReadFile(filepath.Join(directory, "stat"))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has ended
		}
		if err != nil {
			return processorTimes{}, fmt.Errorf("reading a server's processor time: %w", err)
		}
		used, err := parseProcessTimes(string(text))
		if err != nil {
			return processorTimes{}, err
		}
		sum.user += used.user
		sum.system += used.system
		sum.exact += threadTimes(directory)
	}
	return sum, nil
}

// parseProcessTimes reads /proc/PID/stat, in which the name of the program may
// hold blanks and brackets.
func parseProcessTimes(text string) (processorTimes, error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return processorTimes{}, fmt.Errorf("reading a server's processor time: found %q", text)
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return processorTimes{}, fmt.Errorf("reading a server's processor time: %w", err)
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	if err != nil {
		return processorTimes{}, fmt.Errorf("reading a server's processor time: %w", err)
	}
	return processorTimes{user: time.Duration(user) * clockTick, system: time.Duration(system) * clockTick}, nil
}

// threadTimes sums the scheduler's figures of a process's threads; 0 where
// there are none.
func threadTimes(directory string) (sum time.Duration) {
	files, err := filepath.Glob(filepath.Join(directory, "task", "*", "schedstat"))
	if err != nil {
		return 0
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		if fields := strings.Fields(string(text)); len(fields) > 0 {
			if n, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
				sum += time.Duration(n)
			}
		}
	}
	return sum
}

// processTree is a process and all that come of it.
func processTree(root int) []int {
	children := map[int][]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return []int{root}
	}
	for _, entry := range entries {
		process, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 2 {
			continue
		}
		if parent, err := strconv.Atoi(fields[1]); err == nil {
			children[parent] = append(children[parent], process)
		}
	}
	tree := []int{root}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree
}

// memory is the proportional set size of processes, in bytes: what is shared is
// counted once.
func memory(processes []int) (bytes int64) {
	for _, process := range processes {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", process))
		if err != nil {
			continue // it has ended
		}
		bytes += parseMemory(string(text))
	}
	return bytes
}

func parseMemory(text string) int64 {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) >= 2 && fields[0] == "Pss:" {
			kilobytes, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				return 0
			}
			return kilobytes << 10
		}
	}
	return 0
}

// processors are the two that a measurement has.
type processors struct{ server, generator int }

// chooseProcessors takes two of those that this process may run on.
func chooseProcessors() (processors, error) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return processors{}, fmt.Errorf("asking for this process's processors: %w", err)
	}
	var found []int
	for cpu := range 1024 {
		if allowed.IsSet(cpu) {
			found = append(found, cpu)
		}
	}
	if len(found) < 2 {
		return processors{}, fmt.Errorf("measuring needs two processors, one for the server and one for the generator; this process may run on %d", len(found))
	}
	return processors{server: found[0], generator: found[1]}, nil
}

// keepTo keeps a thread to one processor; 0 is the calling one.
func keepTo(thread, cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(thread, &set); err != nil {
		return fmt.Errorf("keeping a thread to processor %d: %w", cpu, err)
	}
	return nil
}

// keepAllTo keeps this process to one processor, so that the other is the
// server's alone. Threads that start later inherit it.
func keepAllTo(cpu int) error {
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("listing this process's threads: %w", err)
	}
	for _, entry := range entries {
		thread, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if err := keepTo(thread, cpu); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// machineDescription says what this was measured on.
func machineDescription() string {
	model := "unknown processor"
	text, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	kernel := "Linux"
	var names unix.Utsname
	if err := unix.Uname(&names); err == nil {
		kernel += " " + unix.ByteSliceToString(names.Release[:])
	}
	return fmt.Sprintf("%s, %d processors, %s, %s", model, runtime.NumCPU(), kernel, runtime.Version())
}
