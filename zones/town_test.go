package zones

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/health"
	"mirrorpool/pool/selection"
)

// town is a pool and a redirect host of the same people's machines, whose health is
// told step by step.
type town struct {
	in       Input
	pool     *pool.Pool
	redirect *pool.Redirect
	states   map[health.Target]health.State
}

// newTown makes one of members with weight 10, each with an address of each family and
// a mirror, all of them up.
func newTown(t testing.TB, change func(*town), members ...string) *town {
	t.Helper()
	policy := pool.Policy{Nearness: pool.None, MinCandidates: 1, MaxShare: 1}
	w := &town{
		pool: &pool.Pool{
			Name: "dl.example.org", TTL: 300, Answers: 8, WhenAllDown: pool.AnswerAll, Policy: policy,
			Health: pool.Check{Probe: pool.Probe{Kind: pool.CheckTCP, Port: 80}},
		},
		redirect: &pool.Redirect{
			Host: "get.example.org", StripPrefix: "/", List: &pool.MirrorList{Path: "mirrors.json"}, WhenAllDown: pool.AnswerAll,
			Policy: policy, Health: pool.Check{Probe: pool.Probe{Kind: pool.CheckHTTP, Path: "trace"}},
		},
		states: map[health.Target]health.State{},
	}
	for i, id := range members {
		w.pool.Members = append(w.pool.Members, &pool.Member{
			ID: id, Weight: 10,
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + i)}), netip.AddrFrom16([16]byte{0xfd, 15: byte(1 + i)})},
		})
		w.redirect.List.Mirrors = append(w.redirect.List.Mirrors, &pool.Mirror{URLPrefix: "http://" + id + ".test/", Weight: 10})
	}
	if change != nil {
		change(w)
	}
	definition := &pool.Definition{
		Pools: []*pool.Pool{w.pool}, Redirects: []*pool.Redirect{w.redirect},
		Zones: []pool.ZoneFile{{
			Path: "zones/example.org.zone",
			Data: []byte("$TTL 60\n@ 7200 IN SOA ns h 1 2 3 4 3600\n@ IN NS ns\nns IN A 127.0.0.1\nwww 3600 IN CNAME dl\n*.any IN CNAME dl\n"),
		}},
	}
	static, problems := Parse(definition)
	if static == nil {
		t.Fatal(problems)
	}
	w.in = Input{Definition: definition, Static: static, Now: testNow}
	for _, member := range w.pool.Members {
		w.set(member.ID, health.State{Verdict: health.Up, Reason: "status 200"})
	}
	return w
}

func (w *town) member(id string) int {
	return slices.IndexFunc(w.pool.Members, func(m *pool.Member) bool { return m.ID == id })
}

// set gives a member and its mirror a state.
func (w *town) set(id string, state health.State) {
	i := w.member(id)
	for _, address := range w.pool.Members[i].Addresses {
		w.setAddress(address, state)
	}
	for _, target := range health.MirrorTargets(w.redirect, w.redirect.List.Mirrors[i]) {
		w.states[target] = state
	}
}

func (w *town) setAddress(address netip.Addr, state health.State) {
	for _, target := range health.MemberTargets(w.pool, address) {
		w.states[target] = state
	}
}

// compile makes the next table, at a time after the first.
func (w *town) compile(t testing.TB, after time.Duration) *Table {
	t.Helper()
	w.in.Now = testNow.Add(after)
	w.in.Health = health.NewReport(maps.Clone(w.states))
	table, err := Compile(w.in)
	if err != nil {
		t.Fatal(err)
	}
	w.in.Previous, w.in.Serials = table, table.Serials()
	return table
}

// shares are those of a pool's members, as "a:0.5000 b:0.5000", behind the mode.
func sharesOf(choice *selection.Choice, name func(int) string) string {
	text := choice.Mode.String()
	for _, share := range choice.Shares {
		text += fmt.Sprintf(" %s:%.4f", name(share.Index), share.Share)
	}
	return text
}

func (w *town) shares(table *Table, kind uint16) string {
	return sharesOf(table.pools[0].of(kind).unlocated, func(i int) string { return w.pool.Members[i].ID })
}

func (w *town) mirrorShares(table *Table) string {
	return sharesOf(table.Host(w.redirect.Host).Choose(netip.Addr{}, false), func(i int) string { return w.pool.Members[i].ID })
}

// expect holds what both the pool and the host give.
func (w *town) expect(t testing.TB, table *Table, want string) {
	t.Helper()
	for _, kind := range addressKinds {
		if got := w.shares(table, kind); got != want {
			t.Errorf("%s: %s, expected %s", dns.Type(kind), got, want)
		}
		answer := table.Answer(Question{Name: w.pool.Name + ".", Type: kind}, rand.NewPCG(1, 1))
		if len(answer.Members) != len(table.pools[0].of(kind).unlocated.Shares) {
			t.Errorf("%s: %v are given, expected %s", dns.Type(kind), answer.Members, want)
		}
	}
	if got := w.mirrorShares(table); got != want {
		t.Errorf("mirrors: %s, expected %s", got, want)
	}
}

// words are what is told of each of the pool's members, and of the mirrors.
func (w *town) words(table *Table) map[string]string {
	out := map[string]string{}
	for _, e := range []*selection.Explanation{
		table.ExplainPool(w.pool.Name, netip.Addr{}, 4, nil), table.ExplainHost(w.redirect.Host, netip.Addr{}, false, nil),
	} {
		for _, c := range e.Candidates {
			out[c.ID] = c.Health
		}
		for _, l := range e.LeftOut {
			out[l.ID] = l.Reason
		}
	}
	return out
}
