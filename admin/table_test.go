package admin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/fstest"
	"time"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/health"
	"mirrorpool/zones"
)

const (
	testMirrors = `{
  "version": 1,
  "mirrors": [
    {"url_prefix": "https://a.mirror.test/tails/", "rsync_url": "rsync://a.mirror.test/tails/", "weight": 10},
    {"url_prefix": "http://b.mirror.test/", "rsync_url": "rsync://b.mirror.test/tails/", "weight": 20},
    {"url_prefix": "https://c.mirror.test/tails/", "rsync_url": "rsync://c.mirror.test/tails/", "weight": 5},
    {"url_prefix": "https://off.mirror.test/tails/", "rsync_url": "rsync://off.mirror.test/tails/", "weight": 0}
  ]
}
`
	testPools = `{
  "version": 1,
  "pools": [
    {
      "name": "dl.pool.test",
      "ttl": 60,
      "answers": 2,
      "geo": {"policy": "near", "min_candidates": 1, "max_share": 0.75},
      "health": {"check": "http", "path": "/trace"},
      "members": [
        {"id": "one", "mirror": "one.test", "addresses": ["127.0.0.11", "::1"], "weight": 10, "location": {"country": "DE"}},
        {"id": "two", "addresses": ["127.0.0.12"], "weight": 20, "location": {"country": "US"}, "notes": "on tape"},
        {"id": "new", "addresses": ["127.0.0.13"], "weight": 5},
        {"id": "gone", "addresses": ["127.0.0.14"], "weight": 0},
        {"id": "named", "host": "named.mirror.test", "weight": 1},
        {"id": "spare", "addresses": ["127.0.0.15"], "weight": 1, "reserve": true}
      ]
    }
  ],
  "redirects": [
    {
      "host": "download.test",
      "strip_prefix": "/tails/",
      "health": {"check": "http", "path": "trace"},
      "fallbacks": ["https://f.mirror.test/tails/"]
    }
  ]
}
`
	testZone = `$ORIGIN pool.test.
$TTL 3600
@ IN SOA ns1 hostmaster ( 1 7200 900 1209600 60 )
@ IN NS ns1
ns1 IN A 127.0.0.53
`
	testCommit = "0123456789abcdef0123456789abcdef01234567"
)

var testNow = time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)

// testTable compiles the repository above: "two" and the mirror b are down,
// "new" was not probed yet.
func testTable(t testing.TB, pools string) *zones.Table {
	t.Helper()
	definition, problems := pool.Parse(fstest.MapFS{
		"mirrors.json":         {Data: []byte(testMirrors)},
		"pools.json":           {Data: []byte(pools)},
		"zones/pool.test.zone": {Data: []byte(testZone)},
	})
	if pool.HasErrors(problems) {
		t.Fatal(problems)
	}
	static, problems := zones.Parse(definition)
	if pool.HasErrors(problems) {
		t.Fatal(problems)
	}
	table, err := zones.Compile(zones.Input{
		Definition: definition, Static: static, Health: testHealth(definition),
		Geo: geo.NewMap(map[netip.Prefix]geo.Place{
			netip.MustParsePrefix("127.0.0.15/32"): {Country: "FR", Continent: "EU", ASN: 64500, HasCoordinates: true, Latitude: 48.5, Longitude: 2.5},
			netip.MustParsePrefix("127.0.1.1/32"):  {Country: "NL", Continent: "EU"},
			netip.MustParsePrefix("127.1.0.0/16"):  {Country: "DE", Continent: "EU"},
		}),
		Commit: testCommit, CommitTime: testNow.Add(-30 * time.Minute), Now: testNow,
	})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func testHealth(definition *pool.Definition) *health.Report {
	up := health.State{
		Verdict: health.Up, Since: testNow.Add(-time.Hour), Checked: testNow.Add(-10 * time.Second),
		Reason: "status 200", Successes: 7, Duration: 1234567 * time.Nanosecond,
	}
	down := up
	down.Verdict, down.Reason, down.Failures, down.Successes = health.Down, "status 503, expected 200", 3, 0
	states := map[health.Target]health.State{}
	for _, p := range definition.Pools {
		for _, m := range p.Members {
			for _, address := range m.Addresses {
				state := up
				switch m.ID {
				case "two":
					state = down
				case "new", "gone":
					continue
				}
				state.Address = address
				states[health.MemberTarget(p, address)] = state
			}
		}
	}
	for _, r := range definition.Redirects {
		for _, m := range r.List.Mirrors {
			state := up
			switch m.URLPrefix {
			case "http://b.mirror.test/":
				state = down
			case "https://a.mirror.test/tails/":
				state.Address = netip.MustParseAddr("127.0.1.1")
				state.CertificateExpiry = testNow.AddDate(0, 1, 0)
			case "https://off.mirror.test/tails/":
				continue
			}
			states[health.MirrorTarget(r, m)] = state
		}
	}
	return health.NewReport(states)
}

// testStatus is that of a node whose newest commit is refused.
func testStatus() Status {
	return Status{
		Version: "1.2.3", Started: testNow.Add(-2 * time.Hour),
		Source: Source{
			URL: "https://robot:s3cret%21@git.test/mirrors.git", Branch: "master",
			Head:     "fedcba9876543210fedcba9876543210fedcba98",
			LastLook: testNow.Add(-time.Minute), LastSuccess: testNow.Add(-5 * time.Minute),
			LastError:    `fetching refs from https://robot:s3cret%21@git.test/mirrors.git: password "s3cret!" not taken`,
			FailingSince: testNow.Add(-4 * time.Minute),
			Refused: &Refused{
				Commit: "fedcba9876543210fedcba9876543210fedcba98", Time: testNow.Add(-10 * time.Minute),
				Error: "1 error in the repository",
				Problems: []pool.Problem{{
					Position: pool.Position{File: "pools.json", Line: 14, Column: 22}, Severity: pool.Error,
					What: "pools[0].ttl", Found: `"soon"`, Expected: "a whole number of seconds from 1 to 86400",
				}},
			},
		},
		Stages: []Stage{
			{Name: "source", StaleSince: testNow.Add(-4 * time.Minute), Error: "https://robot:s3cret%21@git.test is gone"},
			{Name: "parse", StaleSince: testNow.Add(-90 * time.Second), Error: "1 error in the repository"},
			{Name: "compile"},
		},
		Warnings: []pool.Problem{{
			Position: pool.Position{File: "mirrors.json", Line: 4, Column: 6}, Severity: pool.Warning,
			What: "mirrors[0].colour", Expected: "no such field",
		}},
		Secondaries: []Secondary{
			{
				Address: "127.0.0.1:5301", Key: "transfer.", Answered: testNow.Add(-time.Minute),
				Zones: []SecondaryZone{
					{Apex: "a.test.", Standing: "current", Serial: 7, Told: 7, ToldAt: testNow.Add(-time.Minute), Acknowledged: 7, AcknowledgedAt: testNow.Add(-time.Minute)},
					{
						Apex: "b.test.", Standing: "refused", Serial: 9, Told: 9, ToldAt: testNow.Add(-time.Minute), Acknowledged: 8, AcknowledgedAt: testNow.Add(-time.Hour),
						Problem: "answers REFUSED", Next: testNow.Add(14 * time.Minute),
					},
				},
			},
			{Address: "[::1]:5302", Silent: true},
		},
		HostNames: []HostName{
			{Name: "a.mirror.test", IPv4: []netip.Addr{netip.MustParseAddr("127.0.0.11")}, Answered: testNow.Add(-time.Minute)},
			{Name: "named.mirror.test", FailingSince: testNow.Add(-time.Hour), Problem: "A: asking 127.0.0.1:53: no answer"},
		},
		Alerts: []AlertWay{
			{Name: "chat", Last: testNow.Add(-time.Hour)},
			{Name: "mail", DryRun: true, Pending: 2, Error: "connection refused"},
		},
		Geo: []geo.Database{{Kind: geo.KindCountry, Built: testNow.AddDate(0, -1, 0), Entries: 3, Licence: "CC BY-SA 4.0"}},
	}
}

// testHandler serves one table, nil for none yet.
func testHandler(t testing.TB, table *zones.Table, change ...func(*Config)) http.Handler {
	t.Helper()
	config := Config{
		Table:  func() *zones.Table { return table },
		Status: testStatus,
		Reload: func(context.Context) error { return nil },
		Now:    func() time.Time { return testNow },
		Report: func(err error) { t.Error(err) },
	}
	for _, f := range change {
		f(&config)
	}
	h, err := newHandler(config)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func ask(h http.Handler, method, target string, headers http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Host = "127.0.0.1:8053"
	for name, values := range headers {
		r.Header[name] = values
		if name == "Host" {
			r.Host = values[0]
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
