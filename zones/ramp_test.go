package zones

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mirrorpool/pool/administrative"
	"mirrorpool/pool/health"
)

func ramping(w *town) { w.pool.Health.Ramp, w.redirect.Health.Ramp = 15*time.Minute, 15*time.Minute }

// back is the state of what has come back some time after the first table.
func back(after time.Duration) health.State {
	return health.State{Verdict: health.Up, Reason: "status 200", Returned: testNow.Add(after)}
}

// One that comes back gets a sixteenth of its weight, more with each step, and all of it
// when the ramp is over.
func TestRamp(t *testing.T) {
	w := newTown(t, ramping, "one", "two")
	w.set("one", health.State{Verdict: health.Down})
	w.expect(t, w.compile(t, 0), "normal two:1.0000")
	w.set("one", back(time.Minute))
	table := w.compile(t, time.Minute)
	start := testNow.Add(time.Minute).UTC().Truncate(time.Minute)
	tables, last := 0, 0.0
	for now := time.Minute; ; {
		part := 1 + int(testNow.Add(now).Sub(start)/time.Minute)
		w.expect(t, table, fmt.Sprintf("normal one:%.4f two:%.4f", float64(part)/float64(16+part), 16/float64(16+part)))
		if share := float64(part) / float64(16+part); share <= last {
			t.Errorf("the share went from %v to %v", last, share)
		} else {
			last = share
		}
		words := w.words(table)
		for _, member := range []string{"one", "http://one.test/"} {
			want := fmt.Sprintf("up: status 200; it has come back: %d/16 of its weight, all of it at %s",
				part, start.Add(15*time.Minute).Format("2006-01-02 15:04:05 UTC"))
			if part == 16 {
				want = "up: status 200"
			}
			if words[member] != want {
				t.Errorf("%s: %s, expected %s", member, words[member], want)
			}
		}
		due := table.Due()
		if part == 16 {
			if held := table.zone("example.org.").held; !due.IsZero() && !held {
				t.Errorf("all of the weight is there, but another table is due at %v", due)
			}
			break
		}
		now = due.Sub(testNow)
		before := table
		table = w.compile(t, now)
		if table.pools[0].compiledPool != before.pools[0].compiledPool {
			tables++
		}
	}
	if tables != 15 {
		t.Errorf("%d tables for 15 steps", tables)
	}
}

// However many come back one after another, there are no more tables than steps.
func TestManyComeBack(t *testing.T) {
	var members []string
	for i := range 40 {
		members = append(members, fmt.Sprint("m", i))
	}
	w := newTown(t, ramping, members...)
	random := rand.New(rand.NewPCG(1, 1))
	for _, id := range members[1:] {
		w.set(id, back(time.Duration(random.IntN(int(5*time.Minute)))))
	}
	tables := 0
	for now := 5 * time.Minute; ; tables++ {
		due := w.compile(t, now).next
		if due.IsZero() {
			break
		}
		if !due.After(w.in.Now) {
			t.Fatalf("at %v another table is due at %v", w.in.Now, due)
		}
		now = due.Sub(testNow)
	}
	if tables > 15 {
		t.Errorf("%d tables", tables)
	}
	if got := w.mirrorShares(w.in.Previous); strings.Count(got, ":0.0250") != 40 {
		t.Errorf("in the end %s", got)
	}
}

// Where all who are up have come back, each has its part of what they have together.
func TestAllComeBack(t *testing.T) {
	w := newTown(t, ramping, "one", "two", "three")
	w.set("one", back(0))
	w.set("two", back(-5*time.Minute))
	w.set("three", health.State{Verdict: health.Down})
	got := w.compile(t, 0)
	a, b := got.pools[0].standing.comingOf(0, 0).sixteenths, got.pools[0].standing.comingOf(0, 1).sixteenths
	if a != 1 || b != 6 {
		t.Errorf("%d and %d sixteenths", a, b)
	}
	w.expect(t, got, "normal one:0.1429 two:0.8571")
}

// A member comes back with the first of its addresses, and each family by itself.
func TestAddressesComeBack(t *testing.T) {
	w := newTown(t, func(w *town) {
		ramping(w)
		w.pool.Members[0].Addresses = append(w.pool.Members[0].Addresses, netip.MustParseAddr("127.0.9.1"))
	}, "one", "two")
	w.setAddress(w.pool.Members[0].Addresses[0], back(0))
	w.setAddress(w.pool.Members[0].Addresses[1], back(0))
	table := w.compile(t, 0)
	if got := table.pools[0].standing.comingOf(0, 0); got.sixteenths != 0 {
		t.Errorf("one of its addresses was up all the time, but it has %+v", got)
	}
	if got := table.pools[0].standing.comingOf(1, 0); got.sixteenths != 1 {
		t.Errorf("IPv6 has come back, but has %+v", got)
	}
	w.setAddress(w.pool.Members[0].Addresses[2], back(-5*time.Minute))
	if got := w.compile(t, 0).pools[0].standing.comingOf(0, 0); got.sixteenths != 6 {
		t.Errorf("the first came back 5 minutes ago, but it has %+v", got)
	}
}

// Whom administrators take for up has all of its weight, whatever the checks find.
func TestForcedDoesNotRamp(t *testing.T) {
	w := newTown(t, ramping, "one", "two")
	w.set("one", back(0))
	w.say(saying(administrative.ForceUp, "one", "needed", 0))
	w.expect(t, w.compile(t, 0), "normal one:0.5000 two:0.5000")
}

func TestComingBack(t *testing.T) {
	for _, c := range []struct {
		name       string
		ramp, gone time.Duration
		want       uint8
	}{
		{"no ramp", 0, 0, 0},
		{"just now", 15 * time.Minute, 0, 1},
		{"in a moment: the table's time is older", 15 * time.Minute, -time.Second, 1},
		{"the clock was set back a little", 15 * time.Minute, -10 * time.Minute, 1},
		{"the clock was set back", 15 * time.Minute, -15 * time.Minute, 0},
		{"half", 15 * time.Minute, 7*time.Minute + time.Second, 8},
		{"the last", 15 * time.Minute, 14 * time.Minute, 15},
		{"over", 15 * time.Minute, 15 * time.Minute, 0},
		{"a second", time.Second, 0, 1},
		{"a second is over", time.Second, time.Second, 0},
		{"three seconds in three parts", 3 * time.Second, time.Second, 6},
		{"a nanosecond", 1, 0, 1},
		{"not to be divided by steps", 7 * time.Second, 6 * time.Second, 13},
		{"years", 20_000 * time.Hour, 10_000 * time.Hour, 8},
	} {
		returned := time.Unix(1_700_000_100, 0).Truncate(15 * time.Minute)
		if c.ramp > 24*time.Hour {
			returned = returned.Truncate((c.ramp + 14) / 15)
		}
		got := comingBack(returned, c.ramp, returned.Add(c.gone))
		if got.sixteenths != c.want {
			t.Errorf("%s: %d sixteenths, expected %d", c.name, got.sixteenths, c.want)
		}
	}
	if got := comingBack(time.Time{}, time.Hour, testNow); got != (coming{}) {
		t.Errorf("it was always there, but has %+v", got)
	}
	random := rand.New(rand.NewPCG(2, 2))
	for range 2000 {
		ramp := time.Duration(1 + random.Int64N(int64(time.Hour)))
		returned := testNow.Add(time.Duration(random.Int64N(int64(time.Hour))))
		now, last, steps := returned, uint8(0), 0
		for {
			got := comingBack(returned, ramp, now)
			if got.sixteenths == 0 {
				break
			}
			if got.sixteenths < last || got.sixteenths > 15 || !got.next.After(now) || got.whole.After(returned.Add(ramp+leastStep)) || steps > 15 {
				t.Fatalf("ramp %v, back %v, now %v: %+v after %d steps, %d sixteenths before", ramp, returned, now, got, steps, last)
			}
			if just := comingBack(returned, ramp, got.next.Add(-1)); just != got {
				t.Fatalf("ramp %v: before the next step %+v is %+v", ramp, got, just)
			}
			now, last = got.next, got.sixteenths
			steps++
		}
	}
}
