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

// now is the time to sign as of. Created is when the latest key was made; zero:
// there is none.
func (c *signingClock) now(created time.Time) time.Time {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	wall := c.wall().UTC()
	reading := c.clock.Read(wall, c.monotonic(), created)
	c.ahead = wall.Sub(reading.Now)
	if reading.Words == "" {
		if c.stages.succeed(stageClock) {
			c.logger.Info().Msg("the clock is right again")
		}
	} else {
		err := errors.New(reading.Words)
		c.stages.fail(stageClock, err)
		if reading.State != c.last {
			c.logger.Error().Err(err).Str("stage", string(stageClock)).Msg("signatures are made nevertheless")
		}
	}
	c.last = reading.State
	return reading.Now
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

// judged is what the clock was found to be last.
func (c *signingClock) judged() signing.ClockState {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.last
}

// keep writes the time down.
func (c *signingClock) keep(now time.Time) {
	if err := c.state.write(clockFile, []byte(now.UTC().Format(time.RFC3339)+"\n")); err != nil {
		c.logger.Error().Err(err).Str("stage", string(stageClock)).Msg("the time is not kept for the next start: trying again")
	}
}

// clockFollow looks at the clock until ctx ends, if any zone is signed.
func (n *node) clockFollow(ctx context.Context) {
	for sleep(ctx, keepInterval) {
		created := n.keys.latest()
		if created.IsZero() {
			continue
		}
		before := n.clock.judged()
		n.clock.keep(n.clock.now(created))
		if n.clock.judged() != before {
			n.compiler.signingChanged()
		}
	}
}
