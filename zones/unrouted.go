package zones

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"mirrorpool/pool/geo"
)

// unrouted are the networks whose addresses mean something only where they are
// used, so that they tell nothing of where a client is: RFC 1918, RFC 6598, RFC
// 1122, RFC 3927, RFC 4193 and RFC 4291. Each has a bit in an unroutedSet, by
// its place here.
var unrouted = [...]netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("fc00::/7"),
	netip.MustParsePrefix("fe80::/10"),
}

// longestUnrouted is the length of the longest of their prefixes.
const longestUnrouted = 16

// unroutedSet is a set of networks of unrouted.
type unroutedSet uint8

// unlocatedNetworks gives the unrouted networks of which the operator says
// nothing either, neither in the map nor in a rule: a client in one of them would
// get what a client gets of which nothing is known.
func (f *family) unlocatedNetworks(m *geo.Map) (set unroutedSet) {
	for i, network := range unrouted {
		place, length := lookUp(m, network.Addr())
		choice, scope := f.choose(m, network.Addr())
		if !place.Known() && length <= network.Bits() && choice == f.unlocated && scope <= network.Bits() {
			set |= 1 << i
		}
	}
	return set
}

// find gives the length of the prefix of the network in the set that an address
// lies in, or else 0 and the least length of a prefix around the address that
// neither holds an unrouted network nor reaches out of one.
func (s unroutedSet) find(address netip.Addr) (within, least int) {
	if s == 0 {
		return 0, 0
	}
	key, is4 := keyOf(address)
	begins := &unrouted6
	if is4 {
		begins = &unrouted4
	}
	b := begins[key>>56]
	if b.network == 0 {
		return 0, int(b.least)
	}
	network := &unroutedKeys[b.network-1]
	// Others begin with another byte, so that this one is the nearest.
	common := bits.LeadingZeros64(key ^ network.key)
	switch {
	case common < network.bits:
		return 0, common + 1
	case s&(1<<(b.network-1)) != 0:
		return network.bits, 0
	}
	return 0, network.bits
}

// unroutedKey is a network of unrouted with its address's keyOf.
type unroutedKey struct {
	key  uint64
	bits int
	is4  bool
}

var unroutedKeys = func() (all [len(unrouted)]unroutedKey) {
	for i, network := range unrouted {
		all[i].key, all[i].is4 = keyOf(network.Addr())
		all[i].bits = network.Bits()
	}
	return all
}()

// unroutedByte is what is known of addresses by their first byte: 1 + the index
// of the one network of unrouted that has addresses with it, or else the least
// length of a prefix that holds none.
type unroutedByte struct{ network, least uint8 }

var unrouted4, unrouted6 = unroutedBytes(true), unroutedBytes(false)

func unroutedBytes(is4 bool) (all [256]unroutedByte) {
	for first := range all {
		for i, network := range unroutedKeys {
			if network.is4 != is4 {
				continue
			}
			common := bits.LeadingZeros8(uint8(network.key>>56) ^ uint8(first))
			all[first].least = max(all[first].least, uint8(common)+1)
			if common >= min(8, network.bits) {
				all[first].network = uint8(i) + 1
			}
		}
	}
	return all
}

// keyOf gives the first 64 bits of an address, or all 32 of an IPv4 one with
// zeros behind them.
func keyOf(address netip.Addr) (key uint64, is4 bool) {
	if address.Is4() {
		bytes := address.As4()
		return uint64(binary.BigEndian.Uint32(bytes[:])) << 32, true
	}
	bytes := address.As16()
	return binary.BigEndian.Uint64(bytes[:]), false
}
