package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mirrorpool/admin"
	"mirrorpool/zones/rollover"
	"mirrorpool/zones/signing"
)

// change does what somebody asks for, and tells where the zone stands then.
func (r *rollovers) change(ctx context.Context, asked admin.RolloverChange) (*admin.Signing, error) {
	err := r.do(ctx, func() error { return r.perform(ctx, asked) })
	if err != nil {
		return nil, err
	}
	return r.show(asked.Zone)
}

// show tells where a zone stands.
func (r *rollovers) show(apex string) (*admin.Signing, error) {
	table := r.table()
	if table == nil {
		return nil, errors.New("no zone is served yet")
	}
	described := r.describe(table)
	if one := described[apex]; one != nil {
		return one, nil
	}
	return nil, r.missing(apex)
}

// missing tells why nothing is known of a zone's keys.
func (r *rollovers) missing(apex string) error {
	unknown := &admin.UnknownZone{Zone: apex}
	for _, zone := range r.table().Zones() {
		if zone.Apex == apex {
			return fmt.Errorf("the zone %s is not signed: `mirrorpool keygen %s` makes a key for it", apex, apex)
		}
		unknown.There = append(unknown.There, zone.Apex)
	}
	return unknown
}

// perform is done by run.
func (r *rollovers) perform(ctx context.Context, asked admin.RolloverChange) error {
	if _, err := r.show(asked.Zone); err != nil {
		return err
	}
	now := r.look()
	r.mutex.Lock()
	state, planned, damaged := r.states[asked.Zone], r.planned[asked.Zone], r.damaged
	r.mutex.Unlock()
	if damaged != nil {
		return damaged
	}
	var next rollover.State
	var events []rollover.Event
	var err error
	switch asked.Action {
	case admin.RolloverBegin:
		if state.Kind != "" {
			return nil // it is shown
		}
		if err = r.mayBegin(ctx, asked.Zone, state, now); err == nil {
			next, events, err = r.start(state, planned, asked, now)
		}
	case admin.RolloverStart:
		next, events, err = r.start(state, planned, asked, now)
	case admin.RolloverSay:
		if err = r.contradicted(ctx, asked.Zone, state, planned); err == nil {
			next, events, err = state.SayParent(now, asked.ParentTTL)
		}
	case admin.RolloverCancel:
		next, events, err = state.Cancel(now)
	case admin.RolloverWithdraw, admin.RolloverKeep:
		next, events, err = state.SetWithdraw(asked.Action == admin.RolloverWithdraw, now)
	default:
		err = fmt.Errorf("action %q is none", asked.Action)
	}
	if err != nil {
		return r.explain(asked.Zone, state, err)
	}
	if err := r.adopt(asked.Zone, next); err != nil {
		return err
	}
	r.tell(asked.Zone, next, events)
	r.tableServed()
	return nil
}

// explain adds to an error where the rollover stands.
func (r *rollovers) explain(apex string, state rollover.State, err error) error {
	if state.Kind == "" {
		return fmt.Errorf("%s: %w", apex, err)
	}
	return fmt.Errorf("%s: %w (%s, step %s); `mirrorpool rollover %s` shows where it stands", apex, err, state.Kind, state.Step(), apex)
}

// rolloverRest is how long after a rollover no other begins but by a word of its own:
// who only looks how the first one goes must not begin the next.
const rolloverRest = 24 * time.Hour

// mayBegin reports why a rollover is not to begin unless somebody says that another
// one is wanted.
func (r *rollovers) mayBegin(ctx context.Context, apex string, state rollover.State, now time.Time) error {
	advice := fmt.Sprintf("no other one begins: `mirrorpool rollover %s --again` is for that, and `mirrorpool status` shows how zones are signed", apex)
	if last := state.Last; last != nil && now.Sub(last.Ended) < rolloverRest {
		how := "done"
		switch {
		case last.Cancelled:
			how = "cancelled"
		case last.Turned:
			how = "turned back"
		}
		return fmt.Errorf("the last rollover was %s %s, less than a day ago; %s", how, when(moment(last.Ended), now), advice)
	}
	if len(r.settings().parents) == 0 {
		return nil
	}
	r.askParents(ctx, apex)
	described, err := r.show(apex)
	if err == nil && described.Parent.State == admin.ParentDiffers {
		err = fmt.Errorf("the parent's DS records do not name the keys that CDS does: have the parent take those first; %s", advice)
	}
	return err
}

// start makes the new key, and begins to roll over to it.
func (r *rollovers) start(state rollover.State, planned plannedZone, asked admin.RolloverChange, now time.Time) (rollover.State, []rollover.Event, error) {
	if state.Kind != "" {
		return state, nil, rollover.ErrUnderWay
	}
	if planned.base == nil {
		return state, nil, errors.New("the times in the files of its keys let none of them sign")
	}
	algorithm := uint8(0)
	if asked.Algorithm != "" {
		var err error
		if algorithm, err = signing.AlgorithmNumber(asked.Algorithm); err != nil {
			return state, nil, err
		}
	}
	wanted, err := rollover.Choose(planned.base, rollover.Kind(asked.Kind), algorithm)
	if err != nil {
		return state, nil, err
	}
	if state.Withdraw && wanted.Kind != rollover.ZSK {
		return state, nil, rollover.ErrWithdraw
	}
	key, err := signing.GenerateDistinct(asked.Zone, wanted.Algorithm, wanted.Entry, rollover.Inert(now), planned.keys)
	if err != nil {
		return state, nil, err
	}
	if err := signing.WriteKey(r.settings().directory, key); err != nil {
		return state, nil, err
	}
	r.refresh()
	if !slices.ContainsFunc(r.keys.of(asked.Zone), func(one *signing.Key) bool { return one.Same(key) && one.CanSign() }) {
		return state, nil, fmt.Errorf("the new key %s was written and cannot be read again", key.ID())
	}
	return state.Start(wanted, planned.base, key, now)
}

// contradicted asks the parent's servers whether what somebody says of them is so. Who
// does not answer does not count: that is what people are asked for.
func (r *rollovers) contradicted(ctx context.Context, apex string, state rollover.State, planned plannedZone) error {
	if state.Step() != rollover.StepParent || len(r.settings().parents) == 0 {
		return nil
	}
	r.askParents(ctx, apex)
	r.mutex.Lock()
	summary := r.parents[apex]
	r.mutex.Unlock()
	if summary.Empty() {
		return nil // nobody validates the zone by way of this parent
	}
	for _, answer := range summary.Answers {
		alone := summary
		alone.Answers = append(alone.Answers[:0:0], answer)
		wanted, unwanted := parentKeys(state, planned.keys, alone)
		if answer.Err == nil && !alone.Have(wanted, unwanted) {
			return fmt.Errorf("the parent's server %s says otherwise: its DS does not name %s alone", answer.Server, state.Target())
		}
	}
	return nil
}
