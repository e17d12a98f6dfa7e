//go:build e2e

package main

import "testing"

// TestEndToEndResolvers puts resolvers in front of the built program, which
// find it from a root of their own. Beside what clients get from a resolver,
// it looks at what the resolver asks, and how often.
func TestEndToEndResolvers(t *testing.T) {
	t.Parallel()
	need(t, "git")
	program := builtProgram(t)
	for _, kind := range resolverKinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			need(t, kind.program)
			l := newLab(t, program)
			l.startResolver(kind, 1232)
			t.Run("names resolve", func(t *testing.T) { l.on(t).namesResolve() })
			t.Run("much text comes over TCP", func(t *testing.T) { l.on(t).muchText() })
			t.Run("places", func(t *testing.T) { l.on(t).places(kind) })
			t.Run("answers are kept for their TTL", func(t *testing.T) { l.on(t).keeps() })
			t.Run("shares follow the weights", func(t *testing.T) { l.on(t).sharesThroughCache() })
			t.Run("a small buffer", func(t *testing.T) { l.on(t).smallBuffer(kind) })
			t.Run("what was asked", func(t *testing.T) { l.on(t).asked(kind) })
		})
	}
}
