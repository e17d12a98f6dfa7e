//go:build e2e

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// What a node with the embedded country data may have resident after its start
// and under load, in kB. The bounds are well above what was measured on two cores:
// 16 MB and 35 MB.
const (
	anonymousBound = 32_000 // heap, stacks and the runtime's own
	residentBound  = 60_000 // with the pages of the program's file that are mapped
)

// TestEndToEndMemory holds what the built program keeps resident. It fails when
// what a start and a commit need for a moment is kept, or not given back.
func TestEndToEndMemory(t *testing.T) {
	// Sockets and buffers come with cores.
	t.Setenv("GOMAXPROCS", "2")
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	w := newWorld(t)
	w.startMirrors()
	w.startRepository()
	// A repository may hold more than what is read of it.
	large := make([]byte, 16<<20)
	rand.NewChaCha8([32]byte{}).Read(large)
	w.write("checkout/press/video.bin", string(large))
	w.push("A large file")
	// Looks at the remote make garbage, whose collection would hide much.
	w.startServerPolling("1h")
	w.withinBounds("after the start")
	w.askMuch("udp")
	w.askMuch("tcp")
	w.withinBounds("after load")
}

// askMuch asks as many questions as the server answers in three seconds.
func (w *world) askMuch(network string) {
	w.Helper()
	input := w.write("questions.txt", "dl.mirrors.test A\ndl.mirrors.test AAAA\nwww.mirrors.test A\nnote.mirrors.test TXT\nnothing.mirrors.test A\n")
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	load := exec.CommandContext(ctx, "dnsperf", "-m", network, "-s", "127.0.0.1", "-p", strconv.Itoa(w.dnsPort), "-d", input,
		"-l", "3", "-c", "50", "-e")
	if printed, err := load.CombinedOutput(); err != nil {
		w.Fatalf("dnsperf over %s: %v\n%s", network, err, printed)
	}
}

// withinBounds waits for the memory to be within its bounds, for it is given
// back bit by bit. The garbage collector's own round of every two minutes does
// not come in between.
func (w *world) withinBounds(when string) {
	w.Helper()
	var anonymous, resident int
	within := func() bool {
		anonymous, resident = w.memory("RssAnon"), w.memory("VmRSS")
		return anonymous <= anonymousBound && resident <= residentBound
	}
	for deadline := time.Now().Add(30 * time.Second); !within(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("%s: %d kB resident, %d of them anonymous, want at most %d and %d",
				when, resident, anonymous, residentBound, anonymousBound)
		}
	}
	w.Logf("%s: %d kB resident, %d of them anonymous", when, resident, anonymous)
}

// memory reads a line of what the kernel says of the server's process, in kB.
func (w *world) memory(line string) int {
	w.Helper()
	status := w.read(fmt.Sprintf("/proc/%d/status", w.processes["server"].Process.Pid))
	found := regexp.MustCompile(`(?m)^` + line + `:\s+(\d+) kB$`).FindStringSubmatch(status)
	if found == nil {
		w.Fatalf("the kernel does not say %s:\n%s", line, status)
	}
	value, err := strconv.Atoi(found[1])
	if err != nil {
		w.Fatal(err)
	}
	return value
}
