package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"mirrorpool/pool"
	"mirrorpool/pool/health"
)

// evidence remembers, of each target whose last probe has failed, what that probe saw.
// It is safe for concurrent use.
type evidence struct {
	mutex  sync.Mutex
	failed map[health.Target]health.Observation
}

// maxEvidence bounds the targets that are remembered: more than there are, but for
// those that have left.
const maxEvidence = 20_000

func newEvidence() *evidence { return &evidence{failed: map[health.Target]health.Observation{}} }

func (e *evidence) observe(o health.Observation) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if o.Result.Outcome == health.Success {
		delete(e.failed, o.Target)
		return
	}
	if _, known := e.failed[o.Target]; known || len(e.failed) < maxEvidence {
		e.failed[o.Target] = o
	}
}

// keepOnly forgets the targets that are not probed any more.
func (e *evidence) keepOnly(report *health.Report) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if len(e.failed) <= report.Len() {
		return
	}
	probed := make(map[health.Target]bool, report.Len())
	for target := range report.All() {
		probed[target] = true
	}
	for target := range e.failed {
		if !probed[target] {
			delete(e.failed, target)
		}
	}
}

// lines say what was asked of a target and what came back, for people who do not know
// this program.
func (e *evidence) lines(target health.Target, state health.State) []string {
	lines := []string{"asked: " + question(target)}
	if !state.Checked.IsZero() {
		lines = append(lines, fmt.Sprintf("last asked: %s, it took %s", state.Checked.UTC().Format("2006-01-02 15:04:05 UTC"), state.Duration.Round(time.Millisecond)))
	}
	lines = append(lines, "what came back: "+state.Reason)
	if target.URL != "" && state.Address.IsValid() {
		lines = append(lines, "address that the name led to: "+state.Address.String())
	}
	e.mutex.Lock()
	o, known := e.failed[target]
	e.mutex.Unlock()
	if !known {
		return lines
	}
	if o.Result.Reason != state.Reason && o.Result.Reason != "" {
		lines = append(lines, "the last probe that failed: "+o.Result.Reason)
	}
	seen := o.Result.Evidence
	if seen.Status != 0 {
		lines = append(lines, fmt.Sprintf("status: %d", seen.Status))
	}
	if seen.Bytes > 0 {
		lines = append(lines, fmt.Sprintf("bytes that came: %d", seen.Bytes))
	}
	if seen.BytesPerSecond > 0 {
		lines = append(lines, fmt.Sprintf("bytes a second: %d", seen.BytesPerSecond))
	}
	for _, step := range seen.Steps[:min(len(seen.Steps), 10)] {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("step %s: %s %s", step.Name, step.Took.Round(100*time.Microsecond), step.Words)))
	}
	return lines
}

// question words what is asked of a target.
func question(target health.Target) string {
	probe := target.Probe
	words := target.String()
	switch probe.Kind {
	case pool.CheckHTTP, pool.CheckHTTPS:
		words = "GET " + words
		if probe.Host != "" {
			words += ", Host: " + probe.Host
		}
	case pool.CheckTCP:
		words = "a connection to " + words
	case pool.CheckExec:
		words = "the command " + probe.Command + " for " + words
	}
	switch probe.Purpose {
	case pool.PurposeThroughput:
		words += fmt.Sprintf(" (%d bytes, at least %d a second)", probe.Bytes, probe.MinRate)
	case pool.PurposeIntegrity:
		words += " (compared with the origin)"
	case pool.PurposeContents:
		words += " (files that a mirror has to have)"
	}
	return words
}
