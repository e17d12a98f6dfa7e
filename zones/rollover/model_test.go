package rollover

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/zones/signing"
)

// The model is a world of validators: each may hold copies of DS, of DNSKEY and of
// records that it got at any time, from any server, for as long as their TTLs allow.
// Whatever it holds, records have to validate.
type model struct {
	random *rand.Rand
	now    time.Time     // true time
	offset time.Duration // of the node's clock

	versions []*version
	parent   []*parentVersion
	upSince  time.Time

	propagation, parentTTL, parentDelay time.Duration
	// lenient validators take any algorithm that is there (RFC 6840, section 5.11).
	lenient bool
}

// version is the zone as it was served from a time on, until the last secondary had
// the next one.
type version struct {
	plan             *signing.Plan
	keyTTL, zoneTTL  time.Duration
	from, superseded time.Time
	out              time.Time // zero: some secondary may still serve it
}

// parentVersion is the DS RRset, from the first server that had it to the last.
type parentVersion struct {
	keys      []*signing.Key
	from, out time.Time
}

// cached tells whether a copy that was served until out may be held now.
func (m *model) cached(out time.Time, ttl time.Duration) bool {
	return out.IsZero() || !m.now.After(out.Add(max(ttl, 5*time.Second)))
}

// settle finds which versions no secondary serves any more: each has the newest
// within the time of propagation, if the node is there for that long.
func (m *model) settle() {
	for i := 0; i+1 < len(m.versions); i++ {
		v := m.versions[i]
		if v.out.IsZero() && !m.upSince.IsZero() {
			if out := latest(v.superseded, m.upSince).Add(m.propagation); !m.now.Before(out) {
				v.out = out
			}
		}
	}
}

func (m *model) serve(plan *signing.Plan, keyTTL, zoneTTL time.Duration) {
	m.settle()
	if count := len(m.versions); count > 0 {
		last := m.versions[count-1]
		if last.plan.SameAs(plan) && last.keyTTL == keyTTL && last.zoneTTL == zoneTTL {
			return
		}
		last.superseded = m.now
	}
	m.versions = append(m.versions, &version{plan: plan, keyTTL: keyTTL, zoneTTL: zoneTTL, from: m.now})
}

func (m *model) current() *version { return m.versions[len(m.versions)-1] }

// bogus tries all copies that may be held together now.
func (m *model) bogus() error {
	m.settle()
	for _, ds := range m.parent {
		if !m.cached(ds.out, m.parentTTL) {
			continue
		}
		for _, keys := range m.versions {
			if !m.cached(keys.out, keys.keyTTL) {
				continue
			}
			if err := m.validKeys(ds.keys, keys.plan); err != nil {
				return err
			}
			for _, data := range m.versions {
				if m.cached(data.out, data.zoneTTL) {
					if err := m.validRecords(keys.plan, data.plan.Zone); err != nil {
						return fmt.Errorf("records: %w", err)
					}
				}
				if m.cached(data.out, data.keyTTL) && len(data.plan.Child) > 0 {
					if err := m.validRecords(keys.plan, data.plan.Entry); err != nil {
						return fmt.Errorf("CDS: %w", err)
					}
				}
			}
		}
	}
	return nil
}

func has(keys []*signing.Key, key *signing.Key) bool { return slices.ContainsFunc(keys, key.Same) }

// validKeys tells whether a DNSKEY RRset validates by the DS RRset, for each of its
// algorithms.
func (m *model) validKeys(ds []*signing.Key, plan *signing.Plan) error {
	for _, wanted := range ds {
		if !slices.ContainsFunc(ds, func(key *signing.Key) bool {
			return (m.lenient || key.Algorithm() == wanted.Algorithm()) && has(plan.Published, key) && has(plan.Entry, key)
		}) {
			return fmt.Errorf("DS names %s: no key of its algorithm is in DNSKEY %s, signed by %s", ids(ds), ids(plan.Published), ids(plan.Entry))
		}
	}
	return nil
}

// validRecords tells whether signatures validate by a DNSKEY RRset, for each of its
// algorithms.
func (m *model) validRecords(plan *signing.Plan, signers []*signing.Key) error {
	for _, wanted := range plan.Published {
		if !slices.ContainsFunc(signers, func(key *signing.Key) bool {
			return (m.lenient || key.Algorithm() == wanted.Algorithm()) && has(plan.Published, key)
		}) {
			return fmt.Errorf("DNSKEY has %s: no key of each algorithm is among the signers %s", ids(plan.Published), ids(signers))
		}
	}
	return nil
}

func ids(keys []*signing.Key) string {
	texts := make([]string, len(keys))
	for i, key := range keys {
		texts[i] = key.ID()
	}
	return strings.Join(texts, " ")
}

// testKeys are made once: making them is what takes time.
var testKeys = sync.OnceValue(func() map[string][]*signing.Key {
	made := map[string][]*signing.Key{}
	var all []*signing.Key
	make := func(name string, count int, algorithm uint8, entry bool) {
		for range count {
			key, err := signing.GenerateDistinct("example.test.", algorithm, entry, signing.Times{}, all)
			if err != nil {
				panic(err)
			}
			made[name], all = append(made[name], key), append(all, key)
		}
	}
	make("entry", 4, dns.ECDSAP256SHA256, true)
	make("zone", 3, dns.ECDSAP256SHA256, false)
	make("other", 3, dns.ED25519, true)
	made["all"] = all
	return made
})

// base is what the keys' own times say before a rollover and after it.
func base(kinds ...*signing.Key) *signing.Plan {
	plan := &signing.Plan{Apex: "example.test.", Published: kinds, TTL: 60, Lifetime: time.Hour}
	split := slices.ContainsFunc(kinds, func(key *signing.Key) bool { return !key.Entry() })
	for _, key := range kinds {
		if key.Entry() {
			plan.Entry, plan.Child = append(plan.Entry, key), append(plan.Child, key)
		}
		if !key.Entry() || !split {
			plan.Zone = append(plan.Zone, key)
		}
	}
	return plan
}
