package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mirrorpool/pool/administrative"
	"mirrorpool/pool/health/history"
)

// Histories answers questions of what checks have found over time.
type Histories interface {
	Look(ctx context.Context, question history.Question) (history.Answer, error)
}

// historyTimeout bounds one look.
const historyTimeout = 30 * time.Second

// serveHistory tells what is remembered of members. The JSON is history.Answer's.
func (h *handler) serveHistory(w http.ResponseWriter, r *http.Request) {
	if h.History == nil {
		fail(w, http.StatusNotImplemented, "this server has no history")
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		fail(w, http.StatusBadRequest, "the query cannot be read: "+err.Error())
		return
	}
	question, err := parseHistory(query, h.Now())
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), historyTimeout)
	defer cancel()
	answer, err := h.History.Look(ctx, question)
	switch {
	case err == nil:
		reply(w, http.StatusOK, answer)
	case errors.Is(err, history.ErrTooMany):
		fail(w, http.StatusBadRequest, err.Error())
	default:
		fail(w, http.StatusServiceUnavailable, err.Error())
	}
}

// mostHistoryIncidents of one member are given at most.
const mostHistoryIncidents = 1000

// parseHistory reads the query. Every error names the parameter.
func parseHistory(query url.Values, now time.Time) (question history.Question, err error) {
	for name, values := range query {
		switch name {
		case "member", "pool", "since", "limit":
		default:
			return question, fmt.Errorf("unknown parameter %q; expected member, pool, since or limit", name)
		}
		if len(values) > 1 {
			return question, fmt.Errorf("%s is given %d times; expected once", name, len(values))
		}
	}
	if member := query.Get("member"); member != "" {
		if question.Member, err = administrative.ParsePattern(member); err != nil {
			return question, fmt.Errorf("member: %w", err)
		}
	}
	question.Pool = strings.TrimSuffix(strings.ToLower(query.Get("pool")), ".")
	if since := query.Get("since"); since != "" {
		if question.Since, err = history.ParseSince(since, now); err != nil {
			return question, fmt.Errorf("since: %w", err)
		}
	}
	if limit := query.Get("limit"); limit != "" {
		if question.Limit, err = strconv.Atoi(limit); err != nil || question.Limit < 1 || question.Limit > mostHistoryIncidents {
			return question, fmt.Errorf("limit: found %q, expected a number from 1 to %d", limit, mostHistoryIncidents)
		}
	}
	return question, nil
}
