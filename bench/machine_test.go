//go:build linux

package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestProcessorTimesAreRead(t *testing.T) {
	machine, err := parseMachineTimes("cpu  660528 14605 200725 1337145 13980 3 6396 3905 0 0\ncpu0 1 2 3\n")
	if err != nil {
		t.Fatal(err)
	}
	want := processorTimes{user: 675133 * clockTick, system: 207124 * clockTick, steal: 3905 * clockTick}
	if machine != want {
		t.Errorf("the machine's times are %+v, expected %+v", machine, want)
	}
	process, err := parseProcessTimes("77 (a) b (c) S 1 77 77 0 -1 4194560 5 0 0 0 123 45 0 0 20 0 1 0 99 0 0")
	if err != nil {
		t.Fatal(err)
	}
	if want := (processorTimes{user: 1230 * time.Millisecond, system: 450 * time.Millisecond}); process != want {
		t.Errorf("the process's times are %+v, expected %+v", process, want)
	}
	for _, text := range []string{"", "intr 1 2 3", "cpu 1 2 3", "cpu a b c d e f g h"} {
		if _, err := parseMachineTimes(text); err == nil {
			t.Errorf("%q is read as a machine's times", text)
		}
	}
	for _, text := range []string{"", "77 (a) S 1 2 3", "77 (a) S 1 77 77 0 -1 4194560 5 0 0 0 x 45 0 0"} {
		if _, err := parseProcessTimes(text); err == nil {
			t.Errorf("%q is read as a process's times", text)
		}
	}
}

func TestTicksAreSharedOutExactly(t *testing.T) {
	for _, c := range []struct {
		name                string
		used                processorTimes
		wantUser, wantTotal time.Duration
	}{
		{"exact", processorTimes{user: time.Second, system: 3 * time.Second, exact: 3990 * time.Millisecond}, 997500 * time.Microsecond, 3990 * time.Millisecond},
		{"not known", processorTimes{user: time.Second, system: time.Second}, time.Second, 2 * time.Second},
		{"threads have ended", processorTimes{user: time.Second, system: time.Second, exact: time.Second}, time.Second, 2 * time.Second},
		{"below a tick", processorTimes{exact: time.Millisecond}, 0, time.Millisecond},
		{"idle", processorTimes{}, 0, 0},
	} {
		user, system := c.used.split()
		if user != c.wantUser || user+system != c.wantTotal || c.used.total() != c.wantTotal {
			t.Errorf("%s: %s of user and %s of system, expected %s of %s", c.name, user, system, c.wantUser, c.wantTotal)
		}
	}
}

// TestOwnProcessorTimeIsSeen holds the figures of /proc to what was done.
func TestOwnProcessorTimeIsSeen(t *testing.T) {
	self := []int{os.Getpid()}
	before, err := processTimes(self)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for time.Since(begin) < 30*time.Millisecond {
	}
	after, err := processTimes(self)
	if err != nil {
		t.Fatal(err)
	}
	if used := after.since(before).total(); used <= 0 || used > 10*time.Second {
		t.Errorf("%s used", used)
	}
	if _, err := processTimes([]int{1 << 30}); err != nil {
		t.Errorf("a process that has ended: %v", err)
	}
}

func TestMemoryIsRead(t *testing.T) {
	text := "5591-7ffd ---p 00000000 00:00 0 [rollup]\nRss:  8000 kB\nPss:  1234 kB\nPss_Dirty: 99 kB\n"
	if got := parseMemory(text); got != 1234<<10 {
		t.Errorf("%d bytes, expected %d", got, 1234<<10)
	}
	if got := memory([]int{os.Getpid()}); got < 1<<20 {
		t.Errorf("this process has %d bytes", got)
	}
}

func TestTheProcessTreeHasThisProcess(t *testing.T) {
	found := false
	for _, one := range processTree(os.Getppid()) {
		found = found || one == os.Getpid()
	}
	if !found {
		t.Error("this process does not come of its parent")
	}
	if one := identify(os.Getpid()); one.started == "" || one != identify(os.Getpid()) {
		t.Errorf("this process is %+v", one)
	}
}

func TestTheMachineIsDescribed(t *testing.T) {
	if text := machineDescription(); !strings.Contains(text, "processors, Linux ") || !strings.Contains(text, ", go1.") {
		t.Errorf("it is %q", text)
	}
}
