package rollover

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mirrorpool/testdraw"
	"mirrorpool/zones/signing"
)

// beginnings are the keys that each kind of rollover begins with.
func beginnings() map[string]struct {
	kind Kind
	keys []*signing.Key
} {
	keys := testKeys()
	entry, zone := keys["entry"], keys["zone"]
	return map[string]struct {
		kind Kind
		keys []*signing.Key
	}{
		"CSK":                        {CSK, entry[:1]},
		"two CSKs to one":            {CSK, entry[:2]},
		"KSK":                        {KSK, []*signing.Key{entry[0], zone[0]}},
		"ZSK":                        {ZSK, []*signing.Key{entry[0], zone[0]}},
		"KSK and ZSK to CSK":         {CSK, []*signing.Key{entry[0], zone[0]}},
		"algorithm, CSK":             {Algorithm, entry[:1]},
		"algorithm, KSK and ZSK":     {Algorithm, []*signing.Key{entry[0], zone[0]}},
		"algorithm, two CSKs to one": {Algorithm, entry[:2]},
	}
}

func (n *node) failure(err error) string {
	return fmt.Sprintf("%v\nkey TTL %s, zone TTL %s, parent TTL %s, propagation %s\n%s", err, n.keyTTL, n.zoneTTL, n.parentTTL, n.propagation, strings.Join(n.log, "\n"))
}

// Whatever happens, no copies that a validator may hold together are bogus.
func TestNeverBogus(t *testing.T) {
	cases := map[string]disturbances{
		"quiet":                  {},
		"restarts":               {restarts: true},
		"clock":                  {clock: true},
		"TTLs":                   {ttls: true},
		"cancelled":              {cancels: true},
		"a late parent":          {lateParent: true},
		"a parent that is deaf":  {deafParent: true, restarts: true},
		"somebody says it":       {said: true, lateParent: true},
		"somebody is wrong":      {lied: true, lateParent: true},
		"wrong, and restarts":    {lied: true, lateParent: true, restarts: true},
		"all of it":              {restarts: true, clock: true, ttls: true, lateParent: true},
		"all of it, and cancels": {restarts: true, clock: true, ttls: true, lateParent: true, cancels: true},
	}
	for name, beginning := range beginnings() {
		for what, with := range cases {
			t.Run(name+"/"+what, func(t *testing.T) {
				for seed := range uint64(testdraw.Cases(t, 10)) {
					n := newNode(seed, beginning.keys...)
					if err := n.roll(beginning.kind, with); err != nil {
						t.Fatalf("seed %d: %s", seed, n.failure(err))
					}
					waits := with.deafParent && beginning.kind != ZSK
					if waits != (n.state.Step() == StepParent) || !waits && n.state.Kind != "" {
						t.Fatalf("seed %d: ended in step %q\n%s", seed, n.state.Step(), strings.Join(n.log, "\n"))
					}
					if last := n.state.Last; !waits && (last == nil || last.Cancelled && !with.cancels) {
						t.Fatalf("seed %d: ended as %+v", seed, last)
					}
				}
			})
		}
	}
}

// The model finds each wait that is left out, but those of the last step, after which
// nothing changes.
func TestModelFindsMissingWaits(t *testing.T) {
	for name, beginning := range beginnings() {
		rules := rulesOf(beginning.kind)
		for at, one := range rules[:len(rules)-1] {
			for _, wait := range []caches{keyCaches, zoneCaches, parentHas, parentCaches} {
				// A wait for two kinds of copies is found where the one that is left out is the longer one.
				if one.wait&wait == 0 {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%d", name, one.step, wait), func(t *testing.T) {
					changed := slices.Clone(rules)
					changed[at].wait &^= wait
					for seed := range uint64(400) {
						n := newNode(seed, beginning.keys...)
						n.rules = changed
						if err := n.begin(beginning.kind); err != nil {
							t.Fatal(err)
						}
						if n.play(disturbances{lateParent: true}) != nil {
							return
						}
					}
					t.Error("the wait is left out, and nothing is bogus")
				})
			}
		}
	}
}

// The model finds waits that are too short because a fact is wrong.
func TestModelFindsWrongFacts(t *testing.T) {
	tests := map[string]struct {
		kind  Kind
		wrong func(*Facts)
	}{
		"propagation":  {ZSK, func(f *Facts) { f.Propagation /= 2 }},
		"TTL of keys":  {ZSK, func(f *Facts) { f.KeyTTL /= 2 }},
		"TTL of zone":  {CSK, func(f *Facts) { f.ZoneTTL /= 2 }},
		"parent's TTL": {CSK, func(f *Facts) { f.ParentTTL /= 2 }},
		"served":       {Algorithm, func(f *Facts) { f.Served = true }},
		"since":        {CSK, func(f *Facts) { f.Since = epoch }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(2000) {
				for _, beginning := range beginnings() {
					if beginning.kind != test.kind {
						continue
					}
					n := newNode(seed, beginning.keys...)
					n.wrong = test.wrong
					if err := n.begin(test.kind); err != nil {
						t.Fatal(err)
					}
					if n.play(disturbances{restarts: true}) != nil {
						return
					}
				}
			}
			t.Error("the fact is wrong, and nothing is bogus")
		})
	}
}
