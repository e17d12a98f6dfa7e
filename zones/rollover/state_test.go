package rollover

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"mirrorpool/testdraw"
	"mirrorpool/zones/signing"
)

func TestChoose(t *testing.T) {
	keys := testKeys()
	csk, split := base(keys["entry"][0]), base(keys["entry"][0], keys["zone"][0])
	tests := map[string]struct {
		base      *signing.Plan
		kind      Kind
		algorithm uint8
		expected  Wanted
		mistake   string
	}{
		"one key":              {csk, "", 0, Wanted{CSK, dns.ECDSAP256SHA256, true}, ""},
		"one key, said":        {csk, CSK, dns.ECDSAP256SHA256, Wanted{CSK, dns.ECDSAP256SHA256, true}, ""},
		"another algorithm":    {csk, "", dns.ED25519, Wanted{Algorithm, dns.ED25519, true}, ""},
		"the same with kind":   {csk, CSK, dns.ED25519, Wanted{Algorithm, dns.ED25519, true}, ""},
		"KSK":                  {split, KSK, 0, Wanted{KSK, dns.ECDSAP256SHA256, true}, ""},
		"ZSK":                  {split, ZSK, 0, Wanted{ZSK, dns.ECDSAP256SHA256, false}, ""},
		"two by one":           {split, CSK, 0, Wanted{CSK, dns.ECDSAP256SHA256, true}, ""},
		"two, other algorithm": {split, "", dns.ED25519, Wanted{Algorithm, dns.ED25519, true}, ""},
		"which":                {split, "", 0, Wanted{}, "say which"},
		"no KSK":               {csk, KSK, 0, Wanted{}, "one key for everything"},
		"no ZSK":               {csk, ZSK, 0, Wanted{}, "one key for everything"},
		"KSK, other algorithm": {split, KSK, dns.ED25519, Wanted{}, "all keys replaced"},
		"the same algorithm":   {csk, Algorithm, dns.ECDSAP256SHA256, Wanted{}, "already"},
		"not a kind":           {csk, "all", 0, Wanted{}, "expected csk, ksk or zsk"},
		"unsigned":             {&signing.Plan{}, "", 0, Wanted{}, "no key"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			wanted, err := Choose(test.base, test.kind, test.algorithm)
			if wanted != test.expected || (err == nil) != (test.mistake == "") || err != nil && !strings.Contains(err.Error(), test.mistake) {
				t.Errorf("%+v, %v", wanted, err)
			}
		})
	}
}

// started is a rollover in its first step, and its keys.
func started(t *testing.T, kind Kind, key *signing.Key, old ...*signing.Key) State {
	t.Helper()
	state, events, err := State{}.Start(Wanted{Kind: kind}, base(old...), key, epoch)
	if err != nil || len(events) != 1 || events[0].Step != state.Step() {
		t.Fatal(events, err)
	}
	return state
}

// through takes a rollover on to a step, or to its end with an empty one, in which
// every wait takes a minute.
func through(t *testing.T, state State, to Step) (State, time.Time) {
	t.Helper()
	facts := Facts{KeyTTL: time.Minute, ZoneTTL: time.Minute, ParentTTL: time.Minute, Served: true, Parent: ParentChanged}
	now := epoch
	for state.Step() != to {
		if now = now.Add(10 * time.Second); now.After(epoch.Add(time.Hour)) {
			t.Fatalf("step %q is not left for %q", state.Step(), to)
		}
		state, _ = state.Advance(now, facts)
	}
	return state, now
}

func TestWhatIsNotDone(t *testing.T) {
	keys := testKeys()
	csk := started(t, CSK, keys["entry"][1], keys["entry"][0])
	parent, now := through(t, csk, StepParent)
	turned, _, err := parent.Cancel(now)
	if err != nil {
		t.Fatal(err)
	}
	known, _ := through(t, csk, StepParentCaches)
	withdrawn, _, err := State{}.SetWithdraw(true, epoch)
	if err != nil {
		t.Fatal(err)
	}
	zsk := started(t, ZSK, keys["zone"][1], keys["entry"][0], keys["zone"][0])
	signs, _ := through(t, zsk, StepSign)
	tests := map[string]struct {
		do       func() (State, []Event, error)
		expected error
	}{
		"two at once": {func() (State, []Event, error) {
			return csk.Start(Wanted{Kind: CSK}, base(keys["entry"][0]), keys["entry"][2], now)
		}, ErrUnderWay},
		"nothing to cancel":     {func() (State, []Event, error) { return State{}.Cancel(now) }, ErrNone},
		"nothing to be said of": {func() (State, []Event, error) { return State{}.SayParent(now, 0) }, ErrNone},
		"said too early":        {func() (State, []Event, error) { return csk.SayParent(now, 0) }, ErrNotWaiting},
		"said before it is so":  {func() (State, []Event, error) { return turned.SayParent(now, 0) }, ErrTooEarly},
		"cancelled too late":    {func() (State, []Event, error) { return known.Cancel(now) }, ErrTooLate},
		"ZSK cancelled late":    {func() (State, []Event, error) { return signs.Cancel(now) }, ErrTooLate},
		"withdrawn meanwhile":   {func() (State, []Event, error) { return csk.SetWithdraw(true, now) }, ErrUnderWay},
		"rolled while withdrawn": {func() (State, []Event, error) {
			return withdrawn.Start(Wanted{Kind: CSK}, base(keys["entry"][0]), keys["entry"][2], now)
		}, ErrWithdraw},
		"a ZSK while withdrawn": {func() (State, []Event, error) {
			return withdrawn.Start(Wanted{Kind: ZSK}, base(keys["entry"][0], keys["zone"][0]), keys["zone"][2], now)
		}, nil},
		"another algorithm with a key in reserve": {func() (State, []Event, error) {
			reserve := base(keys["entry"][0])
			reserve.Published = append(reserve.Published, keys["entry"][2])
			_, _, err := State{}.Start(Wanted{Kind: Algorithm}, reserve, keys["other"][0], now)
			if err == nil || !strings.Contains(err.Error(), keys["entry"][2].ID()) {
				t.Errorf("%v", err)
			}
			return State{}, nil, nil
		}, nil},
		"said in time":      {func() (State, []Event, error) { return parent.SayParent(now, time.Hour) }, nil},
		"cancelled in time": {func() (State, []Event, error) { return csk.Cancel(now) }, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, _, err := test.do(); !errors.Is(err, test.expected) {
				t.Errorf("%v, expected %v", err, test.expected)
			}
		})
	}
}

// What was said of the parent's TTL counts in place of what may be, but for no less
// than what a server gave.
func TestSaidParentTTL(t *testing.T) {
	keys := testKeys()
	state, now := through(t, started(t, CSK, keys["entry"][1], keys["entry"][0]), StepParent)
	for _, test := range []struct{ said, may, given, waits time.Duration }{
		{0, time.Minute, time.Minute, time.Minute},
		{time.Hour, time.Minute, time.Minute, time.Hour},
		{10 * time.Second, time.Minute, time.Minute, time.Minute},
		{time.Hour, 24 * time.Hour, time.Minute, time.Hour}, // a resolver gave what was left
		{0, 24 * time.Hour, time.Minute, 24 * time.Hour},
	} {
		said, _, err := state.SayParent(now, test.said)
		if err != nil {
			t.Fatal(err)
		}
		said.ParentTTL, said.ParentTTLGiven = 0, 0
		said, _ = said.Advance(now, Facts{Served: true, ParentTTL: test.may, ParentTTLGiven: test.given})
		if wait := said.Until.Sub(now); wait != kept(test.waits) {
			t.Errorf("said %s, given %s: it waits %s", test.said, test.given, wait)
		}
	}
}

// The parent that goes back is waited for again, also against somebody's word; that
// there is to be no DS at all is for people to say.
func TestParentGoesBack(t *testing.T) {
	keys := testKeys()
	state, now := through(t, started(t, CSK, keys["entry"][1], keys["entry"][0]), StepParentCaches)
	for _, test := range []struct {
		said  bool
		found ParentDS
		step  Step
	}{
		{false, ParentUnchanged, StepParent},
		{true, ParentUnchanged, StepParent},
		{false, ParentNone, StepParent},
		{true, ParentNone, StepParentCaches},
		{false, ParentUnknown, StepParentCaches},
		{true, ParentUnknown, StepParentCaches},
	} {
		before := state
		before.ParentSaid, before.ParentTTLSaid = test.said, time.Second
		after, events := before.Advance(now, Facts{Served: true, Parent: test.found})
		back := test.step == StepParent
		if after.Step() != test.step || (len(events) == 1) != back || after.ParentSeen.IsZero() != back || back && (after.ParentSaid || after.ParentTTLSaid > 0) {
			t.Errorf("%+v: step %q, %v", test, after.Step(), events)
		}
	}
}

// What was said and is then seen counts from when it is seen.
func TestSaidAndSeen(t *testing.T) {
	keys := testKeys()
	state, now := through(t, started(t, CSK, keys["entry"][1], keys["entry"][0]), StepParent)
	state, _, err := state.SayParent(now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	state, _ = state.Advance(now, Facts{Served: true})
	later := now.Add(time.Minute)
	state, events := state.Advance(later, Facts{Served: true, Parent: ParentChanged})
	if len(events) != 1 || state.ParentSaid || !state.ParentSeen.Equal(later) {
		t.Errorf("%v, %+v", events, state)
	}
	if state, events = state.Advance(later, Facts{Served: true, Parent: ParentChanged}); len(events) != 0 || !state.Until.Equal(later.Add(kept(time.Hour))) {
		t.Errorf("%v, until %s", events, state.Until)
	}
}

// The old key goes only after the parent's servers were asked once more.
func TestParentIsAskedOnceMore(t *testing.T) {
	keys := testKeys()
	state, now := through(t, started(t, CSK, keys["entry"][1], keys["entry"][0]), StepParentCaches)
	facts := Facts{Served: true, ParentTTL: time.Minute, ParentDue: true}
	now = now.Add(time.Hour)
	state, _ = state.Advance(now, facts)
	if what, _ := state.Waiting(now, facts); state.Step() != StepParentCaches || !strings.Contains(what, "once more") {
		t.Errorf("step %q, it waits for: %s", state.Step(), what)
	}
	facts.ParentDue = false
	if state, _ = state.Advance(now, facts); state.Step() != StepRetire {
		t.Errorf("step %q", state.Step())
	}
}

// A secondary that does not get what is served is waited for until it has expired.
func TestSecondaryBehind(t *testing.T) {
	keys := testKeys()
	state := started(t, KSK, keys["entry"][1], keys["entry"][0], keys["zone"][0])
	facts := Facts{KeyTTL: time.Minute, Propagation: time.Minute, Expire: time.Hour, Served: true, Behind: true}
	state, _ = state.Advance(epoch, facts)
	state, _ = state.Advance(epoch.Add(59*time.Minute), facts)
	if what, _ := state.Waiting(epoch.Add(59*time.Minute), facts); !state.Spread.IsZero() || what != "a secondary is behind" {
		t.Errorf("spread %s, it waits for: %s", state.Spread, what)
	}
	if expired, _ := state.Advance(epoch.Add(time.Hour), facts); expired.Spread.IsZero() {
		t.Error("a dead secondary is waited for")
	}
	facts.Behind = false
	if there, _ := state.Advance(epoch.Add(59*time.Minute), facts); there.Until.Sub(epoch) != 59*time.Minute+kept(time.Minute) {
		t.Errorf("until %s", there.Until)
	}
}

// The files' times alone lead to what the rollover does, step by step; but while an
// algorithm goes, of which its keys sign and are not published: then they stay.
func TestTimesTellTheSame(t *testing.T) {
	for name, beginning := range beginnings() {
		t.Run(name, func(t *testing.T) {
			n := newNode(1, beginning.keys...)
			if err := n.begin(beginning.kind); err != nil {
				t.Fatal(err)
			}
			var seen []Step
			for turn := 0; turn < 5000 && n.state.Kind != ""; turn++ {
				keys := make([]*signing.Key, 0, len(n.keys))
				for _, key := range n.keys {
					key = key.WithTimes(signing.Times{})
					if has(n.base.Published, key) {
						key = key.WithTimes(signing.Times{Publish: epoch.Add(-time.Hour), Activate: epoch.Add(-time.Hour)})
					}
					if times, ours := n.state.Times(key); ours {
						keys = append(keys, key.WithTimes(times))
					} else if has(n.base.Published, key) {
						keys = append(keys, key)
					}
				}
				bare, _, err := signing.PlanOf("example.test.", keys, n.now, 60, time.Hour)
				if err != nil {
					t.Fatal(err)
				}
				planned, told := roles(n.state.Plan(n.base, keys)), roles(bare)
				if name == "KSK and ZSK to CSK" {
					// There is no word for a key that does both beside one that does half.
					delete(planned, "zone")
					delete(told, "zone")
				}
				if diff := cmp.Diff(planned, told); diff != "" && n.state.Step() != StepUnpublish {
					t.Fatalf("step %s (-rollover +times):\n%s", n.state.Step(), diff)
				}
				if len(seen) == 0 || seen[len(seen)-1] != n.state.Step() {
					seen = append(seen, n.state.Step())
				}
				n.now = n.now.Add(5 * time.Second)
				if err := n.parentLooks(); err != nil {
					t.Fatal(err)
				}
				n.looked()
				if err := n.advance(); err != nil {
					t.Fatal(err)
				}
			}
			if len(seen) != len(rulesOf(beginning.kind)) {
				t.Errorf("steps %q", seen)
			}
		})
	}
}

// roles are a plan's keys by what they do, sorted.
func roles(plan *signing.Plan) map[string][]string {
	named := map[string][]string{}
	for role, list := range map[string][]*signing.Key{"published": plan.Published, "zone": plan.Zone, "entry": plan.Entry, "child": plan.Child} {
		for _, key := range list {
			named[role] = append(named[role], key.ID())
		}
		slices.Sort(named[role])
	}
	return named
}

// After a cancelled rollover the old key alone is used, and CDS names it.
func TestTimesAfterCancel(t *testing.T) {
	keys := testKeys()
	old, fresh := keys["entry"][0].WithTimes(signing.Times{Activate: epoch}), keys["entry"][1]
	state, _, err := started(t, CSK, fresh, old).Cancel(epoch.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	var all []*signing.Key
	for _, key := range []*signing.Key{old, fresh} {
		times, ours := state.Times(key)
		if !ours {
			t.Fatalf("%s is none of the rollover's", key.ID())
		}
		all = append(all, key.WithTimes(times))
	}
	plan, _, err := signing.PlanOf("example.test.", all, epoch.Add(time.Hour), 60, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(roles(base(old)), roles(plan)); diff != "" {
		t.Error(diff)
	}
}

// Whatever step it was, a zone whose state is lost stays valid for whoever has copies
// of before, and the parent is told nothing.
func TestFallbackIsNeverBogus(t *testing.T) {
	for name, beginning := range beginnings() {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(testdraw.Cases(t, 10)) {
				for at := range rulesOf(beginning.kind) {
					n := newNode(seed, beginning.keys...)
					n.lenient = true // a fallback may publish an algorithm that does not yet sign everything in caches
					if err := n.begin(beginning.kind); err != nil {
						t.Fatal(err)
					}
					n.stopIn = rulesOf(beginning.kind)[at].step
					if err := n.play(disturbances{}); err != nil {
						t.Fatal(n.failure(err))
					}
					var keys []*signing.Key
					for _, key := range n.keys {
						_, ours := n.state.Times(key)
						if ours || has(n.base.Published, key) {
							keys = append(keys, key)
						}
					}
					plan := Fallback(&signing.Plan{Apex: "example.test.", Now: n.now}, keys)
					if len(plan.Child) > 0 || plan.Withdraw || len(plan.Published) != len(keys) {
						t.Errorf("the fallback is %v", roles(plan))
					}
					n.serve(plan, n.keyTTL, n.zoneTTL)
					if err := n.bogus(); err != nil {
						t.Fatalf("seed %d, step %s: %s", seed, n.stopIn, n.failure(err))
					}
				}
			}
		})
	}
}

// A key that went for good stays away in a fallback.
func TestFallbackLeavesOutWhatIsGone(t *testing.T) {
	keys := testKeys()
	gone := keys["entry"][0].WithTimes(signing.Times{Delete: epoch})
	public := keys["entry"][1]
	plan := Fallback(&signing.Plan{Apex: "example.test.", Now: epoch}, []*signing.Key{gone, public})
	if diff := cmp.Diff(map[string][]string{"published": {public.ID()}, "zone": {public.ID()}, "entry": {public.ID()}}, roles(plan)); diff != "" {
		t.Error(diff)
	}
}

// Where a key's files are gone, the zone is signed with all that are left.
func TestPlanWithoutAKey(t *testing.T) {
	keys := testKeys()
	old, fresh := keys["entry"][0], keys["entry"][1]
	state, _ := through(t, started(t, CSK, fresh, old), StepParent)
	if missing := state.Missing([]*signing.Key{fresh}); missing != old.ID() {
		t.Errorf("%q is missing", missing)
	}
	plan := state.Plan(base(fresh), []*signing.Key{fresh})
	if diff := cmp.Diff(map[string][]string{"published": {fresh.ID()}, "zone": {fresh.ID()}, "entry": {fresh.ID()}}, roles(plan)); diff != "" {
		t.Error(diff)
	}
}
