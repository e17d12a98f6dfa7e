package zones

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/testdraw"
	"mirrorpool/zones/signing"
)

// keyRing makes keys once: RSA takes long.
var keyRing = struct {
	sync.Mutex
	keys map[string]*signing.Key
}{keys: map[string]*signing.Key{}}

func ringKey(t testing.TB, apex string, algorithm uint8, entry bool, number int) *signing.Key {
	t.Helper()
	keyRing.Lock()
	defer keyRing.Unlock()
	id := fmt.Sprint(apex, algorithm, entry, number)
	if key := keyRing.keys[id]; key != nil {
		return key
	}
	var others []*signing.Key
	for _, key := range keyRing.keys {
		others = append(others, key)
	}
	key, err := signing.GenerateDistinct(apex, algorithm, entry, signing.Times{}, others)
	if err != nil {
		t.Fatal(err)
	}
	keyRing.keys[id] = key
	return key
}

// randomPlan is one of the plans that a zone has in its life: one key or two roles,
// any algorithm, a key that comes and one that goes, two algorithms. Those that sign
// slowly are seldom, and not there where much is to be signed.
func randomPlan(t testing.TB, r *rand.Rand, apex string, much bool) *signing.Plan {
	t.Helper()
	algorithms := []uint8{dns.ECDSAP256SHA256, dns.ED25519, dns.ECDSAP384SHA384, dns.RSASHA256, dns.RSASHA512}
	algorithm := algorithms[r.IntN(2)]
	if r.IntN(10) == 0 && !much {
		algorithm = algorithms[r.IntN(len(algorithms))]
	}
	one, two := ringKey(t, apex, algorithm, true, 1), ringKey(t, apex, algorithm, true, 2)
	zone, next := ringKey(t, apex, algorithm, false, 3), ringKey(t, apex, algorithm, false, 4)
	other := ringKey(t, apex, algorithms[1-min(1, slices.Index(algorithms, algorithm))], true, 5)
	p := &signing.Plan{Apex: apex, TTL: 300, Lifetime: 14 * 24 * time.Hour, Now: testNow}
	switch r.IntN(5) {
	case 0:
		p.Published, p.Zone, p.Entry = []*signing.Key{one}, []*signing.Key{one}, []*signing.Key{one}
	case 1:
		p.Published, p.Zone, p.Entry = []*signing.Key{one, two}, []*signing.Key{one, two}, []*signing.Key{one, two}
	case 2:
		p.Published, p.Zone, p.Entry = []*signing.Key{one, zone}, []*signing.Key{zone}, []*signing.Key{one}
	case 3:
		p.Published, p.Zone, p.Entry = []*signing.Key{one, two, zone, next}, []*signing.Key{zone}, []*signing.Key{one, two}
	case 4:
		p.Published, p.Zone, p.Entry = []*signing.Key{one, other}, []*signing.Key{one, other}, []*signing.Key{one, other}
	}
	if r.IntN(2) == 0 {
		p.Child = p.Entry
	} else if r.IntN(4) == 0 {
		p.Withdraw = true
	}
	return p
}

// signSome gives some of the zones of an input plans.
func signSome(t testing.TB, r *rand.Rand, in *Input) {
	t.Helper()
	in.Signing = map[string]*signing.Plan{}
	much := slices.ContainsFunc(in.Definition.Pools, func(one *pool.Pool) bool { return len(one.Members) > 8 })
	for _, zone := range in.Static.sorted {
		if r.IntN(4) > 0 {
			in.Signing[zone.Apex] = randomPlan(t, r, zone.Apex, much)
		}
	}
}

func validatorOf(in *Input) *validator {
	v := &validator{keys: map[string][]*dns.DNSKEY{}, now: in.Now, good: map[string]bool{}}
	for _, zone := range in.Static.sorted {
		v.apexes = append(v.apexes, zone.Apex)
	}
	for apex, plan := range in.Signing {
		for _, key := range plan.Published {
			v.keys[apex] = append(v.keys[apex], key.Record)
		}
	}
	return v
}

// messageOf packs an answer as it is sent, and reads it again.
func messageOf(t testing.TB, p *Packer, q Question, a *Answer) *dns.Msg {
	t.Helper()
	question := make([]byte, maxName+1)
	length, err := dns.PackDomainName(q.Name, question, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Begin(append(question[:length], byte(q.Type>>8), byte(q.Type), 0, dns.ClassINET), q.Name, maxMessage); err != nil {
		t.Fatal(err)
	}
	if err := p.Fill(a); err != nil {
		t.Fatal(err)
	}
	message := slices.Clone(p.Message())
	copy(message, []byte{0, 0, 0x80, byte(a.Rcode), 0, 1, byte(p.Answers >> 8), byte(p.Answers), byte(p.Authorities >> 8), byte(p.Authorities), byte(p.Additionals >> 8), byte(p.Additionals)})
	m := new(dns.Msg)
	if err := m.Unpack(message); err != nil {
		t.Fatalf("%x: %v", message, err)
	}
	return m
}

// message reads the last answer that was appended.
func (p *pathPair) message(t testing.TB) *dns.Msg {
	t.Helper()
	message := slices.Clone(p.buffer[:p.length])
	a := &p.appended
	copy(message, []byte{0, 0, 0x80, byte(a.Rcode), 0, 1, byte(a.Answers >> 8), byte(a.Answers), byte(a.Authorities >> 8), byte(a.Authorities), byte(a.Additionals >> 8), byte(a.Additionals)})
	m := new(dns.Msg)
	if err := m.Unpack(message); err != nil {
		t.Fatalf("%x: %v", message, err)
	}
	return m
}

// randomQuestions are names of the zones and near them, as the library writes them.
func randomQuestions(r *rand.Rand, in *Input) (names []string) {
	for _, zone := range in.Static.sorted {
		names = append(names, zone.names...)
	}
	for _, name := range slices.Clone(names) {
		names = append(names, randomLabels[r.IntN(len(randomLabels))]+"."+name, "x."+name, "*."+name, strings.ToUpper(name))
	}
	for range 20 {
		names = append(names, randomName(r))
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !new(WireName).set(name) })
	for i := range names {
		names[i] = unescaped(names[i])
	}
	return names
}

var signedTypes = append(slices.Clone(appendTypes), dns.TypeDNSKEY, dns.TypeNSEC, dns.TypeRRSIG, dns.TypeCDS, dns.TypeCDNSKEY)

// TestAnswersValidate: a validating resolver takes every answer of random zones,
// signed with all kinds of keys, for secure.
func TestAnswersValidate(t *testing.T) {
	for seed := range uint64(testdraw.Cases(t, 8)) {
		r := rand.New(rand.NewPCG(seed, 10))
		in := randomInput(t, r)
		signSome(t, r, &in)
		table, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		v := validatorOf(&in)
		pair := newPathPair(table)
		pair.asked.DNSSEC = true
		var packer Packer
		for _, name := range randomQuestions(r, &in) {
			for _, kind := range signedTypes {
				q := Question{Name: name, Type: kind, Client: randomClient(r), DNSSEC: true}
				a := table.Answer(q, r)
				m := messageOf(t, &packer, q, &a)
				if err := v.check(m, name, kind); err != nil {
					t.Fatalf("seed %d, %s %s: %v\n%v", seed, name, dns.Type(kind), err, m)
				}
				if pair.ask(t, name, kind, q.Client, maxMessage, seed) { // it holds both paths to each other
					appended := pair.message(t)
					if err := v.check(appended, name, kind); err != nil {
						t.Fatalf("seed %d, %s %s, appended: %v\n%v", seed, name, dns.Type(kind), err, appended)
					}
				}
				if r.IntN(100) == 0 {
					checkValidator(t, v, m, name, kind)
				}
			}
		}
		if !t.Failed() {
			checkBitmaps(t, r, table)
		}
	}
}

// checkValidator holds that the validator does not take an answer that lacks a proof
// or has a bad signature, so that it can be believed what it takes.
func checkValidator(t *testing.T, v *validator, m *dns.Msg, name string, kind uint16) {
	t.Helper()
	for i, rr := range m.Ns {
		if rr.Header().Rrtype != dns.TypeNSEC {
			continue
		}
		less := m.Copy()
		less.Ns = slices.DeleteFunc(less.Ns, func(other dns.RR) bool {
			signature, ok := other.(*dns.RRSIG)
			return other.Header().Name == rr.Header().Name && (other.Header().Rrtype == dns.TypeNSEC || ok && signature.TypeCovered == dns.TypeNSEC)
		})
		if v.check(less, name, kind) == nil {
			t.Fatalf("%s %s was taken without the NSEC of %s:\n%v", name, dns.Type(kind), rr.Header().Name, m)
		}
		changed := m.Copy()
		changed.Ns[i].(*dns.NSEC).TypeBitMap = []uint16{dns.TypeNSEC}
		if v.check(changed, name, kind) == nil {
			t.Fatalf("%s %s was taken with another NSEC of %s:\n%v", name, dns.Type(kind), rr.Header().Name, m)
		}
	}
	for number, section := range [][]dns.RR{m.Answer, m.Ns} {
		for i, rr := range section {
			signature, ok := rr.(*dns.RRSIG)
			if !ok || kind == dns.TypeRRSIG {
				continue
			}
			less := m.Copy()
			sections := [][]dns.RR{less.Answer, less.Ns}
			sections[number][i].(*dns.RRSIG).Expiration++
			if v.check(less, name, kind) == nil {
				t.Fatalf("%s %s was taken with another %v:\n%v", name, dns.Type(kind), signature, m)
			}
		}
	}
}

// checkBitmaps holds that every NSEC lists just the types that its name answers with:
// what is missing would be hidden by resolvers that believe it (RFC 8198). Addresses
// of a pool count if anybody may get one at any time: that nobody does now, or some do
// not by the pool's rules, takes nothing from the others.
func checkBitmaps(t *testing.T, r *rand.Rand, table *Table) {
	t.Helper()
	for _, zone := range table.served {
		if zone.signed == nil {
			continue
		}
		for i, one := range zone.signed.chain.links {
			if served, _ := deepest(table.zones, one.name); served != zone {
				continue // another zone answers
			}
			var has []uint16
			for kind := range uint16(300) {
				if isMeta(kind) {
					continue
				}
				q := Question{Name: one.name, Type: kind, DNSSEC: true}
				a := table.Answer(q, r)
				for tries := 0; one.node.Pool >= 0 && tries < 50 && a.Drawn == 0; tries++ {
					q.Client = randomClient(r)
					q.Resolver = q.Client
					a = table.Answer(q, r)
				}
				if one.node.Delegation && kind != dns.TypeDS && kind != dns.TypeNSEC && kind != dns.TypeRRSIG {
					if kind == dns.TypeNS && len(a.Authority) > 0 {
						has = append(has, kind)
					}
					continue
				}
				if len(a.Answer) > 0 && (a.Answer[0].Header().Rrtype == kind || kind == dns.TypeRRSIG) || one.node.Delegation && kind != dns.TypeDS {
					has = append(has, kind)
				}
			}
			nsec, ok := zone.signed.link(i).denial.records[0].(*dns.NSEC)
			if one.node.Pool >= 0 {
				for _, kind := range addressKinds {
					if slices.Contains(nsec.TypeBitMap, kind) && !slices.Contains(has, kind) && table.pools[one.node.Pool].of(kind).served {
						has = append(has, kind)
					}
				}
				slices.Sort(has)
			}
			if !ok || !slices.Equal(nsec.TypeBitMap, has) {
				t.Fatalf("the name answers with %v, its NSEC is %v", has, nsec)
			}
		}
	}
}
