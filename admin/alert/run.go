package alert

import (
	"context"
	"errors"
	"time"
)

// Run tells people until ctx ends. Messages that are on their way then are broken off,
// and are sent after a restart if what they tell is still so. It is called once.
func (c *Center) Run(ctx context.Context) {
	sending, stop := context.WithCancel(ctx)
	c.mutex.Lock()
	c.running = sending
	c.mutex.Unlock()
	kept := c.now()
	for {
		wait := keepEvery
		if next := c.step(); !next.IsZero() {
			wait = min(max(next.Sub(c.now()), gather), keepEvery)
		}
		if c.due(kept) {
			c.save()
			kept = c.now()
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			stop()
			c.sending.Wait()
			c.save()
			return
		case <-timer.C:
		case <-c.wake:
			timer.Stop()
			select {
			case <-ctx.Done():
			case <-time.After(gather):
			}
		}
	}
}

// due reports whether it is time to keep what has changed.
func (c *Center) due(kept time.Time) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	since := c.now().Sub(kept)
	return c.keepNow || c.dirty && (since >= keepEvery || since < 0)
}

// step begins to send what is due, and tells when to look again; zero: when something
// happens.
func (c *Center) step() (next time.Time) {
	now := c.now()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for key, t := range c.troubles {
		if t.pass(now) {
			c.dirty = true
		}
		next = soonest(next, t.next())
		if t.spent(now) && (t.Open || !c.toldOf(key)) {
			delete(c.troubles, key)
			c.dirty = true
		}
	}
	for _, w := range c.ways {
		next = soonest(next, c.stepWay(w, now))
	}
	return next
}

func (c *Center) stepWay(w *wayState, now time.Time) (next time.Time) {
	w.Administrators.forget(c.troubles, now)
	w.Operators.forget(c.troubles, now)
	if w.flight != nil {
		return time.Time{} // its end wakes
	}
	if w.until.Sub(now) > longestRest { // somebody has set the clock
		w.until = now
	}
	if w.until.After(now) {
		return w.until
	}
	d, next := c.draftFor(w, now)
	if d == nil && w.tellsOperators() {
		var other time.Time
		d, other = c.draftForOperator(w, now)
		next = soonest(next, other)
	}
	if d != nil {
		c.launch(w, d)
		return time.Time{}
	}
	return next
}

// launch sends a message by a goroutine of its own, which Run waits for.
func (c *Center) launch(w *wayState, d *draft) {
	ctx, cancel := context.WithCancel(c.running)
	w.flight = cancel
	to, timeout, dry, name := w.sender(), w.Timeout, w.DryRun, w.Name
	c.sending.Go(func() {
		defer cancel()
		var err error
		if !dry {
			err = deliver(ctx, to, d.message, timeout, func() { c.metrics.messages.WithLabelValues(name, "failed").Inc() })
		}
		if err != nil && ctx.Err() != nil && !errors.As(err, &partly{}) {
			c.landed(w)
			return
		}
		c.arrived(w, d, err, dry)
	})
}

// landed ends a flight that was broken off.
func (c *Center) landed(w *wayState) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	w.flight = nil
	c.changed()
}

// arrived takes in what became of a message.
func (c *Center) arrived(w *wayState, d *draft, err error, dry bool) {
	now := c.now()
	said := Told{Way: d.way, Subject: d.subject(), Operator: d.operator, Err: err}
	if d.operator != "" {
		said.Subject = d.letterSubject()
	}
	c.mutex.Lock()
	w.flight = nil
	if d.operator == "" || !errors.As(err, &hopeless{}) {
		w.err = err // that an operator's address is wrong says nothing of the way
	}
	if said.Delivered = err == nil || errors.As(err, &partly{}); said.Delivered {
		d.delivered(now)
		w.failures, w.until, w.last = 0, time.Time{}, now
		result := "sent"
		if dry {
			result, said.Text = "dry_run", d.text()
		}
		c.metrics.messages.WithLabelValues(d.way, result).Inc()
	} else {
		d.givenUp(now)
		if d.operator == "" || !errors.As(err, &hopeless{}) {
			w.failures++
			w.until = now.Add(rest(w.failures))
		}
	}
	c.keepNow = true
	c.changed()
	c.mutex.Unlock()
	c.tell(said)
}
