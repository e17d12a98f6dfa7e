package health

import (
	"time"

	"mirrorpool/pool"
)

// after is the state that follows s when a probe that took the given time and
// ended at now came to the given result. It is a pure function; the rules are
// in the package comment. The schedule's thresholds are at least 1.
func (s State) after(r Result, schedule pool.Schedule, now time.Time, took time.Duration) State {
	next := s
	next.Checked, next.Duration = now, took
	unmade := r.saysNothing(s)
	if !unmade || s.Verdict != Down { // what took it down goes on being the reason
		next.Reason = r.Reason
	}
	if r.Address.IsValid() {
		next.Address = r.Address
	}
	if !r.CertificateExpiry.IsZero() {
		next.CertificateExpiry = r.CertificateExpiry
	}
	if r.Evidence.BytesPerSecond > 0 {
		next.Throughput = r.Evidence.BytesPerSecond
	}
	switch {
	case unmade: // neither a success nor a failure
	case r.Outcome == Success:
		next.Successes = min(s.Successes+1, schedule.UpAfter)
		enough := next.Successes >= schedule.UpAfter
		if s.Verdict == Unknown || enough {
			next.Verdict = Up
			next.Failures = 0
			next.ByProgram = false
		}
	case s.Frozen: // it counts for nothing, neither towards down nor against coming up
	default:
		next.Failures = min(s.Failures+1, schedule.DownAfter)
		next.Successes = 0
		next.ByProgram = s.ByProgram || r.ByProgram
		if s.Verdict == Unknown && !seldom(schedule) || next.Failures >= schedule.DownAfter {
			next.Verdict = Down
		}
	}
	if next.Verdict != s.Verdict {
		next.Since = now
		if s.Verdict == Down {
			next.Returned = now
		}
	}
	next.Change = next.change(schedule)
	return next
}

// saysNothing reports whether a probe moves a state neither way, for it was not made. What
// a missing program would have found wrong stands; apart from that it is missing for good,
// and would keep targets out for ever.
func (r Result) saysNothing(s State) bool {
	return r.Outcome == Success && r.NotMade && (!r.NoProgram || s.ByProgram)
}

// change is the soonest moment at which the verdict may turn; zero: none is near.
func (s State) change(schedule pool.Schedule) time.Time {
	missing := 0
	switch {
	case s.Verdict == Up && s.Failures > 0 && !s.Frozen:
		missing = schedule.DownAfter - s.Failures
	case s.Verdict == Down && s.Successes > 0:
		missing = schedule.UpAfter - s.Successes
	default:
		return time.Time{}
	}
	// A threshold that was lowered may be reached already.
	return s.Checked.Add(time.Duration(max(missing, 1)) * schedule.Interval)
}

// nearer reports whether a change comes nearer from one moment to another: it is to be
// told soon, since what was answered is kept too long by those who asked.
func nearer(before, after time.Time) bool {
	return !after.IsZero() && (before.IsZero() || before.Sub(after) >= changeStep)
}

// farther reports whether a change goes away: that only lets answers be kept longer.
func farther(before, after time.Time) bool {
	return !before.IsZero() && (after.IsZero() || after.Sub(before) >= changeStep)
}

// changeStep is the least by which a change moves so that anybody's TTL follows, which
// is in whole seconds.
const changeStep = time.Second

// How often it is told at most that changes come nearer, or go away. There is always
// one among very many targets, and everything is compiled anew for each.
const (
	nearerEvery  = time.Second
	fartherEvery = 5 * time.Second
)

// tellLater has Changed fire for a change that has moved, at the latest so long after
// it did for another one. p.mu is held.
func (p *Prober) tellLater(every, now time.Duration) {
	at := max(p.told+every, now)
	if p.toTell && p.tell <= at {
		return
	}
	p.toTell, p.tell = true, at
	signal(p.wake)
}

// tellNow has Changed fire. p.mu is held.
func (p *Prober) tellNow(now time.Duration) {
	p.toTell, p.told = false, now
	signal(p.changed)
}
