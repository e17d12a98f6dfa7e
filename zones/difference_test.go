package zones

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/health"
	"mirrorpool/zones/signing"
)

func differenceText(d *Difference) string {
	var out strings.Builder
	for _, rr := range d.Deleted {
		fmt.Fprintln(&out, "- "+strings.ReplaceAll(rr.String(), "\t", " "))
	}
	for _, rr := range d.Added {
		fmt.Fprintln(&out, "+ "+strings.ReplaceAll(rr.String(), "\t", " "))
	}
	return out.String()
}

// TestCompare holds the difference of one zone file and another.
func TestCompare(t *testing.T) {
	head := "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 127.0.0.1\nM A 127.0.0.1\n"
	for _, c := range []struct{ name, from, to, want string }{
		{"nothing", "x TXT 1\n", "x TXT 1\n", ""},
		{"a name comes", "", "x TXT 1\n", "+ x.example. 60 IN TXT \"1\"\n"},
		{"a name goes", "x TXT 1\n", "", "- x.example. 60 IN TXT \"1\"\n"},
		{"a type comes", "x TXT 1\n", "x TXT 1\nx A 127.0.0.2\n", "+ x.example. 60 IN A 127.0.0.2\n"},
		{"one of a set", "x A 127.0.0.1\nx A 127.0.0.2\n", "x A 127.0.0.3\nx A 127.0.0.2\n", "- x.example. 60 IN A 127.0.0.1\n+ x.example. 60 IN A 127.0.0.3\n"},
		{"the order in the file", "x A 127.0.0.1\nx A 127.0.0.2\n", "x A 127.0.0.2\nx A 127.0.0.1\n", ""},
		{"the owner's case", "x TXT 1\n", "X TXT 1\n", ""},
		{"the case of data", "x MX 1 M\n", "x MX 1 m\n", "- x.example. 60 IN MX 1 M.example.\n+ x.example. 60 IN MX 1 m.example.\n"},
		{"a TTL", "x TXT 1\nx TXT 2\n", "x 61 TXT 1\nx 61 TXT 2\n", "- x.example. 60 IN TXT \"1\"\n- x.example. 60 IN TXT \"2\"\n+ x.example. 61 IN TXT \"1\"\n+ x.example. 61 IN TXT \"2\"\n"},
		{"glue", "x NS ns.x\nns.x A 127.0.0.1\n", "x NS ns.x\nns.x A 127.0.0.2\n", "- ns.x.example. 60 IN A 127.0.0.1\n+ ns.x.example. 60 IN A 127.0.0.2\n"},
		{"in order", "b TXT 1\nz.b TXT 1\n", "c TXT 1\na TXT 1\n", "- b.example. 60 IN TXT \"1\"\n- z.b.example. 60 IN TXT \"1\"\n+ a.example. 60 IN TXT \"1\"\n+ c.example. 60 IN TXT \"1\"\n"},
	} {
		version := func(body string) *Version {
			definition := &pool.Definition{Zones: []pool.ZoneFile{{Path: "zones/example.zone", Data: []byte(head + body)}}}
			static, problems := Parse(definition)
			if static == nil {
				t.Fatal(problems)
			}
			return mustCompile(t, Input{Definition: definition, Static: static, Now: testNow}).Version("example.")
		}
		if got := differenceText(Compare(version(c.from), version(c.to))); got != c.want {
			t.Errorf("%s:\n%sexpected\n%s", c.name, got, c.want)
		}
	}
}

// randomRepository is a zone of random records with pools, of which some members are up.
func randomRepository(t testing.TB, r *rand.Rand) Input {
	t.Helper()
	var file strings.Builder
	file.WriteString("$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 127.0.0.1\n")
	names := []string{"a", "b", "*.b", "c.a", "z.c.a", "long-name", `odd\001`, `odd\000`, "zz"}
	for _, name := range names {
		for range r.IntN(4) {
			fmt.Fprintf(&file, "%s %d %s\n", name, 60+r.IntN(2), []string{"A 127.0.0.", "TXT t", "MX 10 m"}[r.IntN(3)]+fmt.Sprint(1+r.IntN(4)))
		}
	}
	if r.IntN(2) == 0 {
		fmt.Fprintf(&file, "sub NS ns.sub\nns.sub A 127.0.0.%d\n", r.IntN(4))
	}
	definition := &pool.Definition{}
	for _, name := range []string{"example.org", "dl.example.org", "pool.zz.example.org"} {
		if r.IntN(4) == 0 {
			continue
		}
		one := &pool.Pool{
			Name: name, TTL: 60 + uint32(r.IntN(2)), Answers: 2, WhenAllDown: []pool.WhenAllDown{pool.AnswerAll, pool.AnswerEmpty, pool.AnswerSelf}[r.IntN(3)],
			Health: pool.Check{Probe: pool.Probe{Kind: pool.CheckTCP, Port: 80}},
		}
		for i := range 1 + r.IntN(5) {
			member := &pool.Member{ID: fmt.Sprint("m", i), Weight: uint32(r.IntN(3)), Reserve: r.IntN(3) == 0}
			member.Addresses = append(member.Addresses, netip.AddrFrom4([4]byte{127, 0, 1, byte(i)}))
			if r.IntN(2) == 0 {
				member.Addresses = append(member.Addresses, netip.AddrFrom16([16]byte{0: 0xfd, 15: byte(i)}))
			}
			one.Members = append(one.Members, member)
		}
		definition.Pools = append(definition.Pools, one)
	}
	definition.Zones = []pool.ZoneFile{{Path: "zones/example.org.zone", Data: []byte(file.String())}}
	static, problems := Parse(definition)
	if static == nil {
		t.Fatal(problems)
	}
	in := Input{
		Definition: definition, Static: static, Now: testNow,
		SelfAddresses: []netip.Addr{netip.MustParseAddr("127.0.0.5")},
	}
	in.Health = randomVerdicts(in.Definition, r)
	return in
}

func randomVerdicts(definition *pool.Definition, r *rand.Rand) *health.Report {
	var down []string
	for i := range 5 {
		if r.IntN(2) == 0 {
			down = append(down, fmt.Sprint("m", i))
		}
	}
	return verdicts(definition, down...)
}

// TestDifferencesLead: what is transferred of an older version, with the difference
// applied, is what is transferred of the newer one, over commits and changes of
// health, also when versions are read back from their records; and so for signed
// zones, with keys that change, and signatures that are renewed.
func TestDifferencesLead(t *testing.T) {
	t.Run("unsigned", func(t *testing.T) { differencesLead(t, 300, nil) })
	t.Run("signed", func(t *testing.T) {
		plan := planFor(t, "example.org.", dns.ECDSAP256SHA256)
		differencesLead(t, 150, func(step int, in *Input) {
			if step%40 == 39 {
				plan = planFor(t, "example.org.", dns.ED25519)
			}
			now := *plan
			now.Now = in.Now
			in.Signing = map[string]*signing.Plan{"example.org.": &now}
			if step%50 == 49 {
				in.Signing = nil
			}
		})
	})
}

func differencesLead(t *testing.T, steps int, sign func(step int, in *Input)) {
	r := rand.New(rand.NewPCG(5, 1))
	var previous *Table
	var kept *Version
	serials := map[string]Serial{}
	for step := range steps {
		var in Input
		if previous == nil || step%3 == 0 {
			in = randomRepository(t, r)
		} else {
			in = Input{
				Definition: previous.Definition, Static: previous.static, SelfAddresses: previous.selfAddresses,
				Health: randomVerdicts(previous.Definition, r),
			}
		}
		in.Previous, in.Serials, in.Now = previous, serials, testNow.Add(time.Duration(step)*time.Hour)
		if sign != nil {
			sign(step, &in)
		}
		table := mustCompile(t, in)
		version := table.Version("example.org.")
		if kept != nil {
			d := Compare(kept, version)
			if changed := len(d.Deleted)+len(d.Added) > 0; changed && d.Old.Serial == d.New.Serial {
				t.Fatalf("step %d: another content with serial %d:\n%s", step, d.New.Serial, differenceText(d))
			}
			again, err := kept.Apply(d)
			if err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
			if got, want := sortedText(again), sortedText(version); got != want {
				t.Fatalf("step %d: applied\n%s\nexpected\n%s", step, got, want)
			}
			if rest := Compare(again, version); len(rest.Deleted)+len(rest.Added) > 0 {
				t.Fatalf("step %d: a version and the same read back differ:\n%s", step, differenceText(rest))
			}
			version.checkOrder(t)
			if in.Signing != nil {
				checkSignedVersion(t, version, in.Now)
			}
			again.checkOrder(t)
			if step%2 == 0 {
				version = again
			}
		}
		previous, serials, kept = table, table.Serials(), version
	}
}

func (v *Version) checkOrder(t *testing.T) {
	t.Helper()
	var last []byte
	for rr := range v.Records() {
		key := orderKey(canonical(rr.Header().Name))
		if slices.Compare(last, key) > 0 {
			t.Fatalf("%v stands behind what it comes before", rr)
		}
		last = key
	}
}

// checkSignedVersion holds a signed zone to RFC 4035, section 2: good signatures for
// all that the zone is the authority for, and for nothing else, and one closed
// chain of NSEC records that list what there is.
func checkSignedVersion(t *testing.T, v *Version, now time.Time) {
	t.Helper()
	checkPacked(t, v)
	type name struct {
		owner string
		kind  uint16
	}
	sets := map[name][]dns.RR{}
	signatures := map[name][]*dns.RRSIG{}
	types := map[string][]uint16{}
	var cut string
	var order []string
	var keys []*dns.DNSKEY
	for rr := range allRecords(v) {
		owner := canonical(rr.Header().Name)
		if key, ok := rr.(*dns.DNSKEY); ok {
			keys = append(keys, key)
		}
		if signature, ok := rr.(*dns.RRSIG); ok {
			key := name{owner, signature.TypeCovered}
			signatures[key] = append(signatures[key], signature)
			types[owner] = append(types[owner], dns.TypeRRSIG)
			continue
		}
		sets[name{owner, rr.Header().Rrtype}] = append(sets[name{owner, rr.Header().Rrtype}], rr)
		types[owner] = append(types[owner], rr.Header().Rrtype)
	}
	for owner := range types {
		if owner != v.Apex && len(sets[name{owner, dns.TypeNS}]) > 0 {
			cut = owner
		}
	}
	for key, records := range sets {
		glue := cut != "" && within(key.owner, cut) && (key.owner != cut || key.kind == dns.TypeNS)
		if glue {
			if len(signatures[key]) > 0 {
				t.Fatalf("%v is signed", key)
			}
			continue
		}
		if len(signatures[key]) == 0 {
			t.Fatalf("%v is not signed:\n%s", key, versionText(v))
		}
		for _, signature := range signatures[key] {
			if signature.Hdr.Ttl != records[0].Header().Ttl || signature.Hdr.Name != records[0].Header().Name && key.kind != dns.TypeSOA {
				t.Fatalf("%v is signed by %v", records[0], signature)
			}
			good := slices.ContainsFunc(keys, func(key *dns.DNSKEY) bool {
				return key.KeyTag() == signature.KeyTag && signature.Verify(key, copies(records)) == nil
			})
			if !good || !signature.ValidityPeriod(now) {
				t.Fatalf("%v has a bad signature: %v", key, signature)
			}
		}
		delete(signatures, key)
	}
	if len(signatures) > 0 {
		t.Fatalf("signatures of nothing: %v", signatures)
	}
	for owner := range types {
		if cut == "" || owner == cut || !within(owner, cut) {
			order = append(order, owner)
		}
	}
	slices.SortFunc(order, func(a, b string) int { return slices.Compare(orderKey(a), orderKey(b)) })
	for i, owner := range order {
		found := sets[name{owner, dns.TypeNSEC}]
		if len(found) != 1 {
			t.Fatalf("%s has %d NSEC records:\n%s", owner, len(found), versionText(v))
		}
		nsec, there := found[0].(*dns.NSEC), types[owner]
		slices.Sort(there)
		if there = slices.Compact(there); !slices.Equal(nsec.TypeBitMap, there) || canonical(nsec.NextDomain) != order[(i+1)%len(order)] {
			t.Fatalf("%v, expected next %s and types %v", nsec, order[(i+1)%len(order)], there)
		}
	}
}

func sortedText(v *Version) string {
	lines := strings.SplitAfter(strings.ToLower(versionText(v)), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func TestApplyRefuses(t *testing.T) {
	version := testTable(t, "answers-pools.txtar").Version("example.org.")
	newer := *version.SOA
	newer.Serial++
	record := slices.Collect(version.Records())[0]
	absent, err := dns.NewRR("absent.example.org. 60 IN TXT x")
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range map[string]*Difference{
		"another serial":     {Old: &newer, New: &newer},
		"a record that is":   {Old: version.SOA, New: &newer, Added: []dns.RR{record}},
		"one that is not":    {Old: version.SOA, New: &newer, Deleted: []dns.RR{absent}},
		"one deleted before": {Old: version.SOA, New: &newer, Deleted: []dns.RR{record, record}},
	} {
		if _, err := version.Apply(d); err == nil {
			t.Errorf("%s: applied", name)
		}
	}
	if _, err := version.Apply(&Difference{Old: version.SOA, New: &newer, Deleted: []dns.RR{record}}, &Difference{Old: &newer, New: version.SOA, Added: []dns.RR{record}}); err != nil {
		t.Error(err)
	}
}
