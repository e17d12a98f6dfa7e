package main

import (
	"encoding/json"
	"fmt"
	"reflect"

	"mirrorpool/zones"
)

// lastGoodFile keeps who was up when pools had min_members of their members for the
// last time.
const lastGoodFile = "last_good.json"

// lastGoodVersion is the version of its form.
const lastGoodVersion = 1

type keptLastGood struct {
	Version int            `json:"version"`
	Pools   zones.LastGood `json:"pools"`
}

func (s *stateDir) readLastGood() (zones.LastGood, error) {
	data, err := s.read(lastGoodFile)
	if err != nil || data == nil {
		return nil, err
	}
	var kept keptLastGood
	err = json.Unmarshal(data, &kept)
	if err == nil && kept.Version != lastGoodVersion {
		err = fmt.Errorf("version is %d, expected %d", kept.Version, lastGoodVersion)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w; until a pool has had min_members again, all of its members are given where too few are up", s.file(lastGoodFile), err)
	}
	return kept.Pools, nil
}

// readLastGood finds what to go on from, before the loop begins.
func (c *compiler) readLastGood() {
	var err error
	if c.lastGood, err = c.state.readLastGood(); err != nil {
		c.stages.fail(stageLastGood, err)
		c.logger.Warn().Err(err).Str("stage", string(stageLastGood)).Msg("the kept members of pools with min_members are not used")
		return
	}
	c.lastGoodKept = true
}

// keepLastGood writes down what is another than before, or could not be written.
func (c *compiler) keepLastGood(next zones.LastGood) {
	if same := len(next) == 0 && len(c.lastGood) == 0 || reflect.DeepEqual(next, c.lastGood); same && c.lastGoodKept {
		return
	}
	c.lastGood = next
	data, err := json.MarshalIndent(keptLastGood{lastGoodVersion, next}, "", "\t")
	if err == nil {
		err = c.state.write(lastGoodFile, append(data, '\n'))
	}
	if c.lastGoodKept = err == nil; c.lastGoodKept {
		c.stages.succeed(stageLastGood)
	} else if c.stages.fail(stageLastGood, err) {
		c.logger.Error().Err(err).Str("stage", string(stageLastGood)).
			Msg("who was up when pools had enough members is known until the next restart alone: trying again")
	}
}

// retryLastGood writes again what could not be written.
func (c *compiler) retryLastGood() {
	if c.current != nil && !c.lastGoodKept {
		c.keepLastGood(c.lastGood)
	}
}
