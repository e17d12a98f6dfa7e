package history

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mirrorpool/pool/health"
	"mirrorpool/testdraw"
)

// soundFile makes a file with something of everything in it.
func soundFile(t testing.TB) []byte {
	t.Helper()
	now := begin
	path := filepath.Join(t.TempDir(), "history.db")
	h, err := Open(path, Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	definition := definitionOf("a", "b", "c", "d", "e", "f")
	h.SetTargets(definition)
	h.Mark(Mark{Time: now, Kind: "freeze", Words: "all of them"})
	for i := range 120 {
		p := definition.Pools[0]
		target := health.MemberTarget(p, p.Members[i%6].Addresses[0])
		down := health.State{Verdict: health.Down, Since: now, Checked: now}
		up := health.State{Verdict: health.Up, Since: now.Add(time.Minute), Checked: now.Add(time.Minute), Duration: time.Duration(i) * time.Millisecond}
		result := bad(health.Altered, "not what the origin has")
		result.Evidence.Steps = []health.Step{{Name: "connect", Took: time.Millisecond}}
		h.Observe(health.Observation{Target: target, Result: result, Before: up, After: down})
		if i < 117 {
			h.Observe(health.Observation{Target: target, Result: good(), Before: down, After: up})
		}
		now = now.Add(3 * time.Hour)
	}
	if err := h.turn(true); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// use does with a file what a run does: it opens it, writes, looks and closes. Errors are
// fine; panics are not, and in the end something is remembered again.
func use(t testing.TB, path string) {
	t.Helper()
	now := begin.AddDate(0, 3, 0)
	h, _ := Open(path, Options{Now: func() time.Time { return now }, Report: func(error) {}})
	definition := definitionOf("a", "b", "c", "d", "e", "f")
	h.SetTargets(definition)
	h.examine()
	for i := range 12 {
		p := definition.Pools[0]
		target := health.MemberTarget(p, p.Members[i%6].Addresses[0])
		now = now.Add(time.Hour)
		down := health.State{Verdict: health.Down, Since: now, Checked: now}
		up := health.State{Verdict: health.Up, Since: now.Add(time.Minute), Checked: now.Add(time.Minute)}
		h.Observe(health.Observation{Target: target, Result: bad(health.Timeout, "no answer"), Before: up, After: down})
		h.Observe(health.Observation{Target: target, Result: good(), Before: down, After: up})
		if i%4 == 0 {
			_ = h.turn(true)
			_, _ = h.Look(t.Context(), Question{Member: patternOf(t, "*")})
		}
	}
	if h.broken != nil {
		t.Errorf("%v", h.broken)
	}
	var last error
	for range 4 { // one try each may find one place that is damaged
		if last = h.turn(true); last == nil {
			break
		}
	}
	if errors.Is(last, errNewer) {
		return // the damage looks like that, and nobody can tell
	}
	if last != nil {
		t.Errorf("nothing is remembered any more: %v", last)
	}
	_ = h.Close()
}

func TestDamagedFiles(t *testing.T) {
	sound := soundFile(t)
	for seed := range testdraw.Cases(t, 5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(seed), 1))
			data := append([]byte(nil), sound...)
			switch random.IntN(5) {
			case 0: // some bytes anywhere
				for range 1 + random.IntN(20) {
					data[random.IntN(len(data))] = byte(random.Uint32())
				}
			case 1: // bytes in the first pages, which say what there is
				for range 1 + random.IntN(5) {
					data[random.IntN(3*pageSize)] = byte(random.Uint32())
				}
			case 2: // a page of nonsense
				at := random.IntN(len(data)/pageSize) * pageSize
				for i := range pageSize {
					data[at+i] = byte(random.Uint32())
				}
			case 3: // the end is missing
				data = data[:random.IntN(len(data))]
			case 4: // pages of zeros
				at := random.IntN(len(data)/pageSize) * pageSize
				clear(data[at:min(at+pageSize*(1+random.IntN(4)), len(data))])
			}
			path := filepath.Join(t.TempDir(), "history.db")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			use(t, path)
			if names, _ := filepath.Glob(path + asideMark + "*"); len(names) > 2*mostAside {
				t.Errorf("%d files are put aside: %q", len(names), names)
			}
		})
	}
}

func FuzzDamagedFile(f *testing.F) {
	sound := soundFile(f)
	f.Add(uint32(0), []byte{0})
	f.Add(uint32(100), []byte("\x0d\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, at uint32, bytes []byte) {
		data := append([]byte(nil), sound...)
		copy(data[int(at)%len(data):], bytes)
		path := filepath.Join(t.TempDir(), "history.db")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		use(t, path)
	})
}

func TestADamagedFileIsPutAsideAndTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	if err := os.WriteFile(path, []byte("this is not a database, though it is long enough to be taken for one by its size alone ........................"), 0o600); err != nil {
		t.Fatal(err)
	}
	var reports []error
	h, err := Open(path, Options{Now: func() time.Time { return begin }, Report: func(err error) { reports = append(reports, err) }})
	if err == nil {
		t.Error("opening nonsense gives no error")
	}
	h.SetTargets(definitionOf("wiki"))
	if err := h.turn(true); err != nil {
		t.Fatal(err)
	}
	if len(reports) != 2 || reports[0] == nil || reports[1] != nil {
		t.Errorf("reports %v, expected the damage and then that writing goes on", reports)
	}
	names, _ := filepath.Glob(path + asideMark + "20260302T060000Z")
	if len(names) != 1 {
		t.Errorf("%q are put aside", names)
	}
	answer, err := h.Look(t.Context(), Question{})
	if err != nil || len(answer.Members) != 1 || len(answer.Members[0].Marks) != 1 || answer.Members[0].Marks[0].Kind != "history" {
		t.Errorf("%v: %+v", err, answer.Members)
	}
	_ = h.Close()
}

func TestAFileOfANewerVersionIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	h, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.write.Exec("PRAGMA user_version=99"); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h, err = Open(path, Options{})
	if !errors.Is(err, errNewer) {
		t.Errorf("opening gives %v", err)
	}
	h.SetTargets(definitionOf("wiki"))
	if err := h.turn(true); !errors.Is(err, errNewer) {
		t.Errorf("writing gives %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the file has changed, %v", err)
	}
}

func TestMigration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	w := newWorld(t, definitionOf("wiki"))
	w.probes(0, time.Hour, bad(health.Timeout, "no answer"))
	w.turn()
	data := w.h.path
	if err := w.h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(data, path); err != nil {
		t.Fatal(err)
	}
	next := append(append([]string(nil), migrations...),
		`ALTER TABLE members ADD COLUMN country TEXT NOT NULL DEFAULT ''`,
		`UPDATE members SET country = 'NL'`)
	s, err := openStore(t.Context(), path, DefaultMaxBytes)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.close() }()
	broken := append(append([]string(nil), next...), `this is no SQL`)
	if err := migrate(t.Context(), s.write, broken); err == nil {
		t.Error("a step that fails gives no error")
	}
	if err := migrate(t.Context(), s.write, next); err != nil {
		t.Fatal(err)
	}
	var country string
	var version, incidents int
	if err := errors.Join(s.read.QueryRow(`SELECT country FROM members`).Scan(&country),
		s.read.QueryRow(`PRAGMA user_version`).Scan(&version), s.read.QueryRow(`SELECT count(*) FROM incidents`).Scan(&incidents)); err != nil {
		t.Fatal(err)
	}
	if country != "NL" || version != len(next) || incidents != 1 {
		t.Errorf("country %q, version %d, %d incidents", country, version, incidents)
	}
}
