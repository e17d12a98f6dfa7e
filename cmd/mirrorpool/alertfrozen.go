package main

import (
	"fmt"

	"mirrorpool/admin/alert"
	"mirrorpool/pool/administrative"
)

// lookAtFreezes tells of checks that are not believed now.
func (a *alerting) lookAtFreezes() {
	var events []alert.Event
	for _, freeze := range a.node.prober.Report().Freezes() {
		events = append(events, alert.Event{
			Key: "frozen " + string(freeze.Family), Severity: alert.Error, Begin: freeze.Since,
			Subject: "health over " + string(freeze.Family), Words: "is frozen: " + freeze.Words,
			Details:  map[string]string{"family": string(freeze.Family)},
			Evidence: []string{fmt.Sprintf("%d of %d addresses that were up fail", freeze.Failing, freeze.Up)},
		})
	}
	a.Settle(alert.Frozen, events, func(string) (string, bool) { return "is believed again: failures count", true })
}

// silenced reports whether an administrator has said that a member is not given to
// anybody: what becomes of it meanwhile is no news.
func silenced(word *administrative.Word) bool {
	return word != nil && word.Action == administrative.Disable
}
