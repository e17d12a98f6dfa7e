package rollover

import (
	"fmt"
	"strconv"
	"strings"
)

// What is told of a rollover names the keys: in texts, {to} stands for those that the
// zone is to have and {from} for the others. The new key is the one that was made for
// the rollover, also where that is turned back, and goes from it to the old ones.

// words puts the keys into a text.
func (s State) words(text string) string {
	to, from := "new", "old"
	if s.Turned {
		to, from = from, to
	}
	return strings.NewReplacer("{to}", called(to, entries(s.New)), "{from}", called(from, s.Old)).Replace(text)
}

// entries are the secure entry points among roles, which the parent and CDS name; all
// where there are none.
func entries(roles []Role) []Role {
	var found []Role
	for _, role := range roles {
		if role.Entry {
			found = append(found, role)
		}
	}
	if len(found) == 0 {
		return roles
	}
	return found
}

// called is what keys are called, with their tags.
func called(age string, roles []Role) string {
	tags := make([]string, len(roles))
	for i, role := range roles {
		tags[i] = role.tag()
	}
	keys := "key"
	if len(roles) > 1 {
		keys = "keys"
	}
	return fmt.Sprintf("the %s %s %s", age, keys, strings.Join(tags, " and "))
}

// tag is the key's, by its name: K<zone>+<algorithm>+<tag>; the whole name if it has none.
func (r Role) tag() string {
	tag, err := strconv.ParseUint(r.ID[strings.LastIndexByte(r.ID, '+')+1:], 10, 16)
	if err != nil {
		return r.ID
	}
	return strconv.FormatUint(tag, 10)
}

// Target is what the keys are called that the parent's DS is to name, such as "the new
// key 12345"; empty: no rollover is under way.
func (s State) Target() string {
	if s.Kind == "" {
		return ""
	}
	return s.words("{to}")
}

// About says in words what a step of the rollover is; empty: its kind has no such step.
func (s State) About(step Step) string {
	if this, _ := find(rulesOf(s.Kind), step); this != nil {
		return s.words(this.about)
	}
	return ""
}
