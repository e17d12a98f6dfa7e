package dnsserver

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/testdraw"
	"mirrorpool/zones"
)

// subnetValue is the value of a client subnet option.
func subnetValue(address netip.Addr, source int) string {
	family := uint16(familyIPv6)
	if address.Is4() {
		family = familyIPv4
	}
	network, err := address.Prefix(source)
	if err != nil {
		panic(err)
	}
	value := binary.BigEndian.AppendUint16(nil, family)
	value = append(value, byte(source), 0)
	return string(append(value, network.Addr().AsSlice()[:(source+7)/8]...))
}

// scopes are the scopes that were told for one pool and type, each with what
// clients within get.
type scopes struct {
	world  *subnetWorld
	pool   *pool.Pool
	family int // of the records: 4 or 6
	told   map[netip.Prefix]string
}

// ask asks for a subnet, and gives the scope around its first address as a
// network in the option's own family.
func (s *scopes) ask(t testing.TB, address netip.Addr, source int) netip.Prefix {
	t.Helper()
	option, ok := parseSubnet([]byte(subnetValue(address, source)))
	if !ok {
		t.Fatalf("%v/%d is malformed", address, source)
	}
	kind := map[int]uint16{4: dns.TypeA, 6: dns.TypeAAAA}[s.family]
	a := s.world.table.Answer(zones.Question{
		Name: s.pool.Name + ".", Type: kind, Client: option.client,
	}, rand.NewPCG(1, 1))
	scope := int(option.scope(a.PlaceDependent, a.ScopeBits))
	network, err := address.Prefix(source)
	if err != nil {
		t.Fatal(err)
	}
	network = netip.PrefixFrom(network.Addr(), scope).Masked()
	if source == 0 && scope != 0 {
		t.Fatalf("%s for %v/0: scope %d", s.pool.Name, address, scope)
	}
	if source > 0 {
		client := option.client
		if s.pool.Policy.IgnoreClientSubnet {
			if client = (netip.Addr{}); scope != 0 {
				t.Fatalf("%s does not use the subnet, but tells scope %d", s.pool.Name, scope)
			}
		}
		s.told[network] = s.world.shares(t, s.pool, client, s.family)
	}
	return network
}

// check asks for a client, and then for others in the scope that is told.
func (s *scopes) check(t testing.TB, r *rand.Rand, address netip.Addr, source int) (inside int) {
	t.Helper()
	scope := s.ask(t, address, source)
	shares := s.told[scope]
	if source == 0 || s.pool.Policy.IgnoreClientSubnet {
		return 0
	}
	for range 6 {
		other := s.world.within(r, scope)
		inside++
		if got := s.world.shares(t, s.pool, other, s.family); got != shares {
			t.Fatalf("%s: %v/%d is told scope %v with %s,\nbut %v gets %s", s.pool.Name, address, source, scope, shares, other, got)
		}
		if scope.Bits() == 0 { // it is for all, of both families
			other = s.world.client(r)
			if got := s.world.shares(t, s.pool, other, s.family); got != shares {
				t.Fatalf("%s: %v/%d is told scope 0 with %s,\nbut %v gets %s", s.pool.Name, address, source, shares, other, got)
			}
			continue
		}
		longer := scope.Bits() + r.IntN(other.BitLen()-scope.Bits()+1)
		if got := s.ask(t, other, longer); got != scope {
			t.Fatalf("%s: %v/%d is told scope %v, but %v/%d in it %v", s.pool.Name, address, source, scope, other, longer, got)
		}
		// With less than the scope, what is told is of the subnet's first address.
		s.ask(t, other, r.IntN(scope.Bits()+1))
	}
	if address.Is4() {
		mapped := s.ask(t, netip.AddrFrom16(address.As16()), 96+source)
		if scope.Bits() > 0 && mapped.Bits() != 96+scope.Bits() {
			t.Fatalf("%s: %v/%d is told scope %v, but mapped into IPv6 %v", s.pool.Name, address, source, scope, mapped)
		}
	}
	return inside
}

// overlap holds that no scope lies in another one (RFC 7871 section 7.2.1): a
// cache would give its clients what came first.
func (s *scopes) overlap(t testing.TB) (different int) {
	t.Helper()
	shares := map[string]bool{}
	for scope, inner := range s.told {
		shares[inner] = true
		for bits := range scope.Bits() {
			outer := netip.PrefixFrom(scope.Addr(), bits).Masked()
			if _, both := s.told[outer]; both {
				t.Fatalf("%s: the scopes %v with %s and %v with %s overlap", s.pool.Name, outer, s.told[outer], scope, inner)
			}
		}
	}
	return len(shares)
}

// Whatever the databases, rules and pools are, and whatever a resolver asks with:
// any two clients within one scope get equal shares, each is told that very
// scope, and no two scopes overlap.
func TestSubnetScope(t *testing.T) {
	worlds := uint64(testdraw.Cases(t, 20))
	inside, dependent, last := 0, 0, uint64(0)
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", last)
		}
	}()
	for seed := range worlds {
		last = seed
		r := rand.New(rand.NewPCG(seed, 8))
		w := newSubnetWorld(t, r)
		for _, one := range w.pools {
			s := &scopes{world: w, pool: one, family: 4 + 2*r.IntN(2), told: map[netip.Prefix]string{}}
			for range 25 {
				address := w.client(r)
				source := r.IntN(address.BitLen() + 1)
				if r.IntN(3) == 0 {
					source = address.BitLen()
				}
				inside += s.check(t, r, address, source)
			}
			if s.overlap(t) > 1 {
				dependent++
			}
		}
	}
	if inside < int(worlds)*200 || dependent < int(worlds) {
		t.Errorf("only %d neighbours were looked at, and %d pools gave different clients different shares", inside, dependent)
	}
	t.Logf("%d neighbours, %d of %d pools gave different clients different shares", inside, dependent, 4*worlds)
}

// fixedRandom draws the same number each time, until it is given another.
type fixedRandom struct{ number *uint64 }

func (f fixedRandom) Uint64() uint64 { return *f.number }

// subnetAsker asks a responder in every way that tells choices apart: with equal
// numbers drawn, equal choices give equal records in equal order.
type subnetAsker struct {
	number    uint64
	responder *responder
	config    Config
}

func newSubnetAsker(w *subnetWorld) *subnetAsker {
	a := &subnetAsker{}
	a.config = Config{
		Table:  func() Answerer { return w.table },
		Random: func() zones.Random { return fixedRandom{&a.number} },
	}.withDefaults()
	a.responder = responderOf(&a.config, overUDP)
	return a
}

// draws gives the records of an answer for several numbers drawn, and the scope
// in its client subnet.
func (a *subnetAsker) draws(t testing.TB, q query, client netip.Addr) (all string, scope int) {
	t.Helper()
	for i := range uint64(16) {
		a.number = i<<60 | i<<20
		buffer := make([]byte, roomSize)
		a.responder.begin()
		answer := slices.Clone(a.responder.reply(buffer, copy(buffer, q.bytes()), client, overUDP))
		a.responder.end()
		m := parse(t, answer)
		if o := m.IsEdns0(); o != nil {
			for _, each := range o.Option {
				if e, ok := each.(*dns.EDNS0_SUBNET); ok {
					scope = int(e.SourceScope)
				}
			}
		}
		all += fmt.Sprint(m.Rcode, lines(m.Answer), lines(m.Ns), "\n")
	}
	return all, scope
}

// From packet to packet: whoever asks from within a scope that was told, with
// the option or without, gets the answers of that scope.
func TestSubnetScopeInBytes(t *testing.T) {
	worlds := uint64(testdraw.Cases(t, 10))
	kinds := map[string]int{}
	for seed := range worlds {
		r := rand.New(rand.NewPCG(seed, 9))
		w := newSubnetWorld(t, r)
		asker := newSubnetAsker(w)
		for _, one := range w.pools {
			resolver, ok := w.unlocatedResolver(t, r, one)
			if one.Policy.IgnoreClientSubnet || !ok {
				continue
			}
			name := one.Name + "."
			if name == "p0.example.test." && r.IntN(2) == 0 {
				name = "x.alias.example.test."
			}
			q := query{name: name, qtype: []uint16{dns.TypeA, dns.TypeAAAA}[r.IntN(2)]}
			with := func(address netip.Addr, source int) (string, int) {
				q := q
				q.opts = [][]byte{opt(1232, 0, option(optionSubnet, subnetValue(address, source)))}
				return asker.draws(t, q, resolver)
			}
			for range 8 {
				address := w.client(r)
				source := 1 + r.IntN(address.BitLen())
				want, bits := with(address, source)
				first, err := address.Prefix(source)
				if err != nil {
					t.Fatal(err)
				}
				scope := netip.PrefixFrom(first.Addr(), bits).Masked()
				if bits > 0 {
					kinds[want]++
				}
				for range 4 {
					other := w.within(r, scope)
					longer := max(1, bits) + r.IntN(other.BitLen()-max(1, bits)+1)
					if got, again := with(other, longer); got != want || again != bits {
						t.Fatalf("seed %d, %s: %v/%d gets scope %d and\n%s%v/%d scope %d and\n%s", seed, name, address, source, bits, want, other, longer, again, got)
					}
					if got, _ := asker.draws(t, q, other); got != want {
						t.Fatalf("seed %d, %s: %v/%d gets scope %d and\n%s%v without the option\n%s", seed, name, address, source, bits, want, other, got)
					}
				}
			}
		}
	}
	if len(kinds) < int(worlds) {
		t.Errorf("only %d different answers were looked at", len(kinds))
	}
	t.Logf("%d different answers that depend on place", len(kinds))
}
