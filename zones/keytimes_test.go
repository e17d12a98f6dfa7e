package zones

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/testdraw"
	"mirrorpool/zones/signing"
)

// TestKeysOfAnyTimes: whatever the times of keys are, compiling does not fail, every
// algorithm that is published signs, and DNSKEY is signed by a key in it.
func TestKeysOfAnyTimes(t *testing.T) {
	in := wideInput(t, 3)
	var keys []*signing.Key
	for _, alg := range []uint8{dns.ECDSAP256SHA256, dns.ED25519} {
		for i := range 4 {
			k, err := signing.GenerateDistinct("example.org.", alg, i%2 == 0, signing.Times{}, keys)
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, k)
		}
	}
	r := rand.New(rand.NewPCG(7, 7))
	found := map[string]int{}
	compiles := 0
	plans := testdraw.Cases(t, 1000)
	for range plans {
		now := signingTime
		any := func() time.Time {
			switch r.IntN(3) {
			case 0:
				return time.Time{}
			case 1:
				return now.Add(-time.Hour)
			}
			return now.Add(time.Hour)
		}
		var some []*signing.Key
		text := ""
		for _, k := range keys {
			if r.IntN(4) > 0 {
				continue
			}
			times := signing.Times{Created: now.Add(-2 * time.Hour), Publish: any(), Activate: any(), Inactive: any(), Delete: any(), SyncPublish: any(), SyncDelete: any()}
			if r.IntN(8) == 0 {
				times.Revoke = any()
			}
			some = append(some, k.WithTimes(times))
			text += fmt.Sprintf("%s entry %v P %v A %v I %v D %v; ", k.ID(), k.Entry(), times.Publish, times.Activate, times.Inactive, times.Delete)
		}
		plan, _, err := signing.PlanOf("example.org.", some, now, 3600, 24*time.Hour)
		note := func(what string) {
			if found[what]++; found[what] == 1 {
				t.Errorf("%s: %s", what, text)
			}
		}
		if err != nil {
			note("error " + err.Error())
			continue
		}
		if plan == nil {
			continue
		}
		func() {
			defer func() {
				if v := recover(); v != nil {
					note(fmt.Sprint("panic ", v))
				}
			}()
			in.Signing = map[string]*signing.Plan{"example.org.": plan}
			in.Now = now
			compiles++
			if _, err := Compile(in); err != nil {
				note("compile " + err.Error())
			}
			pub := map[string]bool{}
			algs := map[uint8]bool{}
			entry := map[uint8]bool{}
			for _, k := range plan.Published {
				pub[k.ID()] = true
				algs[k.Algorithm()] = true
				entry[k.Algorithm()] = entry[k.Algorithm()] || k.Entry()
			}
			signs := map[uint8]bool{}
			for _, k := range plan.Zone {
				signs[k.Algorithm()] = signs[k.Algorithm()] || pub[k.ID()]
			}
			esigns, eentry := map[uint8]bool{}, map[uint8]bool{}
			for _, k := range plan.Entry {
				esigns[k.Algorithm()] = true
				eentry[k.Algorithm()] = eentry[k.Algorithm()] || k.Entry()
			}
			for a := range algs {
				if !signs[a] {
					note("an algorithm does not sign the zone")
				}
				if !esigns[a] {
					note("an algorithm does not sign DNSKEY")
				}
				if entry[a] && !eentry[a] {
					note("DNSKEY is not signed by an entry key though one is published")
				}
			}
			for _, k := range plan.Child {
				if !pub[k.ID()] {
					note("CDS of a key that is not published")
				}
			}
		}()
	}
	if compiles < plans/3 {
		t.Errorf("only %d plans were compiled", compiles)
	}
}
