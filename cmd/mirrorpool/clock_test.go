package main

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"mirrorpool/zones/signing"
)

// turningClock is one whose clock on the wall is as much ahead as ahead says.
func turningClock(t *testing.T, log *bytes.Buffer) (c *signingClock, ahead *atomic.Int64) {
	t.Helper()
	state, err := openStateDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { state.close() })
	start := time.Now()
	c, ahead = newSigningClock(zerolog.New(log), newStages(time.Now), state, time.Time{}), new(atomic.Int64)
	c.wall = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	c.monotonic = func() time.Duration { return time.Since(start) + time.Hour }
	return c, ahead
}

// TestClockIsFollowed: zones are signed anew once for each time that the clock has
// turned, also where others saw it first, and where it has gone back since.
func TestClockIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock, ahead := turningClock(t, new(bytes.Buffer))
		created := time.Now().Add(-24 * time.Hour)
		n := &node{clock: clock, compiler: &compiler{geoChanged: make(chan struct{}, 1)}}
		n.keys = newKeys(zerolog.Nop(), clock.stages)
		n.keys.zones = map[string][]*signing.Key{"example.": {{Times: signing.Times{Created: created}}}}
		clock.now(created)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			n.clockFollow(ctx)
		}()
		defer func() { cancel(); <-ended }()
		expect := func(what string, want bool) {
			t.Helper()
			time.Sleep(2 * keepInterval)
			synctest.Wait()
			if got := len(n.compiler.geoChanged) == 1; got != want {
				t.Errorf("%s: signed anew: %v, want %v", what, got, want)
			}
			if want {
				<-n.compiler.geoChanged
			}
			time.Sleep(2 * keepInterval)
			synctest.Wait()
			if len(n.compiler.geoChanged) != 0 {
				t.Errorf("%s: signed anew once more", what)
			}
		}
		expect("a steady clock", false)
		ahead.Store(int64(time.Hour))
		expect("a jump that nobody else saw", true)
		ahead.Store(0)
		clock.now(created)
		expect("the way back, which another saw first", true)
		ahead.Store(int64(time.Hour))
		clock.now(created)
		ahead.Store(0)
		clock.now(created)
		expect("a jump and the way back, both seen by another", true)
		ahead.Store(int64(time.Hour))
		clock.now(created)
		expect("a jump", true)
		ahead.Store(int64(2 * time.Hour))
		clock.now(created)
		expect("a jump during another", true)
	})
}

// TestClockWithoutKeys: where nothing is signed the clock is nobody's concern, and it
// is told of as soon as something is.
func TestClockWithoutKeys(t *testing.T) {
	log := new(bytes.Buffer)
	clock, ahead := turningClock(t, log)
	created := time.Now().Add(-24 * time.Hour)
	clock.now(time.Time{})
	ahead.Store(int64(400 * 24 * time.Hour))
	clock.now(time.Time{})
	if failing := clock.stages.list(); len(failing) != 0 || log.Len() != 0 {
		t.Errorf("without keys %v fails, and the log says %s", failing, log)
	}
	clock.now(created)
	if failing := clock.stages.list(); len(failing) != 1 || log.Len() == 0 {
		t.Errorf("with a key %v fails, and the log says %s", failing, log)
	}
	clock.now(time.Time{})
	if failing := clock.stages.list(); len(failing) != 0 {
		t.Errorf("without keys %v goes on failing", failing)
	}
}
