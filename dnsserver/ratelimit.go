package dnsserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math/bits"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/gaissmai/bart"
)

// RateLimits bound the answers over UDP that one client network (/24, /56)
// gets, so that whoever forges its addresses cannot flood it through this
// server (ISC-TN-2012-1). Each kind of answer is counted by itself: answers
// with or without records, referrals, NXDOMAIN, and errors. Answers over TCP,
// and to those who show a good cookie, are not limited: their addresses are
// not forged.
type RateLimits struct {
	// PerSecond is how many answers of a kind a network gets each second, at
	// most 10⁹; 0: no limit. A network that was quiet gets as many at once, and
	// from then on one each time that a PerSecond-th of a second has passed.
	PerSecond int
	// Slip says what becomes of the answers over the limit. 0: silence; 1: each
	// is sent truncated and without records, and a client that is there in fact asks again
	// over TCP; n: one in n, by chance, is sent so, and of the others nothing.
	Slip int
	// Exempt are the networks that are not limited.
	Exempt []netip.Prefix
}

// maxPerSecond is one answer each nanosecond.
const maxPerSecond = int(time.Second)

// DefaultRateLimits are 200 answers each second, one in two of those over it
// sent truncated, and this machine itself exempt.
func DefaultRateLimits() RateLimits {
	return RateLimits{
		PerSecond: 200,
		Slip:      2,
		Exempt:    []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	}
}

func (l RateLimits) validate() error {
	var errs []error
	if l.PerSecond < 0 || l.PerSecond > maxPerSecond {
		errs = append(errs, fmt.Errorf("dns.rrl.responses_per_second: found %d, expected 0 (no limit) to %d", l.PerSecond, maxPerSecond))
	}
	if l.Slip < 0 {
		errs = append(errs, fmt.Errorf("dns.rrl.slip: found %d, expected 0 (none), 1 (each) or the number of which one is sent", l.Slip))
	}
	errs = append(errs, checkNetworks("dns.rrl.exempt", l.Exempt))
	return errors.Join(errs...)
}

// responseKind is what is counted by itself.
type responseKind uint8

const (
	kindAnswer   responseKind = iota // NOERROR from our own zones, with or without records
	kindReferral                     // to the servers of a zone below
	kindNXDOMAIN
	kindError // any other response code
	responseKinds
)

// String is the value of a label.
func (k responseKind) String() string {
	return [responseKinds]string{"answer", "referral", "nxdomain", "error"}[k]
}

// limiter counts answers for each network and kind. All workers of a server
// share one. Its memory is the same whatever comes, and it holds no address: of
// a network there are 35 bits of a keyed hash. nil does not limit.
type limiter struct {
	interval int64 // ns that one answer stands for
	burst    int64 // ns by which a network's answers may be ahead of the clock
	slip     uint64
	exempt   *bart.Lite
	pressure *pressureTable
}

// newLimiter makes one of valid limits; nil where they are off. What the one
// before it has counted goes on to count, so that a change of limits forgives nothing.
func newLimiter(limits RateLimits, before *limiter) *limiter {
	if limits.PerSecond == 0 {
		return nil
	}
	interval := int64(time.Second) / int64(limits.PerSecond) // a thousandth off at most, up to 10⁶
	l := &limiter{
		interval: interval, burst: interval * int64(limits.PerSecond),
		slip: uint64(limits.Slip), exempt: new(bart.Lite),
	}
	for _, network := range limits.Exempt {
		l.exempt.Insert(network)
	}
	if before != nil {
		l.pressure = before.pressure
	} else {
		l.pressure = &pressureTable{seed: maphash.MakeSeed(), start: time.Now()}
	}
	return l
}

// at is a time as passes takes it.
func (l *limiter) at(now time.Time) int64 {
	if l == nil {
		return 0
	}
	return int64(now.Sub(l.pressure.start))
}

// passes counts an answer to a client, and reports whether it may be sent. Only
// those that may are counted, so that a network in a flood still gets
// what it would get at the limit.
func (l *limiter) passes(client netip.Addr, kind responseKind, now int64) bool {
	if l == nil || l.pressure.add(networkKey(client, kind), now, l.interval, l.burst) {
		return true
	}
	// Exempt networks are counted as all others are, and looked for only here,
	// where they are rare.
	return l.exempt.Contains(client.Unmap())
}

// slips reports whether an answer over the limit is sent truncated.
func (l *limiter) slips(random uint64) bool {
	if l == nil || l.slip == 0 {
		return false
	}
	high, _ := bits.Mul64(random, l.slip) // 0 to slip-1, each as likely
	return high == 0
}

// networkKey is a client's network and a kind of answer in one number.
func networkKey(client netip.Addr, kind responseKind) uint64 {
	const isIPv4 = 1 << 7
	if client.Is4() || client.Is4In6() {
		a := client.As4()
		return uint64(binary.BigEndian.Uint32(a[:])&^0xff) | isIPv4 | uint64(kind)
	}
	a := client.As16()
	return binary.BigEndian.Uint64(a[:])&^0xff | uint64(kind)
}

// pressureTable has, for as many keys as it has room for, the time at which all
// that was given to the key will have been paid for (the theoretical arrival
// time of GCRA). How far it is ahead of the clock is the key's pressure; one
// that is not ahead need not be kept. Keys are told apart by a hash that nobody
// outside can foretell, so that nobody can choose with whom to share a line.
//
// A new key takes the place of the one in its line that is under the least
// pressure, and begins without any. So a million networks do not push out the one that
// is flooded, which is always ahead of them, nor are they limited for what others get:
// where there is no room, more is let through, not less.
type pressureTable struct {
	seed  maphash.Seed
	start time.Time
	lines [1 << lineBits]pressureLine
}

// pressureLine is one line of a processor's cache. Each entry has a tag above
// and a time in ns below; 0: it is free. The time comes around after 4.9 hours,
// and what is further ahead than any can be has passed long ago.
type pressureLine [8]atomic.Uint64

const (
	lineBits = 15 // 2 MiB
	tagBits  = 20
	timeBits = 64 - tagBits
	timeMask = 1<<timeBits - 1

	// aheadMost is longer than a burst, which is a second at most, by how much
	// later one worker may read its clock than another that the system has held up.
	aheadMost = int64(time.Second + 300*time.Millisecond)
)

// add adds an interval to a key's pressure, or reports that it would become
// more than a burst.
func (t *pressureTable) add(key uint64, now, interval, burst int64) bool {
	hash := maphash.Comparable(t.seed, key)
	line := &t.lines[hash>>(64-lineBits)]
	tag := hash << timeBits
	for {
		entry, word := line.find(tag)
		var pressure int64
		if entry == nil {
			entry, word = line.least(now)
		} else if pressure = ahead(word, now); pressure+interval > burst {
			return false
		}
		if entry.CompareAndSwap(word, tag|uint64(now+pressure+interval)&timeMask) {
			return true
		}
	}
}

// find gives the entry with a tag and what is in it, or nil.
func (l *pressureLine) find(tag uint64) (*atomic.Uint64, uint64) {
	for i := range l {
		if word := l[i].Load(); (word^tag)>>timeBits == 0 {
			return &l[i], word
		}
	}
	return nil, 0
}

// least gives the entry under the least pressure and what is in it.
func (l *pressureLine) least(now int64) (entry *atomic.Uint64, word uint64) {
	var pressure int64
	for i := range l {
		w := l[i].Load()
		if p := ahead(w, now); entry == nil || p < pressure {
			entry, word, pressure = &l[i], w, p
		}
	}
	return entry, word
}

// ahead is by how many ns an entry's time is ahead of the clock; 0 where it has
// passed.
func ahead(word uint64, now int64) int64 {
	d := int64((word-uint64(now))<<tagBits) >> tagBits
	if word == 0 || d < 0 || d > aheadMost {
		return 0
	}
	return d
}
