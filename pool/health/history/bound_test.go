package history

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorpool/pool/health"
)

// TestAFileAtItsBoundIsWritten: so many incidents on one day that the file reaches its bound
// long before it is pruned cost the oldest of them, and never those that come.
func TestAFileAtItsBoundIsWritten(t *testing.T) {
	now := begin
	path := filepath.Join(t.TempDir(), "history.db")
	var reports []error
	h, err := Open(path, Options{
		Now: func() time.Time { return now }, MaxBytes: 300_000, Report: func(err error) { reports = append(reports, err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	definition := definitionOf("wiki")
	h.SetTargets(definition)
	target := health.MemberTarget(definition.Pools[0], definition.Pools[0].Members[0].Addresses[0])
	const turns, each = 15, 20
	for range turns {
		for range each {
			down := health.State{Verdict: health.Down, Since: now, Checked: now}
			up := health.State{Verdict: health.Up, Since: now.Add(time.Second), Checked: now.Add(time.Second)}
			h.Observe(health.Observation{Target: target, Result: bad(health.Status, strings.Repeat("x", 300)), Before: up, After: down})
			h.Observe(health.Observation{Target: target, Result: good(), Before: down, After: up})
			now = now.Add(10 * time.Second)
		}
		if err := h.turn(true); err != nil {
			t.Fatalf("after %s: %v", now.Sub(begin), err)
		}
	}
	answer, err := h.Look(t.Context(), Question{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	got := answer.Members[0].Incidents
	if len(got) < 50 || len(got) >= turns*each || !got[0].Started.Equal(now.Add(-10*time.Second)) {
		t.Errorf("%d incidents of %d are left, the last one began %s", len(got), turns*each, got[0].Started)
	}
	if about, err := os.Stat(path); err != nil || about.Size() > 375_000+pageSize || len(reports) > 0 {
		t.Errorf("the file has %d bytes, %v; reports %v", about.Size(), err, reports)
	}
}
