package alert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Way is one way to tell people. Exactly one of Webhook, Mail and Program is set.
type Way struct {
	Name   string   // unique; what was told is kept under it
	Events []Kind   // empty: all
	Pools  []string // of what concerns pools, only what concerns these; empty: all
	// Wait is how long a message waits for what else comes.
	Wait time.Duration
	// AtMost bounds the messages, those to mirrors' operators by themselves.
	AtMost Limit
	// Repeat is after what time a trouble that lasts is told of again; 0: never.
	Repeat time.Duration
	// Timeout is for one attempt to deliver a message.
	Timeout time.Duration
	// StaleAfter is how long a trouble of kind Stale lasts before it is told.
	StaleAfter time.Duration
	// DryRun: the messages are given to Config.Tell, and not sent.
	DryRun bool

	Webhook *Webhook
	Mail    *Mail
	Program *Program

	test sender // in place of these
}

// Limit is a number of messages within a time.
type Limit struct {
	Count  int // at least 1
	Period time.Duration
}

// MaxWays is how many there may be, and MaxLimit the largest count of a Limit.
const (
	MaxWays  = 32
	MaxLimit = 1000
)

// Validate reports what a way lacks.
func (w *Way) Validate() error {
	set := 0
	for _, is := range []bool{w.Webhook != nil, w.Mail != nil && w.test == nil, w.Program != nil, w.test != nil} {
		if is {
			set++
		}
	}
	switch {
	case w.Name == "":
		return errors.New("a way to tell people has no name")
	case set != 1:
		return fmt.Errorf("%s: %d ways at once, expected one of webhook, mail and program", w.Name, set)
	case w.AtMost.Count < 1 || w.AtMost.Count > MaxLimit || w.AtMost.Period <= 0:
		return fmt.Errorf("%s: a limit of %d messages within %s, expected 1 to %d within some time", w.Name, w.AtMost.Count, w.AtMost.Period, MaxLimit)
	case w.Wait < 0 || w.Repeat < 0 || w.Timeout <= 0:
		return fmt.Errorf("%s: a time that is negative, or no time to deliver in", w.Name)
	}
	return nil
}

// wants reports whether an event is for this way.
func (w *Way) wants(e *Event) bool {
	if len(w.Events) > 0 && !slices.Contains(w.Events, e.Kind) {
		return false
	}
	return len(w.Pools) == 0 || len(e.Pools) == 0 ||
		slices.ContainsFunc(e.Pools, func(name string) bool { return slices.Contains(w.Pools, name) })
}

// tellsOperators reports whether mirrors' operators are written to.
func (w *Way) tellsOperators() bool { return w.Mail != nil && w.Mail.ToMirrors }

// sender delivers a message. It has to return when its context ends.
type sender interface {
	send(ctx context.Context, m *message) error
}

func (w *Way) sender() sender {
	switch {
	case w.test != nil:
		return w.test
	case w.Webhook != nil:
		return w.Webhook
	case w.Mail != nil:
		return w.Mail
	}
	return w.Program
}

// hopeless is an error that another attempt with the same message meets again.
type hopeless struct{ error }

func (h hopeless) Unwrap() error { return h.error }

// later is an error of a receiver that has said when to come back.
type later struct {
	error
	after time.Duration
}

func (l later) Unwrap() error { return l.error }

// partly is what went wrong with a message that was delivered all the same, to others.
type partly struct{ error }

func (p partly) Unwrap() error { return p.error }

// attempts are how often a message is tried, with a pause between that begins with
// firstPause and grows by pauseFactor. With a receiver that does not take it the way
// rests for firstRest, and up to longestRest where it goes on.
const (
	attempts    = 5
	firstPause  = 5 * time.Second
	pauseFactor = 3
	longestWait = 10 * time.Minute // that a receiver may ask for
	firstRest   = 5 * time.Minute
	longestRest = time.Hour
)

// deliver tries to send until it works, hope is lost, or the attempts are used up.
func deliver(ctx context.Context, to sender, m *message, timeout time.Duration, failed func()) error {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		err := attemptOnce(ctx, to, m, timeout)
		var ask later
		switch {
		case err == nil || errors.As(err, &partly{}):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		failed()
		if attempt == attempts || errors.As(err, &hopeless{}) {
			return err
		}
		wait := pause
		if errors.As(err, &ask) {
			wait = max(wait, min(ask.after, longestWait))
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		pause *= pauseFactor
	}
}

func attemptOnce(ctx context.Context, to sender, m *message, timeout time.Duration) (err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer func() {
		if value := recover(); value != nil {
			err = hopeless{fmt.Errorf("sending: internal error: panic: %v", value)}
		}
	}()
	return to.send(ctx, m)
}

// rest is how long to leave a receiver alone after so many messages in a row that it
// did not take.
func rest(failures int) time.Duration {
	if failures > 8 {
		return longestRest
	}
	return min(firstRest<<(failures-1), longestRest)
}

// Test sends a message that says that it is a test, once, and gives its text. A way with
// DryRun sends nothing.
func (w *Way) Test(ctx context.Context, node string, now time.Time) (text string, err error) {
	if err := w.Validate(); err != nil {
		return "", err
	}
	m := newMessage(node, now)
	m.test = true
	m.notices = []notice{{status: statusNotice, first: m.time, event: Event{
		Key: "test", Kind: Stage, Severity: Notice, Begin: now, Subject: "this message",
		Words: "is a test of " + w.Name + ": what mirrorpool has to tell comes this way",
	}.bounded(now)}}
	if w.DryRun {
		return m.text(), nil
	}
	return m.text(), attemptOnce(ctx, w.sender(), m, w.Timeout)
}
