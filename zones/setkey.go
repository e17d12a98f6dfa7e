package zones

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"

	"github.com/miekg/dns"
)

// setKey names a set of addresses: the sum of what each is hashed to, so that it
// does not matter in which order they are drawn. With 128 bits two sets of even a
// billion have the same key with a probability of 2^-69.
type setKey struct{ low, high uint64 }

func (k setKey) plus(other setKey) setKey {
	// The halves are independent: no carry is needed.
	return setKey{k.low + other.low, k.high + other.high}
}

// addressKey hashes one address.
func addressKey(address netip.Addr) setKey {
	hash := sha256.Sum256(address.AsSlice())
	return setKey{binary.LittleEndian.Uint64(hash[:]), binary.LittleEndian.Uint64(hash[8:])}
}

// keyOfRecords gives the key of address records.
func keyOfRecords(records []dns.RR) (key setKey) {
	for _, rr := range records {
		key = key.plus(addressKey(addressOf(rr)))
	}
	return key
}
