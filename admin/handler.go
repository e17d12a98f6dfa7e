package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes bounds the scrapes that go on at the same time.
const maxScrapes = 4

// handler answers the admin listener's requests.
type handler struct {
	Config
	routes    map[string]route
	metrics   http.Handler
	reloading sync.Mutex
}

// route is what one path offers.
type route struct {
	method string // GET stands for HEAD as well
	serve  http.HandlerFunc
	about  string // for the list on "/"
}

func newHandler(config Config) (*handler, error) {
	h := &handler{Config: config}
	own := prometheus.NewRegistry()
	if err := own.Register(&collector{table: config.Table, status: config.Status, live: config.live, now: config.Now, said: h.said}); err != nil {
		return nil, fmt.Errorf("registering the metrics of table and status: %w", err)
	}
	gatherers := prometheus.Gatherers{own}
	if config.Gatherer != nil {
		gatherers = append(gatherers, config.Gatherer)
	}
	h.metrics = promhttp.HandlerFor(gatherers, promhttp.HandlerOpts{
		ErrorLog:            reporter{config.Report},
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
	})
	h.routes = map[string]route{
		"/":                             {http.MethodGet, h.serveIndex, "this list"},
		"/healthz":                      {http.MethodGet, h.serveHealth, "200 once answers can be given"},
		"/metrics":                      {http.MethodGet, h.metrics.ServeHTTP, "metrics for Prometheus"},
		"/api/v1/state":                 {http.MethodGet, h.serveState, "commit, failing stages, zones and their keys, secondaries, publications, pools and redirects with their health as JSON"},
		"/api/v1/explain":               {http.MethodGet, h.serveExplain, "what a client gets and why: ?client=ADDRESS&pool=NAME&family=4|6 or &host=NAME&scheme=http|https"},
		"/api/v1/rollover":              {http.MethodGet, h.serveRollover, "how a zone is signed, and where its rollover stands: ?zone=NAME"},
		"/api/v1/rollover/change":       {http.MethodPost, h.serveRolloverChange, "replace keys: ?zone=NAME&action=begin|start|ds-seen|cancel|withdraw-ds|no-withdraw-ds; needs the header X-Mirrorpool: 1"},
		"/api/v1/history":               {http.MethodGet, h.serveHistory, "incidents, availability, trend, red flags and verdict of members: ?member=ID|URL|HOST|ADDRESS|PATTERN&pool=NAME&since=6mo&limit=100"},
		"/api/v1/administrative":        {http.MethodGet, h.serveWords, "what administrators have said of members on this node: disabled, forced up"},
		"/api/v1/administrative/change": {http.MethodPost, h.serveWordsChange, "say something: ?action=disable|force-up|enable&member=PATTERN&pool=NAME&for=48h&reason=...; needs the header X-Mirrorpool: 1"},
		"/api/v1/reload":                {http.MethodPost, h.serveReload, "read the configuration again, and look at the repository, keys and other files that it names; needs the header X-Mirrorpool: 1"},
	}
	return h, nil
}

// panicPlace tells where a deferred function's panic began. A whole stack would
// show arguments, and with them the address that explain is asked about.
func panicPlace() string {
	callers := make([]uintptr, 16)
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)])
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, "runtime.") || !more {
			return fmt.Sprintf("%s:%d", frame.Function, frame.Line)
		}
	}
}

// ServeHTTP answers one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			h.Report(fmt.Errorf("answering an admin request: panic: %v at %s", p, panicPlace()))
			// Has no effect if the answer has begun.
			fail(w, http.StatusInternalServerError, "the server made a mistake; its log has the details")
		}
	}()
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")

	found, ok := h.routes[r.URL.Path]
	switch {
	case !ok:
		fail(w, http.StatusNotFound, "there is nothing at this path; / lists what there is")
	case r.Method == found.method, r.Method == http.MethodHead && found.method == http.MethodGet:
		found.serve(w, r)
	default:
		allow := found.method
		if allow == http.MethodGet {
			allow = "GET, HEAD"
		}
		header.Set("Allow", allow)
		fail(w, http.StatusMethodNotAllowed, "this path takes "+allow)
	}
}

// serveIndex lists the paths.
func (h *handler) serveIndex(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintf(w, "mirrorpool %s\n\n", h.Status().Version)
	for _, path := range slices.Sorted(maps.Keys(h.routes)) {
		route := h.routes[path]
		_, _ = fmt.Fprintf(w, "%-4s %-23s %s\n", route.method, path, route.about)
	}
}

// serveHealth tells whether answers can be given.
func (h *handler) serveHealth(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if h.Table() != nil {
		_, _ = io.WriteString(w, "ok\n")
		return
	}
	awaiting := h.Status().Awaiting
	if awaiting == "" {
		awaiting = "the first table"
	}
	w.Header().Set("Retry-After", "5")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, "waiting for "+strings.TrimPrefix(awaiting, "waiting for ")+"\n")
}

// serveReload has the configuration read again.
func (h *handler) serveReload(w http.ResponseWriter, r *http.Request) {
	if err := h.mayChange(r); err != nil {
		fail(w, http.StatusForbidden, err.Error())
		return
	}
	if h.Reload == nil {
		fail(w, http.StatusNotImplemented, "this server does not reload")
		return
	}
	if !h.reloading.TryLock() {
		fail(w, http.StatusConflict, "a reload is under way; try again when it has ended")
		return
	}
	defer h.reloading.Unlock()
	ctx, cancel := context.WithTimeout(r.Context(), reloadTimeout)
	defer cancel()
	err := h.Reload(ctx)
	switch {
	case err == nil:
		reply(w, http.StatusOK, map[string]bool{"reloaded": true})
	case ctx.Err() != nil:
		fail(w, http.StatusInternalServerError, "the reload did not end in time: "+err.Error())
	default:
		fail(w, http.StatusConflict, err.Error())
	}
}

// mayChange tells why a request may not change anything: it could come from a
// web page in a browser on the same machine. Such a page cannot set the
// header, nor a JSON content type, unless its host's name was made to lead
// here (DNS rebinding); then the Host header gives it away.
func (h *handler) mayChange(r *http.Request) error {
	mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if r.Header.Get("X-Mirrorpool") != "1" && !strings.EqualFold(strings.TrimSpace(mediaType), "application/json") {
		return errors.New("changes need the header \"X-Mirrorpool: 1\" or the content type application/json")
	}
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return errors.New("changes are not taken from other origins")
	}
	name := r.Host
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil || name == "localhost" {
		return nil
	}
	for _, known := range h.Hosts {
		if strings.EqualFold(known, name) {
			return nil
		}
	}
	return fmt.Errorf("changes are taken only under an IP address or localhost, not under the name %q", name)
}

// reply answers with JSON.
func reply(w http.ResponseWriter, status int, value any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false) // URLs stay readable; nobody takes this for HTML
	if err := encoder.Encode(value); err != nil {
		// Only a value that JSON has no word for, such as NaN, comes here.
		status = http.StatusInternalServerError
		body.Reset()
		body.WriteString("{\"error\": \"the answer cannot be written as JSON\"}\n")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}

// failure is an error as JSON.
type failure struct {
	Error string `json:"error"`
	// There are names that exist, where an unknown one was asked for.
	There []string `json:"there_are,omitempty"`
}

func fail(w http.ResponseWriter, status int, words string) {
	reply(w, status, failure{Error: words})
}

// reporter hands promhttp's errors on.
type reporter struct{ report func(error) }

// Println takes an error as promhttp gives it: words and the error.
func (r reporter) Println(v ...any) {
	r.report(errors.New("gathering metrics: " + strings.TrimSpace(fmt.Sprintln(v...))))
}
