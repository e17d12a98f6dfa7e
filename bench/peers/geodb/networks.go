package main

import (
	"math/rand/v2"
	"net/netip"
)

// A network is one entry of the database: a prefix and where its clients are.
type network struct {
	prefix netip.Prefix
	place  place
}

// A division cuts a part of the address space into networks of random sizes,
// as registries and providers did: in the end each address of it is in one.
type division struct {
	whole    netip.Prefix
	shortest int     // no network is larger than this prefix length
	longest  int     // nor smaller than this one
	split    float64 // the share of the prefixes between them that is cut in two again
}

// divisions cover all of IPv4, with 127.0.0.0/8, where the load comes from, and
// the global unicast space of IPv6. They make 159,022 and 137,234 networks.
// In IPv6, what embeds IPv4 addresses (2001::/32, 2002::/16) is left out: some
// servers map it to IPv4 and refuse to load other data for it.
func divisions() []division {
	return []division{
		{whole: netip.MustParsePrefix("0.0.0.0/0"), shortest: 14, longest: 24, split: 0.55},
		{whole: netip.MustParsePrefix("2000::/3"), shortest: 17, longest: 40, split: 0.48},
	}
}

// embedding lists what embeds IPv4 addresses in IPv6.
func embedding() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("2001::/32"), netip.MustParsePrefix("2002::/16")}
}

// networks yields every network of all divisions in the order of addresses, the
// same in every run.
func networks(divisions []division, yield func(network) error) error {
	random := rand.New(rand.NewPCG(1, 2))
	places := newPlaces(random)
	for _, d := range divisions {
		if err := d.cut(random, places, d.whole, yield); err != nil {
			return err
		}
	}
	return nil
}

// cut yields prefix as one network, or the networks of its two halves.
func (d division) cut(random *rand.Rand, places places, prefix netip.Prefix, yield func(network) error) error {
	overlaps := false
	for _, embedded := range embedding() {
		if prefix.Bits() >= embedded.Bits() && embedded.Contains(prefix.Addr()) {
			return nil
		}
		overlaps = overlaps || embedded.Overlaps(prefix)
	}
	length := prefix.Bits()
	if !overlaps && length >= d.shortest && (length >= d.longest || random.Float64() >= d.split) {
		return yield(network{prefix: prefix, place: places.draw(random)})
	}
	low, high := halves(prefix)
	if err := d.cut(random, places, low, yield); err != nil {
		return err
	}
	return d.cut(random, places, high, yield)
}

// halves returns the two prefixes that make up prefix.
func halves(prefix netip.Prefix) (low, high netip.Prefix) {
	length := prefix.Bits()
	bytes := prefix.Addr().AsSlice()
	bytes[length/8] |= 0x80 >> (length % 8)
	upper, _ := netip.AddrFromSlice(bytes)
	return netip.PrefixFrom(prefix.Addr(), length+1), netip.PrefixFrom(upper, length+1)
}
