package main

import (
	"fmt"

	"mirrorpool/admin/alert"
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
	zones.ModeFallbacks:        {alert.Error, "has no mirror that is up: clients get the fallbacks"},
}

// addFallen tells of a pool's family, or a redirect host, by what clients get of whom
// nothing is known.
func (s *standings) addFallen(name, family, mode string) {
	key, subject := "pool "+name+" "+family, fmt.Sprintf("%s over %s", name, family)
	if family == "" {
		key, subject = "host "+name, name
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
	if described.IPv4.Served {
		s.addFallen(described.Name, "IPv4", described.IPv4.Mode.String())
	}
	if described.IPv6.Served {
		s.addFallen(described.Name, "IPv6", described.IPv6.Mode.String())
	}
}

// addFallenHost does so for a redirect host that has mirrors to give.
func (s *standings) addFallenHost(described zones.HostDescription) {
	for _, mirror := range described.Mirrors {
		if mirror.Weight > 0 {
			s.addFallen(described.Host, "", described.Plain)
			return
		}
	}
}
