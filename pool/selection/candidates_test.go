package selection

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
)

// Helpers that write candidates, clients and choices in few words.

type trait func(*Candidate)

// candidate gives one that is up and stands nowhere, but for the traits.
func candidate(id string, weight uint32, traits ...trait) Candidate {
	c := Candidate{ID: id, Weight: weight, Up: true}
	for _, t := range traits {
		t(&c)
	}
	return c
}

func isDown(c *Candidate)    { c.Up = false }
func isReserve(c *Candidate) { c.Reserve = true }
func isKept(c *Candidate)    { c.Up, c.Kept = false, true }

// back is of a candidate that has come back, and has so many sixteenths of its weight.
func back(sixteenths uint8) trait { return func(c *Candidate) { c.Sixteenths = sixteenths } }

func unusableFor(reason string) trait { return func(c *Candidate) { c.Unusable = reason } }
func disabledFor(reason string) trait { return func(c *Candidate) { c.Disabled = reason } }
func within(place geo.Place) trait    { return func(c *Candidate) { c.Place = place } }
func exclude(r pool.Rules) trait      { return func(c *Candidate) { c.Exclude = &r } }
func only(r pool.Rules) trait         { return func(c *Candidate) { c.Only = &r } }

func country(code, continent string) geo.Place { return geo.Place{Country: code, Continent: continent} }

func at(latitude, longitude float64) geo.Place {
	return geo.Place{HasCoordinates: true, Latitude: latitude, Longitude: longitude}
}

func networks(list ...string) pool.Rules {
	var r pool.Rules
	for _, n := range list {
		r.Networks = append(r.Networks, netip.MustParsePrefix(n))
	}
	return r
}

// from gives a client in 127.0.0.0/8 at a place that holds in its /24.
func from(place geo.Place) Client {
	return Client{Address: netip.MustParseAddr("127.0.0.1"), Place: place, Bits: 24}
}

var (
	plain     = pool.Policy{Nearness: pool.None, MinCandidates: 1, MaxShare: 1}
	near1     = pool.Policy{Nearness: pool.Near, MinCandidates: 1, MaxShare: 1}
	distance1 = pool.Policy{Nearness: pool.Distance, MinCandidates: 1, MaxShare: 1}
)

func capped(p pool.Policy, maxShare float64) pool.Policy {
	p.MaxShare = maxShare
	return p
}

func atLeast(p pool.Policy, candidates int) pool.Policy {
	p.MinCandidates = candidates
	return p
}

// show gives a choice as "normal a:0.2500 b:0.7500".
func show(choice *Choice, candidates []Candidate) string {
	var b strings.Builder
	b.WriteString(choice.Mode.String())
	for _, s := range choice.Shares {
		fmt.Fprintf(&b, " %s:%.4f", candidates[s.Index].ID, s.Share)
	}
	return b.String()
}

// random makes inputs for properties: small alphabets, so that candidates,
// rules and clients meet.
type random struct{ *rand.Rand }

func seeded(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 1))} }

var (
	someCountries = []string{"", "DE", "FR", "JP", "IN", "US"}
	continentOf   = map[string]string{"DE": "EU", "FR": "EU", "JP": "AS", "IN": "AS", "US": "NA"}
	someNetworks  = []string{
		"127.0.0.0/8", "127.0.0.0/16", "127.0.0.0/17", "127.0.128.0/17", "127.0.1.0/24", "127.0.1.7/32",
		"127.255.0.0/16", "0.0.0.0/0", "255.255.255.255/32", "2001:db8::/32", "2001:db8:1::/48", "::1/128", "::/0",
	}
)

func pick[T any](r random, from []T) T { return from[r.IntN(len(from))] }

func (r random) place() geo.Place {
	if r.IntN(6) == 0 {
		return geo.Place{}
	}
	p := geo.Place{Country: pick(r, someCountries), ASN: uint32(r.IntN(4))}
	p.Continent = continentOf[p.Country]
	if r.IntN(4) == 0 {
		p.Network = netip.MustParsePrefix(pick(r, someNetworks))
	}
	if r.IntN(3) > 0 {
		p.HasCoordinates = true
		p.Latitude, p.Longitude = float64(r.IntN(7)*30-90), float64(r.IntN(13)*30-180)
	}
	return p
}

func (r random) rules() *pool.Rules {
	if r.IntN(4) > 0 {
		return nil
	}
	rules := &pool.Rules{}
	for range r.IntN(4) {
		switch r.IntN(4) {
		case 0:
			rules.Countries = append(rules.Countries, pick(r, someCountries[1:]))
		case 1:
			rules.Continents = append(rules.Continents, pick(r, []string{"EU", "AS", "NA"}))
		case 2:
			rules.ASNs = append(rules.ASNs, uint32(1+r.IntN(3)))
		case 3:
			rules.Networks = append(rules.Networks, netip.MustParsePrefix(pick(r, someNetworks)))
		}
	}
	return rules
}

func (r random) candidates() []Candidate {
	list := make([]Candidate, r.IntN(12))
	for i := range list {
		list[i] = Candidate{
			ID: fmt.Sprintf("m%d", i), Weight: uint32(r.IntN(5) * r.IntN(50)), Place: r.place(),
			Up: r.IntN(3) > 0, Reserve: r.IntN(4) == 0, Health: "as chance has it",
			Exclude: r.rules(), Only: r.rules(),
		}
		if r.IntN(10) == 0 {
			list[i].Unusable = "no AAAA address"
		}
		list[i].Kept = r.IntN(3) == 0
		if r.IntN(3) == 0 {
			list[i].Sixteenths = uint8(r.IntN(wholeWeight))
		}
		if r.IntN(10) == 0 {
			list[i].Disabled = "disabled on this node"
		}
	}
	return list
}

func (r random) policy() pool.Policy {
	return pool.Policy{
		Nearness:      pick(r, []pool.Nearness{pool.Near, pool.Distance, pool.None}),
		MinCandidates: 1 + r.IntN(4),
		MaxShare:      pick(r, []float64{1, 1, 0.5, 0.4, 1. / 3, 0.25, 0.1}),
	}
}

func (r random) whenAllDown() pool.WhenAllDown {
	return pick(r, []pool.WhenAllDown{pool.AnswerAll, pool.AnswerEmpty, pool.AnswerSelf})
}

func (r random) address() netip.Addr {
	network := netip.MustParsePrefix(pick(r, someNetworks))
	return r.addressIn(network)
}

// addressIn gives an address in a network: often its first or last one.
func (r random) addressIn(network netip.Prefix) netip.Addr {
	first, last := network.Masked().Addr().AsSlice(), lastAddress(network.Masked()).AsSlice()
	chosen := slices.Clone(first)
	switch r.IntN(4) {
	case 0:
	case 1:
		chosen = last
	default:
		for i := range chosen {
			chosen[i] |= byte(r.Uint32()) & (first[i] ^ last[i])
		}
	}
	a, _ := netip.AddrFromSlice(chosen)
	return a
}

func (r random) client() Client {
	if r.IntN(10) == 0 {
		return Client{}
	}
	a := r.address()
	return Client{Address: a, Place: r.place(), Bits: r.IntN(a.BitLen() + 1)}
}
