package rollover

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorpool/testdraw"
	"mirrorpool/zones/signing"
)

// turnBack plays a rollover until it waits for the parent, which may have changed its
// DS or be about to, turns it back and plays it to its end.
func (n *node) turnBack(kind Kind, with disturbances) error {
	if err := n.begin(kind); err != nil {
		return err
	}
	n.stopIn = StepParent
	if err := n.play(disturbances{}); err != nil {
		return err
	}
	for range n.random.IntN(3) {
		if err := n.parentLooks(); err != nil {
			return err
		}
	}
	state, events, err := n.state.Cancel(n.clock())
	if err != nil {
		return err
	}
	n.state, n.parentSays, n.stopIn = state, ParentUnknown, ""
	n.note("%s", events[0].Text)
	n.changed()
	return n.play(with)
}

// Whatever the parent did meanwhile, a rollover that is turned back ends with the keys
// that it began with, and nothing is ever bogus, nor when it acts late on CDS records
// of before.
func TestTurnedBackIsNeverBogus(t *testing.T) {
	for name, beginning := range beginnings() {
		if beginning.kind == ZSK {
			continue // the parent has nothing to do
		}
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(testdraw.Cases(t, 20)) {
				n := newNode(seed, beginning.keys...)
				before := roles(n.base)
				err := n.turnBack(beginning.kind, disturbances{restarts: true, clock: true, ttls: true, lateParent: seed%4 < 2, lied: seed%4 == 3})
				if err == nil {
					err = n.laterLooks()
				}
				if err != nil {
					t.Fatalf("seed %d: %s", seed, n.failure(err))
				}
				if last := n.state.Last; n.state.Kind != "" || last == nil || !last.Turned || last.Cancelled {
					t.Fatalf("seed %d: ended as %+v\n%s", seed, last, n.failure(nil))
				}
				if diff := cmp.Diff(before, roles(n.base)); diff != "" {
					t.Errorf("seed %d: other keys than before:\n%s", seed, diff)
				}
			}
		})
	}
}

// laterLooks lets the parent act on what it has read, once the rollover is over.
func (n *node) laterLooks() error {
	for range 100 {
		n.now = n.now.Add(5 * time.Second)
		if err := n.parentLooks(); err != nil {
			return err
		}
	}
	return nil
}

// The model finds what is waited for before the parent is believed.
func TestModelFindsMissingWaitsOfTurning(t *testing.T) {
	for name, test := range map[string]struct {
		wrong         func(*Facts)
		keyTTL, delay int // seconds; the other waits are short, so that nothing else is noticed in time
	}{
		"the parent's delay": {func(f *Facts) { f.ParentDelay = 0 }, 5, 300},
		"copies of CDS":      {func(f *Facts) { f.ParentDelay -= kept(f.KeyTTL) }, 300, 5},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(400) {
				n := newNode(seed, testKeys()["entry"][0])
				n.lazyParent, n.propagation, n.parentTTL = true, seconds(n.random, 5), seconds(n.random, 5)
				n.keyTTL, n.parentDelay = seconds(n.random, test.keyTTL), seconds(n.random, test.delay)
				n.versions[0].keyTTL = n.keyTTL
				n.wrong = func(f *Facts) {
					if n.state.Turned && n.state.Step() == StepParent {
						test.wrong(f)
					}
				}
				if n.turnBack(CSK, disturbances{lateParent: true}) != nil || n.laterLooks() != nil {
					return
				}
			}
			t.Error("it is not waited for, and nothing is bogus")
		})
	}
}

// The files' times alone lead to what a rollover does that is turned back, and to what
// was before once it is over.
func TestTimesTellTheSameWhenTurned(t *testing.T) {
	keys := testKeys()
	for name, fresh := range map[string]*signing.Key{"CSK": keys["entry"][1], "algorithm": keys["other"][0]} {
		t.Run(name, func(t *testing.T) {
			old := keys["entry"][0].WithTimes(signing.Times{Publish: epoch.Add(-time.Hour), Activate: epoch.Add(-time.Hour)})
			all := []*signing.Key{old, fresh.WithTimes(Inert(epoch))}
			wanted, err := Choose(base(old), "", fresh.Algorithm())
			if err != nil {
				t.Fatal(err)
			}
			state, _, err := State{}.Start(wanted, base(old), all[1], epoch)
			if err != nil {
				t.Fatal(err)
			}
			now := epoch
			facts := Facts{KeyTTL: time.Minute, ZoneTTL: time.Minute, ParentTTL: time.Minute, ParentDelay: time.Hour, Served: true, Parent: ParentChanged}
			for step := Step("none"); step != ""; {
				if state.Step() == StepParent { // also where it goes back already
					if state, _, err = state.Cancel(now); err != nil {
						t.Fatal(err)
					}
				}
				step = state.Step()
				for i, key := range all {
					times, ours := state.Times(key)
					if !ours {
						t.Fatalf("%s is none of the rollover's", key.ID())
					}
					all[i] = key.WithTimes(times)
				}
				plan, _, err := signing.PlanOf("example.test.", all, now, 60, time.Hour)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(roles(state.Plan(base(old), all)), roles(plan)); diff != "" && step != StepUnpublish {
					t.Fatalf("step %s (-rollover +times):\n%s", step, diff)
				}
				if since := state.Plan(base(old), all).ChildSince; state.Turned && !since.Equal(plan.ChildSince) {
					t.Errorf("step %s: CDS is since %s, and by the times %s", step, since, plan.ChildSince)
				}
				now = now.Add(30 * time.Second)
				state, _ = state.Advance(now, facts)
				if now.Sub(epoch) > 10*time.Hour {
					t.Fatalf("it is not over: step %s", step)
				}
			}
			if last := state.Last; !last.Turned || last.Cancelled || last.New[0].ID != old.ID() {
				t.Errorf("it ended as %+v", last)
			}
			if now.Sub(epoch) < time.Hour {
				t.Errorf("it was over after %s", now.Sub(epoch))
			}
		})
	}
}

// Who says twice that a rollover is to go back, such as after a time-out, wants it to go
// back, whatever step it is in by then.
func TestCancelledOnceMore(t *testing.T) {
	keys := testKeys()
	facts := Facts{KeyTTL: time.Minute, ZoneTTL: time.Minute, ParentTTL: time.Minute, Served: true, Parent: ParentChanged}
	for begins, once := range map[Step]Step{StepParent: StepParent, StepPublish: StepUndo} {
		state, now := through(t, started(t, Algorithm, keys["other"][0], keys["entry"][0]), begins)
		state, events, err := state.Cancel(now)
		if err != nil || len(events) != 1 || state.Step() != once {
			t.Fatalf("from %s to %s: %v, %v", begins, state.Step(), events, err)
		}
		var steps []Step
		for state.Kind != "" && now.Before(epoch.Add(time.Hour)) {
			again, events, err := state.Cancel(now)
			if diff := cmp.Diff(state, again); err != nil || len(events) > 0 || diff != "" {
				t.Fatalf("step %s: %v, %v (-once +twice):\n%s", state.Step(), events, err, diff)
			}
			if len(steps) == 0 || steps[len(steps)-1] != state.Step() {
				steps = append(steps, state.Step())
			}
			now = now.Add(10 * time.Second)
			state, _ = state.Advance(now, facts)
		}
		if state.Kind != "" || once == StepParent && len(steps) != 4 {
			t.Errorf("from %s it came by %s to %q", begins, steps, state.Step())
		}
		if _, _, err := state.Cancel(now); !errors.Is(err, ErrNone) {
			t.Errorf("nothing is under way: %v", err)
		}
	}
}

// A rollover that was turned back has waited for the CDS of before once it believes the
// parent: it does not wait for that again when the parent is found to be otherwise.
func TestTurnedAndDenied(t *testing.T) {
	keys := testKeys()
	state, now := through(t, started(t, CSK, keys["entry"][1], keys["entry"][0]), StepParent)
	state, _, err := state.Cancel(now)
	if err != nil {
		t.Fatal(err)
	}
	facts := Facts{KeyTTL: time.Minute, ParentDelay: 72 * time.Hour, Served: true, Parent: ParentChanged}
	state, _ = state.Advance(now, facts)
	if _, _, err := state.SayParent(now, 0); !errors.Is(err, ErrTooEarly) {
		t.Errorf("said at once: %v", err)
	}
	now = state.Until
	if state, _ = state.Advance(now, facts); state.Step() != StepParentCaches {
		t.Fatalf("step %q", state.Step())
	}
	now = now.Add(time.Minute)
	facts.Parent = ParentUnchanged
	state, events := state.Advance(now, facts)
	if state.Step() != StepParent || len(events) != 1 {
		t.Fatalf("step %q, %v", state.Step(), events)
	}
	data, err := Encode(map[string]State{"example.test.": state})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Decode(data); err != nil {
		t.Error(err)
	}
	if what, until := state.Waiting(now, facts); !strings.Contains(what, "is to name the old key") || !until.IsZero() {
		t.Errorf("it waits for: %s, %s", what, until)
	}
	if at := state.Forecast(facts)[0]; at.Wait != 0 || !at.Parent {
		t.Errorf("what is ahead: %+v", at)
	}
	if state, _ := state.Advance(now, facts); state.Step() != StepParent {
		t.Errorf("a parent that has the other DS is believed: step %q", state.Step())
	}
	if said, _, err := state.SayParent(now, 0); err != nil || said.Step() != StepParentCaches {
		t.Errorf("said: step %q, %v", said.Step(), err)
	}
	facts.Parent = ParentChanged
	if state, _ = state.Advance(now, facts); state.Step() != StepParentCaches || !state.ParentSeen.Equal(now) {
		t.Errorf("seen: step %q, %s", state.Step(), state.ParentSeen)
	}
}

// All that people read of the parent, of what goes and of what is over names the keys by
// their tags, so that nobody hands in the DS of the wrong one.
func TestWordsNameTheKeys(t *testing.T) {
	keys := testKeys()
	zone, fresh := keys["zone"][0], keys["other"][0]
	for name, test := range map[string]struct {
		turned   bool
		to, from string
	}{
		"on": {false, fmt.Sprintf("the new key %d", fresh.Tag()), fmt.Sprintf("the old keys %d and %d", keys["entry"][0].Tag(), zone.Tag())},
		// The parent has nothing to do with the key of the zone.
		"turned back": {true, fmt.Sprintf("the old key %d", keys["entry"][0].Tag()), fmt.Sprintf("the new key %d", fresh.Tag())},
	} {
		t.Run(name, func(t *testing.T) {
			state, now := through(t, started(t, Algorithm, fresh, keys["entry"][0], zone), StepParent)
			facts := Facts{KeyTTL: time.Minute, ZoneTTL: time.Minute, ParentTTL: time.Minute, Served: true}
			var told []string
			tell := func(events []Event) {
				for _, event := range events {
					told = append(told, event.Text)
				}
			}
			if test.turned {
				var events []Event
				state, events, _ = state.Cancel(now)
				tell(events)
			} else {
				told = append(told, state.About(StepParent))
			}
			state, _ = state.Advance(now, facts)
			now = now.Add(time.Hour)
			waits, _ := state.Waiting(now, facts)
			told = append(told, waits)
			said, events, err := state.SayParent(now, 0)
			if err != nil {
				t.Fatal(err)
			}
			tell(events)
			facts.Parent = ParentChanged
			_, events = said.Advance(now, facts)
			tell(events)
			state, events = state.Advance(now, facts)
			tell(events)
			told = append(told, state.About(state.Step()))
			facts.Parent = ParentUnchanged
			_, events = state.Advance(now, facts)
			tell(events)
			for _, event := range told {
				if !strings.Contains(event, test.to) || strings.Contains(event, test.from) {
					t.Errorf("not of %s alone: %s", test.to, event)
				}
			}
			if len(told) != 7 {
				t.Errorf("%q", told)
			}
			told, facts.Parent = nil, ParentChanged
			for _, ahead := range state.Forecast(facts)[1:] {
				told = append(told, ahead.About)
			}
			for _, gone := range told {
				if !strings.Contains(gone, test.from) || strings.Contains(gone, test.to) {
					t.Errorf("not of %s alone: %s", test.from, gone)
				}
			}
			if len(told) != 2 || state.Target() != test.to {
				t.Errorf("%q, to %s", told, state.Target())
			}
			for state.Kind != "" && len(told) < 1000 {
				now = now.Add(10 * time.Second)
				state, events = state.Advance(now, facts)
				tell(events)
			}
			if last := told[len(told)-1]; !strings.Contains(last, test.to) || strings.Contains(last, "done") == test.turned {
				t.Errorf("over with: %s", last)
			}
			if slices.ContainsFunc(told, func(text string) bool { return strings.ContainsAny(text, "{}") }) {
				t.Errorf("%q", told)
			}
		})
	}
}
