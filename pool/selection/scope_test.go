package selection

import (
	"net/netip"
	"testing"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/testdraw"
)

func TestPlaceDependent(t *testing.T) {
	europe, asia := within(country("DE", "EU")), within(country("JP", "AS"))
	two := []Candidate{candidate("a", 1, europe), candidate("b", 1, asia)}
	for _, test := range []struct {
		name        string
		policy      pool.Policy
		whenAllDown pool.WhenAllDown
		candidates  []Candidate
		want        bool
	}{
		{"none", plain, "", two, false},
		{"near", near1, "", two, true},
		{"near, all in one place", near1, "", []Candidate{candidate("a", 1, europe), candidate("b", 1, europe)}, true},
		{"near, needs everybody", atLeast(near1, 2), "", two, false},
		{"near, the cap needs everybody", capped(near1, 0.5), "", two, false},
		{"near, needs more than there are", atLeast(near1, 5), "", two, false},
		{"near, one is down", near1, "", []Candidate{candidate("a", 1, europe), candidate("b", 1, asia, isDown)}, false},
		{"near, one is reserve", near1, "", []Candidate{candidate("a", 1, europe), candidate("b", 1, asia, isReserve)}, false},
		{"near, one is disabled", near1, "", []Candidate{candidate("a", 1, europe), candidate("b", 0, asia)}, false},
		{"near, all down: all", near1, pool.AnswerAll, []Candidate{candidate("a", 1, europe, isDown), candidate("b", 1, asia, isDown)}, true},
		{"near, all down: empty", near1, pool.AnswerEmpty, []Candidate{candidate("a", 1, europe, isDown), candidate("b", 1, asia, isDown)}, false},
		{"near, all down: self", near1, pool.AnswerSelf, []Candidate{candidate("a", 1, europe, isDown), candidate("b", 1, asia, isDown)}, false},
		{"near, nothing known of where they are", near1, "", []Candidate{candidate("a", 1), candidate("b", 1)}, false},
		{"near, coordinates alone", near1, "", []Candidate{candidate("a", 1, within(at(0, 0))), candidate("b", 1, within(at(0, 90)))}, false},
		{"distance", distance1, "", []Candidate{candidate("a", 1, within(at(0, 0))), candidate("b", 1, within(at(0, 90)))}, true},
		{"distance without coordinates", distance1, "", two, false},
		{"no candidates", near1, "", nil, false},
		{"a rule", plain, "", []Candidate{candidate("a", 1, exclude(pool.Rules{Countries: []string{"DE"}})), candidate("b", 1)}, true},
		{"a network rule", plain, "", []Candidate{candidate("a", 1, only(networks("127.0.0.0/8")))}, true},
		{"a rule of nobody", plain, "", []Candidate{candidate("a", 1, only(pool.Rules{})), candidate("b", 1, exclude(pool.Rules{}))}, false},
		{"a rule of one that is disabled", plain, "", []Candidate{candidate("a", 0, exclude(pool.Rules{Countries: []string{"DE"}})), candidate("b", 1)}, false},
	} {
		if got := New(test.policy, test.whenAllDown, test.candidates).PlaceDependent(); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestScope(t *testing.T) {
	network := []Candidate{candidate("a", 1, exclude(networks("127.0.4.0/22", "127.0.5.0/24"))), candidate("b", 1)}
	byCountry := []Candidate{
		candidate("a", 1, exclude(pool.Rules{Countries: []string{"DE"}, Networks: networks("127.0.4.0/22").Networks})),
		candidate("b", 1),
	}
	// Two networks side by side, in the same rule, are as good as one.
	halves := []Candidate{candidate("a", 1, exclude(networks("127.0.4.0/23", "127.0.6.0/23"))), candidate("b", 1)}
	nested := []Candidate{
		candidate("a", 1, exclude(networks("127.0.4.0/22"))), candidate("b", 1, exclude(networks("127.0.5.0/24"))), candidate("c", 1),
	}
	allIPv6 := []Candidate{candidate("a", 1, exclude(networks("::/0"))), candidate("b", 1)}
	for _, test := range []struct {
		name       string
		policy     pool.Policy
		candidates []Candidate
		address    string
		bits       int
		want       int
	}{
		{"not dependent", plain, []Candidate{candidate("a", 1)}, "127.0.0.1", 24, 0},
		{"inside a network", plain, network, "127.0.7.1", 0, 22},
		{"inside the inner of two in one rule", plain, network, "127.0.5.1", 0, 22},
		{"beside it", plain, network, "127.0.8.1", 0, 21},
		{"far from it", plain, network, "1.0.0.1", 0, 2},
		{"farther", plain, network, "128.0.0.1", 0, 1},
		{"other family: not where IPv4 is mapped", plain, network, "::1", 0, 81},
		{"other family, far from it", plain, network, "2001:db8::1", 0, 3},
		{"networks alone: the place holds for less", plain, network, "127.0.7.1", 28, 22},
		{"place matters: at least where it holds", plain, byCountry, "127.0.7.1", 28, 28},
		{"place matters: no network's boundary", plain, byCountry, "127.0.7.1", 8, 22},
		{"never 0", plain, byCountry, "8000::1", 0, 1},
		{"halves, first", plain, halves, "127.0.4.1", 0, 22},
		{"halves, second", plain, halves, "127.0.7.1", 0, 22},
		{"nested, in the inner", plain, nested, "127.0.5.1", 0, 24},
		{"nested, beside the inner", plain, nested, "127.0.4.1", 0, 24},
		{"nested, farther from it", plain, nested, "127.0.7.1", 0, 23},
		{"all of IPv6 is named, and so nothing mapped", plain, allIPv6, "::1", 0, 81},
		{"all of IPv6 is named, IPv4 is not", plain, allIPv6, "127.0.0.1", 0, 1},
		{"mapped counts as IPv4", plain, nested, "::ffff:127.0.7.1", 0, 23},
		{"bits too large", plain, byCountry, "127.0.7.1", 129, 32},
		{"bits negative", plain, byCountry, "127.0.7.1", -1, 32},
	} {
		c := New(test.policy, pool.AnswerAll, test.candidates)
		_, got := c.Choose(Client{Address: netip.MustParseAddr(test.address), Place: country("FR", "EU"), Bits: test.bits})
		if got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
	near := New(near1, pool.AnswerAll, []Candidate{candidate("a", 1, within(country("DE", "EU"))), candidate("b", 1)})
	for _, client := range []Client{{}, {Place: country("DE", "EU"), Bits: 24}} {
		if _, got := near.Choose(client); got != 0 {
			t.Errorf("client without address: got %d, want 0", got)
		}
	}
}

// Whatever the rules, all addresses in the prefix that Choose returns get the
// same, as long as their place is the same there.
func TestScopeHoldsForItsPrefix(t *testing.T) {
	dependent, inside := 0, 0
	for seed := range uint64(3000) {
		r := seeded(seed)
		candidates := r.candidates()
		c := New(r.policy(), r.whenAllDown(), candidates)
		for range 10 {
			client := r.client()
			choice, bits := c.Choose(client)
			if !client.Address.IsValid() || !c.PlaceDependent() {
				if bits != 0 {
					t.Fatalf("seed %d: %v: got %d bits, want 0", seed, client.Address, bits)
				}
				continue
			}
			dependent++
			if bits < 1 || bits > client.Address.BitLen() || c.placeMatters && bits < client.Bits {
				t.Fatalf("seed %d: %+v: got %d bits", seed, client, bits)
			}
			scope := netip.PrefixFrom(client.Address, bits).Masked()
			for range 10 {
				other := client
				other.Address = r.addressIn(scope)
				if other.Address != client.Address {
					inside++
				}
				otherChoice, otherBits := c.Choose(other)
				if otherChoice != choice {
					t.Fatalf("seed %d: %v and %v in %v: got %s and %s", seed, client.Address, other.Address, scope,
						show(choice, candidates), show(otherChoice, candidates))
				}
				if c.placeMatters && otherBits < client.Bits && !other.Address.Is4In6() { // counted as IPv4
					t.Fatalf("seed %d: %v: got %d bits", seed, other.Address, otherBits)
				}
			}
		}
	}
	if dependent < 1000 || inside < 1000 {
		t.Errorf("only %d clients and %d neighbours were looked at", dependent, inside)
	}
}

// A Chooser that is not place-dependent gives everybody the same, without
// having looked at any.
func TestNotPlaceDependentMeansTheSameForAll(t *testing.T) {
	fixed := 0
	for seed := range uint64(3000) {
		r := seeded(seed)
		candidates := r.candidates()
		c := New(r.policy(), r.whenAllDown(), candidates)
		if c.PlaceDependent() {
			continue
		}
		fixed++
		choice, _ := c.Choose(Client{})
		for range 20 {
			d := c.decide(r.client().normalised())
			if got := c.makeChoice(0, d.mode, d.chosen); show(got, candidates) != show(choice, candidates) {
				t.Fatalf("seed %d: got %s and %s", seed, show(got, candidates), show(choice, candidates))
			}
		}
	}
	if fixed < 100 {
		t.Errorf("only %d choosers were looked at", fixed)
	}
}

// What is remembered for a class of clients is what each of them would get
// without memory.
func TestMemoryAgreesWithTheRule(t *testing.T) {
	for seed := range uint64(testdraw.Cases(t, 800)) {
		r := seeded(seed)
		candidates := r.candidates()
		c := New(r.policy(), r.whenAllDown(), candidates)
		for range 30 {
			client := r.client()
			choice, _ := c.Choose(client)
			d := c.decide(client.normalised())
			if want := c.makeChoice(0, d.mode, d.chosen); show(choice, candidates) != show(want, candidates) {
				t.Fatalf("seed %d: %+v: got %s, want %s", seed, client, show(choice, candidates), show(want, candidates))
			}
		}
	}
}

func TestLastAddress(t *testing.T) {
	for network, want := range map[string]string{
		"127.0.0.0/8": "127.255.255.255", "127.0.4.0/22": "127.0.7.255", "127.0.0.1/32": "127.0.0.1",
		"0.0.0.0/0": "255.255.255.255", "2001:db8::/33": "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff", "::1/128": "::1",
	} {
		if got := lastAddress(netip.MustParsePrefix(network)).String(); got != want {
			t.Errorf("%s: got %s, want %s", network, got, want)
		}
	}
}

// The ranges that rules' networks cut agree with asking every network.
func TestRuleRangesAgreeWithNetworks(t *testing.T) {
	for seed := range uint64(1000) {
		r := seeded(seed)
		candidates := r.candidates()
		x := indexRules(candidates)
		for range 30 {
			client := Client{Address: r.address(), Place: geo.Place{}}
			named := x.naming(client)
			for rules := range usedRules(candidates) {
				if got, words := named(rules), whatNames(rules, client); got != (words != "") {
					t.Fatalf("seed %d: %v: %+v: got %v, words %q", seed, client.Address, rules, got, words)
				}
			}
		}
	}
}
