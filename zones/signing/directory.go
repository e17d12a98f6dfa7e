package signing

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// maxKeys is how many keys a directory may hold.
const maxKeys = 100_000

// Directory is what a directory of key files held when it was read. It is immutable.
type Directory struct {
	// Keys are those that could be read, by the canonical name of the zone; those
	// of a zone by algorithm and tag.
	Keys map[string][]*Key
	// Problems are all that is wrong, by file.
	Problems []Problem

	broken map[string]bool
}

// Problem is what is wrong with a file of a key.
type Problem struct {
	Zone    string // canonical; empty: the file's name does not tell
	File    string // its path
	Warning bool   // the key is used nevertheless
	// Delete is when the key leaves the DNSKEY RRset, as its public file says where
	// the rest of the key cannot be read; zero: it does not say.
	Delete time.Time
	Err    error
}

func (p Problem) String() string { return p.File + ": " + p.Err.Error() }

// Broken reports whether a key of the zone could not be read: then those that could
// may be too few, and it is better to go on with the ones that were good before.
func (d *Directory) Broken(zone string) bool { return d.broken[zone] }

// ReadDirectory reads all keys of a directory: files K<zone>+<algorithm>+<tag>.key
// and .private as BIND writes them. Other files are not looked at. What is wrong
// with one key is a Problem and does not keep the others away; the error is that
// the directory itself cannot be read.
func ReadDirectory(path string) (*Directory, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("reading the keys' directory: %w", err)
	}
	d := &Directory{Keys: map[string][]*Key{}, broken: map[string]bool{}}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o002 != 0 {
		d.Problems = append(d.Problems, Problem{
			File: path, Warning: true, Err: fmt.Errorf("everybody may write to it (mode %04o): chmod 700 %s", info.Mode().Perm(), path),
		})
	}
	ids := d.names(path, entries)
	if len(ids) > maxKeys {
		return nil, fmt.Errorf("reading the keys' directory: %s holds %d keys, expected at most %d", path, len(ids), maxKeys)
	}
	for _, id := range ids {
		d.read(path, id)
	}
	for _, keys := range d.Keys {
		slices.SortFunc(keys, compareKeys)
	}
	slices.SortStableFunc(d.Problems, func(a, b Problem) int { return strings.Compare(a.File, b.File) })
	return d, nil
}

// compareKeys orders the keys of a zone.
func compareKeys(a, b *Key) int {
	if a.Algorithm() != b.Algorithm() {
		return int(a.Algorithm()) - int(b.Algorithm())
	}
	if a.tag != b.tag {
		return int(a.tag) - int(b.tag)
	}
	return strings.Compare(a.Record.PublicKey, b.Record.PublicKey)
}

// names gives the keys' names, each once and in order.
func (d *Directory) names(path string, entries []fs.DirEntry) []string {
	var ids []string
	for _, entry := range entries {
		id, isPublic := strings.CutSuffix(entry.Name(), publicSuffix)
		if !isPublic {
			var isPrivate bool
			if id, isPrivate = strings.CutSuffix(entry.Name(), privateSuffix); !isPrivate {
				continue
			}
		}
		if !strings.HasPrefix(id, "K") {
			continue
		}
		if _, ok := zoneOfFile(id); !ok {
			d.Problems = append(d.Problems, Problem{
				File: filepath.Join(path, entry.Name()), Warning: true,
				Err: errors.New("not used: the name is not such as Kexample.org.+013+12345" + filepath.Ext(entry.Name())),
			})
			continue
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (d *Directory) read(directory, id string) {
	zone, _ := zoneOfFile(id)
	public, private := filepath.Join(directory, id+publicSuffix), filepath.Join(directory, id+privateSuffix)
	var deleted time.Time
	wrong := func(file string, err error) {
		d.Problems = append(d.Problems, Problem{Zone: zone, File: file, Delete: deleted, Err: err})
		d.broken[zone] = true
	}
	record, _, err := readKeyFile(public)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		wrong(public, fmt.Errorf("the public half of %s is missing: bring it back, or remove the private one", private))
		return
	case err != nil:
		wrong(public, err)
		return
	}
	if _, err := ParseKey(id, record, nil); err == nil {
		deleted = deleteComment(record)
	}
	secret, mode, err := readKeyFile(private)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		wrong(private, fmt.Errorf("the private half of %s is missing: bring it back, or remove the public one; "+
			"that of a key which others sign with is made by dnssec-importkey", public))
		return
	case err != nil:
		wrong(private, err)
		return
	}
	key, err := ParseKey(id, record, secret)
	if err != nil {
		wrong(filepath.Join(directory, id), fmt.Errorf("%w; mend the files or remove both", err))
		return
	}
	if key.CanSign() && mode.Perm()&0o077 != 0 {
		d.Problems = append(d.Problems, Problem{
			Zone: zone, File: private, Warning: true,
			Err: fmt.Errorf("others than its owner may read it (mode %04o): chmod 600 %s", mode.Perm(), private),
		})
	}
	d.Keys[zone] = append(d.Keys[zone], key)
}

// readKeyFile reads a regular file of bounded size.
func readKeyFile(path string) ([]byte, fs.FileMode, error) {
	// What is no file, such as a pipe, must not hold anybody up.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("opening it: %w", withoutPath(err))
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("looking at it: %w", withoutPath(err))
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("it is not a file")
	}
	data, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err != nil {
		return nil, 0, fmt.Errorf("reading it: %w", withoutPath(err))
	}
	if len(data) > maxKeyFile {
		return nil, 0, fmt.Errorf("it is larger than %d bytes: this is no key", maxKeyFile)
	}
	return data, info.Mode(), nil
}

// withoutPath leaves out what stands before the error anyway.
func withoutPath(err error) error {
	var of *fs.PathError
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}
