package signing

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// WriteKey writes a key's two files into a directory, which is made where it is
// missing (mode 0700). Only their owner may read them; where root writes, that is
// the owner of the directory. A key that is there already is not written over: the
// error is fs.ErrExist.
func WriteKey(directory string, key *Key) error {
	private, err := formatPrivate(key)
	if err != nil {
		return err
	}
	if err := makeDirectory(directory); err != nil {
		return err
	}
	path := filepath.Join(directory, key.ID())
	for _, suffix := range []string{privateSuffix, publicSuffix} {
		if _, err := os.Lstat(path + suffix); err == nil {
			return fmt.Errorf("writing key %s: %s: %w", key.ID(), path+suffix, fs.ErrExist)
		}
	}
	// The public half comes last: with it the key is there.
	if err := replaceFile(path+privateSuffix, private); err != nil {
		return err
	}
	return replaceFile(path+publicSuffix, formatPublic(key))
}

// WriteTimes gives a key in a directory other times, and gives the key as it is
// then. All else in its files stays as it is.
func WriteTimes(directory string, key *Key, times Times) (*Key, error) {
	path := filepath.Join(directory, key.ID())
	public, _, err := readKeyFile(path + publicSuffix)
	if err != nil {
		return nil, fmt.Errorf("changing the times of a key: %s: %w", path+publicSuffix, err)
	}
	private, _, err := readKeyFile(path + privateSuffix)
	if err != nil {
		return nil, fmt.Errorf("changing the times of a key: %s: %w", path+privateSuffix, err)
	}
	now, err := ParseKey(key.ID(), public, private)
	if err != nil {
		return nil, fmt.Errorf("changing the times of a key: %s: %w", path, err)
	}
	if !now.Same(key) {
		return nil, fmt.Errorf("changing the times of a key: %s is another key than it was", path)
	}
	// The private file is what counts: the other one has comments for people.
	if err := replaceFile(path+privateSuffix, privateWithTimes(private, times)); err != nil {
		return nil, err
	}
	if err := replaceFile(path+publicSuffix, publicWithTimes(public, times)); err != nil {
		return nil, err
	}
	return now.WithTimes(times), nil
}

// privateWithTimes writes times into a private key's file in place of the others.
func privateWithTimes(data []byte, times Times) []byte {
	mine := map[string]bool{}
	for _, one := range times.all() {
		mine[strings.ToLower(one.name)] = true
	}
	var text bytes.Buffer
	for line := range strings.Lines(string(data)) {
		name, _, _ := splitField(line)
		switch {
		case name == fieldFormat && strings.Contains(line, "v1.2"): // which has no times
			line = "Private-key-format: v1.3\n"
		case mine[name]:
			continue
		}
		text.WriteString(strings.TrimRight(line, "\r\n"))
		text.WriteByte('\n')
	}
	for _, one := range times.all() {
		if !one.at.IsZero() {
			fmt.Fprintf(&text, "%s: %s\n", one.name, one.at.UTC().Format(timeFormat))
		}
	}
	return text.Bytes()
}

// publicWithTimes writes times into the comments of a public key's file, before
// its record.
func publicWithTimes(data []byte, times Times) []byte {
	old := map[string]bool{}
	for _, one := range times.all() {
		old[one.name] = true
	}
	var comments, records bytes.Buffer
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\r\n")
		comment, isComment := strings.CutPrefix(line, ";")
		name, _, _ := strings.Cut(strings.TrimSpace(comment), ":")
		switch {
		case isComment && old[name]:
		case isComment && records.Len() == 0:
			comments.WriteString(line + "\n")
		default:
			records.WriteString(line + "\n")
		}
	}
	comments.WriteString(timeComments(times))
	comments.Write(records.Bytes())
	return comments.Bytes()
}

// makeDirectory makes a directory for keys where there is none.
func makeDirectory(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil // whether it is a directory is found by writing to it
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("making the keys' directory: %w", err)
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making the keys' directory: %w", err)
	}
	if owner, group, ok := giveTo(filepath.Dir(path)); ok {
		if err := os.Lchown(path, owner, group); err != nil {
			return fmt.Errorf("making the keys' directory: %w", err)
		}
	}
	return nil
}

// giveTo is the owner of a directory, where this is root and another one: the
// server, which is not root, has to read what root makes for it.
func giveTo(directory string) (owner, group int, ok bool) {
	if os.Geteuid() != 0 {
		return 0, 0, false
	}
	info, err := os.Stat(directory)
	if err != nil {
		return 0, 0, false
	}
	system, known := info.Sys().(*syscall.Stat_t)
	if !known || system.Uid == 0 {
		return 0, 0, false
	}
	return int(system.Uid), int(system.Gid), true
}

// newSuffix is of a file that is being written. What a crash has left of one is
// taken over when the file is written the next time.
const newSuffix = ".new"

// replaceFile writes a file whole or not at all, for its owner alone.
func replaceFile(path string, data []byte) (err error) {
	directory := filepath.Dir(path)
	written := path + newSuffix
	// What is left there may be another's to read, or a link to elsewhere.
	if err := os.Remove(written); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	file, err := os.OpenFile(written, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing %s: %w", path, err)
			if left := os.Remove(written); !errors.Is(left, fs.ErrNotExist) {
				err = errors.Join(err, left)
			}
		}
	}()
	_, err = file.Write(data)
	if owner, group, ok := giveTo(directory); ok && err == nil {
		err = file.Chown(owner, group)
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err = os.Rename(written, path); err != nil {
		return err
	}
	return syncDirectory(directory)
}

// syncDirectory makes what was renamed last over a power failure.
func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}
