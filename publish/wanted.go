package publish

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/zones"
)

// kinds are the types that are published; arrays by family have their order.
var kinds = [...]uint16{dns.TypeA, dns.TypeAAAA}

// sets are addresses of both families, each sorted.
type sets [len(kinds)][]netip.Addr

func (s sets) equal(other sets) bool {
	return slices.Equal(s[0], other[0]) && slices.Equal(s[1], other[1])
}

// wanted is what should be at the primary.
type wanted struct {
	sets
	ttl uint32
	// mayBeEmpty: where no address is wanted of a family, none is to be there: by the
	// repository's wish, or since its members are all disabled on this node. It is not
	// where they are merely down and are to be given nevertheless, nor where the pool
	// has no members at all.
	mayBeEmpty [len(kinds)]bool
	// known are the addresses that are the pool's, whether they are wanted or not.
	known map[netip.Addr]bool
	// former are addresses that were the pool's a while ago: a node that does not have
	// the newest commit yet still gives them.
	former map[netip.Addr]bool
}

// same reports whether two ask for the same records.
func (w *wanted) same(other *wanted) bool {
	if w == nil || other == nil {
		return w == other
	}
	return w.equal(other.sets) && w.ttl == other.ttl && w.mayBeEmpty == other.mayBeEmpty
}

// isKnown reports whether all addresses are the pool's.
func (w *wanted) isKnown(addresses []netip.Addr) bool {
	for _, address := range addresses {
		if !w.known[address] {
			return false
		}
	}
	return true
}

// isLate reports whether a node whose commit is not the newest may give these: some
// are not the pool's any more.
func (w *wanted) isLate(addresses []netip.Addr) bool {
	late := false
	for _, address := range addresses {
		if !w.known[address] && !w.former[address] {
			return false
		}
		late = late || !w.known[address]
	}
	return late
}

// isEarly reports whether a node that has a newer commit may give these in place of
// what was put there: some are the pool's, and others have come for ones that are gone.
// Records that are there besides what was put there are no such thing.
func (w *wanted) isEarly(addresses, put []netip.Addr) bool {
	is := func(address netip.Addr) bool { return w.known[address] }
	isGone := func(address netip.Addr) bool { return !slices.Contains(addresses, address) }
	return slices.ContainsFunc(addresses, is) && !w.isKnown(addresses) && slices.ContainsFunc(put, isGone)
}

// want says what an entry's records should be at a time.
func (e Entry) want(given zones.Given, now time.Time) *wanted {
	w := &wanted{ttl: e.TTL, known: map[netip.Addr]bool{}}
	if w.ttl == 0 {
		w.ttl = given.TTL
	}
	for _, address := range given.Members {
		w.known[address] = true
	}
	byWish, anyServed := given.WhenAllDown == pool.AnswerEmpty, given.IPv4.Served || given.IPv6.Served
	for family, of := range [...]zones.GivenFamily{given.IPv4, given.IPv6} {
		for _, one := range of.Addresses {
			w.known[one.Address] = true
		}
		w.sets[family] = e.limited(of.Addresses, now)
		w.mayBeEmpty[family] = anyServed && (byWish || !of.Served || of.Disabled)
	}
	return w
}

// limited gives the addresses, or as many of them as the limit allows, drawn by
// weight without replacement. The draw depends on the pool's name, on the time in
// steps of the rotation, and on each address alone: all nodes draw the same, and
// who comes or goes changes places with one other at most.
func (e Entry) limited(given []zones.GivenAddress, now time.Time) []netip.Addr {
	list := slices.Clone(given)
	if e.Limit > 0 && len(list) > e.Limit {
		turn := uint64(now.UnixNano() / int64(e.Rotation))
		// The first of exponential clocks whose rates are the weights is each one by its
		// weight; and so is the next one of those left.
		slices.SortFunc(list, func(a, b zones.GivenAddress) int {
			one, two := e.clock(a, turn), e.clock(b, turn)
			switch {
			case one < two:
				return -1
			case one > two:
				return 1
			}
			return a.Address.Compare(b.Address)
		})
		list = list[:e.Limit]
	}
	addresses := make([]netip.Addr, len(list))
	for i, one := range list {
		addresses[i] = one.Address
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	return addresses
}

// clock is when an address's turn comes, by an exponential distribution.
func (e Entry) clock(one zones.GivenAddress, turn uint64) float64 {
	data := binary.BigEndian.AppendUint64(nil, turn)
	data = append(data, one.Address.AsSlice()...)
	digest := sha256.Sum256(append(data, canonical(e.Pool)...))
	uniform := (float64(binary.BigEndian.Uint64(digest[:])>>11) + 0.5) / (1 << 53)
	return -math.Log(uniform) / one.Weight
}

// nextTurn is how long the draw stays as it is.
func (e Entry) nextTurn(now time.Time) time.Duration {
	if e.Limit == 0 {
		return MaxInterval
	}
	return e.Rotation - time.Duration(now.UnixNano()%int64(e.Rotation))
}
