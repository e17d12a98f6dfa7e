package history

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"mirrorpool/pool/health"
)

// processorTime is what the process has used.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// TestTenThousandTargets leads an hour of 10,000 targets that are probed every 30 seconds,
// as fast as it goes, and bounds what it takes.
func TestTenThousandTargets(t *testing.T) {
	if testing.Short() || raced {
		t.Skip("takes some seconds, and is about time")
	}
	const targets = 10_000
	ids := make([]string, targets)
	for i := range ids {
		ids[i] = fmt.Sprintf("m%05d", i)
	}
	w := newWorld(t, definitionOf(ids...))
	w.turn()
	all := make([]health.Target, targets)
	for i := range all {
		all[i] = w.target(i)
	}
	random := rand.New(rand.NewPCG(1, 2))
	started := processorTime(t)
	var observing, writing time.Duration
	writes := 0
	for second := range 3600 {
		w.now = w.now.Add(time.Second)
		before := processorTime(t)
		for i := second % 30; i < targets; i += 30 {
			r := good()
			if i < 100 || random.IntN(200) == 0 {
				r = bad(health.Timeout, "no answer within 5s (connecting)")
			}
			w.probe(all[i], r)
		}
		middle := processorTime(t)
		observing += middle - before
		if every := int(w.h.rhythm() / time.Second); second%every == every-1 {
			w.turn()
			writes++
			writing += processorTime(t) - middle
		}
	}
	took := processorTime(t) - started
	var memory runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&memory)
	about, err := os.Stat(filepath.Clean(w.h.path))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("an hour took %s of processor time, %s of them for 1.2 million probes, %s for %d turns of writing, which is %.2f %% of a processor; %d kB of memory are in use, the file has %d kB",
		took.Round(time.Millisecond), observing.Round(time.Millisecond), writing.Round(time.Millisecond), writes, 100*took.Hours(), memory.HeapAlloc>>10, about.Size()>>10)
	if took > 6*time.Minute {
		t.Errorf("an hour took %s of processor time", took)
	}
	if memory.HeapAlloc > 200<<20 {
		t.Errorf("%d bytes of memory are in use", memory.HeapAlloc)
	}
}

func BenchmarkObserve(b *testing.B) {
	definition := definitionOf("a", "b", "c", "d")
	h, err := Open(filepath.Join(b.TempDir(), "history.db"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	h.SetTargets(definition)
	p := definition.Pools[0]
	now := begin
	var targets []health.Target
	for _, m := range p.Members {
		targets = append(targets, health.MemberTarget(p, m.Addresses[0]))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Second)
		state := health.State{Verdict: health.Up, Since: begin, Checked: now, Duration: 20 * time.Millisecond}
		h.Observe(health.Observation{Target: targets[i%4], Result: good(), Before: state, After: state})
	}
}
