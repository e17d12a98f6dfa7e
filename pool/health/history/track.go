package history

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mirrorpool/pool"
	"mirrorpool/pool/health"
)

// track is what is known of one target. All but target and key is guarded by the History's
// mutex.
type track struct {
	target health.Target
	key    string
	places []*subject             // where the target stands
	joined map[*subject]time.Time // since when, for each of them
	probed bool
	first  bool // it is the check of a place, and not only an inspection
	// warning is the longest of the places' warnings of a certificate's end.
	warning time.Duration

	seen     bool // a probe has ended in this run
	frozen   bool
	failing  time.Time // the first failure of a series that may take it down; zero: there is none
	series   int64     // failures in it
	incident *incident // nil: the target is not down
	begun    time.Time // the start of the last incident
	waiting  waiting[figures]
	// doubted is what the failures that have taken it down, or may, have added to waiting:
	// they may turn out to be this machine's own.
	doubted waiting[figures]

	expiry      time.Time // of the last certificate
	expiryFresh bool      // it is not written yet
}

// subject is a place as it is followed. It is guarded by the History's mutex.
type subject struct {
	place
	host     string
	since    time.Time // known since, as far as this run goes
	probed   bool
	tracks   []*track
	patience time.Duration // what is longer than this between two probes is not known
	last     time.Time     // the last probe of any of its targets
	// look is set where something has happened that may raise a flag.
	look    bool
	waiting waiting[spent]
}

type condition int

const (
	unknown condition = iota
	isUp
	isDown
	isFrozen
)

// condition tells how the place is, by what its targets were found to be last. An
// inspection that has not been made yet in this run says nothing.
func (s *subject) condition() condition {
	known := false
	down := false
	for _, t := range s.tracks {
		if t.frozen {
			return isFrozen
		}
		down = down || t.incident != nil && t.seen
		known = known || t.first && t.seen
	}
	switch {
	case down:
		return isDown
	case known:
		return isUp
	}
	return unknown
}

// credit counts the time since the last probe for the condition that has held since then.
// It reports how many days were dropped since too many wait to be written.
func (s *subject) credit(now time.Time) (dropped int) {
	from := s.last
	if now.Before(from) && from.Sub(now) < s.patience {
		return 0 // probes end in an order of their own
	}
	s.last = now
	if from.IsZero() || !now.After(from) || now.Sub(from) > s.patience {
		return 0
	}
	is := s.condition()
	for from.Before(now) {
		day := dayOf(from)
		until := (day + 1).start()
		if until.After(now) {
			until = now
		}
		part := until.Sub(from)
		from = until
		if is == unknown {
			continue
		}
		of, full := s.waiting.of(day)
		if full {
			dropped++
		}
		switch is {
		case isUp:
			of.Up += part
		case isDown:
			of.Down += part
		case isFrozen:
			of.Frozen += part
		}
	}
	return dropped
}

// takeBack counts the time of an incident that was not the target's own as frozen, on each
// of its days.
func (s *subject) takeBack(from, to time.Time) {
	if s.condition() == isDown {
		return // something else holds it down
	}
	if earliest := (dayOf(to) - mostWaiting + 1).start(); from.Before(earliest) {
		from = earliest
	}
	for from.Before(to) {
		day := dayOf(from)
		until := (day + 1).start()
		if until.After(to) {
			until = to
		}
		of, _ := s.waiting.of(day)
		of.Down -= until.Sub(from)
		of.Frozen += until.Sub(from)
		from = until
	}
}

// observe takes in one probe, and gives the incident that it ends; nil: none.
func (t *track) observe(o health.Observation) (ended []*incident, dropped int) {
	now := o.After.Checked
	for _, s := range t.places {
		dropped += s.credit(now)
	}
	if !o.TakenBack && !o.Result.NotMade {
		t.count(o, now, &dropped)
	}
	if one := t.turn(o, now); one != nil {
		ended = append(ended, one)
	}
	t.settle(o)
	if o.After.Verdict == health.Down && t.incident == nil {
		t.begin(o)
	}
	if t.incident != nil {
		t.incident.resumed = false
		if outcomeOf(o) != health.Success {
			t.incident.fail(evidenceOf(o), !o.After.Frozen)
		}
	}
	t.seen, t.frozen = true, o.After.Frozen
	return ended, dropped
}

// turn ends the incident if the probe, or what came before it, says that it is over.
func (t *track) turn(o health.Observation, now time.Time) *incident {
	i := t.incident
	if i == nil {
		return nil
	}
	switch {
	case o.TakenBack:
		i.voided = true
		i.end(now, endedVoid)
		t.incident = nil
		for _, s := range t.places {
			s.takeBack(i.started, now)
		}
		t.lookAgain()
		return i
	case o.After.Verdict != health.Up:
		return nil
	case o.Before.Verdict != health.Down:
		// It was not seen to come back.
		i.end(i.lastSign(), endedAbsent)
	default:
		i.end(o.After.Since, "")
	}
	t.incident = nil
	t.lookAgain()
	return i
}

// lastSign is when the incident is known to have gone on.
func (i *incident) lastSign() time.Time {
	if i.last.Time.After(i.started) {
		return i.last.Time
	}
	return i.started
}

func (t *track) begin(o health.Observation) {
	started := exact(o.After.Since)
	// Its start is its name; but a clock that was set back is believed.
	if early := t.begun.Sub(started); early >= 0 && early < time.Second {
		started = t.begun.Add(time.Millisecond)
	}
	t.begun = started
	failing := exact(t.failing)
	if failing.IsZero() || failing.After(started) {
		failing = started
	}
	t.incident = &incident{
		track: t, started: started, failing: failing, target: t.words(), check: checkName(t.target.Probe),
		reason: printable(o.Result.Reason), fresh: true,
	}
	t.failing, t.series = time.Time{}, 0
	t.lookAgain()
}

// settle makes up its mind on failures that were counted: those that this machine is found
// to have made itself are taken out again, and those that have come to nothing, or to an
// incident that is over, stay.
func (t *track) settle(o health.Observation) {
	switch {
	case o.TakenBack, o.After.Frozen && o.After.Verdict == health.Up:
		for _, one := range t.doubted {
			of, _ := t.waiting.of(one.day)
			of.takeOff(one.value)
		}
		if len(t.doubted) > 0 {
			t.lookAgain()
		}
	case o.After.Verdict != health.Up || o.After.Failures > 0:
		return
	}
	t.doubted, t.failing, t.series = nil, time.Time{}, 0
}

// count takes a probe into the figures of its day. What fails while failures are taken for
// this machine's own says nothing of the target.
func (t *track) count(o health.Observation, now time.Time, dropped *int) {
	outcome := outcomeOf(o)
	if o.After.Frozen && outcome != health.Success {
		return
	}
	day, full := t.waiting.of(dayOf(now))
	if full {
		*dropped++
	}
	found := figures{Probes: 1}
	if rate := o.Result.Evidence.BytesPerSecond; rate > 0 {
		found.Delivery.put(rate)
	}
	if outcome == health.Success {
		found.Response.put(o.After.Duration.Microseconds())
	} else {
		t.fail(o, outcome, &found)
		doubted, _ := t.doubted.of(dayOf(now))
		doubted.add(found)
	}
	day.add(found)
	if o.After.Verdict == health.Up && o.After.Failures == 0 && !o.After.Frozen && t.series > 0 {
		day.Singles += t.series // it came to nothing
		t.failing, t.series = time.Time{}, 0
	}
	if expiry := whole(o.Result.CertificateExpiry); !expiry.IsZero() && !expiry.Equal(t.expiry) {
		t.expiry, t.expiryFresh = expiry, true
		t.lookAgain()
	}
}

func (t *track) fail(o health.Observation, outcome health.Outcome, day *figures) {
	day.Failures++
	switch outcome {
	case health.Altered:
		day.Altered++
		t.lookAgain()
	case health.Slow:
		day.Slow++
		t.lookAgain()
	case health.Content:
		if t.target.Probe.MaxAge > 0 {
			day.Late++
		}
	}
	if o.After.Verdict != health.Up {
		return
	}
	if t.series == 0 {
		t.failing = o.After.Checked
	}
	t.series++
}

// lookAgain has the flags of the target's members looked at soon.
func (t *track) lookAgain() {
	for _, s := range t.places {
		s.look = true
	}
}

// words name the target with its places: "wiki of dl.example.org (192.0.2.1): http".
func (t *track) words() string {
	const most = 4
	var where []string
	for _, s := range t.places {
		if len(where) == most {
			where = append(where, fmt.Sprintf("%d more", len(t.places)-most))
			break
		}
		where = append(where, s.place.String())
	}
	if len(where) == 0 {
		where = []string{t.target.String()}
	}
	return printable(strings.Join(slices.Compact(where), ", ") + ": " + checkName(t.target.Probe))
}

// patienceFor is how long after a probe its result is taken to hold.
func patienceFor(interval time.Duration, probe pool.Probe) time.Duration {
	return 3*interval + probe.Timeout + time.Minute
}
