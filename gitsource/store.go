package gitsource

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// store keeps the last good commit in one file of a directory:
//
//	mirrorpool-commit 1 SHA-256-OF-ALL-THAT-FOLLOWS LF
//	what is known of it, as JSON LF
//	a zip archive of its files
//
// The file is replaced as a whole or not at all.
type store struct {
	directory string
	remote    string // the remote's address and its branch, as in kept
	branch    string
}

// kept is the second line of the file.
type kept struct {
	Remote   string    `json:"remote"` // without a password or token
	Branch   string    `json:"branch"`
	Accepted time.Time `json:"accepted"`
	about
}

const (
	storeName    = "last-good-commit"
	storeMagic   = "mirrorpool-commit 1 "
	storeMaximum = 1 << 30 // bytes; far over what any limit lets through
)

func (s store) file() string { return filepath.Join(s.directory, storeName) }

// save replaces what is kept.
func (s store) save(c *content, accepted time.Time) error {
	line, err := json.Marshal(kept{Remote: s.remote, Branch: s.branch, Accepted: accepted, about: c.about})
	if err != nil {
		return fmt.Errorf("keeping commit %s: %w", c.about.Commit, err)
	}
	sum := sha256.New()
	sum.Write(line)
	sum.Write([]byte{'\n'})
	sum.Write(c.archive)
	parts := [][]byte{
		[]byte(storeMagic + hex.EncodeToString(sum.Sum(nil)) + "\n"),
		append(line, '\n'),
		c.archive,
	}
	if err := s.replace(parts); err != nil {
		return fmt.Errorf("keeping commit %s in %s: %w", c.about.Commit, s.file(), err)
	}
	return nil
}

// replace writes a file beside the real one, and renames it once it is safely
// on disk.
func (s store) replace(parts [][]byte) (err error) {
	temporary := filepath.Join(s.directory, "."+storeName+".new")
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if _, err = f.Write(part); err != nil {
			break
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(temporary, s.file())
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return syncDirectory(s.directory)
}

func syncDirectory(directory string) error {
	d, err := os.Open(directory)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// load reads what is kept for this remote and branch. Its error is
// fs.ErrNotExist if there is nothing, and also ErrOtherRemote if what there is
// belongs to another one.
func (s store) load() (*content, time.Time, error) {
	text, err := readBounded(s.file(), storeMaximum)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, time.Time{}, fmt.Errorf("reading the last good commit: %w", err)
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("reading the last good commit: %w", err)
	}
	found, archive, err := parseKept(text)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf(
			"reading the last good commit: %s is damaged (%w): it is not used, and the next good commit replaces it; or remove it", s.file(), err)
	}
	if found.Remote != s.remote || found.Branch != s.branch {
		return nil, time.Time{}, worded(fmt.Sprintf(
			"reading the last good commit: %s holds commit %s of %s, and %s is configured now: it is not used, and the next good commit replaces it",
			s.file(), found.Commit, described(found.Remote, found.Branch), described(s.remote, s.branch)), ErrOtherRemote, fs.ErrNotExist)
	}
	return &content{about: found.about, archive: archive}, found.Accepted, nil
}

func described(remote, branch string) string {
	if branch == "" {
		return remote + " (default branch)"
	}
	return fmt.Sprintf("%s (branch %s)", remote, branch)
}

// parseKept reads the file's form and checks its checksum.
func parseKept(text []byte) (kept, []byte, error) {
	first, rest, found := bytes.Cut(text, []byte{'\n'})
	if !found || !bytes.HasPrefix(first, []byte(storeMagic)) {
		return kept{}, nil, errors.New("it does not begin with " + storeMagic)
	}
	sum := sha256.Sum256(rest)
	if hex.EncodeToString(sum[:]) != string(first[len(storeMagic):]) {
		return kept{}, nil, errors.New("its checksum differs")
	}
	line, archive, found := bytes.Cut(rest, []byte{'\n'})
	if !found {
		return kept{}, nil, errors.New("it ends early")
	}
	var k kept
	if err := json.Unmarshal(line, &k); err != nil {
		return kept{}, nil, fmt.Errorf("decoding its second line: %w", err)
	}
	return k, archive, nil
}

func readBounded(file string, maximum int64) (text []byte, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	text, err = io.ReadAll(io.LimitReader(f, maximum+1))
	if err == nil && int64(len(text)) > maximum {
		return nil, fmt.Errorf("%s has more than %s", file, byteCount(maximum))
	}
	return text, err
}
