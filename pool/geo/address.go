package geo

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
)

// wide is an IPv6 address as a number.
type wide struct{ high, low uint64 }

var maxWide = wide{math.MaxUint64, math.MaxUint64}

// mapped is ::ffff:0:0, the first of the IPv4-mapped addresses. They are
// looked up as IPv4, so that no IPv6 result may cover them.
var mapped = wide{0, 0xffff_0000_0000}

func wideFrom(bytes [16]byte) wide {
	return wide{binary.BigEndian.Uint64(bytes[:8]), binary.BigEndian.Uint64(bytes[8:])}
}

func (w wide) address() netip.Addr {
	var bytes [16]byte
	binary.BigEndian.PutUint64(bytes[:8], w.high)
	binary.BigEndian.PutUint64(bytes[8:], w.low)
	return netip.AddrFrom16(bytes)
}

func (w wide) less(other wide) bool {
	return w.high < other.high || w.high == other.high && w.low < other.low
}

func (w wide) compare(other wide) int {
	return cmp.Or(cmp.Compare(w.high, other.high), cmp.Compare(w.low, other.low))
}

// next is the address after w; that after the last one is ::.
func (w wide) next() wide {
	low, carry := bits.Add64(w.low, 1, 0)
	return wide{w.high + carry, low}
}

func (w wide) previous() wide {
	low, borrow := bits.Sub64(w.low, 1, 0)
	return wide{w.high - borrow, low}
}

func (w wide) minus(other wide) wide {
	low, borrow := bits.Sub64(w.low, other.low, 0)
	return wide{w.high - other.high - borrow, low}
}

func (w wide) plus(other wide) (sum wide, overflow bool) {
	low, carry := bits.Add64(w.low, other.low, 0)
	high, carry := bits.Add64(w.high, other.high, carry)
	return wide{high, low}, carry != 0
}

// common is the number of leading bits that both addresses share, 0 to 128.
func (w wide) common(other wide) int {
	if w.high != other.high {
		return bits.LeadingZeros64(w.high ^ other.high)
	}
	return 64 + bits.LeadingZeros64(w.low^other.low)
}

func number4(address netip.Addr) uint32 {
	bytes := address.As4()
	return binary.BigEndian.Uint32(bytes[:])
}

func address4(number uint32) netip.Addr {
	var bytes [4]byte
	binary.BigEndian.PutUint32(bytes[:], number)
	return netip.AddrFrom4(bytes)
}

// lastAddress is the last address of a prefix.
func lastAddress(prefix netip.Prefix) netip.Addr {
	address, length := prefix.Masked().Addr(), prefix.Bits()
	if address.Is4() {
		return address4(number4(address) | uint32(math.MaxUint32>>length))
	}
	last := wideFrom(address.As16())
	if length <= 64 {
		last.high |= math.MaxUint64 >> length
		last.low = math.MaxUint64
	} else {
		last.low |= math.MaxUint64 >> (length - 64)
	}
	return last.address()
}

// key is an address prepared for the look-ups in all tables.
type key struct {
	is4    bool
	narrow uint32 // IPv4
	wide   wide   // IPv6
}

// keyOf drops the zone and takes an IPv4-mapped address as IPv4.
func keyOf(address netip.Addr) key {
	address = address.Unmap()
	if address.Is4() {
		return key{is4: true, narrow: number4(address)}
	}
	return key{wide: wideFrom(address.As16())}
}
