package main

import (
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/rs/zerolog"

	"mirrorpool/admin"
	"mirrorpool/zones"
	"mirrorpool/zones/rollover"
	"mirrorpool/zones/rollover/parent"
	"mirrorpool/zones/signing"
)

// TestRolloverNeedsItsState: what cannot be written down does not take effect.
func TestRolloverNeedsItsState(t *testing.T) {
	r := newRollingNode(t, "")
	writeKey(t, r.path("keys"), "example.test.")
	r.begin()
	r.eventually("the zone is signed", func() bool { return len(r.published()) == 1 })
	if err := os.Rename(r.path("state"), r.path("gone")); err != nil {
		t.Fatal(err)
	}
	if err := r.change(admin.RolloverStart); err == nil {
		t.Error("a rollover begins")
	}
	if described := r.signing(); described.Rollover != nil {
		t.Errorf("it takes effect: %+v", described.Rollover)
	}
	if err := os.Rename(r.path("gone"), r.path("state")); err != nil {
		t.Fatal(err)
	}
	if err := r.change(admin.RolloverStart); err != nil {
		t.Fatal(err)
	}
	r.eventually("both keys are published", func() bool { return len(r.published()) == 2 })
}

// TestRolloverWithoutItsKey: where a server starts without a key's files the rollover
// stands still, all that are left sign, and it is said.
func TestRolloverWithoutItsKey(t *testing.T) {
	r := newRollingNode(t, "")
	old := writeKey(t, r.path("keys"), "example.test.")
	r.begin()
	if err := r.change(admin.RolloverStart); err != nil {
		t.Fatal(err)
	}
	r.step(rollover.StepParent)
	r.eventually("the files say so", func() bool {
		r.node.rollovers.mutex.Lock()
		state := r.node.rollovers.states["example.test."]
		r.node.rollovers.mutex.Unlock()
		for _, key := range r.node.keys.of("example.test.") {
			if times, ours := state.Times(key); ours && !times.Equal(key.Times) {
				return false
			}
		}
		return true
	})
	name := r.path("keys/" + old.ID())
	for _, suffix := range []string{".key", ".private"} {
		if err := os.Rename(name+suffix, r.path("away"+suffix)); err != nil {
			t.Fatal(err)
		}
	}
	r.node.refreshKeys()
	if described := r.signing(); described.Problem != "" || len(r.published()) != 2 {
		t.Errorf("the server that has the key in memory misses it: %+v", described)
	}
	r.stop()
	r.begin()
	r.eventually("it is said", func() bool {
		for _, one := range r.node.stages.list() {
			if one.stage == stageRollovers {
				return true
			}
		}
		return false
	})
	if described := r.signing(); !strings.Contains(described.Problem, "bogus") || described.Rollover.Step != string(rollover.StepParent) {
		t.Errorf("%+v", described)
	}
	r.eventually("CDS is left out", func() bool { return len(r.ask("example.test.", dns.TypeCDS).Answer) == 0 })
	for _, suffix := range []string{".private", ".key"} {
		if err := os.Rename(r.path("away"+suffix), name+suffix); err != nil {
			t.Fatal(err)
		}
	}
	r.node.refreshKeys()
	r.eventually("it goes on", func() bool { return r.signing().Problem == "" })
}

// TestRolloversShiftWithTheClock: a clock that is set makes no wait shorter or longer.
func TestRolloversShiftWithTheClock(t *testing.T) {
	at, steady := time.Unix(1_800_000_000, 0), time.Hour
	until := at.Add(time.Hour)
	state := rollover.State{
		Kind: rollover.CSK, Old: []rollover.Role{{ID: "Ka", Zone: true}}, New: []rollover.Role{{ID: "Kb", Entry: true}},
		Steps: []rollover.Reached{{Step: rollover.StepPublish, At: at}}, Served: at, Spread: at, Until: until,
	}
	r := &rollovers{
		logger: zerolog.Nop(), table: func() *zones.Table { return nil },
		now: func() time.Time { return at }, monotonic: func() time.Duration { return steady },
		states: map[string]rollover.State{"example.test.": state}, served: map[string]servedZone{"example.test.": {since: at}},
	}
	r.look()
	for _, step := range []struct{ wall, monotonic, shifted time.Duration }{
		{time.Minute, time.Minute, 0},
		{10*time.Hour + time.Minute, time.Minute, 10 * time.Hour},
		{-20 * time.Hour, 0, -20 * time.Hour},
		{time.Minute + 300*time.Millisecond, time.Minute, 0},
	} {
		at, steady = at.Add(step.wall), steady+step.monotonic
		until = until.Add(step.shifted)
		r.shifted = false
		r.look()
		if got := r.states["example.test."].Until; !got.Equal(until) || r.shifted != (step.shifted != 0) {
			t.Errorf("the clock went on by %s in %s: the wait ends %s, expected %s; shifted: %v", step.wall, step.monotonic, got, until, r.shifted)
		}
	}
}

func TestPropagation(t *testing.T) {
	served := servedZone{refresh: time.Hour}
	for name, test := range map[string]struct {
		settings rolloverSettings
		expected time.Duration
	}{
		"alone":            {rolloverSettings{}, 2 * time.Second},
		"with secondaries": {rolloverSettings{secondaries: true}, time.Hour + 2*time.Second},
		"said":             {rolloverSettings{secondaries: true, propagation: time.Minute}, time.Minute},
	} {
		if got := propagation(test.settings, served); got != test.expected {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestParentSays(t *testing.T) {
	old, fresh := writeKey(t, t.TempDir(), "example.test."), writeKey(t, t.TempDir(), "example.test.")
	spare := writeKey(t, t.TempDir(), "example.test.")
	has := func(keys ...*signing.Key) parent.Answer {
		answer := parent.Answer{}
		for _, key := range keys {
			answer.Records = append(answer.Records, key.DS(2))
		}
		return answer
	}
	silent := parent.Answer{Err: os.ErrDeadlineExceeded}
	for name, test := range map[string]struct {
		answers  []parent.Answer
		expected rollover.ParentDS
	}{
		"nobody asked":            {nil, rollover.ParentUnknown},
		"all new":                 {[]parent.Answer{has(fresh), has(fresh)}, rollover.ParentChanged},
		"one is silent":           {[]parent.Answer{has(fresh), silent}, rollover.ParentUnknown},
		"one old, one is silent":  {[]parent.Answer{has(old), silent}, rollover.ParentUnchanged},
		"both":                    {[]parent.Answer{has(fresh, old)}, rollover.ParentUnchanged},
		"none":                    {[]parent.Answer{has()}, rollover.ParentNone},
		"all are silent, as ever": {[]parent.Answer{silent}, rollover.ParentUnknown},
	} {
		if got := parentSays(parent.Summary{Answers: test.answers}, []*signing.Key{fresh}, []*signing.Key{old}); got != test.expected {
			t.Errorf("%s: %v", name, got)
		}
	}
	// Of several old keys the parent names but those that it did.
	keys, role := []*signing.Key{old, fresh, spare}, func(key *signing.Key) rollover.Role { return rollover.Role{ID: key.ID(), Entry: true} }
	state := rollover.State{Turned: true, Old: []rollover.Role{role(fresh)}, New: []rollover.Role{role(old), role(spare)}}
	for name, test := range map[string]struct {
		answer   parent.Answer
		expected rollover.ParentDS
	}{
		"one of the old":   {has(old), rollover.ParentChanged},
		"both of the old":  {has(old, spare), rollover.ParentChanged},
		"old and new":      {has(old, fresh), rollover.ParentUnchanged},
		"new":              {has(fresh), rollover.ParentUnchanged},
		"none at all":      {has(), rollover.ParentNone},
		"nobody has heard": {silent, rollover.ParentUnknown},
	} {
		summary := parent.Summary{Answers: []parent.Answer{test.answer}}
		wanted, unwanted := parentKeys(state, keys, summary)
		if got := parentSays(summary, wanted, unwanted); got != test.expected {
			t.Errorf("turned back, %s: %v", name, got)
		}
	}
}

// What is kept is read back by the next run, whatever the zone is called.
func TestRolloverStateIsPlainJSON(t *testing.T) {
	data, err := rollover.Encode(map[string]rollover.State{"a\\.b.test.": {Withdraw: true, WithdrawSince: time.Unix(1, 0).UTC()}})
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(data) {
		t.Errorf("%s", data)
	}
	states, err := rollover.Decode(data)
	if err != nil || !states["a\\.b.test."].Withdraw {
		t.Errorf("%v, %v", states, err)
	}
}

// TestParentAnswersAreOfThoseNamed: what the parent's servers said counts as long as
// they are those that are named, and the zone is served.
func TestParentAnswersAreOfThoseNamed(t *testing.T) {
	named := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}
	others := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.2:53")}
	at := time.Unix(1_800_000_000, 0)
	r := &rollovers{
		logger: zerolog.Nop(), settings: func() rolloverSettings { return rolloverSettings{parents: named} },
		now:     func() time.Time { return at },
		served:  map[string]servedZone{"example.test.": {plan: &signing.Plan{TTL: 300}}},
		parents: map[string]parent.Summary{},
	}
	said := parent.Summary{At: at, Answers: []parent.Answer{{}}}
	asks := func(what string, want int) {
		t.Helper()
		if due := r.parentsDue(); len(due) != want {
			t.Errorf("%s: asks for %v, want %d zones", what, due, want)
		}
	}
	asks("at the start", 1)
	r.heard("example.test.", named, said)
	r.heard("gone.test.", named, said)
	asks("after the answer", 0)
	if len(r.parents) != 1 {
		t.Errorf("answers are kept of %v", r.parents)
	}
	before := named
	named = others
	asks("with others named", 1)
	r.heard("example.test.", before, said)
	asks("after a late answer of those of before", 1)
	r.heard("example.test.", others, said)
	asks("after the answer of the others", 0)
	named = nil
	asks("with nobody named", 0)
	if len(r.parents) != 0 {
		t.Errorf("with nobody named answers are kept of %v", r.parents)
	}
}
