package main

import (
	"fmt"
	"slices"
	"strings"

	"mirrorpool/admin/alert"
	"mirrorpool/pool/administrative"
	"mirrorpool/pool/health"
	"mirrorpool/pool/selection"
	"mirrorpool/zones"
)

// fallen says what clients get of a pool or redirect host that does not give what it
// should.
var fallen = map[string]struct {
	severity alert.Severity
	words    string
}{
	selection.Kept.String():    {alert.Warning, "has too few members that are up: those that were up when there were enough are given too"},
	selection.Reserve.String(): {alert.Error, "has no member that is up: clients get the reserve"},
	selection.All.String():     {alert.Error, "has no member that is up: clients get all of them, as if they were"},
	selection.Self.String():    {alert.Error, "has no member that is up: clients get this node's own addresses"},
	selection.Empty.String():   {alert.Error, "has no member that is up: clients get nothing"},
	noneLeft:                   {alert.Error, "has no member that is not disabled on this node: clients get nothing of it"},
	zones.ModeFallbacks:        {alert.Error, "has no mirror that is up: clients get the fallbacks"},
}

// noneLeft is the mode of what has members, all of them disabled on this node.
const noneLeft = "none left"

// addFallen tells of a pool's family, or a redirect host, by what clients get of whom
// nothing is known.
func (s *standings) addFallen(name, family, mode string) {
	key, subject := "pool "+name+" "+family, fmt.Sprintf("%s over %s", name, family)
	switch family {
	case "":
		key, subject = "host "+name, name
	case "https":
		key, subject = "host "+name+" https", name+" by https"
	}
	s.verdicts[key], s.words[key] = health.Up, "gives what it should again"
	found, is := fallen[mode]
	if !is {
		return
	}
	s.verdicts[key] = health.Down
	s.states = append(s.states, alert.Event{
		Key: key, Severity: found.severity, Pools: []string{name}, Subject: subject, Words: found.words,
		Details: map[string]string{"pool": name, "family": family, "mode": mode},
	})
}

// addFallenPool does so for both families.
func (s *standings) addFallenPool(described zones.PoolDescription) {
	for _, family := range []struct {
		name string
		is4  bool
		zones.FamilyDescription
	}{{"IPv4", true, described.IPv4}, {"IPv6", false, described.IPv6}} {
		if !family.Served {
			continue
		}
		mode := family.Mode.String()
		if family.Mode == selection.Empty && !anyLeft(described.Members, family.is4) {
			mode = noneLeft
		}
		s.addFallen(described.Name, family.name, mode)
	}
}

// anyLeft reports whether a member with an address of a family is not disabled.
func anyLeft(members []zones.MemberDescription, is4 bool) bool {
	return slices.ContainsFunc(members, func(m zones.MemberDescription) bool {
		return m.Weight > 0 && !disabledBy(m.Word) && slices.ContainsFunc(m.Addresses, func(a zones.AddressDescription) bool {
			return a.Address.Unmap().Is4() == is4
		})
	})
}

func disabledBy(word *administrative.Word) bool {
	return word != nil && word.Action == administrative.Disable
}

// addFallenHost does so for a redirect host that has mirrors to give, and for its
// clients by https if some mirrors are for them.
func (s *standings) addFallenHost(described zones.HostDescription) {
	for _, scheme := range []struct{ name, family, mode string }{{"http", "", described.Plain}, {"https", "https", described.Secure}} {
		if !gaveBefore(described, scheme.name) {
			continue
		}
		mode := scheme.mode
		left := slices.ContainsFunc(described.Mirrors, func(m zones.MirrorDescription) bool {
			return m.Weight > 0 && !disabledBy(m.Word) && (scheme.name == "http" || strings.HasPrefix(strings.ToLower(m.URLPrefix), "https://"))
		})
		if mode == selection.Empty.String() && !left {
			mode = noneLeft
		}
		s.addFallen(described.Host, scheme.family, mode)
	}
}
