package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"mirrorpool/zones"
	"mirrorpool/zones/signing"
)

// keysInterval is how often the directory of keys is read.
const keysInterval = 10 * time.Second

// maxKeyTTL bounds the TTL of DNSKEY RRsets, in seconds: rollovers wait for it.
const maxKeyTTL = 86400

// rolling changes the plans of zones whose keys are being replaced.
type rolling interface {
	// plan gives what a zone is signed with instead of the plan that the times in its
	// keys' files make, which is nil where they make none, and when that changes; the
	// zero time: not by itself.
	plan(base *signing.Plan, zone *zones.Zone, keys []*signing.Key, now time.Time) (*signing.Plan, time.Time)
}

// keys are those that zones are signed with, from a directory that is read again
// and again. What has become bad in it changes nothing. It is safe for concurrent
// use.
type keys struct {
	logger  zerolog.Logger
	stages  *stages
	rolling rolling // nil: nothing is ever replaced
	clock   *signingClock

	// reading is held while the directory is read and what was in it is taken: a disk
	// that is slow keeps nobody waiting who needs the keys that there are.
	reading sync.Mutex

	mutex    sync.Mutex
	settings keysSettings              // written with reading held as well
	zones    map[string][]*signing.Key // by apex
	plans    map[string]*signing.Plan  // the last good ones
	// doubts are the keys that could not be read since the directory was taken up, by
	// the apex of zones of which there were none before.
	doubts map[string][]signing.Problem
	warned map[string]bool // what was warned of
}

func newKeys(logger zerolog.Logger, stages *stages) *keys {
	return &keys{logger: logger, stages: stages, plans: map[string]*signing.Plan{}, warned: map[string]bool{}}
}

// refresh reads the directory and reports whether there are other keys now, or others
// that are in doubt.
func (k *keys) refresh() (changed bool) {
	k.reading.Lock()
	defer k.reading.Unlock()
	directory, err := k.settings.read()
	if err != nil {
		k.fail(err)
		return false
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	before, doubts := k.zones, k.doubts
	k.take(directory)
	return !sameZoneKeys(before, k.zones) || !sameZones(doubts, k.doubts)
}

// take takes what was read. The keys of a zone of which one cannot be read stay as
// they were: fewer would be a zone that is signed otherwise. So do those that are gone
// though the zone is signed with them.
func (k *keys) take(directory *signing.Directory) {
	if directory == nil {
		k.zones, k.doubts = nil, nil
		k.stages.succeed(stageKeys)
		return
	}
	k.doubts = doubtsOf(directory, k.zones, k.doubts)
	read := directory.Keys
	for zone, before := range k.zones {
		if directory.Broken(zone) {
			read[zone] = united(before, read[zone])
		}
	}
	problems := slices.Concat(directory.Problems, k.keepUsed(read))
	k.zones = read
	k.say(problems)
}

// united are keys, and those of others that are not among them.
func united(keys, others []*signing.Key) []*signing.Key {
	all := slices.Clone(keys)
	for _, other := range others {
		if at := slices.IndexFunc(all, other.Same); at >= 0 {
			all[at] = other // its times may have changed
		} else {
			all = append(all, other)
		}
	}
	return all
}

// keepUsed adds the keys to those that were read that are gone and that zones are
// signed with: who removes a file, or has a disk that is not there, does not say that
// the zone is to be without.
func (k *keys) keepUsed(read map[string][]*signing.Key) (problems []signing.Problem) {
	for zone, before := range k.zones {
		plan := k.plans[zone]
		if plan == nil {
			continue
		}
		used := slices.Concat(plan.Published, plan.Zone, plan.Entry)
		for _, key := range before {
			if !slices.ContainsFunc(used, key.Same) || slices.ContainsFunc(read[zone], key.Same) {
				continue
			}
			read[zone] = append(slices.Clone(read[zone]), key)
			problems = append(problems, signing.Problem{
				Zone: zone, File: filepath.Join(k.settings.directory, key.ID()+".private"),
				Err: fmt.Errorf("the file is gone and zone %s is signed with the key: it goes on being so until the server ends; bring it back, or, "+
					"if the zone is to be signed no more, see the operator's page", zone),
			})
		}
	}
	return problems
}

// say reports what is wrong in the directory, once.
func (k *keys) say(problems []signing.Problem) {
	var broken []error
	for _, problem := range problems {
		if !problem.Warning {
			broken = append(broken, errors.New(problem.String()))
			continue
		}
		k.warn(problem.String())
	}
	if len(broken) > 0 {
		k.fail(fmt.Errorf("dns.dnssec_keys: %w", errors.Join(broken...)))
	} else if k.stages.succeed(stageKeys) {
		k.logger.Info().Msg("the keys can be read again")
	}
}

func (k *keys) warn(text string) {
	if !k.warned[text] {
		k.warned[text] = true
		k.logger.Warn().Str("directory", k.settings.directory).Msg(text)
	}
}

func (k *keys) fail(err error) {
	if k.stages.fail(stageKeys, err) {
		k.logger.Error().Err(err).Str("stage", string(stageKeys)).Msg("zones whose keys are bad go on being signed with those that were good since the server was started")
	}
}

// of are the keys of a zone, by its canonical apex.
func (k *keys) of(apex string) []*signing.Key {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.zones[apex]
}

// latest is when the latest key was made; zero: there are none.
func (k *keys) latest() time.Time {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.created()
}

func (k *keys) created() (latest time.Time) {
	for _, keys := range k.zones {
		for _, key := range keys {
			if key.Times.Created.After(latest) {
				latest = key.Times.Created
			}
		}
	}
	return latest
}

// plansFor gives with what zones are signed now, and when that is another plan; zero:
// not by itself. A zone whose keys cannot sign keeps its last plan. The error is that
// of begin.
func (k *keys) plansFor(static *zones.Static, served map[string]bool) (plans map[string]*signing.Plan, next time.Time, err error) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if err := k.doubted(static, served); err != nil {
		return nil, time.Time{}, err
	}
	plans = map[string]*signing.Plan{}
	if len(k.zones) == 0 {
		k.plans = plans
		k.stages.succeed(stageSigning)
		return plans, time.Time{}, nil
	}
	k.warnHomeless(static)
	undelegated := static.Undelegated()
	now := k.clock.now(k.created())
	var failures []error
	for _, zone := range static.Zones() {
		keys := k.zones[zone.Apex]
		if len(keys) == 0 {
			continue
		}
		plan, soonest, err := k.planFor(zone, keys, now)
		if err != nil {
			failures = append(failures, err)
		}
		if plan != nil {
			plans[zone.Apex] = plan
			failures = append(failures, hidden(undelegated, zone.Apex)...)
		}
		next = sooner(next, soonest)
	}
	k.plans = plans
	if len(failures) > 0 {
		err := errors.Join(failures...)
		if k.stages.fail(stageSigning, err) {
			k.logger.Error().Err(err).Str("stage", string(stageSigning)).Msg("not every zone is signed as it is to be")
		}
	} else if k.stages.succeed(stageSigning) {
		k.logger.Info().Msg("all zones that have keys can be signed again")
	}
	return plans, next, nil
}

// warnHomeless says which zones have keys and are none of the commit's: a name that is
// spelt otherwise in one of the two places leaves a zone unsigned.
func (k *keys) warnHomeless(static *zones.Static) {
	served := map[string]bool{}
	for _, zone := range static.Zones() {
		served[zone.Apex] = true
	}
	for apex := range k.zones {
		if !served[apex] {
			k.warn(fmt.Sprintf("there are keys of zone %s, and the repository has no such zone: nothing is signed with them", apex))
		}
	}
}

// warnShort says where signatures may end while others still give them out: they are
// renewed with three quarters of their life to go.
func (k *keys) warnShort(zone *zones.Zone) {
	left := k.settings.lifetime * 3 / 4
	if expire := time.Duration(zone.SOA.Expire) * time.Second; left < expire {
		k.warn(fmt.Sprintf("zone %s: signatures have %s to go at least (dns.dnssec_lifetime), and a secondary that is cut off serves on for %s (the SOA's expire): "+
			"after that validators take it for forged", zone.Apex, left, expire))
	}
}

// hidden are the zones that a signed one proves not to be there.
func hidden(undelegated map[string]string, signed string) (failures []error) {
	for _, child := range slices.Sorted(maps.Keys(undelegated)) {
		if undelegated[child] == signed {
			failures = append(failures, fmt.Errorf("zone %s lies in %s, which is signed and does not delegate it: resolvers that validate find nothing there; "+
				"add its NS records (and DS, if it is signed) to the zone file of %s", child, signed, signed))
		}
	}
	return failures
}

func (k *keys) planFor(zone *zones.Zone, keys []*signing.Key, now time.Time) (*signing.Plan, time.Time, error) {
	ttl := min(zone.SOA.Hdr.Ttl, maxKeyTTL)
	plan, next, err := signing.PlanOf(zone.Apex, keys, now, ttl, k.settings.lifetime)
	if err != nil {
		if last := k.plans[zone.Apex]; last != nil {
			again := *last
			again.Now = now
			plan = &again
		}
		return plan, next, err
	}
	if last := k.plans[zone.Apex]; plan == nil && last != nil && now.Before(last.Now) {
		again := *last // the keys' times have come before: only the clock went back
		again.Now = now
		plan = &again
	}
	if k.rolling != nil {
		rolled, soonest := k.rolling.plan(plan, zone, keys, now)
		plan, next = rolled, sooner(next, soonest)
	}
	if plan != nil {
		k.warnShort(zone)
		for _, text := range plan.Warnings {
			k.warn(text)
		}
	}
	return plan, next, nil
}

// sooner gives the first of two times; zero is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// sameZoneKeys reports whether nothing about any key has changed.
func sameZoneKeys(a, b map[string][]*signing.Key) bool {
	if len(a) != len(b) {
		return false
	}
	for zone, keys := range a {
		others := b[zone]
		if len(keys) != len(others) {
			return false
		}
		for i, key := range keys {
			if !key.Same(others[i]) || !key.Times.Equal(others[i].Times) || key.CanSign() != others[i].CanSign() {
				return false
			}
		}
	}
	return true
}

// keysFollow looks at the directory until ctx ends.
func (n *node) keysFollow(ctx context.Context) {
	for sleep(ctx, keysInterval) {
		n.refreshKeys()
	}
}

// refreshKeys reads the directory now; what has changed is signed with, and a commit
// that was refused for the sake of a key is looked at again.
func (n *node) refreshKeys() {
	if n.keys.refresh() {
		n.logger.Info().Msg("other keys sign now")
		n.compiler.signingChanged()
		n.source.Load().Poke()
	}
}

// signatureExpiry is the metric of the signatures of zones that are signed.
type signatureExpiry struct{ node *node }

var signatureExpiryDescription = prometheus.NewDesc("mirrorpool_dnssec_signature_expiry_timestamp_seconds",
	"When the first signature of the zone ends, in Unix time.", []string{"zone"}, nil)

// Describe is prometheus.Collector's.
func (signatureExpiry) Describe(to chan<- *prometheus.Desc) { to <- signatureExpiryDescription }

// Collect is prometheus.Collector's.
func (e signatureExpiry) Collect(to chan<- prometheus.Metric) {
	table := e.node.compiler.table.Load()
	if table == nil {
		return
	}
	for _, zone := range table.Zones() {
		if signed, ok := table.Signed(zone.Apex); ok {
			to <- prometheus.MustNewConstMetric(signatureExpiryDescription, prometheus.GaugeValue, float64(signed.Expire.Unix()), zone.Apex)
		}
	}
}
