package main

import (
	"mirrorpool/admin/alert"
	"mirrorpool/pool/administrative"
)

// lookAtFreezes tells of checks that are not believed now.
func (a *alerting) lookAtFreezes() {
	var events []alert.Event
	for _, state := range a.node.prober.Report().All() {
		if state.Frozen {
			events = append(events, alert.Event{
				Key: "frozen", Severity: alert.Error, Subject: "the health checks",
				Words: "do not count now: so many fail at once that they are taken for this machine's own failures",
			})
			break
		}
	}
	a.Settle(alert.Frozen, events, func(string) (string, bool) { return "count again", true })
}

// silenced reports whether an administrator has said that a member is not given to
// anybody: what becomes of it meanwhile is no news.
func silenced(word *administrative.Word) bool {
	return word != nil && word.Action == administrative.Disable
}
