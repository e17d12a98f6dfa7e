package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mirrorpool/zones"
)

// TestDamage: wherever a file ends, and whichever byte of it is another one, what is
// left is a version that there was, and differences that join it.
func TestDamage(t *testing.T) {
	path := t.TempDir()
	j := open(t, path, Limits{})
	r := rand.New(rand.NewPCG(1, 1))
	history := map[uint32]*zones.Version{}
	for serial := range uint32(6) {
		v := version(t, "example.", serial+1, randomLines(r)[:4]...)
		record(t, j, v)
		history[serial+1] = v
		if serial == 3 {
			j.zones["example."].stale = true // the snapshot in the middle
		}
	}
	file := filepath.Join(path, "example.journal")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint32]bool{}
	try := func(name string, content []byte, same bool) {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := Open(path, Limits{})
		if same != (err == nil) && !isBoundary(whole, len(content)) {
			t.Fatalf("%s: %v", name, err)
		}
		newest := j.Serials()["example."]
		seen[newest] = true
		if newest == 0 {
			return
		}
		v := history[newest]
		if text(j.zones["example."].last) != text(v) {
			t.Fatalf("%s: serial %d is\n%s", name, newest, text(j.zones["example."].last))
		}
		for serial, old := range history {
			if leads(t, j, old, v) && serial > newest {
				t.Fatalf("%s: differences go back", name)
			}
		}
		// The same version again mends the file; and it goes on.
		record(t, j, versionOf(t, v))
		if _, err := Open(path, Limits{}); err != nil {
			t.Fatalf("%s: not mended: %v", name, err)
		}
		record(t, j, version(t, "example.", 99))
		if again, err := Open(path, Limits{}); err != nil || !leads(t, again, v, version(t, "example.", 99)) {
			t.Fatalf("%s: written again it gives %v", name, err)
		}
	}
	try("whole", whole, true)
	for length := 0; length < len(whole); length += 1 + r.IntN(5) {
		try(fmt.Sprintf("%d bytes", length), whole[:length], false)
		damaged := slices.Clone(whole)
		damaged[length] ^= 1 << r.IntN(8)
		try(fmt.Sprintf("damaged at %d", length), damaged, false)
	}
	if !seen[0] || !seen[5] || !seen[6] {
		t.Errorf("serials were found: %v", seen)
	}
}

// TestDamagedFilesGo: what cannot be read and is of no zone that is served is told of
// once.
func TestDamagedFilesGo(t *testing.T) {
	path := t.TempDir()
	first := open(t, path, Limits{})
	for _, apex := range []string{"example.", "gone."} {
		record(t, first, version(t, apex, 1))
		if err := os.Truncate(filepath.Join(path, apex+"journal"), 30); err != nil {
			t.Fatal(err)
		}
	}
	second, err := Open(path, Limits{})
	if err == nil || !strings.Contains(err.Error(), "example.journal") || !strings.Contains(err.Error(), "gone.journal") {
		t.Errorf("opened with %v", err)
	}
	record(t, second, version(t, "example.", 2))
	if err := second.Retain(func(apex string) bool { return apex == "example." }); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(path, "gone.journal")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file of no zone: %v", err)
	}
	third, err := Open(path, Limits{})
	if err != nil || third.Serials()["example."] != 2 {
		t.Errorf("opened again with %v, %v", third.Serials(), err)
	}
}

// versionOf is a version with the same content.
func versionOf(t testing.TB, v *zones.Version) *zones.Version {
	t.Helper()
	same, err := v.Apply()
	if err != nil {
		t.Fatal(err)
	}
	return same
}

// isBoundary tells whether a file may end there.
func isBoundary(whole []byte, length int) bool {
	at := len(magic)
	for at < length {
		_, size, err := readEntry(whole[at:])
		if err != nil {
			return false
		}
		at += size
	}
	return at == length
}

// TestGap: what does not join the newest serial is dropped.
func TestGap(t *testing.T) {
	old, middle, newest := version(t, "example.", 1), version(t, "example.", 5), version(t, "example.", 6, "@ 60 IN NS ns.@")
	difference := func(from, to *zones.Version) []byte {
		packed, err := zones.Compare(from, to).Pack()
		if err != nil {
			t.Fatal(err)
		}
		return (&change{packed, 1}).appendTo(nil)
	}
	snapshot := func(v *zones.Version) []byte {
		data, err := snapshotData(v, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		return appendEntry(nil, kindSnapshot, 1, data)
	}
	for _, c := range []struct {
		name    string
		entries [][]byte
		found   string
		problem string
	}{
		{"nothing", nil, "", "lacks the content"},
		{"no snapshot", [][]byte{difference(old, middle)}, "", "lacks the content"},
		{"a gap before the snapshot", [][]byte{difference(old, version(t, "example.", 3)), difference(middle, newest), snapshot(newest)}, "example. at 6: 5-6", ""},
		{"a gap at the snapshot", [][]byte{difference(old, middle), snapshot(newest)}, "example. at 6:", ""},
		{"a gap behind the snapshot", [][]byte{snapshot(old), difference(middle, newest)}, "example. at 1:", "behind serial 1"},
		{"two snapshots", [][]byte{snapshot(old), difference(old, middle), snapshot(middle), difference(middle, newest)}, "example. at 6: 1-5 5-6", ""},
		{"two that do not join", [][]byte{snapshot(old), snapshot(middle), difference(middle, newest)}, "example. at 6: 5-6", ""},
		{"another zone", [][]byte{snapshot(old), snapshot(version(t, "other.", 1))}, "example. at 1:", "beside"},
		{"back", [][]byte{snapshot(newest), difference(newest, old)}, "example. at 6:", "not after it"},
		{"what cannot be applied", [][]byte{snapshot(middle), difference(version(t, "example.", 5, "@ 60 IN NS x.@"), newest)}, "", "not there"},
		{"an unknown kind", [][]byte{snapshot(old), appendEntry(nil, 'X', 1, "")}, "example. at 1:", "unknown kind"},
		{"a difference of nothing", [][]byte{snapshot(old), appendEntry(nil, kindDifference, 1, "")}, "example. at 1:", "lacks"},
	} {
		z, _, err := readFile(slices.Concat(append([][]byte{[]byte(magic)}, c.entries...)...))
		found := ""
		if z != nil {
			found = z.String()
		}
		if found != c.found || (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: found %q, %v, expected %q, %q", c.name, found, err, c.found, c.problem)
		}
	}
}

// TestForeignFiles: what is not ours is left alone, what is left of writing goes, and
// a file of another zone's name is not taken for it.
func TestForeignFiles(t *testing.T) {
	path := t.TempDir()
	record(t, open(t, path, Limits{}), version(t, "example.", 1))
	for name, content := range map[string]string{"README": "x", "half.journal.new": "x", "empty.journal": ""} {
		if err := os.WriteFile(filepath.Join(path, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(filepath.Join(path, "example.journal"), filepath.Join(path, "other.journal")); err != nil {
		t.Fatal(err)
	}
	j, err := Open(path, Limits{})
	if err == nil || !strings.Contains(err.Error(), "it is of the zone example.") || !strings.Contains(err.Error(), "empty.journal") || len(j.Serials()) > 0 {
		t.Errorf("opened with %v, %v", j.Serials(), err)
	}
	if _, err := os.Stat(filepath.Join(path, "half.journal.new")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was left of writing: %v", err)
	}
	if _, err := os.Stat(filepath.Join(path, "README")); err != nil {
		t.Error(err)
	}
}

// TestDiskFails: while nothing can be written, differences are kept in memory, and
// the disk is tried again on demand; then all is there.
func TestDiskFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := Open(path, Limits{})
	if err == nil {
		t.Fatal("a file was opened as a directory")
	}
	first, second, third := version(t, "example.", 1), version(t, "example.", 2, "@ 60 IN NS ns.@"), version(t, "example.", 3)
	for _, v := range []*zones.Version{first, second, second} {
		if err := errors.Join(j.Record(v), j.Flush()); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("recorded without a disk: %v", err)
		}
	}
	if !leads(t, j, first, second) {
		t.Error("nothing is kept in memory")
	}
	if j.Retry() == nil {
		t.Error("written without a disk")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := j.Retry(); err != nil {
		t.Fatal(err)
	}
	record(t, j, third)
	if j = open(t, path, Limits{}); !leads(t, j, first, third) {
		t.Error("the disk lacks what was kept in memory")
	}

	// Somebody else writes to the file.
	file := filepath.Join(path, "example.journal")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := j.Record(version(t, "example.", 4)); err == nil || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("recorded into a foreign file: %v", err)
	}
	if err := j.Retry(); err != nil {
		t.Fatal(err)
	}
	if j = open(t, path, Limits{}); !leads(t, j, first, version(t, "example.", 4)) {
		t.Error("the file was not written again")
	}
}

func FuzzReadFile(f *testing.F) {
	path := f.TempDir()
	j := open(f, path, Limits{})
	r := rand.New(rand.NewPCG(1, 1))
	for serial := range uint32(3) {
		record(f, j, version(f, "example.", serial+1, randomLines(r)[:3]...))
	}
	content, err := os.ReadFile(filepath.Join(path, "example.journal"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content[len(magic):])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		// Digests that fit, so that what is behind them is read as well.
		var file []byte
		file = append(file, magic...)
		for rest := data; len(rest) > entryHead; {
			size := min(len(rest)-entryHead, int(rest[2])<<8|int(rest[3]))
			file = appendEntry(file, rest[4], 1, rest[entryHead:entryHead+size])
			rest = rest[min(len(rest), entryHead+size+entryDigest):]
		}
		for _, content := range [][]byte{file, data, append([]byte(magic), data...)} {
			z, _, err := readFile(content)
			if z == nil {
				if err == nil {
					t.Fatal("nothing is there, and nothing is wrong")
				}
				continue
			}
			if n := len(z.changes); n > 0 && z.changes[n-1].New != z.last.SOA.Serial {
				t.Fatalf("%v does not join", z)
			}
			for i := 1; i < len(z.changes); i++ {
				if z.changes[i-1].New != z.changes[i].Old {
					t.Fatalf("%v does not join", z)
				}
			}
			if _, err := snapshotData(z.last, 1<<30); err != nil {
				t.Fatalf("what was read cannot be written: %v", err)
			}
		}
	})
}
