package health

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Family is a kind of addresses. Each is reached over a network of its own, which may be
// cut off by itself.
type Family string

// The families.
const (
	IPv4 Family = "ipv4"
	IPv6 Family = "ipv6"
)

// families are all of them, in the order in which they are shown.
var families = [...]Family{IPv4, IPv6}

func (f Family) String() string {
	return strings.Replace(string(f), "ip", "IP", 1)
}

// familyOf is the family of an address; empty for none.
func familyOf(address netip.Addr) Family {
	switch {
	case !address.IsValid():
		return ""
	case address.Unmap().Is4():
		return IPv4
	}
	return IPv6
}

// Freeze tells that failures of a family's targets do not count now, since so many came
// at once that they are taken for this machine's own.
type Freeze struct {
	Family Family
	Since  time.Time
	// Failing of the Up addresses that were up when it began fail now.
	Failing, Up int
	Words       string // all of it, in words
}

// freeze is one that lasts. It is guarded by the Prober's mu.
type freeze struct {
	since       time.Time
	began       time.Duration
	failing, up int
	cause       cause
	// answering is since when others of the family answer, calm since when no more than
	// half of them fail; negative: they do not.
	answering, calm time.Duration
}

// cause is what of this machine is taken to be at fault.
type cause string

const (
	bySome    cause = ""        // who knows
	byControl cause = "control" // its network: no control address answers
	byClock   cause = "clock"   // its clock, which was set
	byNames   cause = "names"   // its resolver
)

// Limits of a freeze.
const (
	// leastSites is how many addresses have to be up so that many failures are taken for
	// this machine's own without control addresses that tell.
	leastSites = 5
	// longestFreeze is how many rounds it lasts while others of the family answer.
	longestFreeze = 10
	// controlEvery is how often control addresses are asked again, and how long the word
	// of one that answers holds.
	controlEvery = 5 * time.Second
	// controlAnswers is how often in a row one has to answer to end a freeze.
	controlAnswers = 2
	// lookEvery is how often targets are counted at most, where there are more than
	// fewTargets.
	lookEvery  = 100 * time.Millisecond
	fewTargets = 1000
)

// watch looks for failures of many of a family's targets at once. It is guarded by the
// Prober's mu.
type watch struct {
	family  Family
	control []netip.AddrPort

	failed bool  // something has failed since the last look
	seen   tally // by the last look
	looked time.Duration

	wanted, asking bool          // the control addresses are to be asked, or are being asked
	asked          time.Duration // when they were last; negative: never
	vouched        time.Duration // when one of them answered last; negative: never
	answers        int           // how often in a row one did, while frozen
	held           []finding     // what waits for their answer

	freeze *freeze // nil: failures count
}

func newWatches() []*watch {
	all := make([]*watch, len(families))
	for i, family := range families {
		all[i] = &watch{family: family, looked: -1, asked: -1, vouched: -1}
	}
	return all
}

// watchOf is that of an address's family; nil: it has none.
func (p *Prober) watchOf(address netip.Addr) *watch {
	family := familyOf(address)
	for _, w := range p.watches {
		if w.family == family {
			return w
		}
	}
	return nil
}

// suspect looks whether so many fail that it may be this machine's fault, and if so
// freezes their states, or has the control addresses asked. p.mu is held.
func (p *Prober) suspect(w *watch, now time.Duration) {
	if w.freeze != nil {
		return
	}
	fresh := w.looked < 0 || now-w.looked >= lookEvery || len(p.entries) < fewTargets
	if fresh {
		p.look(w, now)
		w.failed = false
	}
	seen := w.seen
	if !seen.mass() {
		if fresh && seen.hasty > 0 {
			p.hasten(now, seen.hasty)
		}
		return
	}
	why := p.causeOf(seen, now)
	switch {
	case len(w.control) > 0 && why == bySome:
		if !w.asking && (w.vouched < 0 || now-w.vouched >= controlEvery) {
			w.wanted = true
			signal(p.wake)
		}
	case seen.up >= leastSites:
		p.begin(w, now, &freeze{cause: why})
	}
}

// causeOf is what of this machine may be at fault that control addresses know nothing of:
// they are asked by their address, and do not look at a clock. p.mu is held.
func (p *Prober) causeOf(seen tally, now time.Duration) cause {
	switch {
	case seen.byNames*2 > seen.failing:
		return byNames
	case seen.byClock*2 > seen.failing && p.turned >= 0 && now-p.turned <= seen.window:
		return byClock
	}
	return bySome
}

// begin freezes a family's states. What was taken down by the same failures is up
// again. p.mu is held.
func (p *Prober) begin(w *watch, now time.Duration, f *freeze) {
	p.look(w, now)
	f.since, f.began = stamp(p.now()), now
	f.failing, f.up = w.seen.failing, w.seen.up
	f.answering, f.calm = -1, -1
	w.freeze, w.answers, w.wanted = f, 0, false
	p.markFrozen()
	for i, e := range p.entries {
		if at := p.sites.of[i]; at >= 0 && p.sites.all[at].fails() && e.fellWithin(p.window(w.seen.round, e), now) {
			p.takeBack(e)
		}
	}
	// The others have not been asked since it began, some for an hour.
	p.hasten(now, w.seen.round)
	if !w.asking {
		p.release(w, now) // nobody will be asked any more
	}
	p.tellNow(now)
}

// fellWithin reports whether the entry was taken down by failures that began within
// such a time.
func (e *entry) fellWithin(window, now time.Duration) bool {
	return e.state.Verdict == Down && e.fell != nil && e.failing >= 0 && e.failing >= now-window
}

// takeBack makes an entry again what it was before it was taken down. p.mu is held.
func (p *Prober) takeBack(e *entry) {
	before := e.state
	e.state.Verdict, e.state.Since, e.state.Returned = e.fell.Verdict, e.fell.Since, e.fell.Returned
	e.state.Failures, e.state.Successes = e.fell.Failures, 0
	e.state.Change = e.state.change(e.schedule)
	e.fell = nil
	if p.observe != nil {
		p.observe(Observation{Target: e.target, Before: before, After: e.state, TakenBack: true})
	}
}

// end lets failures count again. Those before count for nothing, unless they are
// believed: then each target that goes on failing is taken down by its next probe.
// p.mu is held.
func (p *Prober) end(w *watch, now time.Duration, believed bool) {
	w.freeze, w.answers, w.wanted = nil, 0, false
	p.markFrozen()
	for _, e := range p.entries {
		if familyOf(e.state.Address) != w.family || e.state.Verdict != Up {
			continue
		}
		e.state.Failures = 0
		if believed {
			e.state.Failures = min(e.streak, e.schedule.DownAfter-1)
		}
		e.state.Change = e.state.change(e.schedule)
	}
	p.tellNow(now)
}

// refreeze goes on with the freezes that were restored, where a target's state that was
// frozen is still of use, and marks targets that are new. p.mu is held.
func (p *Prober) refreeze(now time.Duration) {
	for _, e := range p.entries {
		w := p.watchOf(e.state.Address)
		if !e.state.Frozen || w == nil || w.freeze != nil {
			continue
		}
		if f, was := p.restored.freezes[w.family]; was {
			f.began, f.answering, f.calm = now, -1, -1
			w.freeze = &f
			p.tellNow(now)
		}
	}
	p.markFrozen()
}

// markFrozen writes into every state whether it is frozen. A mirror whose address was
// never seen is where all others are. p.mu is held.
func (p *Prober) markFrozen() {
	present, frozen := map[Family]bool{}, map[Family]bool{}
	for _, e := range p.entries {
		present[familyOf(e.state.Address)] = true
	}
	delete(present, "")
	all := len(present) > 0
	for _, w := range p.watches {
		frozen[w.family] = w.freeze != nil
		all = all && (w.freeze != nil || !present[w.family])
		p.metrics.setFrozen(w.family, w.freeze != nil)
	}
	frozen[""] = all
	for _, e := range p.entries {
		if is := frozen[familyOf(e.state.Address)]; is != e.state.Frozen {
			e.state.Frozen = is
			e.state.Change = e.state.change(e.schedule)
		}
	}
	p.allFrozen = all
	p.stale.Store(true)
}

// isFrozen reports whether failures of an address do not count. p.mu is held.
func (p *Prober) isFrozen(address netip.Addr) bool {
	if w := p.watchOf(address); w != nil {
		return w.freeze != nil
	}
	return p.allFrozen
}

// keepFrozen ends a freeze when its time has come, or has the control addresses asked
// again. p.mu is held.
func (p *Prober) keepFrozen(w *watch, now time.Duration) {
	f := w.freeze
	p.look(w, now)
	seen := w.seen
	if seen.failing != f.failing || seen.up != f.up {
		f.failing, f.up = seen.failing, seen.up
		p.stale.Store(true)
	}
	since(&f.answering, seen.answering > 0, now)
	since(&f.calm, !seen.mass(), now)
	switch {
	case f.calm >= 0 && now-f.calm >= seen.round:
		p.end(w, now, false)
	case f.answering >= 0 && now-f.answering >= longestFreeze*seen.round:
		p.end(w, now, true)
	case len(w.control) > 0 && (f.cause == bySome || f.cause == byControl) && !w.asking && now-w.asked >= controlEvery:
		w.wanted = true
		signal(p.wake)
	}
}

// since keeps when something began to be so; negative: it is not.
func since(at *time.Duration, is bool, now time.Duration) {
	switch {
	case !is:
		*at = -1
	case *at < 0:
		*at = now
	}
}

// freezes are those that last, for a report. p.mu is held.
func (p *Prober) freezes() []Freeze {
	var all []Freeze
	for _, w := range p.watches {
		if f := w.freeze; f != nil {
			all = append(all, Freeze{Family: w.family, Since: f.since, Failing: f.failing, Up: f.up, Words: f.words(w.family)})
		}
	}
	return all
}

// words do not change while the counts do, so that they can be compared.
func (f *freeze) words(family Family) string {
	why := "so many at once"
	switch f.cause {
	case byControl:
		why = "and no control address (health.control) answers either"
	case byClock:
		why = "by what this machine's clock says, which was set meanwhile"
	case byNames:
		why = "because this machine's resolver does not find their names"
	}
	return fmt.Sprintf("more than half of all %s addresses that were up fail, %s: taken for this machine's own fault, so that failures do not count", family, why)
}
