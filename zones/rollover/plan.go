package rollover

import (
	"slices"
	"time"

	"mirrorpool/zones/signing"
)

// Plan says with what the zone is signed: base, which the keys' own times give, but
// for the keys that the rollover is about. Where one of those is not among keys, or
// cannot sign, it is Fallback.
func (s State) Plan(base *signing.Plan, keys []*signing.Key) *signing.Plan {
	plan := *base
	plan.Withdraw = base.Withdraw || s.Withdraw
	for _, at := range []time.Time{s.WithdrawSince, s.childSince()} {
		if at.After(plan.ChildSince) {
			plan.ChildSince = at
		}
	}
	if s.Kind == "" {
		return &plan
	}
	this, _ := find(rulesOf(s.Kind), s.Step())
	if this == nil || s.Missing(keys) != "" {
		return Fallback(base, keys)
	}
	rolled := map[string]bool{}
	for _, role := range slices.Concat(s.Old, s.New) {
		rolled[role.ID] = true
	}
	for _, list := range []*[]*signing.Key{&plan.Published, &plan.Zone, &plan.Entry, &plan.Child} {
		*list = slices.DeleteFunc(slices.Clone(*list), func(key *signing.Key) bool { return rolled[key.ID()] })
	}
	give := func(roles []Role, duties duty) {
		for _, role := range roles {
			key := keys[index(keys, role.ID)]
			if duties&published != 0 {
				plan.Published = append(plan.Published, key)
			}
			if duties&signs != 0 && role.Zone {
				plan.Zone = append(plan.Zone, key)
			}
			if duties&signs != 0 && role.Entry {
				plan.Entry = append(plan.Entry, key)
			}
			if duties&child != 0 && role.Entry {
				plan.Child = append(plan.Child, key)
			}
		}
	}
	give(s.Old, this.old)
	give(s.New, this.new)
	return &plan
}

// childSince is when the step began that the CDS records of now came with; zero: no
// rollover has changed them.
func (s State) childSince() (since time.Time) {
	var before duty
	for i, reached := range s.Steps {
		this, _ := find(rulesOf(s.Kind), reached.Step)
		if this == nil {
			continue
		}
		if now := this.old&child<<1 | this.new&child; (i > 0 || s.Turned) && now != before {
			since = reached.At
		}
		before = this.old&child<<1 | this.new&child
	}
	return since
}

func index(keys []*signing.Key, id string) int {
	return slices.IndexFunc(keys, func(key *signing.Key) bool { return key.ID() == id })
}

// Missing names a key of the rollover that is not among keys, or cannot sign; empty:
// there is none.
func (s State) Missing(keys []*signing.Key) string {
	for _, role := range slices.Concat(s.Old, s.New) {
		if at := index(keys, role.ID); at < 0 || !keys[at].CanSign() {
			return role.ID
		}
	}
	return ""
}

// Fallback is for a zone of which nobody knows how far its rollover has come: caches
// and the parent may depend on any of its keys. So all that were not taken out for
// good are published and sign, and there is no CDS: the parent keeps what it has.
func Fallback(base *signing.Plan, keys []*signing.Key) *signing.Plan {
	plan := *base
	plan.Withdraw, plan.Child = false, nil
	add := func(list []*signing.Key, key *signing.Key) []*signing.Key {
		if slices.ContainsFunc(list, key.Same) {
			return list
		}
		return append(slices.Clone(list), key)
	}
	for _, key := range keys {
		if gone := key.Times.Delete; !gone.IsZero() && !base.Now.Before(gone) {
			continue
		}
		plan.Published = add(plan.Published, key)
		if !key.CanSign() {
			continue
		}
		if key.Entry() {
			plan.Entry = add(plan.Entry, key)
		}
		plan.Zone = add(plan.Zone, key)
	}
	return &plan
}
