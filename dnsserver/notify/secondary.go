package notify

import (
	"container/heap"
	"context"
	"time"

	"github.com/miekg/dns"
)

// Times of the protocol's pace.
const (
	// leastGap is between two NOTIFYs of a zone to a secondary, and between those
	// for new serials to one that does not answer.
	leastGap = 500 * time.Millisecond
	// firstRetry doubles with each that is not answered, up to lastRetry.
	firstRetry = time.Second
	lastRetry  = time.Minute
	// patience is how long that goes on. After it come those that are slow.
	patience  = 10 * time.Minute
	leastSlow = time.Minute
	mostSlow  = time.Hour
	// longestWait is the most that an answer is waited for.
	longestWait = 15 * time.Second
)

// retryAfter is the time from one NOTIFY that is not answered to the next, after
// so many of them, 1 or more.
func retryAfter(count int) time.Duration {
	pause := firstRetry
	for ; count > 1 && pause < lastRetry; count-- {
		pause *= 2
	}
	return min(pause, lastRetry)
}

// slowly is the time between two tries that have little hope.
func slowly(soa *dns.SOA) time.Duration {
	return min(max(time.Duration(soa.Retry)*time.Second, leastSlow), mostSlow)
}

// afterRefusal is the time until a secondary is told again that has refused so many
// times, 1 or more. A zone that is new in the catalog is refused until the
// secondary has read that.
func afterRefusal(count int, soa *dns.SOA) time.Duration {
	switch count {
	case 1:
		return 10 * time.Second
	case 2:
		return time.Minute
	default:
		return slowly(soa)
	}
}

// secondary is a server with all that is known of it. The Notifier's mutex guards
// it.
type secondary struct {
	Secondary
	tellings map[string]*telling // by apex
	waiting  waitingTellings
	underWay int

	sent     time.Time // the last NOTIFY
	answered time.Time // the last answer
	// rounds are those without an answer since the last one: NOTIFYs that were under
	// way at the same time are one round. The pace begins anew with each news.
	rounds     int
	roundEnded time.Time
	pace       int       // rounds since the last news
	paceBegun  time.Time // the end of the first of them
	notBefore  time.Time // while it is silent
	unsigned   bool      // what it acknowledged last had no signature
}

func newSecondary(settings Secondary) *secondary {
	return &secondary{Secondary: settings, tellings: map[string]*telling{}, unsigned: settings.Key == nil}
}

// telling is what one secondary is told of one zone.
type telling struct {
	apex string
	soa  *dns.SOA // the newest, to be told or told

	told           uint32 // the serial in the last NOTIFY
	toldAt         time.Time
	acknowledged   uint32
	acknowledgedAt time.Time
	problem        string // why the last NOTIFY was not acknowledged
	refused        bool   // its last answer was that it takes none
	reported       string // the last one that there was an event about

	begun    time.Time // when this serial was told first
	attempts int       // for this serial, without an answer
	refusals int       // of this serial
	due      time.Time
	current  *attempt // that is under way, with the newest serial or with one before
	// The ways of telling this serial that were refused.
	refusedSigned, refusedUnsigned bool

	place int // in waitingTellings; -1: not there
}

// isSilent reports whether the last round had no answer.
func (s *secondary) isSilent() bool { return s.rounds > 0 }

// news says that a zone has another serial.
func (s *secondary) news(apex string, soa *dns.SOA, now time.Time) {
	t := s.tellings[apex]
	if t == nil {
		t = &telling{apex: apex, place: -1}
		s.tellings[apex] = t
	}
	t.soa, t.begun, t.attempts, t.refusals, t.refusedSigned, t.refusedUnsigned = soa, time.Time{}, 0, 0, false, false
	if s.isSilent() {
		s.pace, s.paceBegun = 1, now
		s.notBefore = earlier(s.notBefore, s.sent.Add(leastGap))
	}
	s.wait(t, later(now, t.toldAt.Add(leastGap)))
}

// forget says that a zone is not served any more.
func (s *secondary) forget(apex string) {
	t := s.tellings[apex]
	delete(s.tellings, apex)
	if t == nil {
		return
	}
	t.giveUp()
	if t.place >= 0 {
		heap.Remove(&s.waiting, t.place)
	}
}

// stop ends all that is under way.
func (s *secondary) stop() {
	for _, t := range s.tellings {
		t.giveUp()
	}
}

// giveUp ends the attempt that is under way: nothing of it will be kept.
func (t *telling) giveUp() {
	if t.current != nil {
		t.current.cancel()
		t.current = nil
	}
}

// wait puts a telling into the queue, or to another place of it.
func (s *secondary) wait(t *telling, due time.Time) {
	t.due = due
	if t.place >= 0 {
		heap.Fix(&s.waiting, t.place)
		return
	}
	heap.Push(&s.waiting, t)
}

// nextAt is when the next NOTIFY may be sent.
func (s *secondary) nextAt() (at time.Time, known bool) {
	if len(s.waiting) == 0 {
		return time.Time{}, false
	}
	if s.isSilent() {
		return later(s.waiting[0].due, s.notBefore), true
	}
	return s.waiting[0].due, true
}

// begin takes the next telling.
func (s *secondary) begin(ctx context.Context, now time.Time) *attempt {
	t := heap.Pop(&s.waiting).(*telling)
	t.giveUp()
	t.told, t.toldAt = t.soa.Serial, now
	if t.begun.IsZero() {
		t.begun = now
	}
	s.underWay++
	s.sent = now
	pause := retryAfter(max(s.pace, t.attempts) + 1)
	if s.isSilent() {
		s.notBefore = now.Add(s.pause(retryAfter(s.pace+1), s.paceBegun, t.soa, now))
	}
	ctx, cancel := context.WithCancel(ctx)
	one := &attempt{
		ctx: ctx, cancel: cancel, secondary: s, telling: t, begun: now, from: s.From, address: s.Address, apex: t.apex, soa: t.soa,
		wait: min(pause-pause/10, longestWait), // it is judged before the next one is due
	}
	if s.signs(t) {
		one.key = s.Key
	}
	t.current = one
	return one
}

// signs reports whether the next NOTIFY is signed.
func (s *secondary) signs(t *telling) bool {
	switch {
	case s.Key == nil || !s.Unsigned:
		return s.Key != nil
	case t.refusedSigned || t.refusedUnsigned:
		return t.refusedUnsigned
	default:
		return !s.unsigned
	}
}

// refused keeps that a NOTIFY was refused, and reports whether there is another
// way, which is to be tried at once.
func (s *secondary) refused(one *attempt, byKey bool) (another bool) {
	t := one.telling
	if one.key != nil {
		t.refusedSigned = true
	} else {
		t.refusedUnsigned = true
	}
	if byKey && s.Key != nil && s.Unsigned && t.refusedSigned != t.refusedUnsigned {
		return true
	}
	t.refusedSigned, t.refusedUnsigned = false, false
	return false
}

// pause is the time between two NOTIFYs that are not answered.
func (s *secondary) pause(retry time.Duration, since time.Time, soa *dns.SOA, now time.Time) time.Duration {
	if now.Sub(since) < patience {
		return retry
	}
	return slowly(soa)
}

// finish keeps what came of an attempt and decides what comes next.
func (s *secondary) finish(one *attempt, result outcome, now time.Time) []Event {
	t := one.telling
	t.current = nil
	var events []Event
	if result.kind.isAnswer() {
		events = s.heard(now)
	} else {
		events = s.unheard(one, result, now)
	}
	again := result.kind == Refused && s.refused(one, result.byKey)
	if !again {
		events = append(events, s.judged(one, result, now)...)
	}
	switch {
	case t.soa != one.soa: // another serial is waiting by now
	case again:
		s.wait(t, now)
	case result.kind == Refused:
		t.refusals++
		s.wait(t, now.Add(afterRefusal(t.refusals, t.soa)))
	case result.kind != Acknowledged:
		t.attempts++
		s.wait(t, later(now, one.begun.Add(s.pause(retryAfter(t.attempts), t.begun, t.soa, now))))
	}
	return events
}

// judged keeps what a secondary thinks of a zone.
func (s *secondary) judged(one *attempt, result outcome, now time.Time) (events []Event) {
	t := one.telling
	if result.kind == Acknowledged {
		t.acknowledged, t.acknowledgedAt = one.soa.Serial, now
		s.unsigned = one.key == nil
	}
	t.problem = result.problem
	if result.kind.isAnswer() {
		t.refused = result.kind == Refused
	}
	if result.kind.isAnswer() && t.reported != t.problem {
		t.reported = t.problem
		events = append(events, Event{Address: s.Address.String(), Apex: t.apex, Problem: t.problem})
	}
	return events
}

// roundsUntilSaid are those without an answer before that is worth an event: the
// first may be the network's loss.
const roundsUntilSaid = 3

// heard keeps that it is there. What it missed while it was silent is told at once.
func (s *secondary) heard(now time.Time) (events []Event) {
	s.answered = now
	if !s.isSilent() {
		return nil
	}
	if s.rounds >= roundsUntilSaid {
		events = append(events, Event{Address: s.Address.String()})
	}
	s.rounds, s.pace, s.notBefore = 0, 0, time.Time{}
	for _, t := range s.tellings {
		if t.current != nil || t.attempts > 0 && t.place >= 0 {
			t.giveUp()
			t.attempts = 0
			s.wait(t, now)
		}
	}
	return events
}

// unheard keeps that an attempt had no answer.
func (s *secondary) unheard(one *attempt, result outcome, now time.Time) []Event {
	if s.answered.After(one.begun) || s.isSilent() && one.begun.Before(s.roundEnded) {
		return nil
	}
	if !s.isSilent() {
		s.pace, s.paceBegun = 0, now
	}
	s.rounds++
	s.pace++
	s.roundEnded = now
	s.notBefore = later(s.notBefore, one.begun.Add(retryAfter(s.pace)))
	if s.rounds != roundsUntilSaid {
		return nil
	}
	return []Event{{Address: s.Address.String(), Problem: result.problem}}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// waitingTellings is a heap by due time.
type waitingTellings []*telling

func (w waitingTellings) Len() int           { return len(w) }
func (w waitingTellings) Less(i, j int) bool { return w[i].due.Before(w[j].due) }
func (w waitingTellings) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].place, w[j].place = i, j
}

// Push is heap.Interface's.
func (w *waitingTellings) Push(x any) {
	t := x.(*telling)
	t.place = len(*w)
	*w = append(*w, t)
}

// Pop is heap.Interface's.
func (w *waitingTellings) Pop() any {
	last := len(*w) - 1
	t := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	t.place = -1
	return t
}
