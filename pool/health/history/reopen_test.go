package history

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"mirrorpool/pool/health"
)

// TestTheFileComesLate: what is found before the file can be opened is held against what it
// says of the last run.
func TestTheFileComesLate(t *testing.T) {
	for name, one := range map[string]struct {
		meanwhile health.Result
		ending    string
		open      bool
	}{
		"up":   {good(), endedAbsent, false},
		"down": {bad(health.Timeout, "no answer"), "", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, definitionOf("wiki"))
			w.probes(0, time.Hour, good())
			w.probes(0, time.Hour, bad(health.Connection, "connection refused"))
			began := w.look("wiki").Incidents[0].Started
			path := w.h.path
			if err := w.h.Close(); err != nil {
				t.Fatal(err)
			}
			away := filepath.Join(t.TempDir(), "away")
			if err := os.Rename(filepath.Dir(path), away); err != nil {
				t.Fatal(err)
			}
			w.now = w.now.Add(10 * time.Minute)
			w.states = map[health.Target]health.State{}
			h, err := Open(path, Options{Now: func() time.Time { return w.now }})
			if err == nil {
				t.Fatal("a file in no directory is opened")
			}
			w.h = h
			h.SetTargets(w.definition)
			w.probes(0, time.Hour, one.meanwhile)
			if err := os.Rename(away, filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
			w.turn()
			got := w.look("wiki").Incidents
			if len(got) != 1 || !got[0].Started.Equal(began) || got[0].Ending != one.ending || got[0].Ended.IsZero() != one.open {
				t.Errorf("%+v, expected one that began %s", got, began)
			}
			if one.open && (got[0].First.Reason != "connection refused" || got[0].Last.Reason != "no answer" || got[0].Failures != 238) {
				t.Errorf("%d failures, first %+v, last %+v", got[0].Failures, got[0].First, got[0].Last)
			}
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
