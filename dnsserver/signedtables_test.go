package dnsserver

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/zones"
	"mirrorpool/zones/signing"
)

// planOf signs a zone with keys of some algorithms. With roles, there is another key
// beside the first that signs all but the keys.
func planOf(t testing.TB, apex string, now time.Time, roles bool, algorithms ...uint8) *signing.Plan {
	t.Helper()
	plan := &signing.Plan{Apex: apex, TTL: 300, Lifetime: 14 * 24 * time.Hour, Now: now}
	make := func(algorithm uint8, entry bool) *signing.Key {
		key, err := signing.GenerateDistinct(apex, algorithm, entry, signing.Times{}, plan.Published)
		if err != nil {
			t.Fatal(err)
		}
		plan.Published = append(plan.Published, key)
		return key
	}
	for _, algorithm := range algorithms {
		plan.Entry = append(plan.Entry, make(algorithm, true))
	}
	plan.Zone, plan.Child = plan.Entry, plan.Entry
	if roles {
		plan.Zone = []*signing.Key{make(algorithms[0], false)}
	}
	return plan
}

// signedTables are tables again with all zones signed: after each of the plans that
// zones have in their life, with each algorithm.
func signedTables(t testing.TB, all []*archived) (signed []*archived) {
	t.Helper()
	const rsaToo = "sizes.txtar" // RSA signs slowly
	for i, of := range all {
		a := *of
		a.path += " signed"
		a.input.Signing = map[string]*signing.Plan{}
		a.input.Signer = zones.NewSigner() // it does not run: sets are asked for in vain
		for j, apex := range apexesOf(of) {
			var plan *signing.Plan
			switch {
			case strings.HasSuffix(of.path, rsaToo):
				plan = planOf(t, apex, a.input.Now, true, dns.RSASHA256)
			case i%4 == 0:
				plan = planOf(t, apex, a.input.Now, false, dns.ECDSAP256SHA256)
			case i%4 == 1:
				plan = planOf(t, apex, a.input.Now, true, dns.ED25519)
			case i%4 == 2 && j%3 == 0:
				plan = planOf(t, apex, a.input.Now, false, dns.ECDSAP256SHA256, dns.ED25519)
			case i%4 == 3 && j%3 == 0:
				plan = planOf(t, apex, a.input.Now, false, dns.ECDSAP384SHA384)
			case j%3 == 1:
				plan = planOf(t, apex, a.input.Now, false, dns.ED25519, dns.ED25519)
			default:
				continue // not all zones of a table are signed
			}
			a.input.Signing[apex] = plan
		}
		a.input.Previous = of.table
		a.compile(t)
		signed = append(signed, &a)
	}
	return signed
}

// apexesOf gives the apexes of all zones of a table.
func apexesOf(a *archived) (apexes []string) {
	for _, zone := range a.table.Zones() {
		apexes = append(apexes, zone.Apex)
	}
	return apexes
}
