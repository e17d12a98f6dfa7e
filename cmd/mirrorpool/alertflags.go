package main

import (
	"mirrorpool/admin/alert"
	"mirrorpool/pool/health/history"
)

// flagged tells of a red flag that the history has raised. Certificates that end are
// watched by themselves, with their end.
func (a *alerting) flagged(flag history.Flag) {
	if flag.Kind == history.FlagCertificate {
		return
	}
	what, severity := "member ", alert.Warning
	if flag.Redirect {
		what = "mirror "
	}
	if flag.Kind == history.FlagAltered {
		severity = alert.Error
	}
	a.Report(alert.Event{
		Key: "flag " + string(flag.Kind) + " " + flag.Pool + " " + flag.ID, Kind: alert.Flag, Severity: severity, Begin: flag.Since,
		Pools: []string{flag.Pool}, Subject: what + flag.Member.String(), Words: "has a red flag: " + flag.Words,
		Details:  map[string]string{"pool": flag.Pool, "member": flag.ID, "flag": string(flag.Kind)},
		Evidence: []string{"`mirrorpool history` tells more"}, Once: true,
	})
}
