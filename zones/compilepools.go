package zones

import (
	"reflect"
	"slices"

	"mirrorpool/pool"
	"mirrorpool/pool/health"
)

// compilePools compiles the pools, or takes over from the table before what
// nothing has changed about: the pool's content, where its members and the
// clients are, who is up, and the node's own addresses.
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
		before := last[definition.Name]
		if before != nil && samePool(before.source, definition) && sameVerdicts(definition, in.Previous.health, in.Health) {
			served.compiledPool = before.compiledPool
			tables.keep(before.compiledPool)
		}
		t.pools = append(t.pools, served)
	}
	// What is new gets the room that those which stay leave.
	for _, served := range t.pools {
		if served.compiledPool == nil {
			served.compiledPool = compilePool(in, served.definition, tables)
		}
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

// sameVerdicts reports whether two reports say the same of who is up.
func sameVerdicts(p *pool.Pool, a, b *health.Report) bool {
	if a == b {
		return true
	}
	for _, member := range p.Members {
		for _, address := range member.Addresses {
			if a.Member(p, address).Verdict != b.Member(p, address).Verdict {
				return false
			}
		}
	}
	return true
}

// sameMirrors reports whether two reports say the same of a host's mirrors.
func sameMirrors(r *pool.Redirect, a, b *health.Report) bool {
	if a == b || r.List == nil {
		return true
	}
	for _, mirror := range r.List.Mirrors {
		x, y := a.Mirror(r, mirror), b.Mirror(r, mirror)
		if x.Verdict != y.Verdict || x.Address != y.Address {
			return false
		}
	}
	return true
}

// compileHost compiles a redirect host, or takes it over from the table before.
func (t *Table) compileHost(in *Input, redirect *pool.Redirect) *Host {
	if p := in.Previous; p != nil && p.geo == in.Geo {
		if before := p.hosts[hostKey(redirect.Host)]; before != nil && before.Redirect == redirect &&
			sameMirrors(redirect, before.health, in.Health) {
			return before
		}
	}
	return compileHost(in, redirect)
}
