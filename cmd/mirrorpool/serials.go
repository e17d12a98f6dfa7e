package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"mirrorpool/zones"
)

const serialsFile = "serials.json"

// How long what is written down is promised to be all that was given. While the node
// runs, it is promised anew every keepInterval. A longer promise keeps serials over
// longer pauses, and secondaries waiting for longer where the next one cannot be
// written.
const (
	promiseRunning = 2 * keepInterval
	promiseStopped = 10 * keepInterval // of a node that ends
)

// keptSerials are the SOA serials on disk. Until a time, all serials that were given
// are among them: what cannot be written is not given before. After it, whoever reads
// them cannot know what was given when the disk took nothing.
type keptSerials struct {
	Written time.Time               `json:"written"`
	Until   time.Time               `json:"complete_until"`
	Zones   map[string]zones.Serial `json:"zones"` // by apex
}

// complete reports whether all serials that were given are there: of a node that has
// ended, whether all that it had given are. A clock that is behind the time of writing
// says nothing.
func (k *keptSerials) complete(now time.Time) bool {
	return !now.Before(k.Written) && now.Before(k.Until)
}

// afterRestart are the serials to go on from. Where others may have been given since
// they were written, all are above those: a serial follows the time of day or, where
// it is ahead of that, is raised by one, and less often than once a second for long.
// How much time has gone is not known with a clock that is behind.
func (k *keptSerials) afterRestart(now time.Time) map[string]zones.Serial {
	if k.complete(now) {
		return maps.Clone(k.Zones)
	}
	const unknown, most = 24 * time.Hour, 1 << 30 // seconds; RFC 1982 adds less than 1<<31
	gone, written := now.Sub(k.Written), uint32(k.Written.Unix())
	behind := gone < 0
	if behind {
		gone = unknown
	}
	raised := make(map[string]zones.Serial, len(k.Zones))
	for apex, last := range k.Zones {
		number := last.Number
		if behind && int32(written-number) > 0 { // RFC 1982
			number = written
		}
		raised[apex] = zones.Serial{Number: number + uint32(min(gone/time.Second, most))}
	}
	return raised
}

// readSerials gives the SOA serials of the last run; none if there was none.
func (s *stateDir) readSerials() (keptSerials, error) {
	data, err := s.read(serialsFile)
	if err != nil || data == nil {
		return keptSerials{}, err
	}
	var kept keptSerials
	if err := json.Unmarshal(data, &kept); err != nil {
		return keptSerials{}, fmt.Errorf("reading %s: %w; serials go on from the time of day", s.file(serialsFile), err)
	}
	return kept, nil
}

func (s *stateDir) writeSerials(kept keptSerials) error {
	data, err := json.MarshalIndent(kept, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", s.file(serialsFile), err)
	}
	return s.write(serialsFile, append(data, '\n'))
}

// neverGivenTwice raises the serials of the last run to those of the journal, which
// secondaries may have: where serials were not written down, none is given to other
// content.
func neverGivenTwice(serials map[string]zones.Serial, recorded map[string]uint32) map[string]zones.Serial {
	raised := maps.Clone(serials)
	if raised == nil {
		raised = map[string]zones.Serial{}
	}
	for apex, number := range recorded {
		if last, seen := raised[apex]; !seen || int32(number-last.Number) > 0 { // RFC 1982
			raised[apex] = zones.Serial{Number: number}
		}
	}
	return raised
}

// readSerials finds the serials to go on from, before the loop begins.
func (c *compiler) readSerials() {
	kept, err := c.state.readSerials()
	if err != nil {
		c.logger.Warn().Err(err).Str("stage", string(stageSerials)).Msg("the kept serials are not used")
	}
	c.onDisk, c.serials = kept, neverGivenTwice(kept.afterRestart(c.now()), c.journal.Serials())
}

// with are all serials to remember when some are given: zones that left keep their
// last one, should they come back.
func (c *compiler) with(serials map[string]zones.Serial) map[string]zones.Serial {
	merged := maps.Clone(c.serials)
	if merged == nil {
		merged = map[string]zones.Serial{}
	}
	maps.Copy(merged, serials)
	return merged
}

// keepSerials writes serials down before they are given, so that none is given twice
// to different content and none goes back, and reports whether they are on disk.
func (c *compiler) keepSerials(serials map[string]zones.Serial) bool {
	merged := c.with(serials)
	if c.serialsKept && maps.Equal(merged, c.serials) {
		return true
	}
	return c.writeSerials(merged, promiseRunning)
}

func (c *compiler) writeSerials(serials map[string]zones.Serial, promise time.Duration) bool {
	now := c.now().Round(0) // a restart knows the time of day alone
	kept := keptSerials{Written: now, Until: now.Add(promise), Zones: serials}
	err := c.state.writeSerials(kept)
	c.serialsKept = err == nil
	if err == nil {
		c.onDisk = kept
		c.stages.succeed(stageSerials)
		return true
	}
	if c.stages.fail(stageSerials, err) {
		c.logger.Error().Err(err).Str("stage", string(stageSerials)).
			Msg("SOA serials are not kept: secondaries get changes of health later, and a restart raises all serials. Trying again")
	}
	return false
}

// promiseSerials renews the promise that what is on disk is all that was given. What
// was kept back for want of it is given then.
func (c *compiler) promiseSerials() {
	if c.current == nil {
		return
	}
	before := c.serialsKept
	if c.writeSerials(c.serials, promiseRunning) && !before {
		c.recompile()
	}
}

// close keeps the serials for the next start. The loop has ended.
func (c *compiler) close() {
	if c.current != nil {
		c.writeSerials(c.serials, promiseStopped)
	}
}
