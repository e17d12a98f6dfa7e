package zones

import (
	"reflect"
	"slices"

	"mirrorpool/pool"
)

// compilePools compiles the pools, or takes over from the table before what
// nothing has changed about: the pool's content, where its members and the
// clients are, what the members count as, and the node's own addresses.
func (t *Table) compilePools(in *Input, bounds tableBounds) {
	tables := newSharedTables(in, bounds)
	last := map[string]*servedPool{}
	if p := in.Previous; p != nil && p.geo == in.Geo && slices.Equal(p.selfAddresses, in.SelfAddresses) {
		for _, served := range p.pools {
			last[served.definition.Name] = served
		}
	}
	for i, definition := range in.Definition.Pools {
		served := &servedPool{definition: definition, zone: in.Static.pools[i], tally: t.tallies}
		t.tallies += 1 + 2*len(definition.Members)
		served.standing = standingOf(in, definition)
		before := last[definition.Name]
		if before != nil && samePool(before.source, definition) && before.standing.same(served.standing) {
			served.compiledPool = before.compiledPool
			tables.keep(before.compiledPool)
		}
		t.pools = append(t.pools, served)
	}
	// What is new gets the room that those which stay leave.
	for _, served := range t.pools {
		if served.compiledPool == nil {
			served.compiledPool = compilePool(in, served.definition, served.standing, tables)
		}
		served.follow(last[served.definition.Name], in.Now)
		t.next = earliest(t.next, earliest(served.standing.step, served.nextTTL))
	}
	tables.finish()
	t.tables = tables
}

// samePool reports whether two definitions of a pool compile to the same, so
// whether they differ in no more than notes and where they stand.
func samePool(a, b *pool.Pool) bool {
	if a == b {
		return true
	}
	if len(a.Members) != len(b.Members) {
		return false
	}
	bare := func(p *pool.Pool) pool.Pool {
		q := *p
		q.NamePosition, q.Members = pool.Position{}, nil
		return q
	}
	if !reflect.DeepEqual(bare(a), bare(b)) {
		return false
	}
	for i := range a.Members {
		x, y := *a.Members[i], *b.Members[i]
		x.Position, x.Notes, y.Position, y.Notes = pool.Position{}, "", pool.Position{}, ""
		if !reflect.DeepEqual(x, y) {
			return false
		}
	}
	return true
}

// compileHost compiles a redirect host, or takes it over from the table before.
func (t *Table) compileHost(in *Input, redirect *pool.Redirect) *Host {
	standing := standingOfMirrors(in, redirect)
	t.next = earliest(t.next, standing.step)
	if p := in.Previous; p != nil && p.geo == in.Geo {
		if before := p.hosts[hostKey(redirect.Host)]; before != nil && before.Redirect == redirect &&
			before.standing.same(standing) {
			return before
		}
	}
	return compileHost(in, redirect, standing)
}
