package zones

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/health"
	"mirrorpool/pool/selection"
)

// TestCompileIsPure: the same input gives the same answers, and compiling,
// answering and describing writes to nothing that is shared.
func TestCompileIsPure(t *testing.T) {
	for _, a := range readArchives(t, "answers-*.txtar") {
		in := a.input(t)
		before := in
		before.Serials = maps.Clone(in.Serials)
		first, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		second, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(5) {
			for _, fields := range a.lines("questions") {
				q := parseQuestion(t, fields)
				one, two := first.Answer(q, rand.NewPCG(seed, 1)), second.Answer(q, rand.NewPCG(seed, 1))
				if !reflect.DeepEqual(one, two) {
					t.Errorf("%s, seed %d, %v:\n%s%s", a.path, seed, fields, answerText(one), answerText(two))
				}
			}
		}
		if !reflect.DeepEqual(first.Serials(), second.Serials()) || !reflect.DeepEqual(in.Serials, before.Serials) {
			t.Errorf("%s: serials differ, or the input's were written to", a.path)
		}
		if !reflect.DeepEqual(first.Pools(nil), second.Pools(nil)) || !reflect.DeepEqual(first.Zones(), second.Zones()) {
			t.Errorf("%s: descriptions differ", a.path)
		}
	}
}

func TestCompileRefusesForeignInput(t *testing.T) {
	in := single(t, "answers-pools.txtar").input(t)
	for name, change := range map[string]func(*Input){
		"no definition":      func(in *Input) { in.Definition = nil },
		"no static zones":    func(in *Input) { in.Static = nil },
		"another definition": func(in *Input) { other := *in.Definition; in.Definition = &other },
	} {
		changed := in
		change(&changed)
		if table, err := Compile(changed); err == nil || table != nil {
			t.Errorf("%s: compiled to %v, %v", name, table, err)
		}
	}
}

// TestCompileNothing: a repository without pools and zones is a good one.
func TestCompileNothing(t *testing.T) {
	definition := &pool.Definition{}
	static, problems := Parse(definition)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	table, err := Compile(Input{Definition: definition, Static: static})
	if err != nil {
		t.Fatal(err)
	}
	if a := table.Answer(Question{Name: "example.org.", Type: dns.TypeA}, nil); a.Rcode != dns.RcodeRefused || a.Authoritative {
		t.Errorf("answered %s", answerText(a))
	}
	if table.Host("example.org") != nil || table.ExplainPool("example.org", netip.Addr{}, 4, nil) != nil || table.ExplainHost("example.org", netip.Addr{}, true, nil) != nil {
		t.Error("there is a host or pool")
	}
}

// TestWithoutHealthAndGeo: a table can be made before anything is known.
func TestWithoutHealthAndGeo(t *testing.T) {
	in := single(t, "answers-pools.txtar").input(t)
	in.Health, in.Geo = nil, nil
	table, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	a := table.Answer(Question{Name: "dl.example.org.", Type: dns.TypeA, Client: netip.MustParseAddr("127.0.0.1")}, rand.NewPCG(1, 1))
	slices.Sort(a.Members)
	if diff := cmp.Diff([]string{"down", "half", "one", "two"}, a.Members); diff != "" {
		t.Errorf("while nothing is known to be up, all that may be up are given (-expected +found):\n%s", diff)
	}
	table.Pools(nil)
}

const serialRepository = `$TTL 60
@ IN SOA ns hostmaster SERIAL 7200 900 1209600 60
@ IN NS ns
ns IN A 127.0.0.1
`

// serialInput is a zone and a pool of three members, with what may change.
func serialInput(t *testing.T, zone string, change func(*pool.Pool), down ...string) Input {
	t.Helper()
	one := &pool.Pool{
		Name: "dl.example.org", TTL: 60, Answers: 4, WhenAllDown: pool.AnswerAll,
		Health: pool.Check{Probe: pool.Probe{Kind: pool.CheckTCP, Port: 80}},
	}
	for i, id := range []string{"a", "b", "c"} {
		address := netip.AddrFrom4([4]byte{127, 0, 0, byte(10 + i)})
		one.Members = append(one.Members, &pool.Member{ID: id, Addresses: []netip.Addr{address}, Weight: 10})
	}
	one.Members[2].Reserve = true
	if change != nil {
		change(one)
	}
	definition := &pool.Definition{
		Pools: []*pool.Pool{one},
		Zones: []pool.ZoneFile{{Path: "zones/example.org.zone", Data: []byte(zone)}},
	}
	static, problems := Parse(definition)
	if static == nil {
		t.Fatal(problems)
	}
	states := map[health.Target]health.State{}
	for _, member := range one.Members {
		state := health.State{Verdict: health.Up}
		if slices.Contains(down, member.ID) {
			state.Verdict = health.Down
		}
		states[health.MemberTarget(one, member.Addresses[0])] = state
	}
	return Input{Definition: definition, Static: static, Health: health.NewReport(states), Now: testNow}
}

func TestSerial(t *testing.T) {
	first := strings.Replace(serialRepository, "SERIAL", "1", 1)
	base := compileSerial(t, serialInput(t, first, nil), nil)
	if base.Number != uint32(testNow.Unix()) {
		t.Errorf("a zone that was never seen got %d", base.Number)
	}
	for name, c := range map[string]struct {
		in    Input
		grows bool
	}{
		"nothing":                {serialInput(t, first, nil), false},
		"the serial in the file": {serialInput(t, strings.Replace(serialRepository, "SERIAL", "99", 1), nil), false},
		"comments":               {serialInput(t, "; comment\n"+first, nil), false},
		"a weight":               {serialInput(t, first, func(p *pool.Pool) { p.Members[0].Weight = 99 }), false},
		"a weight of 0":          {serialInput(t, first, func(p *pool.Pool) { p.Members[0].Weight = 0 }), true},
		"a member down":          {serialInput(t, first, nil, "a"), true},
		"all down but reserve":   {serialInput(t, first, nil, "a", "b"), true},
		"the reserve down":       {serialInput(t, first, nil, "c"), false},
		"a location":             {serialInput(t, first, func(p *pool.Pool) { p.Members[0].Location = &pool.Location{Country: "DE"} }), false},
		"the pool's TTL":         {serialInput(t, first, func(p *pool.Pool) { p.TTL = 61 }), true},
		"the pool's name":        {serialInput(t, first, func(p *pool.Pool) { p.Name = "dl2.example.org" }), true},
		"a member's address":     {serialInput(t, first, func(p *pool.Pool) { p.Members[0].Addresses[0] = netip.MustParseAddr("127.0.0.99") }), true},
		"a record":               {serialInput(t, first+"x IN TXT \"1\"\n", nil), true},
		"a record's TTL":         {serialInput(t, strings.Replace(first, "$TTL 60", "$TTL 61", 1), nil), true},
		"the SOA":                {serialInput(t, strings.Replace(first, "7200", "7201", 1), nil), true},
		"glue":                   {serialInput(t, first+"s IN NS ns.s\nns.s IN A 127.0.0.3\n", nil), true},
	} {
		next := compileSerial(t, c.in, map[string]Serial{"example.org.": base})
		want := base.Number
		if c.grows {
			want++
		}
		if next.Number != want {
			t.Errorf("%s changed: serial %d after %d", name, next.Number, base.Number)
		}
	}

	one := compileSerial(t, serialInput(t, first+"x IN A 127.0.0.2\nx IN A 127.0.0.3\n", nil), nil)
	two := compileSerial(t, serialInput(t, first+"x IN A 127.0.0.3\nx IN A 127.0.0.2\n", nil), nil)
	if one != two {
		t.Errorf("the order of records counts: %v, %v", one, two)
	}
	reserve := compileSerial(t, serialInput(t, first, nil, "a", "b"), nil)
	another := compileSerial(t, serialInput(t, first, func(p *pool.Pool) {
		p.Members[2].Addresses[0] = netip.MustParseAddr("127.0.0.99")
	}, "a", "b"), nil)
	if reserve.Digest == another.Digest {
		t.Error("which reserve is given does not count")
	}
	self := serialInput(t, first, func(p *pool.Pool) { p.WhenAllDown = pool.AnswerSelf }, "a", "b", "c")
	self.SelfAddresses = []netip.Addr{netip.MustParseAddr("127.0.0.5")}
	node := compileSerial(t, self, nil)
	self.SelfAddresses = []netip.Addr{netip.MustParseAddr("127.0.0.6")}
	if other := compileSerial(t, self, nil); other.Digest == node.Digest {
		t.Error("the node's own addresses do not count while they are given")
	}
	all := compileSerial(t, serialInput(t, first, nil, "a", "b", "c"), nil)
	none := compileSerial(t, serialInput(t, first, func(p *pool.Pool) { p.WhenAllDown = pool.AnswerEmpty }, "a", "b", "c"), nil)
	if all.Digest == none.Digest || all.Digest != base.Digest {
		t.Errorf("what is given while all are down, the same as while all are up, does not count: %v, %v, %v", base, all, none)
	}
}

func compileSerial(t *testing.T, in Input, last map[string]Serial) Serial {
	t.Helper()
	in.Serials = last
	table, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	serial := table.Serials()["example.org."]
	a := table.Answer(Question{Name: "example.org.", Type: dns.TypeSOA}, nil)
	negative := table.Answer(Question{Name: "nowhere.example.org.", Type: dns.TypeSOA}, nil)
	for _, rr := range []dns.RR{a.Answer[0], negative.Authority[0]} {
		if soa := rr.(*dns.SOA); soa.Serial != serial.Number {
			t.Errorf("the SOA has serial %d, Serials says %d", soa.Serial, serial.Number)
		}
	}
	return serial
}

// TestNextSerial: numbers grow in the arithmetic of RFC 1982.
func TestNextSerial(t *testing.T) {
	for _, c := range []struct {
		last uint32
		now  int64
		want uint32
	}{
		{100, 200, 200},
		{200, 200, 201},
		{300, 200, 301},         // the clock went back
		{1<<32 - 1, 200, 200},   // 200 comes after the wrap
		{1<<32 - 1, 1 << 31, 0}, // too far ahead to be greater
		{100, 100 + 1<<31, 101}, // neither greater nor less
		{100, 100 + 1<<31 - 1, 1<<31 + 99},
	} {
		got := SerialShare{}.next(Serial{c.last, "old"}, true, "new", time.Unix(c.now, 0))
		if got.Number != c.want || got.Digest != "new" {
			t.Errorf("after %d at %d: %v, expected %d", c.last, c.now, got, c.want)
		}
		if !serialAfter(got.Number, c.last) {
			t.Errorf("%d is not after %d", got.Number, c.last)
		}
	}
	same := Serial{7, "same"}
	if got := (SerialShare{}).next(same, true, "same", time.Unix(100, 0)); got != same {
		t.Errorf("the same content got %v", got)
	}
	if got := (SerialShare{}).next(Serial{}, false, "", time.Unix(100, 0)); got.Number != 100 {
		t.Errorf("a new zone got %v", got)
	}
}

// TestDraws: all members are drawn, as many as asked for, first records by
// weight, and a member's addresses stand together.
func TestDraws(t *testing.T) {
	in := serialInput(t, strings.Replace(serialRepository, "SERIAL", "1", 1), func(p *pool.Pool) {
		p.Answers = 2
		p.Members[0].Weight = 30
		p.Members[2].Reserve = false
	})
	table, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	const draws = 20_000
	r := rand.NewPCG(1, 2)
	first := map[string]int{}
	for range draws {
		a := table.Answer(Question{Name: "dl.example.org.", Type: dns.TypeA}, r)
		if len(a.Members) != 2 || len(a.Answer) != 2 || a.Drawn != 2 || a.Members[0] == a.Members[1] || a.MemberRecords != nil {
			t.Fatalf("drew %s", answerText(a))
		}
		member := slices.IndexFunc(in.Definition.Pools[0].Members, func(m *pool.Member) bool { return m.ID == a.Members[0] })
		if addressOf(a.Answer[0]) != in.Definition.Pools[0].Members[member].Addresses[0] {
			t.Fatalf("members and records do not match: %s", answerText(a))
		}
		first[a.Members[0]]++
	}
	for id, share := range map[string]float64{"a": 0.6, "b": 0.2, "c": 0.2} {
		if got := float64(first[id]) / draws; got < share-0.02 || got > share+0.02 {
			t.Errorf("%s was first in %.3f of the answers, expected %.1f", id, got, share)
		}
	}
}

func TestDescriptions(t *testing.T) {
	table := testTable(t, "answers-pools.txtar")
	zones := table.Zones()
	if len(zones) != 2 || zones[0].Apex != "apex.example." || zones[1].Serial.Number != uint32(testNow.Unix()) {
		t.Errorf("zones: %+v", zones)
	}
	if diff := cmp.Diff([]string{"apex.example", "deep.down.apex.example"}, zones[0].Pools); diff != "" {
		t.Error(diff)
	}
	if zones[0].Records != 3 || zones[0].Names != 3 || zones[0].Delegations != 0 {
		t.Errorf("zone: %+v", zones[0])
	}
	pools := table.Pools(nil)
	if !slices.IsSortedFunc(pools, func(a, b PoolDescription) int { return strings.Compare(a.Name, b.Name) }) || len(pools) != 12 {
		t.Errorf("%d pools, or not sorted", len(pools))
	}
	byName := map[string]PoolDescription{}
	for _, p := range pools {
		byName[p.Name] = p
	}
	dl := byName["dl.example.org"]
	if dl.Zone != "example.org." || !dl.IPv4.Served || dl.IPv4.Mode != selection.Normal || len(dl.Members) != 6 {
		t.Errorf("pool: %+v", dl)
	}
	half := dl.Members[4]
	if half.ID != "half" || !half.Addresses[0].Up || half.Addresses[1].Up || half.Addresses[1].State.Verdict != health.Down {
		t.Errorf("member: %+v", half)
	}
	if !dl.Members[5].Reserve || dl.Members[3].Weight != 0 {
		t.Errorf("members: %+v", dl.Members)
	}
	if p := byName["reserve.example.org"]; p.IPv4.Mode != selection.Reserve || p.IPv6.Served {
		t.Errorf("pool: %+v", p)
	}
	if p := byName["self.example.org"]; p.IPv4.Mode != selection.Self || p.IPv6.Mode != selection.All {
		t.Errorf("pool: %+v", p)
	}
	fresh := byName["new.example.org"]
	if fresh.Members[1].Addresses[0].Up || !fresh.Members[0].Addresses[1].Up {
		t.Errorf("addresses that were not probed: %+v", fresh.Members)
	}
	if place := byName["near.example.org"].Members[1].Place; place.Country != "US" {
		t.Errorf("place from the address: %+v", place)
	}
	if place := byName["near.example.org"].Members[2].Place; place.Country != "JP" || place.Continent != "AS" {
		t.Errorf("place from the repository: %+v", place)
	}
}

// TestPlaceOfOwnNetworks: a member that the repository locates is still in the
// operator's network that its address lies in.
func TestPlaceOfOwnNetworks(t *testing.T) {
	network := netip.MustParsePrefix("127.9.0.0/16")
	m := geo.NewMap(map[netip.Prefix]geo.Place{network: {Country: "US"}})
	member := &pool.Member{
		Addresses: []netip.Addr{netip.MustParseAddr("127.9.0.1")},
		Location:  &pool.Location{Country: "DE"},
	}
	if place := memberPlace(m, member); place.Country != "DE" || place.Network != network {
		t.Errorf("place: %+v", place)
	}
}

func TestExplain(t *testing.T) {
	table := testTable(t, "answers-pools.txtar")
	client := netip.MustParseAddr("198.51.100.1")
	for _, name := range []string{"near.example.org", "near.example.org.", "NEAR.example.ORG"} {
		e := table.ExplainPool(name, client, 4, nil)
		if e == nil || e.Mode != selection.Normal || len(e.Candidates) != 1 || e.Candidates[0].ID != "de" || e.ScopeBits != 24 {
			t.Fatalf("explained %s: %+v", name, e)
		}
	}
	six := table.ExplainPool("near.example.org", netip.Addr{}, 6, nil)
	if len(six.Candidates) != 2 || len(six.LeftOut) != 2 || !strings.Contains(six.LeftOut[0].Reason, "no AAAA address") {
		t.Errorf("explained: %+v", six)
	}
	if e := table.ExplainPool("v6.example.org", client, 4, nil); e == nil || e.Mode != selection.Empty {
		t.Errorf("explained: %+v", e)
	}
	if table.ExplainPool("near.example.org", client, 5, nil) != nil || table.ExplainPool("www.example.org", client, 4, nil) != nil {
		t.Error("explained what there is not")
	}
}
