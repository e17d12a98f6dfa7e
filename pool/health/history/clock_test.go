package history

import (
	"testing"
	"time"

	"mirrorpool/pool/health"
)

// TestWhatWasNotedUnderAClockAhead is there, and counts for nothing; what goes on does.
func TestWhatWasNotedUnderAClockAhead(t *testing.T) {
	w := newWorld(t, definitionOf("wiki"))
	w.probes(0, time.Hour, good())
	w.jump(365 * dayLength)
	for range 5 {
		w.probes(0, 10*time.Minute, bad(health.Slow, "10 B/s, expected 1000"))
		w.probes(0, 2*time.Hour, good())
	}
	w.turn()
	w.probes(0, 30*time.Hour, bad(health.Timeout, "no answer"))
	w.turn()
	w.jump(-365 * dayLength)
	if got := w.look("wiki"); got.Failures != 1 || got.DownSince.After(w.now) || got.DownSince.IsZero() {
		t.Errorf("while it is down: %d failures, down since %s", got.Failures, got.DownSince)
	}
	w.probes(0, time.Hour, good())
	w.turn()
	got := w.look("wiki")
	if got.Verdict != "no failure since it is known: 2026-03-02" || len(got.Flags) > 0 || len(got.Incidents) != 6 {
		t.Errorf("%q, flags %+v, %d incidents", got.Verdict, got.Flags, len(got.Incidents))
	}
}

// TestMembersWhoseLookFails are looked at the next time.
func TestMembersWhoseLookFails(t *testing.T) {
	w := newWorld(t, definitionOf("wiki"))
	w.turn()
	w.probes(0, time.Hour, bad(health.Altered, "not what the origin has"))
	if err := w.h.write(true); err != nil {
		t.Fatal(err)
	}
	if _, err := w.h.store.write.Exec("ALTER TABLE flags RENAME TO away"); err != nil {
		t.Fatal(err)
	}
	if err := w.h.turn(true); err == nil {
		t.Fatal("looking for flags without their table gives no error")
	}
	if _, err := w.h.store.write.Exec("ALTER TABLE away RENAME TO flags"); err != nil {
		t.Fatal(err)
	}
	w.turn()
	if len(w.flagged) == 0 {
		t.Error("the flag is not found")
	}
}
