package redirect

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/health"
	"mirrorpool/zones"
)

const testMirrors = `{
  "version": 1,
  "mirrors": [
    {"url_prefix": "https://a.mirror.test/pub/tails/", "rsync_url": "rsync://a.mirror.test/tails/", "weight": 10},
    {"url_prefix": "https://b.mirror.test/tails/", "rsync_url": "rsync://b.mirror.test/tails/", "weight": 20},
    {"url_prefix": "http://c.mirror.test/", "rsync_url": "rsync://c.mirror.test/tails/", "weight": 30},
    {"url_prefix": "https://d.mirror.test/tails/", "rsync_url": "rsync://d.mirror.test/tails/", "weight": 40},
    {"url_prefix": "https://off.mirror.test/tails/", "rsync_url": "rsync://off.mirror.test/tails/", "weight": 0}
  ]
}
`

const testOther = `[{"url_prefix": "http://e.mirror.test:8080/x/", "rsync_url": "rsync://e.mirror.test/x/", "weight": 1}]`

// Three hosts: one with everything, one at the root whose only mirror is http,
// one that goes on while all is down.
const testPools = `{
  "version": 1,
  "redirects": [
    {
      "host": "download.test",
      "strip_prefix": "/tails/",
      "health": {"check": "http", "path": "project/trace"},
      "fallbacks": ["http://f.mirror.test/tails/", "https://g.mirror.test/tails/", "https://h.mirror.test/"]
    },
    {
      "host": "root.test",
      "mirrors": "other.json",
      "health": {"check": "http", "path": "trace"},
      "when_all_down": "empty"
    },
    {
      "host": "near.test",
      "geo": {"policy": "near", "min_candidates": 2, "max_share": 0.6},
      "health": {"check": "http", "path": "trace"}
    }
  ]
}
`

var testCommitTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// testTable compiles the repository above, with the given mirrors down.
func testTable(t testing.TB, down ...string) *zones.Table {
	t.Helper()
	definition, problems := pool.Parse(fstest.MapFS{
		"mirrors.json": {Data: []byte(testMirrors)},
		"other.json":   {Data: []byte(testOther)},
		"pools.json":   {Data: []byte(testPools)},
	})
	if pool.HasErrors(problems) {
		t.Fatal(problems)
	}
	static, problems := zones.Parse(definition)
	if pool.HasErrors(problems) {
		t.Fatal(problems)
	}
	table, err := zones.Compile(zones.Input{
		Definition: definition, Static: static, Health: testHealth(definition, down),
		Geo: geo.NewMap(map[netip.Prefix]geo.Place{
			netip.MustParsePrefix("127.0.1.1/32"): {Country: "DE", Continent: "EU"},
			netip.MustParsePrefix("127.0.1.2/32"): {Country: "FR", Continent: "EU"},
			netip.MustParsePrefix("127.0.1.3/32"): {Country: "US", Continent: "NA"},
			netip.MustParsePrefix("127.1.0.0/16"): {Country: "DE", Continent: "EU"},
		}),
		Commit: "0123456789abcdef0123456789abcdef01234567", CommitTime: testCommitTime, Now: testCommitTime,
	})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// testHealth has all mirrors up but those named; a, b and c have places.
func testHealth(definition *pool.Definition, down []string) *health.Report {
	isDown := map[string]bool{}
	for _, prefix := range down {
		isDown[prefix] = true
	}
	addresses := map[string]string{
		"https://a.mirror.test/pub/tails/": "127.0.1.1",
		"https://b.mirror.test/tails/":     "127.0.1.2",
		"http://c.mirror.test/":            "127.0.1.3",
	}
	states := map[health.Target]health.State{}
	for _, r := range definition.Redirects {
		for _, m := range r.List.Mirrors {
			state := health.State{Verdict: health.Up}
			if isDown[m.URLPrefix] || isDown["*"] {
				state.Verdict = health.Down
			}
			if address, ok := addresses[m.URLPrefix]; ok {
				state.Address = netip.MustParseAddr(address)
			}
			states[health.MirrorTarget(r, m)] = state
		}
	}
	return health.NewReport(states)
}

// seeded is a generator that goroutines may share.
type seeded struct {
	mu sync.Mutex
	rand.PCG
}

func newSeeded(seed uint64) *seeded { return &seeded{PCG: *rand.NewPCG(seed, seed)} }

func (s *seeded) Uint64() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.PCG.Uint64()
}

// testHandler serves one table; peers in 127.0.0.0/16 are trusted proxies.
func testHandler(t testing.TB, table *zones.Table) *handler {
	t.Helper()
	return newHandler(Config{
		Table:          func() *zones.Table { return table },
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/16")},
		Random:         newSeeded(1),
		Report:         func(err error) { t.Error(err) },
	})
}

// ask sends one request to a handler. The uri may be anything that net/http
// lets through to handlers.
func ask(h http.Handler, method, host, uri string, headers http.Header) *http.Response {
	r := httptest.NewRequest(method, "/", nil)
	r.Host, r.RequestURI, r.RemoteAddr = host, uri, "127.0.0.1:1234"
	for name, values := range headers {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}
