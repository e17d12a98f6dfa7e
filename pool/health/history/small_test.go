package history

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mirrorpool/pool"
	"mirrorpool/pool/health"
)

func TestParseSince(t *testing.T) {
	now := time.Date(2026, 8, 31, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"48h": "2026-08-29", "30d": "2026-08-01", "12w": "2026-06-08", "6mo": "2026-03-03", "1y": "2025-08-31", "10y": "2016-08-31",
		"": "", "6": "", "mo": "", "0d": "", "-1d": "", "1.5d": "", "6m": "", "11y": "", "99999w": "", "100000d": "", "6mo ": "", "1y6mo": "",
	} {
		got, err := ParseSince(text, now)
		if want == "" {
			if err == nil {
				t.Errorf("%q: %s, expected an error", text, got)
			}
		} else if err != nil || got.Format(dateForm) != want {
			t.Errorf("%q: %s %v, expected %s", text, got.Format(dateForm), err, want)
		}
	}
}

func FuzzParseSince(f *testing.F) {
	now := time.Date(2026, 8, 31, 12, 0, 0, 0, time.UTC)
	for _, seed := range []string{"6mo", "30d", "1y", "0h", "99999h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if from, err := ParseSince(text, now); err == nil && (!from.Before(now) || from.Before(now.AddDate(-10, 0, 0))) {
			t.Errorf("%q goes back to %s", text, from)
		}
	})
}

func TestQuantiles(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var all []int64
	var parts [3]sample
	for range 10_000 {
		value := int64(math.Exp(random.NormFloat64()*1.5 + 9))
		all = append(all, value)
		parts[random.IntN(3)].put(value)
	}
	slices.Sort(all)
	var whole sample
	for _, part := range parts {
		part.buckets = decodeBuckets(part.encode())
		whole.merge(part)
	}
	for _, q := range []float64{0, 0.01, 0.5, 0.95, 0.999, 1} {
		want := float64(all[min(int(q*float64(len(all))), len(all)-1)])
		if got := float64(whole.quantile(q)); math.Abs(got/want-1) > 0.06 {
			t.Errorf("quantile %v: %v, expected %v", q, got, want)
		}
	}
	if whole.Min != all[0] || whole.Max != all[len(all)-1] || whole.Count != 10_000 {
		t.Errorf("%+v", whole)
	}
	for _, value := range []int64{math.MinInt64, 0, 1, math.MaxInt64} {
		var one sample
		one.put(value)
		if got := one.quantile(0.5); got != max(value, 1) && math.Abs(float64(got)/float64(value)-1) > 0.06 {
			t.Errorf("%d: %d", value, got)
		}
	}
}

func FuzzBuckets(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		s := sample{Count: 1, buckets: decodeBuckets(data)}
		_ = s.quantile(0.5)
		if again := decodeBuckets(s.encode()); !slices.Equal(again, s.buckets) {
			t.Errorf("%v becomes %v", s.buckets, again)
		}
	})
}

func TestMatches(t *testing.T) {
	for _, one := range []struct {
		pattern, name string
		want          bool
	}{
		{"wiki", "wiki", true},
		{"WIKI", "wiki", true},
		{"wiki", "wiki2", false},
		{"w*", "wiki", true},
		{"*", "https://mirror.example.org/tails/", true},
		{"https://mirror.example.org/tails", "https://mirror.example.org/tails/", true},
		{"https://*/tails/", "https://mirror.example.org/tails/", true},
		{"*.example.org", "mirror.example.org", true},
		{"*.example.org", "https://mirror.example.org/tails/", false},
		{"[", "[", true},
		{"[", "x", false},
		{"*", "", false},
	} {
		if got := matches(one.pattern, one.name); got != one.want {
			t.Errorf("%q for %q: %t", one.pattern, one.name, got)
		}
	}
}

func TestQuestionsByEveryName(t *testing.T) {
	definition := definitionOf("wiki", "edge")
	definition.Redirects = []*pool.Redirect{{
		Host:   "download.example.org",
		Health: pool.Check{Probe: pool.Probe{Kind: pool.CheckHTTP, Path: "trace"}, Schedule: pool.Schedule{Interval: time.Minute}},
		List:   &pool.MirrorList{Mirrors: []*pool.Mirror{{URLPrefix: "https://wiki.example.org/tails/", Weight: 5}}},
	}}
	w := newWorld(t, definition)
	for name, want := range map[string]int{
		"wiki": 1, "wiki.example.org": 2, "127.0.0.1": 1, "127.0.0.2": 1, "127.0.0.3": 0, "::ffff:127.0.0.2": 1, "127.0.0.*": 2,
		"https://wiki.example.org/tails/": 1, "*.example.org": 3, "*": 3, "nobody": 0, "": 3,
	} {
		answer, err := w.h.Look(t.Context(), Question{Member: name})
		if err != nil || len(answer.Members) != want {
			t.Errorf("%q names %d members, expected %d (%v)", name, len(answer.Members), want, err)
		}
	}
	for at, want := range map[string]int{"dl.example.org": 2, "DOWNLOAD.example.org": 1, "other": 0} {
		if answer, err := w.h.Look(t.Context(), Question{Pool: at}); err != nil || len(answer.Members) != want {
			t.Errorf("%q has %d members, expected %d (%v)", at, len(answer.Members), want, err)
		}
	}
}

func TestAMemberThatIsNotChecked(t *testing.T) {
	definition := definitionOf("wiki")
	definition.Pools[0].Health = pool.Check{Probe: pool.Probe{Kind: pool.CheckNone}}
	w := newWorld(t, definition)
	if got := w.look("wiki"); got.Verdict != "it is not checked: nothing is known of it" || !got.Present || got.Availability[0].Percent != nil {
		t.Errorf("%+v", got)
	}
}

// TestATargetOfTwoPools is probed once, and its incident is one of both members.
func TestATargetOfTwoPools(t *testing.T) {
	definition := definitionOf("wiki")
	second := definitionOf("other").Pools[0]
	second.Name = "two.example.org"
	definition.Pools = append(definition.Pools, second)
	w := newWorld(t, definition)
	w.probes(0, time.Hour, bad(health.Timeout, "no answer"))
	for _, name := range []string{"wiki", "other"} {
		if got := w.look(name); len(got.Incidents) != 1 || got.Incidents[0].Target != "wiki of dl.example.org (127.0.0.1), other of two.example.org (127.0.0.1): http" {
			t.Errorf("%s: %+v", name, got.Incidents)
		}
	}
}

// TestAnInspectionTakesTheMemberDown: its time down is the member's, and counts once.
func TestAnInspectionTakesTheMemberDown(t *testing.T) {
	definition := definitionOf("wiki")
	check := &definition.Pools[0].Health
	check.Inspections = []pool.Inspection{{
		Probe:    pool.Probe{Kind: pool.CheckHTTP, Purpose: pool.PurposeThroughput, Port: 80, Host: testPool, Path: "/big", MinRate: 1000, Timeout: time.Minute},
		Schedule: pool.Schedule{Interval: time.Hour, DownAfter: 1, UpAfter: 1},
	}}
	w := newWorld(t, definition)
	inspection := health.MemberTargets(definition.Pools[0], definition.Pools[0].Members[0].Addresses[0])[1]
	w.probes(0, time.Hour, good())
	slow := bad(health.Slow, "10 B/s, expected 1000")
	slow.Evidence.BytesPerSecond = 10
	for range 3 {
		w.probe(inspection, slow)
	}
	w.probes(0, time.Hour, good())
	got := w.look("wiki")
	if len(got.Incidents) != 1 || got.Incidents[0].Check != "throughput" || got.Incidents[0].Last.BytesPerSecond != 10 {
		t.Fatalf("%+v", got.Incidents)
	}
	if a := got.Availability[0]; a.Down != 3600 || a.Up != 3570 {
		t.Errorf("%+v", a)
	}
	if last := got.Trend[len(got.Trend)-1]; last.Delivery == nil || last.Delivery.Mean != 10 || last.Response == nil || last.Response.Mean != 20 {
		t.Errorf("%+v", last)
	}
}

func TestMarks(t *testing.T) {
	w := newWorld(t, definitionOf("wiki", "edge"))
	w.h.Mark(Mark{Time: begin, Kind: "freeze", Words: "of all"})
	w.h.Mark(Mark{Time: begin, Kind: "disable", Pool: testPool, Member: "wiki", Words: "slow\x1b[31m"})
	w.h.Mark(Mark{Time: begin, Kind: "disable", Pool: "other.example.org", Member: "*", Words: "elsewhere"})
	got := w.look("wiki").Marks
	if len(got) != 2 || got[0].Words != "slow?[31m" || got[1].Kind != "freeze" {
		t.Errorf("%+v", got)
	}
	if got := w.look("edge").Marks; len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestAYearIsKept(t *testing.T) {
	w := newWorld(t, definitionOf("wiki", "edge"))
	w.probes(1, time.Hour, good())
	w.h.SetTargets(definitionOf("wiki"))
	for range 450 / 5 {
		w.now = w.now.Add(5*dayLength - 10*time.Minute)
		w.probes(0, 5*time.Minute, bad(health.Timeout, "no answer"))
		w.probes(0, 5*time.Minute, good())
		w.turn()
	}
	got := w.look("wiki")
	if oldest := got.Incidents[len(got.Incidents)-1]; len(got.Incidents) < 72 || len(got.Incidents) > 75 || got.Omitted != 0 || oldest.Started.Before(begin) {
		t.Errorf("%d incidents and %d more", len(got.Incidents), got.Omitted)
	}
	answer, err := w.h.Look(t.Context(), Question{Member: "edge"})
	if err != nil || len(answer.Members) != 0 {
		t.Errorf("a member that left more than a year ago: %+v, %v", answer.Members, err)
	}
}

// TestAClockYearsAheadRemovesNothing: a machine that starts with a wrong clock keeps what
// it has.
func TestAClockYearsAheadRemovesNothing(t *testing.T) {
	w := newWorld(t, definitionOf("wiki"))
	w.probes(0, time.Hour, bad(health.Timeout, "no answer"))
	w.probes(0, time.Hour, good())
	w.restart(20 * 365 * dayLength)
	w.turn()
	w.now = w.now.Add(-20 * 365 * dayLength)
	if got := w.look("wiki"); len(got.Incidents) != 1 {
		t.Errorf("%+v", got.Incidents)
	}
}

func TestFilesAreForTheirOwnerAlone(t *testing.T) {
	w := newWorld(t, definitionOf("wiki"))
	w.turn()
	for _, suffix := range []string{"", logSuffix, memorySuffix} {
		about, err := os.Stat(w.h.path + suffix)
		if err != nil || about.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", suffix, about.Mode(), err)
		}
	}
}

// TestAFileThatIsRemovedIsMadeAgain, with what goes on.
func TestAFileThatIsRemovedIsMadeAgain(t *testing.T) {
	w := newWorld(t, definitionOf("wiki"))
	w.probes(0, time.Hour, bad(health.Timeout, "no answer"))
	w.turn()
	for _, suffix := range []string{"", logSuffix, memorySuffix} {
		if err := os.Remove(w.h.path + suffix); err != nil {
			t.Fatal(err)
		}
	}
	w.probes(0, time.Minute, bad(health.Timeout, "no answer"))
	if got := w.look("wiki"); len(got.Incidents) != 1 || !got.Incidents[0].Ended.IsZero() {
		t.Errorf("%+v", got.Incidents)
	}
}

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

func TestNames(t *testing.T) {
	definition := definitionOf("wiki", "off")
	definition.Pools[0].Members[1].Weight = 0
	definition.Pools[0].Members[0].Addresses = append(definition.Pools[0].Members[0].Addresses, netip.MustParseAddr("::1"))
	definition.Pools = append(definition.Pools, &pool.Pool{Name: "unchecked", Members: []*pool.Member{{ID: "x", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.9")}}}})
	var got []string
	for _, one := range namesIn(definition) {
		words := one.place.String()
		if !one.probed {
			words += " not probed"
		}
		got = append(got, words)
	}
	want := []string{"wiki of dl.example.org (127.0.0.1)", "wiki of dl.example.org (::1)", "off of dl.example.org (127.0.0.2) not probed", "x of unchecked (127.0.0.9) not probed"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, expected %q", got, want)
	}
	target := health.Target{Probe: pool.Probe{Kind: pool.CheckHTTP, Port: 80}, Address: netip.MustParseAddr("127.0.0.1")}
	other := target
	other.Probe.MaxAge = time.Hour
	if a, b := keyOf(target), keyOf(other); a == b || !strings.HasPrefix(a, "http 127.0.0.1 ") {
		t.Errorf("keys %q and %q", a, b)
	}
}
