package history

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// mostAside is how many damaged files are kept.
const mostAside = 3

// asideMark stands between the name of the file and the time in the name of a damaged one.
const asideMark = ".corrupt-"

// The files that the database puts beside its own.
const (
	logSuffix    = "-wal"
	memorySuffix = "-shm"
)

// putAside renames a damaged file, and its write-ahead log, so that somebody may look at it,
// and keeps the newest of those that were renamed before.
func putAside(path string, now time.Time) (string, error) {
	base := path + asideMark + now.UTC().Format("20060102T150405Z")
	name := base
	for i := 2; ; i++ {
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			break
		}
		name = fmt.Sprintf("%s.%03d", base, i)
	}
	// The log first: without it the file is still one, but a new file with an old log is not.
	if err := os.Rename(path+logSuffix, name+logSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("putting the damaged history aside: %w", err)
	}
	if err := os.Remove(path + memorySuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("putting the damaged history aside: %w", err)
	}
	if err := os.Rename(path, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("putting the damaged history aside: %w", err)
	}
	return name, dropAside(path)
}

// dropAside removes the oldest damaged files that are too many.
func dropAside(path string) error {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("listing damaged histories: %w", err)
	}
	var names []string
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, filepath.Base(path)+asideMark) && !strings.HasSuffix(name, logSuffix) && !strings.HasSuffix(name, memorySuffix) {
			names = append(names, filepath.Join(filepath.Dir(path), name))
		}
	}
	slices.Sort(names)
	var problems []error
	for _, name := range names[:max(len(names)-mostAside, 0)] {
		for _, suffix := range []string{"", logSuffix, memorySuffix} {
			if err := os.Remove(name + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				problems = append(problems, fmt.Errorf("removing a damaged history: %w", err))
			}
		}
	}
	return errors.Join(problems...)
}
