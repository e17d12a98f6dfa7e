//go:build linux

package main

import (
	"strings"
	"testing"
	"time"

	"mirrorpool/bench/load"
)

func TestWhatIsLostOrLateIsMissed(t *testing.T) {
	for _, c := range []struct {
		name      string
		result    load.Result
		rate      float64
		unchanged bool
		want      bool
	}{
		{name: "none lost, none late", rate: 20000},
		{name: "one lost", result: load.Result{Lost: 1}, rate: 20000, want: true},
		{name: "one lost flat out", result: load.Result{Lost: 1}, want: true},
		{name: "one late", result: load.Result{Late: 1}, rate: 20000, want: true},
		{name: "one late flat out", result: load.Result{Late: 1}},
		{name: "one wrong", result: load.Result{Wrong: map[string]uint64{"another question": 1}}, rate: 20000, want: true},
		{name: "one late, nothing changed", result: load.Result{Late: 1}, rate: 20000, unchanged: true},
	} {
		r := &reloaded{measurement: &measurement{Load: c.result}, Rate: c.rate, Unchanged: c.unchanged}
		if got := r.missed(); got != c.want {
			t.Errorf("%s: missed is %v", c.name, got)
		}
		var out strings.Builder
		r.Load.P99 = time.Millisecond
		if err := r.write(&out); err != nil || !strings.Contains(out.String(), " 1000 ") {
			t.Errorf("%s: %q, %v", c.name, out.String(), err)
		}
		line, _, _ := strings.Cut(out.String(), "\n")
		if len(line) > 120 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}
