package hostnames

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/pool"
)

// stand answers look-ups as it is told, each after a second.
type stand struct {
	sync.Mutex
	answers map[string]finding // by "name A"
	asked   map[string][]time.Time
	running int
	most    int
}

func newStand() *stand {
	return &stand{answers: map[string]finding{}, asked: map[string][]time.Time{}}
}

func (s *stand) set(name string, v4, v6 finding) {
	s.Lock()
	defer s.Unlock()
	s.answers[name+" A"], s.answers[name+" AAAA"] = v4, v6
}

func (s *stand) lookUp(ctx context.Context, name string, kind uint16) finding {
	key := name + " " + dns.TypeToString[kind]
	s.Lock()
	s.asked[key] = append(s.asked[key], time.Now())
	s.running++
	s.most = max(s.most, s.running)
	s.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(time.Second):
	}
	s.Lock()
	defer s.Unlock()
	s.running--
	if ctx.Err() != nil {
		return finding{err: ctx.Err()}
	}
	found, known := s.answers[key]
	if !known {
		return notThere
	}
	return found
}

func (s *stand) times(key string) []time.Time {
	s.Lock()
	defer s.Unlock()
	return s.asked[key]
}

func (s *stand) busy() bool {
	s.Lock()
	defer s.Unlock()
	return s.running > 0
}

func hostNames(names ...string) []pool.HostName {
	var list []pool.HostName
	for _, name := range names {
		list = append(list, pool.HostName{Name: name})
	}
	return list
}

// news is what Tell was told.
type news struct {
	sync.Mutex
	lines []string
}

func (n *news) tell(before, now State) {
	n.Lock()
	defer n.Unlock()
	n.lines = append(n.lines, fmt.Sprintf("%s: %s -> %s (%s)", now.Name.Name, words(before.Addresses()), words(now.Addresses()), now.Problem()))
}

func (n *news) take() string {
	n.Lock()
	defer n.Unlock()
	all := strings.Join(n.lines, "\n")
	n.lines = nil
	return all
}

// start runs a Resolver until the test ends.
func start(t *testing.T, r *Resolver) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

func changed(r *Resolver) bool {
	select {
	case <-r.Changed():
		return true
	default:
		return false
	}
}

func TestResolverFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, told := newStand(), &news{}
		r := New(Config{lookUp: s.lookUp, Tell: told.tell})
		s.set("a.example", answered("8.8.8.1"), noneOfIt)
		start(t, r)
		r.SetNames(hostNames("a.example", "b.example"))
		if err := r.WaitKnown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := words(r.Addresses("a.example")); got != "8.8.8.1" || r.Addresses("b.example") != nil || r.Addresses("c.example") != nil {
			t.Errorf("addresses %s, %v", got, r.Addresses("b.example"))
		}
		if !changed(r) || changed(r) {
			t.Error("the change was not told once")
		}
		synctest.Wait()
		if got := told.take(); !strings.Contains(got, "a.example:  -> 8.8.8.1 ()") || !strings.Contains(got, "b.example:  ->  (A: the name is not there (NXDOMAIN))") {
			t.Errorf("told:\n%s", got)
		}
		// The TTL is a minute; nothing is news of an answer that is the same.
		time.Sleep(70 * time.Second)
		if asked := s.times("a.example A"); len(asked) != 2 || asked[1].Sub(asked[0]) < time.Minute || asked[1].Sub(asked[0]) > 68*time.Second {
			t.Errorf("asked at %v", asked)
		}
		if got := told.take(); got != "" || changed(r) {
			t.Errorf("told though nothing has changed: %s", got)
		}
		s.set("a.example", answered("8.8.8.2"), answered("2606:4700::1"))
		time.Sleep(70 * time.Second)
		if got := words(r.Addresses("a.example")); got != "8.8.8.2 2606:4700::1" || !changed(r) {
			t.Errorf("addresses %s", got)
		}
		if got := told.take(); got != "a.example: 8.8.8.1 -> 8.8.8.2 2606:4700::1 ()" {
			t.Errorf("told: %s", got)
		}
		// It fails for long: the answer stays, it is told once, and asked less and less.
		s.set("a.example", broken, broken)
		time.Sleep(time.Hour)
		if got := words(r.Addresses("a.example")); got != "8.8.8.2 2606:4700::1" || changed(r) {
			t.Errorf("addresses %s", got)
		}
		if got := told.take(); strings.Count(got, "\n") != 0 || !strings.Contains(got, "kept") {
			t.Errorf("told:\n%s", got)
		}
		if asked := s.times("a.example A"); len(asked) < 12 || len(asked) > 20 {
			t.Errorf("asked %d times", len(asked))
		}
		// A name that is not wanted any more is neither asked nor known.
		r.SetNames(hostNames("b.example"))
		before := len(s.times("a.example A"))
		time.Sleep(time.Hour)
		if after := len(s.times("a.example A")); after != before || r.Addresses("a.example") != nil || len(r.States()) != 1 {
			t.Errorf("asked %d more times", after-before)
		}
	})
}

func TestWaitKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand()
		r := New(Config{lookUp: s.lookUp})
		if err := r.WaitKnown(t.Context()); err != nil {
			t.Errorf("without names: %v", err)
		}
		r.SetNames(hostNames("a.example"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := r.WaitKnown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nothing runs: %v", err)
		}
		waited := make(chan error, 1)
		go func() { waited <- r.WaitKnown(t.Context()) }()
		synctest.Wait()
		r.SetNames(nil)
		if err := <-waited; err != nil {
			t.Errorf("a name that is gone was waited for: %v", err)
		}
	})
}

// Many names are asked with a bound, and are spread over time.
func TestManyNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand()
		var names []string
		for i := range 1000 {
			names = append(names, fmt.Sprintf("m%d.example", i))
			s.set(names[i], finding{addresses: addresses("8.8.8.1"), ttl: time.Hour}, finding{empty: true, ttl: time.Hour})
		}
		r := New(Config{lookUp: s.lookUp})
		start(t, r)
		r.SetNames(hostNames(names...))
		if err := r.WaitKnown(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*time.Hour + 45*time.Minute)
		seconds := map[time.Time]int{}
		for _, name := range names {
			asked := s.times(name + " A")
			if len(asked) != 3 {
				t.Fatalf("%s was asked %d times", name, len(asked))
			}
			seconds[asked[2].Truncate(time.Second)]++
		}
		if s.most > 2*concurrency {
			t.Errorf("%d at the same time", s.most)
		}
		if len(seconds) < 200 {
			t.Errorf("the third round is spread over %d seconds", len(seconds))
		}
	})
}

func TestOtherServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand()
		s.set("a.example", broken, broken)
		s.set("b.example", finding{addresses: addresses("8.8.8.1"), ttl: time.Hour}, noneOfIt)
		r := New(Config{lookUp: s.lookUp})
		start(t, r)
		r.SetNames(hostNames("a.example", "b.example"))
		time.Sleep(30 * time.Minute)
		for s.busy() {
			time.Sleep(100 * time.Millisecond)
		}
		a, b := len(s.times("a.example A")), len(s.times("b.example A"))
		r.SetServer("127.0.0.1:53")
		synctest.Wait()
		if len(s.times("a.example A")) != a+1 || len(s.times("b.example A")) != b {
			t.Error("not what failed alone was asked at once")
		}
		r.Refresh()
		synctest.Wait()
		if len(s.times("b.example A")) != b+1 {
			t.Error("not all were asked at once")
		}
		time.Sleep(2 * time.Second)
		a = len(s.times("a.example A"))
		r.SetServer("127.0.0.1:55")
		synctest.Wait()
		r.SetServer("127.0.0.1:54") // while it is being asked
		time.Sleep(2 * time.Second)
		if got := len(s.times("a.example A")); got != a+2 {
			t.Errorf("asked %d times more, want 2", got-a)
		}
	})
}

func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand()
		s.set("a.example", answered("8.8.8.1 8.8.8.2"), answered("2606:4700::1"))
		s.set("b.example", answered("8.8.8.3"), noneOfIt)
		first := New(Config{lookUp: s.lookUp})
		start(t, first)
		first.SetNames(hostNames("a.example", "b.example", "c.example"))
		time.Sleep(5 * time.Second)
		data, err := first.Save()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "c.example") {
			t.Errorf("a name without addresses is kept: %s", data)
		}
		// The resolver is gone when it starts again.
		s.set("a.example", broken, broken)
		second := New(Config{lookUp: s.lookUp})
		if err := second.Restore(data); err != nil {
			t.Fatal(err)
		}
		if again, err := second.Save(); err != nil || string(again) != string(data) {
			t.Errorf("kept before the first names: %s, %v", again, err)
		}
		second.SetNames(hostNames("a.example"))
		// It is known at once, without a look-up.
		if err := second.WaitKnown(t.Context()); err != nil {
			t.Fatal(err)
		}
		start(t, second)
		time.Sleep(time.Hour)
		if got := words(second.Addresses("a.example")); got != "8.8.8.1 8.8.8.2 2606:4700::1" {
			t.Errorf("addresses %s", got)
		}
		if second.SetNames(hostNames("a.example", "b.example")); second.Addresses("b.example") != nil {
			t.Error("what was kept came back later")
		}
		if err := second.Restore(data); err != nil || second.Addresses("b.example") != nil {
			t.Errorf("restored while it runs: %v", err)
		}
	})
}

// What was kept is held against the rules of now.
func TestRestoreRules(t *testing.T) {
	r := New(Config{})
	const data = `{"version": 1, "names": [{"name": "a.example",
		"ipv4": {"addresses": ["127.0.0.1", "8.8.8.2", "8.8.8.1", "2606:4700::1", "8.8.8.1", ""], "said": "2026-11-23T12:00:00Z"},
		"ipv6": {"addresses": ["fe80::1%eth0", "2606:4700::1", "8.8.8.8"]}}]}`
	if err := r.Restore([]byte(data)); err != nil {
		t.Fatal(err)
	}
	r.SetNames(hostNames("a.example"))
	if got := words(r.Addresses("a.example")); got != "8.8.8.1 8.8.8.2 2606:4700::1" {
		t.Errorf("addresses %s", got)
	}
	// A pool that is the administrators' own network may have it.
	r = New(Config{})
	if err := r.Restore([]byte(data)); err != nil {
		t.Fatal(err)
	}
	r.SetNames([]pool.HostName{{Name: "a.example", Inside: true}})
	if got := words(r.Addresses("a.example")); got != "8.8.8.1 8.8.8.2 127.0.0.1 2606:4700::1" {
		t.Errorf("addresses %s", got)
	}
	r.SetNames(hostNames("a.example"))
	if got := words(r.Addresses("a.example")); got != "8.8.8.1 8.8.8.2 2606:4700::1" {
		t.Errorf("addresses %s", got)
	}
}

func FuzzRestore(f *testing.F) {
	f.Add([]byte(`{"version": 1, "names": [{"name": "a.example", "ipv4": {"addresses": ["8.8.8.1"]}, "ipv6": {"addresses": []}}]}`))
	for _, bad := range []string{``, `{}`, `{"version": 2}`, `{"version": 1} x`, `{"version": 1, "more": 1}`, `[]`} {
		if New(Config{}).Restore([]byte(bad)) == nil {
			f.Errorf("%s was restored", bad)
		}
		f.Add([]byte(bad))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := New(Config{})
		if r.Restore(data) != nil {
			return
		}
		r.SetNames(hostNames("a.example", ""))
		if len(r.Addresses("a.example")) > 2*MaxAddresses {
			t.Fatal("more addresses than there may be")
		}
		saved, err := r.Save()
		if err != nil {
			t.Fatal(err)
		}
		if err := New(Config{}).Restore(saved); err != nil {
			t.Fatalf("what was saved is not restored: %v\n%s", err, saved)
		}
	})
}
