// Package administrative holds what the administrators have said of members and mirrors
// on this node, beside what the repository says: that they are disabled for a while, or
// taken for up whatever the checks find.
//
// It imports nothing of this program, and reads no clock and no disk: the words are
// given to it, and asked of it with a time.
package administrative

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Action is what is said.
type Action string

// The actions.
const (
	Disable Action = "disable"  // it is given to nobody
	ForceUp Action = "force-up" // it counts as up, whatever the checks find
)

// Word is one thing that was said of one member of one pool, or one mirror of one
// redirect host.
type Word struct {
	Action Action    `json:"action"`
	Pool   string    `json:"pool"`   // pool or redirect host, lower case, without the final dot
	Member string    `json:"member"` // id, or URL prefix
	Reason string    `json:"reason"`
	By     string    `json:"by,omitempty"` // who has said it, as they say
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"` // zero: until it is taken back
}

// MaxReason is how many characters a reason, or who gives it, may have.
const MaxReason = 500

// Validate reports the first mistake.
func (w Word) Validate() error {
	switch {
	case w.Action != Disable && w.Action != ForceUp:
		return fmt.Errorf("action is %q, expected %q or %q", w.Action, Disable, ForceUp)
	case w.Pool == "" || w.Member == "":
		return errors.New("the pool or the member is missing")
	case w.Since.IsZero():
		return errors.New("it is not said since when")
	case !w.Until.IsZero() && !w.Until.After(w.Since):
		return errors.New("it ends before it begins")
	case strings.TrimSpace(w.Reason) == "":
		return errors.New("the reason is missing: say why, for those who find it later")
	}
	for _, text := range []string{w.Reason, w.By} {
		if utf8.RuneCountInString(text) > MaxReason || strings.ContainsFunc(text, unicode.IsControl) {
			return fmt.Errorf("the reason, and who gives it, have one line of at most %d characters each", MaxReason)
		}
	}
	return nil
}

// key is whom a word is about.
type key struct{ pool, member string }

func (w Word) key() key { return key{w.Pool, w.Member} }

// over reports whether the word has expired.
func (w Word) over(now time.Time) bool { return !w.Until.IsZero() && !now.Before(w.Until) }

// State is all that is said. It is immutable, and a nil State says nothing.
type State struct {
	words []Word // by pool and member
	index map[key]int
}

// NewState makes a State of words; of several about the same member the last counts.
func NewState(words []Word) *State {
	s := &State{index: make(map[key]int, len(words))}
	for i, w := range words {
		s.index[w.key()] = i
	}
	for i, w := range words {
		if s.index[w.key()] == i {
			s.words = append(s.words, w)
		}
	}
	slices.SortFunc(s.words, func(a, b Word) int {
		if order := strings.Compare(a.Pool, b.Pool); order != 0 {
			return order
		}
		return strings.Compare(a.Member, b.Member)
	})
	for i, w := range s.words {
		s.index[w.key()] = i
	}
	return s
}

// Words are those that hold at a time, by pool and member. The slice is the caller's.
func (s *State) Words(now time.Time) []Word {
	if s == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.words), func(w Word) bool { return w.over(now) })
}

// Of gives what is said of a member of a pool, by its id, or of a mirror of a redirect
// host, by its URL prefix; nil: nothing that holds at the time.
func (s *State) Of(pool, member string, now time.Time) *Word {
	if s == nil {
		return nil
	}
	i, said := s.index[key{pool, member}]
	if !said || s.words[i].over(now) {
		return nil
	}
	word := s.words[i]
	return &word
}

// Next is when the first of the words that hold at a time expires; zero: none does.
func (s *State) Next(now time.Time) time.Time {
	var next time.Time
	for _, w := range s.Words(now) {
		if !w.Until.IsZero() && (next.IsZero() || w.Until.Before(next)) {
			next = w.Until
		}
	}
	return next
}

// With gives a State with more words, and without those that have expired.
func (s *State) With(now time.Time, more ...Word) *State {
	return NewState(append(s.Words(now), more...))
}

// Without gives a State without what is said of the members that drop names, and what
// was said of them. Words that have expired are left out of both.
func (s *State) Without(now time.Time, drop func(pool, member string) bool) (*State, []Word) {
	var kept, dropped []Word
	for _, w := range s.Words(now) {
		if drop(w.Pool, w.Member) {
			dropped = append(dropped, w)
		} else {
			kept = append(kept, w)
		}
	}
	return NewState(kept), dropped
}
