package gitsource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
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
		for i := range looks - 1 {
			wait := remote.looks[i+1].Sub(remote.looks[i])
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
			!status.FailingSince.IsZero() || status.LastLook != remote.looks[looks-1] || status.LastSuccess != status.LastLook ||
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
				for i, want := range test.waits {
					got := remote.looks[i+1].Sub(remote.looks[i])
					if low, high := want*unit*9/10, want*unit*11/10; got < low || got > high {
						t.Errorf("wait %d is %s, want %s to %s", i+1, got, low, high)
					}
				}
				status := s.Status()
				if status.LastError != "git: no route" || !errors.Is(status.Error, failure) || status.Stage != StageLook ||
					status.FailingSince != begin || status.Failures != len(remote.looks) || status.LastSuccess.After(begin) {
					t.Errorf("status %+v", status)
				}
				// Poke looks at once, and the waits begin anew.
				before := len(remote.looks)
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

func TestRestart(t *testing.T) {
	directory := t.TempDir()
	var good string
	following(t, directory, time.Minute, func(_ *testing.T, _ *Source, remote *script, _ *judge) { good = remote.head.about.Commit })
	following(t, directory, time.Minute, func(t *testing.T, s *Source, remote *script, j *judge) {
		if _, fetches := remote.counts(); fetches != 0 || j.count() != 0 {
			t.Errorf("after a restart: %d fetches, %d offers", fetches, j.count())
		}
		if status := s.Status(); status.Good.Commit != good || status.Good.Accepted.IsZero() || status.Head != good {
			t.Errorf("status %+v", status)
		}
	})
	// A damaged file costs a fetch, and is mended by it.
	write(t, filepath.Join(directory, storeName), "rubbish", 0o600)
	following(t, directory, time.Minute, func(t *testing.T, s *Source, _ *script, j *judge) {
		if j.count() != 1 {
			t.Errorf("with a damaged file: %d offers", j.count())
		}
		if last, err := s.Last(); err != nil || last.Commit != good {
			t.Errorf("kept %v, %v", last, err)
		}
	})
}

func TestDiskThatFails(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "state")
	following(t, directory, time.Minute, func(t *testing.T, s *Source, remote *script, j *judge) {
		next := someContent(t, "next")
		if err := os.Rename(directory, directory+".away"); err != nil {
			t.Fatal(err)
		}
		remote.set(func() { remote.head = next })
		time.Sleep(30 * time.Minute)
		status := s.Status()
		if status.Good.Commit != next.about.Commit || status.Stage != StageStore || !errors.Is(status.Error, fs.ErrNotExist) || status.FailingSince.IsZero() {
			t.Errorf("status %+v", status)
		}
		if looks, _ := remote.counts(); looks < 27 || j.count() != 2 {
			t.Errorf("%d looks, %d offers: a full disk slows the looks down", looks, j.count())
		}
		if err := os.Rename(directory+".away", directory); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if status := s.Status(); status.Stage != "" || status.LastError != "" {
			t.Errorf("status after it is mended %+v", status)
		}
		if last, err := s.Last(); err != nil || last.Commit != next.about.Commit {
			t.Errorf("kept %v, %v", last, err)
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

func TestNotify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int64
		source, err := Open(Config{URL: "/nonexistent", StateDir: t.TempDir(), Notify: func(s Status) {
			told.Add(1)
			if s.LastLook.IsZero() || s.NextLook.IsZero() {
				t.Errorf("status %+v", s)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		remote := &script{head: someContent(t, "one")}
		source.looker = remote
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := source.Run(ctx, new(judge).accept); err != nil {
			t.Error(err)
		}
		if looks, _ := remote.counts(); int(told.Load()) != looks {
			t.Errorf("told %d times of %d looks", told.Load(), looks)
		}
	})
}

// An accept that is interrupted refuses nothing.
func TestInterruptedAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, err := Open(Config{URL: "/nonexistent", StateDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		source.looker = &script{head: someContent(t, "one")}
		ctx, cancel := context.WithCancel(t.Context())
		err = source.Run(ctx, func(ctx context.Context, _ *Revision) error {
			cancel()
			return ctx.Err()
		})
		if status := source.Status(); err != nil || status.Refused.Commit != "" || status.Good.Commit != "" {
			t.Errorf("error %v, status %+v", err, status)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	_, err := Open(Config{URL: "nothing"})
	wantError(t, err, []string{"git.url", "git.state_dir"})
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "", 0o600)
	_, err = Open(Config{URL: "/x", StateDir: filepath.Join(file, "state")})
	wantError(t, err, []string{"state directory", file})
}

// The whole of it with a real remote: follow, refuse, lose the remote, restart.
func TestFollowRealRemote(t *testing.T) {
	r := newRepository(t)
	first := r.commit("main", poolFiles)
	s := newSSHServer(t)
	config := s.config(r.path)
	config.Poll, config.Timeout, config.StateDir = 50*time.Millisecond, 20*time.Second, filepath.Join(t.TempDir(), "state")
	looked := make(chan Status, 1000)
	config.Notify = func(status Status) { looked <- status }
	await := func(doing string, until func(Status) bool) Status {
		t.Helper()
		late := time.After(60 * time.Second)
		for {
			select {
			case status := <-looked:
				if until(status) {
					return status
				}
			case <-late:
				t.Fatalf("%s: no end", doing)
			}
		}
	}
	run := func(accept func(context.Context, *Revision) error) (*Source, func()) {
		t.Helper()
		source, err := Open(config)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- source.Run(ctx, accept) }()
		return source, func() {
			t.Helper()
			cancel()
			select {
			case err := <-ended:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("Run does not end")
			}
		}
	}
	var offers atomic.Int64
	accept := func(_ context.Context, revision *Revision) error {
		offers.Add(1)
		text, err := fs.ReadFile(revision.Files, "mirrors.json")
		if err != nil || strings.Contains(string(text), "bad") {
			return fmt.Errorf("mirrors.json: %s: %w", text, errBad)
		}
		return nil
	}
	source, stop := run(accept)
	await("the first commit", func(status Status) bool { return status.Good.Commit == first })
	bad := r.commit("main", map[string]string{"mirrors.json": "bad"})
	status := await("a bad commit", func(status Status) bool { return status.Refused.Commit == bad })
	if status.Good.Commit != first || !errors.Is(status.Refused.Error, errBad) {
		t.Errorf("status %+v", status)
	}
	third := r.commit("main", map[string]string{"mirrors.json": "[]"})
	await("a good commit", func(status Status) bool { return status.Good.Commit == third && status.Refused.Commit == "" })
	r.git("update-ref", "refs/heads/main", first)
	await("a branch set back", func(status Status) bool { return status.Good.Commit == first })
	if err := os.Rename(r.path, r.path+".gone"); err != nil {
		t.Fatal(err)
	}
	status = await("the remote gone", func(status Status) bool { return status.LastError != "" })
	if status.Stage != StageLook || !strings.Contains(status.LastError, "git: ") || !strings.Contains(status.LastError, r.path) {
		t.Errorf("status %+v", status)
	}
	if source.Status().Good.Commit != first || offers.Load() != 4 {
		t.Errorf("%d offers, status %+v", offers.Load(), source.Status())
	}
	stop()

	source, stop = run(func(context.Context, *Revision) error { t.Error("offered again"); return nil })
	last, err := source.Last()
	if err != nil || last.Commit != first {
		t.Fatalf("kept %v, %v", last, err)
	}
	if text, err := fs.ReadFile(last.Files, "mirrors.json"); err != nil || string(text) != poolFiles["mirrors.json"] {
		t.Errorf("kept %s, %v", text, err)
	}
	await("the remote gone still", func(status Status) bool { return status.LastError != "" })
	if err := os.Rename(r.path+".gone", r.path); err != nil {
		t.Fatal(err)
	}
	source.Poke()
	await("the remote back", func(status Status) bool { return status.LastError == "" && status.Head == first })
	stop()
}
