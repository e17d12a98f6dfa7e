package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"mirrorpool/zones"
	"mirrorpool/zones/rollover"
	"mirrorpool/zones/rollover/parent"
	"mirrorpool/zones/signing"
)

// rolloversFile keeps the states of rollovers.
const rolloversFile = "rollovers.json"

// rolloverSettings are what the configuration says of rollovers.
type rolloverSettings struct {
	directory   string        // of keys
	lifetime    time.Duration // of signatures
	parents     []netip.AddrPort
	propagation time.Duration // 0: computed
	secondaries bool          // there may be some
}

func (c *config) rolloverSettings() rolloverSettings {
	settings := rolloverSettings{
		directory: c.DNS.DNSSECKeys, lifetime: c.DNS.DNSSECLifetime.value(), propagation: c.DNS.DNSSECPropagation.value(),
		secondaries: c.DNS.Transfer != nil && len(c.DNS.Transfer.Allow)+len(c.DNS.Transfer.Notify) > 0,
	}
	for _, address := range c.DNS.DNSSECParents {
		settings.parents = append(settings.parents, netip.MustParseAddrPort(address))
	}
	return settings
}

// rollovers are those of all zones. One goroutine, run, changes their states; plan and
// describe read them. Who holds the mutex asks nothing of keys: plan is called by who
// has those locked.
type rollovers struct {
	logger    zerolog.Logger
	stages    *stages
	state     *stateDir
	keys      *keys
	settings  func() rolloverSettings
	table     func() *zones.Table
	behind    func(apex string) bool // some secondary is, with this zone
	refresh   func()                 // has the keys read again
	resign    func()                 // has zones signed anew
	now       func() time.Time
	monotonic func() time.Duration

	wake     chan struct{}
	requests chan rolloverRequest

	mutex   sync.Mutex
	states  map[string]rollover.State // by apex
	damaged error                     // the file cannot be read: nobody knows what the states were
	planned map[string]plannedZone    // by apex, as they were planned last
	served  map[string]servedZone     // by apex
	parents map[string]parent.Summary // by apex
	asked   []netip.AddrPort          // whom parents are the answers of
	// lastNow and lastMonotonic are when somebody last looked.
	lastNow       time.Time
	lastMonotonic time.Duration
	shifted       bool // by a clock that was set, and that is not yet written down
}

// plannedZone is what a plan was made of.
type plannedZone struct {
	base *signing.Plan // by the times of the keys' files; nil: they make none
	keys []*signing.Key
}

// servedZone is what is to be known of a zone that is served.
type servedZone struct {
	since   time.Time // without a break
	plan    *signing.Plan
	largest time.Duration
	refresh time.Duration // the SOA's refresh and retry together
	expire  time.Duration
	table   *zones.Table
}

// rolloverRequest is something that run is to do.
type rolloverRequest struct {
	do   func() error
	done chan error
}

// openRollovers goes on from what the last run has kept.
func (n *node) openRollovers() {
	r := &rollovers{
		logger: n.logger, stages: n.stages, state: n.state, keys: n.keys,
		settings: func() rolloverSettings { return n.config.Load().rolloverSettings() },
		table:    func() *zones.Table { return n.compiler.table.Load() },
		behind:   n.notifier.Behind,
		refresh:  n.refreshKeys,
		resign:   func() { n.compiler.signingChanged() },
		now:      func() time.Time { return n.clock.now(n.keys.latest()).Round(0) }, monotonic: sinceBoot,
		wake: make(chan struct{}, 1), requests: make(chan rolloverRequest),
		planned: map[string]plannedZone{}, served: map[string]servedZone{}, parents: map[string]parent.Summary{},
	}
	r.read()
	n.rollovers, n.keys.rolling = r, r
}

// read takes up what the file says. One that is damaged leaves every zone with all of
// its keys in use, for some of them may be what the parent or caches depend on.
func (r *rollovers) read() {
	data, err := r.state.read(rolloversFile)
	states := map[string]rollover.State{}
	if err == nil && data != nil {
		states, err = rollover.Decode(data)
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if err != nil {
		r.damaged = fmt.Errorf("%s: %w; every key of every zone stays in use, and CDS is left out: bring the file back or, "+
			"if no rollover was under way, remove it", r.state.file(rolloversFile), err)
		if r.stages.fail(stageRollovers, r.damaged) {
			r.logger.Error().Err(r.damaged).Str("stage", string(stageRollovers)).Msg("nobody knows how far rollovers have come")
		}
		return
	}
	r.damaged, r.states = nil, states
	if r.stages.succeed(stageRollovers) {
		r.logger.Info().Msg("rollovers are known again")
	}
}

// plan implements rolling. It is called by the compile loop, which holds the keys.
func (r *rollovers) plan(base *signing.Plan, zone *zones.Zone, keys []*signing.Key, now time.Time) (*signing.Plan, time.Time) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.planned[zone.Apex] = plannedZone{base, keys}
	state := r.states[zone.Apex]
	if base == nil {
		if r.damaged == nil && state.Kind == "" {
			return nil, time.Time{}
		}
		base = &signing.Plan{Apex: zone.Apex, TTL: min(zone.SOA.Hdr.Ttl, maxKeyTTL), Lifetime: r.settings().lifetime, Now: now}
	}
	return r.planOf(state, base, keys), time.Time{}
}

func (r *rollovers) planOf(state rollover.State, base *signing.Plan, keys []*signing.Key) *signing.Plan {
	if r.damaged != nil {
		return rollover.Fallback(base, keys)
	}
	return state.Plan(base, keys)
}

// tableServed tells that another table is served.
func (r *rollovers) tableServed() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// rolloverPause is how long a rollover is looked at again that waits for what
// nobody tells of.
const rolloverPause = 5 * time.Second

// run leads rollovers until ctx ends.
func (r *rollovers) run(ctx context.Context) {
	for {
		next := r.tick()
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-r.wake:
		case request := <-r.requests:
			request.done <- request.do()
		}
		timer.Stop()
	}
}

// do has run do something, and gives what came of it.
func (r *rollovers) do(ctx context.Context, what func() error) error {
	request := rolloverRequest{do: what, done: make(chan error, 1)}
	select {
	case r.requests <- request:
	case <-ctx.Done():
		return fmt.Errorf("the rollovers are busy: %w", ctx.Err())
	}
	return <-request.done
}

// tick takes all rollovers on, and gives how long there is nothing to do.
func (r *rollovers) tick() time.Duration {
	r.mutex.Lock()
	damaged := r.damaged != nil
	r.mutex.Unlock()
	if damaged {
		if r.read(); r.isDamaged() {
			return keepInterval
		}
		r.resign()
	}
	now := r.look()
	pause := keepInterval
	r.mutex.Lock()
	zones := slices.Sorted(maps.Keys(r.served))
	r.mutex.Unlock()
	var failures []error
	for _, apex := range zones {
		next, err := r.advance(apex, now)
		if err != nil {
			failures = append(failures, fmt.Errorf("the rollover of %s: %w", apex, err))
		}
		switch {
		case err != nil, !next.IsZero() && !next.After(now):
			pause = min(pause, rolloverPause)
		case !next.IsZero():
			pause = min(pause, next.Sub(now))
		}
	}
	if err := errors.Join(failures...); err == nil {
		r.stages.succeed(stageRollovers)
	} else if r.stages.fail(stageRollovers, err) {
		r.logger.Error().Err(err).Str("stage", string(stageRollovers)).Msg("the rollover does not go on: trying again")
	}
	return max(pause, leastAlarm)
}

func (r *rollovers) isDamaged() bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.damaged != nil
}

// look takes down which zones are served and how, and whether the clock was set.
func (r *rollovers) look() time.Time {
	now, monotonic, table := r.now(), r.monotonic(), r.table()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if !r.lastNow.IsZero() {
		if set := now.Sub(r.lastNow) - (monotonic - r.lastMonotonic); set.Abs() > time.Second {
			r.shift(set)
		}
	}
	r.lastNow, r.lastMonotonic = now, monotonic
	if table == nil {
		return now
	}
	before := r.served
	r.served = map[string]servedZone{}
	for _, zone := range table.Zones() {
		signed, ok := table.Signed(zone.Apex)
		if !ok {
			continue
		}
		one, known := before[zone.Apex]
		if !known {
			one.since = now
		}
		if one.table == nil || one.table.Definition != table.Definition {
			one.largest = table.LargestTTL(zone.Apex)
			soa := table.SOA(zone.Apex)
			one.refresh = time.Duration(soa.Refresh)*time.Second + time.Duration(soa.Retry)*time.Second
			one.expire = time.Duration(soa.Expire) * time.Second
		}
		one.plan, one.table = signed.Plan, table
		r.served[zone.Apex] = one
	}
	maps.DeleteFunc(r.parents, func(apex string, _ parent.Summary) bool {
		_, served := r.served[apex]
		return !served
	})
	return now
}

// shift moves what waits by as much as the clock was set.
func (r *rollovers) shift(by time.Duration) {
	r.shifted = true
	for apex, state := range r.states {
		r.states[apex] = state.Shift(by)
	}
	for apex, one := range r.served {
		one.since = one.since.Add(by)
		r.served[apex] = one
	}
	for apex, summary := range r.parents {
		summary.At = summary.At.Add(by)
		r.parents[apex] = summary
	}
}

// advance takes one zone on, and gives when there may be more to do; zero: not by
// itself.
func (r *rollovers) advance(apex string, now time.Time) (time.Time, error) {
	keys := r.keys.of(apex)
	r.mutex.Lock()
	state, facts, shifted := r.states[apex], r.facts(apex), r.shifted
	r.mutex.Unlock()
	if missing := state.Missing(keys); missing != "" {
		return time.Time{}, fmt.Errorf("key %s is not there with its private half: all others sign, and CDS is left out; bring its files back: "+
			"if the parent's DS names no other key, validators take the zone for bogus until then", missing)
	}
	next, events := state.Advance(now, facts)
	if shifted || !reflect.DeepEqual(state, next) {
		if err := r.adopt(apex, next); err != nil {
			return time.Time{}, err
		}
	}
	r.tell(apex, next, events)
	if next.Kind != "" {
		if err := r.writeTimes(apex, next); err != nil {
			return time.Time{}, err
		}
	}
	return next.Next(now, facts), nil
}

func (r *rollovers) tell(apex string, state rollover.State, events []rollover.Event) {
	for _, event := range events {
		r.logger.Info().Str("zone", apex).Str("kind", string(state.Kind)).Str("step", string(event.Step)).Msg(event.Text)
	}
	if len(events) > 0 {
		r.resign()
	}
}

// adopt writes a state down and lets it take effect. The end of a rollover takes
// effect in the keys' own files first: they alone say from then on who signs.
func (r *rollovers) adopt(apex string, next rollover.State) error {
	r.mutex.Lock()
	ends := r.states[apex].Kind != "" && next.Kind == ""
	states := maps.Clone(r.states)
	r.mutex.Unlock()
	if ends {
		if err := r.writeTimes(apex, next); err != nil {
			return err
		}
	}
	states[apex] = next
	data, err := rollover.Encode(states)
	if err == nil {
		err = r.state.write(rolloversFile, data)
	}
	if err != nil {
		return err
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.states, r.shifted = states, false
	return nil
}

// writeTimes lets the files of a rollover's keys say what the keys do.
func (r *rollovers) writeTimes(apex string, state rollover.State) error {
	if state.Kind == "" && state.Last == nil {
		return nil
	}
	directory := r.settings().directory
	var failures []error
	written := false
	for _, key := range r.keys.of(apex) {
		times, ours := state.Times(key)
		if !ours || times.Equal(key.Times) {
			continue
		}
		if _, err := signing.WriteTimes(directory, key, times); err != nil {
			failures = append(failures, err)
			continue
		}
		written = true
	}
	if written {
		r.refresh()
	}
	return errors.Join(failures...)
}
