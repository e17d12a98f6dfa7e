package history

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mirrorpool/pool/health"
)

func TestWhatCannotBeWrittenIsBounded(t *testing.T) {
	w := newWorld(t, definitionOf("wiki"))
	w.h.writing.Lock() // the disk hangs
	defer w.h.writing.Unlock()
	for range mostEnded + 100 {
		w.now = w.now.Add(3 * time.Hour)
		for _, r := range []health.Result{bad(health.Timeout, "no answer"), good()} {
			for range 3 {
				w.now = w.now.Add(30 * time.Second)
				w.probe(w.target(0), r)
			}
		}
	}
	for range 2 * mostMarks {
		w.h.Mark(Mark{Time: w.now, Kind: "freeze"})
	}
	w.h.mu.Lock()
	defer w.h.mu.Unlock()
	t1 := w.h.tracks[w.target(0)]
	if len(w.h.ended) != mostEnded || len(w.h.marks) != mostMarks || len(t1.waiting) != mostWaiting {
		t.Errorf("%d incidents, %d marks, %d days wait", len(w.h.ended), len(w.h.marks), len(t1.waiting))
	}
}

// TestWhatWaitsIsBoundedByItsBytes, with evidence as large as it gets, also when it could not
// be written.
func TestWhatWaitsIsBoundedByItsBytes(t *testing.T) {
	w := newWorld(t, definitionOf("wiki"))
	w.h.options.MaxBytes = 8 << 20
	most := w.h.options.MaxBytes / 8
	large := bad(health.Timeout, strings.Repeat("x", mostWords))
	for range mostSteps {
		large.Evidence.Steps = append(large.Evidence.Steps, health.Step{Name: "connect", Words: strings.Repeat("y", mostWords)})
	}
	check := func() {
		t.Helper()
		w.h.mu.Lock()
		defer w.h.mu.Unlock()
		var size int64
		for _, one := range w.h.ended {
			size += one.size()
		}
		if size != w.h.endedBytes || size > most || size < most/2 {
			t.Errorf("%d incidents of %d bytes, counted as %d, wait; %d at most", len(w.h.ended), size, w.h.endedBytes, most)
		}
	}
	for range 60 {
		w.probes(0, 90*time.Second, large)
		w.probes(0, time.Hour, good())
	}
	check()
	b := w.h.take(true)
	w.probes(0, 90*time.Second, large)
	w.probes(0, time.Hour, good())
	w.h.giveBack(b)
	check()
}

// TestRun leads Run through a minute: an incident is written at once, figures by the minute.
func TestRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	synctest.Test(t, func(t *testing.T) {
		var failures []error
		h, err := Open(path, Options{Report: func(err error) { failures = append(failures, err) }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.Run(ctx)
		}()
		definition := definitionOf("wiki")
		h.SetTargets(definition)
		p := definition.Pools[0]
		target := health.MemberTarget(p, p.Members[0].Addresses[0])
		count := func(table string) (rows int) {
			if err := h.readers.Load().read.QueryRow("SELECT count(*) FROM " + table).Scan(&rows); err != nil {
				t.Error(err)
			}
			return rows
		}
		time.Sleep(10 * time.Second)
		now := time.Now()
		down := health.State{Verdict: health.Down, Since: now, Checked: now}
		h.Observe(health.Observation{Target: target, Result: bad(health.Timeout, "no answer"), After: down})
		time.Sleep(time.Second)
		if got := [2]int{count("incidents"), count("days")}; got != [2]int{1, 0} {
			t.Errorf("after a second there are %d incidents and %d days", got[0], got[1])
		}
		time.Sleep(time.Minute)
		if got := count("days"); got != 1 {
			t.Errorf("after a minute there are %d days", got)
		}
		stop()
		<-done
		if err := h.Close(); err != nil || len(failures) > 0 {
			t.Errorf("%v, %v", err, failures)
		}
		h.Observe(health.Observation{Target: target, Result: good(), Before: down, After: down}) // harmless
		if _, err := h.Look(t.Context(), Question{}); !errors.Is(err, ErrUnavailable) {
			t.Errorf("looking after the end: %v", err)
		}
	})
}

// TestRunTriesAgain with growing pauses while the file cannot be had, and says when it can.
func TestRunTriesAgain(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "missing", "history.db")
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mutex sync.Mutex
		var at []time.Duration
		var last error
		h, err := Open(path, Options{Report: func(err error) {
			mutex.Lock()
			defer mutex.Unlock()
			at, last = append(at, time.Since(began)), err
		}})
		if err == nil {
			t.Error("opening a file in no directory gives no error")
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.Run(ctx)
		}()
		h.SetTargets(definitionOf("wiki"))
		time.Sleep(time.Hour)
		mutex.Lock()
		if len(at) < 10 || len(at) > 25 || !strings.Contains(last.Error(), "no such file or directory") {
			t.Errorf("%d tries in an hour, at %v: %v", len(at), at, last)
		}
		mutex.Unlock()
		if err := os.Mkdir(filepath.Join(directory, "missing"), 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(longestPause + time.Second)
		mutex.Lock()
		if last != nil {
			t.Errorf("the last report is %v, expected that writing goes on", last)
		}
		mutex.Unlock()
		stop()
		<-done
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
}
