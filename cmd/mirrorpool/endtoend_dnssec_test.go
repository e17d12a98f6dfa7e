//go:build e2e

package main

import "testing"

// TestEndToEndSigned has validating resolvers and BIND's and ldns' own tools judge
// what the built program signs.
func TestEndToEndSigned(t *testing.T) {
	t.Parallel()
	need(t, "git", "dnssec-keygen", "dnssec-signzone", "/usr/sbin/knotd")
	program := builtProgram(t)
	t.Run("tools", func(t *testing.T) {
		t.Parallel()
		l := newSignedLab(t, program)
		t.Run("answers are whole", func(t *testing.T) { l.on(t).answersAreWhole() })
		t.Run("draws hold", func(t *testing.T) { l.on(t).drawsHold() })
		t.Run("delv", func(t *testing.T) { l.on(t).delv() })
		t.Run("drill", func(t *testing.T) { l.on(t).drill() })
		t.Run("unbound-host", func(t *testing.T) { l.on(t).unboundHost() })
	})
	t.Run("random zones", func(t *testing.T) {
		t.Parallel()
		l := newEmptyLab(t, program, tapHost)
		zones := l.serveRandomZones(false)
		t.Run("as Knot answers", func(t *testing.T) { l.on(t).asKnotAnswers(zones) })
		t.Run("transfers are whole", func(t *testing.T) { l.on(t).transfersAreWhole(zones) })
		t.Run("a pool of many members", func(t *testing.T) { l.on(t).manyDrawsHold() })
	})
	t.Run("random zones behind unbound", func(t *testing.T) {
		t.Parallel()
		need(t, "/usr/sbin/unbound")
		l := newEmptyLab(t, program, tapHost)
		l.randomZonesHold(l.serveRandomZones(true))
	})
	for _, kind := range resolverKinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			need(t, kind.program)
			l := newSignedLab(t, program)
			t.Run("in any order", func(t *testing.T) { l.on(t).holdInAnyOrder(kind, resolverSettings{}) })
			t.Run("in any order, a small buffer", func(t *testing.T) { l.on(t).holdInAnyOrder(kind, resolverSettings{size: 512}) })
			if kind.overTCP {
				t.Run("in any order, over TCP", func(t *testing.T) { l.on(t).holdInAnyOrder(kind, resolverSettings{streams: true}) })
			}
			t.Run("what is absent first", func(t *testing.T) { l.on(t).absentFirst(kind) })
			t.Run("drawn while members change", func(t *testing.T) { l.on(t).drawnWhileMembersChange(kind) })
			t.Run("a wrong anchor", func(t *testing.T) { l.on(t).wrongAnchor(kind) })
		})
	}
}
