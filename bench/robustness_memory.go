//go:build linux

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// memoryWatch looks at a server's memory while packets are sent to it.
type memoryWatch struct {
	sent  atomic.Int64 // packets, told by those who send them
	most  int
	of    *process
	done  chan struct{}
	ended chan memoryCurve
}

// memoryCurve is the largest resident set in each quarter of the packets, in
// bytes; 0: nobody looked.
type memoryCurve [4]int64

// watchEvery is how often it is looked at.
const watchEvery = 50 * time.Millisecond

func watchMemory(of *process, most int) *memoryWatch {
	w := &memoryWatch{most: most, of: of, done: make(chan struct{}), ended: make(chan memoryCurve, 1)}
	go func() {
		var curve memoryCurve
		look := func() {
			quarter := min(4*int(w.sent.Load())/most, 3)
			curve[quarter] = max(curve[quarter], resident(of.cmd.Process.Pid))
		}
		ticker := time.NewTicker(watchEvery)
		defer ticker.Stop()
		for {
			look()
			select {
			case <-ticker.C:
			case <-w.done:
				look() // a short run may have ended between two looks
				w.ended <- curve
				return
			}
		}
	}()
	return w
}

func (w *memoryWatch) stop() memoryCurve {
	close(w.done)
	return <-w.ended
}

// resident is the memory of a process that is in fact there, in bytes; 0: there
// is no such process.
func resident(process int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", process))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// What the last quarter may have above the second: the noise of a collected
// heap. A byte kept of each packet would show after ten million.
const (
	memoryShare = 20      // a twentieth
	memorySlack = 4 << 20 // and so much
)

// wrong tells that memory is not flat; empty: it is. The first quarter is that of
// warming up.
func (c memoryCurve) wrong() string {
	second, last := c[1], c[3]
	if second == 0 || last <= second+second/memoryShare+memorySlack {
		return ""
	}
	return fmt.Sprintf("memory grows: %.1f MB at most in the second quarter, %.1f MB in the last", megabytes(second), megabytes(last))
}

func (c memoryCurve) String() string {
	var b strings.Builder
	b.WriteString("memory by quarters of the packets, at most:")
	for _, bytes := range c {
		fmt.Fprintf(&b, " %.1f", megabytes(bytes))
	}
	b.WriteString(" MB\n")
	return b.String()
}

func megabytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }
