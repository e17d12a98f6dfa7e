package gitsource

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/google/go-cmp/cmp"
)

func TestOnlyRegularFiles(t *testing.T) {
	r := newRepository(t)
	file := r.blob("content")
	inner := r.tree("100644 blob "+file+"\tfile", "120000 blob "+r.blob("/etc/passwd")+"\tlink")
	r.commitTree("main", r.tree(
		"100644 blob "+file+"\tplain",
		"100755 blob "+file+"\tprogram",
		"120000 blob "+r.blob("plain")+"\tlink",
		"160000 commit "+strings.Repeat("1", 40)+"\tsubmodule",
		"040000 tree "+inner+"\tdirectory",
	), "A \x1b[31mcoloured\tsubject\r\n\nand more")
	_, found, err := lookAt(t, Config{URL: r.path})
	if err != nil {
		t.Fatal(err)
	}
	revision := mustRevision(t, found)
	want := map[string]string{"plain": "content", "program": "content", "directory/file": "content"}
	if diff := cmp.Diff(want, filesOf(t, revision.Files)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if want := "A [31mcoloured subject"; revision.Subject != want {
		t.Errorf("subject %q, want %q", revision.Subject, want)
	}
}

func TestEmptyTree(t *testing.T) {
	r := newRepository(t)
	r.commitTree("main", run(t, "", "git", "-C", r.path, "hash-object", "-w", "-t", "tree", "/dev/null"), "Nothing")
	_, found, err := lookAt(t, Config{URL: r.path})
	if err != nil {
		t.Fatal(err)
	}
	if files := filesOf(t, mustRevision(t, found).Files); len(files) != 0 {
		t.Errorf("files in an empty commit: %v", files)
	}
}

// Trees are as hostile as their author.
func TestTreesThatAreRefused(t *testing.T) {
	blob := plumbing.ComputeHash(plumbing.BlobObject, []byte("content"))
	entry := func(mode, name string, hash plumbing.Hash) string {
		return mode + " " + name + "\x00" + string(hash[:])
	}
	file := func(name string) string { return entry("100644", name, blob) }
	tests := []struct {
		name, tree string
		says       string
	}{
		{"dot", file("."), "cannot be used"},
		{"dots", file(".."), "cannot be used"},
		{"slash", file("a/b"), "cannot be used"},
		{"climbing", file("../../etc/passwd"), "cannot be used"},
		{"absolute", file("/etc/passwd"), "cannot be used"},
		{"backslash", file(`a\b`), "cannot be used"},
		{"not UTF-8", file("\xff"), "cannot be used"},
		{"twice", file("a") + file("a"), "twice"},
		{"long", file(strings.Repeat("x", 2000)), "longer than 1024"},
		{"missing file", entry("100644", "a", plumbing.Hash{1}), "missing"},
		{"missing directory", entry("40000", "a", plumbing.Hash{1}), "missing"},
		{"file as directory", entry("40000", "a", blob), "expected to be a tree"},
		{"cut off", file("a")[:20], "decoding"},
		{"no mode", "x a\x00", "decoding"},
		{"no space", strings.Repeat("1", 1000), "no mode"},
		{"long mode", "000000100644 a\x00" + string(blob[:]), "no mode"},
		{"no name", "100644 \x00" + string(blob[:]), "no name"},
		{"no end of the name", "100644 abc", "no name"},
		{"cut off later", file("a") + file("b")[:25], "ends within"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			objects := objectsOf("content", test.tree)
			_, err := newContent(objects, commitOf(objects, test.tree), limits{files: 100, unpacked: 1 << 20})
			wantError(t, err, []string{test.says})
		})
	}
}

// A tree of a few packed bytes can have millions of entries, which cost memory
// only as far as they are counted.
func TestHugeTreeTakesNoMemory(t *testing.T) {
	var entries strings.Builder
	for number := range 500_000 {
		fmt.Fprintf(&entries, "120000 %06d\x00....................", number)
	}
	for name, tree := range map[string]string{
		"entries": entries.String(),
		"name":    "100644 " + strings.Repeat("n", 20<<20) + "\x00....................",
		"mode":    strings.Repeat("1", 20<<20),
	} {
		t.Run(name, func(t *testing.T) {
			objects := objectsOf("content", tree)
			commit := commitOf(objects, tree)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := newContent(objects, commit, limits{files: 100, unpacked: 128 << 20})
			runtime.ReadMemStats(&after)
			wantError(t, err, nil)
			if took := after.TotalAlloc - before.TotalAlloc; took > 2<<20 {
				t.Errorf("it took %s", byteCount(int64(took)))
			}
		})
	}
}

func TestHugeCommitIsRefused(t *testing.T) {
	objects := objectsOf("content", "")
	text := append(objects[commitOf(objects, "")].data, strings.Repeat("m", commitLimit)...)
	name := plumbing.ComputeHash(plumbing.CommitObject, text)
	objects[name] = gitObject{plumbing.CommitObject, text}
	_, err := newContent(objects, name, limits{files: 1, unpacked: 1 << 30})
	wantError(t, err, []string{"1 MiB of message"}, ErrTooLarge)
}

func objectsOf(blob, tree string) map[plumbing.Hash]gitObject {
	return map[plumbing.Hash]gitObject{
		plumbing.ComputeHash(plumbing.BlobObject, []byte(blob)): {plumbing.BlobObject, []byte(blob)},
		plumbing.ComputeHash(plumbing.TreeObject, []byte(tree)): {plumbing.TreeObject, []byte(tree)},
	}
}

func commitOf(objects map[plumbing.Hash]gitObject, tree string) plumbing.Hash {
	text := fmt.Appendf(nil, "tree %s\nauthor A <a@test.invalid> 99999999999999 +0000\ncommitter A <a@test.invalid> 99999999999999 +0000\n\nhello\n",
		plumbing.ComputeHash(plumbing.TreeObject, []byte(tree)))
	name := plumbing.ComputeHash(plumbing.CommitObject, text)
	objects[name] = gitObject{plumbing.CommitObject, text}
	return name
}

// A few trees that hold each other many times make more files than any pack
// has objects.
func TestTreeBombs(t *testing.T) {
	for _, leaf := range []string{"file", "nothing"} {
		t.Run(leaf, func(t *testing.T) {
			objects := objectsOf("content", "")
			tree := ""
			if leaf == "file" {
				blob := plumbing.ComputeHash(plumbing.BlobObject, []byte("content"))
				tree = "100644 f\x00" + string(blob[:])
			}
			for range 30 {
				name := plumbing.ComputeHash(plumbing.TreeObject, []byte(tree))
				objects[name] = gitObject{plumbing.TreeObject, []byte(tree)}
				tree = ""
				for _, letter := range "abcdefgh" {
					tree += "40000 " + string(letter) + "\x00" + string(name[:])
				}
			}
			name := plumbing.ComputeHash(plumbing.TreeObject, []byte(tree))
			objects[name] = gitObject{plumbing.TreeObject, []byte(tree)}
			_, err := newContent(objects, commitOf(objects, tree), limits{files: 1000, unpacked: 1 << 20})
			wantError(t, err, nil, ErrTooLarge)
		})
	}
	t.Run("deep", func(t *testing.T) {
		objects := objectsOf("", "")
		tree := ""
		for range 100 {
			name := plumbing.ComputeHash(plumbing.TreeObject, []byte(tree))
			objects[name] = gitObject{plumbing.TreeObject, []byte(tree)}
			tree = "40000 d\x00" + string(name[:])
		}
		name := plumbing.ComputeHash(plumbing.TreeObject, []byte(tree))
		objects[name] = gitObject{plumbing.TreeObject, []byte(tree)}
		_, err := newContent(objects, commitOf(objects, tree), limits{files: 1000, unpacked: 1 << 20})
		wantError(t, err, []string{"directories inside"}, ErrTooLarge)
	})
}

func TestTimeThatNoJSONHolds(t *testing.T) {
	objects := objectsOf("content", "")
	c, err := newContent(objects, commitOf(objects, ""), limits{files: 1, unpacked: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if !c.about.Time.IsZero() {
		t.Errorf("time %v, want none", c.about.Time)
	}
}

func TestLimits(t *testing.T) {
	r := newRepository(t)
	random := make([]byte, 3<<20)
	source := rand.NewChaCha8([32]byte{})
	_, _ = source.Read(random)
	r.commit("random", map[string]string{"random": string(random)})
	r.commit("zeros", map[string]string{"zeros": string(make([]byte, 20<<20))})
	many := make(map[string]string)
	for i := range 30 {
		many[fmt.Sprintf("file%d", i)] = strings.Repeat("same", 250)
	}
	r.commit("many", many)
	url := r.gitDaemon()
	tests := []struct {
		name   string
		config Config
		says   string
	}{
		{"bytes", Config{Branch: "random", MaxBytes: 1 << 20}, "sent more than 1 MiB"},
		{"unpacked", Config{Branch: "zeros", MaxUnpacked: 10 << 20, MaxBytes: 1 << 20}, "unpacks to more than 10 MiB"},
		{"files", Config{Branch: "many", MaxFiles: 29}, "more than 29 files"},
		{"files together", Config{Branch: "many", MaxUnpacked: 5000}, "have more than 5000 bytes together"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, remote := range []string{url, r.path} {
				test.config.URL = remote
				head, found, err := lookAt(t, test.config)
				wantError(t, err, []string{test.says}, ErrTooLarge)
				var unusable unusableError
				if head == "" || found != nil || !errors.As(err, &unusable) {
					t.Errorf("head %q, fetched %v, error %T", head, found != nil, err)
				}
			}
		})
	}
	// What a branch once held is not fetched.
	r.commitTree("small", r.tree("100644 blob "+r.blob("small")+"\tsmall"), "Remove it", r.git("rev-parse", "random"))
	for _, remote := range []string{url, r.path} {
		if _, found, err := lookAt(t, Config{URL: remote, Branch: "small", MaxBytes: 10 << 10}); err != nil || found == nil {
			t.Errorf("a small commit with a large history: %v", err)
		}
	}
	if _, found, err := lookAt(t, Config{URL: url, Branch: "random"}); err != nil || found == nil {
		t.Errorf("within the limits: %v", err)
	}
	_, _, err := lookAt(t, Config{URL: url, Branch: "random", MaxBytes: 100})
	wantError(t, err, []string{"for its branches", "more than 100 bytes"}, ErrTooLarge)
	var unusable unusableError
	if errors.As(err, &unusable) {
		t.Error("a list of branches that is too long refuses a commit")
	}
}

// packEntry writes an object as a pack has it.
func packEntry(kind byte, size uint64, base []byte, data []byte) []byte {
	first := kind<<4 | byte(size&15)
	size >>= 4
	var out []byte
	for size > 0 {
		out = append(out, first|0x80)
		first = byte(size & 127)
		size >>= 7
	}
	out = append(append(out, first), base...)
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	_, _ = z.Write(data)
	_ = z.Close()
	return append(out, packed.Bytes()...)
}

func packOfEntries(count uint32, entries ...[]byte) []byte {
	pack := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), count)
	for _, e := range entries {
		pack = append(pack, e...)
	}
	sum := sha1.Sum(pack)
	return append(pack, sum[:]...)
}

// deltaTo copies the base of n bytes, and appends the text.
func deltaTo(n int, text string, target uint64) []byte {
	out := binary.AppendUvarint(nil, uint64(n))
	out = binary.AppendUvarint(out, target)
	out = append(out, 0x80|0x10, byte(n)) // copy n bytes from offset 0
	return append(append(out, byte(len(text))), text...)
}

func TestReadPack(t *testing.T) {
	const (
		blob     = 3
		offDelta = 6
		refDelta = 7
	)
	name := func(text string) plumbing.Hash { return plumbing.ComputeHash(plumbing.BlobObject, []byte(text)) }
	ref := func(text string) []byte { h := name(text); return h[:] }
	base := packEntry(blob, 5, nil, []byte("hello"))
	second := deltaTo(5, " you", 9)
	third := deltaTo(9, "!", 10)
	bounds := limits{files: 10, unpacked: 1000}

	t.Run("deltas before their bases", func(t *testing.T) {
		got, err := readPack(bytes.NewReader(packOfEntries(3,
			packEntry(refDelta, uint64(len(third)), ref("hello you"), third),
			packEntry(refDelta, uint64(len(second)), ref("hello"), second),
			base)), bounds)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"hello", "hello you", "hello you!"} {
			if object := got[name(text)]; string(object.data) != text || object.kind != plumbing.BlobObject {
				t.Errorf("%q is %v", text, object)
			}
		}
	})
	bad := []struct {
		name string
		pack []byte
		says string
		kind error
	}{
		{"thin", packOfEntries(1, packEntry(refDelta, uint64(len(second)), ref("hello"), second)), "does not hold", nil},
		{"no end", packOfEntries(1, base)[:30], "checksum", nil},
		{"nothing", nil, "header", nil},
		{"checksum", append(packOfEntries(1, base)[:30], make([]byte, 30)...), "checksum", nil},
		{"too many objects", packOfEntries(1_000_000, base), "objects", ErrTooLarge},
		{"longer than it says", packOfEntries(1, packEntry(blob, 4, nil, []byte("hello"))), "object 1 of 1", nil},
		{"shorter than it says", packOfEntries(1, packEntry(blob, 6, nil, []byte("hello"))), "header says 6", nil},
		{"says that it is huge", packOfEntries(1, packEntry(blob, 1<<40, nil, []byte("hello"))), "unpacks to more", ErrTooLarge},
		{"delta that says that it is huge", packOfEntries(1, packEntry(refDelta, 1<<40, ref("hello"), second)), "unpacks to more", ErrTooLarge},
		{"delta to something huge", packOfEntries(2, base, packEntry(refDelta, 10, ref("hello"), deltaTo(5, "x", 1<<40)[:10])), "unpacks to more", ErrTooLarge},
		{"delta to something negative", packOfEntries(2, base, packEntry(refDelta, 12, ref("hello"), deltaTo(5, "xyz", 1<<63+1)[:12])), "unpacks to more", ErrTooLarge},
		{"delta without sizes", packOfEntries(2, base, packEntry(refDelta, 1, ref("hello"), []byte{5})), "no size", nil},
		{"empty delta", packOfEntries(2, base, packEntry(refDelta, 0, ref("hello"), nil)), "no size", nil},
		{"delta beyond its base", packOfEntries(2, base, packEntry(refDelta, uint64(len(third)), ref("hello"), third)), "delta", nil},
		{"delta to nowhere", packOfEntries(2, base, packEntry(offDelta, uint64(len(second)), []byte{1}, second)), "does not hold", nil},
		{"unknown kind", packOfEntries(1, packEntry(5, 5, nil, []byte("hello"))), "unknown", nil},
		{"kind none", packOfEntries(1, packEntry(0, 5, nil, []byte("hello"))), "unknown", nil},
	}
	for _, test := range bad {
		t.Run(test.name, func(t *testing.T) {
			_, err := readPack(bytes.NewReader(test.pack), bounds)
			wantError(t, err, []string{test.says})
			if test.kind != nil && !errors.Is(err, test.kind) {
				t.Errorf("the error is not %q: %v", test.kind, err)
			}
		})
	}
}

func FuzzReadPack(f *testing.F) {
	base := packEntry(3, 5, nil, []byte("hello"))
	h := plumbing.ComputeHash(plumbing.BlobObject, []byte("hello"))
	d := deltaTo(5, " you", 9)
	f.Add(packOfEntries(1, base))
	f.Add(packOfEntries(2, base, packEntry(7, uint64(len(d)), h[:], d)))
	f.Add(packOfEntries(2, packEntry(7, uint64(len(d)), h[:], d), base))
	f.Add(packOfEntries(2, base, packEntry(6, uint64(len(d)), []byte{byte(len(base))}, d)))
	f.Fuzz(func(t *testing.T, pack []byte) {
		objects, err := readPack(bytes.NewReader(pack), limits{files: 10, unpacked: 1 << 16})
		if err != nil {
			return
		}
		total := 0
		for name, object := range objects {
			total += len(object.data)
			if plumbing.ComputeHash(object.kind, object.data) != name {
				t.Errorf("object %s has another name's content", name)
			}
		}
		if total > 1<<16 {
			t.Errorf("%d bytes came out", total)
		}
	})
}

// FuzzTree gives any bytes as a tree.
func FuzzTree(f *testing.F) {
	blob := plumbing.ComputeHash(plumbing.BlobObject, []byte("content"))
	f.Add("100644 f\x00" + string(blob[:]))
	f.Add("40000 d\x00" + string(blob[:]) + "120000 l\x00" + string(blob[:]))
	f.Fuzz(func(t *testing.T, tree string) {
		objects := objectsOf("content", tree)
		c, err := newContent(objects, commitOf(objects, tree), limits{files: 10, unpacked: 1000})
		if err != nil {
			return
		}
		for name, content := range filesOf(t, mustRevision(t, c).Files) {
			if content != "content" {
				t.Errorf("%q has the content %q", name, content)
			}
		}
	})
}
