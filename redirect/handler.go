package redirect

import (
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"

	"mirrorpool/pool/selection"
	"mirrorpool/zones"
)

const (
	// mirrorsPath is where each redirect host shows its mirrors file.
	mirrorsPath = "mirrors.json"
	// maxLinks bounds the Link headers of an answer, and maxLinkBytes their
	// length together: proxies give up on long headers.
	maxLinks     = 5
	maxLinkBytes = 2048
	// retryAfter is told to clients that get 503, in seconds.
	retryAfter = "60"
)

// handler answers requests from the current table.
type handler struct {
	table   func() *zones.Table
	random  zones.Random
	trusted atomic.Pointer[proxies]
	report  func(error)
	metrics metrics
	tags    entityTags
}

func newHandler(config Config) *handler {
	h := &handler{
		table:   config.Table,
		random:  config.Random,
		report:  config.Report,
		metrics: newMetrics(),
	}
	h.trust(config.TrustedProxies)
	return h
}

// trust takes a copy of the networks.
func (h *handler) trust(networks []netip.Prefix) {
	trusted := append(proxies(nil), networks...)
	h.trusted.Store(&trusted)
}

// ServeHTTP answers one request and counts it.
func (h *handler) ServeHTTP(response http.ResponseWriter, r *http.Request) {
	w := &statusWriter{ResponseWriter: response}
	defer func() {
		if p := recover(); p != nil {
			h.report(fmt.Errorf("answering a request on redirect host %q: panic: %v at %s", w.host, p, panicPlace()))
			if w.status == 0 {
				fail(w, http.StatusInternalServerError, "the server made a mistake")
			}
		}
		h.metrics.count(w)
	}()
	h.answer(w, r)
}

// panicPlace tells where a deferred function's panic began. A whole stack would
// show arguments, and with them the client's address.
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

func (h *handler) answer(w *statusWriter, r *http.Request) {
	table := h.table()
	if table == nil {
		w.Header().Set("Retry-After", retryAfter)
		fail(w, http.StatusServiceUnavailable, "the mirrors are not known yet; try again in a minute")
		return
	}
	host := table.Host(hostName(r.Host))
	if host == nil {
		fail(w, http.StatusMisdirectedRequest, "this host is not served here")
		return
	}
	w.host = host.Redirect.Host
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed, "only GET and HEAD are served here")
		return
	}
	wanted, err := parseTarget(r.RequestURI)
	switch {
	case errors.Is(err, errTargetLong):
		fail(w, http.StatusRequestURITooLong, err.Error())
		return
	case err != nil:
		fail(w, http.StatusBadRequest, err.Error())
		return
	case wanted.is(mirrorsPath):
		h.serveMirrors(w, r, table, host)
		return
	}
	rest, ok := wanted.under(host.Redirect.StripPrefix)
	if !ok {
		fail(w, http.StatusNotFound, "this host redirects what is below "+host.Redirect.StripPrefix+" only")
		return
	}
	h.redirect(w, r, host, rest)
}

// redirect sends the client to a mirror, or to a fallback while none is up.
func (h *handler) redirect(w *statusWriter, r *http.Request, host *zones.Host, rest string) {
	client := h.trusted.Load().client(r)
	places := h.draw(host, client)
	if len(places) == 0 {
		w.Header().Set("Retry-After", retryAfter)
		fail(w, http.StatusServiceUnavailable, "no mirror is up; try again in a minute")
		return
	}
	h.metrics.choices.WithLabelValues(w.host, places[0].prefix).Inc()

	location := places[0].prefix + rest
	header := w.Header()
	header.Set("Location", location)
	for _, link := range links(places[1:], rest) {
		header.Add("Link", link)
	}
	setPlain(header)
	header.Set("Content-Type", "text/html; charset=utf-8")
	shown := html.EscapeString(location)
	body := "<!DOCTYPE html>\n<title>302 Found</title>\n<p>The file is at <a href=\"" + shown + "\">" + shown + "</a>.</p>\n"
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusFound)
	// For HEAD net/http sends no body; a client that is gone needs none.
	_, _ = io.WriteString(w, body)
}

// place is where a client can be sent.
type place struct {
	prefix  string // ends with a slash
	country string // upper case; empty: unknown
}

// draw gives the place for the client first, then others in the order in which
// they may be tried; none if there is nowhere to go. While no mirror is up, the
// fallbacks go before what the host's when_all_down says.
func (h *handler) draw(host *zones.Host, c client) []place {
	choice := host.Choose(c.address, c.secure)
	var places []place
	switch choice.Mode {
	case selection.All, selection.Self, selection.Empty:
		for _, prefix := range host.Fallbacks(c.secure) {
			places = append(places, place{prefix: prefix})
		}
	}
	if len(places) > 0 {
		return places
	}
	var drawn [1 + maxLinks]int
	for _, index := range choice.Draw(h.random, len(drawn), drawn[:0]) {
		m := host.Mirrors[index]
		places = append(places, place{prefix: m.Mirror.URLPrefix, country: m.Country})
	}
	return places
}

// links gives the Link header lines (RFC 6249) of the other places that have
// the file. The one in Location is not among them; pri counts from 1, the best.
func links(places []place, rest string) []string {
	var lines []string
	length := 0
	for i, p := range places[:min(len(places), maxLinks)] {
		line := "<" + p.prefix + rest + ">; rel=duplicate; pri=" + strconv.Itoa(i+1)
		if p.country != "" {
			line += "; geo=" + strings.ToLower(p.country)
		}
		if length += len(line); length > maxLinkBytes {
			break
		}
		lines = append(lines, line)
	}
	return lines
}

// fail answers with an error in words.
func fail(w http.ResponseWriter, status int, words string) {
	header := w.Header()
	setPlain(header)
	header.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, words+"\n")
}

// setPlain sets what all answers but the mirrors file have in common: they are
// for this client and this moment.
func setPlain(header http.Header) {
	header.Set("Cache-Control", "private, no-cache")
	header.Set("X-Content-Type-Options", "nosniff")
}

// hostName cuts the port off a Host header. Case and the final dot do not
// matter to the table.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}
