package main

import (
	"fmt"
	"strings"
	"time"

	"mirrorpool/admin/alert"
	"mirrorpool/pool/administrative"
	"mirrorpool/pool/health"
)

// lookAtFreezes tells of checks that are not believed now.
func (a *alerting) lookAtFreezes() {
	var events []alert.Event
	report := a.node.prober.Report()
	for _, freeze := range report.Freezes() {
		events = append(events, alert.Event{
			Key: "frozen " + string(freeze.Family), Severity: alert.Error, Begin: freeze.Since,
			Subject: "health over " + string(freeze.Family), Words: "is frozen: " + freeze.Words,
			Details:  map[string]string{"family": string(freeze.Family)},
			Evidence: []string{fmt.Sprintf("%d of %d addresses that were up fail", freeze.Failing, freeze.Up)},
		})
	}
	a.Settle(alert.Frozen, events, func(key string) (string, bool) {
		return "is believed again: failures count", judgedSince(report, strings.TrimPrefix(key, "frozen "), a.began)
	})
}

// judgedSince reports whether a target of a family was asked since a time, or whether
// others were and the family has none: before, nothing is known of its freeze.
func judgedSince(report *health.Report, family string, began time.Time) bool {
	any, there := false, false
	for target, state := range report.All() {
		address := state.Address
		if !address.IsValid() {
			address = target.Address
		}
		asked := !state.Checked.Before(began)
		if address.IsValid() && (family == string(health.IPv4)) == address.Unmap().Is4() {
			if there = true; asked {
				return true
			}
		}
		any = any || asked
	}
	return any && !there
}

// silenced reports whether an administrator has said that a member is not given to
// anybody: what becomes of it meanwhile is no news.
func silenced(word *administrative.Word) bool {
	return word != nil && word.Action == administrative.Disable
}
