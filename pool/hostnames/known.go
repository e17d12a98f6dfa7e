package hostnames

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mirrorpool/pool"
)

// Family is what is known of a name in one address family.
type Family struct {
	// Addresses are the last good answer, sorted; empty: there never was one, or the
	// name has none.
	Addresses []netip.Addr
	// Said is when that was last answered; zero: never.
	Said time.Time
	// Failing is since when there is no good answer; zero: there is.
	Failing time.Time
	// Reason is why, or what of a good answer is left out; empty: nothing.
	Reason string

	emptied int // times in a row that the name was found without any of these
	moved   int // times in a row that the answer was another one
}

// State is what is known of a name. It is never written after it is given to anybody.
type State struct {
	Name       pool.HostName
	IPv4, IPv6 Family
}

// Addresses are those of both families, IPv4 first.
func (s State) Addresses() []netip.Addr {
	return slices.Concat(s.IPv4.Addresses, s.IPv6.Addresses)
}

// Said is when the name was last answered for one of the families; zero: never.
func (s State) Said() time.Time {
	if s.IPv4.Said.After(s.IPv6.Said) {
		return s.IPv4.Said
	}
	return s.IPv6.Said
}

// FailingSince is since when a family has no good answer; zero: both have.
func (s State) FailingSince() time.Time {
	if v4, v6 := s.IPv4.Failing, s.IPv6.Failing; v6.IsZero() || !v4.IsZero() && v4.Before(v6) {
		return v4
	}
	return s.IPv6.Failing
}

// Failing reports whether a family has no good answer now.
func (s State) Failing() bool { return !s.IPv4.Failing.IsZero() || !s.IPv6.Failing.IsZero() }

// Problem says what is wrong, in words that stay the same as long as it does; empty:
// nothing is.
func (s State) Problem() string {
	var parts []string
	for _, one := range []struct {
		name   string
		family Family
	}{{"A", s.IPv4}, {"AAAA", s.IPv6}} {
		if one.family.Reason == "" {
			continue
		}
		part := one.name + ": " + one.family.Reason
		if kept := len(one.family.Addresses); !one.family.Failing.IsZero() && kept > 0 {
			part += fmt.Sprintf("; the last good answer is kept (%s)", listed(one.family.Addresses))
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

// listed names at most a few addresses.
func listed(addresses []netip.Addr) string {
	const most = 3
	var parts []string
	for _, address := range addresses[:min(most, len(addresses))] {
		parts = append(parts, address.String())
	}
	if rest := len(addresses) - most; rest > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", rest))
	}
	return strings.Join(parts, ", ")
}

// emptiedAfter is how often in a row a name has to be found without a family's addresses,
// and with the other's, before these are given up.
const emptiedAfter = 2

// restlessAfter is how many answers in a row have to be other ones for a name to be taken
// for one that is spread over many machines. All that is made for a member's addresses is
// made anew each time.
const restlessAfter = 5

// after is the state that follows when a name was looked up.
func (s State) after(v4, v6 finding, now time.Time) State {
	own4, own6 := s.judge(v4), s.judge(v6)
	next := State{Name: s.Name, IPv4: s.IPv4.after(own4, own6, now), IPv6: s.IPv6.after(own6, own4, now)}
	if own4.err == nil && own6.err == nil && !own4.found() && !own6.found() {
		// The name is gone, or has nothing: that is no good answer for either family.
		reason := "the name has no address"
		if v4.missing || v6.missing {
			reason = "the name is not there (NXDOMAIN)"
		}
		if len(s.IPv4.Addresses) > 0 || len(s.IPv6.Addresses) == 0 {
			next.IPv4.fail(reason, now)
		}
		if len(s.IPv6.Addresses) > 0 {
			next.IPv6.fail(reason, now)
		}
	}
	return next
}

// judged is a finding with what is left out of it.
type judged struct {
	finding
	note string
}

// judge leaves out of an answer what cannot be given.
func (s State) judge(f finding) judged {
	if !f.found() {
		return judged{finding: f}
	}
	given := make([]netip.Addr, 0, len(f.addresses))
	note := ""
	for _, address := range slices.Compact(slices.SortedFunc(slices.Values(f.addresses), netip.Addr.Compare)) {
		if kind := s.Name.Refuses(address); kind != "" {
			note = fmt.Sprintf("%s (%s) is left out", address, kind)
			continue
		}
		given = append(given, address)
	}
	if len(given) == 0 {
		f.err, f.addresses = fmt.Errorf("%s, and there is no other%s", note, wayIn(s.Name, f.addresses)), nil
		return judged{finding: f}
	}
	if len(given) > MaxAddresses {
		note = fmt.Sprintf("of %d addresses the first %d are used", len(given), MaxAddresses)
		given = given[:MaxAddresses]
	}
	f.addresses = given
	return judged{f, note}
}

// wayIn tells what a pool has to have so that such addresses are given; empty: nothing helps.
func wayIn(name pool.HostName, addresses []netip.Addr) string {
	name.Inside = true
	if slices.ContainsFunc(addresses, func(address netip.Addr) bool { return name.Refuses(address) == "" }) {
		return ": a name may lead to such where each pool that has it has another member with such an address of its own"
	}
	return ""
}

// after is what is known of a family when it, and the other one, have been looked up.
func (k Family) after(own, other judged, now time.Time) Family {
	switch {
	case own.found():
		next := Family{Addresses: own.addresses, Said: now, Reason: own.note}
		if len(k.Addresses) > 0 && !slices.Equal(k.Addresses, own.addresses) {
			next.moved = k.moved + 1
		}
		if next.moved >= restlessAfter && next.Reason == "" {
			next.Reason = "each answer has other addresses: a name that is spread over many machines is no member"
		}
		return next
	case own.err != nil:
		k.emptied = 0
		k.fail(own.err.Error(), now)
		return k
	case !other.found():
		// What it means depends on the other family. State.after judges a name that is gone.
		k.emptied = 0
		if len(k.Addresses) > 0 {
			k.fail("the name has no such address now, and nothing is known of the other family", now)
		} else {
			k.Failing, k.Reason = time.Time{}, ""
		}
		return k
	}
	// Servers that answer NXDOMAIN for a family that a name does not have mean that it has
	// none (RFC 4074, section 4.2).
	if k.emptied++; len(k.Addresses) == 0 || k.emptied >= emptiedAfter {
		return Family{Said: now}
	}
	k.fail("the name has no such address now", now)
	return k
}

func (k *Family) fail(reason string, now time.Time) {
	if k.Failing.IsZero() {
		k.Failing = now
	}
	k.Reason = reason
}

// pause is how long to wait before a name is looked up again.
func (s State) pause(v4, v6 finding, failures int) time.Duration {
	if s.Failing() {
		// Twice as long from time to time, for what has been wrong for long.
		return min(LeastTTL<<min(failures, 10), mostRetry)
	}
	ttl := MostTTL
	for _, f := range []finding{v4, v6} {
		if f.err == nil {
			ttl = min(ttl, f.ttl)
		}
	}
	return min(max(ttl, LeastTTL), MostTTL)
}
