package zones

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/pool"
)

func parsed(t testing.TB, zones map[string]string, pools ...*pool.Pool) *Static {
	t.Helper()
	definition := &pool.Definition{Pools: pools}
	for apex, text := range zones {
		definition.Zones = append(definition.Zones, pool.ZoneFile{Path: "zones/" + apex + ".zone", Data: []byte(text)})
	}
	static, problems := Parse(definition)
	if static == nil {
		t.Fatal(problems)
	}
	return static
}

// lookUpName gives the name of the node that a name comes to, and how many labels
// lie below it.
func lookUpName(t testing.TB, x *nameIndex, name string) (found string, below int) {
	t.Helper()
	var wire WireName
	if !wire.set(name) {
		t.Fatalf("%q is no name", name)
	}
	number, below := x.closest(&wire)
	if number < 0 {
		return "", 0
	}
	node := &x.nodes[number]
	text, _, err := dns.UnpackDomainName(x.wire[node.name:node.name+uint32(node.length)], 0)
	if err != nil {
		t.Fatal(err)
	}
	return text, below
}

// All of 20,000 names are found, whatever their letters' case, and those beside
// them are not.
func TestNameIndexFindsAll(t *testing.T) {
	const names = 20_000
	var zone strings.Builder
	zone.WriteString("$TTL 60\n@ IN SOA ns h 1 2 3 4 5\n@ IN NS ns.other.test.\n")
	for i := range names {
		fmt.Fprintf(&zone, "h%d.n%d IN A 127.0.0.1\n", i, i%1000)
	}
	x := parsed(t, map[string]string{"example.org": zone.String()}).index
	if len(x.nodes) != names+1000+1 || 2*len(x.nodes) > len(x.slots) {
		t.Fatalf("%d nodes in %d places", len(x.nodes), len(x.slots))
	}
	for i := range names {
		name := fmt.Sprintf("h%d.n%d.example.org.", i, i%1000)
		if found, below := lookUpName(t, x, strings.ToUpper(name)); found != name || below != 0 {
			t.Fatalf("%s was found as %q, %d labels below", name, found, below)
		}
		if i%10 == 0 {
			for beside, want := range map[string]int{
				fmt.Sprintf("h%d.n%d.example.org.", i, (i+1)%1000):   1,
				fmt.Sprintf("x.h%d.n%d.example.org.", i, (i+1)%1000): 2,
			} {
				if found, below := lookUpName(t, x, beside); found != parentOf(beside, want) || below != want {
					t.Fatalf("%s was found as %q, %d labels below", beside, found, below)
				}
			}
		}
		if i%100 == 0 {
			for beside, want := range map[string]string{
				"x." + name:                              name,
				fmt.Sprintf("h%d.example.org.", i):       "example.org.",
				fmt.Sprintf("h%d.n%d.example.", i, i):    "",
				fmt.Sprintf("h%d.n1000.example.org.", i): "example.org.",
			} {
				if found, _ := lookUpName(t, x, beside); found != want {
					t.Fatalf("%s was found as %q, expected %q", beside, found, want)
				}
			}
		}
	}
}

func parentOf(name string, labels int) string {
	for range labels {
		name = parent(name)
	}
	return name
}

// Names of the same hash are told apart: two of one zone, and one that is asked
// for and does not exist.
func TestNameIndexCollisions(t *testing.T) {
	seed := newNameIndex(&Static{definition: &pool.Definition{}}).seed
	probe := nameIndex{seed: seed}
	var pairs [][2]string
	seen := make(map[uint32]string)
	for i := 0; len(pairs) < 3; i++ {
		name := fmt.Sprintf("n%d.example.org.", i)
		var wire WireName
		wire.set(name)
		hash := probe.hash(wire.from(0))
		if other, found := seen[hash]; found {
			pairs = append(pairs, [2]string{other, name})
		}
		seen[hash] = name
	}
	zone := "$TTL 60\n@ IN SOA ns h 1 2 3 4 5\n@ IN NS ns.other.test.\n"
	for i, pair := range pairs {
		zone += pair[0] + " IN A 127.0.0.1\n"
		if i > 0 {
			zone += pair[1] + " IN A 127.0.0.2\n"
		}
	}
	static := parsed(t, map[string]string{"example.org": zone})
	x := &nameIndex{seed: seed, slots: make([]slot, 16)}
	b := indexBuilder{index: x, table: unpooled(static)}
	for _, name := range static.sorted[0].names {
		b.add(0, static.sorted[0], name)
	}
	x.settle()
	for i, pair := range pairs {
		for j, name := range pair {
			want := name
			if i == 0 && j == 1 {
				want = "example.org."
			}
			if found, _ := lookUpName(t, x, name); found != want {
				t.Errorf("%s was found as %q, expected %q", name, found, want)
			}
		}
	}
}

// Where a table of slots is full but for one, every chain of them still ends.
func TestNameIndexWrapsAround(t *testing.T) {
	static := parsed(t, map[string]string{"example.org": "$TTL 60\n@ IN SOA ns h 1 2 3 4 5\n@ IN NS ns.other.test.\n$GENERATE 1-14 h$ A 127.0.0.$\n"})
	for range 50 {
		x := newNameIndex(&Static{definition: static.definition})
		x.slots = make([]slot, 16)
		b := indexBuilder{index: x, table: unpooled(static)}
		for _, name := range static.sorted[0].names {
			b.add(0, static.sorted[0], name)
		}
		x.settle()
		for i := range 30 {
			name, want := fmt.Sprintf("h%d.example.org.", i), "example.org."
			if 1 <= i && i <= 14 {
				want = name
			}
			if found, _ := lookUpName(t, x, name); found != want {
				t.Fatalf("%s was found as %q, expected %q", name, found, want)
			}
		}
	}
}

// The index comes to the same node as the walk through the zones.
func TestClosestEncloser(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 4))
		in := randomInput(t, r)
		x := in.Static.index
		for range 100 {
			name := randomName(r)
			zone, found := deepest(in.Static.zones, name)
			want, wantBelow := "", 0
			if found {
				for want = name; zone.nodes[want] == nil; want = parent(want) {
					wantBelow++
				}
			}
			if got, below := lookUpName(t, x, name); got != want || below != wantBelow {
				t.Fatalf("%s comes to %q, %d below; expected %q, %d", name, got, below, want, wantBelow)
			}
		}
	}
}

// A pointer has fourteen bits: where the name that was asked for is so long that
// a place behind it is out of reach, or could be, the answer is made anew.
func TestFarPointers(t *testing.T) {
	var zone strings.Builder
	zone.WriteString("$TTL 60\n@ IN SOA ns h 1 2 3 4 5\n@ IN NS ns.other.test.\n")
	const sets = 20
	for set := range sets {
		long := func(c, n int) string { return strings.Repeat(string(rune('a'+c)), n) }
		for i := range 78 {
			fmt.Fprintf(&zone, "cut%d IN NS %s.%s.%s.f%d.\n", set, long(i%26, 62), long(i/26, 62), long(i%26, 60), i)
		}
		fmt.Fprintf(&zone, "cut%d IN NS %s.%s.%s.%s.g.\n", set, long(1, 40), long(2, 40), long(3, 20), long(4, 2+2*set))
		fmt.Fprintf(&zone, "cut%d IN NS %s.%s.h.\n", set, long(1, 1+7*set/3), long(2, 1+7*set/3))
		// The last one points to where the one before it has "far".
		fmt.Fprintf(&zone, "cut%d IN NS a.far.\ncut%d IN NS b.far.\n", set, set)
		if set%2 == 1 {
			fmt.Fprintf(&zone, "cut%d IN NS .\n", set)
		}
	}
	static := parsed(t, map[string]string{"example.org": zone.String()})
	table, err := Compile(Input{Definition: static.definition, Static: static, Now: testNow})
	if err != nil {
		t.Fatal(err)
	}
	p := newPathPair(table)
	ready, left := 0, 0
	for set := range sets {
		for length := 2; length < 230; length++ {
			front, _, err := dns.UnpackDomainName(longName(length+1), 0)
			if err != nil {
				t.Fatal(err)
			}
			if p.ask(t, fmt.Sprintf("%scut%d.example.org.", front, set), dns.TypeA, netip.Addr{}, maxMessage, 1) {
				ready++
			} else {
				left++
			}
		}
	}
	if ready == 0 || left == 0 {
		t.Errorf("%d answers were ready and %d were not: the pointers are not at the end of their reach", ready, left)
	}
}

// A small file makes no more ready than there is room for, and what is not ready
// is answered as well.
func TestReadyIsBounded(t *testing.T) {
	var zone strings.Builder
	zone.WriteString("$TTL 60\n@ IN SOA ns.other.test. h 1 2 3 4 5\n@ IN NS ns.other.test.\n")
	for i := range 4000 {
		fmt.Fprintf(&zone, "big IN A 127.0.%d.%d\n", i>>8, i&255)
	}
	const most = maxReady/(4000*16) + 1
	fmt.Fprintf(&zone, "$GENERATE 1-%d a$ CNAME big\nz IN NS ns.other.test.\nza IN A 127.0.0.1\n*.zb IN A 127.0.0.1\n", most+100)
	static := parsed(t, map[string]string{"example.org": zone.String()})
	if size := len(static.index.wire); size < maxReady || size > maxReady+1<<20 {
		t.Errorf("%d bytes are ready, expected %d and little more", size, maxReady)
	}
	table, err := Compile(Input{Definition: static.definition, Static: static, Now: testNow})
	if err != nil {
		t.Fatal(err)
	}
	p := newPathPair(table)
	for name, want := range map[string]bool{
		"a1.example.org.": true, fmt.Sprintf("a%d.example.org.", 999): false, "z.example.org.": false, "x.z.example.org.": false,
		"za.example.org.": false, "x.zb.example.org.": false, "no.example.org.": true,
	} {
		if got := p.ask(t, name, dns.TypeA, netip.Addr{}, maxMessage, 1); got != want {
			t.Errorf("%s is ready: %v, expected %v", name, got, want)
		}
	}
}
