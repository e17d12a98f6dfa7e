package gitsource

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// script is a looker that a test directs.
type script struct {
	mutex   sync.Mutex
	head    *content
	err     error // instead of an answer
	halfway error // after the head
	stuck   chan struct{}
	looks   []time.Time
	fetches int
}

func (s *script) set(change func()) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	change()
}

// times are when the looks began.
func (s *script) times() []time.Time {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.looks)
}

func (s *script) counts() (looks, fetches int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return len(s.looks), s.fetches
}

func (s *script) look(_ context.Context, known func(string) bool) (string, *content, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.looks = append(s.looks, time.Now())
	if stuck := s.stuck; stuck != nil {
		s.mutex.Unlock()
		<-stuck
		s.mutex.Lock()
	}
	if s.err != nil {
		return "", nil, s.err
	}
	commit := s.head.about.Commit
	if known(commit) {
		return commit, nil, nil
	}
	if s.halfway != nil {
		return commit, nil, s.halfway
	}
	s.fetches++
	return commit, s.head, nil
}

// judge accepts what it is not told to refuse.
type judge struct {
	mutex   sync.Mutex
	refuse  map[string]bool
	offered []string
}

var errBad = errors.New("pools.json:1:1: bad")

func (j *judge) accept(_ context.Context, r *Revision) error {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.offered = append(j.offered, r.Commit)
	if j.refuse[r.Commit] {
		return errBad
	}
	return nil
}

func (j *judge) count() int {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return len(j.offered)
}

// following runs a Source on a script in a bubble of its own time.
func following(t *testing.T, directory string, poll time.Duration, play func(*testing.T, *Source, *script, *judge)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		source, err := Open(Config{URL: "/nonexistent", Branch: "main", Poll: poll, StateDir: directory})
		if err != nil {
			t.Fatal(err)
		}
		remote := &script{head: someContent(t, "one")}
		source.looker = remote
		j := &judge{refuse: make(map[string]bool)}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- source.Run(ctx, j.accept) }()
		synctest.Wait()
		play(t, source, remote, j)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestRunPollsWithJitter(t *testing.T) {
	following(t, t.TempDir(), time.Minute, func(t *testing.T, s *Source, remote *script, j *judge) {
		time.Sleep(100 * time.Minute)
		looks, fetches := remote.counts()
		if looks < 92 || looks > 110 || fetches != 1 || j.count() != 1 {
			t.Errorf("%d looks, %d fetches, %d offers in 100 minutes", looks, fetches, j.count())
		}
		different := make(map[time.Duration]bool)
		times := remote.times()
		for i := range looks - 1 {
			wait := times[i+1].Sub(times[i])
			different[wait] = true
			if wait < 54*time.Second || wait > 66*time.Second {
				t.Errorf("a wait of %s", wait)
			}
		}
		if len(different) < looks/2 {
			t.Error("the waits are all alike")
		}
		status := s.Status()
		if status.Head != remote.head.about.Commit || status.Good.Commit != status.Head || status.LastError != "" ||
			!status.FailingSince.IsZero() || status.LastLook != times[looks-1] || status.LastSuccess != status.LastLook ||
			!status.NextLook.After(status.LastLook) {
			t.Errorf("status %+v", status)
		}
	})
}

func TestRunBacksOff(t *testing.T) {
	for _, test := range []struct {
		poll  time.Duration
		waits []time.Duration
	}{
		{time.Minute, []time.Duration{1, 2, 4, 8, 10, 10, 10}},
		{10 * time.Second, []time.Duration{1, 2, 4, 8, 10, 10}},
		{20 * time.Minute, []time.Duration{1, 1, 1}},
		{7 * time.Minute, []time.Duration{7, 10, 10}}, // in minutes: the cap is no multiple
	} {
		t.Run(test.poll.String(), func(t *testing.T) {
			following(t, t.TempDir(), test.poll, func(t *testing.T, s *Source, remote *script, j *judge) {
				failure := errors.New("no route")
				begin := time.Now()
				remote.set(func() { remote.err = failure; remote.looks = nil })
				s.Poke()
				synctest.Wait()
				time.Sleep(10 * time.Hour)
				unit := test.poll
				if test.poll == 7*time.Minute {
					unit = time.Minute
				}
				times := remote.times()
				for i, want := range test.waits {
					got := times[i+1].Sub(times[i])
					if low, high := want*unit*9/10, want*unit*11/10; got < low || got > high {
						t.Errorf("wait %d is %s, want %s to %s", i+1, got, low, high)
					}
				}
				status := s.Status()
				if status.LastError != "git: no route" || !errors.Is(status.Error, failure) || status.Stage != StageLook ||
					status.FailingSince != begin || status.Failures != len(times) || status.LastSuccess.After(begin) {
					t.Errorf("status %+v", status)
				}
				// Poke looks at once, and the waits begin anew.
				before := len(times)
				s.Poke()
				synctest.Wait()
				time.Sleep(2*test.poll - time.Second)
				if looks, _ := remote.counts(); looks < before+2 {
					t.Errorf("%d looks after a poke, want at least 2", looks-before)
				}
				remote.set(func() { remote.err = nil })
				s.Poke()
				synctest.Wait()
				if status := s.Status(); status.LastError != "" || status.Failures != 0 || !status.FailingSince.IsZero() || status.Stage != "" || status.Error != nil {
					t.Errorf("status after the failures %+v", status)
				}
				if j.count() != 1 {
					t.Errorf("%d offers", j.count())
				}
			})
		})
	}
}

func TestRefusedCommit(t *testing.T) {
	directory := t.TempDir()
	following(t, directory, time.Minute, func(t *testing.T, s *Source, remote *script, j *judge) {
		good, bad, better := remote.head, someContent(t, "bad"), someContent(t, "better")
		j.refuse[bad.about.Commit] = true
		expect := func(doing string, offers int, head, refused *content) {
			t.Helper()
			synctest.Wait()
			status := s.Status()
			if j.count() != offers {
				t.Errorf("%s: %d offers, want %d", doing, j.count(), offers)
			}
			if status.Head != head.about.Commit || status.LastError != "" || status.LastSuccess != status.LastLook {
				t.Errorf("%s: status %+v", doing, status)
			}
			want := ""
			if refused != nil {
				want = refused.about.Commit
			}
			if status.Refused.Commit != want || (want != "") != errors.Is(status.Refused.Error, errBad) {
				t.Errorf("%s: refused %+v, want %q", doing, status.Refused, want)
			}
		}
		expect("at first", 1, good, nil)
		remote.set(func() { remote.head = bad })
		time.Sleep(time.Hour)
		expect("a bad head", 2, bad, bad)
		if status := s.Status(); status.Good.Commit != good.about.Commit {
			t.Errorf("the last good commit is %s", status.Good.Commit)
		}
		s.Poke()
		expect("a poke", 3, bad, bad)
		remote.set(func() { remote.head = good })
		time.Sleep(2 * time.Minute)
		expect("back at the good one", 3, good, nil)
		remote.set(func() { remote.head = bad })
		time.Sleep(2 * time.Minute)
		expect("the bad one again", 4, bad, bad)
		remote.set(func() { remote.head = better })
		time.Sleep(2 * time.Minute)
		expect("a better one", 5, better, nil)
		last, err := s.Last()
		if err != nil || last.Commit != better.about.Commit {
			t.Errorf("kept %v, %v", last, err)
		}
	})
}

// A poke does not make a bad head look mended before a look has answered.
func TestRefusalHoldsUntilALookAnswers(t *testing.T) {
	following(t, t.TempDir(), time.Minute, func(t *testing.T, s *Source, remote *script, j *judge) {
		bad := someContent(t, "bad")
		j.refuse[bad.about.Commit] = true
		remote.set(func() { remote.head = bad })
		time.Sleep(2 * time.Minute)
		expect := func(doing string, offers int, refused string, stage Stage) {
			t.Helper()
			synctest.Wait()
			status := s.Status()
			if status.Head != bad.about.Commit || status.Refused.Commit != refused || status.Stage != stage || j.count() != offers {
				t.Errorf("%s: %d offers, status %+v", doing, j.count(), status)
			}
		}
		commit := bad.about.Commit
		expect("at first", 2, commit, "")
		remote.set(func() { remote.err = errors.New("no route") })
		s.Poke()
		expect("a poke while the remote is gone", 2, commit, StageLook)
		remote.set(func() { remote.err, remote.halfway = nil, errors.New("broke off") })
		s.Poke()
		expect("a poke while the remote breaks off", 2, commit, StageFetch)
		remote.set(func() { remote.halfway = nil })
		time.Sleep(5 * time.Minute)
		expect("the remote back", 3, commit, "") // once, though there are several looks
		j.mutex.Lock()
		delete(j.refuse, commit)
		j.mutex.Unlock()
		time.Sleep(5 * time.Minute)
		expect("without a poke", 3, commit, "")
		s.Poke()
		expect("taken after all", 4, "", "")
	})
}

// A poke from before Run asks for the look that Run begins with.
func TestPokeBeforeRunMakesNoSecondLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, err := Open(Config{URL: "/nonexistent", Poll: time.Hour, StateDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		remote := &script{head: someContent(t, "one")}
		source.looker = remote
		source.Poke()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := source.Run(ctx, new(judge).accept); err != nil {
			t.Error(err)
		}
		if looks, _ := remote.counts(); looks != 1 {
			t.Errorf("%d looks", looks)
		}
	})
}

func TestUnusableCommitIsFetchedOnce(t *testing.T) {
	following(t, t.TempDir(), time.Minute, func(t *testing.T, s *Source, remote *script, j *judge) {
		big := someContent(t, "big")
		remote.set(func() { remote.head, remote.halfway = big, unusableError{tooLarge("it is too large")} })
		time.Sleep(2 * time.Minute)
		status := s.Status()
		if status.Refused.Commit != big.about.Commit || !errors.Is(status.Refused.Error, ErrTooLarge) || status.LastError != "" {
			t.Errorf("status %+v", status)
		}
		remote.set(func() { remote.halfway = nil })
		time.Sleep(time.Hour)
		if _, fetches := remote.counts(); fetches != 1 || j.count() != 1 {
			t.Errorf("%d fetches, %d offers", fetches, j.count())
		}
		s.Poke()
		synctest.Wait()
		if s.Status().Good.Commit != big.about.Commit {
			t.Error("a poke did not fetch it again")
		}
	})
}

func TestFetchFailure(t *testing.T) {
	following(t, t.TempDir(), time.Minute, func(t *testing.T, s *Source, remote *script, _ *judge) {
		next := someContent(t, "next")
		remote.set(func() { remote.head, remote.halfway = next, errors.New("broke off") })
		time.Sleep(2 * time.Minute)
		if status := s.Status(); status.Stage != StageFetch || status.LastError != "git: broke off" || status.Head != next.about.Commit || status.Refused.Commit != "" {
			t.Errorf("status %+v", status)
		}
		remote.set(func() { remote.halfway = nil })
		time.Sleep(10 * time.Minute)
		if status := s.Status(); status.Good.Commit != next.about.Commit || status.Stage != "" {
			t.Errorf("status %+v", status)
		}
	})
}

// A look that does not end even when its context does is left alone, and no
// second one is begun.
func TestStuckLook(t *testing.T) {
	following(t, t.TempDir(), time.Minute, func(t *testing.T, s *Source, remote *script, _ *judge) {
		stuck := make(chan struct{})
		remote.set(func() { remote.stuck = stuck })
		time.Sleep(5 * time.Minute)
		before, _ := remote.counts()
		if status := s.Status(); status.Stage != StageLook || !strings.Contains(status.LastError, "did not end") && !strings.Contains(status.LastError, "not ended yet") {
			t.Errorf("status %+v", status)
		}
		time.Sleep(time.Hour)
		if looks, _ := remote.counts(); looks != before || before != 2 {
			t.Errorf("%d looks, then %d", before, looks)
		}
		remote.set(func() { remote.stuck = nil })
		close(stuck)
		time.Sleep(30 * time.Minute)
		if status := s.Status(); status.LastError != "" {
			t.Errorf("status %+v", status)
		}
	})
}

type panicking struct{}

func (panicking) look(context.Context, func(string) bool) (string, *content, error) { panic("oh") }

func TestPanicIsAFailure(t *testing.T) {
	result := guarded(t.Context(), panicking{}, nil)
	wantError(t, result.err, []string{"panicked: oh"})
}

func TestRunTwice(t *testing.T) {
	following(t, t.TempDir(), time.Minute, func(t *testing.T, s *Source, _ *script, j *judge) {
		wantError(t, s.Run(t.Context(), j.accept), []string{"under way"})
	})
}

// Who cannot use the kept commit gets the same one from the remote.
func TestForgottenCommitIsOfferedAgain(t *testing.T) {
	directory := t.TempDir()
	following(t, directory, time.Minute, func(t *testing.T, _ *Source, _ *script, j *judge) {
		if j.count() != 1 {
			t.Fatalf("offered %q", j.offered)
		}
	})
	for _, forget := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			source, err := Open(Config{URL: "/nonexistent", Branch: "main", Poll: time.Minute, StateDir: directory})
			if err != nil {
				t.Fatal(err)
			}
			source.looker = &script{head: someContent(t, "one")}
			if forget {
				source.Forget()
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			j := new(judge)
			if err := source.Run(ctx, j.accept); err != nil {
				t.Error(err)
			}
			if offered := j.count() == 1; offered != forget {
				t.Errorf("forgotten: %v, offered: %q", forget, j.offered)
			}
		})
	}
}
