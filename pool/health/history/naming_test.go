package history

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"mirrorpool/pool"
	"mirrorpool/pool/health"
)

// addressesOf makes a pool of members with their addresses.
func addressesOf(addresses ...string) *pool.Definition {
	d := definitionOf()
	for i := 0; i < len(addresses); i += 2 {
		d.Pools[0].Members = append(d.Pools[0].Members, &pool.Member{ID: addresses[i], Addresses: []netip.Addr{netip.MustParseAddr(addresses[i+1])}, Weight: 10})
	}
	return d
}

// TestAnAddressThatGoesToAnotherMember: each answers for its own time alone.
func TestAnAddressThatGoesToAnotherMember(t *testing.T) {
	w := newWorld(t, addressesOf("old", "127.0.0.1"))
	outage := func(member int, length time.Duration, r health.Result) {
		w.probes(member, length, r)
		w.probes(member, 5*time.Hour, good())
	}
	outage(0, 5*time.Hour, good())
	outage(0, 10*time.Minute, bad(health.Status, "status 503"))
	w.probes(0, 10*time.Minute, bad(health.Connection, "connection refused")) // and down when it goes
	w.turn()
	moved := w.now
	w.definition = addressesOf("old", "127.0.0.2", "new", "127.0.0.1")
	w.h.SetTargets(w.definition)
	w.probes(0, time.Hour, good())
	outage(1, 10*time.Minute, bad(health.Connection, "connection refused"))
	outage(1, 30*time.Hour, bad(health.Timeout, "no answer"))
	outage(1, 10*time.Minute, bad(health.Altered, "not what the origin has"))
	w.restart(time.Minute)
	w.turn()
	old, fresh := w.look("old"), w.look("new")
	if old.Failures != 2 || !old.DownSince.IsZero() || len(old.Flags) > 0 || old.Verdict != "second failure in six months: consider removing it" {
		t.Errorf("old: %q, %d failures, down since %s, flags %+v", old.Verdict, old.Failures, old.DownSince, old.Flags)
	}
	if last := old.Incidents[0]; !last.Ended.Equal(moved) || last.Ending != endedMoved {
		t.Errorf("old: %+v", last)
	}
	if fresh.Failures != 3 || len(fresh.Flags) == 0 || fresh.Verdict != "it has delivered altered files: remove it, and tell its operator" {
		t.Errorf("new: %q, %d failures, flags %+v", fresh.Verdict, fresh.Failures, fresh.Flags)
	}
	if first := fresh.Incidents[len(fresh.Incidents)-1]; !first.Started.Equal(moved) {
		t.Errorf("new: %+v", first)
	}
}

// TestNamesOfTheFirstVersion are taken over: since when they hold is not known.
func TestNamesOfTheFirstVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s, err := openStore(t.Context(), path, DefaultMaxBytes)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.write.Exec(`DROP TABLE names; CREATE TABLE names (place INTEGER NOT NULL REFERENCES places ON DELETE CASCADE,
		target INTEGER NOT NULL REFERENCES targets ON DELETE CASCADE, PRIMARY KEY (place, target)) WITHOUT ROWID;
		CREATE INDEX names_target ON names (target); PRAGMA user_version=1;
		INSERT INTO members VALUES (1, 'dl.example.org', 0, 'wiki', '', 1, 1); INSERT INTO places VALUES (1, 1, '127.0.0.1');
		INSERT INTO targets VALUES (1, 'http', 'http', 'http', '', '127.0.0.1', 0, 0, NULL, 1); INSERT INTO names VALUES (1, 1);
		INSERT INTO incidents VALUES (1, 1, 1772000000000, 1772000600000, 1772000000000, 'wiki', 'http', 'no answer', 'timeout', '', 0, 3, '', '', '')`); err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, now: begin, definition: definitionOf("wiki"), states: map[health.Target]health.State{}}
	w.open(path)
	w.probes(0, time.Hour, good())
	w.turn()
	if got := w.look("wiki"); len(got.Incidents) != 1 || got.Failures != 1 {
		t.Errorf("%+v", got)
	}
}
