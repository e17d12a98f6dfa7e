package alert

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// receiver is a sender that keeps what it is sent, and fails when it is told to.
type receiver struct {
	mutex sync.Mutex
	got   []*message
	at    []time.Time
	err   error
	tries int
	hang  bool
}

func (r *receiver) send(ctx context.Context, m *message) error {
	r.mutex.Lock()
	r.tries++
	err, hang := r.err, r.hang
	r.mutex.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if err == nil || errors.As(err, &partly{}) {
		r.got = append(r.got, m)
		r.at = append(r.at, time.Now())
	}
	return err
}

func (r *receiver) fail(err error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.err = err
}

// take gives what has come since the last take, one line for each notice.
func (r *receiver) take() []string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var lines []string
	for i, m := range r.got {
		for j := range m.notices {
			to := ""
			if m.operator != "" {
				to = "to " + m.operator + " "
			}
			lines = append(lines, fmt.Sprintf("%s%d %s %s", to, i, m.notices[j].status, m.notices[j].event.Key))
		}
		if m.omitted > 0 {
			lines = append(lines, fmt.Sprintf("%d omitted %d", i, m.omitted))
		}
	}
	r.got, r.at = nil, nil
	return lines
}

// room is a Center in a bubble of its own time, with receivers in place of its ways.
type room struct {
	t      *testing.T
	center *Center
	disk   *[]byte
	told   *[]Told
	mutex  *sync.Mutex
	stop   func()
}

func enter(t *testing.T, disk *[]byte, ways ...Way) *room {
	t.Helper()
	r := &room{t: t, disk: disk, told: &[]Told{}, mutex: &sync.Mutex{}}
	var err error
	r.center, err = New(Config{
		Node: "node", Kept: *disk,
		Keep: func(data []byte) error { *disk = data; return nil },
		Tell: func(told Told) {
			r.mutex.Lock()
			defer r.mutex.Unlock()
			*r.told = append(*r.told, told)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.center.Set(ways); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.center.Run(ctx)
	}()
	r.stop = func() {
		cancel()
		<-ended
	}
	return r
}

// messages are those that have come since the last take.
func (r *receiver) messages() []*message {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return slices.Clone(r.got)
}

// tried is how often it was tried to send.
func (r *receiver) tried() int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.tries
}

// said is what was told of messages.
func (r *room) said() []Told {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return slices.Clone(*r.told)
}

// troubles are those that are known.
func (r *room) troubles() map[string]*trouble {
	r.center.mutex.Lock()
	defer r.center.mutex.Unlock()
	return maps.Clone(r.center.troubles)
}

// way is one to a receiver.
func way(name string, to sender) Way {
	return Way{Name: name, Wait: time.Minute, AtMost: Limit{10, time.Hour}, Repeat: 24 * time.Hour, Timeout: time.Second, test: to}
}

func down(key string) Event {
	return Event{Key: key, Kind: State, Severity: Warning, Subject: key, Words: "is down: refused"}
}

// pass lets time pass, and all of the bubble come to rest.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestTroubleAndItsEndAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, disk := &receiver{}, []byte(nil)
		r := enter(t, &disk, way("a", to))
		defer r.stop()
		r.center.Report(down("a"))
		pass(30 * time.Second)
		r.center.Report(down("b"))
		r.center.Report(down("a")) // is known
		expect(t, "before the wait is over", to.take())
		pass(31 * time.Second)
		expect(t, "together", to.take(), "0 trouble a", "0 trouble b")
		r.center.Resolve("a", "is up again")
		r.center.Resolve("unknown", "")
		r.center.Report(down("c"))
		r.center.Resolve("c", "is up again") // within the wait
		pass(2 * time.Minute)
		expect(t, "the end goes to who was told, and of nothing else", to.take(), "0 over a")
		pass(24 * time.Hour)
		expect(t, "what lasts is told of again", to.take(), "0 reminder b")
		pass(24*time.Hour + time.Minute)
		expect(t, "and again", to.take(), "0 reminder b")
	})
}

// TestEvidenceIsTheLast holds that a message tells what was seen last, and not what was
// seen when the trouble began.
func TestEvidenceIsTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, disk := &receiver{}, []byte(nil)
		r := enter(t, &disk, way("a", to))
		defer r.stop()
		for _, seen := range []string{"asked at 1", "asked at 2"} {
			event := down("a")
			event.Evidence = []string{seen}
			r.center.Settle(State, []Event{event}, nil)
			pass(20 * time.Second)
		}
		pass(time.Minute)
		if got := to.messages(); len(got) != 1 || !strings.Contains(got[0].text(), "asked at 2") {
			t.Errorf("got %d messages, the first with %q", len(got), got[0].text())
		}
	})
}

func TestEndNamesTheMessageOfTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, disk := &receiver{}, []byte(nil)
		r := enter(t, &disk, way("a", to))
		defer r.stop()
		r.center.Report(down("a"))
		pass(25 * time.Hour)
		r.center.Resolve("a", "is up")
		pass(2 * time.Minute)
		if len(to.messages()) != 3 {
			t.Fatalf("%d messages", len(to.messages()))
		}
		for _, later := range to.messages()[1:] {
			if got := later.threads(); !slices.Equal(got, []string{to.messages()[0].id}) {
				t.Errorf("%s: threads %q, the first is %s", later.notices[0].status, got, to.messages()[0].id)
			}
		}
		if got := to.messages()[2].text(); !strings.Contains(got, "a is up\n  from 2000-01-01 00:00:00 UTC to 2000-01-02 01:00:00 UTC (1d1h)") {
			t.Errorf("the end: %s", got)
		}
	})
}

func TestStormIsAHandfulOfMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, disk := &receiver{}, []byte(nil)
		w := way("a", to)
		w.AtMost = Limit{3, time.Hour}
		r := enter(t, &disk, w)
		defer r.stop()
		for i := range 10_000 {
			r.center.Report(down(fmt.Sprintf("m%05d", i)))
			if i%500 == 0 {
				pass(5 * time.Second)
			}
		}
		pass(2 * time.Minute)
		if len(to.messages()) != 2 {
			t.Errorf("%d messages for 10,000 troubles within 100 s, want 2", len(to.messages()))
		}
		told := 0
		for _, m := range to.messages() {
			told += len(m.notices) + m.omitted
			if len(m.notices) > maxNotices || len(m.text()) > 64<<10 {
				t.Errorf("a message of %d notices, %d bytes", len(m.notices), len(m.text()))
			}
		}
		if told != 10_000 {
			t.Errorf("%d of 10,000 told", told)
		}
		to.take()
		for i := range 10_000 {
			r.center.Resolve(fmt.Sprintf("m%05d", i), "is up")
			if i%250 == 0 {
				pass(5 * time.Second)
			}
		}
		pass(50 * time.Minute)
		if n := len(to.messages()); n != 1 {
			t.Errorf("%d messages for the end, where the limit leaves 1", n)
		}
		pass(30 * time.Minute)
		last := to.messages()[len(to.messages())-1]
		if len(to.messages()) != 2 || last.heldBack < 1000 || !strings.Contains(last.text(), "Held back since") {
			t.Errorf("%d messages, the last with %d held back", len(to.messages()), last.heldBack)
		}
		pass(2 * time.Hour)
		if len(r.troubles()) != 0 {
			t.Errorf("%d troubles are remembered", len(r.troubles()))
		}
	})
}

func TestRoomIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, disk := &receiver{hang: true}, []byte(nil)
		r := enter(t, &disk, way("a", to))
		defer r.stop()
		for i := range maxTroubles + 100 {
			r.center.Report(down(fmt.Sprint(i)))
		}
		if n := len(r.troubles()); n != maxTroubles {
			t.Errorf("%d troubles", n)
		}
		if n := counted(t, r.center, "mirrorpool_alerts_dropped_total"); n != 100 {
			t.Errorf("%g dropped, want 100", n)
		}
		for i := range 200 {
			r.center.Resolve(fmt.Sprint(i), "")
		}
		pass(time.Second)
		r.center.Report(down("new"))
		if r.troubles()["new"] == nil {
			t.Error("what nobody was told of and is over has not made room")
		}
	})
}

func TestFlappingIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, disk := &receiver{}, []byte(nil)
		r := enter(t, &disk, way("a", to))
		defer r.stop()
		for range 40 {
			r.center.Report(down("a"))
			pass(40 * time.Second)
			r.center.Resolve("a", "is up")
			pass(40 * time.Second)
		}
		expect(t, "while it comes and goes", to.take(), "0 flapping a")
		pass(28 * time.Minute)
		expect(t, "not yet quiet", to.take())
		pass(4 * time.Minute)
		expect(t, "quiet", to.take(), "0 over a")

		for range 4 {
			r.center.Report(down("b"))
			pass(2 * time.Minute)
			r.center.Resolve("b", "is up")
			pass(2 * time.Minute)
		}
		expect(t, "slower", to.take(), "0 trouble b", "1 over b", "2 trouble b", "3 over b", "4 flapping b")
		r.center.Report(down("b"))
		pass(29 * time.Minute)
		expect(t, "down for good, not yet certain", to.take())
		pass(3 * time.Minute)
		expect(t, "down for good", to.take(), "0 trouble b")
	})
}

func TestRestartRepeatsNothingAndForgetsNoEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, disk := &receiver{}, []byte(nil)
		r := enter(t, &disk, way("a", to))
		r.center.Report(down("a"))
		r.center.Report(down("b"))
		pass(2 * time.Minute)
		expect(t, "before", to.take(), "0 trouble a", "0 trouble b")
		r.center.Report(down("c"))
		pass(time.Second)
		r.stop()

		r = enter(t, &disk, way("a", to))
		pass(10 * time.Second)
		r.center.Settle(State, []Event{down("a"), down("c")}, nil)
		pass(2 * time.Minute)
		expect(t, "after", to.take(), "0 trouble c", "0 over b")
		r.stop()

		// One without the way keeps what the way was told.
		other := &receiver{}
		r = enter(t, &disk, way("other", other))
		pass(2 * time.Minute)
		expect(t, "a new way hears of all", other.take(), "0 trouble a", "0 trouble c")
		r.stop()
		r = enter(t, &disk, way("a", to))
		r.center.Settle(State, nil, func(key string) (string, bool) { return "is up", key == "a" })
		pass(2 * time.Minute)
		expect(t, "the way is back", to.take(), "0 over a")
		r.stop()
		expect(t, "who is not there is not told", other.take())
	})
}

func TestDamagedStateBeginsAnew(t *testing.T) {
	for _, data := range []string{"", "{", `{"version":2}`, `{"version":1,"troubles":[null,{}],"ways":{"a":null}}`} {
		c, err := New(Config{Kept: []byte(data)})
		if want := data != `{"version":1,"troubles":[null,{}],"ways":{"a":null}}`; (err != nil) != want {
			t.Errorf("%q: %v", data, err)
		}
		c.Report(down("a"))
		if len(c.troubles) != 1 {
			t.Errorf("%q: %d troubles", data, len(c.troubles))
		}
	}
}

func TestFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, disk := &receiver{}, &receiver{}, []byte(nil)
		first, second := way("a", a), way("b", b)
		first.Events = []Kind{Commit, State}
		first.Pools = []string{"one.example"}
		second.Events = []Kind{Stage}
		r := enter(t, &disk, first, second)
		defer r.stop()
		in, out := down("in"), down("out")
		in.Pools, out.Pools = []string{"one.example", "two.example"}, []string{"two.example"}
		r.center.Report(in)
		r.center.Report(out)
		r.center.Report(Event{Key: "commit", Kind: Commit, Severity: Error})
		r.center.Report(Event{Key: "stage", Kind: Stage})
		pass(2 * time.Minute)
		expect(t, "by kind and pool", a.take(), "0 trouble commit", "0 trouble in")
		expect(t, "by kind", b.take(), "0 trouble stage")
		// Another configuration does not want it any more: its end is told all the same.
		first.Events = []Kind{Flag}
		if err := r.center.Set([]Way{first, second}); err != nil {
			t.Fatal(err)
		}
		r.center.Resolve("in", "")
		pass(2 * time.Minute)
		expect(t, "the end", a.take(), "0 over in")
	})
}

func TestStaleIsToldAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, disk := &receiver{}, []byte(nil)
		w := way("a", to)
		w.StaleAfter = time.Hour
		r := enter(t, &disk, w)
		defer r.stop()
		r.center.Report(Event{Key: "source", Kind: Stale, Begin: time.Now().Add(-10 * time.Minute)})
		pass(49 * time.Minute)
		expect(t, "too soon", to.take())
		pass(3 * time.Minute)
		expect(t, "an hour after it began", to.take(), "0 trouble source")
	})
}

func TestOnceIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, disk := &receiver{}, []byte(nil)
		r := enter(t, &disk, way("a", to))
		defer r.stop()
		flag := Event{Key: "flag", Kind: Flag, Once: true}
		for range 30 {
			r.center.Report(flag)
			pass(24 * time.Hour)
		}
		expect(t, "while it is reported", to.take(), "0 notice flag")
		r.center.Settle(Flag, nil, nil)
		pass(2 * time.Minute)
		expect(t, "its end", to.take(), "0 over flag")
		pass(72 * time.Hour)
		r.center.Report(flag)
		pass(2 * time.Minute)
		expect(t, "later", to.take(), "0 notice flag")
	})
}

func TestDryRunPrints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, disk := &receiver{}, []byte(nil)
		w := way("a", to)
		w.DryRun = true
		r := enter(t, &disk, w)
		defer r.stop()
		r.center.Report(down("a"))
		pass(3 * time.Minute)
		told := r.said()
		if to.tried() != 0 || len(told) != 1 || !strings.Contains(told[0].Text, "- a is down: refused\n") {
			t.Errorf("%d sent, told %+v", to.tried(), told)
		}
	})
}

// TestDryRunTellsNobody holds that what a dry run has printed is told once it ends, and
// that what was told before it is not told again.
func TestDryRunTellsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, disk := &receiver{}, []byte(nil)
		sent := way("a", to)
		dry := sent
		dry.DryRun = true
		r := enter(t, &disk, sent)
		defer func() { r.stop() }()
		set := func(w Way) {
			t.Helper()
			if err := r.center.Set([]Way{w}); err != nil {
				t.Fatal(err)
			}
		}
		r.center.Report(down("before"))
		r.center.Report(down("meanwhile over"))
		pass(3 * time.Minute)
		expect(t, "before the dry run", to.take(), "0 trouble before", "0 trouble meanwhile over")
		set(dry)
		r.center.Report(down("in it"))
		r.center.Resolve("meanwhile over", "is up")
		pass(2 * time.Hour)
		expect(t, "in the dry run", to.take())
		r.stop()
		r = enter(t, &disk, dry)
		pass(10 * time.Minute)
		set(sent)
		pass(3 * time.Minute)
		expect(t, "after the dry run", to.take(), "0 trouble in it", "0 over meanwhile over")
		r.center.Resolve("in it", "is up")
		pass(5 * time.Minute)
		expect(t, "the end", to.take(), "0 over in it")
	})
}

func TestClockThatIsSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, disk := &receiver{}, []byte(nil)
		c, err := New(Config{Now: func() time.Time { return time.Now().Add(1000 * time.Hour) }, Keep: func(data []byte) error { disk = data; return nil }})
		if err != nil {
			t.Fatal(err)
		}
		w := way("a", to)
		w.AtMost.Count = 1
		if err := c.Set([]Way{w}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		c.Report(down("told"))
		time.AfterFunc(4*time.Minute, func() { c.Report(down("pending")) })
		c.Run(ctx)
		expect(t, "in the future", to.take(), "0 trouble told")
		r := enter(t, &disk, w)
		defer r.stop()
		pass(2 * time.Minute)
		expect(t, "by the right clock", to.take(), "0 trouble pending")
		pass(25 * time.Hour)
		expect(t, "the reminders, together", to.take(), "0 reminder pending", "0 reminder told")
	})
}
