package rollover

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/zones/signing"
)

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
	silentUntil     time.Time // the parent's servers do not answer before
	lookedAt        time.Time // by the node's clock, when they were asked
	unasked         bool      // nobody asks them
	read, readAt    time.Time // the CDS that the parent has read last, and when it acts on it; zero: it has
	wanted          []*signing.Key
	lazyParent      bool
	stopIn          Step // empty: none
	log             []string
}

func (n *node) clock() time.Time { return n.now.Add(n.offset) }

func (n *node) facts() Facts {
	facts := Facts{
		KeyTTL: n.current().keyTTL, ZoneTTL: n.current().zoneTTL, ParentTTL: n.parentTTL, ParentTTLGiven: n.parentTTL, Propagation: n.propagation,
		Since: n.since, Parent: n.parentSays,
		Served: !n.state.Served.IsZero() || n.state.Kind != "" && n.current().plan.SameAs(n.state.Plan(n.base, n.keys)),
	}
	facts.ParentDelay = n.parentDelay
	if !n.unasked && (n.state.Step() == StepParentCaches || n.state.Turned && n.state.Step() == StepParent) {
		facts.ParentDue = n.state.Until.IsZero() || n.lookedAt.Before(n.state.Until)
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
		if key := n.keys[index(n.keys, role.ID)]; !has(left, key) { // it is among them where the rollover was turned back
			left = append(left, key)
		}
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
	if err := n.parentActs(); err != nil {
		return err
	}
	n.upSince, n.since = n.now, n.clock()
	n.note("restarted after %s", away)
	n.servedAt = n.now
	return n.advance()
}

// parentLooks lets the parent read CDS, from any server or cache but none that is older
// than the one before (RFC 7344, section 4.1), and act on it after a while.
func (n *node) parentLooks() error {
	if n.readAt.IsZero() {
		n.settle()
		readable := slices.DeleteFunc(slices.Clone(n.versions), func(v *version) bool {
			return v.from.Before(n.read) || !n.cached(v.out, v.keyTTL)
		})
		v := n.current()
		n.readAt = n.now
		if n.lazyParent { // of which some are
			v = readable[n.random.IntN(len(readable))]
			n.readAt = n.now.Add(time.Duration(n.random.Int64N(int64(n.parentDelay))))
		}
		n.read, n.wanted = v.from, v.plan.Child
	}
	return n.parentActs()
}

// parentActs has the parent do what it has read, when it is time.
func (n *node) parentActs() error {
	if n.readAt.IsZero() || n.now.Before(n.readAt) {
		return nil
	}
	n.readAt = time.Time{}
	return n.parentTakes(n.wanted)
}

// parentTakes has the parent name other keys, not on all servers at once.
func (n *node) parentTakes(wanted []*signing.Key) error {
	last := n.parentVersion()
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
	n.lookedAt = n.clock()
	current := n.parentVersion()
	before := len(n.parent) < 2 || !n.now.Before(n.parent[len(n.parent)-2].out)
	entry := slices.DeleteFunc(slices.Clone(n.state.New), func(role Role) bool { return !role.Entry })
	names := n.state.Kind != "" && slices.EqualFunc(current.keys, entry, func(key *signing.Key, role Role) bool { return key.ID() == role.ID })
	n.parentSays = ParentUnchanged
	switch {
	case n.now.Before(n.silentUntil):
		n.parentSays = ParentUnknown
	case before && names:
		n.parentSays = ParentChanged
	}
}

// lie says that the parent has changed, with a TTL, whatever is so; its servers are
// silent then, and answer again before copies of the old DS are out of caches.
func (n *node) lie() error {
	state, _, err := n.state.SayParent(n.clock(), seconds(n.random, 300))
	if err != nil {
		return err
	}
	n.state, n.parentSays = state, ParentUnknown
	n.silentUntil = n.now.Add(time.Duration(n.random.Int64N(int64(n.parentTTL))))
	n.note("it is said that the parent has changed, TTL %s", state.ParentTTLSaid)
	return nil
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
			propagation: seconds(random, 100), parentTTL: seconds(random, 300), parentDelay: seconds(random, 100),
		},
		base: base(keys...), keys: testKeys()["all"], keyTTL: seconds(random, 300), zoneTTL: seconds(random, 300),
	}
	n.since, n.lazyParent = n.upSince, seed%2 == 1
	n.serve(n.base, n.keyTTL, n.zoneTTL)
	n.parent = []*parentVersion{{keys: n.base.Child, from: epoch}}
	return n
}

// disturbances are what happens to a node beside the rollover. What is said of the
// parent may be true (said), or wrong (lied) while its servers do not answer.
type disturbances struct{ restarts, clock, ttls, cancels, lateParent, deafParent, said, lied bool }

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
		if turn > 3000 || n.stopIn != "" && n.state.Step() == n.stopIn && n.servedAt.IsZero() {
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
		if err := n.parentActs(); err != nil {
			return err
		}
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
				n.state, n.since, n.lookedAt = n.state.Shift(by), n.since.Add(by), n.lookedAt.Add(by)
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
				if state, events, err := n.state.Cancel(n.clock()); err == nil && len(events) > 0 {
					n.state = state
					n.note("%s", events[0].Text)
					n.changed()
				}
			}
		}
		if n.looked(); with.said && n.state.Step() == StepParent && !n.state.turning(n.clock()) && n.parentSays == ParentChanged && n.random.IntN(10) == 0 {
			state, _, err := n.state.SayParent(n.clock(), 0)
			if err != nil {
				return err
			}
			n.state = state
		}
		if n.unasked = with.said; with.said {
			n.parentSays = ParentUnknown
		}
		if with.lied && n.state.Step() == StepParent && !n.state.turning(n.clock()) && n.random.IntN(10) == 0 {
			if err := n.lie(); err != nil {
				return err
			}
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
