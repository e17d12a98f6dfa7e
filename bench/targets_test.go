//go:build linux

package main

import (
	"strings"
	"testing"
)

func TestTargetsAreJudged(t *testing.T) {
	rows := rowsByScenario{
		"pool-a": {{name: floorName, perQuery: 1}, {name: oursName, perQuery: 1.19}, {name: "nsd", perQuery: 1.3}, {name: "knot", perQuery: 1.1}},
		"pool":   {{name: oursName, perQuery: 1.2, memory: 39}, {name: cityName, perQuery: 1.2, memory: 151}},
		"subnet": {{name: oursName, perQuery: 1.33}, {name: cityName, perQuery: 1.32}},
		"tcp":    {{name: "nsd", perQuery: 1}},
	}
	var out strings.Builder
	if err := writeTargets(&out, rows); err != nil {
		t.Fatal(err)
	}
	want := `
To reach:
  reached  pool-a     ours      us/query     1.190, 1.19 of floor (1.000), at most 1.20
  MISSED   pool-a     ours      us/query     1.190, 1.08 of knot (1.100), at most 1.00
  MISSED   subnet     ours      us/query     1.330, 1.11 of pool of ours (1.200), at most 1.10
  reached  subnet     ours-city us/query     1.320, 1.10 of pool of ours-city (1.200), at most 1.10
  reached  pool       ours      MB          39.000, at most 40
  MISSED   pool       ours-city MB         151.000, at most 150
`
	if out.String() != want {
		t.Errorf("found %s\nexpected %s", out.String(), want)
	}
	out.Reset()
	if err := writeTargets(&out, rowsByScenario{"pool-a": {{name: "knot", perQuery: 1}}}); err != nil || out.Len() != 0 {
		t.Errorf("without ours: %q, %v", out.String(), err)
	}
}

// TestTargetsNameWhatThereIs holds them to the kinds of questions and to the
// peers' scripts.
func TestTargetsNameWhatThereIs(t *testing.T) {
	kinds := map[string]bool{}
	for _, c := range scenarios() {
		kinds[c.name] = true
	}
	servers := map[string]bool{floorName: true, paddedName: true, oursName: true, cityName: true, signedName: true}
	peers, err := findPeers(t.Context(), "peers")
	if err != nil {
		t.Fatal(err)
	}
	for _, peer := range peers {
		servers[peer.name] = true
	}
	for _, one := range targets() {
		for _, r := range append(one.than, reference{one.scenario, one.server}) {
			if !kinds[r.scenario] || !servers[r.server] {
				t.Errorf("there is no %s of %s", r.scenario, r.server)
			}
		}
	}
}
