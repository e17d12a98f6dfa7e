package zones

import (
	"fmt"
	"net/netip"
	"slices"

	"mirrorpool/pool"
)

// LastGood are, by pool, the members that were up by their checks when it had
// min_members of them for the last time, as far as they were not disabled. Pools without that rule are not in it.
type LastGood map[string]FamilyMembers

// FamilyMembers are ids of members by address family, in the order of the repository;
// nil: there have not been so many yet, as far as is known.
type FamilyMembers struct {
	IPv4 []string `json:"ipv4,omitempty"`
	IPv6 []string `json:"ipv6,omitempty"`
}

func (m *FamilyMembers) of(family int) *[]string {
	if family == 0 {
		return &m.IPv4
	}
	return &m.IPv6
}

// LastGood is what the next table, or the next run, has to know as Input.LastGood. The
// map is the caller's, the slices are not.
func (t *Table) LastGood() LastGood {
	all := LastGood{}
	for _, served := range t.pools {
		if served.definition.MinMembers > 0 {
			all[served.definition.Name] = served.standing.lastGood
		}
	}
	return all
}

// keep finds who is given though not up, since fewer members than are needed are. A
// reserve does not count, and is not kept. Without a set that is known to have been good
// all are kept, as if they were up.
func (s *standing) keep(in *Input, p *pool.Pool) {
	if p.MinMembers <= 0 {
		return
	}
	s.lastGood = in.LastGood[p.Name]
	for family := range addressKinds {
		needed := s.needed(p, family)
		s.remember(p, family, needed)
		if s.countUp(p, family) >= needed {
			continue
		}
		good := s.goodSet(p, family)
		for i, member := range p.Members {
			if s.mayKeep(p, i, family) && !s.up(p, i, family, s.trust[family]) && (good == nil || slices.Contains(good, member.ID)) {
				if s.kept[family] == nil {
					s.kept[family] = make([]bool, len(p.Members))
				}
				s.kept[family][i] = true
			}
		}
	}
}

// remember takes those who are up by their checks for the last good set, if they are
// enough. Who is disabled for now stays what he was: of him nothing else is known.
func (s *standing) remember(p *pool.Pool, family, needed int) {
	good := s.lastGood.of(family)
	var known []string
	up := 0
	for i, member := range p.Members {
		switch {
		case s.mayKeep(p, i, family) && s.isUp(p, i, family, false):
			up++
			known = append(known, member.ID)
		case s.disables(i) && countsIn(p, i, family) && slices.Contains(*good, member.ID):
			known = append(known, member.ID)
		}
	}
	if up >= needed && !slices.Equal(*good, known) {
		*good = known
	}
}

// needed is how many members of a family have to be up: min_members, but of those left
// while others are disabled all but one are enough, or else one that is down could not
// be left out. That goes down to a single one.
func (s *standing) needed(p *pool.Pool, family int) int {
	members, left := 0, 0
	for i := range p.Members {
		if countsIn(p, i, family) {
			members++
		}
		if s.mayKeep(p, i, family) {
			left++
		}
	}
	if left == members {
		return p.MinMembers
	}
	return min(p.MinMembers, max(left-1, 1))
}

// goodSet is the last good set of a family; nil: there has been none, or too few of it
// are in the pool still for it to say who should be given.
func (s *standing) goodSet(p *pool.Pool, family int) []string {
	good := *s.lastGood.of(family)
	there := 0
	for i, member := range p.Members {
		if countsIn(p, i, family) && slices.Contains(good, member.ID) {
			there++
		}
	}
	if there < s.needed(p, family) {
		return nil
	}
	return good
}

// countsIn reports whether a member counts towards min_members in a family while it is
// not disabled.
func countsIn(p *pool.Pool, member, family int) bool {
	m := p.Members[member]
	return m.Weight > 0 && !m.Reserve &&
		slices.ContainsFunc(m.Addresses, func(address netip.Addr) bool { return isOf(address, addressKinds[family]) })
}

// mayKeep reports whether a member counts towards min_members in a family.
func (s *standing) mayKeep(p *pool.Pool, member, family int) bool {
	return !s.disables(member) && countsIn(p, member, family)
}

// countUp is how many of the members that count towards min_members are up.
func (s *standing) countUp(p *pool.Pool, family int) int {
	up := 0
	for i := range p.Members {
		if s.mayKeep(p, i, family) && s.up(p, i, family, s.trust[family]) {
			up++
		}
	}
	return up
}

// up reports whether a member has an address of a family that counts as up.
func (s *standing) up(p *pool.Pool, member, family int, trustUnknown bool) bool {
	return s.forces(member) || s.isUp(p, member, family, trustUnknown)
}

// isUp is the same by the checks, whatever was said of the member.
func (s *standing) isUp(p *pool.Pool, member, family int, trustUnknown bool) bool {
	for k, address := range p.Members[member].Addresses {
		if isOf(address, addressKinds[family]) && counts(s.verdicts[s.first[member]+k], trustUnknown) {
			return true
		}
	}
	return false
}

// keeps reports whether a member is given in a family though it is not up.
func (s *standing) keeps(family, member int) bool {
	return s.kept[family] != nil && s.kept[family][member]
}

// keptNote tells people why members are given that are not up; empty: none is.
func (s *standing) keptNote(p *pool.Pool, family int) string {
	if s.kept[family] == nil {
		return ""
	}
	up, needed := s.countUp(p, family), s.needed(p, family)
	are := "are"
	if up == 1 {
		are = "is"
	}
	text := fmt.Sprintf("%d of at least %d members %s up (min_members)", up, needed, are)
	if s.goodSet(p, family) == nil {
		return text + ", and no set of so many is known: all are given"
	}
	return text + ": those of the last set of so many are given as well"
}

// keptIDs are the members that are given in a family though they are not up.
func (s *standing) keptIDs(p *pool.Pool, family int) []string {
	var ids []string
	for i, kept := range s.kept[family] {
		if kept {
			ids = append(ids, p.Members[i].ID)
		}
	}
	return ids
}
