package publish

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mirrorpool/dnsserver/tsig"
	"mirrorpool/pool"
	"mirrorpool/zones"
)

// testPool is a pool whose health tests change.
type testPool struct {
	mutex sync.Mutex
	given zones.Given
	err   error
	none  bool // there is no table yet
}

const poolName = "dl.example.test"

// newPool has members with these addresses, all of them up.
func newPool(members ...string) *testPool {
	p := &testPool{given: zones.Given{Pool: poolName, TTL: 60, WhenAllDown: pool.AnswerAll}}
	for _, text := range members {
		p.given.Members = append(p.given.Members, netip.MustParseAddr(text))
	}
	p.up(members...)
	return p
}

// up are the addresses that are given from now on.
func (p *testPool) up(addresses ...string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.given.IPv4, p.given.IPv6 = zones.GivenFamily{}, zones.GivenFamily{}
	for _, one := range p.given.Members {
		if one.Is4() {
			p.given.IPv4.Served = true
		} else {
			p.given.IPv6.Served = true
		}
	}
	for _, text := range addresses {
		one := zones.GivenAddress{Address: netip.MustParseAddr(text), Weight: 1}
		if one.Address.Is4() {
			p.given.IPv4.Addresses = append(p.given.IPv4.Addresses, one)
		} else {
			p.given.IPv6.Addresses = append(p.given.IPv6.Addresses, one)
		}
	}
}

func (p *testPool) change(how func(p *testPool)) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	how(p)
}

func (p *testPool) gives(string) (*zones.Given, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.err != nil || p.none {
		return nil, p.err
	}
	given := p.given
	return &given, nil
}

// node is one publisher with what it tells.
type node struct {
	*Publisher
	pool *testPool

	mutex    sync.Mutex
	kept     []byte
	noKeep   error
	events   []Event
	stop     func()
	existing *testing.T
}

var testServer = netip.MustParseAddrPort("127.0.0.1:53")

func testKey(t testing.TB, name, secret string) *tsig.Key {
	t.Helper()
	key, err := tsig.NewKey(name, "hmac-sha256", []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func testKeys(t testing.TB) *tsig.Keyring {
	t.Helper()
	keys, err := tsig.NewKeyring(testKey(t, "publisher", "a secret"))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func testEntry(t testing.TB) Entry {
	return Entry{
		Pool: poolName, Zone: "example.test", Server: testServer, Key: testKey(t, "publisher", "a secret"),
		Interval: time.Minute, Rotation: time.Hour,
	}
}

// runNode runs a publisher, which begins with what was kept.
func runNode(t *testing.T, of *testPool, at *fakePrimary, kept []byte, entries ...Entry) *node {
	t.Helper()
	n := &node{pool: of, kept: kept, existing: t}
	var err error
	n.Publisher, err = New(Config{Given: of.gives, Kept: kept, Keep: n.keep, Tell: n.tell, Dial: at.dial})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Set(entries); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.Run(ctx)
	}()
	n.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	return n
}

func (n *node) keep(data []byte) error {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if n.noKeep != nil {
		return n.noKeep
	}
	n.kept = slices.Clone(data)
	return nil
}

func (n *node) tell(event Event) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.events = append(n.events, event)
}

// told gives the texts of events of a kind.
func (n *node) told(kind Kind) []string {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	var texts []string
	for _, event := range n.events {
		if event.Kind != kind {
			continue
		}
		text := event.Text
		if event.Err != nil {
			text = event.Err.Error()
		}
		texts = append(texts, text)
	}
	return texts
}

// state is that of the only entry; zero before there is one.
func (n *node) state() State {
	if states := n.States(); len(states) > 0 {
		return states[0]
	}
	return State{}
}

// up changes the pool's health and says so.
func (n *node) up(addresses ...string) {
	n.pool.up(addresses...)
	n.Changed()
}

// expect compares what is at the primary.
func expect(t *testing.T, at *fakePrimary, what, records string) {
	t.Helper()
	if got := at.text(); got != records {
		t.Errorf("%s: at the primary:\n%s\nexpected:\n%s", what, got, records)
	}
}

func (n *node) expectCondition(t *testing.T, what string, condition Condition, words ...string) {
	t.Helper()
	states := n.States()
	if len(states) == 0 {
		t.Fatalf("%s: no state", what)
	}
	if states[0].Condition != condition {
		t.Errorf("%s: %s, expected %s: %s", what, states[0].Condition, condition, states[0].Error)
	}
	for _, word := range words {
		if !strings.Contains(states[0].Error+" "+joined(states[0].Notes), word) {
			t.Errorf("%s: error %q and notes %q do not say %q", what, states[0].Error, states[0].Notes, word)
		}
	}
}

// pass lets time pass in the bubble, and all that it brings about.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

var errFull = errors.New("no space left on device")

var errNoPool = errors.New("the served commit has no such pool")
