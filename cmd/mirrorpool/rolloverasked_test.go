package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mirrorpool/admin"
)

// TestRolloverByHTTP: a rollover of another algorithm begins, is cancelled, and the DS
// withdrawn, by requests that no web page can make.
func TestRolloverByHTTP(t *testing.T) {
	r := newRollingNode(t, ", dnssec_propagation: 24h")
	writeKey(t, r.path("keys"), "example.test.")
	r.begin()
	base := "http://" + r.node.admin.listener().(*admin.Server).Address().String()
	ask := func(method, query string, header bool) (int, string, *admin.Signing) {
		t.Helper()
		path := "/api/v1/rollover"
		if method == http.MethodPost {
			path = rolloverChangePath
		}
		request, err := http.NewRequestWithContext(t.Context(), method, base+path+"?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		if header {
			request.Header.Set("X-Mirrorpool", "1")
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var body bytes.Buffer
		if _, err := body.ReadFrom(response.Body); err != nil {
			t.Fatal(err)
		}
		var described admin.Signing
		if err := json.Unmarshal(body.Bytes(), &described); err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, body.String(), &described
	}
	zone := "zone=EXAMPLE.test"
	steps := []struct {
		method, query string
		header        bool
		status        int
		says          string
		check         func(*admin.Signing) bool
	}{
		{"GET", zone, false, 200, "", func(s *admin.Signing) bool { return s.Rollover == nil && len(s.Keys) == 1 && s.Keys[0].Role == "csk" }},
		{"GET", "zone=other.test", false, 404, "example.test.", nil},
		{"GET", "zone=..", false, 400, "", nil},
		{"POST", zone + "&action=start", false, 403, "X-Mirrorpool", nil},
		{"POST", zone + "&action=restart", true, 400, "restart", nil},
		{"POST", zone + "&action=start&kind=ksk", true, 409, "csk", nil},
		{"POST", zone + "&action=start&algorithm=rot13", true, 409, "rot13", nil},
		{"POST", zone + "&action=cancel", true, 409, "no rollover", nil},
		{"POST", zone + "&action=start&algorithm=ed25519", true, 200, "", func(s *admin.Signing) bool {
			return s.Rollover.Kind == "algorithm" && s.Rollover.Step == "sign" && s.Rollover.Of == 6 && s.Rollover.Cancel
		}},
		{"POST", zone + "&action=withdraw-ds", true, 409, "under way", nil},
		{"POST", zone + "&action=ds-seen&ds_ttl=-1s", true, 400, "ds_ttl", nil},
		{"POST", zone + "&action=ds-seen", true, 409, "does not wait", nil},
		{"POST", zone + "&action=cancel", true, 200, "", func(s *admin.Signing) bool { return s.Rollover == nil && s.Last.Cancelled }},
		{"POST", zone + "&action=withdraw-ds", true, 200, "", func(s *admin.Signing) bool { return s.Withdrawing != nil }},
		{"POST", zone + "&action=start", true, 409, "delete", nil},
	}
	for _, step := range steps {
		status, body, described := ask(step.method, step.query, step.header)
		if status != step.status || !strings.Contains(body, step.says) || step.check != nil && !step.check(described) {
			t.Fatalf("%s %s: %d %s", step.method, step.query, status, body)
		}
	}
	r.eventually("CDS asks for the deletion", func() bool {
		answer := r.ask("example.test.", dns.TypeCDS).Answer
		return len(answer) == 1 && answer[0].(*dns.CDS).Algorithm == 0
	})
	if status, body, _ := ask("POST", zone+"&action=no-withdraw-ds", true); status != 200 {
		t.Fatal(body)
	}
	r.eventually("CDS names the key again", func() bool {
		answer := r.ask("example.test.", dns.TypeCDS).Answer
		return len(answer) == 1 && answer[0].(*dns.CDS).Algorithm != 0
	})
}

// TestRolloverText: what people read says what is done, how long it takes, and what
// they have to do.
func TestRolloverText(t *testing.T) {
	r := newRollingNode(t, ", dnssec_propagation: 24h")
	writeKey(t, r.path("keys"), "example.test.")
	r.begin()
	if err := r.change(admin.RolloverStart); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	printZoneSigning(&out, "example.test.", r.signing(), r.clock.wall())
	text := out.String()
	for _, words := range []string{
		"step 1 of 4", "> publish", "at least 24h05m", "until the parent has it", "IN DS", "can be cancelled still",
	} {
		if !strings.Contains(text, words) {
			t.Errorf("%q is not in\n%s", words, text)
		}
	}
}

// TestStatusPage: the page shows each part, and nothing in it reaches the terminal as
// more than text.
func TestStatusPage(t *testing.T) {
	r := newRollingNode(t, "")
	writeKey(t, r.path("keys"), "example.test.")
	r.begin()
	r.node.stages.fail(stageGeo, errors.New("the file is \x1b[31mred"))
	c := &client{base: "http://" + r.node.admin.listener().(*admin.Server).Address().String(), http: http.DefaultClient}
	body, err := c.do(t.Context(), http.MethodGet, "/api/v1/state", url.Values{})
	if err != nil {
		t.Fatal(err)
	}
	var page statusPage
	if err := json.Unmarshal(body, &page); err != nil {
		t.Fatal(err)
	}
	var text, out strings.Builder
	page.print(&text, r.clock.wall())
	if err := printPlain(&out, text.String()); err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{
		"mirrorpool ", "serving commit ", "PROBLEM: geo fails since", "the file is ?[31mred", "zone example.test. serial ", ", signed",
		"csk", "DS at the parent", "pool dl.example.test", "disabled two 127.0.0.42",
	} {
		if !strings.Contains(out.String(), words) {
			t.Errorf("%q is not in\n%s", words, out.String())
		}
	}
}
