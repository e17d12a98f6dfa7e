package dnsserver

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"golang.org/x/tools/txtar"

	"mirrorpool/pool/geo"
	"mirrorpool/pool/health"
	"mirrorpool/testdraw"
	"mirrorpool/zones"
)

// fuzzTables are the tables that both paths are asked from; nil is that of a
// server that has none yet. They are compiled once.
var fuzzTables = sync.OnceValue(func() []*archived {
	t := new(tableMaker)
	all := readTables(t, "testdata/tables/*.txtar")
	all = append(all, readTables(t, "../zones/testdata/answers-*.txtar")...)
	all = append(all, wireArchive(t), manyMembers(t), manyNames(t))
	all = append(all, world(t, all), recompiled(t, all), aboutToChange(t, all))
	return append(append(all, signedTables(t, all)...), nil)
})

// tableMaker is told of what does not compile outside of any test.
type tableMaker struct{ testing.TB }

func (*tableMaker) Helper()                           {}
func (*tableMaker) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (*tableMaker) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// manyMembers has pools of more members than fit an answer.
func manyMembers(t testing.TB) *archived {
	t.Helper()
	one := func(name string, members, each int) string {
		var all []string
		for m := range members {
			var addresses []string
			for a := range each {
				addresses = append(addresses, fmt.Sprintf(`"127.%d.%d.1", "fd00:%x:%x::1"`, a, m, a, m))
			}
			all = append(all, fmt.Sprintf(`{"id": "m%d", "weight": %d, "addresses": [%s]}`, m, 1+m%7, strings.Join(addresses, ",")))
		}
		return fmt.Sprintf(`{"name": %q, "answers": 32, "health": {"check": "none"}, "members": [%s]}`, name, strings.Join(all, ","))
	}
	return newArchived(t, "many members", map[string]string{
		"pools.json": `{"version": 1, "pools": [` + one("sixty.example.test", 60, 1) + "," + one("fat.example.test", 60, 9) + `]}`,
		"zones/example.test.zone": "$TTL 60\n@ IN SOA ns h 1 2 3 4 5\n@ IN NS ns\nns IN A 127.0.0.1\n" +
			"alias IN CNAME sixty\n*.w IN CNAME fat\n" +
			strings.Repeat("l"+strings.Repeat("o", 60)+".", 3) + "x IN CNAME fat\n",
	})
}

// manyNames has a thousand static names.
func manyNames(t testing.TB) *archived {
	t.Helper()
	return newArchived(t, "many names", map[string]string{
		"zones/example.test.zone": "$TTL 60\n@ IN SOA ns h 1 2 3 4 5\n@ IN NS ns\nns IN A 127.0.0.1\n" +
			"$GENERATE 1-250 host$ A 127.0.0.$\n$GENERATE 251-1000 host$ TXT \"$\"\nhost500 IN TXT \"one\"\nhost7.sub IN A 127.0.0.1\n",
		"pools.json":      `{"version": 1, "pools": []}`,
		"mirrors.json":    `{"mirrors": []}`,
		"questions":       "host999.example.test.\nhost1001.example.test.\n",
		"unused/settings": "",
	})
}

// world serves the pools with the places of all countries, or some of them.
func world(t testing.TB, all []*archived) *archived {
	t.Helper()
	places, _, err := geo.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	a := *all[slices.IndexFunc(all, func(a *archived) bool { return strings.HasSuffix(a.path, "tables/pools.txtar") })]
	if !testdraw.Many(t) {
		places = someOf(places)
	}
	a.path, a.input.Geo = "world", places
	a.compile(t)
	return &a
}

// someOf keeps a few hundred networks, mostly wide ones: with all of them, it
// takes seconds to compile a table.
func someOf(places *geo.Map) *geo.Map {
	some := make(map[netip.Prefix]geo.Place)
	random := rand.New(rand.NewPCG(5, 5))
	for range 300 {
		for _, address := range []netip.Addr{
			netip.AddrFrom4([4]byte{byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32()), 1}),
			netip.AddrFrom16([16]byte{0x20 + byte(random.UintN(16)), byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32()), 15: 1}),
		} {
			place, bits := places.Lookup(address)
			some[netip.PrefixFrom(address, bits).Masked()] = place
		}
	}
	return geo.NewMap(some)
}

// recompiled comes from a table before it, of another definition with the same
// pools in another order, and one less.
func recompiled(t testing.TB, all []*archived) *archived {
	t.Helper()
	of := all[slices.IndexFunc(all, func(a *archived) bool { return strings.HasSuffix(a.path, "tables/pools.txtar") })]
	before := *of
	definition := *of.input.Definition
	definition.Pools = slices.Clone(definition.Pools[1:])
	slices.Reverse(definition.Pools)
	static, problems := zones.Parse(&definition)
	if static == nil {
		t.Fatal(problems)
	}
	before.input.Definition, before.input.Static = &definition, static
	before.compile(t)
	a := *of
	a.path, a.input.Previous = "recompiled", before.table
	a.compile(t)
	return &a
}

// aboutToChange serves pools whose TTL follows health, each of another time left, with
// members that come back.
func aboutToChange(t testing.TB, all []*archived) *archived {
	t.Helper()
	a := *all[slices.IndexFunc(all, func(a *archived) bool { return strings.HasSuffix(a.path, "tables/pools.txtar") })]
	states := map[health.Target]health.State{}
	for target, state := range a.input.Health.All() {
		state.Change = a.input.Now.Add(time.Duration(20+len(states)%40) * time.Second)
		state.Returned = a.input.Now.Add(-time.Duration(len(states)) * time.Second)
		states[target] = state
	}
	definition := *a.input.Definition
	definition.Pools = slices.Clone(definition.Pools)
	for i, one := range definition.Pools {
		changed := *one
		changed.TTL, changed.Health.Ramp, changed.MinMembers = 100, time.Minute, i%4
		definition.Pools[i] = &changed
	}
	static, problems := zones.Parse(&definition)
	if static == nil {
		t.Fatal(problems)
	}
	a.input.Definition, a.input.Static = &definition, static
	a.path, a.input.Health, a.input.Previous = "about to change", health.NewReport(states), nil
	a.compile(t)
	if !slices.ContainsFunc(a.table.Pools(nil), func(p zones.PoolDescription) bool { return p.IPv4.TTL < p.TTL }) {
		t.Fatal("no TTL follows health")
	}
	return &a
}

// asked is one packet as it is put to both paths.
type asked struct {
	packet  []byte
	client  netip.Addr
	over    transport
	seed    uint64
	udpSize int
	room    int // of the buffer that it lies in, at least the packet's length
}

// testSecrets are those of all cookies of both paths' tests, and testNow is their
// time.
var (
	testSecrets, _ = ParseCookieSecrets([]byte("00112233445566778899aabbccddeeff"))
	testNow        = time.Unix(1_800_000_000, 0)
)

// pair are the responders that one table is asked with: alone goes respond's
// way, both that of reply.
type pair struct {
	alone, both *responder
	config      [2]Config
	random      [2]*rand.PCG
	reported    []error
	length      int  // of the last answer
	silent      bool // there is no table yet
}

func newPair(a *archived) *pair {
	p := &pair{silent: a == nil}
	var table Answerer
	if a != nil {
		table = a.table
	}
	for i, r := range []**responder{&p.alone, &p.both} {
		p.random[i] = rand.NewPCG(0, 0)
		p.config[i] = Config{
			Settings: Settings{NSID: "ns1", Cookies: testSecrets},
			Table:    func() Answerer { return table },
			Random:   func() zones.Random { return p.random[i] },
			Report:   func(err error) { p.reported = append(p.reported, err) },
			now:      func() time.Time { return testNow },
		}.withDefaults()
		*r = responderOf(&p.config[i], overUDP)
	}
	return p
}

// askOnEdge asks, and where the wire path answered, asks again with room for just
// that answer, and with a byte less.
func (p *pair) askOnEdge(t testing.TB, q asked) (fast bool) {
	t.Helper()
	if fast = p.ask(t, q); !fast || q.over != overUDP || p.length <= minUDPSize {
		return fast
	}
	end, _ := plainName(q.packet, headerSize)
	size := q.packet[end+4+3:] // OPT comes first: without one nothing is so long
	binary.BigEndian.PutUint16(size, uint16(p.length))
	p.ask(t, q)
	binary.BigEndian.PutUint16(size, uint16(p.length-1))
	p.ask(t, q)
	return fast
}

// ask puts one packet to both, and holds that they do the same. It tells
// whether the wire path answered.
func (p *pair) ask(t testing.TB, q asked) (fast bool) {
	t.Helper()
	for i, r := range []*responder{p.alone, p.both} {
		p.random[i].Seed(q.seed, q.seed)
		current := *r.shared.Load()
		current.UDPSize = q.udpSize
		r.shared.Store(&current)
		r.counts.over = q.over
		r.begin()
	}
	slow := slices.Clone(p.alone.respond(nil, slices.Clone(q.packet), q.client, q.over))

	const guard = 64
	buffer := bytes.Repeat([]byte{0xA5}, q.room+guard)
	copy(buffer, q.packet)
	p.both.scratch = p.both.scratch[:0]
	got := p.both.reply(buffer[:q.room:q.room], len(q.packet), q.client, q.over)
	fast = len(got) > 0 && len(p.both.scratch) == 0
	p.length = len(got)
	p.alone.end()
	p.both.end()

	if !bytes.Equal(buffer[q.room:], bytes.Repeat([]byte{0xA5}, guard)) {
		t.Fatal("written behind the buffer")
	}
	if len(p.reported) > 0 {
		t.Fatalf("reported: %v", p.reported)
	}
	checks{over: q.over, udpSize: q.udpSize, silent: p.silent}.check(t, q.packet, got)
	switch {
	case !fast && !bytes.Equal(got, slow):
		t.Fatalf("left to the other path, which says\n%x\nand by itself\n%x", got, slow)
	case fast:
		p.compare(t, q, got, slow)
	}
	if a, b := p.random[0].Uint64(), p.random[1].Uint64(); a != b {
		t.Fatal("one path took more of the draw than the other")
	}
	if a, b := tallied(t, p.alone), tallied(t, p.both); !maps.Equal(a, b) {
		t.Fatalf("the wire path counts\n%v\nthe other\n%v", b, a)
	}
	return fast
}

// compare holds that the wire path's answer is the other's: header bit by bit,
// the question as asked, and the same records in the same order. Names may be
// compressed less, by the labels of the question's name at most.
func (p *pair) compare(t testing.TB, q asked, wire, slow []byte) {
	t.Helper()
	limit := maxMessage
	if q.over == overUDP {
		if limit = minUDPSize; parseRequest(q.packet).edns.present {
			limit = min(max(int(parseRequest(q.packet).edns.size), minUDPSize), q.udpSize)
		}
	}
	end, _ := plainName(q.packet, headerSize)
	name := end - headerSize
	if len(wire) > limit || len(wire) > len(slow)+name {
		t.Fatalf("%d bytes where the other path has %d, and the limit is %d", len(wire), len(slow), limit)
	}
	if !bytes.Equal(wire[:end+4], slow[:end+4]) {
		t.Fatalf("header and question are\n%x, the other path's\n%x", wire[:end+4], slow[:end+4])
	}
	if !bytes.Equal(wire[headerSize:end+4], q.packet[headerSize:end+4]) {
		t.Fatalf("the question was\n%x and comes back as\n%x", q.packet[headerSize:end+4], wire[headerSize:end+4])
	}
	if bytes.Equal(wire, slow) {
		return
	}
	a, b := plainRecords(t, wire, end+4), plainRecords(t, slow, end+4)
	if !slices.EqualFunc(a, b, bytes.Equal) {
		t.Fatalf("the wire path says\n%v\nthe other\n%v", parse(t, wire), parse(t, slow))
	}
	m := parse(t, wire)
	if len(m.Answer) > 0 && m.Answer[0].Header().Rrtype != dns.TypeDNAME && m.Answer[0].Header().Name != m.Question[0].Name {
		t.Fatalf("the answer's owner is not spelt as asked:\n%v", m)
	}
}

// plainRecords gives the records of a message, from an offset to its very end,
// each in wire format without compression. Names that may be compressed are in
// lower case: which of the spellings in a message a client sees depends on what
// was compressed.
func plainRecords(t testing.TB, message []byte, offset int) (all [][]byte) {
	t.Helper()
	count := 0
	for i := 6; i < headerSize; i += 2 {
		count += int(binary.BigEndian.Uint16(message[i:]))
	}
	for range count {
		start := offset
		_, end, err := dns.UnpackDomainName(message, offset)
		if err != nil || end+recordFixed > len(message) {
			t.Fatalf("record at %d of %x: %v", start, message, err)
		}
		if offset = end + recordFixed + int(binary.BigEndian.Uint16(message[end+8:])); offset > len(message) {
			t.Fatalf("record at %d of %x is cut", start, message)
		}
		if binary.BigEndian.Uint16(message[end:]) == dns.TypeOPT {
			all = append(all, message[start:offset])
			continue
		}
		rr, after, err := dns.UnpackRR(message, start)
		if err != nil || after != offset {
			t.Fatalf("record at %d of %x: %v", start, message, err)
		}
		plain := make([]byte, dns.Len(rr)+1)
		n, err := dns.PackRR(rr, plain, 0, nil, false)
		if err != nil {
			t.Fatalf("%v: %v", rr, err)
		}
		all = append(all, lowerNames(plain[:n], rr))
	}
	if offset != len(message) {
		t.Fatalf("%d bytes behind the last record of %x", len(message)-offset, message)
	}
	return all
}

// lowerNames puts a record's owner, and the names in its data that may be
// compressed (RFC 3597 section 4), into lower case.
func lowerNames(plain []byte, rr dns.RR) []byte {
	data, _ := plainName(plain, 0)
	lowerASCII(plain[:data])
	data += recordFixed
	switch rr.(type) {
	case *dns.NS, *dns.CNAME, *dns.PTR:
		lowerASCII(plain[data:])
	case *dns.MX:
		lowerASCII(plain[data+2:])
	case *dns.SOA:
		lowerASCII(plain[data : len(plain)-20])
	}
	return plain
}

// lowerASCII changes letters alone: the lengths of labels are below all of them.
func lowerASCII(name []byte) {
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			name[i] = c + 'a' - 'A'
		}
	}
}

// answering are the metrics that answering a question may change, by the names of
// their fields.
func (m *metrics) answering() map[string]*prometheus.CounterVec {
	return map[string]*prometheus.CounterVec{
		"queries": m.queries, "choices": m.choices, "truncated": m.truncated,
		"malformed": m.malformed, "dropped": m.dropped, "failures": m.failures,
		"types": m.types, "edns": m.edns, "cookies": m.cookies, "unusual": m.unusual, "limited": m.limited, "signatures": m.signatures,
	}
}

// Both paths are held to each other by all of their metrics.
func TestAnsweringIsAllThatIsCounted(t *testing.T) {
	m := newMetrics()
	all := reflect.TypeFor[metrics]()
	for i := range all.NumField() {
		field := all.Field(i)
		if field.Type != reflect.TypeFor[*prometheus.CounterVec]() || field.Name == "sockets" {
			continue
		}
		if m.answering()[field.Name] == nil {
			t.Errorf("%s is not compared", field.Name)
		}
	}
}

// tallied gives all that a responder has counted since the last time.
func tallied(t testing.TB, r *responder) map[string]float64 {
	t.Helper()
	m := r.counts.metrics
	m.sum()
	all := make(map[string]float64)
	collected := make(chan prometheus.Metric, 128) // more than one answer counts
	for name, vec := range m.answering() {
		vec.Collect(collected)
		for range len(collected) {
			metric := <-collected
			var d dto.Metric
			if err := metric.Write(&d); err != nil {
				t.Fatal(err)
			}
			labels := []string{name}
			for _, l := range d.Label {
				labels = append(labels, l.GetValue())
			}
			all[strings.Join(labels, " ")] = d.Counter.GetValue()
		}
		vec.Reset()
	}
	clear(r.counts.queries)
	clear(r.counts.choices)
	return all
}

// clientOf makes an address of bytes: of IPv4, of IPv6, or of neither.
func clientOf(address []byte) netip.Addr {
	if client, ok := netip.AddrFromSlice(address); ok {
		return client
	}
	return netip.MustParseAddr("::1")
}

// rename puts another name, with its letters' case drawn, into a question.
func rename(packet []byte, name string, random *rand.Rand) []byte {
	end, ok := plainName(packet, headerSize)
	if !ok || len(packet) < headerSize {
		return packet
	}
	wire := slices.Clone(wireNameOrNil(name))
	flip(wire, random)
	return slices.Concat(packet[:headerSize], wire, packet[end:])
}

// flip draws the case of the letters in a name.
func flip(wire []byte, random *rand.Rand) {
	if random.IntN(2) == 0 {
		return
	}
	for i := 0; i < len(wire); i += 1 + int(wire[i]) {
		for j := i + 1; j <= i+int(wire[i]); j++ {
			if c := wire[j] | 0x20; 'a' <= c && c <= 'z' {
				wire[j] ^= byte(random.IntN(2) << 5)
			}
		}
	}
}

func wireNameOrNil(name string) []byte {
	var b [300]byte
	n, err := dns.PackDomainName(name, b[:], 0, nil, false)
	if err != nil {
		return nil
	}
	return b[:n]
}

// capturedPackets are those that clients sent, by who sent them.
func capturedPackets(t testing.TB) map[string][]byte {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/packets.txtar")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]byte)
	for _, file := range archive.Files {
		packet, err := hex.DecodeString(strings.Join(strings.Fields(string(file.Data)), ""))
		if err != nil {
			t.Fatalf("%s: %v", file.Name, err)
		}
		all[file.Name] = packet
	}
	return all
}

var udpSizes = []int{DefaultUDPSize, minUDPSize, 4096}

// FuzzBothPaths holds that the wire path gives the answers of the other one. The
// question's name is put in from the table's names, unless name is 0.
func FuzzBothPaths(f *testing.F) {
	tables := fuzzTables()
	added := 0
	add := func(packet []byte) {
		added++
		i := added % len(tables)
		f.Add(packet, []byte{127, 1, 2, 3}, false, uint64(added), byte(i), uint16(0))
		f.Add(packet, []byte{127, 2, 3, 4}, added%4 == 0, uint64(added), byte(i+1), uint16(3*added+1))
	}
	for _, packet := range fuzzPackets(f, "dl.example.test.", "www.example.test.") {
		add(packet)
	}
	for _, c := range common {
		add(c.q.bytes())
	}
	for _, c := range headerCases {
		add(c.query.bytes())
	}
	for _, table := range questionTables {
		for _, c := range table.cases {
			add(c.packet)
		}
	}
	for _, packet := range cookiePackets(f, "127.1.2.3", "127.2.3.4") {
		add(packet)
	}
	pairs := make([]*pair, len(tables))
	for i := range tables {
		pairs[i] = newPair(tables[i])
	}
	f.Fuzz(func(t *testing.T, packet, address []byte, tcp bool, seed uint64, choice byte, name uint16) {
		q := asked{
			client: clientOf(address), over: overUDP, seed: seed,
			udpSize: udpSizes[int(choice)/len(tables)%len(udpSizes)], room: roomSize,
		}
		i := int(choice) % len(tables)
		if a := tables[i]; name > 0 && a != nil && len(packet) > headerSize {
			packet = rename(packet, a.names[int(name)%len(a.names)], rand.New(rand.NewPCG(seed, 7)))
		}
		if q.packet = packet; tcp {
			q.over, q.room = overTCP, max(len(packet), replyRoom)
			if seed%2 == 0 {
				q.room = maxMessage
			}
		}
		if len(packet) <= q.room {
			pairs[i].askOnEdge(t, q)
		}
	})
}

// randomQuestion makes a question for a name of a table, mostly one that the
// wire path may answer.
func randomQuestion(a *archived, random *rand.Rand) asked {
	q := query{
		id: uint16(random.Uint32()), name: a.names[random.IntN(len(a.names))],
		qtype: questionTypes[random.IntN(len(questionTypes))],
	}
	if random.IntN(4) == 0 {
		q.flags = uint16(random.Uint32()) & (flagRD | 0x07FF)
	}
	if random.IntN(3) > 0 {
		q.opts = [][]byte{randomOPT(random)}
	}
	out := asked{over: overUDP, seed: random.Uint64(), udpSize: udpSizes[random.IntN(len(udpSizes))], room: roomSize}
	out.packet = q.bytes()
	end, _ := plainName(out.packet, headerSize)
	flip(out.packet[headerSize:end], random)
	if random.IntN(4) == 0 {
		out.over, out.room = overTCP, []int{replyRoom, maxMessage}[random.IntN(2)]
	}
	out.client = randomClient(random)
	if random.IntN(20) == 0 {
		out.packet[random.IntN(len(out.packet))] ^= 1 << random.IntN(8)
	}
	return out
}

var questionTypes = []uint16{
	dns.TypeA, dns.TypeA, dns.TypeA, dns.TypeAAAA, dns.TypeAAAA, dns.TypeTXT, dns.TypeMX, dns.TypeNS, dns.TypeSOA,
	dns.TypeCNAME, dns.TypeSRV, dns.TypeDS, dns.TypeDNAME, dns.TypeHINFO, dns.TypeCAA, dns.TypeANY, dns.TypeRRSIG,
	dns.TypeDNSKEY, dns.TypePTR, dns.TypeHTTPS, 65280, 0, 127, 128, 256,
}

func randomClient(random *rand.Rand) netip.Addr {
	switch last := byte(random.UintN(5)); random.IntN(6) {
	case 0:
		return netip.AddrFrom16([16]byte{0xfd, byte(random.UintN(4)), 2 * byte(random.UintN(2)), 3: byte(random.UintN(3)), 15: last})
	case 1:
		return netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: 127, 13: byte(random.UintN(6)), 14: 3, 15: last})
	case 2:
		var any [16]byte
		binary.BigEndian.PutUint64(any[:], random.Uint64())
		return netip.AddrFrom16(any)
	case 3:
		return netip.AddrFrom4([4]byte{byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32()), 1})
	}
	return netip.AddrFrom4([4]byte{127, byte(random.UintN(6)), byte(random.UintN(4)), byte(random.UintN(5))})
}

func randomOPT(random *rand.Rand) []byte {
	var options [][]byte
	for random.IntN(2) == 0 {
		switch random.IntN(8) {
		case 0:
			options = append(options, option(10, "12345678"))
		case 1:
			options = append(options, option(12, strings.Repeat("\x00", random.IntN(400))))
		case 2:
			options = append(options, option(uint16(random.UintN(20)), "ab"[:random.IntN(3)]))
		case 3:
			options = append(options, option(11, ""))
		default:
			options = append(options, option(8, randomSubnet(random)))
		}
	}
	ttl := []uint32{0, 0x8000, 0x8000, 0x4000, 0xFF00_8000, 0x0001_0000}[random.IntN(6)]
	if random.IntN(4) > 0 {
		ttl &= 0x8000
	}
	return opt([]uint16{0, 512, 513, 700, 1232, 1232, 4096, 65535}[random.IntN(8)], ttl, options...)
}

// randomSubnet is mostly a client subnet as it should be.
func randomSubnet(random *rand.Rand) string {
	client := randomClient(random)
	family, most := byte(2), 128
	if client.Is4() {
		family, most = 1, 32
	}
	source := random.IntN(most + 1)
	if random.IntN(10) == 0 {
		family, source = byte(random.UintN(4)), random.IntN(140)
	}
	address := client.AsSlice()
	if p, err := client.Prefix(source); err == nil && random.IntN(10) > 0 {
		address = p.Addr().AsSlice()
	}
	return string([]byte{0, family, byte(source), byte(random.UintN(20) / 19)}) + string(address[:min((source+7)/8, len(address))])
}

// TestBothPaths asks every table many questions, which takes the fuzz target
// far longer to come to.
func TestBothPaths(t *testing.T) {
	questions := testdraw.Cases(t, 300)
	for _, a := range fuzzTables() {
		if a == nil {
			continue
		}
		t.Run(a.path, func(t *testing.T) {
			t.Parallel()
			p, fast := newPair(a), 0
			random := rand.New(rand.NewPCG(1, 1))
			var q asked
			defer func() {
				if t.Failed() {
					t.Logf("asked was %x of %v over %s, seed %d, size %d, room %d", q.packet, q.client, q.over, q.seed, q.udpSize, q.room)
				}
			}()
			for range questions {
				if q = randomQuestion(a, random); p.askOnEdge(t, q) {
					fast++
				}
			}
			if fast < questions/4 {
				t.Errorf("the wire path answered %d of %d: it is hardly tried", fast, questions)
			}
		})
	}
}
