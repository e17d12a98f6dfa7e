package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"mirrorpool/zones/signing"
)

// clockFile keeps the last time that was known, so that a machine that starts with a
// clock that is behind does not sign with it.
const clockFile = "clock"

// signingClock tells the time that signatures are made as of. It is safe for
// concurrent use.
type signingClock struct {
	logger    zerolog.Logger
	stages    *stages
	state     *stateDir
	wall      func() time.Time
	monotonic func() time.Duration

	mutex sync.Mutex
	clock *signing.Clock
	last  signing.ClockState
	told  signing.ClockState // of last, what was said to people; empty: nothing
	// turns is how often it was found to be another clock.
	turns int
	// ahead is by how much the clock on the wall is ahead of the time to sign as of.
	ahead time.Duration
}

// newSigningClock goes on from the time that the last run has kept. With one that
// cannot be read it starts from the keys, and says so.
func newSigningClock(logger zerolog.Logger, stages *stages, state *stateDir, created time.Time) *signingClock {
	c := &signingClock{logger: logger, stages: stages, state: state, wall: time.Now, monotonic: sinceBoot}
	remembered, err := c.remembered()
	if err != nil {
		logger.Warn().Err(err).Str("stage", string(stageClock)).Msg("the time that was kept is not used")
	}
	c.clock = signing.NewClock(remembered, created)
	return c
}

func (c *signingClock) remembered() (time.Time, error) {
	data, err := c.state.read(clockFile)
	if err != nil || data == nil {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339, strings.TrimSpace(string(data)))
	if err != nil {
		return time.Time{}, fmt.Errorf("reading %s: %w; it is written anew", c.state.file(clockFile), err)
	}
	return at, nil
}

// turnTolerance is by how much the clock on the wall may move against the time to sign
// as of without being another one. It is adjusted all the time.
const turnTolerance = time.Second

// now is the time to sign as of. Created is when the latest key was made; zero:
// there is none, and the clock's state concerns nobody.
func (c *signingClock) now(created time.Time) time.Time {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	wall := c.wall().UTC()
	reading := c.clock.Read(wall, c.monotonic(), created)
	ahead := wall.Sub(reading.Now)
	if c.last != "" && (reading.State != c.last || (ahead-c.ahead).Abs() > turnTolerance) {
		c.turns++
	}
	c.ahead, c.last = ahead, reading.State
	c.say(reading, !created.IsZero())
	return reading.Now
}

// say tells people of a reading, where any zone is signed.
func (c *signingClock) say(reading signing.ClockReading, signed bool) {
	switch {
	case !signed:
		c.stages.succeed(stageClock)
		c.told = ""
	case reading.Words == "":
		if c.stages.succeed(stageClock) {
			c.logger.Info().Msg("the clock is right again")
		}
		c.told = reading.State
	default:
		err := errors.New(reading.Words)
		c.stages.fail(stageClock, err)
		if reading.State != c.told {
			c.logger.Error().Err(err).Str("stage", string(stageClock)).Msg("signatures are made nevertheless")
		}
		c.told = reading.State
	}
}

// wallAt is what the clock on the wall shows when it is a time to sign as of; the zero
// time stays so. It is right after now.
func (c *signingClock) wallAt(at time.Time) time.Time {
	if at.IsZero() {
		return at
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return at.Add(c.ahead)
}

// turned is how often the clock was found to be another one than before, whoever
// looked.
func (c *signingClock) turned() int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.turns
}

// keep writes the time down.
func (c *signingClock) keep(now time.Time) {
	if err := c.state.write(clockFile, []byte(now.UTC().Format(time.RFC3339)+"\n")); err != nil {
		c.logger.Error().Err(err).Str("stage", string(stageClock)).Msg("the time is not kept for the next start: trying again")
	}
}

// clockFollow looks at the clock until ctx ends, if any zone is signed. Others look at
// it too: it has turned though they saw it first.
func (n *node) clockFollow(ctx context.Context) {
	acted := n.clock.turned()
	for sleep(ctx, keepInterval) {
		created := n.keys.latest()
		if created.IsZero() {
			continue
		}
		n.clock.keep(n.clock.now(created))
		if turned := n.clock.turned(); turned != acted {
			acted = turned
			n.compiler.signingChanged()
		}
	}
}
