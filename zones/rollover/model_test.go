package rollover

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/zones/signing"
)

// The model is a world of validators: each may hold copies of DS, of DNSKEY and of
// records that it got at any time, from any server, for as long as their TTLs allow.
// Whatever it holds, records have to validate.
type model struct {
	random *rand.Rand
	now    time.Time     // true time
	offset time.Duration // of the node's clock

	versions []*version
	parent   []*parentVersion
	upSince  time.Time

	propagation, parentTTL time.Duration
	// lenient validators take any algorithm that is there (RFC 6840, section 5.11).
	lenient bool
}

// version is the zone as it was served from a time on, until the last secondary had
// the next one.
type version struct {
	plan             *signing.Plan
	keyTTL, zoneTTL  time.Duration
	from, superseded time.Time
	out              time.Time // zero: some secondary may still serve it
}

// parentVersion is the DS RRset, from the first server that had it to the last.
type parentVersion struct {
	keys      []*signing.Key
	from, out time.Time
}

// cached tells whether a copy that was served until out may be held now.
func (m *model) cached(out time.Time, ttl time.Duration) bool {
	return out.IsZero() || !m.now.After(out.Add(max(ttl, 5*time.Second)))
}

// settle finds which versions no secondary serves any more: each has the newest
// within the time of propagation, if the node is there for that long.
func (m *model) settle() {
	for i := 0; i+1 < len(m.versions); i++ {
		v := m.versions[i]
		if v.out.IsZero() && !m.upSince.IsZero() {
			if out := latest(v.superseded, m.upSince).Add(m.propagation); !m.now.Before(out) {
				v.out = out
			}
		}
	}
}

func (m *model) serve(plan *signing.Plan, keyTTL, zoneTTL time.Duration) {
	m.settle()
	if count := len(m.versions); count > 0 {
		last := m.versions[count-1]
		if last.plan.SameAs(plan) && last.keyTTL == keyTTL && last.zoneTTL == zoneTTL {
			return
		}
		last.superseded = m.now
	}
	m.versions = append(m.versions, &version{plan: plan, keyTTL: keyTTL, zoneTTL: zoneTTL, from: m.now})
}

func (m *model) current() *version { return m.versions[len(m.versions)-1] }

// bogus tries all copies that may be held together now.
func (m *model) bogus() error {
	m.settle()
	for _, ds := range m.parent {
		if !m.cached(ds.out, m.parentTTL) {
			continue
		}
		for _, keys := range m.versions {
			if !m.cached(keys.out, keys.keyTTL) {
				continue
			}
			if err := m.validKeys(ds.keys, keys.plan); err != nil {
				return err
			}
			for _, data := range m.versions {
				if m.cached(data.out, data.zoneTTL) {
					if err := m.validRecords(keys.plan, data.plan.Zone); err != nil {
						return fmt.Errorf("records: %w", err)
					}
				}
				if m.cached(data.out, data.keyTTL) && len(data.plan.Child) > 0 {
					if err := m.validRecords(keys.plan, data.plan.Entry); err != nil {
						return fmt.Errorf("CDS: %w", err)
					}
				}
			}
		}
	}
	return nil
}

func has(keys []*signing.Key, key *signing.Key) bool { return slices.ContainsFunc(keys, key.Same) }

// validKeys tells whether a DNSKEY RRset validates by the DS RRset, for each of its
// algorithms.
func (m *model) validKeys(ds []*signing.Key, plan *signing.Plan) error {
	for _, wanted := range ds {
		if !slices.ContainsFunc(ds, func(key *signing.Key) bool {
			return (m.lenient || key.Algorithm() == wanted.Algorithm()) && has(plan.Published, key) && has(plan.Entry, key)
		}) {
			return fmt.Errorf("DS names %s: no key of its algorithm is in DNSKEY %s, signed by %s", ids(ds), ids(plan.Published), ids(plan.Entry))
		}
	}
	return nil
}

// validRecords tells whether signatures validate by a DNSKEY RRset, for each of its
// algorithms.
func (m *model) validRecords(plan *signing.Plan, signers []*signing.Key) error {
	for _, wanted := range plan.Published {
		if !slices.ContainsFunc(signers, func(key *signing.Key) bool {
			return (m.lenient || key.Algorithm() == wanted.Algorithm()) && has(plan.Published, key)
		}) {
			return fmt.Errorf("DNSKEY has %s: no key of each algorithm is among the signers %s", ids(plan.Published), ids(signers))
		}
	}
	return nil
}

func ids(keys []*signing.Key) string {
	texts := make([]string, len(keys))
	for i, key := range keys {
		texts[i] = key.ID()
	}
	return strings.Join(texts, " ")
}

// testKeys are made once: making them is what takes time.
var testKeys = sync.OnceValue(func() map[string][]*signing.Key {
	made := map[string][]*signing.Key{}
	var all []*signing.Key
	make := func(name string, count int, algorithm uint8, entry bool) {
		for range count {
			key, err := signing.GenerateDistinct("example.test.", algorithm, entry, signing.Times{}, all)
			if err != nil {
				panic(err)
			}
			made[name], all = append(made[name], key), append(all, key)
		}
	}
	make("entry", 4, dns.ECDSAP256SHA256, true)
	make("zone", 3, dns.ECDSAP256SHA256, false)
	make("other", 3, dns.ED25519, true)
	made["all"] = all
	return made
})

// base is what the keys' own times say before a rollover and after it.
func base(kinds ...*signing.Key) *signing.Plan {
	plan := &signing.Plan{Apex: "example.test.", Published: kinds, TTL: 60, Lifetime: time.Hour}
	split := slices.ContainsFunc(kinds, func(key *signing.Key) bool { return !key.Entry() })
	for _, key := range kinds {
		if key.Entry() {
			plan.Entry, plan.Child = append(plan.Entry, key), append(plan.Child, key)
		}
		if !key.Entry() || !split {
			plan.Zone = append(plan.Zone, key)
		}
	}
	return plan
}

// node is who leads the rollover in the model: it does what the program does.
type node struct {
	*model
	state           State
	base            *signing.Plan
	keys            []*signing.Key
	rules           []rule       // nil: the true ones
	wrong           func(*Facts) // nil: they are right
	keyTTL, zoneTTL time.Duration
	since           time.Time // by the node's clock
	servedAt        time.Time // true time at which the state's plan is served
	parentSays      ParentDS
	stopIn          Step // empty: none
	log             []string
}

func (n *node) clock() time.Time { return n.now.Add(n.offset) }

func (n *node) facts() Facts {
	facts := Facts{
		KeyTTL: n.current().keyTTL, ZoneTTL: n.current().zoneTTL, ParentTTL: n.parentTTL, Propagation: n.propagation,
		Since: n.since, Parent: n.parentSays,
		Served: !n.state.Served.IsZero() || n.state.Kind != "" && n.current().plan.SameAs(n.state.Plan(n.base, n.keys)),
	}
	if n.wrong != nil {
		n.wrong(&facts)
	}
	return facts
}

func (n *node) note(format string, arguments ...any) {
	n.log = append(n.log, fmt.Sprintf("%6.0f %s", n.now.Sub(epoch).Seconds(), fmt.Sprintf(format, arguments...)))
}

var epoch = time.Unix(1_800_000_000, 0)

// advance does what is due by the node's clock.
func (n *node) advance() error {
	if !n.servedAt.IsZero() && !n.now.Before(n.servedAt) {
		n.servedAt = time.Time{}
		n.serve(n.state.Plan(n.base, n.keys), n.keyTTL, n.zoneTTL)
		if err := n.bogus(); err != nil {
			return err
		}
	}
	rules := n.rules
	if rules == nil || n.state.Kind == "" {
		rules = rulesOf(n.state.Kind)
	}
	state, events := n.state.advance(rules, n.clock(), n.facts())
	n.state = state
	for _, event := range events {
		n.note("%s: %s", event.Step, event.Text)
		n.ended()
		n.changed()
	}
	return nil
}

// ended makes the new keys those of the base once a rollover is over.
func (n *node) ended() {
	if n.state.Kind != "" || n.state.Last == nil || n.state.Last.Cancelled {
		return
	}
	left := slices.DeleteFunc(slices.Clone(n.base.Published), func(key *signing.Key) bool {
		return slices.ContainsFunc(n.state.Last.Old, func(role Role) bool { return role.ID == key.ID() })
	})
	for _, role := range n.state.Last.New {
		left = append(left, n.keys[index(n.keys, role.ID)])
	}
	n.base = base(left...)
}

// changed has the state's plan served, some time later.
func (n *node) changed() { n.servedAt = n.now.Add(time.Duration(n.random.IntN(20)) * time.Second) }

// begin starts a rollover of a kind, with a key that was not used.
func (n *node) begin(kind Kind) error {
	list := "entry"
	switch {
	case kind == ZSK:
		list = "zone"
	case kind == Algorithm && n.base.Entry[0].Algorithm() == dns.ECDSAP256SHA256:
		list = "other"
	case kind == CSK && n.base.Entry[0].Algorithm() == dns.ED25519:
		list = "other"
	}
	keys := testKeys()[list]
	key := keys[slices.IndexFunc(keys, func(key *signing.Key) bool { return !has(n.base.Published, key) })]
	wanted, err := Choose(n.base, kind, key.Algorithm())
	if err != nil {
		return err
	}
	if wanted.Kind != kind || wanted.Entry != key.Entry() {
		return fmt.Errorf("a rollover of kind %s became %+v", kind, wanted)
	}
	state, events, err := n.state.Start(wanted, n.base, key, n.clock())
	if err != nil {
		return err
	}
	n.state, n.parentSays = state, ParentUnknown
	n.note("%s %s", kind, events[0].Text)
	n.changed()
	return nil
}

// restart is away for a while; secondaries serve what they have.
func (n *node) restart(away time.Duration) error {
	data, err := json.Marshal(n.state)
	if err != nil {
		return err
	}
	n.settle()
	n.upSince = time.Time{}
	n.now = n.now.Add(away)
	n.state = State{}
	if err := json.Unmarshal(data, &n.state); err != nil {
		return err
	}
	n.upSince, n.since = n.now, n.clock()
	n.note("restarted after %s", away)
	n.servedAt = n.now
	return n.advance()
}

// parentLooks lets the parent take up what CDS asks for, after a while and not on
// all servers at once.
func (n *node) parentLooks() error {
	last := n.parentVersion()
	wanted := n.current().plan.Child
	if len(wanted) == 0 || slices.EqualFunc(wanted, last.keys, (*signing.Key).Same) {
		return nil
	}
	last.out = n.now.Add(time.Duration(n.random.IntN(30)) * time.Second)
	n.parent = append(n.parent, &parentVersion{keys: wanted, from: n.now})
	n.note("the parent takes %s", ids(wanted))
	return n.bogus()
}

func (m *model) parentVersion() *parentVersion { return m.parent[len(m.parent)-1] }

// looked is what the parent's servers say, if somebody asks them.
func (n *node) looked() {
	current := n.parentVersion()
	before := len(n.parent) < 2 || !n.now.Before(n.parent[len(n.parent)-2].out)
	names := n.state.Kind != "" && slices.EqualFunc(current.keys, n.state.New, func(key *signing.Key, role Role) bool { return key.ID() == role.ID })
	n.parentSays = ParentUnchanged
	if before && names {
		n.parentSays = ParentChanged
	}
}

func seconds(random *rand.Rand, most int) time.Duration {
	return time.Duration(1+random.IntN(most)) * time.Second
}

// newNode is a node that has served a zone with these keys for long.
func newNode(seed uint64, keys ...*signing.Key) *node {
	random := rand.New(rand.NewPCG(seed, 1))
	n := &node{
		model: &model{
			random: random, now: epoch, upSince: epoch.Add(-time.Hour * 1000),
			propagation: seconds(random, 100), parentTTL: seconds(random, 300),
		},
		base: base(keys...), keys: testKeys()["all"], keyTTL: seconds(random, 300), zoneTTL: seconds(random, 300),
	}
	n.since = n.upSince
	n.serve(n.base, n.keyTTL, n.zoneTTL)
	n.parent = []*parentVersion{{keys: n.base.Child, from: epoch}}
	return n
}

// disturbances are what happens to a node beside the rollover.
type disturbances struct{ restarts, clock, ttls, cancels, lateParent, deafParent, said bool }

// roll plays a whole rollover, and tells what was bogus.
func (n *node) roll(kind Kind, with disturbances) error {
	if err := n.begin(kind); err != nil {
		return err
	}
	return n.play(with)
}

// play goes on until the rollover is over, or in the step to stop in.
func (n *node) play(with disturbances) error {
	for turn := 0; n.state.Kind != "" || !n.servedAt.IsZero(); turn++ {
		if turn > 3000 {
			return nil
		}
		dt := seconds(n.random, 20)
		if next := n.state.Next(n.clock(), n.facts()); !next.IsZero() && n.random.IntN(2) == 0 {
			// As early as the state itself says, to the second.
			if exact := next.Sub(n.clock()); exact > 0 && exact < time.Hour {
				dt = exact
			}
		}
		if !n.servedAt.IsZero() && n.now.Add(dt).After(n.servedAt) {
			dt = max(n.servedAt.Sub(n.now), 0)
		}
		n.now = n.now.Add(dt)
		if !with.deafParent && (!with.lateParent || n.random.IntN(20) == 0) {
			if err := n.parentLooks(); err != nil {
				return err
			}
		}
		switch n.random.IntN(60) {
		case 0:
			if with.restarts {
				if err := n.restart(seconds(n.random, 400)); err != nil {
					return err
				}
			}
		case 1:
			if with.clock {
				by := time.Duration(n.random.IntN(4000)-2000) * time.Second
				n.offset += by
				n.state, n.since = n.state.Shift(by), n.since.Add(by)
				n.note("the clock is set by %s", by)
			}
		case 2:
			if with.ttls && n.servedAt.IsZero() {
				n.keyTTL, n.zoneTTL = seconds(n.random, 300), seconds(n.random, 300)
				n.note("TTLs are %s and %s", n.keyTTL, n.zoneTTL)
				n.servedAt = n.now
			}
		case 3, 4:
			if with.cancels {
				if state, events, err := n.state.Cancel(n.clock()); err == nil {
					n.state = state
					n.note("%s", events[0].Text)
					n.changed()
				}
			}
		}
		if n.looked(); with.said && n.state.Step() == StepParent && n.parentSays == ParentChanged && n.random.IntN(10) == 0 {
			state, _, err := n.state.SayParent(n.clock(), 0)
			if err != nil {
				return err
			}
			n.state = state
		}
		if with.said {
			n.parentSays = ParentUnknown
		}
		if err := n.advance(); err != nil {
			return err
		}
		if with.deafParent && n.state.Step() == StepParent && turn > 300 {
			return nil
		}
	}
	return nil
}

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
		"all of it":              {restarts: true, clock: true, ttls: true, lateParent: true},
		"all of it, and cancels": {restarts: true, clock: true, ttls: true, lateParent: true, cancels: true},
	}
	for name, beginning := range beginnings() {
		for what, with := range cases {
			t.Run(name+"/"+what, func(t *testing.T) {
				for seed := range uint64(draws(10)) {
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
						if n.roll(beginning.kind, disturbances{lateParent: true}) != nil {
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
					if n.roll(test.kind, disturbances{restarts: true}) != nil {
						return
					}
				}
			}
			t.Error("the fact is wrong, and nothing is bogus")
		})
	}
}
