package zones

import (
	"reflect"
	"slices"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/health"
	"mirrorpool/pool/selection"
)

// compilePools compiles the pools, or takes over from the table before what
// nothing has changed about: the pool's content, where its members and the
// clients are, who is up, and the node's own addresses.
func (t *Table) compilePools(in *Input) {
	tables := newClassTables(in)
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
		} else {
			served.compiledPool = compilePool(in, definition, tables)
		}
		t.pools = append(t.pools, served)
	}
	t.classes = tables.used
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
			target := health.MemberTarget(p, address)
			if a.State(target).Verdict != b.State(target).Verdict {
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
		target := health.MirrorTarget(r, mirror)
		x, y := a.State(target), b.State(target)
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

// classTables are the classes that clients are sorted into, for each of the
// lists of members whose places and rules differ: pools with the same mirrors
// share one, and a change of health makes none anew.
type classTables struct {
	geo   *geo.Map
	known map[string]*selection.Classes // of the table before
	used  map[string]*selection.Classes // of this one; nil: there can be none
	size  int                           // of used, in bytes
}

// maxClassTables is how many bytes all tables of classes together may have.
// Pools beyond it ask the databases themselves, which is slower.
const maxClassTables = 32 << 20

func newClassTables(in *Input) *classTables {
	c := &classTables{geo: in.Geo, used: map[string]*selection.Classes{}}
	if in.Previous != nil && in.Previous.geo == in.Geo {
		c.known = in.Previous.classes
	}
	return c
}

// of gives the classes for a list of candidates; nil: there are none.
func (c *classTables) of(policy pool.Policy, candidates []selection.Candidate) (*selection.Classes, string) {
	key := selection.ClassesKey(policy, candidates)
	classes, ok := c.used[key]
	if !ok {
		classes, ok = c.known[key]
	}
	if !ok {
		classes, _ = selection.NewClasses(policy, candidates, c.geo)
	}
	return c.use(key, classes), key
}

// use notes that classes are used, if there is room for them.
func (c *classTables) use(key string, classes *selection.Classes) *selection.Classes {
	if known, ok := c.used[key]; ok {
		return known
	}
	if classes != nil && c.size+classes.Size() > maxClassTables {
		return nil
	}
	if classes != nil {
		c.size += classes.Size()
	}
	c.used[key] = classes
	return classes
}

// keep notes that a pool of the table before is taken over with its classes.
func (c *classTables) keep(p *compiledPool) {
	for _, f := range []*family{p.ipv4, p.ipv6} {
		if f.classes != nil {
			c.use(f.classKey, f.classes)
		}
	}
}

// classify finds out what each class of clients gets.
func (f *family) classify(tables *classTables, policy pool.Policy, candidates []selection.Candidate) {
	f.classes, f.classKey = tables.of(policy, candidates)
	if f.classes == nil {
		return
	}
	choices := make([]*selection.Choice, f.classes.Len())
	for class := range choices {
		choices[class], _ = f.chooser.Choose(f.classes.Client(class))
	}
	if len(choices) == 1 && choices[0] != f.unlocated {
		return // one class has scope 0, and that is for clients without a place as well
	}
	f.choices = choices
}
