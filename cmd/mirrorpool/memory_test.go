package main

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestSweepsOnceForWhatComesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		var at []time.Duration
		s := newSweeper()
		s.collect = func() { at = append(at, time.Since(start)) }
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.run(ctx)
		}()
		time.Sleep(time.Minute)
		s.soon()
		synctest.Wait()
		// What comes while one is awaited may have its garbage after that one.
		for range 5 {
			s.soon()
		}
		time.Sleep(time.Minute)
		s.soon()
		time.Sleep(time.Minute)
		s.soon()
		time.Sleep(sweepDelay / 2)
		cancel()
		<-ended
		want := []time.Duration{time.Minute + sweepDelay, time.Minute + 2*sweepDelay, 2*time.Minute + sweepDelay}
		if !slices.Equal(at, want) {
			t.Errorf("swept at %v, want %v", at, want)
		}
	})
}
