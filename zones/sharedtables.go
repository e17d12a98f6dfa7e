package zones

import (
	"encoding/binary"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
	"mirrorpool/pool/selection"
)

// sharedTables are what pools have in common: the classes that clients are sorted
// into, for each of the lists of members whose places and rules differ, and the
// draws from each set of candidates. Pools with the same mirrors share them, and
// a change of health makes no classes anew.
//
// Both are bounded. Pools that find no room ask the databases and draw one
// member after another, which is slower and gives the same.
type sharedTables struct {
	geo   *geo.Map
	known *sharedTables // of the table before, while this one is made; or nil

	bounds tableBounds

	classes     map[string]*selection.Classes // nil: there can be none
	classesSize int                           // bytes
	largest     int                           // of the classes made so far, bytes

	draws     map[string]*selection.DrawTable // nil: there can be none
	drawsSize int                             // bytes
}

// tableBounds is the memory that there is for what is shared, in bytes.
type tableBounds struct{ classes, draws int }

// defaultBounds hold the classes of some ten different lists of members with
// country data, and the draws from some 5,000 different sets of candidates.
var defaultBounds = tableBounds{classes: 32 << 20, draws: 16 << 20}

func newSharedTables(in *Input, bounds tableBounds) *sharedTables {
	s := &sharedTables{geo: in.Geo, bounds: bounds, classes: map[string]*selection.Classes{}, draws: map[string]*selection.DrawTable{}}
	if p := in.Previous; p != nil {
		s.known = p.tables
		if p.geo == in.Geo {
			s.largest = p.tables.largest
		} else {
			s.known = &sharedTables{draws: p.tables.draws}
		}
	}
	return s
}

// finish lets go of the tables before.
func (s *sharedTables) finish() { s.known = nil }

// classesFor gives the classes for a list of candidates; nil: there are none.
func (s *sharedTables) classesFor(policy pool.Policy, candidates []selection.Candidate) (*selection.Classes, string) {
	key := selection.ClassesKey(policy, candidates)
	if classes, ok := s.classes[key]; ok {
		return classes, key
	}
	if s.known != nil {
		if classes, ok := s.known.classes[key]; ok {
			return s.useClasses(key, classes), key
		}
	}
	if s.classesSize+s.largest > s.bounds.classes {
		return nil, key // it takes long to make them, and they are of a size
	}
	classes, _ := selection.NewClasses(policy, candidates, s.geo)
	if classes != nil {
		s.largest = max(s.largest, classes.Size())
	}
	return s.useClasses(key, classes), key
}

// useClasses notes that classes are used, if there is room for them.
func (s *sharedTables) useClasses(key string, classes *selection.Classes) *selection.Classes {
	if classes != nil {
		if s.classesSize+classes.Size() > s.bounds.classes {
			return nil
		}
		s.classesSize += classes.Size()
	}
	s.classes[key] = classes
	return classes
}

// drawsOf gives the table of a choice's draws of up to n members; nil: there is
// none.
func (s *sharedTables) drawsOf(choice *selection.Choice, n int) (*selection.DrawTable, string) {
	key := drawKey(choice, n)
	if table, ok := s.draws[key]; ok {
		return table, key
	}
	if s.known != nil {
		if table, ok := s.known.draws[key]; ok {
			return s.useDraws(key, table), key
		}
	}
	return s.useDraws(key, choice.DrawTable(n)), key
}

// useDraws notes that a table is used, if there is room for it.
func (s *sharedTables) useDraws(key string, table *selection.DrawTable) *selection.DrawTable {
	if table != nil {
		if s.drawsSize+table.Size() > s.bounds.draws {
			return nil
		}
		s.drawsSize += table.Size()
	}
	s.draws[key] = table
	return table
}

// drawKey names the draws of up to n members from a choice.
func drawKey(choice *selection.Choice, n int) string {
	key := binary.AppendUvarint(nil, uint64(n))
	for i, share := range choice.Shares {
		key = binary.AppendUvarint(key, uint64(share.Index))
		key = binary.AppendUvarint(key, choice.Tickets(i))
	}
	return string(key)
}

// keep notes that a pool of the table before is taken over with its tables. It
// comes before all that is new: those that are kept had room before.
func (s *sharedTables) keep(p *compiledPool) {
	for _, f := range []*family{p.ipv4, p.ipv6} {
		if _, noted := s.classes[f.classKey]; f.classKey != "" && !noted {
			if known, ok := s.known.classes[f.classKey]; ok {
				s.useClasses(f.classKey, known)
			}
		}
		for i, key := range f.drawKeys {
			if _, noted := s.draws[key]; !noted && f.draws[i] != nil {
				s.useDraws(key, f.draws[i])
			}
		}
	}
}

// classify finds out what each class of clients gets.
func (f *family) classify(tables *sharedTables, policy pool.Policy, candidates []selection.Candidate) {
	f.classes, f.classKey = tables.classesFor(policy, candidates)
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

// tabulate makes the draws of the choices that are known ahead.
func (f *family) tabulate(tables *sharedTables) {
	if !f.served {
		return
	}
	for _, choice := range append([]*selection.Choice{f.unlocated}, f.choices...) {
		if choice.ID < 0 || f.drawTable(choice) != nil {
			continue
		}
		table, key := tables.drawsOf(choice, f.wire.most)
		for table != nil && len(f.draws) <= choice.ID {
			f.draws, f.drawKeys = append(f.draws, nil), append(f.drawKeys, "")
		}
		if table != nil {
			f.draws[choice.ID], f.drawKeys[choice.ID] = table, key
		}
	}
}
