package zones

import (
	"fmt"
	"net/netip"
	"slices"

	"mirrorpool/pool"
)

// LastGood are, by pool, the members that were up when it had min_members of them for
// the last time. Pools without that rule are not in it.
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

// keep finds who is given though not up, since fewer members than min_members are. A
// reserve does not count, and is not kept. Without a set that is known to have been good
// all are kept, as if they were up.
func (s *standing) keep(in *Input, p *pool.Pool) {
	if p.MinMembers <= 0 {
		return
	}
	s.lastGood = in.LastGood[p.Name]
	for family := range addressKinds {
		var known []string
		up := 0
		for i := range p.Members {
			if !s.mayKeep(p, i, family) {
				continue
			}
			if s.up(p, i, family, s.trust[family]) {
				up++
			}
			if s.up(p, i, family, false) {
				known = append(known, p.Members[i].ID)
			}
		}
		good := s.lastGood.of(family)
		if len(known) >= p.MinMembers && !slices.Equal(*good, known) {
			*good = known
		}
		if up >= p.MinMembers {
			continue
		}
		for i, member := range p.Members {
			if s.mayKeep(p, i, family) && !s.up(p, i, family, s.trust[family]) && (*good == nil || slices.Contains(*good, member.ID)) {
				if s.kept[family] == nil {
					s.kept[family] = make([]bool, len(p.Members))
				}
				s.kept[family][i] = true
			}
		}
	}
}

// mayKeep reports whether a member counts towards min_members in a family.
func (s *standing) mayKeep(p *pool.Pool, member, family int) bool {
	m := p.Members[member]
	return m.Weight > 0 && !m.Reserve && !s.disables(member) &&
		slices.ContainsFunc(m.Addresses, func(address netip.Addr) bool { return isOf(address, addressKinds[family]) })
}

// up reports whether a member has an address of a family that counts as up.
func (s *standing) up(p *pool.Pool, member, family int, trustUnknown bool) bool {
	for k, address := range p.Members[member].Addresses {
		if isOf(address, addressKinds[family]) && (s.forces(member) || counts(s.verdicts[s.first[member]+k], trustUnknown)) {
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
	up := 0
	for i := range p.Members {
		if s.mayKeep(p, i, family) && s.up(p, i, family, s.trust[family]) {
			up++
		}
	}
	are := "are"
	if up == 1 {
		are = "is"
	}
	text := fmt.Sprintf("%d of at least %d members %s up (min_members)", up, p.MinMembers, are)
	if *s.lastGood.of(family) == nil {
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
