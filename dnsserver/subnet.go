package dnsserver

import (
	"encoding/binary"
	"net/netip"
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

// parseSubnet reads an option's value. It is malformed (RFC 7871 sections 6 and
// 7.1.2) if the family is unknown, the source prefix is longer than an address,
// the scope is not 0, or the address is not exactly as long as the prefix
// needs, with zeros in the bits behind it.
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
