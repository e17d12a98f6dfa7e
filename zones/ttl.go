package zones

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/pool/health"
	"mirrorpool/pool/selection"
)

// leastTTL is what a TTL falls to while a change of health is near, in seconds.
const leastTTL = 30

// ttlGrid is what the times are rounded up to at which a table is made for TTLs alone,
// so that one serves many pools.
const ttlGrid = 5 * time.Second

// soonest is the first moment at which one of some members may go up or down.
type soonest struct {
	at     time.Time // zero: none is about to
	member int
}

func (s *soonest) note(state health.State, member int) {
	if !state.Change.IsZero() && (s.at.IsZero() || state.Change.Before(s.at)) {
		*s = soonest{state.Change, member}
	}
}

// soonestOf gives the change that is to be waited for in a family: that of a reserve
// counts where one is given to anybody now, or would be if it came up.
func (s *standing) soonestOf(family int, f *family) soonest {
	first, reserve := s.soonest[family][0], s.soonest[family][1]
	withReserve := s.ruled || f.mode != selection.Normal && f.mode != selection.Kept
	if withReserve && !reserve.at.IsZero() && (first.at.IsZero() || reserve.at.Before(first.at)) {
		return reserve
	}
	return first
}

// ttlUntil is the TTL of records that may change at a time: until then, but no less
// than leastTTL, and no more than what the repository says.
func ttlUntil(change, now time.Time, most uint32) uint32 {
	if change.IsZero() {
		return most
	}
	left := max(change.Sub(now)/time.Second, leastTTL)
	if left >= time.Duration(most) {
		return most
	}
	return uint32(left)
}

// nextTTL is when the TTL until a change is to be told anew: once it is less than what
// the repository says, and then each time that a quarter of it is gone. Zero: it stays.
func nextTTL(change, now time.Time, most uint32) time.Time {
	if change.IsZero() || most <= leastTTL {
		return time.Time{}
	}
	left := change.Sub(now)
	switch {
	case left <= leastTTL*time.Second:
		return time.Time{}
	case left > time.Duration(most)*time.Second:
		left -= time.Duration(most) * time.Second
	default:
		left = max(left/4, ttlGrid)
	}
	return now.UTC().Add(left + ttlGrid - 1).Truncate(ttlGrid)
}

// follow gives a pool the families with the TTLs that follow health. Those of the table
// before are taken over while they are the same.
func (s *servedPool) follow(before *servedPool, now time.Time) {
	for i, f := range []*family{s.ipv4, s.ipv6} {
		s.families[i] = f
		if !f.served {
			continue
		}
		change := s.standing.soonestOf(i, f).at
		ttl := ttlUntil(change, now, s.definition.TTL)
		s.nextTTL = earliest(s.nextTTL, nextTTL(change, now, s.definition.TTL))
		switch {
		case ttl == f.ttl:
		case before != nil && before.compiledPool == s.compiledPool && before.families[i].ttl == ttl:
			s.families[i] = before.families[i]
		default:
			s.families[i] = f.withTTL(ttl)
		}
	}
}

// withTTL is the family with another TTL of what it gives. All but the records ready to
// send is shared.
func (f *family) withTTL(ttl uint32) *family {
	other := *f
	other.ttl = ttl
	other.wire.records = slices.Clone(f.wire.records)
	for records := other.wire.records; len(records) > 0; records = records[f.wire.size:] {
		binary.BigEndian.PutUint32(records[ttlPlace:], ttl)
	}
	return &other
}

// ttlPlace is where the TTL of a record stands whose owner is a pointer: behind that,
// its type and its class.
const ttlPlace = 2 + 2 + 2

// stamp writes a TTL into records whose owners are pointers. The original TTL of
// signatures stays, by which they are checked (RFC 4034, section 3.1.4).
func stamp(records []byte, ttl uint32) {
	for len(records) > 0 {
		binary.BigEndian.PutUint32(records[ttlPlace:], ttl)
		length := int(binary.BigEndian.Uint16(records[2+recordFixed-2:]))
		records = records[2+recordFixed+length:]
	}
}

// A pool that gives nothing of a family for now may give some again as soon as what it
// gives otherwise may change: so nobody is to keep that longer than its addresses, and
// neither the NSEC record, which caches may answer others by (RFC 8198). How long is the
// lesser of the SOA record's TTL and its MINIMUM (RFC 2308, section 5).

// withLowerTTL gives records of an authority section with a TTL of at most so much.
func withLowerTTL(records []dns.RR, most uint32) []dns.RR {
	out := slices.Clone(records)
	for i, rr := range out {
		if rr.Header().Ttl > most {
			out[i] = dns.Copy(rr)
			out[i].Header().Ttl = most
		}
	}
	return out
}

// lowerTTL is withLowerTTL for records in wire format.
func lowerTTL(records []byte, most uint32) {
	for len(records) > 0 {
		owner := 0
		for ; records[owner] != 0 && records[owner] < pointerFlags>>8; owner += 1 + int(records[owner]) {
		}
		if owner++; records[owner-1] != 0 {
			owner++ // a pointer
		}
		fixed := records[owner:]
		if binary.BigEndian.Uint32(fixed[4:]) > most {
			binary.BigEndian.PutUint32(fixed[4:], most)
		}
		records = fixed[recordFixed+int(binary.BigEndian.Uint16(fixed[recordFixed-2:])):]
	}
}

// lent gives records of the family with the owner spelt as asked, and with its TTL.
func (f *family) lent(records []dns.RR, name string) []dns.RR {
	if len(records) == 0 || records[0].Header().Ttl == f.ttl {
		return owned(records, name)
	}
	return withTTL(records, name, f.ttl)
}

// withTTL copies records, with an owner and a TTL.
func withTTL(records []dns.RR, name string, ttl uint32) []dns.RR {
	out := make([]dns.RR, len(records))
	for i, rr := range records {
		out[i] = dns.Copy(rr)
		out[i].Header().Name, out[i].Header().Ttl = name, ttl
	}
	return out
}

// ttlNote tells people why a TTL is not that of the repository; empty: it is.
func (s *servedPool) ttlNote(family int) string {
	ttl := s.families[family].ttl
	if ttl == s.definition.TTL {
		return ""
	}
	change := s.standing.soonestOf(family, s.families[family])
	return fmt.Sprintf("TTL %d and not %d: %s may go up or down at %s",
		ttl, s.definition.TTL, s.definition.Members[change.member].ID, change.at.UTC().Format("2006-01-02 15:04:05 UTC"))
}
