package main

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"mirrorpool/zones/rollover"
	"mirrorpool/zones/rollover/parent"
	"mirrorpool/zones/signing"
)

// tablePropagation is how long this server itself may need until it answers from a
// new table everywhere.
const tablePropagation = 2 * time.Second

// facts are what the waits of a zone's rollover are made of; with the mutex held.
func (r *rollovers) facts(apex string) rollover.Facts {
	served, state, planned := r.served[apex], r.states[apex], r.planned[apex]
	settings := r.settings()
	r.forgetOthers(settings.parents)
	summary := r.parents[apex]
	facts := rollover.Facts{
		KeyTTL: time.Duration(served.plan.TTL) * time.Second, ZoneTTL: served.largest,
		Propagation: propagation(settings, served), Since: served.since,
		Behind: r.behind(apex), Expire: served.expire,
		ParentTTL: summary.TTL(), ParentTTLGiven: summary.GivenTTL(),
		ParentDue: len(settings.parents) > 0 && lastLookDue(state, summary.At), ParentDelay: parentDelay,
	}
	if state.Missing(planned.keys) != "" {
		return facts // it was planned before there was the new key
	}
	if base := planned.base; base != nil {
		facts.Served = served.plan.SameAs(r.planOf(state, base, planned.keys))
	}
	if state.Kind == "" || !summary.At.After(state.Steps[len(state.Steps)-1].At) {
		return facts // what they said before is not about this step
	}
	wanted, unwanted := parentKeys(state, planned.keys, summary)
	facts.Parent = parentSays(summary, wanted, unwanted)
	return facts
}

// parentKeys are those that the parent is to name, and those that it is not. Of several
// that it named before, it has to name but what it did.
func parentKeys(state rollover.State, keys []*signing.Key, summary parent.Summary) (wanted, unwanted []*signing.Key) {
	wanted, unwanted = entryKeys(state.New, keys), entryKeys(state.Old, keys)
	if !state.Turned {
		return wanted, unwanted
	}
	named := slices.DeleteFunc(slices.Clone(wanted), func(key *signing.Key) bool { return !summary.Have([]*signing.Key{key}, nil) })
	if len(named) > 0 {
		wanted = named
	}
	return wanted, unwanted
}

// propagation is how long a secondary may serve what was served before.
func propagation(settings rolloverSettings, served servedZone) time.Duration {
	switch {
	case settings.propagation > 0:
		return settings.propagation
	case settings.secondaries:
		return served.refresh + tablePropagation
	}
	return tablePropagation
}

// parentSays is what the parent's servers say of the change from old keys to new ones.
func parentSays(summary parent.Summary, wanted, unwanted []*signing.Key) rollover.ParentDS {
	switch {
	case len(wanted) == 0 || len(summary.Answers) == 0:
		return rollover.ParentUnknown
	case summary.Empty():
		return rollover.ParentNone
	case !summary.Have(wanted, unwanted):
		return rollover.ParentUnchanged
	case summary.Complete():
		return rollover.ParentChanged
	}
	return rollover.ParentUnknown
}

// entryKeys are the secure entry points among the keys of a rollover.
func entryKeys(of []rollover.Role, keys []*signing.Key) []*signing.Key {
	var found []*signing.Key
	for _, key := range keys {
		if slices.ContainsFunc(of, func(role rollover.Role) bool { return role.Entry && role.ID == key.ID() }) {
			found = append(found, key)
		}
	}
	return found
}

// How often the parent's servers are asked for the DS records of a zone: while a
// rollover waits for them a quarter of the keys' TTL, within bounds.
const (
	leastParentPause   = 2 * time.Second
	mostParentPause    = 5 * time.Minute
	settledParentPause = time.Hour
	// parentDelay is how long after it has read CDS a parent is taken to act on it:
	// some look once a day, and want to see the same for three days.
	parentDelay = 3 * 24 * time.Hour
	// parentTick is how often somebody looks whether to ask.
	parentTick = time.Second
)

// lastLookDue tells that the parent's servers were not asked since copies of the old
// DS, or of the CDS of before, are out of caches: nobody may have looked for as long as
// that lasted.
func lastLookDue(state rollover.State, asked time.Time) bool {
	waits := state.Step() == rollover.StepParentCaches || state.Step() == rollover.StepParent && state.Turned
	return waits && (state.Until.IsZero() || asked.Before(state.Until))
}

// parentPause is how long an answer of the parent's servers counts.
func parentPause(state rollover.State, keyTTL time.Duration) time.Duration {
	if state.Kind == "" && !state.Withdraw {
		return settledParentPause
	}
	return min(max(keyTTL/4, leastParentPause), mostParentPause)
}

// followParents asks the parent's servers until ctx ends.
func (r *rollovers) followParents(ctx context.Context) {
	for sleep(ctx, parentTick) {
		for _, apex := range r.parentsDue() {
			r.askParents(ctx, apex)
		}
	}
}

// parentsDue are the zones whose parents are to be asked now.
func (r *rollovers) parentsDue() []string {
	parents, now := r.settings().parents, r.now()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.forgetOthers(parents)
	if len(parents) == 0 {
		return nil
	}
	var due []string
	for apex, served := range r.served {
		asked, state := r.parents[apex].At, r.states[apex]
		age := now.Sub(asked)
		last := lastLookDue(state, asked) && !state.Until.IsZero() && !now.Before(state.Until)
		if last || age < 0 || age >= parentPause(state, time.Duration(served.plan.TTL)*time.Second) {
			due = append(due, apex)
		}
	}
	slices.Sort(due)
	return due
}

// askParents asks for one zone now.
func (r *rollovers) askParents(ctx context.Context, apex string) {
	asked := r.now()
	servers := r.settings().parents
	summary := parent.Summary{At: asked, Answers: parent.Look(ctx, servers, apex)}
	if ctx.Err() != nil {
		return
	}
	r.heard(apex, servers, summary)
	r.tableServed()
}

// heard takes down what servers have said, unless others have been named meanwhile or
// the zone is gone.
func (r *rollovers) heard(apex string, servers []netip.AddrPort, summary parent.Summary) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.forgetOthers(r.settings().parents)
	if _, served := r.served[apex]; served && slices.Equal(servers, r.asked) {
		r.parents[apex] = summary
	}
}

// forgetOthers drops what was said by servers that are not those that are named now;
// with the mutex held.
func (r *rollovers) forgetOthers(named []netip.AddrPort) {
	if !slices.Equal(named, r.asked) {
		clear(r.parents)
		r.asked = slices.Clone(named)
	}
}
