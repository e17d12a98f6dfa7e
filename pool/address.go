package pool

import (
	"fmt"
	"net/netip"
)

const expectedAddress = "an IPv4 or IPv6 address"

// readAddresses reads a member's addresses. first holds the places of the
// pool's addresses read so far.
func readAddresses(v value, first map[netip.Addr]Position) []netip.Addr {
	elements, ok := v.elements("an array of addresses")
	if !ok {
		return nil
	}
	if len(elements) == 0 {
		v.report(Error, "no address", "at least one")
	}
	addresses := make([]netip.Addr, 0, len(elements))
	for _, element := range elements {
		address, ok := readAddress(element)
		if !ok {
			continue
		}
		if other, twice := first[address]; twice {
			element.refuse(fmt.Sprintf("an address that stands once in the pool: line %d has it too", other.Line))
			continue
		}
		first[address] = element.position()
		addresses = append(addresses, address)
	}
	return addresses
}

func readAddress(v value) (netip.Addr, bool) {
	text, ok := v.string(expectedAddress)
	if !ok {
		return netip.Addr{}, false
	}
	address, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		v.refuse(expectedAddress)
		return netip.Addr{}, false
	case address.Is4In6():
		v.refuse(fmt.Sprintf("an IPv4 address in its own form: %q", address.Unmap()))
		return netip.Addr{}, false
	case address.Zone() != "":
		v.refuse(expectedAddress + " without a zone")
		return netip.Addr{}, false
	}
	kind, never := special(address)
	switch {
	case never:
		v.report(Error, fmt.Sprintf("%s (%s)", v.describe(), kind), "the address of one machine")
		return netip.Addr{}, false
	case kind != "":
		v.report(Warning, fmt.Sprintf("%s (%s)", v.describe(), kind), "a public address, which every client can reach")
	}
	return address, true
}

// specialNetwork is a network, the addresses of which are not public.
type specialNetwork struct {
	prefix netip.Prefix
	kind   string
	never  bool // no machine has such an address
}

// specialNetworks are those of the IANA special-purpose address registries
// (RFC 6890) and the multicast networks; of those that overlap, the narrower
// stands first.
var specialNetworks = []specialNetwork{
	{netip.MustParsePrefix("0.0.0.0/8"), `an address of "this network"`, true},
	{netip.MustParsePrefix("10.0.0.0/8"), "a private address", false},
	{netip.MustParsePrefix("100.64.0.0/10"), "a shared address of carrier-grade NAT", false},
	{netip.MustParsePrefix("127.0.0.0/8"), "a loopback address", false},
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local address", false},
	{netip.MustParsePrefix("172.16.0.0/12"), "a private address", false},
	{netip.MustParsePrefix("192.0.0.0/24"), "an address set aside for protocols", false},
	{netip.MustParsePrefix("192.0.2.0/24"), "a documentation address", false},
	{netip.MustParsePrefix("192.88.99.0/24"), "an address of the former 6to4 relays", false},
	{netip.MustParsePrefix("192.168.0.0/16"), "a private address", false},
	{netip.MustParsePrefix("198.18.0.0/15"), "an address for benchmarks", false},
	{netip.MustParsePrefix("198.51.100.0/24"), "a documentation address", false},
	{netip.MustParsePrefix("203.0.113.0/24"), "a documentation address", false},
	{netip.MustParsePrefix("224.0.0.0/4"), "a multicast address", true},
	{netip.MustParsePrefix("255.255.255.255/32"), "the broadcast address", true},
	{netip.MustParsePrefix("240.0.0.0/4"), "a reserved address", false},

	{netip.MustParsePrefix("::/128"), "the unspecified address", true},
	{netip.MustParsePrefix("::1/128"), "a loopback address", false},
	{netip.MustParsePrefix("64:ff9b::/96"), "an address for translation to IPv4", false},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "an address for translation to IPv4", false},
	{netip.MustParsePrefix("100::/64"), "an address of the discard-only network", false},
	{netip.MustParsePrefix("2001::/32"), "a Teredo address", false},
	{netip.MustParsePrefix("2001:2::/48"), "an address for benchmarks", false},
	{netip.MustParsePrefix("2001:10::/28"), "an ORCHID, which cannot be routed", false},
	{netip.MustParsePrefix("2001:20::/28"), "an ORCHID, which cannot be routed", false},
	{netip.MustParsePrefix("2001:db8::/32"), "a documentation address", false},
	{netip.MustParsePrefix("2002::/16"), "a 6to4 address", false},
	{netip.MustParsePrefix("3fff::/20"), "a documentation address", false},
	{netip.MustParsePrefix("fc00::/7"), "a private address", false},
	{netip.MustParsePrefix("fe80::/10"), "a link-local address", false},
	{netip.MustParsePrefix("fec0::/10"), "a site-local address", false},
	{netip.MustParsePrefix("ff00::/8"), "a multicast address", true},
}

// globalUnicast is all that IANA gives out of IPv6 (RFC 4291, section 2.4).
var globalUnicast = netip.MustParsePrefix("2000::/3")

// special tells what kind of not public address this is; empty for a public
// one. never tells that no machine has such an address.
func special(address netip.Addr) (kind string, never bool) {
	for _, network := range specialNetworks {
		if network.prefix.Contains(address) {
			return network.kind, network.never
		}
	}
	if address.Is6() && !globalUnicast.Contains(address) {
		return "an address outside the networks given out", false
	}
	return "", false
}
