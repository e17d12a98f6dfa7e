package health

import (
	"container/heap"
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"mirrorpool/pool"
)

// catchUp is how much of the rate that was not used may be made up for: timers
// are late by a millisecond or so.
const catchUp = 10 * time.Millisecond

// entry is a target in the schedule. Times are counted from the Prober's base.
// All but target, phase and known is guarded by the Prober's mu.
type entry struct {
	target Target
	phase  float64       // within the interval, from 0 to 1; ties in the queue go by it too
	known  chan struct{} // closed when the verdict is known, or the target leaves

	schedule pool.Schedule
	state    State
	due      time.Duration // of the next start
	started  time.Duration // the last start; negative: never started
	left     bool          // the target is no longer set
	cancel   func()        // ends the probe under way; nil: there is none
}

// newEntry makes the entry of a target that was not there before. p.mu is held.
func (p *Prober) newEntry(t Target, schedule pool.Schedule, now time.Duration) *entry {
	e := &entry{
		target:   t,
		phase:    p.random.Float64(),
		known:    make(chan struct{}),
		schedule: schedule,
		state:    State{Address: t.Address},
		due:      now,
		started:  -1,
	}
	if s, ok := p.restored[t]; ok {
		p.adopt(e, s, now)
	}
	return e
}

// adopt gives an entry of unknown verdict a restored state, if that is younger
// than two intervals. p.mu is held.
func (p *Prober) adopt(e *entry, s State, now time.Duration) {
	age := p.now().Sub(s.Checked)
	if age >= 2*e.schedule.Interval || age < -e.schedule.Interval {
		return
	}
	e.state = s
	e.state.Failures = min(s.Failures, e.schedule.DownAfter)
	e.state.Successes = min(s.Successes, e.schedule.UpAfter)
	if e.target.Address.IsValid() {
		e.state.Address = e.target.Address
	}
	close(e.known)
	// The last run's rhythm goes on: no burst of probes after a restart.
	e.due = e.following(now, p.random)
}

// leave takes an entry out of use. The Prober's mu is held.
func (e *entry) leave() {
	e.left = true
	if e.state.Verdict == Unknown {
		close(e.known)
	}
	if e.cancel != nil {
		e.cancel()
	}
}

// reschedule gives the entry another schedule. If it has been started before,
// the next start is where the new interval would have put it, but not earlier
// than the phase comes round again, so that a changed interval makes no burst.
func (e *entry) reschedule(schedule pool.Schedule, now time.Duration, random *rand.Rand) {
	same := e.schedule.Interval == schedule.Interval
	e.schedule = schedule
	if same || e.state.Verdict == Unknown {
		return
	}
	earliest := now
	if e.started >= 0 {
		earliest = max(now, e.started+schedule.Interval/2)
	}
	e.due = e.following(earliest, random)
}

// following is the entry's first start after the given moment: the next time
// its phase comes round, give or take a twentieth of the interval.
func (e *entry) following(moment time.Duration, random *rand.Rand) time.Duration {
	interval := e.schedule.Interval
	phase := time.Duration(e.phase * float64(interval))
	rounds := math.Floor(float64(moment-phase)/float64(interval)) + 1
	point := phase + time.Duration(rounds)*interval
	jitter := time.Duration((random.Float64() - 0.5) * float64(interval) / 10)
	return max(point+jitter, moment)
}

// queue is a heap of entries, the one that is due first at its top.
type queue []*entry

// newQueue holds those of the entries that are not being probed.
func newQueue(entries []*entry) queue {
	q := make(queue, 0, len(entries))
	for _, e := range entries {
		if e.cancel == nil {
			q = append(q, e)
		}
	}
	heap.Init(&q)
	return q
}

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	if q[i].due != q[j].due {
		return q[i].due < q[j].due
	}
	return q[i].phase < q[j].phase
}

func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push is for package heap.
func (q *queue) Push(x any) { *q = append(*q, x.(*entry)) }

// Pop is for package heap.
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return e
}

// Run probes until ctx ends, and returns nil when all probes have ended too;
// those that were under way count for nothing. It is an error to Run while
// another Run is running; it may run again afterwards.
func (p *Prober) Run(ctx context.Context) error {
	p.mu.Lock()
	if p.active {
		p.mu.Unlock()
		return errRunning
	}
	p.active = true
	p.mu.Unlock()
	var probes sync.WaitGroup
	defer func() {
		probes.Wait()
		p.mu.Lock()
		p.active = false
		p.mu.Unlock()
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		e, one, wait := p.next(ctx, p.elapsed())
		if e != nil {
			probes.Go(func() { p.run(one, e) })
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-p.wake:
		case <-timer.C:
		}
	}
	return nil
}

// elapsed is the schedule's present.
func (p *Prober) elapsed() time.Duration { return time.Since(p.base) }

// next takes the entry out of the queue that is to be probed now, with a
// context for its probe, or tells how long to wait for one unless the schedule
// changes first.
func (p *Prober) next(ctx context.Context, now time.Duration) (*entry, context.Context, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 || p.running >= p.concurrency {
		return nil, nil, time.Hour
	}
	if wait := max(p.queue[0].due, p.earliest) - now; wait > 0 {
		return nil, nil, wait
	}
	e := heap.Pop(&p.queue).(*entry)
	p.metrics.started(now - e.due)
	one, cancel := context.WithCancel(ctx)
	e.started, e.cancel = now, cancel
	p.running++
	p.earliest = max(p.earliest, now-catchUp) + p.gap
	return e, one, 0
}

// run makes the probe of an entry that next has given.
func (p *Prober) run(ctx context.Context, e *entry) {
	start := time.Now()
	result := p.Probe(ctx, e.target)
	took := time.Since(start)
	// What was cut short has failed through us, not through the target.
	counts := result.Outcome == Success || ctx.Err() == nil
	p.finish(e, result, took, counts, p.elapsed())
}

// finish takes in what a probe has found and puts the entry back into the
// queue.
func (p *Prober) finish(e *entry, result Result, took time.Duration, counts bool, now time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	p.metrics.ended()
	e.cancel()
	e.cancel = nil
	signal(p.wake)
	if e.left {
		return
	}
	if counts {
		p.metrics.observe(kindOf(e.target), result.Outcome, took)
		p.record(e, result, took)
	}
	// Not before the next phase, and never at the same time as the last
	// probe; if that took so long that the start is over due, at once.
	e.due = e.following(e.started+e.schedule.Interval/2, p.random)
	heap.Push(&p.queue, e)
}

// record moves an entry's state on and tells of a change. p.mu is held.
func (p *Prober) record(e *entry, result Result, took time.Duration) {
	before := e.state
	e.state = before.after(result, e.schedule, stamp(p.now()), took)
	if e.target.Address.IsValid() {
		e.state.Address = e.target.Address
	}
	p.stale.Store(true)
	if p.observe != nil {
		p.observe(Observation{Target: e.target, Result: result, Before: before, After: e.state})
	}
	if before.Verdict == Unknown {
		close(e.known)
	}
	if before.Verdict != e.state.Verdict || before.Address != e.state.Address {
		signal(p.changed)
	}
}

// stamp is a time as states tell it: in UTC, without a monotonic reading, the
// same after it has been saved and restored.
func stamp(t time.Time) time.Time { return t.UTC().Round(0) }
