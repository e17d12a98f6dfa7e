package selection

import (
	"net/netip"
	"slices"
	"testing"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/testdraw"
)

// placesMap gives a map of some of the networks that rules and clients have.
func (r random) placesMap() *geo.Map {
	if r.IntN(20) == 0 {
		return nil
	}
	places := map[netip.Prefix]geo.Place{}
	for _, network := range append(slices.Clone(someNetworks), "127.0.2.0/23", "127.128.0.0/9", "2001:db8::/33", "2000::/3", "128.0.0.0/1") {
		if r.IntN(2) == 0 {
			places[netip.MustParsePrefix(network)] = r.place()
		}
	}
	return geo.NewMap(places)
}

// anyAddress is one in the networks of rules and maps, or anywhere.
func (r random) anyAddress() netip.Addr {
	switch r.IntN(4) {
	case 0:
		return r.addressIn(netip.MustParsePrefix("0.0.0.0/0"))
	case 1:
		return r.addressIn(netip.MustParsePrefix(pick(r, []string{"::/0", "::ffff:0:0/95", "::/64", "2001:db8::/31"})))
	}
	return r.address()
}

func located(m *geo.Map, address netip.Addr) Client {
	place, length := m.Lookup(address)
	return Client{Address: address, Place: place, Bits: length}
}

// Whoever is up, every client gets what the one that stands for its class gets,
// and so does everybody in the prefix around it.
func TestClassesAgreeWithTheRule(t *testing.T) {
	single, several := 0, 0
	lists := testdraw.Cases(t, 400)
	for seed := range uint64(lists) {
		r := seeded(seed)
		candidates, policy, m := r.candidates(), r.policy(), r.placesMap()
		classes, ok := NewClasses(policy, candidates, m)
		if !ok {
			t.Fatalf("seed %d: no classes", seed)
		}
		if classes.Len() == 1 {
			single++
		} else {
			several++
		}
		for range 4 {
			for i := range candidates {
				candidates[i].Up, candidates[i].Kept, candidates[i].Sixteenths = r.IntN(3) > 0, r.IntN(3) == 0, uint8(r.IntN(wholeWeight))
				if candidates[i].Disabled = ""; r.IntN(6) == 0 {
					candidates[i].Disabled = "disabled on this node"
				}
			}
			c := New(policy, r.whenAllDown(), candidates)
			for range 15 {
				checkClass(t, r, seed, c, classes, m, r.anyAddress())
			}
		}
	}
	if single < lists/15 || several < lists*2/5 {
		t.Errorf("there were %d lists with one class, and %d with more", single, several)
	}
}

func checkClass(t *testing.T, r random, seed uint64, c *Chooser, classes *Classes, m *geo.Map, address netip.Addr) {
	t.Helper()
	class, bits := classes.Of(address)
	if (bits == 0) != (classes.Len() == 1) || bits > address.Unmap().BitLen() {
		t.Fatalf("seed %d: %v: got %d bits, of %d classes", seed, address, bits, classes.Len())
	}
	want, _ := c.Choose(located(m, address))
	if got, _ := c.Choose(classes.Client(class)); got != want {
		t.Fatalf("seed %d: %v of class %d: got %s for the class, want %s", seed, address, class,
			show(got, c.candidates), show(want, c.candidates))
	}
	scope := netip.PrefixFrom(address.Unmap(), bits).Masked()
	for range 5 {
		other := r.addressIn(scope)
		if got, otherBits := classes.Of(other); got != class || otherBits != bits {
			t.Fatalf("seed %d: %v has class %d and %d bits, %v in %v has class %d and %d bits",
				seed, address, class, bits, other, scope, got, otherBits)
		}
		if got, _ := c.Choose(located(m, other)); got != want {
			t.Fatalf("seed %d: %v in %v: got %s, want %s", seed, other, scope, show(got, c.candidates), show(want, c.candidates))
		}
	}
}

// Clients that are told apart, but get the same whoever is up, are one class.
func TestLikeClassesAreOne(t *testing.T) {
	places := map[netip.Prefix]geo.Place{}
	for i, code := range manyCountries {
		network := netip.PrefixFrom(netip.AddrFrom4([4]byte{127, byte(i)}), 16)
		places[network] = geo.Resolve(&pool.Location{Country: code})
	}
	m := geo.NewMap(places)
	in := func(codes ...string) []Candidate {
		var list []Candidate
		for _, code := range codes {
			list = append(list, candidate(code, 1, within(geo.Resolve(&pool.Location{Country: code}))))
		}
		return list
	}
	reserve := in("JP")
	reserve[0].Reserve = true
	for name, test := range map[string]struct {
		policy     pool.Policy
		candidates []Candidate
		want       int
	}{
		"each country, the other one of its continent, the world":   {near1, in("DE", "FR", "JP"), 5},
		"two are needed: Europe, all":                               {atLeast(near1, 2), in("DE", "FR", "JP"), 2},
		"two are needed, and are in one country: it, Europe, all":   {atLeast(near1, 2), in("DE", "DE", "FR", "JP"), 3},
		"two are needed, four countries: two continents, all":       {atLeast(near1, 2), in("DE", "FR", "JP", "IN"), 3},
		"three are needed, of which no continent has enough":        {atLeast(near1, 3), in("DE", "FR", "JP", "IN"), 1},
		"those of a reserve have an order of their own":             {atLeast(near1, 2), append(in("DE", "FR", "US"), reserve...), 2},
		"distance: the nearest of two, or all":                      {distance1, in("DE", "JP"), 3},
		"distance: the nearest is no matter if two are needed":      {atLeast(distance1, 2), in("DE", "JP"), 1},
		"distance: three are needed, the order of two is no matter": {atLeast(distance1, 3), in("DE", "FR", "JP", "US"), 6},
		"the country does not matter if the continent has one":      {near1, in("JP", "DE"), 3},
		"one of several that are excluded there, and nowhere else":  {plain, append(in("DE", "JP"), candidate("x", 1, exclude(pool.Rules{Countries: []string{"DE", "JP"}}))), 2},
	} {
		classes, ok := NewClasses(test.policy, test.candidates, m)
		if !ok || classes.Len() != test.want {
			t.Errorf("%s: %v, %d classes, want %d", name, ok, classes.Len(), test.want)
		}
	}
}

// Lists with equal keys have equal classes, and what may change the classes
// changes the key.
func TestClassesKey(t *testing.T) {
	for seed := range uint64(testdraw.Cases(t, 150)) {
		r := seeded(seed)
		candidates, policy, m := r.candidates(), r.policy(), r.placesMap()
		other := slices.Clone(candidates)
		r.Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
		for i := range other {
			other[i].Up, other[i].Health = r.IntN(2) == 0, "as chance had it"
			other[i].Weight *= uint32(1 + r.IntN(3))
		}
		other = append(other, candidate("nobody's", 0, exclude(networks("127.0.0.0/9")), within(country("DE", "EU"))))
		one, ok1 := NewClasses(policy, candidates, m)
		two, ok2 := NewClasses(policy, other, m)
		if !ok1 || !ok2 || one.Key() != two.Key() || one.Key() != ClassesKey(policy, candidates) {
			t.Fatalf("seed %d: keys %x and %x", seed, one.Key(), two.Key())
		}
		for range 30 {
			address := r.anyAddress()
			class1, bits1 := one.Of(address)
			class2, bits2 := two.Of(address)
			if class1 != class2 || bits1 != bits2 {
				t.Fatalf("seed %d: %v: class %d with %d bits, and %d with %d", seed, address, class1, bits1, class2, bits2)
			}
		}
	}
}

func TestClassesKeyTellsApart(t *testing.T) {
	base := []Candidate{
		candidate("a", 1, within(country("DE", "EU"))), candidate("b", 1, within(country("FR", "EU"))),
		candidate("c", 1, within(country("JP", "AS"))), candidate("d", 1, within(at(1, 2))),
	}
	changed := func(traits ...trait) []Candidate {
		list := slices.Clone(base)
		for _, t := range traits {
			t(&list[1])
		}
		return list
	}
	keys := map[string]string{}
	for name, key := range map[string]string{
		"near":                 ClassesKey(near1, base),
		"near, two":            ClassesKey(atLeast(near1, 2), base),
		"distance":             ClassesKey(distance1, base),
		"none":                 ClassesKey(plain, base),
		"another country":      ClassesKey(near1, changed(within(country("IT", "EU")))),
		"another AS":           ClassesKey(near1, changed(within(geo.Place{Country: "FR", Continent: "EU", ASN: 3}))),
		"a network":            ClassesKey(near1, changed(within(geo.Place{Network: netip.MustParsePrefix("127.0.0.0/8")}))),
		"other coordinates":    ClassesKey(distance1, changed(within(at(1, 3)))),
		"reserve":              ClassesKey(near1, changed(isReserve)),
		"disabled":             ClassesKey(near1, changed(func(c *Candidate) { c.Weight = 0 })),
		"exclude a country":    ClassesKey(near1, changed(exclude(pool.Rules{Countries: []string{"IT"}}))),
		"only a country":       ClassesKey(near1, changed(only(pool.Rules{Countries: []string{"IT"}}))),
		"exclude a network":    ClassesKey(near1, changed(exclude(networks("127.0.0.0/8")))),
		"none, with a rule":    ClassesKey(plain, changed(exclude(pool.Rules{Countries: []string{"IT"}}))),
		"only for nobody":      ClassesKey(near1, changed(only(pool.Rules{}))),
		"one more like others": ClassesKey(near1, append(slices.Clone(base), base[0])),
	} {
		if other, twice := keys[key]; twice {
			t.Errorf("%s and %s have one key", name, other)
		}
		keys[key] = name
	}
	for name, key := range map[string]string{
		"down":                      ClassesKey(near1, changed(isDown)),
		"cap that needs no more":    ClassesKey(capped(near1, 1), base),
		"coordinates under near":    ClassesKey(near1, append(slices.Clone(base[:3]), candidate("d", 1, within(at(3, 4))))),
		"cap of as many, in words":  ClassesKey(capped(near1, 2), base),
		"one that can not be given": ClassesKey(near1, append(slices.Clone(base), candidate("e", 1, unusableFor("no A address")))),
	} {
		if key != ClassesKey(near1, base) {
			t.Errorf("%s: another key than without", name)
		}
	}
}

// Where nothing that tells clients apart can matter, there is one class.
func TestOneClass(t *testing.T) {
	embedded, _, err := geo.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	here := []Candidate{candidate("a", 1, within(country("DE", "EU"))), candidate("b", 1, within(country("FR", "EU")))}
	for name, test := range map[string]struct {
		policy     pool.Policy
		candidates []Candidate
	}{
		"none":                        {plain, here},
		"nobody":                      {near1, nil},
		"all are needed":              {atLeast(near1, 2), here},
		"the cap needs all":           {capped(near1, 0.5), here},
		"all in one place":            {near1, []Candidate{here[0], here[0]}},
		"nothing known of them":       {near1, []Candidate{candidate("a", 1), candidate("b", 1)}},
		"others are disabled":         {near1, append(slices.Clone(here[:1]), candidate("b", 0, within(country("JP", "AS"))))},
		"a reserve beside":            {near1, append(slices.Clone(here[:1]), candidate("b", 1, isReserve, within(country("JP", "AS"))))},
		"distance without positions":  {distance1, []Candidate{candidate("a", 1), candidate("b", 1)}},
		"a rule for nobody":           {plain, append(slices.Clone(here), candidate("c", 1, only(pool.Rules{})))},
		"a rule of one that's no use": {plain, append(slices.Clone(here), candidate("c", 0, only(networks("127.0.0.0/8"))))},
	} {
		classes, ok := NewClasses(test.policy, test.candidates, embedded)
		if !ok || classes.Len() != 1 || classes.Ranges() != 1 {
			t.Errorf("%s: %v, %+v", name, ok, classes)
			continue
		}
		for _, address := range []string{"127.0.0.1", "8.8.8.8", "::1", "::ffff:8.8.8.8", "2a00::1"} {
			if class, bits := classes.Of(netip.MustParseAddr(address)); class != 0 || bits != 0 {
				t.Errorf("%s: %s: class %d, %d bits", name, address, class, bits)
			}
		}
	}
}
