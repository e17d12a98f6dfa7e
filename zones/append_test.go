package zones

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/administrative"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/health"
	"mirrorpool/testdraw"
)

// pathPair asks one table for what Answer says and Packer writes, and for what
// Append writes, and holds that it is the same.
type pathPair struct {
	table    *Table
	packer   Packer
	tally    *Tally
	counts   map[string]int // what the tally has to hold
	asked    Asked
	buffer   []byte
	length   int // of the last answer
	appended Appended
	drawn    bool // and it is of a pool and signed: that it fits is not seen before
}

func newPathPair(table *Table) *pathPair {
	return &pathPair{table: table, tally: table.NewTally(), counts: map[string]int{}, buffer: make([]byte, maxMessage+1000)}
}

// ask asks one question of both, and tells whether Append answered it.
func (p *pathPair) ask(t testing.TB, name string, kind uint16, client netip.Addr, limit int, seed uint64) bool {
	t.Helper()
	random := [2]*rand.PCG{rand.NewPCG(seed, 1), rand.NewPCG(seed, 1)}
	question := make([]byte, maxName+1)
	length, err := dns.PackDomainName(name, question, 0, nil, false)
	if err != nil {
		t.Fatalf("packing %q: %v", name, err)
	}
	question = append(question[:length], byte(kind>>8), byte(kind), 0, dns.ClassINET)

	const behind = 400
	message := p.buffer[:messageHeader+len(question)]
	copy(message[messageHeader:], question)
	copy(p.buffer[len(message):], bytes.Repeat([]byte{0xA5}, behind))
	if _, ok := p.asked.Name.Read(message, messageHeader); !ok {
		t.Fatalf("%q is no name", name)
	}
	p.asked.Type, p.asked.Client, p.asked.Limit = kind, client, limit
	p.asked.Resolver = netip.AddrFrom4([4]byte{127, byte(seed % 4), byte(seed % 3), 1})
	var appended Appended
	got, ok := p.table.Append(message, &p.asked, random[0], p.tally, &appended)
	if !bytes.Equal(p.buffer[messageHeader:messageHeader+len(question)], question) {
		t.Fatalf("%s %s: the question was written over", name, dns.Type(kind))
	}
	if !ok {
		if !bytes.Equal(p.buffer[len(message):len(message)+behind], bytes.Repeat([]byte{0xA5}, behind)) {
			t.Fatalf("%s %s: not answered, but written to", name, dns.Type(kind))
		}
		if random[0].Uint64() != random[1].Uint64() {
			t.Fatalf("%s %s: not answered, but drawn", name, dns.Type(kind))
		}
		return false
	}
	p.length, p.appended = len(got), appended
	p.compare(t, name, kind, client, got, appended, random[1])
	if random[0].Uint64() != random[1].Uint64() {
		t.Fatalf("%s %s: not the same number of draws", name, dns.Type(kind))
	}
	return true
}

func (p *pathPair) compare(t testing.TB, name string, kind uint16, client netip.Addr, got []byte, appended Appended, random Random) {
	t.Helper()
	end := messageHeader + p.asked.Name.length + 4
	a := p.table.Answer(Question{Name: name, Type: kind, Client: client, Resolver: p.asked.Resolver, DNSSEC: p.asked.DNSSEC}, random)
	p.drawn = p.asked.DNSSEC && a.Drawn > 0
	if err := p.packer.Begin(got[messageHeader:end], name, p.asked.Limit); err != nil {
		t.Fatal(err)
	}
	if err := p.packer.Fill(&a); err != nil {
		t.Fatal(err)
	}
	want := Appended{
		Rcode: a.Rcode, Authoritative: a.Authoritative,
		Answers: p.packer.Answers, Authorities: p.packer.Authorities, Additionals: p.packer.Additionals,
		PlaceDependent: a.PlaceDependent, ScopeBits: a.ScopeBits, Pooled: a.Pool != "", Given: p.packer.Given,
	}
	if a.Pool != "" {
		p.counts[a.Pool]++
		given := p.packer.Given
		for i, member := range a.Members {
			if given <= 0 {
				break
			}
			if given--; a.MemberRecords != nil {
				given -= a.MemberRecords[i] - 1
			}
			p.counts[fmt.Sprint(a.Pool, " ", member, " ", i == 0)]++
		}
	}
	if p.packer.Truncated || appended != want || len(got) > p.asked.Limit {
		t.Fatalf("%s %s of %v within %d: %+v in %d bytes, expected %+v, truncated: %v\n%s",
			name, dns.Type(kind), client, p.asked.Limit, appended, len(got), want, p.packer.Truncated, answerText(a))
	}
	if bytes.Equal(got[messageHeader:], p.packer.Message()[messageHeader:]) {
		return
	}
	if more := len(got) - len(p.packer.Message()); more > p.asked.Name.length {
		t.Fatalf("%s %s: %d bytes more than need be", name, dns.Type(kind), more)
	}
	if x, y := recordsText(t, got, end, want), recordsText(t, p.packer.Message(), end, want); x != y {
		t.Fatalf("%s %s of %v: found\n%sexpected\n%s", name, dns.Type(kind), client, x, y)
	}
}

// checkTally holds what was counted since the pair was made.
func (p *pathPair) checkTally(t testing.TB) {
	t.Helper()
	counts := map[string]int{}
	p.tally.Each(func(pool string, n uint64) { counts[pool] = int(n) },
		func(pool, member string, first bool, n uint64) {
			counts[fmt.Sprint(pool, " ", member, " ", first)] = int(n)
		})
	if !maps.Equal(counts, p.counts) {
		t.Fatalf("counted\n%v\nexpected\n%v", counts, p.counts)
	}
}

// recordsText writes the records of a message from an offset to its very end,
// without the case of letters.
func recordsText(t testing.TB, message []byte, offset int, counts Appended) string {
	t.Helper()
	var out strings.Builder
	for range int(counts.Answers) + int(counts.Authorities) + int(counts.Additionals) {
		rr, end, err := dns.UnpackRR(message, offset)
		if err != nil {
			t.Fatalf("record at %d of %x: %v", offset, message, err)
		}
		offset = end
		fmt.Fprintln(&out, strings.ToLower(rr.String()))
	}
	if offset != len(message) {
		t.Fatalf("%d bytes behind the last record of %x", len(message)-offset, message)
	}
	return out.String()
}

var randomLabels = []string{"a", "b", "c", "*", `d\.e`, `\000\255`, "CAP", "an-ordinary-label"}

// randomName is a name that random zones may have.
func randomName(r *rand.Rand) string {
	name := []string{"test.", "a.test.", "b.a.test.", "other."}[r.IntN(4)]
	for range r.IntN(5) {
		name = randomLabels[r.IntN(len(randomLabels))] + "." + name
	}
	return canonical(name)
}

// randomInput makes zones inside each other with pools among them, where names
// meet often.
func randomInput(t testing.TB, r *rand.Rand) Input {
	for {
		definition := &pool.Definition{Pools: randomPools(r)}
		for _, apex := range []string{"test", "a.test", "b.a.test", "other"} {
			if apex == "test" || r.IntN(2) == 0 {
				definition.Zones = append(definition.Zones, pool.ZoneFile{Path: "zones/" + apex + ".zone", Data: []byte(randomFile(r, definition.Pools))})
			}
		}
		static, _ := Parse(definition)
		for static == nil && len(definition.Pools) > 0 { // a pool met a record
			definition.Pools = definition.Pools[1:]
			static, _ = Parse(definition)
		}
		if static == nil {
			continue
		}
		return Input{
			Definition: definition, Static: static, Now: testNow, Health: randomHealth(r, definition), Geo: randomMap(r),
			SelfAddresses:  []netip.Addr{netip.MustParseAddr("127.9.9.9"), netip.MustParseAddr("fd09::1"), netip.MustParseAddr("127.9.9.8")}[r.IntN(3):],
			Administrative: randomWords(r, definition), LastGood: randomLastGood(r, definition),
		}
	}
}

func randomFile(r *rand.Rand, pools []*pool.Pool) string {
	var file strings.Builder
	fmt.Fprintf(&file, "$TTL %d\n@ IN SOA ns.%s h 1 2 3 4 %d\n@ IN NS ns.other.\n", 1+r.IntN(100), randomName(r), 1+r.IntN(100))
	owner := func() string {
		var labels []string
		for range 1 + r.IntN(4) {
			labels = append(labels, randomLabels[r.IntN(len(randomLabels))])
		}
		return strings.Join(labels, ".")
	}
	for i := range r.IntN(25) {
		kind, data := "A", fmt.Sprintf("127.0.0.%d", i)
		switch r.IntN(18) {
		case 0, 1:
			kind, data = "NS", randomName(r)
		case 2, 3, 4:
			if kind, data = "CNAME", randomName(r); len(pools) > 0 && r.IntN(2) == 0 {
				data = pools[r.IntN(len(pools))].Name + "."
			}
		case 5:
			kind, data = "DNAME", randomName(r)
		case 6:
			kind, data = "TXT", fmt.Sprintf("%q", strings.Repeat("Text", r.IntN(60)))
		case 7:
			kind, data = "MX", fmt.Sprint(i, " ", randomName(r))
		case 8:
			kind, data = "SRV", fmt.Sprint("1 2 ", i, " ", randomName(r))
		case 9:
			kind, data = "AAAA", fmt.Sprintf("fd00::%d", i)
		case 10:
			kind, data = "DS", "1 8 2 "+strings.Repeat("00", 32)
		case 11:
			kind, data = "AFSDB", fmt.Sprint(i, " ", randomName(r))
		case 12, 13, 14:
			kind, data = []string{"SVCB", "HTTPS"}[r.IntN(2)], fmt.Sprint(r.IntN(2)*i, " ", []string{".", randomName(r)}[r.IntN(2)])
		}
		fmt.Fprintf(&file, "%s IN %s %s\n", owner(), kind, data)
	}
	return keepAliasesAlone(file.String())
}

// keepAliasesAlone leaves out what a CNAME may not stand beside, so that a file
// is refused more seldom.
func keepAliasesAlone(file string) string {
	var out strings.Builder
	aliases, others := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(file) {
		fields := strings.Fields(line)
		owner := strings.ToLower(fields[0])
		alone := len(fields) > 2 && (fields[2] == "CNAME" || fields[2] == "DNAME" || fields[2] == "NS" && owner != "@")
		if strings.Contains(owner, "*") && len(fields) > 2 && (fields[2] == "NS" || fields[2] == "DNAME") {
			continue
		}
		if aliases[owner] || alone && others[owner] {
			continue
		}
		if alone {
			aliases[owner] = true
		} else {
			others[owner] = true
		}
		out.WriteString(line)
	}
	return out.String()
}

func randomPools(r *rand.Rand) (all []*pool.Pool) {
	for i := range r.IntN(5) {
		one := &pool.Pool{
			Name: strings.TrimSuffix(randomName(r), "."), TTL: uint32(1 + r.IntN([]int{20, 1000}[r.IntN(2)])), Answers: 1 + r.IntN(8),
			WhenAllDown: []pool.WhenAllDown{pool.AnswerAll, pool.AnswerEmpty, pool.AnswerSelf}[r.IntN(3)],
			Policy: pool.Policy{
				Nearness:      []pool.Nearness{pool.None, pool.Near, pool.Distance}[r.IntN(3)],
				MinCandidates: 1 + r.IntN(4), MaxShare: []float64{1, 0.5, 0.3}[r.IntN(3)],
				IgnoreClientSubnet: r.IntN(4) == 0,
			},
			Health: pool.Check{Probe: pool.Probe{Kind: pool.CheckTCP, Port: 80}, Ramp: time.Duration(r.IntN(3)) * time.Minute},
		}
		if r.IntN(3) == 0 {
			one.MinMembers = 1 + r.IntN(4)
		}
		most := 8
		if r.IntN(5) == 0 {
			most = 60
			one.Answers = 32
		}
		for j := range 1 + r.IntN(most) {
			member := &pool.Member{ID: fmt.Sprint("m", j), Weight: uint32(r.IntN(5)), Reserve: r.IntN(5) == 0}
			for k := range 1 + r.IntN(4) {
				if r.IntN(2) == 0 {
					member.Addresses = append(member.Addresses, netip.AddrFrom4([4]byte{127, byte(1 + i), byte(j), byte(k)}))
				} else {
					member.Addresses = append(member.Addresses, netip.AddrFrom16([16]byte{0xfd, byte(i), 14: byte(j), 15: byte(k)}))
				}
			}
			if r.IntN(2) == 0 {
				member.Location = &pool.Location{Country: randomCountries[r.IntN(len(randomCountries))]}
			}
			if r.IntN(6) == 0 {
				member.Exclude = randomRules(r)
			} else if r.IntN(6) == 0 {
				member.Only = randomRules(r)
			}
			one.Members = append(one.Members, member)
		}
		all = append(all, one)
	}
	return all
}

var randomCountries = []string{"DE", "FR", "US", "JP", "BR", "AU", "ZA"}

func randomRules(r *rand.Rand) *pool.Rules {
	rules := &pool.Rules{}
	if r.IntN(2) == 0 {
		rules.Countries = []string{randomCountries[r.IntN(len(randomCountries))]}
	}
	if r.IntN(2) == 0 {
		client := randomClient(r)
		network, err := client.Unmap().Prefix(r.IntN(client.Unmap().BitLen() + 1))
		if err == nil {
			rules.Networks = []netip.Prefix{network}
		}
	}
	return rules
}

func randomHealth(r *rand.Rand, definition *pool.Definition) *health.Report {
	states := map[health.Target]health.State{}
	for _, one := range definition.Pools {
		mostly := r.IntN(4)
		for _, member := range one.Members {
			for _, address := range member.Addresses {
				verdict := health.Verdict(r.IntN(3))
				if mostly < 3 && r.IntN(4) > 0 {
					verdict = health.Verdict(mostly)
				}
				state := health.State{Verdict: verdict}
				if r.IntN(3) == 0 {
					state.Returned = testNow.Add(-time.Duration(r.IntN(100)) * time.Second)
				}
				if r.IntN(20) == 0 {
					state.Change = testNow.Add(time.Duration(r.IntN(1000)) * time.Second)
				}
				states[health.MemberTarget(one, address)] = state
			}
		}
	}
	return health.NewReport(states)
}

func randomWords(r *rand.Rand, definition *pool.Definition) *administrative.State {
	var words []administrative.Word
	for _, one := range definition.Pools {
		for _, member := range one.Members {
			if r.IntN(8) == 0 {
				words = append(words, administrative.Word{
					Action: []administrative.Action{administrative.Disable, administrative.ForceUp}[r.IntN(2)], Pool: one.Name, Member: member.ID,
				})
			}
		}
	}
	return administrative.NewState(words)
}

func randomLastGood(r *rand.Rand, definition *pool.Definition) LastGood {
	all := LastGood{}
	for _, one := range definition.Pools {
		var good FamilyMembers
		for family := range addressKinds {
			for i := range one.Members {
				if r.IntN(3) == 0 {
					*good.of(family) = append(*good.of(family), one.Members[i].ID)
				}
			}
		}
		all[one.Name] = good
	}
	return all
}

func randomMap(r *rand.Rand) *geo.Map {
	if r.IntN(8) == 0 {
		return nil
	}
	places := map[netip.Prefix]geo.Place{}
	for range r.IntN(12) {
		client := randomClient(r).Unmap()
		network, err := client.Prefix(r.IntN(client.BitLen() + 1))
		if err == nil {
			places[network] = geo.Place{Country: randomCountries[r.IntN(len(randomCountries))]}
		}
	}
	return geo.NewMap(places)
}

func randomClient(r *rand.Rand) netip.Addr {
	switch r.IntN(5) {
	case 0:
		return netip.Addr{}
	case 1:
		return netip.AddrFrom16([16]byte{0xfd, byte(r.IntN(4)), 7: byte(r.IntN(2)), 15: byte(r.IntN(4))})
	case 2:
		return netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: 127, 13: byte(r.IntN(4)), 15: byte(r.IntN(4))})
	}
	return netip.AddrFrom4([4]byte{127, byte(r.IntN(4)), byte(r.IntN(3)), byte(r.IntN(4))})
}

var appendTypes = []uint16{
	dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeMX, dns.TypeNS, dns.TypeSOA, dns.TypeCNAME, dns.TypeSRV,
	dns.TypeDS, dns.TypeDNAME, dns.TypePTR, dns.TypeANY, dns.TypeSVCB, dns.TypeHTTPS, dns.TypeAFSDB,
}

// TestAppend asks random tables for all of their names, and those near them, and
// holds what Append writes against what Answer says.
func TestAppend(t *testing.T) {
	for seed := range uint64(testdraw.Cases(t, 15)) {
		r := rand.New(rand.NewPCG(seed, 9))
		in := randomInput(t, r)
		appendPairs(t, r, in, seed, appendTypes, 2)
	}
}

// TestAppendSigned is TestAppend with zones of which some are signed, for questions
// with DO and without.
func TestAppendSigned(t *testing.T) {
	for seed := range uint64(testdraw.Cases(t, 15)) {
		r := rand.New(rand.NewPCG(seed, 11))
		in := randomInput(t, r)
		signSome(t, r, &in)
		appendPairs(t, r, in, seed, signedTypes, 1)
	}
}

// appendPairs asks one table, and holds that so many times as many answers were ready
// as not.
func appendPairs(t *testing.T, r *rand.Rand, in Input, seed uint64, kinds []uint16, times int) {
	t.Helper()
	if r.IntN(2) == 0 {
		before := in
		before.Health = randomHealth(r, in.Definition)
		previous, err := Compile(before)
		if err != nil {
			t.Fatal(err)
		}
		in.Previous = previous
	}
	table, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	p := newPathPair(table)
	ready, left := 0, 0
	for i, name := range randomQuestions(r, &in) {
		for _, kind := range kinds {
			p.asked.DNSSEC = in.Signing != nil && r.IntN(4) > 0
			limit := []int{512, 1232, maxMessage, messageHeader + maxName + 4 + r.IntN(300)}[r.IntN(4)]
			client := randomClient(r)
			if !p.ask(t, name, kind, client, limit, seed+uint64(i)) {
				left++
				continue
			}
			ready++
			if p.drawn {
				continue
			}
			// With room for just that answer, and with a byte less.
			length := p.length
			if !p.ask(t, name, kind, client, length, seed+uint64(i)) {
				t.Fatalf("%s %s does not fit the %d bytes that it has", name, dns.Type(kind), length)
			}
			if length > messageHeader+p.asked.Name.length+4 {
				p.ask(t, name, kind, client, length-1, seed+uint64(i))
			}
		}
	}
	p.checkTally(t)
	if ready < times*left {
		t.Errorf("seed %d: %d answers were ready, %d were not", seed, ready, left)
	}
}

// What is looked up for a client, with classes or without, is what the rule of
// choice says for it, also for one of which nothing may be known.
func TestChooseIsTheRule(t *testing.T) {
	for seed := range uint64(testdraw.Cases(t, 20)) {
		r := rand.New(rand.NewPCG(seed, 5))
		table, err := Compile(randomInput(t, r))
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range table.pools {
			for _, f := range []*family{one.ipv4, one.ipv6} {
				for range 50 {
					client := randomClient(r)
					got, bits := f.choose(table.geo, client)
					want, _ := f.chooser.Choose(clientAt(table.geo, client))
					if got.Mode != want.Mode || !slices.Equal(got.Shares, want.Shares) || !client.IsValid() && bits != 0 {
						t.Fatalf("seed %d, %s: %v gets %v %v (scope %d), expected %v %v", seed, one.definition.Name, client, got.Mode, got.Shares, bits, want.Mode, want.Shares)
					}
				}
			}
		}
	}
}

// Append allocates nothing for any question that it answers, also where the
// chooser has to be asked each time, once it has seen such a client.
func TestAppendAllocatesNothing(t *testing.T) {
	places, _, err := geo.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	for _, policy := range []pool.Nearness{pool.None, pool.Near, pool.Distance} {
		in := benchInput(t, 3)
		for _, one := range in.Definition.Pools {
			one.Policy.Nearness = policy
		}
		in.Definition.Pools[1].Members[2].Exclude = &pool.Rules{Networks: []netip.Prefix{netip.MustParsePrefix("127.1.0.0/16")}}
		in.Geo = places
		table, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, classes := range []bool{true, false} {
			for _, one := range table.pools {
				for _, f := range []*family{one.ipv4, one.ipv6} {
					if !classes {
						f.choices = nil
					} else if policy != pool.None && f.choices == nil {
						t.Fatalf("%s has no classes under %s", one.definition.Name, policy)
					}
				}
			}
			p := newPathPair(table)
			random := rand.NewPCG(1, 2)
			for _, name := range []string{"dl0.example.org.", "DL1.example.org.", "www2.example.org.", "x.dl0.example.org.", "static1.example.org.", "no.example.org.", "example.org.", "other."} {
				for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeMX} {
					for _, client := range []netip.Addr{{}, netip.MustParseAddr("127.1.2.3"), netip.MustParseAddr("::1"), netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("2001:db8::")} {
						if !p.ask(t, name, kind, client, 1232, 1) {
							if name == "www2.example.org." || name == "x.dl0.example.org." {
								continue // an alias without that type
							}
							t.Fatalf("%s %s was not answered", name, dns.Type(kind))
						}
						message := p.buffer[:messageHeader+p.asked.Name.length+4]
						var appended Appended
						if n := testing.AllocsPerRun(10, func() { table.Append(message, &p.asked, random, p.tally, &appended) }); n != 0 {
							t.Errorf("%s %s of %v, %s, classes %v: %v allocations", name, dns.Type(kind), client, policy, classes, n)
						}
					}
				}
			}
		}
	}
}
