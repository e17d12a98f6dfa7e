package publish

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mirrorpool/pool"
	"mirrorpool/zones"
)

func weighted(weights ...float64) zones.Given {
	given := zones.Given{Pool: poolName, TTL: 60, WhenAllDown: pool.AnswerAll, IPv4: zones.GivenFamily{Served: true}}
	for i, weight := range weights {
		address := netip.AddrFrom4([4]byte{127, 0, 1, byte(i)})
		given.IPv4.Addresses = append(given.IPv4.Addresses, zones.GivenAddress{Address: address, Weight: weight})
		given.Members = append(given.Members, address)
	}
	return given
}

// TestLimit: over many turns each address is drawn by its weight; who leaves changes
// places with one other.
func TestLimit(t *testing.T) {
	e := testEntry(t)
	e.Limit = 1
	given := weighted(1, 2, 3, 4)
	count := map[netip.Addr]float64{}
	const turns = 20000
	at := time.Unix(1_700_000_000, 0)
	for range turns {
		at = at.Add(e.Rotation)
		drawn := e.want(given, at).sets[0]
		if len(drawn) != 1 {
			t.Fatalf("drawn %v", drawn)
		}
		count[drawn[0]]++
	}
	statistic := 0.0
	for i, address := range given.Members {
		expected := turns * float64(i+1) / 10
		statistic += (count[address] - expected) * (count[address] - expected) / expected
	}
	if statistic > 30 { // three degrees of freedom: p < 2e-6
		t.Errorf("counts %v: χ² = %g", count, statistic)
	}

	e.Limit = 3
	given = weighted(1, 2, 3, 4, 5, 6, 7)
	for turn := range 200 {
		at := at.Add(time.Duration(turn) * e.Rotation)
		before := e.want(given, at).sets[0]
		if again := e.want(given, at.Add(e.nextTurn(at)-1)).sets[0]; !slices.Equal(before, again) {
			t.Fatalf("within a turn: %v and %v", before, again)
		}
		fewer := given
		fewer.IPv4.Addresses = slices.Clone(given.IPv4.Addresses)
		fewer.IPv4.Addresses = slices.DeleteFunc(fewer.IPv4.Addresses, func(one zones.GivenAddress) bool { return one.Address == before[0] })
		after := e.want(fewer, at).sets[0]
		if len(after) != 3 || !slices.Contains(after, before[1]) || !slices.Contains(after, before[2]) {
			t.Fatalf("%s left %v, which became %v", before[0], before, after)
		}
	}
	if all := e.want(weighted(1, 1), at).sets[0]; len(all) != 2 {
		t.Errorf("fewer than the limit: %v", all)
	}
}

// TestClockIsFinite: no digest gives a clock that cannot be compared.
func TestClockIsFinite(t *testing.T) {
	e := testEntry(t)
	for turn := range uint64(10000) {
		clock := e.clock(zones.GivenAddress{Address: testServer.Addr(), Weight: 0.01}, turn)
		if math.IsNaN(clock) || math.IsInf(clock, 0) || clock < 0 {
			t.Fatalf("turn %d: %v", turn, clock)
		}
	}
}

// TestRotation: the draw changes by the clock, at all nodes at once, and is published.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := newFake(t, testKeys(t), "")
		var members []string
		for i := range 8 {
			members = append(members, fmt.Sprintf("127.0.0.%d", i+1))
		}
		e := testEntry(t)
		e.Limit, e.Interval = 2, 24*time.Hour
		one := runNode(t, newPool(members...), at, nil, e)
		defer one.stop()
		two := runNode(t, newPool(members...), at, nil, e)
		defer two.stop()
		pass(10 * time.Second) // one of them comes second, and looks again
		seen := map[string]bool{}
		for range 12 {
			seen[at.text()] = true
			if got := len(one.state().Found); got != 2 {
				t.Errorf("%d addresses", got)
			}
			pass(time.Hour)
		}
		if len(seen) < 6 {
			t.Errorf("twelve turns gave %d sets", len(seen))
		}
		if one.told(Foreign) != nil || two.told(Foreign) != nil {
			t.Errorf("the nodes fight: %q, %q", one.told(Foreign), two.told(Foreign))
		}
	})
}
