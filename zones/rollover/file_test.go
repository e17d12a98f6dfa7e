package rollover

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func encoded(t testing.TB) []byte {
	keys := testKeys()
	state, _, err := State{}.Start(Wanted{Kind: Algorithm}, base(keys["entry"][0], keys["zone"][0]), keys["other"][0], epoch)
	if err != nil {
		t.Fatal(err)
	}
	ended := state.end(epoch.Add(time.Hour), true)
	ended.Keys = Held{TTL: time.Minute, Before: time.Hour, Changed: epoch}
	data, err := Encode(map[string]State{"example.test.": state, "other.test.": ended, "third.test.": {Withdraw: true, WithdrawSince: epoch}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestFile(t *testing.T) {
	data := encoded(t)
	states, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Encode(states)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(data), string(again)); diff != "" {
		t.Error(diff)
	}
	if len(states) != 3 || states["example.test."].Step() != StepSign || !states["other.test."].Last.Cancelled || !states["third.test."].Withdraw {
		t.Errorf("%+v", states)
	}
}

func TestDamagedFile(t *testing.T) {
	good := string(encoded(t))
	if _, err := Decode([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(string) string{
		"empty":           func(string) string { return "" },
		"zeros":           func(s string) string { return strings.Repeat("\x00", len(s)) },
		"cut":             func(s string) string { return s[:len(s)/2] },
		"something after": func(s string) string { return s + "{}" },
		"another version": func(s string) string { return strings.Replace(s, `"version": 1`, `"version": 2`, 1) },
		"unknown field":   func(s string) string { return strings.Replace(s, `"algorithm"`, `"algorithms"`, 1) },
		"unknown kind":    func(s string) string { return strings.Replace(s, `"kind": "algorithm"`, `"kind": "all"`, 1) },
		"unknown step":    func(s string) string { return strings.Replace(s, `"step": "sign"`, `"step": "signs"`, 1) },
		"no keys":         func(s string) string { return strings.Replace(s, `"old": [`, `"old": [], "x": [`, 1) },
		"no kind":         func(s string) string { return strings.Replace(s, `"kind": "algorithm",`, ``, 1) },
		"no role":         func(s string) string { return strings.Replace(s, `"entry": true`, `"entry": false`, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			if states, err := Decode([]byte(damage(good))); err == nil || states != nil {
				t.Errorf("%+v, %v", states, err)
			}
		})
	}
}

// Whatever a file holds, what is read of it can be worked with.
func FuzzDecode(f *testing.F) {
	f.Add(encoded(f))
	f.Add([]byte(`{"version":1,"zones":{"example.test.":{"kind":"csk","old":[{"id":"Ka","zone":true}],"new":[{"id":"Kb","entry":true}],"steps":[{"step":"undo","at":"2027-01-01T00:00:00Z"}]}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		states, err := Decode(data)
		if err != nil {
			return
		}
		keys := testKeys()["all"]
		facts := Facts{KeyTTL: time.Minute, ZoneTTL: time.Minute, Served: true, Parent: ParentChanged}
		for _, state := range states {
			if plan := state.Plan(base(keys[0]), keys); len(plan.Published) == 0 {
				t.Error("no key is published")
			}
			state.Waiting(epoch, facts)
			state.Forecast(facts)
			_, _, _ = state.Cancel(epoch)
			for _, key := range keys {
				state.Times(key)
			}
			state.Advance(epoch, facts)
		}
		again, err := Encode(states)
		if err != nil {
			t.Skip("times that JSON has no words for")
		}
		if twice, err := Decode(again); err != nil {
			t.Error(err)
		} else if last, _ := Encode(twice); !bytes.Equal(last, again) {
			t.Errorf("%s became %s", again, last)
		}
	})
}
