package redirect

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count requests and choices. Their labels come from the repository,
// never from the client: a host that is not ours is counted as "".
type metrics struct {
	requests *prometheus.CounterVec
	choices  *prometheus.CounterVec
}

func newMetrics() metrics {
	return metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mirrorpool_http_requests_total",
			Help: `Requests to the redirect listener by redirect host ("" for unknown hosts) and HTTP status.`,
		}, []string{"host", "code"}),
		choices: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mirrorpool_http_choices_total",
			Help: "Redirects by redirect host and the URL prefix of the mirror or fallback that was chosen.",
		}, []string{"host", "mirror"}),
	}
}

func (m metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.choices}
}

// statusWriter remembers the status of an answer, and its host for the count.
type statusWriter struct {
	http.ResponseWriter
	host   string // the redirect host; empty while none is known
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	// 1xx are followed by the real one.
	if w.status < 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (m metrics) count(w *statusWriter) {
	status := w.status
	if status == 0 {
		status = http.StatusOK
	}
	m.requests.WithLabelValues(w.host, strconv.Itoa(status)).Inc()
}
