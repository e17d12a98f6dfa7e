package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"mirrorpool/zones"
	"mirrorpool/zones/signing"
)

// keysChange is what a configuration changes about keys, read and found good.
type keysChange struct {
	settings  keysSettings
	directory *signing.Directory // nil: there is none
}

// use takes settings at the start, when no zone is served.
func (k *keys) use(settings keysSettings) error {
	change, err := k.prepare(settings, nil)
	if err != nil {
		return err
	}
	k.adopt(change)
	return nil
}

// prepare reads the directory that other settings name, and changes nothing yet. It is
// refused where a key in another directory cannot be read and is one of a zone that is
// served, or signed.
func (k *keys) prepare(settings keysSettings, served map[string]bool) (*keysChange, error) {
	directory, err := settings.read()
	if err != nil {
		return nil, err
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if directory == nil || settings.directory == k.settings.directory {
		return &keysChange{settings, directory}, nil
	}
	var failures []error
	doubts := doubtsOf(directory, nil, nil)
	for _, apex := range slices.Sorted(maps.Keys(doubts)) {
		if served[apex] || k.plans[apex] != nil {
			failures = append(failures, k.unusable(settings, doubts[apex]))
		}
	}
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}
	return &keysChange{settings, directory}, nil
}

// adopt takes what was prepared.
func (k *keys) adopt(change *keysChange) {
	k.reading.Lock()
	defer k.reading.Unlock()
	k.mutex.Lock()
	defer k.mutex.Unlock()
	another := change.settings.directory != k.settings.directory
	k.settings = change.settings
	if another {
		k.zones, k.doubts = nil, nil // what is in another directory is no longer to be used
		k.take(change.directory)
	} // or else a rollover may have written a key since it was read
	for apex := range k.plans {
		if len(k.zones[apex]) == 0 {
			k.logger.Warn().Str("zone", apex).Str("directory", k.settings.directory).
				Msg("the zone is signed no more: validators take it for forged as long as its parent, or a cache, has a DS record of it")
		}
	}
}

// placed notes where in the configuration the directory is named now.
func (k *keys) placed(place string) {
	k.reading.Lock()
	defer k.reading.Unlock()
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.settings.place = place
}

// doubtsOf are the keys in a directory that cannot be read, by the apex of zones of
// which no keys are known, or not all since the first time. Where all were known once,
// they go on being used, and there is no doubt.
func doubtsOf(directory *signing.Directory, known map[string][]*signing.Key, before map[string][]signing.Problem) map[string][]signing.Problem {
	doubts := map[string][]signing.Problem{}
	for _, problem := range directory.Problems {
		if zone := problem.Zone; !problem.Warning && (len(known[zone]) == 0 || len(before[zone]) > 0) {
			doubts[zone] = append(doubts[zone], problem)
		}
	}
	return doubts
}

// begin refuses zones that would begin to be served, which those in served do not,
// without a key that cannot be read: it may be the one that the parent's DS record
// names, and the zone would be taken for forged, here and from each secondary. What
// is served already is not held up by that.
func (k *keys) begin(static *zones.Static, served map[string]bool) error {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.doubted(static, served)
}

// doubted is begin for who holds the keys.
func (k *keys) doubted(static *zones.Static, served map[string]bool) error {
	var failures []error
	for _, zone := range static.Zones() {
		if doubts := k.doubts[zone.Apex]; len(doubts) > 0 && !served[zone.Apex] {
			failures = append(failures, k.unusable(k.settings, doubts))
		}
	}
	return errors.Join(failures...)
}

// unusable tells of keys that cannot be read, but of those that are in use no more.
func (k *keys) unusable(settings keysSettings, doubts []signing.Problem) error {
	now := k.clock.now(k.created())
	var failures []error
	for _, problem := range doubts {
		if !problem.Delete.IsZero() && !problem.Delete.After(now) {
			continue
		}
		failures = append(failures, fmt.Errorf("%s: %s: zone %s is not begun without this key: validators take the zone for forged if the parent's DS record names it; "+
			"bring its files back whole or, if no DS record names it, move both elsewhere", settings.place, problem, problem.Zone))
	}
	return errors.Join(failures...)
}

// sameZones reports whether the same zones are in doubt.
func sameZones(a, b map[string][]signing.Problem) bool {
	return maps.EqualFunc(a, b, func(_, _ []signing.Problem) bool { return true })
}

// servedZones are the zones of a table, by apex; nil: there is none yet.
func servedZones(table *zones.Table) map[string]bool {
	if table == nil {
		return nil
	}
	served := map[string]bool{}
	for _, zone := range table.Zones() {
		served[zone.Apex] = true
	}
	return served
}
