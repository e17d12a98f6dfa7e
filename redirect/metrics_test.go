package redirect

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetrics(t *testing.T) {
	h := testHandler(t, testTable(t, "https://a.mirror.test/pub/tails/", "http://c.mirror.test/", "https://d.mirror.test/tails/"))
	for _, request := range [][3]string{
		{"GET", "download.test", "/tails/a"},
		{"HEAD", "DOWNLOAD.test.:80", "/tails/b"},
		{"GET", "download.test", "/tails/../b"},
		{"POST", "download.test", "/tails/b"},
		{"GET", "download.test", "/mirrors.json"},
		{"GET", "made-up.test", "/"},
		{"GET", "made-up-too.test", "/"},
	} {
		ask(h, request[0], request[1], request[2], nil)
	}
	const expected = `
# HELP mirrorpool_http_choices_total Redirects by redirect host and the URL prefix of the mirror or fallback that was chosen.
# TYPE mirrorpool_http_choices_total counter
mirrorpool_http_choices_total{host="download.test",mirror="https://b.mirror.test/tails/"} 2
# HELP mirrorpool_http_requests_total Requests to the redirect listener by redirect host ("" for unknown hosts) and HTTP status.
# TYPE mirrorpool_http_requests_total counter
mirrorpool_http_requests_total{code="200",host="download.test"} 1
mirrorpool_http_requests_total{code="302",host="download.test"} 2
mirrorpool_http_requests_total{code="400",host="download.test"} 1
mirrorpool_http_requests_total{code="405",host="download.test"} 1
mirrorpool_http_requests_total{code="421",host=""} 2
`
	registry := prometheus.NewPedanticRegistry()
	for _, collector := range h.metrics.collectors() {
		registry.MustRegister(collector)
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(expected)); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}
