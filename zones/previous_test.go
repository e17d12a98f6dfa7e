package zones

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/administrative"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/health"
)

// changing makes input after input, each with one more thing changed.
type changing struct {
	random *rand.Rand
	states map[health.Target]health.State
	weight uint32
	home   string
	map1   *geo.Map
	self   []netip.Addr
	words  *administrative.State
	now    time.Time
	good   LastGood
}

func (c *changing) definition() *pool.Definition {
	definition := &pool.Definition{Zones: []pool.ZoneFile{{
		Path: "zones/example.org.zone",
		Data: []byte("$TTL 60\n@ IN SOA ns h 1 2 3 4 5\n@ IN NS ns\nns IN A 127.0.0.1\nwww IN CNAME dl3\n"),
	}}}
	for i := range 6 {
		one := &pool.Pool{
			Name: fmt.Sprintf("dl%d.example.org", i), TTL: 60, Answers: 2, WhenAllDown: pool.AnswerSelf,
			Policy:     pool.Policy{Nearness: pool.Near, MinCandidates: 2, MaxShare: 1},
			Health:     pool.Check{Probe: pool.Probe{Kind: pool.CheckTCP, Port: 80}, Ramp: time.Duration(i) * 20 * time.Second},
			MinMembers: i % 4,
		}
		for j := range 4 {
			one.Members = append(one.Members, &pool.Member{
				ID: fmt.Sprint("m", j), Weight: uint32(1 + j), Position: pool.Position{Line: int(c.weight)},
				Addresses: []netip.Addr{netip.AddrFrom4([4]byte{127, byte(j), byte(i), 1}), netip.AddrFrom16([16]byte{0xfd, 14: byte(i), 15: byte(j)})},
				Location:  &pool.Location{Country: []string{"DE", "US", "JP", c.home}[j]},
			})
		}
		definition.Pools = append(definition.Pools, one)
	}
	definition.Pools[3].Members[2].Weight = c.weight
	return definition
}

// input makes the next one, and tells what was changed.
func (c *changing) input(t *testing.T) (in Input, what string) {
	t.Helper()
	changes := []struct {
		what string
		make func()
	}{
		{"nothing", func() {}},
		{"weight", func() { c.weight++ }},
		{"geography", func() {
			c.map1 = geo.NewMap(map[netip.Prefix]geo.Place{
				netip.PrefixFrom(netip.AddrFrom4([4]byte{127, byte(c.random.IntN(4))}), 16): {Country: "DE"},
				netip.MustParsePrefix("fd01::/16"):                                          {Country: "US"},
			})
		}},
		{"own address", func() { c.self = []netip.Addr{netip.AddrFrom4([4]byte{127, 9, 9, byte(c.random.IntN(256))})} }},
		{"words", func() {
			c.words = c.words.With(c.now, administrative.Word{
				Action: []administrative.Action{administrative.Disable, administrative.ForceUp}[c.random.IntN(2)],
				Pool:   fmt.Sprintf("dl%d.example.org", c.random.IntN(6)), Member: fmt.Sprint("m", c.random.IntN(4)),
				Since: c.now, Until: c.now.Add(time.Duration(1+c.random.IntN(9)) * time.Minute),
			})
			if c.random.IntN(3) == 0 {
				c.words, _ = c.words.Without(c.now, func(string, string) bool { return c.random.IntN(2) == 0 })
			}
		}},
		{"location", func() { c.home = []string{"FR", "BR"}[c.random.IntN(2)] }},
	}
	change := changes[c.random.IntN(len(changes))]
	change.make()
	definition := c.definition()
	static, problems := Parse(definition)
	if static == nil {
		t.Fatal(problems)
	}
	for _, one := range definition.Pools {
		for _, member := range one.Members {
			for _, address := range member.Addresses {
				target := health.MemberTarget(one, address)
				if _, known := c.states[target]; !known || c.random.IntN(30) == 0 {
					state := health.State{Verdict: health.Verdict(c.random.IntN(3))}
					if c.random.IntN(3) == 0 {
						state.Change = c.now.Add(time.Duration(c.random.IntN(80)) * time.Second)
					}
					if c.random.IntN(3) == 0 {
						state.Returned = c.now
					}
					c.states[target] = state
				}
			}
		}
	}
	return Input{
		Definition: definition, Static: static, Health: health.NewReport(c.states), Geo: c.map1,
		SelfAddresses: c.self, Administrative: c.words, LastGood: c.good, Now: c.now,
	}, change.what
}

// What is taken over from the table before changes nothing of what is served.
func TestCompileWithPrevious(t *testing.T) {
	c := &changing{random: rand.New(rand.NewPCG(1, 2)), states: map[health.Target]health.State{}, home: "FR", weight: 1, now: testNow}
	var previous *Table
	kept, compiled := 0, 0
	for round := range 300 {
		if c.random.IntN(2) == 0 {
			c.now = c.now.Add(time.Duration(c.random.IntN(20)) * time.Second)
		}
		in, what := c.input(t)
		if previous != nil {
			in.Serials = previous.Serials()
		}
		fresh, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		in.Previous = previous
		table, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fresh.Serials(), table.Serials()); diff != "" {
			t.Fatalf("round %d, %s changed: serials differ:\n%s", round, what, diff)
		}
		if diff := cmp.Diff(fresh.LastGood(), table.LastGood()); diff != "" || !fresh.next.Equal(table.next) {
			t.Fatalf("round %d, %s changed: due at %v and %v, or who was up differs:\n%s", round, what, fresh.next, table.next, diff)
		}
		c.good = table.LastGood()
		for _, one := range in.Definition.Pools {
			for _, client := range []netip.Addr{{}, netip.MustParseAddr("127.1.2.3"), netip.MustParseAddr("127.3.0.1"), netip.MustParseAddr("fd01::1")} {
				for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
					q := Question{Name: one.Name + ".", Type: kind, Client: client}
					want, got := fresh.Answer(q, rand.NewPCG(uint64(round), 3)), table.Answer(q, rand.NewPCG(uint64(round), 3))
					if diff := cmp.Diff(answerText(want), answerText(got)); diff != "" {
						t.Fatalf("round %d, %s changed: %v differs:\n%s", round, what, q, diff)
					}
				}
			}
		}
		for i := range table.pools {
			if previous != nil && table.pools[i].compiledPool == previous.pools[i].compiledPool {
				kept++
			} else {
				compiled++
			}
		}
		previous = table
	}
	if kept < 200 || compiled < 200 {
		t.Errorf("%d pools were taken over and %d compiled: too few of one to tell", kept, compiled)
	}
}

// Of a change of health, only the pool that it is about is compiled.
func TestCompileKeepsOtherPools(t *testing.T) {
	in := benchInput(t, 5)
	first, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	states := map[health.Target]health.State{}
	for target, state := range in.Health.All() {
		states[target] = state
	}
	states[health.MemberTarget(in.Definition.Pools[2], in.Definition.Pools[2].Members[0].Addresses[0])] = health.State{Verdict: health.Down}
	in.Health, in.Previous = health.NewReport(states), first
	second, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	for i := range second.pools {
		if kept := second.pools[i].compiledPool == first.pools[i].compiledPool; kept != (i != 2) {
			t.Errorf("pool %d was taken over: %v", i, kept)
		}
	}
	if a, b := first.pools[2].ipv4.classes, second.pools[2].ipv4.classes; a == nil || a != b {
		t.Errorf("the classes of clients were made anew: %p, %p", a, b)
	}
	if a, b := first.pools[2].ipv4.classes, first.pools[3].ipv4.classes; a != b {
		t.Errorf("pools with members at the same places do not share classes: %p, %p", a, b)
	}
}
