package notify

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"mirrorpool/dnsserver/tsig"
)

// running is a Notifier in fake time.
type running struct {
	*Notifier
	*network
	t *testing.T

	mutex  sync.Mutex
	events []Event
}

// inFakeTime runs a test with a Notifier that runs, and ends it.
func inFakeTime(t *testing.T, test func(r *running)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &running{network: newNetwork(t), t: t}
		r.Notifier = newNotifier(r.network.exchange, func(e Event) {
			r.mutex.Lock()
			defer r.mutex.Unlock()
			r.events = append(r.events, e)
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r.Run(ctx)
		}()
		test(r)
		cancel()
		<-ended
	})
}

// after lets that time pass and gives what was sent in it.
func (r *running) after(d time.Duration) []sent {
	time.Sleep(d)
	synctest.Wait()
	return r.take()
}

// behind counts the zones whose serial a secondary has not acknowledged.
func (r *running) behind(secondary int) int {
	state := r.States()[secondary]
	return len(state.Zones) - state.Count(StandsCurrent)
}

func (r *running) takeEvents() []Event {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	taken := r.events
	r.events = nil
	return taken
}

// times are those of what was sent, in whole milliseconds after a start.
func times(list []sent, start time.Time) []int64 {
	at := []int64{}
	for _, one := range list {
		at = append(at, one.at.Sub(start).Milliseconds())
	}
	return at
}

func TestEveryoneIsToldOnceAndThenOfChanges(t *testing.T) {
	inFakeTime(t, func(r *running) {
		r.set(first, with(dns.RcodeSuccess))
		r.set(second, with(dns.RcodeSuccess))
		r.Set([]Secondary{{Address: first}, {Address: second}})
		r.Serve([]*dns.SOA{soa("a.test.", 1), soa("b.test.", 1)})
		if got := r.after(time.Hour); len(got) != 4 {
			t.Fatalf("after the start %d NOTIFYs, want one for each secondary and zone", len(got))
		}
		r.Serve([]*dns.SOA{soa("a.test.", 1), soa("b.test.", 1)})
		if got := r.after(time.Hour); len(got) != 0 {
			t.Fatalf("nothing has changed, and %d NOTIFYs are sent", len(got))
		}
		r.Serve([]*dns.SOA{soa("a.test.", 1), soa("B.test.", 2)})
		got := r.after(time.Hour)
		if len(got) != 2 || got[0].apex() != "b.test." || got[0].serial() != 2 || got[0].to == got[1].to {
			t.Fatalf("one zone has changed: %v", got)
		}
		if at := got[0].at; time.Since(at) < time.Hour {
			t.Errorf("it is told after %s", time.Hour-time.Since(at))
		}
		for _, state := range r.States() {
			if state.Count(StandsCurrent) != 2 || state.Silent || len(state.Zones) != 2 || state.Zones[1].Acknowledged != 2 {
				t.Errorf("state: %+v", state)
			}
		}
		if diff := cmp.Diff(Counts{Acknowledged: 6, Ignored: 0}, r.Counts()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestMessage(t *testing.T) {
	inFakeTime(t, func(r *running) {
		r.set(first, with(dns.RcodeSuccess))
		r.Set([]Secondary{{Address: first, Key: testKey(t, "transfer", "a secret of thirty-two bytes ....")}})
		r.Serve([]*dns.SOA{soa("Example.test.", 7)})
		got := r.after(time.Second)
		if len(got) != 1 {
			t.Fatalf("%d NOTIFYs", len(got))
		}
		m := got[0].message
		want := dns.MsgHdr{Id: m.Id, Opcode: dns.OpcodeNotify, Authoritative: true}
		if m.MsgHdr != want {
			t.Errorf("header %v, want %v", m.MsgHdr, want)
		}
		if diff := cmp.Diff([]dns.Question{{Name: "example.test.", Qtype: dns.TypeSOA, Qclass: dns.ClassINET}}, m.Question); diff != "" {
			t.Error(diff)
		}
		if len(m.Answer) != 1 || got[0].serial() != 7 || len(m.Ns) != 0 || len(m.Extra) != 1 || !got[0].signed {
			t.Errorf("sections: %v", m)
		}
	})
}

// The SOA record is a hint, which is left out where 512 bytes have no room for it.
func TestLongNamesLeaveNoRoomForTheHint(t *testing.T) {
	key := testKey(t, "transfer", "x")
	for length := 1; length <= 240; length++ {
		name := ""
		for rest := length; rest > 0; rest -= 60 {
			name += strings.Repeat("x", min(rest, 60)) + "."
		}
		record := soa("a.test.", 1)
		record.Ns, record.Mbox = name, strings.ReplaceAll(name, "x", "y")
		for _, key := range []*tsig.Key{nil, key} {
			request, err := newRequest("a.test.", record, key, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			var message dns.Msg
			if err := message.Unpack(request.packet); err != nil {
				t.Fatal(err)
			}
			record.Hdr.Rdlength = 0
			whole := &dns.Msg{Question: message.Question, Answer: []dns.RR{record}, Compress: true}
			size := whole.Len()
			if key != nil {
				size += key.Size()
			}
			if len(request.packet) > plainSize || (len(message.Answer) == 1) != (size <= plainSize) {
				t.Errorf("names of %d: %d bytes with %d records, where all would be %d", length, len(request.packet), len(message.Answer), size)
			}
		}
	}
}

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

func TestStormsBecomeTheNewestSerial(t *testing.T) {
	inFakeTime(t, func(r *running) {
		r.set(first, with(dns.RcodeSuccess))
		r.Set([]Secondary{{Address: first}, {Address: second}})
		for serial := range uint32(10_000) {
			r.Serve([]*dns.SOA{soa("a.test.", 1+serial)})
			time.Sleep(time.Millisecond)
		}
		got := r.after(time.Second)
		if count := len(got); count < 20 || count > 45 { // ten seconds, two a second to each
			t.Errorf("%d NOTIFYs", count)
		}
		last := slices.DeleteFunc(got, func(s sent) bool { return s.to != first })
		if serial := last[len(last)-1].serial(); serial != 10_000 {
			t.Errorf("the last serial told is %d", serial)
		}
		for i := 1; i < len(last); i++ {
			if gap := last[i].at.Sub(last[i-1].at); gap < leastGap {
				t.Errorf("%s between two NOTIFYs", gap)
			}
		}
		if r.behind(0) != 0 {
			t.Errorf("state: %+v", r.States()[0])
		}
	})
}

func TestUnderWayIsBounded(t *testing.T) {
	inFakeTime(t, func(r *running) {
		var list []Secondary
		for i := range uint16(20) {
			address := netip.AddrPortFrom(first.Addr(), 5300+i)
			r.set(address, with(dns.RcodeSuccess))
			list = append(list, Secondary{Address: address})
		}
		r.Set(list)
		r.Serve(manyZones(200, 1))
		if got := r.after(10 * time.Second); len(got) != 4000 {
			t.Errorf("%d NOTIFYs, want 20 times 200", len(got))
		}
		if r.most != maxUnderWayOneSecondary || r.mostAll != maxUnderWay {
			t.Errorf("under way at most %d to one and %d to all", r.most, r.mostAll)
		}
		for _, state := range r.States() {
			if state.Count(StandsCurrent) != 200 {
				t.Errorf("%s is behind with %d", state.Address, state.Count(StandsBehind))
			}
		}
	})
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

func TestListChanges(t *testing.T) {
	key, other := testKey(t, "transfer", "a secret of thirty-two bytes ...."), testKey(t, "transfer", "another")
	inFakeTime(t, func(r *running) {
		r.set(first, with(dns.RcodeSuccess))
		r.Serve(manyZones(3, 1))
		steps := []struct {
			name string
			list []Secondary
			want int
		}{
			{"one comes", []Secondary{{Address: first, Key: key}}, 3},
			{"it stays", []Secondary{{Address: first, Key: testKey(t, "transfer", "a secret of thirty-two bytes ....")}}, 0},
			{"another one comes, which is gone", []Secondary{{Address: second}, {Address: first, Key: key}}, 3},
			{"that leaves", []Secondary{{Address: first, Key: key}}, 0},
			{"nobody is left", nil, 0},
			{"it comes back", []Secondary{{Address: first, Key: key}}, 3},
		}
		for _, step := range steps {
			r.Set(step.list)
			if synctest.Wait(); len(step.list) == 1 && r.waitingFor(second) != 0 {
				t.Errorf("%s: %d NOTIFYs to one that left are under way", step.name, r.waitingFor(second))
			}
			if got := r.after(800 * time.Millisecond); len(got) != step.want {
				t.Errorf("%s: %d NOTIFYs, want %d", step.name, len(got), step.want)
			}
			if len(r.States()) != len(step.list) {
				t.Errorf("%s: %d states", step.name, len(r.States()))
			}
		}
		r.Set([]Secondary{{Address: first, Key: other}})
		if got := r.after(800 * time.Millisecond); len(got) != 3 {
			t.Errorf("another secret: %d NOTIFYs", len(got))
		}
		if problem := r.States()[0].Zones[0].Problem; problem != "" && !strings.Contains(problem, "no answer") {
			t.Errorf("an answer without a signature: %q", problem)
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

func TestZonesLeave(t *testing.T) {
	inFakeTime(t, func(r *running) {
		r.Set([]Secondary{{Address: first}})
		r.Serve(manyZones(100, 1))
		r.after(10 * time.Second)
		r.Serve(manyZones(1, 1))
		if got := r.after(time.Hour); slices.ContainsFunc(got, func(s sent) bool { return s.apex() != "z0000.test." }) {
			t.Error("a zone that left is told")
		}
		if got := len(r.States()[0].Zones); got != 1 {
			t.Errorf("%d zones in the state", got)
		}
		// It comes back with the serial that it had, and is told.
		r.set(first, with(dns.RcodeSuccess))
		r.Serve(manyZones(2, 1))
		r.after(time.Hour)
		if r.behind(0) != 0 {
			t.Errorf("state: %+v", r.States()[0])
		}
	})
}

func TestEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newNetwork(t)
		n := newNotifier(network.exchange, nil)
		n.Set([]Secondary{{Address: first}})
		n.Serve(manyZones(50, 1))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		start := time.Now()
		n.Run(ctx)
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("Run ends after %s", took)
		}
		if n.Counts()[Silent] != 0 {
			t.Error("what was cut off is counted as silence")
		}
	})
}
