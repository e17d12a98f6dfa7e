package zones

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/administrative"
	"mirrorpool/pool/health"
)

var isDown = health.State{Verdict: health.Down, Reason: "status 503"}

// expectPool holds what the pool gives of both families.
func (w *town) expectPool(t testing.TB, table *Table, want string) {
	t.Helper()
	for _, kind := range addressKinds {
		if got := w.shares(table, kind); got != want {
			t.Errorf("%s: %s, expected %s", dns.Type(kind), got, want)
		}
	}
}

// restart is a node that knows no more than what it kept.
func (w *town) restart(t testing.TB) {
	t.Helper()
	data, err := json.Marshal(w.in.LastGood)
	if err != nil {
		t.Fatal(err)
	}
	w.in.Previous, w.in.LastGood = nil, nil
	if err := json.Unmarshal(data, &w.in.LastGood); err != nil {
		t.Fatal(err)
	}
}

func withMinimum(minimum int) func(*town) {
	return func(w *town) { w.pool.MinMembers = minimum }
}

// With fewer members up than the minimum, those who were up when there were enough are
// given as well, also after a restart, until there are enough again.
func TestMinMembers(t *testing.T) {
	w := newTown(t, withMinimum(2), "one", "two", "three", "four")
	w.set("four", isDown)
	w.expectPool(t, w.compileGood(t), "normal one:0.3333 two:0.3333 three:0.3333")
	w.set("three", isDown)
	w.expectPool(t, w.compileGood(t), "normal one:0.5000 two:0.5000")
	w.set("two", isDown)
	table := w.compileGood(t)
	w.expectPool(t, table, "kept one:0.5000 two:0.5000")
	w.restart(t)
	w.expectPool(t, w.compileGood(t), "kept one:0.5000 two:0.5000")
	w.set("one", isDown)
	w.expectPool(t, w.compileGood(t), "kept one:0.5000 two:0.5000")
	w.set("four", health.State{Verdict: health.Up})
	w.expectPool(t, w.compileGood(t), "kept one:0.3333 two:0.3333 four:0.3333")
	w.set("three", health.State{Verdict: health.Up})
	w.expectPool(t, w.compileGood(t), "normal three:0.5000 four:0.5000")
	w.set("three", isDown)
	w.expectPool(t, w.compileGood(t), "kept three:0.5000 four:0.5000")
}

func (w *town) compileGood(t testing.TB) *Table {
	t.Helper()
	table := w.compile(t, 0)
	w.in.LastGood = table.LastGood()
	return table
}

// Only who is in the repository, has a weight and is not disabled goes on being given.
func TestKeptHaveToBeThere(t *testing.T) {
	w := newTown(t, withMinimum(3), "one", "two", "three")
	w.compileGood(t)
	w.set("one", isDown)
	w.set("two", isDown)
	w.expectPool(t, w.compileGood(t), "kept one:0.3333 two:0.3333 three:0.3333")
	w.say(saying(administrative.Disable, "one", "gone", 0))
	w.expectPool(t, w.compileGood(t), "normal three:1.0000")
	w.in.Administrative = nil
	w.expectPool(t, w.compileGood(t), "kept one:0.3333 two:0.3333 three:0.3333")

	good := w.in.LastGood
	for name, c := range map[string]struct {
		change func(*town)
		want   string
	}{
		"weight 0": {func(w *town) { w.pool.Members[0].Weight = 0 }, "kept two:0.5000 three:0.5000"},
		"renamed":  {func(w *town) { w.pool.Members[0].ID = "another" }, "kept another:0.3333 two:0.3333 three:0.3333"},
		"the rule": {func(w *town) { w.pool.MinMembers = 1 }, "normal three:1.0000"},
		"reserve":  {func(w *town) { w.pool.Members[0].Reserve = true }, "kept two:0.5000 three:0.5000"},
		"addresses": {func(w *town) {
			w.pool.Members[0].Addresses = []netip.Addr{netip.MustParseAddr("127.0.5.5"), netip.MustParseAddr("fd05::5")}
		}, "kept one:0.3333 two:0.3333 three:0.3333"},
	} {
		other := newTown(t, func(w *town) { withMinimum(3)(w); c.change(w) }, "one", "two", "three")
		for _, member := range other.pool.Members[:2] {
			other.set(member.ID, isDown)
		}
		other.in.LastGood = good
		table := other.compileGood(t)
		for _, kind := range addressKinds {
			if got := other.shares(table, kind); got != c.want {
				t.Errorf("%s: %s, expected %s", name, got, c.want)
			}
		}
	}
}

// A good set of which too few are left in the pool protects nobody: all are given, until
// there is another. It is not forgotten, for they may come back.
func TestLastGoodIsOfOthers(t *testing.T) {
	for _, test := range []struct {
		good []string
		want string
	}{
		{[]string{"old", "older"}, "kept one:0.3333 two:0.3333 three:0.3333"},
		{[]string{"old", "two"}, "kept one:0.3333 two:0.3333 three:0.3333"},
		{[]string{"old", "two", "one"}, "kept one:0.5000 two:0.5000"},
	} {
		w := newTown(t, withMinimum(2), "one", "two", "three")
		w.set("two", isDown)
		w.set("three", isDown)
		w.in.LastGood = LastGood{"dl.example.org": {IPv4: test.good, IPv6: test.good}}
		table := w.compile(t, 0)
		w.expectPool(t, table, test.want)
		if diff := cmp.Diff(w.in.LastGood, table.LastGood()); diff != "" {
			t.Errorf("%v (-expected +found):\n%s", test.good, diff)
		}
	}
}

// Who is disabled takes nobody along: of those left all but one are enough, and what is
// known of the disabled stays.
func TestMinMembersWithDisabled(t *testing.T) {
	for _, test := range []struct {
		disabled, down []string
		want           string
		after          string // once nobody is disabled any more
	}{
		{[]string{"three", "four", "five"}, []string{"two"}, "normal one:1.0000", "normal one:0.2500 three:0.2500 four:0.2500 five:0.2500"},
		{[]string{"three", "four"}, []string{"two"}, "normal one:0.5000 five:0.5000", "normal one:0.2500 three:0.2500 four:0.2500 five:0.2500"},
		{[]string{"three", "four"}, []string{"two", "one"}, "kept one:0.3333 two:0.3333 five:0.3333", "normal three:0.3333 four:0.3333 five:0.3333"},
		{[]string{"five"}, []string{"two"}, "normal one:0.3333 three:0.3333 four:0.3333", "normal one:0.2500 three:0.2500 four:0.2500 five:0.2500"},
		{[]string{"five"}, []string{"two", "one"}, "kept one:0.2500 two:0.2500 three:0.2500 four:0.2500", "normal three:0.3333 four:0.3333 five:0.3333"},
		{[]string{"three", "four"}, []string{"two", "three", "four"}, "normal one:0.5000 five:0.5000", "kept one:0.2500 three:0.2500 four:0.2500 five:0.2500"},
	} {
		w := newTown(t, withMinimum(3), "one", "two", "three", "four", "five")
		w.compileGood(t)
		var words []administrative.Word
		for _, member := range test.disabled {
			words = append(words, saying(administrative.Disable, member, "slow", 0))
		}
		w.say(words...)
		for _, member := range test.down {
			w.set(member, isDown)
		}
		w.expectPool(t, w.compileGood(t), test.want)
		w.in.Administrative = nil
		w.expectPool(t, w.compileGood(t), test.after)
	}
}

// Who is forced up counts for one that is up, and is not remembered for that.
func TestForcedIsNotGood(t *testing.T) {
	w := newTown(t, withMinimum(2), "one", "two", "three")
	w.set("three", isDown)
	w.compileGood(t)
	w.say(saying(administrative.ForceUp, "three", "needed", 0))
	w.expectPool(t, w.compileGood(t), "normal one:0.3333 two:0.3333 three:0.3333")
	w.in.Administrative = nil
	w.set("two", isDown)
	w.expectPool(t, w.compileGood(t), "kept one:0.5000 two:0.5000")
}

// Before it is known who was up, all count as up; what has not been probed is no set
// that was good.
func TestNoLastGood(t *testing.T) {
	w := newTown(t, withMinimum(2), "one", "two", "three")
	for _, id := range []string{"one", "two", "three"} {
		w.set(id, health.State{})
	}
	table := w.compileGood(t)
	w.expectPool(t, table, "normal one:0.3333 two:0.3333 three:0.3333")
	if good := table.LastGood()["dl.example.org"]; good.IPv4 != nil || good.IPv6 != nil {
		t.Errorf("nobody was probed yet, but %v were up", good)
	}
	w.say(saying(administrative.ForceUp, "one", "needed", 0))
	if good := w.compileGood(t).LastGood()["dl.example.org"]; good.IPv4 != nil || good.IPv6 != nil {
		t.Errorf("one is forced up and nobody was probed yet, but %v were up", good)
	}
	w.in.Administrative = nil
	w.set("one", health.State{Verdict: health.Up})
	w.set("two", isDown)
	w.set("three", isDown)
	table = w.compileGood(t)
	w.expectPool(t, table, "kept one:0.3333 two:0.3333 three:0.3333")
	notes := table.ExplainPool("dl.example.org", netip.Addr{}, 4, nil).Notes
	if !slices.Contains(notes, "1 of at least 2 members is up (min_members), and no set of so many is known: all are given") {
		t.Errorf("notes: %q", notes)
	}
}

// The rule of choice goes before: a reserve that is up, and what is to be done when
// nothing is. All that is kept is then what "all" means.
func TestMinMembersAndWhenNothingIsUp(t *testing.T) {
	for _, c := range []struct {
		whenAllDown pool.WhenAllDown
		reserve     health.State
		want        string
	}{
		{pool.AnswerAll, health.State{Verdict: health.Up}, "reserve reserve:1.0000"},
		{pool.AnswerAll, isDown, "kept one:0.5000 two:0.5000"},
		{pool.AnswerEmpty, isDown, "empty"},
		{pool.AnswerSelf, isDown, "self"},
	} {
		w := newTown(t, func(w *town) {
			withMinimum(2)(w)
			w.pool.WhenAllDown, w.pool.Members[3].Reserve = c.whenAllDown, true
		}, "one", "two", "three", "reserve")
		w.in.SelfAddresses = []netip.Addr{netip.MustParseAddr("127.9.9.9"), netip.MustParseAddr("fd09::1")}
		w.set("three", isDown)
		w.compileGood(t)
		w.set("one", isDown)
		w.set("reserve", c.reserve)
		w.expectPool(t, w.compileGood(t), "kept one:0.5000 two:0.5000")
		w.set("two", isDown)
		table := w.compileGood(t)
		w.expectPool(t, table, c.want)
		// What a server that draws nothing gets is the same.
		var given []string
		served, _ := table.Given("dl.example.org")
		for _, one := range served.IPv4.Addresses {
			given = append(given, one.Address.String())
		}
		want := map[string][]string{
			"reserve reserve:1.0000": {"127.0.0.4"}, "kept one:0.5000 two:0.5000": {"127.0.0.1", "127.0.0.2"}, "empty": nil, "self": {"127.9.9.9"},
		}[c.want]
		if diff := cmp.Diff(want, given); diff != "" {
			t.Errorf("%s, published (-expected +found):\n%s", c.want, diff)
		}
	}
}

// Families stand apart, one that is forced up counts, and one that comes back has all of
// its weight beside those that are kept.
func TestMinMembersByFamily(t *testing.T) {
	w := newTown(t, func(w *town) { withMinimum(2)(w); ramping(w) }, "one", "two", "three")
	w.compileGood(t)
	for _, i := range []int{0, 1} {
		w.setAddress(w.pool.Members[i].Addresses[1], isDown)
	}
	w.setAddress(w.pool.Members[2].Addresses[1], back(0))
	table := w.compileGood(t)
	if got := w.shares(table, dns.TypeA); got != "normal one:0.3333 two:0.3333 three:0.3333" {
		t.Errorf("A: %s", got)
	}
	if got := w.shares(table, dns.TypeAAAA); got != "kept one:0.3333 two:0.3333 three:0.3333" {
		t.Errorf("AAAA: %s", got)
	}
	w.say(saying(administrative.ForceUp, "one", "it works", 0))
	if got := w.shares(w.compileGood(t), dns.TypeAAAA); got != "normal one:0.9412 three:0.0588" {
		t.Errorf("AAAA with one forced up: %s", got)
	}
}

// What is told of it: who is kept, why, and who is not.
func TestKeptIsExplained(t *testing.T) {
	w := newTown(t, withMinimum(2), "one", "two", "three")
	w.set("three", isDown)
	w.compileGood(t)
	w.set("two", isDown)
	table := w.compileGood(t)
	e := table.ExplainPool("dl.example.org", netip.Addr{}, 4, nil)
	text := e.String()
	for _, want := range []string{
		"1 of at least 2 members is up (min_members): those of the last set of so many are given as well",
		"two        10      50.00 %    50.00 %  kept  everybody  down: status 503",
		"three     2     down: status 503",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing %q in\n%s", want, text)
		}
	}
	if d := table.Pools(nil)[0]; d.IPv4.Mode.String() != "kept" || d.Members[1].Addresses[0].Up || !slices.Equal(d.IPv4.Kept, []string{"two"}) {
		t.Errorf("described as %+v", d)
	}
}

// A pool is not taken over from the table before where others were up before.
func TestAnotherLastGood(t *testing.T) {
	w := newTown(t, withMinimum(2), "one", "two", "three")
	w.set("two", isDown)
	w.set("three", isDown)
	for member, want := range map[string]string{"two": "kept one:0.5000 two:0.5000", "three": "kept one:0.5000 three:0.5000"} {
		w.in.LastGood = LastGood{"dl.example.org": {IPv4: []string{"one", member}, IPv6: []string{"one", member}}}
		w.expectPool(t, w.compile(t, 0), want)
	}
}
