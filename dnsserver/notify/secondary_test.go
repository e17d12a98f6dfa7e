package notify

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

func TestLossIsRepaired(t *testing.T) {
	inFakeTime(t, func(r *running) {
		r.Set([]Secondary{{Address: first}})
		lost := 0
		r.set(first, func(request *dns.Msg) *dns.Msg {
			if lost++; lost <= 2 {
				return nil
			}
			return with(dns.RcodeSuccess)(request)
		})
		start := time.Now()
		r.Serve([]*dns.SOA{soa("a.test.", 1)})
		if diff := cmp.Diff([]int64{0, 1000, 3000}, times(r.after(time.Hour), start)); diff != "" {
			t.Error(diff)
		}
		if r.behind(0) != 0 || len(r.takeEvents()) != 0 {
			t.Errorf("two lost packets are worth an event, or: %+v", r.States()[0])
		}
	})
}

func TestSilentSecondaryCostsLittle(t *testing.T) {
	inFakeTime(t, func(r *running) {
		r.set(second, with(dns.RcodeSuccess))
		r.Set([]Secondary{{Address: first}, {Address: second}})
		start := time.Now()
		r.Serve(manyZones(3000, 1))
		toFirst := r.after(5 * time.Second)
		toFirst = slices.DeleteFunc(toFirst, func(s sent) bool { return s.to != first })
		// Sixteen before it is known, and then one at 1 and at 3 seconds.
		if len(toFirst) != maxUnderWayOneSecondary+2 {
			t.Errorf("in 5 s %d NOTIFYs to the secondary that is gone", len(toFirst))
		}
		if behind := r.behind(1); behind != 0 {
			t.Errorf("the other one was not told of %d zones", behind)
		}
		ladder := times(r.after(10*time.Minute), start)
		if diff := cmp.Diff([]int64{7000, 15000, 31000, 63000, 123000, 183000, 243000, 303000, 363000, 423000, 483000, 543000, 603000}, ladder); diff != "" {
			t.Errorf("the pace: %s", diff)
		}
		if day := r.after(24 * time.Hour); len(day) < 90 || len(day) > 97 { // each 15 minutes
			t.Errorf("on the next day %d NOTIFYs", len(day))
		}
		state := r.States()[0]
		if !state.Silent || state.Count(StandsBehind) != 3000 || !strings.Contains(state.Zones[0].Problem, "no answer") {
			t.Errorf("state: silent %t, behind %d, %q", state.Silent, state.Count(StandsBehind), state.Zones[0].Problem)
		}
		if events := r.takeEvents(); len(events) != 1 || events[0].Address != first.String() || events[0].Problem == "" {
			t.Errorf("events: %v", events)
		}

		// A change is told at once; it is there again, and told all that it missed.
		r.set(first, with(dns.RcodeSuccess))
		zones := manyZones(3000, 1)
		zones[7] = soa("z0007.test.", 2)
		r.Serve(zones)
		got := r.after(2 * time.Second)
		if len(got) < 3000 || r.behind(0) != 0 || r.States()[0].Silent {
			t.Errorf("two seconds after it came back: %d sent, %d behind", len(got), r.behind(0))
		}
		if got[0].at.After(time.Now().Add(-2 * time.Second)) {
			t.Error("the change is not told at once")
		}
		if diff := cmp.Diff([]Event{{Address: first.String()}}, r.takeEvents()); diff != "" {
			t.Error(diff)
		}
		if more := r.after(24 * time.Hour); len(more) != 0 {
			t.Errorf("%d NOTIFYs after all was acknowledged", len(more))
		}
	})
}

func TestOneZoneInSilenceHoldsUpNoOther(t *testing.T) {
	inFakeTime(t, func(r *running) {
		r.set(first, func(request *dns.Msg) *dns.Msg {
			if request.Question[0].Name == "dropped.test." {
				return nil
			}
			return with(dns.RcodeSuccess)(request)
		})
		r.Set([]Secondary{{Address: first}})
		for serial := range uint32(100) {
			r.Serve([]*dns.SOA{soa("a.test.", 10+serial), soa("dropped.test.", 1)})
			for _, one := range r.after(10 * time.Second) {
				if one.apex() == "a.test." && time.Since(one.at) < 9*time.Second {
					t.Errorf("serial %d is told after %s", one.serial(), 10*time.Second-time.Since(one.at))
				}
			}
			if state := r.States()[0]; state.Zones[0].Acknowledged != 10+serial {
				t.Fatalf("serial %d is not acknowledged: %+v", 10+serial, state)
			}
		}
	})
}

// Who answers for other zones is not silent.
func TestOneZoneInSilenceIsNoSilence(t *testing.T) {
	inFakeTime(t, func(r *running) {
		r.set(first, func(request *dns.Msg) *dns.Msg {
			if request.Question[0].Name == "dropped.test." {
				return nil
			}
			return with(dns.RcodeSuccess)(request)
		})
		r.Set([]Secondary{{Address: first}})
		for serial := range uint32(100) {
			r.Serve([]*dns.SOA{soa("a.test.", 10+serial), soa("dropped.test.", 1)})
			if r.after(600 * time.Millisecond); r.States()[0].Silent {
				t.Fatalf("it is silent with serial %d: %+v", 10+serial, r.States()[0])
			}
		}
	})
}

// What is known of one silence says nothing of the next one.
func TestEachSilenceHasItsOwnPace(t *testing.T) {
	inFakeTime(t, func(r *running) {
		r.Set([]Secondary{{Address: first}})
		for serial := uint32(1); serial < 10; serial += 2 {
			r.set(first, nil)
			start := time.Now()
			r.Serve([]*dns.SOA{soa("a.test.", serial)})
			if diff := cmp.Diff([]int64{0, 1000, 3000, 7000}, times(r.after(10*time.Second), start)); diff != "" {
				t.Errorf("serial %d: %s", serial, diff)
			}
			r.set(first, with(dns.RcodeSuccess))
			if r.after(10 * time.Second); r.behind(0) != 0 {
				t.Errorf("serial %d is not acknowledged", serial)
			}
		}
	})
}

// A change comes while a NOTIFY to a secondary that has been gone for a day waits for
// its answer; by now it is there.
func TestChangeIsToldAtOnceAfterSilence(t *testing.T) {
	inFakeTime(t, func(r *running) {
		r.Set([]Secondary{{Address: first}})
		r.Serve([]*dns.SOA{soa("a.test.", 1)})
		r.after(24 * time.Hour)
		for len(r.after(time.Second)) == 0 { // until one is under way
		}
		r.set(first, with(dns.RcodeSuccess))
		r.Serve([]*dns.SOA{soa("a.test.", 2)})
		if r.after(leastGap + 10*time.Millisecond); r.behind(0) != 0 {
			t.Errorf("state: %+v", r.States()[0])
		}
		if r.Serve([]*dns.SOA{soa("a.test.", 3)}); len(r.after(time.Hour)) != 1 || r.behind(0) != 0 {
			t.Errorf("state after another change: %+v", r.States()[0])
		}
	})
}

// The pace begins anew with a change, also where an older zone has its turn first and
// what is sent first is lost.
func TestPaceBeginsAnewWithAChange(t *testing.T) {
	for _, gone := range []time.Duration{time.Minute, 5 * time.Minute, 9 * time.Minute, time.Hour, 24 * time.Hour} {
		t.Run(gone.String(), func(t *testing.T) {
			inFakeTime(t, func(r *running) {
				r.Set([]Secondary{{Address: first}})
				r.Serve(manyZones(2, 1))
				r.after(gone)
				r.Serve([]*dns.SOA{soa("z0000.test.", 1), soa("z0001.test.", 2)})
				r.after(2 * time.Second)
				r.set(first, with(dns.RcodeSuccess))
				r.after(5 * time.Second)
				if behind := r.behind(0); behind != 0 {
					t.Errorf("%d zones are not told seven seconds after a change", behind)
				}
			})
		})
	}
}

func TestRefusals(t *testing.T) {
	key := testKey(t, "transfer", "a secret of thirty-two bytes ....")
	for _, one := range []struct {
		name      string
		secondary Secondary
		answer    func(*dns.Msg) *dns.Msg
		signed    []bool // what is sent in the first 16 minutes
		again     []bool // and with the next serial
		problem   string
	}{
		{"signed and taken", Secondary{Key: key, Unsigned: true}, with(0), []bool{true}, []bool{true}, ""},
		{"NOTAUTH to a signed one", Secondary{Key: key, Unsigned: true}, unlessSigned(dns.RcodeNotAuth), []bool{true, false}, []bool{false}, ""},
		{"REFUSED to a signed one", Secondary{Key: key, Unsigned: true}, unlessSigned(dns.RcodeRefused), []bool{true, false}, []bool{false}, ""},
		{"FORMERR to a signed one", Secondary{Key: key, Unsigned: true}, unlessSigned(dns.RcodeFormatError), []bool{true, false}, []bool{false}, ""},
		{"NOTIMP to a signed one", Secondary{Key: key, Unsigned: true}, unlessSigned(dns.RcodeNotImplemented), []bool{true, false}, []bool{false}, ""},
		{"a named key is not left out", Secondary{Key: key}, unlessSigned(dns.RcodeNotAuth), []bool{true, true, true}, []bool{true, true, true}, "answers NOTAUTH"},
		{"REFUSED either way", Secondary{Key: key, Unsigned: true}, with(dns.RcodeRefused), slices.Repeat([]bool{true, false}, 3), slices.Repeat([]bool{true, false}, 3), "answers REFUSED"},
		{"REFUSED without a key", Secondary{}, with(dns.RcodeRefused), []bool{false, false, false}, []bool{false, false, false}, "answers REFUSED: it takes no NOTIFY from this address without a signature"},
		{"NXDOMAIN has nothing to do with keys", Secondary{Key: key, Unsigned: true}, with(dns.RcodeNameError), []bool{true, true, true}, []bool{true, true, true}, "answers NXDOMAIN"},
		{"SERVFAIL passes", Secondary{}, with(dns.RcodeServerFailure), slices.Repeat([]bool{false}, 16), slices.Repeat([]bool{false}, 16), "answers SERVFAIL"},
	} {
		t.Run(one.name, func(t *testing.T) {
			inFakeTime(t, func(r *running) {
				one.secondary.Address = first
				r.set(first, one.answer)
				r.Set([]Secondary{one.secondary})
				for serial, want := range [][]bool{one.signed, one.again} {
					r.Serve([]*dns.SOA{soa("a.test.", uint32(serial+1))})
					var signed []bool
					for _, s := range r.after(16 * time.Minute) {
						signed = append(signed, s.signed)
					}
					if diff := cmp.Diff(want, signed); diff != "" {
						t.Errorf("serial %d, signed: %s", serial+1, diff)
					}
				}
				state := r.States()[0].Zones[0]
				want := StandsCurrent
				switch {
				case strings.Contains(one.problem, "SERVFAIL"):
					want = StandsBehind
				case one.problem != "":
					want = StandsRefused
				}
				if state.Standing() != want || r.Behind("A.test.") != (want == StandsBehind) {
					t.Errorf("it stands %q to the zone, want %q", state.Standing(), want)
				}
				if !strings.HasPrefix(state.Problem, one.problem) || (one.problem == "") != (state.Problem == "") {
					t.Errorf("problem %q, want %q", state.Problem, one.problem)
				}
				events := r.takeEvents()
				if (one.problem != "") != (len(events) == 1) {
					t.Errorf("events: %v", events)
				}
				if one.problem == "" {
					return
				}
				// It is mended, and told again by itself.
				r.set(first, with(dns.RcodeSuccess))
				r.after(15 * time.Minute)
				if state := r.States()[0]; state.Count(StandsCurrent) != 1 || state.Zones[0].Problem != "" {
					t.Errorf("after it is mended: %+v", state)
				}
				if events := r.takeEvents(); len(events) != 1 || events[0].Problem != "" {
					t.Errorf("events: %v", events)
				}
			})
		})
	}
}

// A zone that is new in the catalog is refused until the secondary has read that.
func TestRefusalsPass(t *testing.T) {
	inFakeTime(t, func(r *running) {
		r.set(first, with(dns.RcodeNotAuth))
		r.Set([]Secondary{{Address: first}})
		start := time.Now()
		r.Serve([]*dns.SOA{soa("a.test.", 1)})
		if diff := cmp.Diff([]int64{0, 10_001, 70_002, 970_003, 1_870_004}, times(r.after(40*time.Minute), start)); diff != "" {
			t.Error(diff)
		}
		r.Serve([]*dns.SOA{soa("a.test.", 2)})
		r.after(5 * time.Second)
		r.set(first, with(dns.RcodeSuccess))
		if r.after(6 * time.Second); r.behind(0) != 0 {
			t.Errorf("not acknowledged: %+v", r.States())
		}
	})
}
