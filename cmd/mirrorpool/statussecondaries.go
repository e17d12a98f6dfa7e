package main

import (
	"fmt"
	"io"
	"time"

	"mirrorpool/dnsserver/notify"
)

// printSecondaries tells how they stand to the zones: what somebody has to look at is
// marked.
func (p *statusPage) printSecondaries(out io.Writer, now time.Time) {
	if len(p.Secondaries) > 0 {
		fmt.Fprintln(out)
	}
	for _, one := range p.Secondaries {
		fmt.Fprintf(out, "secondary %s, last heard of %s, behind with %d zones, refuses %d\n", one.Address, when(one.Answered, now), one.Behind, one.Refused)
		if one.Silent {
			fmt.Fprintln(out, "  PROBLEM: it does not answer NOTIFY: it learns of changes when it asks by itself")
		}
		for _, zone := range one.Zones {
			if zone.Standing == string(notify.StandsCurrent) {
				continue
			}
			problem := zone.Problem
			switch {
			case problem == "":
				problem = "it is being told"
			case zone.Standing == string(notify.StandsRefused) && !p.serves(zone.Apex):
				problem += ", and may well have its zones without the catalog"
			case !one.Silent || zone.Standing == string(notify.StandsRefused):
				problem = "PROBLEM: " + problem
			}
			fmt.Fprintf(out, "  %s: has heard of serial %d, %d is served: %s\n", zone.Apex, zone.Acknowledged, zone.Serial, problem)
		}
	}
}

// serves reports whether a zone is one of the repository's, and not the catalog.
func (p *statusPage) serves(apex string) bool {
	for i := range p.Zones {
		if p.Zones[i].Apex == apex {
			return true
		}
	}
	return false
}
