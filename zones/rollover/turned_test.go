package rollover

import (
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
			now, turned := epoch, 0
			facts := Facts{KeyTTL: time.Minute, ZoneTTL: time.Minute, ParentTTL: time.Minute, ParentDelay: time.Hour, Served: true, Parent: ParentChanged}
			for step := Step("none"); step != ""; {
				if state.Step() == StepParent && turned < 3 { // back, on, and back again
					turned++
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
