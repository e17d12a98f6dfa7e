package zones

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/health"
)

// versionText writes a version as a master file.
func versionText(v *Version) string {
	var out strings.Builder
	for rr := range allRecords(v) {
		fmt.Fprintln(&out, strings.ReplaceAll(rr.String(), "\t", " "))
	}
	return out.String()
}

func allRecords(v *Version) func(func(dns.RR) bool) {
	return func(yield func(dns.RR) bool) {
		if yield(v.SOA) {
			v.Records()(yield)
		}
	}
}

// TestVersionGolden holds what is transferred of the example repository, and of
// pools in all states.
func TestVersionGolden(t *testing.T) {
	for _, name := range []string{"answers-example.txtar", "answers-pools.txtar", "answers-static.txtar"} {
		a := single(t, name)
		table := a.table(t)
		var out strings.Builder
		for _, zone := range table.Zones() {
			checkPacked(t, table.Version(zone.Apex))
			out.WriteString(versionText(table.Version(zone.Apex)))
		}
		a.compare(t, "transfer", out.String())
	}
}

// TestVersionOrder: owners come in canonical order, one after another (the example
// of RFC 4034, section 6.1, among them).
func TestVersionOrder(t *testing.T) {
	ordered := []string{
		"example.", "a.example.", "yljkjljk.a.example.", "z.a.example.", "zabc.a.example.", "z.example.",
		`\001.z.example.`, "*.z.example.", `\200.z.example.`,
	}
	for i := 1; i < len(ordered); i++ {
		if a, b := orderKey(ordered[i-1]), orderKey(ordered[i]); slices.Compare(a, b) >= 0 {
			t.Errorf("%s does not stand before %s: %q, %q", ordered[i-1], ordered[i], a, b)
		}
	}
	if a, b := orderKey(`a\000.example.`), orderKey("b.a.example."); slices.Compare(a, b) <= 0 {
		t.Error(`a\000.example. stands before b.a.example.`)
	}
	if slices.Compare(orderKey(`a\000.example.`), orderKey(`a\001.example.`)) >= 0 || slices.Compare(orderKey(`a\001.example.`), orderKey(`a\002.example.`)) >= 0 {
		t.Error("bytes below 2 are out of order")
	}
}

func TestVersionOfNoZone(t *testing.T) {
	table := testTable(t, "answers-pools.txtar")
	if table.Version("nowhere.example.") != nil || table.Version("dl.example.org.") != nil {
		t.Error("there is a version of no zone")
	}
	if v := table.Version("EXAMPLE.org"); v == nil || v.Apex != "example.org." || v.SOA.Serial != table.Serials()["example.org."].Number {
		t.Errorf("version %+v", v)
	}
}

// TestVersionStops: who has enough of the records gets no more.
func TestVersionStops(t *testing.T) {
	version := testTable(t, "answers-pools.txtar").Version("example.org.")
	all := len(slices.Collect(version.Records()))
	for most := 1; most <= all; most++ {
		count := 0
		for range version.Records() {
			if count++; count == most {
				break
			}
		}
		if count != most {
			t.Errorf("%d records, expected %d", count, most)
		}
	}
}

// TestVersionShares: a change of health makes one part anew, and nothing at all
// while the serial stays.
func TestVersionShares(t *testing.T) {
	in := serialInput(t, strings.Replace(serialRepository, "SERIAL", "1", 1), nil)
	first := mustCompile(t, in)
	in.Previous, in.Serials, in.Now = first, first.Serials(), in.Now.Add(time.Minute)
	same := mustCompile(t, in)
	if same.Version("example.org.") != first.Version("example.org.") {
		t.Error("a version of the same content was made anew")
	}
	in.Health = verdicts(in.Definition, "a")
	other := mustCompile(t, in).Version("example.org.")
	if before := first.Version("example.org."); other == before || other.body().contents != before.body().contents {
		t.Error("a change of health does not share the zone file's part")
	}
	difference := Compare(first.Version("example.org."), other)
	if got := differenceText(difference); got != "- dl.example.org. 60 IN A 127.0.0.10\n" {
		t.Errorf("the difference is\n%s", got)
	}
}

func mustCompile(t testing.TB, in Input) *Table {
	t.Helper()
	table, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// verdicts tells all members up but for some.
func verdicts(definition *pool.Definition, down ...string) *health.Report {
	states := map[health.Target]health.State{}
	for _, one := range definition.Pools {
		for _, member := range one.Members {
			state := health.State{Verdict: health.Up}
			if slices.Contains(down, member.ID) {
				state.Verdict = health.Down
			}
			for _, address := range member.Addresses {
				states[health.MemberTarget(one, address)] = state
			}
		}
	}
	return health.NewReport(states)
}

// BenchmarkVersion is a change of one pool's health in a zone of many names: what it
// costs does not grow with the names.
func BenchmarkVersion(b *testing.B) {
	for _, names := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprint("names-", names), func(b *testing.B) {
			definition := manyNames(names)
			one := &pool.Pool{
				Name: "dl.example.org", TTL: 60, Answers: 4, WhenAllDown: pool.AnswerAll,
				Health: pool.Check{Probe: pool.Probe{Kind: pool.CheckTCP, Port: 80}},
			}
			for i := range 8 {
				one.Members = append(one.Members, &pool.Member{ID: fmt.Sprint("m", i), Addresses: []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 1, byte(i)})}, Weight: 10})
			}
			definition.Pools = []*pool.Pool{one}
			static, problems := Parse(definition)
			if static == nil {
				b.Fatal(problems)
			}
			in := Input{Definition: definition, Static: static, Health: verdicts(definition), Now: testNow}
			in.Previous = mustCompile(b, in)
			reports := []*health.Report{verdicts(definition, "m1"), verdicts(definition)}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				in.Serials, in.Now = in.Previous.Serials(), in.Now.Add(time.Minute)
				in.Health = reports[i%2]
				table := mustCompile(b, in)
				if d := Compare(in.Previous.Version("example.org."), table.Version("example.org.")); len(d.Deleted)+len(d.Added) != 1 {
					b.Fatal(differenceText(d))
				}
				in.Previous = table
			}
		})
	}
}
