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
