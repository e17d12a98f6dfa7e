// Package administrative holds what the administrators have said of members and mirrors
// on this node, beside what the repository says: that they are disabled for a while, or
// taken for up whatever the checks find.
//
// It imports nothing of this program, reads no clock and no disk: the words are given to
// it and asked of it with a time.
package administrative

import (
	"path"
	"slices"
	"strings"
	"time"
)

// Action is what is said.
type Action string

// The actions.
const (
	Disable Action = "disable"  // it is given to nobody
	ForceUp Action = "force-up" // it counts as up, whatever the checks find
)

// Word is one thing that was said.
type Word struct {
	Action Action `json:"action"`
	// Member is a pattern as path.Match has it, without case: of a pool member's id, a mirror's URL
	// prefix, or the host name in it. Where it is a URL prefix "*" goes over slashes.
	Member string    `json:"member"`
	Pool   string    `json:"pool,omitempty"` // pool or redirect host; empty: all
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"` // zero: until it is taken back
}

// over reports whether the word has expired.
func (w Word) over(now time.Time) bool { return !w.Until.IsZero() && !now.Before(w.Until) }

// State is all that is said now. It is immutable, and a nil State says nothing.
type State struct{ words []Word }

// NewState makes a State of words; the later of two about the same counts.
func NewState(words []Word) *State { return &State{slices.Clone(words)} }

// Words are all words in the order in which they were said, those that have expired by
// now left out.
func (s *State) Words(now time.Time) []Word {
	if s == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.words), func(w Word) bool { return w.over(now) })
}

// Of gives what is said of a member of a pool, by its id, or of a mirror of a redirect
// host, by its URL prefix; nil: nothing. Of several words the last counts.
func (s *State) Of(pool, member string, now time.Time) *Word {
	if s == nil {
		return nil
	}
	for i := len(s.words) - 1; i >= 0; i-- {
		if w := s.words[i]; !w.over(now) && w.Names(pool, member) {
			return &w
		}
	}
	return nil
}

// Names reports whether the word is about a member of a pool, or a mirror of a host.
func (w Word) Names(pool, member string) bool {
	return (w.Pool == "" || strings.EqualFold(w.Pool, pool)) && matches(strings.ToLower(w.Member), strings.ToLower(member))
}

func matches(pattern, member string) bool {
	if pattern == member {
		return true
	}
	_, rest, isURL := strings.Cut(member, "://")
	if !isURL {
		matched, err := path.Match(pattern, member)
		return err == nil && matched
	}
	host, _, _ := strings.Cut(rest, "/")
	for _, name := range []string{host, strings.ReplaceAll(member, "/", "\x00")} {
		if matched, err := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), name); err == nil && matched {
			return true
		}
	}
	return false
}

// Next is when the first of the words that hold at now expires; zero: none does.
func (s *State) Next(now time.Time) time.Time {
	var next time.Time
	for _, w := range s.Words(now) {
		if !w.Until.IsZero() && (next.IsZero() || w.Until.Before(next)) {
			next = w.Until
		}
	}
	return next
}
