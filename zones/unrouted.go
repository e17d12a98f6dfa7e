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
// lies in, or else 0 and the least length of a prefix around the address that no
// network of the set lies in.
func (s unroutedSet) find(address netip.Addr) (within, least int) {
	key, is4 := keyOf(address)
	for i, network := range unrouted {
		if s&(1<<i) == 0 || network.Addr().Is4() != is4 {
			continue
		}
		start, _ := keyOf(network.Addr())
		common := bits.LeadingZeros64(key ^ start)
		if common >= network.Bits() {
			return network.Bits(), 0
		}
		least = max(least, common+1)
	}
	return 0, least
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
