package zones

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"

	"github.com/miekg/dns"
)

// setKey names a set of addresses: the sum of what each is hashed to, so that it
// does not matter in which order they are drawn. With 128 bits two sets of even a
// billion have the same key with a probability of 2^-69. What they are hashed with is
// secret: who knew it could choose addresses that add up to another set's key.
type setKey struct{ low, high uint64 }

func (k setKey) plus(other setKey) setKey {
	// The halves are independent: no carry is needed.
	return setKey{k.low + other.low, k.high + other.high}
}

// setSecret is what the addresses of a zone's sets are hashed with.
type setSecret [sha256.Size]byte

// address hashes one address.
func (s *setSecret) address(address netip.Addr) setKey {
	var room [sha256.Size + 16]byte
	copy(room[:], s[:])
	size := copy(room[sha256.Size:], address.AsSlice())
	hash := sha256.Sum256(room[:sha256.Size+size])
	return setKey{binary.LittleEndian.Uint64(hash[:]), binary.LittleEndian.Uint64(hash[8:])}
}

// records gives the key of address records.
func (s *setSecret) records(records []dns.RR) (key setKey) {
	for _, rr := range records {
		key = key.plus(s.address(addressOf(rr)))
	}
	return key
}
