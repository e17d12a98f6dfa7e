package admin

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"mirrorpool/zones"
)

func TestMetrics(t *testing.T) {
	h := testHandler(t, testTable(t, testPools)).(*handler)
	c := &collector{table: h.Table, status: h.Status, live: h.live, now: h.Now, said: h.said}
	const expected = `
# HELP mirrorpool_commit_info Always 1; the commit that is served in its label.
# TYPE mirrorpool_commit_info gauge
mirrorpool_commit_info{commit="0123456789abcdef0123456789abcdef01234567"} 1
# HELP mirrorpool_commit_refused 1 while the newest commit is refused and an older one served, otherwise 0.
# TYPE mirrorpool_commit_refused gauge
mirrorpool_commit_refused 1
# HELP mirrorpool_commit_timestamp_seconds Date of the commit that is served, in Unix time.
# TYPE mirrorpool_commit_timestamp_seconds gauge
mirrorpool_commit_timestamp_seconds 1.7723664e+09
# HELP mirrorpool_pool_members Members of a DNS pool by state; up if any of a member's addresses is.
# TYPE mirrorpool_pool_members gauge
mirrorpool_pool_members{pool="dl.pool.test",state="disabled"} 1
mirrorpool_pool_members{pool="dl.pool.test",state="down"} 1
mirrorpool_pool_members{pool="dl.pool.test",state="unknown"} 2
mirrorpool_pool_members{pool="dl.pool.test",state="up"} 2
# HELP mirrorpool_ready 1 once answers can be given, otherwise 0.
# TYPE mirrorpool_ready gauge
mirrorpool_ready 1
# HELP mirrorpool_redirect_mirrors Mirrors of a redirect host by state.
# TYPE mirrorpool_redirect_mirrors gauge
mirrorpool_redirect_mirrors{host="download.test",state="disabled"} 1
mirrorpool_redirect_mirrors{host="download.test",state="down"} 1
mirrorpool_redirect_mirrors{host="download.test",state="unknown"} 0
mirrorpool_redirect_mirrors{host="download.test",state="up"} 2
# HELP mirrorpool_source_last_success_timestamp_seconds When the repository was last looked at with success, in Unix time.
# TYPE mirrorpool_source_last_success_timestamp_seconds gauge
mirrorpool_source_last_success_timestamp_seconds 1.7723679e+09
# HELP mirrorpool_stale_seconds How long a stage of the way from commit to table has been failing; 0 if it is fine.
# TYPE mirrorpool_stale_seconds gauge
mirrorpool_stale_seconds{stage="compile"} 0
mirrorpool_stale_seconds{stage="parse"} 90
mirrorpool_stale_seconds{stage="source"} 240
# HELP mirrorpool_target_up 1 if the target is up, 0 if it is down; none for targets that are disabled or not probed yet. Pool members have the labels pool, member and address, mirrors host and mirror.
# TYPE mirrorpool_target_up gauge
mirrorpool_target_up{address="",host="download.test",member="",mirror="http://b.mirror.test/",pool=""} 0
mirrorpool_target_up{address="",host="download.test",member="",mirror="https://a.mirror.test/tails/",pool=""} 1
mirrorpool_target_up{address="",host="download.test",member="",mirror="https://c.mirror.test/tails/",pool=""} 1
mirrorpool_target_up{address="127.0.0.11",host="",member="one",mirror="",pool="dl.pool.test"} 1
mirrorpool_target_up{address="127.0.0.12",host="",member="two",mirror="",pool="dl.pool.test"} 0
mirrorpool_target_up{address="127.0.0.15",host="",member="spare",mirror="",pool="dl.pool.test"} 1
mirrorpool_target_up{address="::1",host="",member="one",mirror="",pool="dl.pool.test"} 1
`
	names := []string{
		"mirrorpool_commit_info", "mirrorpool_commit_refused", "mirrorpool_commit_timestamp_seconds", "mirrorpool_pool_members",
		"mirrorpool_ready", "mirrorpool_redirect_mirrors", "mirrorpool_source_last_success_timestamp_seconds",
		"mirrorpool_stale_seconds", "mirrorpool_target_up",
	}
	if err := testutil.CollectAndCompare(c, strings.NewReader(expected), names...); err != nil {
		t.Error(err)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
	if n, err := testutil.GatherAndCount(registry, "mirrorpool_zone_serial", "mirrorpool_build_info"); n != 2 || err != nil {
		t.Errorf("%d series of serial and build, %v", n, err)
	}
}

func TestMetricsAtStart(t *testing.T) {
	c := &collector{
		table:  func() *zones.Table { return nil },
		status: func() Status { return Status{} },
		said:   func() said { return said{} },
	}
	const expected = `
# HELP mirrorpool_commit_refused 1 while the newest commit is refused and an older one served, otherwise 0.
# TYPE mirrorpool_commit_refused gauge
mirrorpool_commit_refused 0
# HELP mirrorpool_ready 1 once answers can be given, otherwise 0.
# TYPE mirrorpool_ready gauge
mirrorpool_ready 0
`
	if err := testutil.CollectAndCompare(c, strings.NewReader(expected), "mirrorpool_commit_refused", "mirrorpool_ready", "mirrorpool_commit_info"); err != nil {
		t.Error(err)
	}
}

// The program's own metrics and those made here come out together.
func TestScrape(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "mirrorpool_things_total", Help: "Things."})
	registry.MustRegister(counter)
	counter.Inc()
	h := testHandler(t, testTable(t, testPools), func(c *Config) { c.Gatherer = registry })
	text := ask(h, "GET", "/metrics", nil).Body.String()
	for _, line := range []string{"mirrorpool_things_total 1\n", "mirrorpool_ready 1\n", `mirrorpool_build_info{goversion="go`} {
		if !strings.Contains(text, line) {
			t.Errorf("%q is not in\n%s", line, text)
		}
	}
}

// What can be gathered is shown although something else fails, which is told.
func TestScrapeFailure(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(failing{prometheus.NewDesc("mirrorpool_broken", "Broken.", nil, nil)})
	var reported error
	h := testHandler(t, testTable(t, testPools), func(c *Config) {
		c.Gatherer = registry
		c.Report = func(err error) { reported = err }
	})
	w := ask(h, "GET", "/metrics", nil)
	if w.Code != 200 || !strings.Contains(w.Body.String(), "mirrorpool_ready 1\n") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if reported == nil || !strings.Contains(reported.Error(), "out of order") {
		t.Errorf("reported %v", reported)
	}
}

type failing struct{ desc *prometheus.Desc }

func (f failing) Describe(out chan<- *prometheus.Desc) { out <- f.desc }
func (f failing) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.NewInvalidMetric(f.desc, errors.New("out of order"))
}

func TestBetter(t *testing.T) {
	tests := []struct{ a, b, expected string }{
		{"", "up", "up"},
		{"", "down", "down"},
		{"", "unknown", "unknown"},
		{"", "disabled", "disabled"},
		{"down", "up", "up"},
		{"up", "unknown", "up"},
		{"unknown", "down", "unknown"},
	}
	for _, test := range tests {
		if got := better(test.a, test.b); got != test.expected {
			t.Errorf("%q, %q: %q", test.a, test.b, got)
		}
	}
}
