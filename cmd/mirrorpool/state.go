package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// stateDir is the directory in which the node keeps what has to survive a
// restart. The last good commit is kept there by package gitsource.
type stateDir struct {
	path string
	lock *os.File // the directory itself
}

// openStateDir makes the directory where it is missing, and locks it, so that
// no second server writes to it. The lock is on the directory itself: one that
// cannot be written to must not keep a server from starting.
func openStateDir(path string) (*stateDir, error) {
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, fmt.Errorf("making state_dir: %w; create it for the user that runs mirrorpool, or name another one", err)
	}
	lock, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening state_dir: %w; it has to belong to the user that runs mirrorpool", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(
			fmt.Errorf("locking state_dir %s: %w; another mirrorpool uses it: stop that one or name another state_dir", path, err),
			lock.Close())
	}
	return &stateDir{path: path, lock: lock}, nil
}

func (s *stateDir) close() error { return s.lock.Close() }

func (s *stateDir) file(name string) string { return filepath.Join(s.path, name) }

// write replaces a file whole: a reader, or a restart after a crash, finds the
// old content or the new.
func (s *stateDir) write(name string, data []byte) (err error) {
	file, err := os.CreateTemp(s.path, name+".*.new")
	if err != nil {
		return fmt.Errorf("writing %s: %w", s.file(name), err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing %s: %w", s.file(name), err)
			if left := os.Remove(file.Name()); !errors.Is(left, fs.ErrNotExist) {
				err = errors.Join(err, left)
			}
		}
	}()
	if _, err := file.Write(data); err != nil {
		return errors.Join(err, file.Close())
	}
	if err := file.Sync(); err != nil {
		return errors.Join(err, file.Close())
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), s.file(name)); err != nil {
		return err
	}
	// The new name has to be on the disk before it is relied upon.
	return s.lock.Sync()
}

// read gives a file's content, nil for one that was never written.
func (s *stateDir) read(name string) ([]byte, error) {
	data, err := os.ReadFile(s.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the kept state: %w", err)
	}
	return data, nil
}

const healthFile = "health.json"
