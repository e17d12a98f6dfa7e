package health

import (
	"net/netip"
	"slices"
)

// closed are the networks that are unicast and not public: those of this
// machine and its neighbours, those that are not given to anybody, and the
// forms of IPv6 that have an IPv4 address within, which may be one of them.
var closed = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),      // this network, RFC 791
	netip.MustParsePrefix("10.0.0.0/8"),     // private, RFC 1918
	netip.MustParsePrefix("100.64.0.0/10"),  // behind a carrier's NAT, RFC 6598
	netip.MustParsePrefix("127.0.0.0/8"),    // loopback, RFC 1122
	netip.MustParsePrefix("169.254.0.0/16"), // link-local, RFC 3927
	netip.MustParsePrefix("172.16.0.0/12"),  // private, RFC 1918
	netip.MustParsePrefix("192.0.0.0/24"),   // of protocols, RFC 6890
	netip.MustParsePrefix("192.168.0.0/16"), // private, RFC 1918
	netip.MustParsePrefix("198.18.0.0/15"),  // of laboratories, RFC 2544
	netip.MustParsePrefix("224.0.0.0/3"),    // multicast, reserved, broadcast, RFC 1112
	netip.MustParsePrefix("::/96"),          // loopback, and IPv4 in the form of RFC 4291, section 2.5.5.1
	netip.MustParsePrefix("64:ff9b::/96"),   // IPv4 behind a translator, RFC 6052
	netip.MustParsePrefix("64:ff9b:1::/48"), // the same, a network's own, RFC 8215
	netip.MustParsePrefix("2002::/16"),      // 6to4: IPv4 in the bits that follow, RFC 3056
	netip.MustParsePrefix("fc00::/7"),       // private, RFC 4193
	netip.MustParsePrefix("fe80::/10"),      // link-local, RFC 4291
	netip.MustParsePrefix("fec0::/10"),      // of a site, RFC 3879
	netip.MustParsePrefix("ff00::/8"),       // multicast, RFC 4291
}

// inside reports whether an address is anything but a public unicast one.
func inside(address netip.Addr) bool {
	address = address.Unmap().WithZone("") // no prefix contains an address with a zone
	return !address.IsGlobalUnicast() ||
		slices.ContainsFunc(closed, func(p netip.Prefix) bool { return p.Contains(address) })
}

// askable reports whether an address that a name led to may be asked. A name
// may lead to private addresses and to loopback, as those of an intranet's
// mirrors do. Link-local, multicast, broadcast and unspecified addresses are no
// mirror's: what a cloud keeps for its machines alone answers there (169.254.169.254).
func askable(address netip.Addr) bool {
	return address.IsGlobalUnicast() || address.IsLoopback()
}

// bounded refuses to be led from a public server to addresses inside, at any
// hop: where the first server is public, no other one chooses what this machine
// asks of its neighbours. What begins inside may go on inside.
func (p *party) bounded(addresses []netip.Addr) error {
	if !p.first.IsValid() || inside(p.first) {
		return nil
	}
	for _, address := range addresses {
		if inside(address) {
			return fail(Status, "redirect from a public address to %s, which is not", address)
		}
	}
	return nil
}
