package dnsserver

import (
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

func TestRateLimitsValidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits RateLimits
		want   string // in the error; empty: none
	}{
		{"nothing", RateLimits{}, ""},
		{"the defaults", DefaultRateLimits(), ""},
		{"the most", RateLimits{PerSecond: 1_000_000_000, Slip: 1 << 40}, ""},
		{"too many", RateLimits{PerSecond: 1_000_000_001}, "dns.rrl.responses_per_second"},
		{"negative", RateLimits{PerSecond: -1}, "dns.rrl.responses_per_second"},
		{"negative slip", RateLimits{Slip: -1}, "dns.rrl.slip"},
		{"host bits", RateLimits{Exempt: prefixes("127.0.0.0/8", "127.0.0.1/8")}, "dns.rrl.exempt[1]"},
		{"no prefix", RateLimits{Exempt: []netip.Prefix{{}}}, "dns.rrl.exempt[0]"},
		{"mapped", RateLimits{Exempt: prefixes("::ffff:127.0.0.0/104")}, "dns.rrl.exempt[0]"},
	} {
		err := c.limits.validate()
		if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, expected an error with %q", c.name, err, c.want)
		}
	}
}

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestRateLimitNetworks(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"127.1.2.3", "127.1.2.255", true},
		{"127.1.2.3", "127.1.3.3", false},
		{"127.1.2.3", "126.1.2.3", false},
		{"127.1.2.3", "::ffff:127.1.2.9", true},
		{"::1", "::1%lo", true},
		{"fd00:1:2:300::1", "fd00:1:2:3ff:ffff:ffff:ffff:ffff", true},
		{"fd00:1:2:300::1", "fd00:1:2:400::1", false},
		{"fd00:1:2:300::1", "fd01:1:2:300::1", false},
		// The bits of an IPv4 network where an IPv6 network's are.
		{"127.1.2.3", "0:0:7f01:200::", false},
	} {
		a, b := netip.MustParseAddr(c.a), netip.MustParseAddr(c.b)
		for kind := range responseKinds {
			if same := networkKey(a, kind) == networkKey(b, kind); same != c.same {
				t.Errorf("%s and %s: one network: %v, expected %v", c.a, c.b, same, c.same)
			}
			for other := range kind {
				if networkKey(a, kind) == networkKey(b, other) {
					t.Errorf("%s and %s: kinds %v and %v are one", c.a, c.b, kind, other)
				}
			}
		}
	}
}

// bucket is what a limiter is to do, in the plain way.
type bucket struct{ credit, last int64 }

func (b *bucket) take(now, interval, burst int64) bool {
	b.credit = min(burst, b.credit+now-b.last)
	b.last = now
	if b.credit < interval {
		return false
	}
	b.credit -= interval
	return true
}

// tellsApart reports whether a limiter takes no two of the networks, and no two kinds
// of answers, for one: any two are one in 2^35 times.
func tellsApart(l *limiter, networks int, client func(network int) netip.Addr) bool {
	seen := make(map[[2]uint64]bool)
	for network := range networks {
		for kind := range responseKinds {
			hash := maphash.Comparable(l.pressure.seed, networkKey(client(network), kind))
			seen[[2]uint64{hash >> (64 - lineBits), hash << timeBits}] = true // line and tag
		}
	}
	return len(seen) == networks*int(responseKinds)
}

// TestRateLimitIsTokenBuckets holds the limiter to a token bucket for each
// network and kind, at rates below, at and above the limit.
func TestRateLimitIsTokenBuckets(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, perSecond := range []int{1, 2, 3, 7, 10, 200, 333, 9_999, 1_000_000} {
		type key struct {
			network int
			kind    responseKind
		}
		client := func(network int, last byte) netip.Addr {
			if network%2 == 1 {
				return netip.AddrFrom16([16]byte{0: 0xfd, 6: byte(network), 7: last})
			}
			return netip.AddrFrom4([4]byte{127, 0, byte(network), last})
		}
		l := newLimiter(RateLimits{PerSecond: perSecond}, nil)
		for !tellsApart(l, 16, func(network int) netip.Addr { return client(network, 0) }) {
			l = newLimiter(RateLimits{PerSecond: perSecond}, nil)
		}
		buckets := make(map[key]*bucket)
		now := int64(random.Uint64() >> 12) // as after 52 days
		passed := 0
		for i := range 30_000 {
			// Twice the limit for the busiest, a tenth for the others.
			now += random.Int64N(1 + l.interval/32)
			k := key{network: min(random.IntN(16), random.IntN(16)), kind: responseKind(random.IntN(int(responseKinds)))}
			b := buckets[k]
			if b == nil {
				b = &bucket{credit: l.burst, last: now}
				buckets[k] = b
			}
			want := b.take(now, l.interval, l.burst)
			if got := l.passes(client(k.network, byte(random.Uint32())), k.kind, now); got != want {
				t.Fatalf("%d/s, answer %d: %v passes: %v, expected %v", perSecond, i, k, got, want)
			}
			if want {
				passed++
			}
		}
		if perSecond < 100 && (passed < 3_000 || passed > 27_000) {
			t.Errorf("%d/s: %d of 30000 passed, expected some that pass and some that do not", perSecond, passed)
		}
	}
}

// TestRateLimitRates floods one network: what passes is the rate, and one
// second's worth at once.
func TestRateLimitRates(t *testing.T) {
	client := netip.MustParseAddr("127.0.0.1")
	for _, c := range []struct {
		perSecond int
		duration  time.Duration
	}{
		{1, 1000 * time.Second},
		{2, 500 * time.Second},
		{3, 500 * time.Second},
		{30, 100 * time.Second},
		{200, 20 * time.Second},
		{333, 20 * time.Second},
		{7_777, time.Second},
		{99_999, 100 * time.Millisecond},
		{333_333, 30 * time.Millisecond},
		{999_999, 10 * time.Millisecond},
		{1_000_000, 10 * time.Millisecond},
	} {
		l := newLimiter(RateLimits{PerSecond: c.perSecond}, nil)
		// The second's worth is taken at once where it is small, and waited out where
		// it would take the test long.
		if c.perSecond < 10_000 {
			for i := range c.perSecond {
				if !l.passes(client, kindAnswer, 0) {
					t.Errorf("%d/s: %d passed at once", c.perSecond, i)
					break
				}
			}
			if l.passes(client, kindAnswer, 0) {
				t.Errorf("%d/s: more passed at once", c.perSecond)
			}
		} else {
			l.burst = l.interval
		}
		passed := 0
		for now := int64(0); now < int64(c.duration); now += l.interval / 2 {
			if l.passes(client, kindAnswer, now) {
				passed++
			}
		}
		want := float64(c.perSecond) * c.duration.Seconds()
		if float64(passed) < want*0.999-1 || float64(passed) > want*1.001+1 {
			t.Errorf("%d/s: %d passed in %v, expected %.0f", c.perSecond, passed, c.duration, want)
		}
	}
}

func TestRateLimitKinds(t *testing.T) {
	l := newLimiter(RateLimits{PerSecond: 2}, nil)
	client := netip.MustParseAddr("::1")
	for kind := range responseKinds {
		for i, want := range []bool{true, true, false} {
			if got := l.passes(client, kind, 0); got != want {
				t.Errorf("%v, answer %d: %v, expected %v", kind, i, got, want)
			}
		}
	}
}

func TestRateLimitWorkersTogether(t *testing.T) {
	const perSecond = 10_000
	l := newLimiter(RateLimits{PerSecond: perSecond}, nil)
	clients := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1"), netip.MustParseAddr("127.0.1.1")}
	var passed [3]atomic.Int64
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for i := range 30_000 {
				if l.passes(clients[i%3], kindError, 0) {
					passed[i%3].Add(1)
				}
			}
		})
	}
	workers.Wait()
	for i, client := range clients {
		if n := passed[i].Load(); n != perSecond {
			t.Errorf("%v: %d passed, expected %d", client, n, perSecond)
		}
	}
}

// TestRateLimitMillionNetworks has more networks than there is room for, all
// below the limit, and a few above it. None of the first is limited, and the
// others are.
func TestRateLimitMillionNetworks(t *testing.T) {
	const networks, flooded = 1 << 20, 16
	duration := 2 * time.Second
	if raceDetector {
		duration /= 10 // four million answers would take minutes, and there is but one goroutine
	}
	network := func(i int) netip.Addr {
		return netip.AddrFrom4([4]byte{byte(1 + i>>16), byte(i >> 8), byte(i), 1})
	}
	for _, c := range []struct {
		name      string
		perSecond int
		each      time.Duration // between two answers to a quiet network
		flood     time.Duration // between two answers to a flooded one
		wrong     int           // quiet ones limited, at most
		passed    float64       // to flooded ones, at most, as a part of what the limit lets through
	}{
		// A million packets a second; few networks are under pressure at a time.
		{"ordinary limit", 200, time.Second, 500 * time.Microsecond, 20, 1.05},
		// Each quiet network is under pressure all of the time: four for
		// each place that there is.
		{"more under pressure than there is room for", 1, 1100 * time.Millisecond, 500 * time.Microsecond, 100, 100},
	} {
		l := newLimiter(RateLimits{PerSecond: c.perSecond}, nil)
		random := rand.New(rand.NewPCG(3, 4))
		limit := int(float64(flooded*c.perSecond) * (duration + time.Second).Seconds())
		between := int64(c.each) / networks
		wrong, asked, passed, next := 0, 0, 0, int64(0)
		for i, now := 0, int64(0); now < int64(duration); i, now = i+1, now+between {
			if !l.passes(network(i%networks), kindAnswer, now+random.Int64N(between+1)) {
				wrong++
			}
			for ; next <= now; next += int64(c.flood) / flooded {
				asked++
				if l.passes(network(networks+asked%flooded), kindAnswer, now) {
					passed++
				}
			}
		}
		most := float64(limit) * c.passed
		t.Logf("%s: %d quiet answers limited, %d of %d flooding ones passed (%d is the limit)",
			c.name, wrong, passed, asked, limit)
		if wrong > c.wrong {
			t.Errorf("%s: %d answers limited for what others got, expected at most %d", c.name, wrong, c.wrong)
		}
		if float64(passed) > most {
			t.Errorf("%s: %d of %d answers to flooded networks passed, expected at most %.0f", c.name, passed, asked, most)
		}
	}
}

// TestRateLimitFullLine has as many flooded networks in one line as leave one
// place, and others that come and go there: the first stay limited, and the
// others never are.
func TestRateLimitFullLine(t *testing.T) {
	const perSecond, flooded = 200, len(pressureLine{}) - 1
	l := newLimiter(RateLimits{PerSecond: perSecond}, nil)
	var networks []netip.Addr
	tags := make(map[uint64]bool) // two of the same tag would be one network
	for i := 0; len(networks) < 64; i++ {
		client := netip.AddrFrom16([16]byte{0: 0xfd, 2: byte(i >> 24), 3: byte(i >> 16), 4: byte(i >> 8), 5: byte(i)})
		hash := maphash.Comparable(l.pressure.seed, networkKey(client, kindAnswer))
		if tag := hash << timeBits; hash>>(64-lineBits) == 0 && !tags[tag] {
			tags[tag] = true
			networks = append(networks, client)
		}
	}
	passed, wrong := 0, 0
	const rounds = 10_000 // of 1 ms
	for round := range rounds {
		now := int64(round) * int64(time.Millisecond)
		for _, client := range networks[:flooded] {
			for range 2 {
				if l.passes(client, kindAnswer, now) {
					passed++
				}
			}
		}
		if quiet := networks[flooded+round%(len(networks)-flooded)]; !l.passes(quiet, kindAnswer, now) {
			wrong++
		}
	}
	if most := flooded * perSecond * (rounds/1000 + 1); passed > most || passed < most*9/10 {
		t.Errorf("%d answers to flooded networks passed, expected up to %d", passed, most)
	}
	if wrong > 0 {
		t.Errorf("%d of %d answers to quiet networks are limited, expected none", wrong, rounds)
	}
}

// TestRateLimitClock goes over the time at which the stored one comes around,
// back in time, and far ahead.
func TestRateLimitClock(t *testing.T) {
	client := netip.MustParseAddr("127.0.0.1")
	const wrap = int64(1) << timeBits
	second := int64(time.Second)
	for _, start := range []int64{0, -second, wrap - second/2, wrap - 1, wrap, 5*wrap - second, 1<<62 - second} {
		l := newLimiter(RateLimits{PerSecond: 10}, nil)
		take := func(now int64) (passed int) {
			for range 20 {
				if l.passes(client, kindAnswer, now) {
					passed++
				}
			}
			return passed
		}
		now := start
		for i, c := range []struct {
			step int64
			want int
		}{
			{0, 10},
			{second / 2, 5},
			{second, 10},
			{-second / 4, 0}, // a worker that read the clock earlier
			{second / 4, 0},
			{wrap / 2, 10},
			{wrap / 2, 10},
			{wrap - 2*second, 10},
			{3*wrap + 2*second, 10},
			{second / 10, 1},
		} {
			if now += c.step; now < start && c.step > 0 {
				break // beyond the last time that there is
			}
			if got := take(now); got != c.want {
				t.Errorf("from %d, step %d: %d passed, expected %d", start, i, got, c.want)
			}
		}
	}
}

func TestRateLimitExempt(t *testing.T) {
	limits := RateLimits{PerSecond: 1, Exempt: prefixes("127.0.1.128/25", "::1/128")}
	for _, c := range []struct {
		client string
		exempt bool
	}{
		{"127.0.1.129", true},
		{"::ffff:127.0.1.129", true},
		{"::1%lo", true},
		{"127.0.1.127", false},
		{"127.0.2.129", false},
		{"::2", false},
	} {
		l := newLimiter(limits, nil)
		client := netip.MustParseAddr(c.client)
		if !l.passes(client, kindAnswer, 0) {
			t.Errorf("%s: the first answer is limited", c.client)
		}
		if got := l.passes(client, kindAnswer, 0); got != c.exempt {
			t.Errorf("%s: the second answer passes: %v, expected %v", c.client, got, c.exempt)
		}
	}
}

func TestRateLimitSlips(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for _, slip := range []int{0, 1, 2, 3, 10, 1000} {
		l := newLimiter(RateLimits{PerSecond: 1, Slip: slip}, nil)
		const tries = 300_000
		got := 0
		for range tries {
			if l.slips(random.Uint64()) {
				got++
			}
		}
		want := 0
		if slip > 0 {
			want = tries / slip
		}
		if slip < 2 && got != want || got < want*8/10 || got > want*12/10 {
			t.Errorf("slip %d: %d of %d, expected %d", slip, got, tries, want)
		}
	}
}

func TestRateLimitOff(t *testing.T) {
	off := newLimiter(RateLimits{Slip: 1}, nil)
	if off != nil {
		t.Fatal("a limit of 0 makes a limiter, expected none")
	}
	for range 1000 {
		if !off.passes(netip.MustParseAddr("127.0.0.1"), kindAnswer, off.at(time.Now())) {
			t.Fatal("an answer is limited, expected none")
		}
	}
	if off.slips(0) {
		t.Error("an answer is sent truncated, expected none")
	}
}

// TestRateLimitReload has the counts go on where the limits change.
func TestRateLimitReload(t *testing.T) {
	client := netip.MustParseAddr("127.0.0.1")
	before := newLimiter(RateLimits{PerSecond: 5}, nil)
	for range 5 {
		before.passes(client, kindAnswer, 0)
	}
	after := newLimiter(RateLimits{PerSecond: 1000, Slip: 1}, before)
	if after.passes(client, kindAnswer, 0) {
		t.Error("the network gets more at once after the limits change, expected no more")
	}
	if !after.passes(client, kindAnswer, int64(time.Millisecond)) {
		t.Error("the network gets nothing at the new rate, expected an answer each ms")
	}
	if after.passes(client, kindAnswer, int64(time.Millisecond)) {
		t.Error("the network gets two answers in 1 ms, expected one")
	}
	if !after.slips(0) {
		t.Error("no answer slips, expected each")
	}
}

func TestRateLimitMemory(t *testing.T) {
	if size := unsafe.Sizeof(pressureTable{}); size > 4<<20 {
		t.Errorf("a table takes %d bytes, expected at most 4 MiB", size)
	}
	if size := unsafe.Sizeof(pressureLine{}); size != 64 {
		t.Errorf("a line takes %d bytes, expected 64", size)
	}
	l := newLimiter(DefaultRateLimits(), nil)
	clients := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1"), netip.MustParseAddr("fd00::1%lo")}
	now := int64(0)
	allocated := testing.AllocsPerRun(1000, func() {
		for _, client := range clients {
			l.passes(client, kindAnswer, now)
			now++
		}
	})
	if allocated != 0 {
		t.Errorf("counting allocates %.1f times, expected never", allocated)
	}
}

// TestRateLimitKeyed has two servers share nothing of where networks lie.
func TestRateLimitKeyed(t *testing.T) {
	a, b := newLimiter(RateLimits{PerSecond: 1}, nil), newLimiter(RateLimits{PerSecond: 1}, nil)
	same := 0
	for i := range uint64(10_000) {
		if maphash.Comparable(a.pressure.seed, i)>>(64-lineBits) == maphash.Comparable(b.pressure.seed, i)>>(64-lineBits) {
			same++
		}
	}
	if same > 20 { // a third of one in the mean
		t.Errorf("%d of 10000 networks lie at the same place in two servers, expected next to none", same)
	}
}

func BenchmarkRateLimit(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	networks := make([]netip.Addr, 1<<20)
	for i := range networks {
		networks[i] = netip.AddrFrom4([4]byte{byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32()), 1})
	}
	sixes := make([]netip.Addr, 1<<20)
	for i := range sixes {
		sixes[i] = netip.AddrFrom16([16]byte{0xfd, 0, byte(i >> 16), byte(i >> 8), byte(i), 15: 1})
	}
	for _, c := range []struct {
		name    string
		clients []netip.Addr
		step    int64 // ns between answers
	}{
		{"hot, over the limit", networks[:1], 100},
		{"hot, below the limit", networks[:1], 1e8},
		{"hot IPv6", sixes[:1], 1e8},
		{"million networks", networks, 1000},
		{"million networks IPv6", sixes, 1000},
	} {
		b.Run(c.name, func(b *testing.B) {
			l := newLimiter(DefaultRateLimits(), nil)
			b.ReportAllocs()
			now, i := int64(0), 0
			for b.Loop() {
				l.passes(c.clients[i], kindAnswer, now)
				now += c.step
				if i++; i == len(c.clients) {
					i = 0
				}
			}
		})
	}
}
