package gitsource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

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

// What the disk has failed at does not slow down the looks at a remote that
// fails after it, nor the other way round.
func TestDiskAndRemoteFailApart(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "state")
	following(t, directory, time.Minute, func(t *testing.T, s *Source, remote *script, _ *judge) {
		expect := func(doing string, stage Stage, failures int) {
			t.Helper()
			if status := s.Status(); status.Stage != stage || status.Failures != failures || status.FailingSince.IsZero() {
				t.Errorf("%s: status %+v, want %d failures at %s", doing, status, failures, stage)
			}
		}
		untilLook := func() {
			time.Sleep(time.Until(s.Status().NextLook))
			synctest.Wait()
		}
		if err := os.Rename(directory, directory+".away"); err != nil {
			t.Fatal(err)
		}
		next := someContent(t, "next")
		remote.set(func() { remote.head = next })
		for range 5 {
			untilLook()
		}
		expect("the disk", StageStore, 5)
		remote.set(func() { remote.err = errors.New("no route") })
		untilLook()
		expect("the remote", StageLook, 1)
		if wait := time.Until(s.Status().NextLook); wait > 66*time.Second {
			t.Errorf("the wait after the remote's first failure is %s", wait)
		}
		untilLook()
		expect("the remote again", StageLook, 2)
		remote.set(func() {
			remote.err, remote.halfway, remote.head = nil, errors.New("broke off"), someContent(t, "third")
		})
		untilLook()
		expect("the remote halfway", StageFetch, 3)
		remote.set(func() { remote.halfway, remote.head = nil, next })
		untilLook()
		expect("the disk again", StageStore, 1)
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
	config.Poll, config.Timeout, config.StateDir = 50*time.Millisecond, time.Minute, filepath.Join(t.TempDir(), "state")
	looked := make(chan Status, 1000)
	config.Notify = func(status Status) { looked <- status }
	await := func(doing string, until func(Status) bool) Status {
		t.Helper()
		late := time.After(2 * time.Minute)
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
			case <-time.After(2 * time.Minute):
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
