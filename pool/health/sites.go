package health

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

// site is an address with all of its targets: a machine's network is reached or not,
// however many things are asked of it.
type site struct {
	interval time.Duration // the shortest of its targets'
	// answered is the start of the last probe that succeeded, failing that of the first
	// of those that have failed since; negative: there is none.
	answered, failing time.Duration
	cause             cause // of the failure
	// most is the interval of those of its targets that were up and are asked most often,
	// asked how many these are, and failed how many of them fail.
	most          time.Duration
	asked, failed int
}

// up reports whether a target of the site was up before it failed.
func (s *site) up() bool { return s.asked > 0 }

// fails reports whether nothing of the site has answered since its failures began, and
// all have failed that would have.
func (s *site) fails() bool { return s.up() && s.failed == s.asked && s.answered < s.failing }

// sites are those of one family, as they were counted last.
type sites struct {
	all   []site
	of    []int // place in all of each entry's; negative: it is of another family
	index map[netip.Addr]int
}

// tally is what was counted of a family's sites.
type tally struct {
	up      int // were up, until the failures began that are counted
	failing int // of those, have begun to fail within one round
	// byClock and byNames of those fail by what the clock says, or for want of an address.
	byClock, byNames int
	// answering have succeeded since the freeze began.
	answering int
	// round is the time in which more than half of the sites are asked once, window that
	// and a little more, within which what has one cause begins to fail.
	round, window time.Duration
	// hasty is an interval shorter than others within which most have failed that are
	// asked so often; 0: there is none.
	hasty time.Duration
}

// mass reports whether more than half of what was up fails.
func (t tally) mass() bool { return t.failing*2 > t.up }

// part is what was counted of the sites with one interval.
type part struct{ sites, up, failing, byClock, byNames, answering int }

// look counts a family's sites. p.mu is held.
func (p *Prober) look(w *watch, now time.Duration) {
	p.gather(w.family)
	parts := map[time.Duration]*part{}
	for i := range p.sites.all {
		interval := p.sites.all[i].interval
		if parts[interval] == nil {
			parts[interval] = &part{}
		}
		parts[interval].sites++
	}
	ascending := slices.Sorted(maps.Keys(parts))
	round, asked := time.Duration(0), 0
	for _, round = range ascending {
		if asked += parts[round].sites; asked*2 > len(p.sites.all) {
			break
		}
	}
	p.judge(w, round, now)
	for i := range p.sites.all {
		s := &p.sites.all[i]
		part := parts[s.interval]
		if s.up() {
			part.up++
		}
		switch {
		case s.fails():
			part.failing++
			switch s.cause {
			case byClock:
				part.byClock++
			case byNames:
				part.byNames++
			}
		case s.up() && w.freeze != nil && s.answered >= w.freeze.began:
			part.answering++
		}
	}
	seen := tally{round: round, window: p.span(round)}
	for i, interval := range ascending {
		part := parts[interval]
		seen.up, seen.failing = seen.up+part.up, seen.failing+part.failing
		seen.byClock, seen.byNames, seen.answering = seen.byClock+part.byClock, seen.byNames+part.byNames, seen.answering+part.answering
		if seen.hasty == 0 && i < len(ascending)-1 && seen.up >= leastSites && seen.mass() {
			seen.hasty = interval
		}
	}
	w.seen, w.looked = seen, now
}

// gather finds the sites of a family. p.mu is held.
func (p *Prober) gather(family Family) {
	all := &p.sites
	if all.index == nil {
		all.index = map[netip.Addr]int{}
	}
	clear(all.index)
	all.all = all.all[:0]
	all.of = slices.Grow(all.of[:0], len(p.entries))[:len(p.entries)]
	for i, e := range p.entries {
		address := e.state.Address
		all.of[i] = -1
		if familyOf(address) != family {
			continue
		}
		at, known := all.index[address]
		if !known {
			at = len(all.all)
			all.index[address] = at
			all.all = append(all.all, site{interval: e.schedule.Interval, answered: -1, failing: -1})
		}
		all.of[i] = at
		s := &all.all[at]
		s.interval = min(s.interval, e.schedule.Interval)
		s.answered = max(s.answered, e.answered)
	}
}

// judge finds of each site whether it was up, and whether it fails: within one round,
// or at all while the family is frozen. p.mu is held.
func (p *Prober) judge(w *watch, round, now time.Duration) {
	for i, e := range p.entries {
		at := p.sites.of[i]
		if at < 0 {
			continue
		}
		window := p.window(round, e)
		verdict := e.state.Verdict
		if e.fellWithin(window, now) {
			verdict = e.fell.Verdict
		}
		// Where control addresses tell, a target that was never asked may be up: a
		// machine may start before its network does.
		if verdict == Down || verdict == Unknown && len(w.control) == 0 {
			continue
		}
		s := &p.sites.all[at]
		interval := e.schedule.Interval
		if s.asked > 0 && interval > s.most {
			continue
		}
		if s.asked == 0 || interval < s.most {
			s.most, s.asked, s.failed, s.failing = interval, 0, 0, -1
		}
		s.asked++
		if e.failing >= 0 && (w.freeze != nil || e.failing >= now-window) {
			s.failed++
			if s.failing < 0 || e.failing < s.failing {
				s.failing, s.cause = e.failing, e.cause
			}
		}
	}
}

// window is within what time before now an entry's failures begin that have the same
// cause as others that begin now. A machine that is busy looks late, but a beat at most.
// p.mu is held.
func (p *Prober) window(round time.Duration, e *entry) time.Duration {
	return p.span(round) + timeoutOf(e.target) + beatEvery
}

// span is how far starts may lie apart in one round of so long: with the jitter, and
// with the rate where there are too many. p.mu is held.
func (p *Prober) span(round time.Duration) time.Duration {
	return max(round*11/10, time.Duration(len(p.entries))*max(p.gap, defaultTimeout/time.Duration(p.concurrency)))
}

// hasten brings the next probe of those sites gathered last that are asked less often
// than at such an interval into the next half of it, so that it is known soon whether
// they fail too. A site is hastened no more than once in that interval. p.mu is held.
func (p *Prober) hasten(now, interval time.Duration) {
	hastened := false
	for i, e := range p.entries {
		at := p.sites.of[i]
		if at < 0 || e.cancel != nil || e.schedule.Interval <= interval || e.schedule.Interval > p.sites.all[at].interval {
			continue
		}
		if due := now + time.Duration(e.phase*float64(interval)/2); e.due > due && now-e.started >= interval {
			e.due, hastened = due, true
		}
	}
	if hastened {
		p.requeue()
		signal(p.wake)
	}
}
