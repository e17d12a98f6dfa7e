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
	asked    bool          // known is closed

	// What a freeze goes by, whether it counts or not. Of starts: negative for none.
	answered time.Duration // the last probe that succeeded
	failing  time.Duration // the first of those that have failed in a row
	streak   int           // how many those are
	cause    cause         // of the last failure, if it may be this machine's
	fell     *State        // before it was taken down; nil: it was not
	waiting  int           // findings that wait for the control addresses
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
		answered: -1,
		failing:  -1,
	}
	if s, ok := p.restored.states[t]; ok {
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
	e.state.Change = e.state.change(e.schedule)
	e.nowKnown()
	// The last run's rhythm goes on: no burst of probes after a restart.
	e.due = e.following(now, p.random)
}

// leave takes an entry out of use. The Prober's mu is held.
func (e *entry) leave() {
	e.left = true
	e.nowKnown()
	if e.cancel != nil {
		e.cancel()
	}
}

// nowKnown tells those who wait for the entry's first probe that there is nothing more
// to wait for.
func (e *entry) nowKnown() {
	if !e.asked {
		e.asked = true
		close(e.known)
	}
}

// reschedule gives the entry another schedule. If it has been started before,
// the next start is where the new interval would have put it, but not earlier
// than the phase comes round again, so that a changed interval makes no burst.
func (e *entry) reschedule(schedule pool.Schedule, now time.Duration, random *rand.Rand) {
	same := e.schedule.Interval == schedule.Interval
	e.schedule = schedule
	e.state.Change = e.state.change(schedule)
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

// requeue makes the queue anew, of all entries that are not being probed. Those that
// wait for a place wait again, or find one. p.mu is held.
func (p *Prober) requeue() {
	p.forProcesses.waiting, p.forTransfers.waiting = nil, nil
	p.queue = make(queue, 0, len(p.entries))
	for _, e := range p.entries {
		if e.cancel == nil {
			p.queue = append(p.queue, e)
		}
	}
	heap.Init(&p.queue)
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
	if p.beat >= 0 {
		p.spread(p.elapsed()) // it ran before
	}
	p.beat = -1
	p.mu.Unlock()
	ended := make(chan struct{})
	p.ended.Store(&ended)
	var probes sync.WaitGroup
	defer func() {
		p.ended.Store(nil)
		close(ended)
		probes.Wait()
		p.mu.Lock()
		p.active = false
		p.mu.Unlock()
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case job := <-p.jobs:
			p.perform(job)
		default:
		}
		e, one, wait := p.next(ctx, p.elapsed())
		for _, q := range p.inquiries() {
			probes.Go(func() { p.ask(ctx, q) })
		}
		if e != nil {
			probes.Go(func() { p.run(one, e) })
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-p.wake:
		case job := <-p.jobs:
			p.perform(job)
		case <-timer.C:
		}
	}
	return nil
}

// do has something done while mu is held, and returns when it is. While Run runs, it is
// Run that does it: the caller may be on a thread that the system lets wait behind all
// others, as what compiles tables is, and probes would wait for the lock as long.
func (p *Prober) do(job func()) {
	if ended := p.ended.Load(); ended != nil {
		done := make(chan struct{})
		select {
		case p.jobs <- func() {
			defer close(done)
			job()
		}:
			<-done
			return
		case <-*ended:
		}
	}
	p.perform(job)
}

func (p *Prober) perform(job func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	job()
}

// elapsed is the schedule's present.
func (p *Prober) elapsed() time.Duration { return time.Since(p.base) }

// next takes the entry out of the queue that is to be probed now, with a
// context for its probe, or tells how long to wait for one, or for what else goes
// by time, unless the schedule changes first.
func (p *Prober) next(ctx context.Context, now time.Duration) (*entry, context.Context, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.beat < 0 || now-p.beat >= beatEvery {
		p.tend(now)
	}
	rest := p.beat + beatEvery - now
	if p.toTell {
		if p.tell <= now {
			p.tellNow(now)
		} else {
			rest = min(rest, p.tell-now)
		}
	}
	e, wait := p.due(now)
	if e == nil {
		return nil, nil, min(wait, rest)
	}
	p.metrics.started(now - e.due)
	one, cancel := context.WithCancel(ctx)
	e.started, e.cancel = now, cancel
	p.running++
	p.earliest = max(p.earliest, now-catchUp) + p.gap
	return e, one, 0
}

// due takes the entry out of the queue that is to be started now, or tells how long
// there is none. p.mu is held.
func (p *Prober) due(now time.Duration) (e *entry, wait time.Duration) {
	for len(p.queue) > 0 && p.running < p.concurrency {
		if wait := max(p.queue[0].due, p.earliest) - now; wait > 0 {
			return nil, wait
		}
		if e := heap.Pop(&p.queue).(*entry); p.take(e) {
			return e, 0
		}
	}
	return nil, time.Hour
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

// stamp is a time as states tell it: in UTC, without a monotonic reading, the
// same after it has been saved and restored.
func stamp(t time.Time) time.Time { return t.UTC().Round(0) }
