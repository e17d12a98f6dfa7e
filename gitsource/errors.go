package gitsource

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Errors that a caller may want to tell apart; use errors.Is.
var (
	// ErrHostKeyUnknown: the SSH host is not in the known_hosts file.
	ErrHostKeyUnknown = errors.New("unknown host key")
	// ErrHostKeyChanged: the SSH host has another key than the one in the
	// known_hosts file, or a revoked one. Somebody may be listening.
	ErrHostKeyChanged = errors.New("host key changed")
	// ErrAuthentication: the remote does not accept the key, user or password.
	ErrAuthentication = errors.New("access refused")
	// ErrRepositoryEmpty: there is no commit in the remote repository.
	ErrRepositoryEmpty = errors.New("empty repository")
	// ErrBranchMissing: the remote repository has no branch of that name.
	ErrBranchMissing = errors.New("no such branch")
	// ErrTooLarge: the remote or the commit is over one of the limits.
	ErrTooLarge = errors.New("too large")
	// ErrOtherRemote: what is kept on disk belongs to another remote or branch.
	ErrOtherRemote = errors.New("kept for another remote")
)

// wordedError has a text of its own for people, and is also each of its causes.
type wordedError struct {
	text   string
	causes []error
}

func (e *wordedError) Error() string   { return e.text }
func (e *wordedError) Unwrap() []error { return e.causes }

// worded makes an error with the given text that errors.Is and errors.As take
// for its causes.
func worded(text string, causes ...error) error { return &wordedError{text: text, causes: causes} }

func tooLarge(format string, arguments ...any) error {
	return worded(fmt.Sprintf(format, arguments...), ErrTooLarge)
}

// unusableError is what is wrong with a commit that has arrived: fetching it
// again would not mend it.
type unusableError struct{ error }

func (e unusableError) Unwrap() error { return e.error }

// byteCount writes a number of bytes for people.
func byteCount(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}

// tidy makes one printable line of what somebody else has written: at most limit
// runes, and … if that is not all.
func tidy(text string, limit int) string {
	var b strings.Builder
	space, runes := false, 0
	for _, r := range text {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) || r == utf8.RuneError {
			space = b.Len() > 0
			continue
		}
		if space {
			runes++
		}
		if runes++; runes > limit {
			b.WriteString("…")
			break
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	return b.String()
}
