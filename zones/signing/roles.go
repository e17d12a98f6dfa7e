package signing

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// The lifetimes that signatures may have. Times in RRSIG records are compared as
// serial numbers (RFC 4034, section 3.1.5): far fewer than 68 years.
const (
	minLifetime = 4 * time.Second
	maxLifetime = 5 * 366 * 24 * time.Hour
)

// PlanOf finds with which of its keys a zone is signed at a time, by the rules of
// BIND's dnssec-keygen and dnssec-settime. The apex is canonical, the TTL is that of
// DNSKEY, CDS and CDNSKEY in seconds, and the lifetime that of signatures.
//
// A key is in the DNSKEY RRset from its Publish to its Delete time. It signs from
// its Activate to its Inactive time. Without the former it does not sign (a key in
// reserve); with Activate alone it is published always; a key of which its files say
// no times at all is published and signs always, and one that they say only the
// creation of is not used.
//
// Secure entry points sign DNSKEY, CDS and CDNSKEY, the others the rest; where there
// is only one kind of an algorithm, it signs all. CDS and CDNSKEY name the secure
// entry points that are between their SyncPublish and SyncDelete times or, where no
// key of the zone has either, all that sign (RFC 8078). Revoked keys are left out.
//
// Each algorithm in the DNSKEY RRset signs everything (RFC 4035, section 2.2): keys
// that are not to sign do nevertheless, with a warning, where nothing else would. A
// key that is to sign before it is published does so only while no key of its
// algorithm is: so an algorithm comes (RFC 6781, section 4.1.4).
//
// Without any key in use the plan is nil: the zone is not signed now. The error is
// that there are keys in use and the private half of none of an algorithm is there.
// Whatever is returned, next is when something else follows from the same keys;
// zero: never.
func PlanOf(apex string, keys []*Key, now time.Time, ttl uint32, lifetime time.Duration) (plan *Plan, next time.Time, err error) {
	if lifetime < minLifetime || lifetime > maxLifetime {
		return nil, time.Time{}, fmt.Errorf("planning the signatures of %s: a lifetime of %s, expected %s to %s", apex, lifetime, minLifetime, maxLifetime)
	}
	p := planning{
		Plan:       &Plan{Apex: apex, TTL: ttl, Lifetime: lifetime, Now: now},
		algorithms: map[uint8]*algorithmKeys{},
	}
	for _, key := range keys {
		if key.Zone() != apex {
			return nil, time.Time{}, fmt.Errorf("planning the signatures of %s: %s is a key of another zone", apex, key.ID())
		}
		next = sooner(next, key.Times.next(now))
		p.add(key)
	}
	if len(p.algorithms) == 0 {
		return nil, next, nil
	}
	var missing []error
	for _, algorithm := range slices.Sorted(maps.Keys(p.algorithms)) {
		if absent := p.assign(p.algorithms[algorithm]); absent != nil {
			missing = append(missing, fmt.Errorf("zone %s cannot be signed with %s: the private half of key %s is not there; "+
				"bring it back, or another key of the algorithm", apex, AlgorithmName(algorithm), absent.ID()))
		}
	}
	if len(missing) > 0 {
		return nil, next, errors.Join(missing...)
	}
	if len(p.Published) == 0 {
		return nil, next, nil // a key that signs before it is published is for another beside it
	}
	p.child(keys)
	return p.Plan, next, nil
}

// planning is a plan that is being made.
type planning struct {
	*Plan
	algorithms map[uint8]*algorithmKeys
}

// algorithmKeys are the keys of one algorithm that are in use.
type algorithmKeys struct {
	published []*Key
	active    []*Key // published, and to sign
	coming    []*Key // to sign, and not yet published
}

func (p *planning) warn(format string, arguments ...any) {
	p.Warnings = append(p.Warnings, fmt.Sprintf(format, arguments...))
}

// add notes what a key is to do now.
func (p *planning) add(key *Key) {
	published, signs := key.Times.roles(p.Now)
	if !published && !signs {
		return
	}
	if key.Record.Flags&dns.REVOKE != 0 || reached(key.Times.Revoke, p.Now) {
		p.warn("key %s is revoked and not used: remove its files, or its Revoke time with dnssec-settime -R none", key.ID())
		return
	}
	all := p.algorithms[key.Algorithm()]
	if all == nil {
		all = &algorithmKeys{}
		p.algorithms[key.Algorithm()] = all
	}
	switch {
	case !published:
		all.coming = append(all.coming, key)
		return
	case signs:
		all.active = append(all.active, key)
	}
	all.published = append(all.published, key)
	p.Published = append(p.Published, key)
}

// assign gives the keys of an algorithm their work, or names one whose private half
// would be needed for it.
func (p *planning) assign(all *algorithmKeys) (absent *Key) {
	if len(all.published) == 0 {
		zone, entry := split(able(all.coming))
		p.Zone, p.Entry = append(p.Zone, either(zone, entry)...), append(p.Entry, either(entry, zone)...)
		return nil
	}
	zone, entry := split(able(all.active))
	if len(zone)+len(entry) == 0 {
		spare := able(all.published)
		if len(spare) == 0 {
			return all.published[0]
		}
		for _, key := range spare {
			p.warn("key %s is not to sign now (its Activate and Inactive times) and does, because no other key of %s would: "+
				"every algorithm of a published key has to sign", key.ID(), AlgorithmName(key.Algorithm()))
		}
		zone, entry = split(spare)
	}
	if _, meant := split(all.active); len(entry) == 0 && len(meant) > 0 {
		return meant[0] // the parent's DS record names it, and no other signature of the keys counts
	}
	p.Zone = append(p.Zone, either(zone, entry)...)
	if len(entry) > 0 {
		p.Entry = append(p.Entry, entry...)
		return nil
	}
	// The parent's DS record may name a secure entry point that is to sign no more.
	_, spare := split(able(all.published))
	for _, key := range spare {
		p.warn("key %s is not to sign now (its Activate and Inactive times) and signs the keys, because no other secure entry point of %s would",
			key.ID(), AlgorithmName(key.Algorithm()))
	}
	p.Entry = append(append(p.Entry, zone...), spare...)
	return nil
}

// child finds the keys that CDS and CDNSKEY name.
func (p *planning) child(keys []*Key) {
	said := slices.ContainsFunc(keys, func(key *Key) bool {
		return !key.Times.SyncPublish.IsZero() || !key.Times.SyncDelete.IsZero()
	})
	var named []*Key
	for _, key := range p.Published {
		_, signs := key.Times.roles(p.Now)
		if said {
			signs = reached(key.Times.SyncPublish, p.Now) && !reached(key.Times.SyncDelete, p.Now)
		}
		if key.Entry() && signs {
			named = append(named, key)
		}
	}
	p.ChildSince = p.changed(keys, said)
	if len(named) > 0 && !slices.ContainsFunc(named, func(key *Key) bool { return slices.Contains(p.Entry, key) }) {
		p.warn("CDS and CDNSKEY of zone %s are left out: they would name key %s alone, which does not sign, and the zone be lost to validators",
			p.Apex, named[0].ID())
		return
	}
	p.Child = named
}

// changed is when what CDS and CDNSKEY name changed last.
func (p *planning) changed(keys []*Key, said bool) (latest time.Time) {
	for _, key := range keys {
		times := []time.Time{key.Times.Publish, key.Times.Activate, key.Times.Inactive, key.Times.Delete}
		if said {
			times = []time.Time{key.Times.SyncPublish, key.Times.SyncDelete}
		}
		for _, at := range times {
			if key.Entry() && reached(at, p.Now) && at.After(latest) {
				latest = at
			}
		}
	}
	return latest
}

// split gives those that are no secure entry points, and those that are.
func split(keys []*Key) (zone, entry []*Key) {
	for _, key := range keys {
		if key.Entry() {
			entry = append(entry, key)
		} else {
			zone = append(zone, key)
		}
	}
	return zone, entry
}

// able are those whose private half is there.
func able(keys []*Key) []*Key {
	return slices.DeleteFunc(slices.Clone(keys), func(key *Key) bool { return !key.CanSign() })
}

func either(first, second []*Key) []*Key {
	if len(first) > 0 {
		return first
	}
	return second
}

// reached reports whether a time is said and has come.
func reached(at, now time.Time) bool { return !at.IsZero() && !at.After(now) }

// roles are what the times say of a key at a time.
func (t Times) roles(now time.Time) (published, signs bool) {
	if t == (Times{}) {
		return true, true
	}
	if reached(t.Delete, now) {
		return false, false
	}
	published = reached(t.Publish, now) || t.Publish.IsZero() && !t.Activate.IsZero()
	signs = reached(t.Activate, now) && !reached(t.Inactive, now)
	return published, signs
}

// next is the first of the times that is still to come; zero: there is none.
func (t Times) next(now time.Time) time.Time {
	var next time.Time
	for _, one := range t.all() {
		if one.at.After(now) {
			next = sooner(next, *one.at)
		}
	}
	return next
}

// sooner is the first of two times, of which zero is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
