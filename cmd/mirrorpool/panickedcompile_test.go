package main

import (
	"strings"
	"testing"

	"mirrorpool/pool/geo"
)

// TestPanicWhileCompiling: the last table goes on being served, the stage says why and
// counts it, and the next one is made.
func TestPanicWhileCompiling(t *testing.T) {
	r := newRunning(t, "")
	first := r.git(r.path("checkout"), "rev-parse", "HEAD")
	panics := make(chan bool, 1)
	r.startWith(func(n *node) {
		before := n.compiler.geo
		n.compiler.geo = func() *geo.Map {
			select {
			case <-panics:
				panic("a map that is nil")
			default:
			}
			return before()
		}
	})
	r.serving(first)
	table := r.node.compiler.table.Load()
	panics <- true
	r.node.compiler.geographyChanged()
	r.eventually("the stage says it", func() bool {
		return strings.Contains(r.stage(stageCompile).Error, "internal error: panic: a map that is nil")
	})
	if r.node.compiler.table.Load() != table {
		t.Error("another table is served")
	}
	r.node.compiler.geographyChanged()
	r.eventually("another table is made", func() bool { return r.stage(stageCompile).Error == "" && r.node.compiler.table.Load() != table })
}
