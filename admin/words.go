package admin

import (
	"slices"

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
type said []administrative.Word

func (h *handler) said() said {
	if h.Words == nil {
		return nil
	}
	return h.Words.Said()
}

func (s said) find(pool, member string) int {
	return slices.IndexFunc(s, func(w administrative.Word) bool { return w.Pool == pool && w.Member == member })
}

// of gives what is said of one; nil: nothing.
func (s said) of(pool, member string) *wordState {
	at := s.find(pool, member)
	if at < 0 {
		return nil
	}
	return &s.all()[at]
}

// disables reports whether one is disabled.
func (s said) disables(pool, member string) bool {
	at := s.find(pool, member)
	return at >= 0 && s[at].Action == administrative.Disable
}

func (s said) all() []wordState {
	out := make([]wordState, len(s))
	for i, w := range s {
		out[i] = wordState{w.Pool, w.Member, string(w.Action), w.Reason, w.By, moment(w.Since), moment(w.Until)}
	}
	return out
}
