package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/miekg/dns"
	"github.com/rs/zerolog"

	"mirrorpool/pool"
	"mirrorpool/zones"
	"mirrorpool/zones/signing"
)

// signedZones are zone files with an SOA each.
func signedZones(t *testing.T, names ...string) *zones.Static {
	t.Helper()
	files := fstest.MapFS{"mirrors.json": {Data: []byte(`{"mirrors": []}`)}}
	for _, name := range names {
		files["zones/"+name+".zone"] = &fstest.MapFile{Data: []byte("$TTL 300\n@ IN SOA ns h 1 2 3 4 5\n@ IN NS ns\nns IN A 127.0.0.1\n")}
	}
	content, problems := readRepository(files)
	if content == nil {
		t.Fatal(problems)
	}
	if pool.HasErrors(problems) {
		t.Fatal(problems)
	}
	return content.static
}

func writeKey(t *testing.T, directory, zone string) *signing.Key {
	t.Helper()
	now := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	key, err := signing.Generate(zone, dns.ECDSAP256SHA256, true, signing.Times{Created: now, Publish: now, Activate: now})
	if err != nil {
		t.Fatal(err)
	}
	if err := signing.WriteKey(directory, key); err != nil {
		t.Fatal(err)
	}
	return key
}

func openTestKeys(t *testing.T, directory string) *keys {
	t.Helper()
	state, err := openStateDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { state.close() })
	k := newKeys(zerolog.Nop(), newStages(time.Now))
	k.clock = newSigningClock(zerolog.Nop(), k.stages, state, time.Time{})
	if err := k.use(keysSettings{directory: directory, lifetime: 336 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	return k
}

// TestKeysWrittenDuringAReload: a key that a rollover writes, and reads, while a reload is
// under way is not lost to what the reload had read before.
func TestKeysWrittenDuringAReload(t *testing.T) {
	directory := t.TempDir()
	first := writeKey(t, directory, "one.example.")
	k := openTestKeys(t, directory)
	change, err := k.prepare(keysSettings{directory: directory, lifetime: 240 * time.Hour}, nil)
	if err != nil {
		t.Fatal(err)
	}
	second := writeKey(t, directory, "one.example.")
	if !k.refresh() {
		t.Error("a new key is not seen")
	}
	k.adopt(change)
	if got := k.of("one.example."); len(got) != 2 {
		t.Errorf("%d keys are known, want %s and %s", len(got), first.ID(), second.ID())
	}
	if k.settings.lifetime != 240*time.Hour {
		t.Errorf("signatures live %s", k.settings.lifetime)
	}
}

// TestBadKeysChangeNothing: what becomes bad in the directory is said, and zones go on
// being signed as they were.
func TestBadKeysChangeNothing(t *testing.T) {
	directory := t.TempDir()
	static := signedZones(t, "one.example", "two.example", "three.example")
	one, two := writeKey(t, directory, "one.example."), writeKey(t, directory, "two.example.")
	k := openTestKeys(t, directory)
	signedWith := func(want map[string]*signing.Key) {
		t.Helper()
		plans, _, _ := k.plansFor(static, nil)
		if len(plans) != len(want) {
			t.Errorf("%d zones are signed, want %d", len(plans), len(want))
		}
		for apex, key := range want {
			if plan := plans[apex]; plan == nil || !slices.EqualFunc(plan.Zone, []*signing.Key{key}, (*signing.Key).Same) {
				t.Errorf("%s is not signed with %s", apex, key.ID())
			}
		}
	}
	signedWith(map[string]*signing.Key{"one.example.": one, "two.example.": two})

	private := filepath.Join(directory, one.ID()+".private")
	good, err := os.ReadFile(private)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(private, good[:len(good)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	three := writeKey(t, directory, "three.example.")
	if !k.refresh() {
		t.Error("a new key is not seen")
	}
	signedWith(map[string]*signing.Key{"one.example.": one, "two.example.": two, "three.example.": three})
	failing := k.stages.list()
	if len(failing) != 1 || failing[0].stage != stageKeys || !strings.Contains(failing[0].err.Error(), one.ID()) {
		t.Errorf("what fails is %v, expected the key %s", failing, one.ID())
	}

	if err := os.WriteFile(private, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if k.refresh() {
		t.Error("the same keys are other ones")
	}
	if failing := k.stages.list(); len(failing) != 0 {
		t.Errorf("%v fails still", failing)
	}

	// Files that are gone, one or all of them, are said, and missed by nobody else.
	for _, file := range []string{two.ID() + ".key", two.ID() + ".private", one.ID() + ".key", one.ID() + ".private"} {
		if err := os.Rename(filepath.Join(directory, file), filepath.Join(t.TempDir(), file)); err != nil {
			t.Fatal(err)
		}
		k.refresh()
		signedWith(map[string]*signing.Key{"one.example.": one, "two.example.": two, "three.example.": three})
		if failing := k.stages.list(); len(failing) != 1 || !strings.Contains(failing[0].err.Error(), two.ID()) {
			t.Errorf("%s is gone, and what fails is %v", file, failing)
		}
	}

	if err := os.RemoveAll(directory); err != nil {
		t.Fatal(err)
	}
	if k.refresh() {
		t.Error("a directory that is gone changes something")
	}
	signedWith(map[string]*signing.Key{"one.example.": one, "two.example.": two, "three.example.": three})
	if err := k.use(keysSettings{directory: directory, lifetime: time.Hour}); err == nil || !strings.Contains(err.Error(), directory) {
		t.Errorf("a configuration with a directory that is not there: %v", err)
	}
	signedWith(map[string]*signing.Key{"one.example.": one, "two.example.": two, "three.example.": three})
}

// TestSignedParentsDelegate: a zone below a signed one that does not delegate it is
// said, for validators do not find it.
func TestSignedParentsDelegate(t *testing.T) {
	directory := t.TempDir()
	static := signedZones(t, "example", "child.example")
	k := openTestKeys(t, directory)
	k.plansFor(static, nil)
	if failing := k.stages.list(); len(failing) != 0 {
		t.Errorf("without keys, %v fails", failing)
	}
	writeKey(t, directory, "child.example.")
	k.refresh()
	k.plansFor(static, nil)
	if failing := k.stages.list(); len(failing) != 0 {
		t.Errorf("with the child's key alone, %v fails", failing)
	}
	writeKey(t, directory, "example.")
	k.refresh()
	if plans, _, _ := k.plansFor(static, nil); len(plans) != 2 {
		t.Errorf("%d zones are signed, want 2", len(plans))
	}
	failing := k.stages.list()
	if len(failing) != 1 || failing[0].stage != stageSigning || !strings.Contains(failing[0].err.Error(), "zone child.example. lies in example.,") {
		t.Errorf("what fails is %v, expected the child", failing)
	}
}

// TestSigningClockIsHeld: a clock that jumps, or starts in the past, is said, and
// signatures are made as of the time before; a restart knows the time of the last run.
func TestSigningClockIsHeld(t *testing.T) {
	directory := t.TempDir()
	state, err := openStateDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	defer state.close()
	stages := newStages(time.Now)
	wall, steady := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), time.Hour
	start := func() *signingClock {
		c := newSigningClock(zerolog.Nop(), stages, state, time.Time{})
		c.wall, c.monotonic = func() time.Time { return wall }, func() time.Duration { return steady }
		return c
	}
	created := wall.Add(-24 * time.Hour)
	c := start()
	expect := func(want time.Time, fails bool) {
		t.Helper()
		if got := c.now(created); !got.Equal(want) {
			t.Errorf("signs as of %s, want %s", got, want)
		}
		if failing := len(stages.list()) > 0; failing != fails {
			t.Errorf("the clock fails: %v, want %v", failing, fails)
		}
	}
	expect(wall, false)
	wall, steady = wall.Add(time.Minute), steady+time.Minute
	expect(wall, false)
	c.keep(wall)

	right := wall
	wall = wall.Add(400 * 24 * time.Hour)
	expect(right, true)
	wall = right
	expect(right, false)

	wall = time.Date(1970, 1, 1, 0, 5, 0, 0, time.UTC) // a machine without a battery
	c = start()
	expect(right, true)
	// What is due by the time that is signed as of comes when it has come.
	if got := c.wallAt(right.Add(time.Hour)); !got.Equal(wall.Add(time.Hour)) {
		t.Errorf("what is due in an hour comes at %s", got)
	}
	wall, steady = right.Add(time.Minute), steady+time.Minute
	expect(wall, false)

	if err := os.WriteFile(state.file(clockFile), []byte("yesterday"), 0o600); err != nil {
		t.Fatal(err)
	}
	c = start()
	expect(wall, false)
}
