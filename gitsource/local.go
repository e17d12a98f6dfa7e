package gitsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
)

// localSession is a stream to a git process, whose complaints it words.
type localSession struct {
	stream
}

// openLocal runs git-upload-pack on a local repository. That is the one Git
// command that is made for repositories one does not trust: it runs no hook
// and no command of the repository's configuration, and refuses a repository
// of another owner unless safe.directory of the system's or the user's own
// configuration allows it. These two are read for that, and could name one
// command, uploadpack.packObjectsHook, to be run in place of git pack-objects
// with that as its arguments. Git knows no value for none, so it is set to env,
// which runs its arguments as they are.
func openLocal(ctx context.Context, path string, m *meter) (session, error) {
	ctx, cancel := context.WithCancel(ctx)
	command := exec.CommandContext(ctx, "git", "-c", "uploadpack.packObjectsHook=env", "upload-pack", path)
	command.Env = localEnvironment(os.Environ())
	command.Dir = "/"
	// Git starts helpers (pack-objects), which have to end with it.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = time.Second
	s := &localSession{stream{path: path}}
	command.Stderr = &s.said
	out, err := command.StdinPipe()
	if err != nil {
		cancel()
		return nil, fmt.Errorf("making a pipe to git: %w", err)
	}
	in, err := command.StdoutPipe()
	if err != nil {
		cancel()
		return nil, fmt.Errorf("making a pipe from git: %w", err)
	}
	if err := command.Start(); err != nil {
		cancel()
		if errors.Is(err, exec.ErrNotFound) {
			return nil, worded("reading a local repository needs the git program, which is not in PATH: install the package git", err)
		}
		return nil, fmt.Errorf("starting git upload-pack: %w", err)
	}
	wait := sync.OnceFunc(func() { _ = command.Wait() }) // its status says less than its standard error
	s.in, s.out = meteredReader{untilKilled(ctx, in), m}, out
	s.ended = func() { _ = out.Close(); wait() }
	s.end = func() { cancel(); wait() }
	return s, nil
}

// untilKilled closes the pipe when ctx ends: a grandchild that left the process
// group might still hold its other end.
func untilKilled(ctx context.Context, pipe io.ReadCloser) io.Reader {
	context.AfterFunc(ctx, func() { _ = pipe.Close() })
	return pipe
}

// advertised adds what to do about a repository of another owner.
func (s *localSession) advertised(ctx context.Context) (*packp.AdvRefs, error) {
	references, err := s.stream.advertised(ctx)
	if err == nil {
		return references, nil
	}
	if strings.Contains(err.Error(), "dubious ownership") {
		return nil, worded(fmt.Sprintf(
			"%s belongs to another user, and Git does not trust it: change its owner, or allow it with git config --system --add safe.directory %s",
			s.path, s.path), ErrAuthentication, err)
	}
	if info, statErr := os.Stat(s.path); statErr != nil {
		return nil, fmt.Errorf("opening the local repository: %w", statErr)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("opening the local repository: %s is not a directory", s.path)
	}
	return nil, err
}

// localEnvironment keeps of the environment what finds git and the two
// configurations that may name safe directories, and nothing that points Git
// at another repository, program or protocol.
func localEnvironment(all []string) []string {
	kept := []string{
		"LC_ALL=C",
		"GIT_NO_LAZY_FETCH=1",      // a partial clone must not go and fetch
		"GIT_ALLOW_PROTOCOL=none",  // nor be made to
		"GIT_OPTIONAL_LOCKS=0",     // nothing is written
		"GIT_TERMINAL_PROMPT=0",    // nobody is there to answer
		"GIT_NO_REPLACE_OBJECTS=1", // the commit as it is
	}
	for _, variable := range all {
		name, _, _ := strings.Cut(variable, "=")
		switch name {
		case "PATH", "HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM":
			kept = append(kept, variable)
		}
	}
	return kept
}
