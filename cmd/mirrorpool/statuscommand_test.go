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
	}
	for _, one := range cases {
		t.Run(one.name, func(t *testing.T) {
			var page statusPage
			if err := json.Unmarshal([]byte(`{"secondaries": [{"address": "127.0.0.2:53", `+one.secondary+`}]}`), &page); err != nil {
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
