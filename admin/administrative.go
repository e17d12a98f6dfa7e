package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"mirrorpool/pool/administrative"
)

// Words leads what administrators say of members on this node.
type Words interface {
	// Said are those that hold now.
	Said() []administrative.Word
	// Say changes them, and returns when answers follow. An *UnknownMember names what
	// there is.
	Say(ctx context.Context, wish WordsWish) (*WordsChange, error)
}

// The actions of a WordsWish beside those of words.
const WordsEnable = "enable" // takes back what was said

// WordsWish is what somebody asks for.
type WordsWish struct {
	Action string // disable, force-up or enable
	Member administrative.Pattern
	Pool   string        // pool or redirect host, canonical; empty: all
	For    time.Duration // 0: until it is taken back
	Reason string
	By     string
	// Force says that a pool may be left without any member.
	Force bool
}

// WordsChange is what came of it.
type WordsChange struct {
	// Words are those that were said, or taken back.
	Words []administrative.Word `json:"words"`
	// Notes are what whoever asked ought to know, such as that the repository gives a
	// member no weight.
	Notes []string `json:"notes"`
}

// UnknownMember is the error for a pattern that names nobody.
type UnknownMember struct {
	Pool  string // that was asked for; may be empty
	There []string
}

func (e *UnknownMember) Error() string {
	where := "any pool or redirect host"
	if e.Pool != "" {
		where = e.Pool
	}
	if len(e.There) == 0 {
		return "there is no pool or redirect host " + e.Pool + ", or nobody in it"
	}
	const shown = 30
	there := strings.Join(e.There[:min(shown, len(e.There))], ", ")
	if more := len(e.There) - shown; more > 0 {
		there += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("nothing in %s has this name; there are %s", where, there)
}

// RefusedWords is the error for words that would do harm.
type RefusedWords struct{ Words string }

func (e *RefusedWords) Error() string { return e.Words }

// longestWord is how long a word may hold.
const longestWord = 5 * 366 * 24 * time.Hour

// serveWords lists the words that hold.
func (h *handler) serveWords(w http.ResponseWriter, _ *http.Request) {
	if h.Words == nil {
		fail(w, http.StatusNotImplemented, "this server takes no words about members")
		return
	}
	reply(w, http.StatusOK, WordsChange{Words: append([]administrative.Word{}, h.Words.Said()...), Notes: []string{}})
}

// serveWordsChange takes a word about members.
func (h *handler) serveWordsChange(w http.ResponseWriter, r *http.Request) {
	if err := h.mayChange(r); err != nil {
		fail(w, http.StatusForbidden, err.Error())
		return
	}
	if h.Words == nil {
		fail(w, http.StatusNotImplemented, "this server takes no words about members")
		return
	}
	wish, err := readWordsWish(r)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), reloadTimeout)
	defer cancel()
	change, err := h.Words.Say(ctx, wish)
	var unknown *UnknownMember
	switch {
	case err == nil:
		reply(w, http.StatusOK, change)
	case errors.As(err, &unknown):
		reply(w, http.StatusNotFound, failure{Error: err.Error(), There: unknown.There})
	default:
		fail(w, http.StatusConflict, err.Error())
	}
}

func readWordsWish(r *http.Request) (WordsWish, error) {
	query := r.URL.Query()
	wish := WordsWish{
		Action: query.Get("action"), Reason: strings.TrimSpace(query.Get("reason")), By: query.Get("by"),
		Pool:  strings.TrimSuffix(strings.ToLower(query.Get("pool")), "."),
		Force: query.Get("force") == "true",
	}
	switch wish.Action {
	case string(administrative.Disable), string(administrative.ForceUp), WordsEnable:
	default:
		return wish, fmt.Errorf("found action=%q, expected one of disable, force-up, enable", wish.Action)
	}
	var err error
	if wish.Member, err = administrative.ParsePattern(query.Get("member")); err != nil {
		return wish, err
	}
	if text := query.Get("for"); text != "" {
		if wish.For, err = time.ParseDuration(text); err != nil || wish.For < time.Second || wish.For > longestWord {
			return wish, fmt.Errorf("found for=%q, expected a time such as 48h, from a second to five years", text)
		}
	}
	if wish.Action == WordsEnable {
		return wish, nil
	}
	sample := administrative.Word{Action: administrative.Action(wish.Action), Pool: "p", Member: "m", Reason: wish.Reason, By: wish.By, Since: time.Unix(1, 0)}
	return wish, sample.Validate()
}
