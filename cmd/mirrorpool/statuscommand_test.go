package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestStatusTellsOfSecondaries: what somebody has to look at is marked, and what goes
// its way is not.
func TestStatusTellsOfSecondaries(t *testing.T) {
	const zones = `"zones": [{"apex": "a.test.", "standing": "current", "serial": 7, "acknowledged": 7}, `
	cases := []struct {
		name, secondary string
		want            []string
		problems        int
	}{
		{"current", `"silent": false, "zones": [{"apex": "a.test.", "standing": "current", "serial": 7, "acknowledged": 7}]`, []string{"behind with 0 zones, refuses 0\n"}, 0},
		{
			"being told", `"behind": 1, ` + zones + `{"apex": "b.test.", "standing": "behind", "serial": 9, "acknowledged": 8}]`,
			[]string{"behind with 1 zones, refuses 0\n", "  b.test.: has heard of serial 8, 9 is served: it is being told\n"},
			0,
		},
		{
			"failing", `"behind": 1, ` + zones + `{"apex": "b.test.", "standing": "behind", "serial": 9, "acknowledged": 8, "problem": "answers SERVFAIL"}]`,
			[]string{"9 is served: PROBLEM: answers SERVFAIL\n"},
			1,
		},
		{
			"silent", `"silent": true, "behind": 1, ` + zones + `{"apex": "b.test.", "standing": "behind", "serial": 9, "acknowledged": 8, "problem": "no answer within 1s"}]`,
			[]string{"  PROBLEM: it does not answer NOTIFY", "9 is served: no answer within 1s\n"},
			1,
		},
		{
			"refused", `"refused": 1, ` + zones + `{"apex": "b.test.", "standing": "refused", "serial": 9, "acknowledged": 9, "problem": "answers NOTAUTH"}]`,
			[]string{"behind with 0 zones, refuses 1\n", "9 is served: PROBLEM: answers NOTAUTH\n"},
			1,
		},
		{
			"refused catalog", `"refused": 1, ` + zones + `{"apex": "catalog.test.", "standing": "refused", "serial": 9, "problem": "answers NXDOMAIN"}]`,
			[]string{"behind with 0 zones, refuses 1\n", "9 is served: answers NXDOMAIN, and may well have its zones without the catalog\n"},
			0,
		},
	}
	for _, one := range cases {
		t.Run(one.name, func(t *testing.T) {
			var page statusPage
			if err := json.Unmarshal([]byte(`{"zones": [{"apex": "a.test."}, {"apex": "b.test."}], "secondaries": [{"address": "127.0.0.2:53", `+one.secondary+`}]}`), &page); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			page.printSecondaries(&out, time.Unix(1_800_000_000, 0))
			text := out.String()
			for _, want := range one.want {
				if !strings.Contains(text, want) {
					t.Errorf("found\n%s\nexpected %q in it", text, want)
				}
			}
			if found := strings.Count(text, "PROBLEM"); found != one.problems {
				t.Errorf("found PROBLEM %d times, expected %d:\n%s", found, one.problems, text)
			}
			if strings.Contains(text, "a.test.") {
				t.Errorf("a zone that is current is told of:\n%s", text)
			}
		})
	}
}

func TestStatusTellsOfHostNames(t *testing.T) {
	const state = `{
		"host_names": [
			{"name": "a.example", "ipv4": ["127.0.0.1"], "ipv6": ["::1"], "answered": "2027-01-15T07:59:00Z", "failing_since": null, "problem": ""},
			{"name": "b.example", "ipv4": [], "ipv6": [], "answered": null, "failing_since": "2027-01-15T07:00:00Z", "problem": "A: no answer"},
			{"name": "c.example", "ipv4": ["127.0.0.3"], "ipv6": [], "answered": "2027-01-15T07:59:00Z", "failing_since": null, "problem": "A: 169.254.1.1 is left out"}
		],
		"pools": [{"name": "dl.example", "members": [
			{"id": "b", "host": "b.example", "weight": 1, "addresses": []}, {"id": "off", "host": "off.example", "weight": 0, "addresses": []}
		]}]
	}`
	var page statusPage
	if err := json.Unmarshal([]byte(state), &page); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	page.printHostNames(&out, time.Unix(1_800_000_000, 0))
	page.printPools(&out, time.Unix(1_800_000_000, 0))
	const want = `
host names of members
  a.example: 127.0.0.1, ::1, last answered 2027-01-15 07:59:00 UTC (1m0s ago)
  b.example: no address, last answered never
    PROBLEM since 2027-01-15 07:00:00 UTC (1h00m ago): A: no answer
  c.example: 127.0.0.3, last answered 2027-01-15 07:59:00 UTC (1m0s ago)
    A: 169.254.1.1 is left out

pool dl.example
  unknown  b: no address of b.example is known
`
	if out.String() != want {
		t.Errorf("found\n%s\nexpected\n%s", out.String(), want)
	}
}

func TestStatusTellsOfAlerts(t *testing.T) {
	const state = `{
		"alerts": [
			{"name": "chat", "dry_run": false, "pending": 0, "last": "2027-01-15T07:59:00Z", "error": ""},
			{"name": "mail", "dry_run": true, "pending": 2, "last": null, "error": "connection refused"}
		],
		"pools": [{"name": "dl.example", "members": [
			{"id": "b", "weight": 1, "reserve": true, "addresses": [{"address": "127.0.0.1", "health": {"state": "up"}}]}
		]}]
	}`
	var page statusPage
	if err := json.Unmarshal([]byte(state), &page); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	page.printAlerts(&out, time.Unix(1_800_000_000, 0))
	page.printPools(&out, time.Unix(1_800_000_000, 0))
	const want = `
ways to tell people
  chat: last told 2027-01-15 07:59:00 UTC (1m0s ago), 0 to tell
  mail (dry run): nothing told in this run, 2 to tell
    PROBLEM: connection refused

pool dl.example
  up       b 127.0.0.1 (reserve)
`
	if out.String() != want {
		t.Errorf("found\n%s\nexpected\n%s", out.String(), want)
	}
}

func TestStatusTellsOfKeysThatAreNotInForce(t *testing.T) {
	var page statusPage
	if err := json.Unmarshal([]byte(`{"not_in_force": ["node.yaml:2:3: git.allowed_signers: not in force"]}`), &page); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	page.print(&out, time.Unix(1_800_000_000, 0))
	if want := "\nwarning: node.yaml:2:3: git.allowed_signers: not in force\n"; !strings.Contains(out.String(), want) {
		t.Errorf("found\n%s\nexpected %q in it", out.String(), want)
	}
}
