package gitsource

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func someContent(t *testing.T, text string) *content {
	t.Helper()
	objects := objectsOf(text, "")
	for name, object := range objects {
		if string(object.data) == text {
			tree := "100644 file\x00" + string(name[:])
			objects := objectsOf(text, tree)
			c, err := newContent(objects, commitOf(objects, tree), limits{files: 10, unpacked: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
	}
	t.Fatal("no blob")
	return nil
}

func TestStore(t *testing.T) {
	s := store{directory: t.TempDir(), remote: "ssh://git@host.test/x", branch: "main"}
	_, _, err := s.load()
	wantError(t, err, []string{s.file()}, fs.ErrNotExist)
	accepted := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for _, text := range []string{"one", "two"} {
		want := someContent(t, text)
		if err := s.save(want, accepted); err != nil {
			t.Fatal(err)
		}
		got, when, err := s.load()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.about, got.about); diff != "" || !when.Equal(accepted) {
			t.Errorf("accepted %v (-want +got):\n%s", when, diff)
		}
		if diff := cmp.Diff(map[string]string{"file": text}, filesOf(t, mustRevision(t, got).Files)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
	}
	entries, err := os.ReadDir(s.directory)
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files are left: %v", len(entries), err)
	}
	info, err := os.Stat(s.file())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}

	for _, other := range []store{
		{directory: s.directory, remote: "ssh://git@host.test/y", branch: "main"},
		{directory: s.directory, remote: s.remote, branch: "other"},
		{directory: s.directory, remote: s.remote},
	} {
		_, _, err := other.load()
		wantError(t, err, []string{s.file(), s.remote + " (branch main)", described(other.remote, other.branch), "replaces it"}, ErrOtherRemote, fs.ErrNotExist)
	}
}

// Every changed or missing byte is noticed.
func TestDamagedStore(t *testing.T) {
	s := store{directory: t.TempDir(), remote: "/x", branch: "main"}
	if err := s.save(someContent(t, "text"), time.Now()); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(s.file())
	if err != nil {
		t.Fatal(err)
	}
	damaged := func(text []byte) {
		write(t, s.file(), string(text), 0o600)
		_, _, err := s.load()
		wantError(t, err, []string{s.file() + " is damaged", "or remove it"})
		if errors.Is(err, fs.ErrNotExist) {
			t.Error("a damaged file counts as none")
		}
	}
	for i := range good {
		changed := append([]byte(nil), good...)
		changed[i] ^= 0x20
		if i >= len(storeMagic) && i < len(storeMagic)+64 && strings.EqualFold(string(changed[i]), string(good[i])) {
			changed[i] = 'x'
		}
		damaged(changed)
		damaged(good[:i])
	}
}

func TestStoreThatFails(t *testing.T) {
	s := store{directory: filepath.Join(t.TempDir(), "gone"), remote: "/x"}
	err := s.save(someContent(t, "text"), time.Now())
	wantError(t, err, []string{"keeping commit", s.file()}, fs.ErrNotExist)

	// What is there stays when the new one cannot be put in its place.
	s.directory = t.TempDir()
	if err := s.save(someContent(t, "old"), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.directory, "."+storeName+".new"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.save(someContent(t, "new"), time.Now()); err == nil {
		t.Error("no error")
	}
	kept, _, err := s.load()
	if err != nil {
		t.Fatal(err)
	}
	if text := filesOf(t, mustRevision(t, kept).Files)["file"]; text != "old" {
		t.Errorf("kept %q", text)
	}
}

func FuzzParseKept(f *testing.F) {
	f.Add([]byte(storeMagic + strings.Repeat("0", 64) + "\n{}\n"))
	f.Add([]byte(storeMagic))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, archive, err := parseKept(text)
		if err == nil && len(archive) > len(text) {
			t.Error("more came out than went in")
		}
	})
}
