package zones

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/administrative"
	"mirrorpool/pool/health"
	"mirrorpool/pool/selection"
)

const elsewherePools = `{"version": 1, "pools": [
  {"name": "dl.elsewhere.test", "ttl": 90, "health": {"check": "tcp", "port": 80}, "members": [
    {"id": "one", "addresses": ["127.0.0.1", "127.0.0.2", "::1"], "weight": 10},
    {"id": "two", "addresses": ["127.0.0.3"], "weight": 4},
    {"id": "off", "addresses": ["127.0.0.4"], "weight": 0},
    {"id": "spare", "addresses": ["127.0.0.5"], "weight": 2, "reserve": true}]},
  {"name": "empty.elsewhere.test", "when_all_down": "empty", "health": {"check": "tcp", "port": 80}, "members": [
    {"id": "one", "addresses": ["127.0.0.9"], "weight": 10}]}
]}`

func elsewhereDefinition(t *testing.T, pools string) *pool.Definition {
	t.Helper()
	definition, problems := pool.Inspect(fstest.MapFS{"pools.json": {Data: []byte(pools)}})
	if pool.HasErrors(problems) {
		t.Fatal(problems)
	}
	return definition
}

// TestPoolsElsewhere: a pool without a zone is refused unless it is named, and then
// served to all but questions.
func TestPoolsElsewhere(t *testing.T) {
	definition := elsewhereDefinition(t, elsewherePools)
	for _, test := range []struct {
		names   []string
		refused int
	}{
		{nil, 2},
		{[]string{"dl.elsewhere.test"}, 1},
		{[]string{"DL.Elsewhere.test.", "empty.elsewhere.test"}, 0},
	} {
		static, problems := Parse(definition, test.names...)
		if len(problems) != test.refused || (static == nil) != (test.refused > 0) {
			t.Errorf("elsewhere %q: static %v, problems %v", test.names, static != nil, problems)
		}
		for _, problem := range problems {
			if !strings.Contains(problem.Expected, "publishes") {
				t.Errorf("the problem does not tell of publishing: %v", problem)
			}
		}
	}
}

// TestGiven: what a pool without a zone gives as one set.
func TestGiven(t *testing.T) {
	definition := elsewhereDefinition(t, elsewherePools)
	static, _ := Parse(definition, "dl.elsewhere.test", "empty.elsewhere.test")
	for _, test := range []struct {
		name, pool string
		down       []string
		expected   string
	}{
		{"all up", "dl.elsewhere.test", nil, "90 127.0.0.1/5 127.0.0.2/5 127.0.0.3/4 | ::1/10 served served"},
		{"any spelling", "DL.elsewhere.TEST.", nil, "90 127.0.0.1/5 127.0.0.2/5 127.0.0.3/4 | ::1/10 served served"},
		{"one address down", "dl.elsewhere.test", []string{"127.0.0.2"}, "90 127.0.0.1/5 127.0.0.3/4 | ::1/10 served served"},
		{"the reserve", "dl.elsewhere.test", []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}, "90 127.0.0.5/2 | ::1/10 served served"},
		{"all down", "dl.elsewhere.test", []string{"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.5", "::1"}, "90 127.0.0.1/5 127.0.0.2/5 127.0.0.3/4 | ::1/10 served served"},
		{"empty", "empty.elsewhere.test", []string{"127.0.0.9"}, "60 | served"},
	} {
		states := map[health.Target]health.State{}
		for _, assignment := range health.Targets(definition) {
			states[assignment.Target] = health.State{Verdict: health.Up}
			for _, address := range test.down {
				if assignment.Target.Address == netip.MustParseAddr(address) {
					states[assignment.Target] = health.State{Verdict: health.Down}
				}
			}
		}
		table, err := Compile(Input{Definition: definition, Static: static, Health: health.NewReport(states)})
		if err != nil {
			t.Fatal(err)
		}
		given, found := table.Given(test.pool)
		if text := givenText(given); !found || text != test.expected {
			t.Errorf("%s: %q, expected %q", test.name, text, test.expected)
		}
	}
}

func givenText(given Given) string {
	text := fmt.Sprint(given.TTL)
	for _, one := range given.IPv4.Addresses {
		text += fmt.Sprintf(" %s/%v", one.Address, one.Weight)
	}
	text += " |"
	for _, one := range given.IPv6.Addresses {
		text += fmt.Sprintf(" %s/%v", one.Address, one.Weight)
	}
	for _, family := range []GivenFamily{given.IPv4, given.IPv6} {
		if family.Served {
			text += " served"
		}
	}
	return text
}

// TestGivenDisabled: a family is disabled while all of it that has a weight is, and not
// while others are merely down. Then nothing is given, not the node's own either.
func TestGivenDisabled(t *testing.T) {
	w := newTown(t, func(w *town) {
		w.pool.Members[1].Addresses = w.pool.Members[1].Addresses[:1]
		w.pool.Members[2].Weight = 0
		w.pool.WhenAllDown = pool.AnswerSelf
	}, "one", "two", "off")
	w.in.SelfAddresses = []netip.Addr{netip.MustParseAddr("127.9.9.9"), netip.MustParseAddr("fd09::1")}
	w.set("two", isDown)
	for _, test := range []struct {
		disabled  []string
		four, six bool
	}{{nil, false, false}, {[]string{"one"}, false, true}, {[]string{"two"}, false, false}, {[]string{"one", "two"}, true, true}} {
		var words []administrative.Word
		for _, member := range test.disabled {
			words = append(words, saying(administrative.Disable, member, "slow", 0))
		}
		w.say(words...)
		table := w.compile(t, 0)
		given, _ := table.Given(w.pool.Name)
		if given.IPv4.Disabled != test.four || given.IPv6.Disabled != test.six || !given.IPv4.Served || !given.IPv6.Served {
			t.Errorf("disabled %v: IPv4 %+v, IPv6 %+v", test.disabled, given.IPv4, given.IPv6)
		}
		for family, of := range []GivenFamily{given.IPv4, given.IPv6} {
			isEmpty := w.shares(table, addressKinds[family]) == "empty"
			if isEmpty != of.Disabled || isEmpty != (len(of.Addresses) == 0) {
				t.Errorf("disabled %v: clients get %s, others %v", test.disabled, w.shares(table, addressKinds[family]), of.Addresses)
			}
		}
	}
}

// TestGivenToAll: secondaries and primaries elsewhere get the addresses of exactly those
// whom a client of which nothing is known may get, whoever is up, reserve or disabled.
func TestGivenToAll(t *testing.T) {
	r := rand.New(rand.NewPCG(20, 26))
	modes := map[selection.Mode]int{}
	for number := range 200 {
		w := newTown(t, func(w *town) {
			w.pool.WhenAllDown = []pool.WhenAllDown{pool.AnswerAll, pool.AnswerEmpty, pool.AnswerSelf}[r.IntN(3)]
			w.pool.MinMembers = r.IntN(3)
			for _, member := range w.pool.Members {
				member.Reserve, member.Weight = r.IntN(2) == 0, uint32(min(r.IntN(5), 1))
			}
		}, "a", "b", "c", "d")
		w.in.SelfAddresses = []netip.Addr{netip.MustParseAddr("127.9.9.9"), netip.MustParseAddr("fd09::1")}
		for _, member := range w.pool.Members {
			if r.IntN(3) > 0 {
				w.set(member.ID, isDown)
			}
		}
		if r.IntN(4) == 0 {
			w.say(saying(administrative.Disable, w.pool.Members[r.IntN(4)].ID, "slow", 0))
		}
		table := w.compile(t, 0)
		given, _ := table.Given(w.pool.Name)
		for i, family := range []GivenFamily{given.IPv4, given.IPv6} {
			choice := table.pools[0].of(addressKinds[i]).unlocated
			modes[choice.Mode]++
			var want, got, transferred []string
			for _, share := range choice.Shares {
				want = append(want, w.pool.Members[share.Index].Addresses[i].String())
			}
			if choice.Mode == selection.Self {
				want = append(want, w.in.SelfAddresses[i].String())
			}
			for _, address := range family.Addresses {
				got = append(got, address.Address.String())
			}
			if part := table.pools[0].parts[i]; part != nil {
				for _, rr := range part.set.Records {
					transferred = append(transferred, addressOf(rr).String())
				}
			}
			if !slices.Equal(got, want) || !slices.Equal(transferred, want) {
				t.Errorf("%d: published %v, transferred %v, clients get %s", number, got, transferred, w.shares(table, addressKinds[i]))
			}
		}
	}
	if len(modes) != 6 {
		t.Errorf("not every mode has come: %v", modes)
	}
}

// TestTableWithPoolsElsewhere: what goes over all pools can do without a zone.
func TestTableWithPoolsElsewhere(t *testing.T) {
	definition := elsewhereDefinition(t, elsewherePools)
	static, _ := Parse(definition, "dl.elsewhere.test", "empty.elsewhere.test")
	table, err := Compile(Input{Definition: definition, Static: static})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Compile(Input{Definition: definition, Static: static, Previous: table}); err != nil || len(again.Serials()) != 0 {
		t.Errorf("compiled again: %v, %v", again, err)
	}
	if pools := table.Pools(nil); len(pools) != 2 || pools[0].Zone != "" || len(pools[0].Members) != 4 {
		t.Errorf("described as %+v", pools)
	}
	if table.ExplainPool("dl.elsewhere.test", netip.Addr{}, 4, nil) == nil {
		t.Error("not explained")
	}
	if answer := table.Answer(Question{Name: "dl.elsewhere.test.", Type: dns.TypeA}, nil); answer.Rcode != dns.RcodeRefused {
		t.Errorf("answered %s", answerText(answer))
	}
	if _, found := table.Given("nothing.elsewhere.test"); found {
		t.Error("a pool that is not there is given")
	}
	if given, _ := table.Given("dl.elsewhere.test"); len(given.Members) != 6 {
		t.Errorf("members %v", given.Members)
	}
}
