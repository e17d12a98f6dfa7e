package history

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"mirrorpool/pool/health"
)

// Evidence is what one failed probe saw. Names of the JSON only come to be added.
type Evidence struct {
	Time    time.Time      `json:"time"`
	Outcome health.Outcome `json:"outcome"`
	Reason  string         `json:"reason"`
	// Address is what was connected to; the zero Addr if nothing was.
	Address netip.Addr `json:"address,omitzero"`
	// Milliseconds are how long the probe took.
	Milliseconds   int64  `json:"milliseconds"`
	Status         int    `json:"status,omitempty"`
	Bytes          int64  `json:"bytes,omitempty"`
	FirstBytes     string `json:"first_bytes_sha256,omitempty"`
	BytesPerSecond int64  `json:"bytes_per_second,omitempty"`
	// CertificateExpiry is the end of the certificate that was seen.
	CertificateExpiry time.Time `json:"certificate_expiry,omitzero"`
	Steps             []Step    `json:"steps,omitempty"`
}

// Step is one part of a probe.
type Step struct {
	Name         string  `json:"name"`
	Milliseconds float64 `json:"milliseconds"`
	Words        string  `json:"words,omitempty"`
}

// Bounds of what is kept of one probe.
const (
	mostSteps = 24
	mostWords = 400 // bytes
)

func evidenceOf(o health.Observation) Evidence {
	seen := o.Result.Evidence
	e := Evidence{
		Time: exact(o.After.Checked), Outcome: outcomeOf(o), Reason: printable(o.Result.Reason),
		Address: o.Result.Address, Milliseconds: o.After.Duration.Milliseconds(),
		Status: seen.Status, Bytes: seen.Bytes, FirstBytes: printable(seen.FirstBytes), BytesPerSecond: seen.BytesPerSecond,
		CertificateExpiry: whole(o.Result.CertificateExpiry),
	}
	for _, step := range seen.Steps[:min(len(seen.Steps), mostSteps)] {
		took := float64(step.Took.Microseconds()) / 1000
		e.Steps = append(e.Steps, Step{Name: printable(step.Name), Milliseconds: took, Words: printable(step.Words)})
	}
	return e
}

func outcomeOf(o health.Observation) health.Outcome {
	if o.Result.Outcome == "" {
		return health.Failed
	}
	return o.Result.Outcome
}

// printable makes text that came from elsewhere short, valid and without control
// characters.
func printable(text string) string {
	if len(text) > mostWords {
		text = text[:mostWords] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) && r != ' ' {
			return '?'
		}
		return r
	}, text)
}

// exact is a time as the file keeps it: UTC, in whole milliseconds.
func exact(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.UnixMilli(t.UnixMilli()).UTC()
}

// whole is a time in whole seconds, in UTC.
func whole(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.Unix(t.Unix(), 0).UTC()
}

// gravity orders outcomes by what they say of a mirror, the worst first.
var gravity = []health.Outcome{
	health.Altered, health.Certificate, health.Missing, health.Content, health.Status, health.Protocol,
	health.Connection, health.Timeout, health.Resolution, health.Slow, health.Failed,
}

// graver reports whether an outcome is worse than another.
func graver(a, b health.Outcome) bool {
	rank := func(o health.Outcome) int {
		if i := slices.Index(gravity, o); i >= 0 {
			return i
		}
		return len(gravity)
	}
	return rank(a) < rank(b)
}

// incident is a time at which a target was down. It is named by its target and its start.
type incident struct {
	track    *track
	started  time.Time
	ended    time.Time // zero: it goes on
	failing  time.Time // the first failure that led to it
	target   string    // in words
	check    string
	reason   string // of the probe that took it down
	ending   string // why it has ended, where that is not that it is up again
	voided   bool   // it was not the target's own
	failures int64

	first, last, worst Evidence

	resumed bool // it is from an earlier run, and nothing has been seen of its target since
	fresh   bool // it is not written at all
	dirty   bool // it has changed since it was written
}

// fail takes in one more failure. One that is not believed is never the worst.
func (i *incident) fail(e Evidence, believed bool) {
	if i.failures == 0 {
		i.first, i.worst = e, e
	}
	i.failures++
	i.last = e
	if believed && graver(e.Outcome, i.worst.Outcome) {
		i.worst = e
	}
	i.dirty = true
}

// size is about how many bytes the incident takes, by its words. It is the same as long as
// the incident is over.
func (i *incident) size() int64 {
	const fields = 600 // that are no words
	count := fields + len(i.target) + len(i.check) + len(i.reason)
	for _, e := range []Evidence{i.first, i.last, i.worst} {
		count += len(e.Reason) + len(e.FirstBytes)
		for _, step := range e.Steps {
			count += 40 + len(step.Name) + len(step.Words)
		}
	}
	return int64(count)
}

func (i *incident) end(at time.Time, words string) {
	i.ended, i.ending, i.dirty = exact(at), words, true
	if i.ended.Before(i.started) {
		i.ended = i.started // the clock was set back
	}
}

// The endings of incidents whose target was not seen to come back.
const (
	endedUnchecked = "it is not checked any more"
	endedAbsent    = "the server was not running when it came back"
	endedMoved     = "its address, or what is asked of it, was another's from then on"
	endedVoid      = "taken back: the failures are taken for this machine's own"
)

// encode writes evidence as JSON. Evidence has nothing that JSON has no word for.
func (e Evidence) encode() (string, error) {
	if e.Time.IsZero() {
		return "", nil
	}
	data, err := json.Marshal(e)
	return string(data), err
}

func decodeEvidence(text string) (e Evidence, err error) {
	if text == "" {
		return e, nil
	}
	err = json.Unmarshal([]byte(text), &e)
	return e, err
}
