package history

import (
	"os"
	"testing"
	"time"

	"mirrorpool/pool/health"
)

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
