package dnsserver

import (
	"encoding/binary"
	"net/netip"

	"github.com/gaissmai/bart"
)

// Families of a client subnet (IANA Address Family Numbers).
const (
	familyNone = 0
	familyIPv4 = 1
	familyIPv6 = 2
)

// subnet is a request's client subnet option (RFC 7871). The zero value is
// that of a request without one.
type subnet struct {
	wire []byte // the option's value as asked
	// client is the first address of the subnet, IPv4-mapped ones as IPv4; the
	// zero Addr where the client wants to stay unlocated.
	client netip.Addr
	mapped bool // client was an IPv4-mapped IPv6 address
}

func (s *subnet) present() bool { return s.wire != nil }

// networks is a set of networks of addresses. It is immutable.
type networks struct{ table bart.Lite }

// newNetworks makes the set of these networks, which have no host bits.
func newNetworks(all []netip.Prefix) *networks {
	n := &networks{}
	for _, network := range all {
		n.table.Insert(network)
	}
	return n
}

// contains reports whether an address is in one of the networks; an IPv4-mapped
// one counts as IPv4.
func (n *networks) contains(address netip.Addr) bool {
	return n.table.Contains(address.Unmap().WithZone(""))
}

// believesSubnetOf reports whether the client subnet of a resolver counts. That
// of others is as if it were not there: it does not come back, the resolver itself
// is located, and it is not even looked at whether the option is well formed.
// That is what RFC 7871 section 7.2.1 asks of a server that has not enabled the
// option (RFC 6891 section 6.1.2), and to this resolver we are such a server:
// to give it FORMERR for an option that we do not know would be wrong.
// PowerDNS and Knot do not read the option either while it is off.
func (s *settings) believesSubnetOf(resolver netip.Addr) bool {
	return s.subnetFrom == nil || s.subnetFrom.contains(resolver)
}

// readSubnet judges the request's client subnet. Where there are several, none of
// them is more right than the others, and only one could be answered for.
func (r *responder) readSubnet(q *request, resolver netip.Addr) {
	e := &q.edns
	if e.subnets == 0 || q.fault != faultNone {
		return
	}
	if !r.settings.believesSubnetOf(resolver) {
		e.seen |= featureSubnetIgnored
		return
	}
	s, ok := parseSubnet(e.subnetValue)
	switch {
	case !ok:
		q.blame(faultSubnet)
	case e.subnets > 1:
		q.blame(faultSubnetTwice)
	default:
		e.subnet = s
	}
}

// parseSubnet reads an option's value. It is malformed (RFC 7871 sections 6 and
// 7.2.1) if the family is unknown, the source prefix is longer than an address,
// the scope is not 0, or the address is not exactly as long as the prefix
// needs, with zeros in the bits behind it.
//
// A family that is unknown gets FORMERR as section 7.2.1 says, and not REFUSED,
// which section 7.1.1 has for resolvers that will not pass an address on: BIND and
// Knot do so too, while PowerDNS passes the option over. Family 0 without an
// address is what drafts of the RFC had those send who want to stay unlocated: as
// BIND does, we take it for that, for nothing in it is of an unknown form, and
// section 7.5 has it that nobody is refused for giving no address bits.
func parseSubnet(wire []byte) (subnet, bool) {
	if len(wire) < 4 {
		return subnet{}, false
	}
	family, source, scope := binary.BigEndian.Uint16(wire), int(wire[2]), wire[3]
	address := wire[4:]
	if scope != 0 || len(address) != (source+7)/8 || hasBitsAfter(address, source) {
		return subnet{}, false
	}
	s := subnet{wire: wire}
	var bytes [16]byte
	switch {
	case family == familyNone && source == 0:
	case family == familyIPv4 && source <= 32:
		copy(bytes[:4], address)
		s.client = netip.AddrFrom4([4]byte(bytes[:4]))
	case family == familyIPv6 && source <= 128:
		copy(bytes[:], address)
		s.client = netip.AddrFrom16(bytes)
		if s.client.Is4In6() { // so the prefix has at least 96 bits
			s.client, s.mapped = s.client.Unmap(), true
		}
	default:
		return subnet{}, false
	}
	if source == 0 {
		s.client = netip.Addr{}
	}
	return s, true
}

// hasBitsAfter reports whether a bit behind the prefix is set. The address is
// just long enough for the prefix.
func hasBitsAfter(address []byte, prefix int) bool {
	rest := prefix % 8
	return rest != 0 && address[len(address)-1]<<rest != 0
}

// scope is the scope prefix length for an answer that was given to client;
// what it depends on is as in zones.Answer. An answer that is for everybody has
// scope 0 in whatever form the address came.
func (s *subnet) scope(placeDependent bool, scopeBits int) uint8 {
	if !placeDependent || scopeBits <= 0 || !s.client.IsValid() {
		return 0
	}
	bits := min(scopeBits, s.client.BitLen())
	if s.mapped {
		bits += 96
	}
	return uint8(bits)
}
