package main

import (
	"errors"
	"fmt"
	"strings"

	"mirrorpool/admin"
	"mirrorpool/gitsource"
	"mirrorpool/pool/geo"
)

// status is what the admin listener shows of the node beside the table.
func (n *node) status() admin.Status {
	config := n.config.Load()
	status := admin.Status{
		Version:            programVersion(),
		Started:            n.started,
		Awaiting:           *n.awaiting.Load(),
		Source:             sourceStatus(n.source.Load(), config.Git.Branch),
		Geo:                n.geo.Load().databases(),
		Secondaries:        n.secondariesStatus(),
		LogClientAddresses: config.Log.ClientAddresses,
	}
	for _, key := range config.unused {
		status.NotInForce = append(status.NotInForce, key.String())
	}
	failing := map[stage]stageFailure{}
	for _, one := range n.stages.list() {
		failing[one.stage] = one.stageFailure
	}
	for _, one := range staleStages {
		shown := admin.Stage{Name: string(one)}
		if failure, fails := failing[one]; fails {
			shown.StaleSince, shown.Error = failure.since, failure.err.Error()
		}
		status.Stages = append(status.Stages, shown)
	}
	if warnings := n.warnings.Load(); warnings != nil {
		status.Warnings = *warnings
	}
	status.HostNames = n.hosts.status()
	status.Alerts = n.alerts.status()
	status.Publications = n.publishing.status()
	status.Signing = n.rollovers.describe(n.compiler.table.Load())
	return status
}

func sourceStatus(of *gitsource.Source, branch string) admin.Source {
	from := of.Status()
	source := admin.Source{
		URL: of.Remote(), Branch: branch, Head: from.Head, LastLook: from.LastLook,
		LastSuccess: from.LastSuccess, LastError: from.LastError, FailingSince: from.FailingSince,
	}
	if from.Refused.Commit == "" {
		return source
	}
	source.Refused = &admin.Refused{Commit: from.Refused.Commit, Time: from.Refused.Time, Error: from.Refused.Error.Error()}
	var refused *refusal
	if errors.As(from.Refused.Error, &refused) {
		source.Refused.Problems = refused.problems
	}
	return source
}

// describeDatabase gives a geo database on one line.
func describeDatabase(database geo.Database) string {
	parts := []string{fmt.Sprintf("built %s", database.Built.UTC().Format("2006-01-02"))}
	if database.Entries > 0 {
		parts = append(parts, fmt.Sprintf("%d ranges", database.Entries))
	}
	for _, part := range []string{database.Source, database.Licence} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "; ")
}
