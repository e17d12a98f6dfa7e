package selection

import (
	"mirrorpool/pool"
)

// step is the step of the rule that left a candidate out; hasShare if none did.
type step uint8

const (
	hasShare step = iota
	leftOutFirst
	leftOutByHealth
	leftOutByPlace
)

// cause is why a candidate was left out.
type cause uint8

const (
	notLeftOut cause = iota
	unusable
	disabled    // by weight 0
	disabledNow // by Candidate.Disabled
	excluded    // its rule exclude names the client
	notIncluded // its rule only does not name the client
	down
	reserveNotNeeded // others are up
	reserveOfAll     // nothing is up, and all that are no reserve are taken
	tooFar           // outside the tiers taken
)

// fate is what the rule made of one candidate.
type fate struct {
	step  step
	cause cause
	tier  tier
	// distance from the client in km, under the policy distance; negative
	// where the candidate has no coordinates.
	distance float64
}

// decision is all that the rule of choice finds on its way to one client's
// candidates. Choose keeps the end of it, Explain puts all of it into words.
type decision struct {
	client Client // normalised
	fates  []fate // of every candidate
	mode   Mode
	field  []int // what steps 1 and 2 left, ascending
	// tiers are those that the policy tells apart, from the client outwards.
	tiers  []tierTaken
	reason string // why everybody is taken regardless of place, in words; or empty
	chosen []int  // what step 3 took of field, ascending
}

// decide applies steps 1 to 3 to a normalised client.
func (c *Chooser) decide(client Client) *decision {
	d := &decision{client: client, fates: make([]fate, len(c.candidates))}
	c.muster(d, c.admit(d))
	c.narrow(d)
	return d
}

// admit is step 1: it gives the candidates that this client may have at all.
func (c *rule) admit(d *decision) []int {
	admitted := make([]int, 0, len(c.candidates))
	named := c.rules.naming(d.client)
	for i := range c.candidates {
		candidate := &c.candidates[i]
		why := notLeftOut
		switch {
		case candidate.Unusable != "":
			why = unusable
		case candidate.Weight == 0:
			why = disabled
		case candidate.Disabled != "":
			why = disabledNow
		case candidate.Exclude != nil && named(candidate.Exclude):
			why = excluded
		case candidate.Only != nil && !named(candidate.Only):
			why = notIncluded
		default:
			admitted = append(admitted, i)
			continue
		}
		d.fates[i].step, d.fates[i].cause = leftOutFirst, why
	}
	return admitted
}

// muster is step 2: it sets the mode, and the field that goes on to step 3.
// Candidates that a rule keeps from this client do not come back, whatever
// else is down.
func (c *Chooser) muster(d *decision, admitted []int) {
	var regular, given, reserveUp []int // given are those up or kept
	up := 0                             // of given
	for _, i := range admitted {
		candidate := &c.candidates[i]
		if !candidate.Reserve {
			regular = append(regular, i)
		}
		switch {
		case candidate.Up && candidate.Reserve:
			reserveUp = append(reserveUp, i)
		case candidate.Up:
			given = append(given, i)
			up++
		case candidate.Kept && !candidate.Reserve:
			given = append(given, i)
		}
	}
	switch {
	case up > 0 && up < len(given):
		d.mode, d.field = Kept, given
	case up > 0:
		d.mode, d.field = Normal, given
	case len(reserveUp) > 0:
		d.mode, d.field = Reserve, reserveUp
	case len(admitted) == 0 || c.whenAllDown == pool.AnswerEmpty:
		d.mode = Empty
	case c.whenAllDown == pool.AnswerSelf:
		d.mode = Self
	case len(given) > 0:
		d.mode, d.field = Kept, given
	case len(regular) > 0:
		d.mode, d.field = All, regular
	default:
		d.mode, d.field = All, admitted
	}
	c.noteHealth(d, admitted)
}

// noteHealth writes down why those that were admitted are not in the field.
func (c *Chooser) noteHealth(d *decision, admitted []int) {
	field := d.field
	for _, i := range admitted {
		if len(field) > 0 && field[0] == i {
			field = field[1:]
			continue
		}
		f, candidate := &d.fates[i], &c.candidates[i]
		f.step = leftOutByHealth
		switch {
		case d.mode == All: // only reserves are left out then
			f.cause = reserveOfAll
		case candidate.Up: // a reserve, since all others that are up are in
			f.cause = reserveNotNeeded
		default:
			f.cause = down
		}
	}
}
