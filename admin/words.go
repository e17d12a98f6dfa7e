package admin

import (
	"mirrorpool/pool/administrative"
)

// wordState is what was said of a member or mirror on this node.
type wordState struct {
	Pool   string `json:"pool"` // or redirect host
	Member string `json:"member"`
	Action string `json:"action"` // disable or force-up
	Reason string `json:"reason"`
	By     string `json:"by"`
	Since  moment `json:"since"`
	Until  moment `json:"until"` // null: until it is taken back
}

// said are the words that hold at one moment.
type said struct {
	words []administrative.Word
	index map[[2]string]int // by pool and member
}

func (h *handler) said() said {
	if h.Words == nil {
		return said{}
	}
	s := said{words: h.Words.Said()}
	s.index = make(map[[2]string]int, len(s.words))
	for i, w := range s.words {
		s.index[[2]string{w.Pool, w.Member}] = i
	}
	return s
}

// of gives what is said of one; nil: nothing.
func (s said) of(pool, member string) *wordState {
	at, is := s.index[[2]string{pool, member}]
	if !is {
		return nil
	}
	described := describeWord(s.words[at])
	return &described
}

// disables reports whether one is disabled.
func (s said) disables(pool, member string) bool {
	at, is := s.index[[2]string{pool, member}]
	return is && s.words[at].Action == administrative.Disable
}

func (s said) all() []wordState {
	out := make([]wordState, len(s.words))
	for i, w := range s.words {
		out[i] = describeWord(w)
	}
	return out
}

func describeWord(w administrative.Word) wordState {
	return wordState{w.Pool, w.Member, string(w.Action), w.Reason, w.By, moment(w.Since), moment(w.Until)}
}
