package health_test

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/health"
	"mirrorpool/zones"
)

// simulation is a node with its mirrors and its clients in a bubble of synctest: the
// prober and the tables are the real ones, and so are the checks, over pipes. Clients
// resolve through resolvers that keep an answer for its TTL, and fetch from the first
// address. What they fetch, and what fails, is what the tests look at.
type simulation struct {
	*testing.T
	prober  *health.Prober
	content struct {
		definition *pool.Definition
		static     *zones.Static
	}
	table    atomic.Pointer[zones.Table]
	compiled atomic.Int64 // tables so far
	start    time.Time
	stop     func()

	mu      sync.Mutex
	random  *rand.Rand
	mirrors map[netip.Addr]*mirror
	control string        // what control addresses do: "answers" or "silent"
	cut     map[bool]bool // whether the node's network is cut off, by "is IPv6"
	ahead   time.Duration // of the node's wall clock
	fetched []fetch
}

// mirror is a server that can be reached or not. It is written under mu.
type mirror struct {
	id string
	// answers tells of one request whether it is answered, and how.
	answers func() int // a status; 0: the connection is refused
}

// fetch is one download of a client.
type fetch struct {
	at     time.Duration
	ipv6   bool
	mirror string
	failed bool
	asked  time.Duration // when the resolver asked, and for how long it keeps the answer
	ttl    time.Duration
}

const (
	resolvers = 60               // of each family
	pause     = 20 * time.Second // between two downloads of a resolver's clients
)

// settings are those of the simulated pool that differ between tests.
type settings struct {
	members int
	ttl     int
	more    string // keys of "health", each with a comma before it
	pool    string // keys of the pool, each with a comma before it
	control bool
}

// simulate runs a node until stop is called, or the test ends.
func simulate(t *testing.T, set settings) *simulation {
	t.Helper()
	s := &simulation{
		T: t, start: time.Now(), random: rand.New(rand.NewPCG(1, 2)), mirrors: map[netip.Addr]*mirror{},
		control: "answers", cut: map[bool]bool{},
	}
	s.parse(set)
	s.prober = health.NewProber(health.Config{Dial: s.dial, Now: s.wall, Random: rand.NewPCG(3, 4)})
	if set.control {
		s.prober.SetControl([]netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53"), netip.MustParseAddrPort("[fd00::53]:53")})
	}
	s.prober.SetTargets(health.Targets(s.content.definition))
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	s.stop = sync.OnceFunc(func() {
		cancel()
		all.Wait()
	})
	t.Cleanup(s.stop)
	all.Go(func() {
		if err := s.prober.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := s.prober.WaitKnown(ctx); err != nil {
		t.Fatal(err)
	}
	s.compile()
	all.Go(func() { s.follow(ctx) })
	for i := range 2 * resolvers {
		all.Go(func() { s.resolver(ctx, i%2 == 1, time.Duration(i)*pause/(2*resolvers)) })
	}
	return s
}

func (s *simulation) parse(set settings) {
	s.Helper()
	var members []string
	for i := range set.members {
		four, six := netip.AddrFrom4([4]byte{127, 1, 0, byte(i)}), netip.AddrFrom16([16]byte{0: 0xfd, 15: byte(i)})
		id := fmt.Sprintf("m%d", i)
		m := &mirror{id: id, answers: always(http.StatusOK)}
		s.mirrors[four], s.mirrors[six] = m, m
		members = append(members, fmt.Sprintf(`{"id": %q, "addresses": [%q, %q], "weight": 10}`, id, four, six))
	}
	pools := fmt.Sprintf(`{"version": 1, "pools": [{"name": "dl.example.test", "ttl": %d, "answers": 2%s,
		"geo": {"policy": "none"},
		"health": {"check": "http", "port": 80, "path": "/trace", "interval": "30s", "timeout": "5s", "down_after": 3, "up_after": 5%s},
		"members": [%s]}]}`, set.ttl, set.pool, set.more, strings.Join(members, ",\n"))
	definition, problems := pool.Parse(fstest.MapFS{
		"pools.json":              {Data: []byte(pools)},
		"zones/example.test.zone": {Data: []byte("$ORIGIN example.test.\n$TTL 3600\n@ IN SOA ns hostmaster 1 7200 900 1209600 60\n@ IN NS ns\nns IN A 127.0.0.1\n")},
	})
	if definition == nil {
		s.Fatal(problems)
	}
	static, problems := zones.Parse(definition)
	if static == nil {
		s.Fatal(problems)
	}
	s.content.definition, s.content.static = definition, static
}

func always(status int) func() int { return func() int { return status } }

// wall is the node's wall clock.
func (s *simulation) wall() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.ahead)
}

// follow is what the compile loop does.
func (s *simulation) follow(ctx context.Context) {
	for {
		due := (<-chan time.Time)(nil)
		if at := s.table.Load().Due(); !at.IsZero() {
			due = time.After(min(max(at.Sub(s.wall()), 10*time.Millisecond), time.Minute))
		}
		select {
		case <-ctx.Done():
			return
		case <-s.prober.Changed():
			time.Sleep(20 * time.Millisecond)
		case <-due:
			if s.wall().Before(s.table.Load().Due()) {
				continue
			}
		}
		s.compile()
	}
}

func (s *simulation) compile() {
	input := zones.Input{
		Definition: s.content.definition, Static: s.content.static, Health: s.prober.Report(),
		Geo: geo.NewMap(nil), Commit: "one", Now: s.wall(), Previous: s.table.Load(),
	}
	if input.Previous != nil {
		input.Serials = input.Previous.Serials()
	}
	table, err := zones.Compile(input)
	if err != nil {
		s.Error(err)
		return
	}
	s.table.Store(table)
	s.compiled.Add(1)
}

// resolver asks for its clients, who fetch one thing after the other.
func (s *simulation) resolver(ctx context.Context, ipv6 bool, phase time.Duration) {
	kind := dns.TypeA
	if ipv6 {
		kind = dns.TypeAAAA
	}
	var kept []netip.Addr
	var until time.Time
	one := fetch{ipv6: ipv6}
	random := rand.NewPCG(uint64(phase), 7)
	sleep := phase
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(sleep):
		}
		sleep = pause
		if now := time.Now(); !now.Before(until) {
			kept = kept[:0]
			one.asked = now.Sub(s.start)
			answer := s.table.Load().Answer(zones.Question{Name: "dl.example.test.", Type: kind}, random)
			for _, record := range answer.Answer {
				one.ttl = time.Duration(record.Header().Ttl) * time.Second
				until = now.Add(one.ttl)
				switch r := record.(type) {
				case *dns.A:
					address, _ := netip.AddrFromSlice(r.A.To4())
					kept = append(kept, address)
				case *dns.AAAA:
					address, _ := netip.AddrFromSlice(r.AAAA)
					kept = append(kept, address)
				}
			}
		}
		s.fetch(one, kept)
	}
}

func (s *simulation) fetch(one fetch, kept []netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.at, one.failed = time.Since(s.start), true
	if len(kept) > 0 {
		m := s.mirrors[kept[0]]
		one.mirror, one.failed = m.id, m.answers() != http.StatusOK
	}
	s.fetched = append(s.fetched, one)
}

// dial is the node's network.
func (s *simulation) dial(ctx context.Context, _, address string) (net.Conn, error) {
	at := netip.MustParseAddrPort(address)
	s.mu.Lock()
	cut, control, m := s.cut[at.Addr().Is6()], s.control, s.mirrors[at.Addr()]
	status := 0
	if !cut && m != nil {
		status = m.answers()
	}
	s.mu.Unlock()
	switch {
	case cut && at.Addr().Is6():
		return nil, fmt.Errorf("connecting: %w", syscall.ENETUNREACH) // at once
	case cut, m == nil && control == "silent":
		<-ctx.Done()
		return nil, ctx.Err()
	case m != nil && status == 0:
		return nil, fmt.Errorf("connecting: %w", syscall.ECONNREFUSED)
	}
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		if _, err := http.ReadRequest(bufio.NewReader(theirs)); err != nil {
			return
		}
		body := fmt.Sprint(time.Now().Add(-time.Hour).Unix()) // by the right time
		fmt.Fprintf(theirs, "HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
	}()
	return ours, nil
}

// change changes the simulated world.
func (s *simulation) change(what func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what()
}

// turn makes mirrors answer with a status, or refuse with 0.
func (s *simulation) turn(status int, members ...int) {
	s.behave(always(status), members...)
}

// behave makes mirrors answer as a function says.
func (s *simulation) behave(answers func() int, members ...int) {
	s.change(func() {
		for _, i := range members {
			s.mirrors[netip.AddrFrom4([4]byte{127, 1, 0, byte(i)})].answers = answers
		}
	})
}

// traffic is what clients fetched in some time.
type traffic struct {
	of            map[string]int
	total, failed int
}

// share is a mirror's part of all.
func (t traffic) share(i int) float64 { return float64(t.of[fmt.Sprintf("m%d", i)]) / float64(t.total) }

// during lets some time pass and gives what was fetched in it, over both families or
// one: "ipv4", "ipv6".
func (s *simulation) during(length time.Duration, families ...string) traffic {
	begin := time.Since(s.start)
	time.Sleep(length)
	return s.between(begin, begin+length, families...)
}

func (s *simulation) between(begin, end time.Duration, families ...string) traffic {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := traffic{of: map[string]int{}}
	for _, one := range s.fetched {
		family := map[bool]string{false: "ipv4", true: "ipv6"}[one.ipv6]
		if one.at < begin || one.at >= end || len(families) > 0 && !slices.Contains(families, family) {
			continue
		}
		seen.total++
		seen.of[one.mirror]++
		if one.failed {
			seen.failed++
		}
	}
	return seen
}

// even checks that of all mirrors those named get all traffic, each about the same.
func (s *simulation) even(what string, seen traffic, members ...int) {
	s.Helper()
	want := map[string]bool{}
	for _, i := range members {
		want[fmt.Sprintf("m%d", i)] = true
		if share, fair := seen.share(i), 1/float64(len(members)); share < fair/2 || share > fair*1.6 {
			s.Errorf("%s: m%d has a share of %.3f, expected about %.3f: %v", what, i, share, fair, seen.of)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(seen.of)) {
		if !want[id] {
			s.Errorf("%s: %s gets %d of %d downloads, expected none", what, id, seen.of[id], seen.total)
		}
	}
}

func (s *simulation) frozen() string {
	var all []string
	for _, f := range s.prober.Report().Freezes() {
		all = append(all, string(f.Family))
	}
	return strings.Join(all, " ")
}

// isolated runs a test in a bubble of its own.
func isolated(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}
