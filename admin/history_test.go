package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"mirrorpool/pool/administrative"
	"mirrorpool/pool/health/history"
)

// asked answers every question with the same, and keeps the last.
type asked struct {
	question history.Question
	err      error
}

func (a *asked) Look(_ context.Context, question history.Question) (history.Answer, error) {
	a.question = question
	return history.Answer{Members: []history.MemberHistory{}}, a.err
}

func TestHistory(t *testing.T) {
	from := &asked{}
	h := testHandler(t, nil, func(c *Config) { c.History = from })
	now := testNow
	wiki, err := administrative.ParsePattern("wiki")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		query  string
		status int
		words  string
		want   history.Question
	}{
		{"", 200, `"members": []`, history.Question{}},
		{"member=wiki&pool=DL.example.org.&since=30d&limit=7", 200, `"members"`, history.Question{Member: wiki, Pool: "dl.example.org", Since: now.AddDate(0, 0, -30), Limit: 7}},
		{"since=30", 400, "since: reading the time to go back", history.Question{}},
		{"limit=0", 400, "from 1 to 1000", history.Question{}},
		{"limit=x", 400, "from 1 to 1000", history.Question{}},
		{"member=[", 400, "member: reading a member", history.Question{}},
		{"member=a&member=b", 400, "member is given 2 times", history.Question{}},
		{"client=127.0.0.1", 400, "unknown parameter", history.Question{}},
		{"member=%zz", 400, "cannot be read", history.Question{}},
	} {
		from.question = history.Question{}
		w := ask(h, http.MethodGet, "/api/v1/history?"+test.query, nil)
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.words) || from.question != test.want {
			t.Errorf("%s: %d, asked %+v: %s", test.query, w.Code, from.question, w.Body)
		}
	}
	for _, test := range []struct {
		err    error
		status int
	}{
		{fmt.Errorf("%w: 1000", history.ErrTooMany), http.StatusBadRequest},
		{fmt.Errorf("reading: %w", history.ErrUnavailable), http.StatusServiceUnavailable},
		{errors.New("other"), http.StatusServiceUnavailable},
	} {
		from.err = test.err
		if w := ask(h, http.MethodGet, "/api/v1/history", nil); w.Code != test.status || !strings.Contains(w.Body.String(), test.err.Error()) {
			t.Errorf("%v: %d: %s", test.err, w.Code, w.Body)
		}
	}
	if w := ask(testHandler(t, nil), http.MethodGet, "/api/v1/history", nil); w.Code != http.StatusNotImplemented {
		t.Errorf("without a history: %d", w.Code)
	}
}
