package gitsource

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"
)

const (
	maxBackoff = 10 * time.Minute
	// grace is what a look gets to end after its connections are closed.
	grace = 5 * time.Second
)

// Source follows one branch. Its methods are safe for concurrent use.
type Source struct {
	config  Config // with defaults
	remote  string // for people
	looker  looker
	store   store
	running atomic.Bool
	poke    chan struct{} // capacity 1
	status  atomic.Pointer[Status]

	// Written by Run's goroutine alone, once it runs.
	unsaved *content          // accepted, and not yet on disk
	pending <-chan lookResult // of a look that did not end in time
	again   bool              // a refused head is to be offered once more
}

// Open checks the configuration, makes the state directory if need be, and
// looks for a last good commit in it. It touches no network. A damaged state
// file is no error here; Last tells of it.
func Open(config Config) (*Source, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	remote, err := newRemote(config)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(config.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the state directory: %w", err)
	}
	s := &Source{
		config: config,
		remote: remote.address.String(),
		looker: remote,
		store:  store{directory: config.StateDir, remote: remote.address.String(), branch: config.Branch},
		poke:   make(chan struct{}, 1),
	}
	first := new(Status)
	if c, accepted, err := s.store.load(); err == nil {
		first.Good = Good{Commit: c.about.Commit, Time: c.about.Time, Accepted: accepted}
	}
	s.status.Store(first)
	return s, nil
}

// Remote names the remote for people, without a password, and without the user
// of an http or https URL, which may be a token.
func (s *Source) Remote() string { return s.remote }

// Last reads the last good commit of this remote and branch from the state
// directory. Its error is fs.ErrNotExist if there is none; it is ErrOtherRemote
// as well if there is one of another remote or branch. A damaged file is
// another error, which names it. None of these hinders Run.
func (s *Source) Last() (*Revision, error) {
	c, _, err := s.store.load()
	if err != nil {
		return nil, fmt.Errorf("git: %w", err)
	}
	revision, err := c.revision()
	if err != nil {
		return nil, fmt.Errorf("git: %w", err)
	}
	return revision, nil
}

// Forget makes Run offer the remote's head even if it is the last good commit,
// for whoever cannot use what Last gave. It is for the time before Run; what is
// on disk stays until another commit takes its place.
func (s *Source) Forget() {
	now := s.Status()
	now.Good = Good{}
	s.status.Store(&now)
}

// Status returns what is known now.
func (s *Source) Status() Status { return *s.status.Load() }

// Poke makes Run look at the remote at once, even while it waits after
// failures, and offer a refused commit again. It does not block.
func (s *Source) Poke() {
	select {
	case s.poke <- struct{}{}:
	default: // one is waiting already
	}
}

// Run looks at the remote at once and then at every poll until ctx ends, and
// returns nil then. After failures it waits longer from one to the next, up to
// ten polls or ten minutes, whichever is shorter, but never shorter than a
// poll.
//
// A head that is neither the last good commit nor the refused one is fetched
// and given to accept. Nil makes it the last good one; an error refuses it, and
// it is not offered again until the head moves or Poke is called. The history
// is not looked at: a branch that was set back is followed.
//
// Only one Run may be under way; a second one is an error.
func (s *Source) Run(ctx context.Context, accept func(context.Context, *Revision) error) error {
	if !s.running.CompareAndSwap(false, true) {
		return errors.New("git: Run is under way already")
	}
	defer s.running.Store(false)
	select {
	case <-s.poke: // the look that comes now is the one that it asked for
	default:
	}
	for {
		next := s.round(ctx, s.Status(), accept)
		if ctx.Err() != nil {
			s.status.Store(&next)
			return nil
		}
		next.LastLook = time.Now()
		wait := s.wait(next)
		next.NextLook = next.LastLook.Add(wait)
		s.publish(next)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-s.poke:
			timer.Stop()
			s.forgive()
		}
	}
}

// forgive forgets what keeps Run from looking at and offering the head. That it
// is refused holds until a look has answered.
func (s *Source) forgive() {
	s.again = true
	now := s.Status()
	now.Failures = 0
	s.status.Store(&now)
}

func (s *Source) publish(status Status) {
	s.status.Store(&status)
	if s.config.Notify != nil {
		s.config.Notify(status)
	}
}

// wait is how long to wait for the next look. A disk that is full says nothing
// of the remote, and slows no look down.
func (s *Source) wait(now Status) time.Duration {
	wait := s.config.Poll
	limit := max(s.config.Poll, min(maxBackoff, 10*s.config.Poll))
	failures := now.Failures
	if now.Stage == StageStore {
		failures = 0
	}
	for range failures - 1 {
		if wait *= 2; wait >= limit {
			wait = limit
			break
		}
	}
	return time.Duration(float64(wait) * (0.9 + 0.2*rand.Float64()))
}

// round makes one look and does what follows from it. It takes the status
// before and returns the one after.
func (s *Source) round(ctx context.Context, now Status, accept func(context.Context, *Revision) error) Status {
	good, refused := now.Good.Commit, now.Refused.Commit
	if s.again {
		refused = ""
	}
	result := s.look(ctx, func(commit string) bool { return commit == good || commit == refused })
	if ctx.Err() != nil {
		return now
	}
	if result.head != "" {
		now.Head = result.head
		if now.Refused.Commit != result.head {
			now.Refused = Refused{}
		}
	}
	if result.found != nil {
		now = s.offer(ctx, now, result.found, accept)
	}
	unkept := s.keep(now)
	var unusable unusableError
	if result.err == nil || errors.As(result.err, &unusable) {
		s.again = false
	}
	switch {
	case unusable.error != nil:
		now.Refused = Refused{Commit: result.head, Time: time.Now(), Error: fmt.Errorf("git: %w", result.err)}
	case result.err != nil && result.head == "":
		return failed(now, StageLook, result.err)
	case result.err != nil:
		return failed(now, StageFetch, result.err)
	}
	if unkept != nil {
		return failed(now, StageStore, unkept)
	}
	now.LastSuccess = time.Now()
	now.LastError, now.Error, now.Stage = "", nil, ""
	now.FailingSince, now.Failures = time.Time{}, 0
	return now
}

// keep saves the last good commit if that is not done yet.
func (s *Source) keep(now Status) error {
	if s.unsaved == nil {
		return nil
	}
	if err := s.store.save(s.unsaved, now.Good.Accepted); err != nil {
		return err
	}
	s.unsaved = nil
	return nil
}

// offer gives a commit to accept.
func (s *Source) offer(ctx context.Context, now Status, found *content, accept func(context.Context, *Revision) error) Status {
	before := now // accept may ask for the status
	s.status.Store(&before)
	revision, err := found.revision()
	if err == nil {
		err = accept(ctx, revision)
	}
	switch {
	case err == nil:
		s.unsaved = found
		now.Good = Good{Commit: found.about.Commit, Time: found.about.Time, Accepted: time.Now()}
		now.Refused = Refused{}
	case ctx.Err() == nil: // a commit is not to blame for being interrupted
		now.Refused = Refused{Commit: found.about.Commit, Time: time.Now(), Error: err}
	}
	return now
}

// failed counts a failure. A disk that is full and a remote that fails are two
// things, and neither one's failures count towards the other's back-off.
func failed(now Status, stage Stage, err error) Status {
	if (stage == StageStore) != (now.Stage == StageStore) {
		now.Failures = 0
	}
	now.Error = fmt.Errorf("git: %w", err)
	now.LastError = now.Error.Error()
	now.Stage = stage
	if now.FailingSince.IsZero() {
		now.FailingSince = time.Now()
	}
	now.Failures++
	return now
}

type lookResult struct {
	head  string
	found *content
	err   error
}

// look bounds a look from outside. What is inside ends by itself when its
// connections are closed; if one should not, it is left to end, and no other is
// begun before it has.
func (s *Source) look(ctx context.Context, known func(string) bool) lookResult {
	if s.pending != nil {
		select {
		case <-s.pending:
			s.pending = nil
		default:
			return lookResult{err: errors.New("an earlier look has not ended yet")}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	done := make(chan lookResult, 1)
	go func() { done <- guarded(ctx, s.looker, known) }()
	select {
	case result := <-done:
		return result
	case <-ctx.Done():
	}
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case result := <-done:
		return result
	case <-late.C:
		s.pending = done
		return lookResult{err: fmt.Errorf("the look did not end within %s: %w", s.config.Timeout+grace, context.Cause(ctx))}
	}
}

// guarded turns a panic into an error: what is decoded comes from somebody else.
func guarded(ctx context.Context, l looker, known func(string) bool) (result lookResult) {
	defer func() {
		if reason := recover(); reason != nil {
			result = lookResult{err: fmt.Errorf("decoding what the remote sent panicked: %v\n%s", reason, debug.Stack())}
		}
	}()
	head, found, err := l.look(ctx, known)
	return lookResult{head: head, found: found, err: err}
}
