package gitsource

import (
	"bytes"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"
)

// remembered is what goes to the other side.
type remembered struct{ bytes.Buffer }

func (*remembered) Close() error { return nil }

// pktLine is a line of the Git protocol.
func pktLine(text string) string {
	const digits = "0123456789abcdef"
	n := len(text) + 4
	return string([]byte{digits[n>>12&15], digits[n>>8&15], digits[n>>4&15], digits[n&15]}) + text
}

// FuzzConversation lets the other side say anything in a conversation with
// git-upload-pack: its references first, and then its answer to the request for a
// pack. What is asked for is what was offered, errors fit on a line, and what
// comes out is within its bounds.
func FuzzConversation(f *testing.F) {
	head, pack := packedCommit()
	const capabilities = "\x00multi_ack side-band-64k ofs-delta shallow no-progress symref=HEAD:refs/heads/main agent=git/2\n"
	references := pktLine(head+" HEAD"+capabilities) + pktLine(head+" refs/heads/main\n") + "0000"
	for _, said := range []string{
		references + pktLine("shallow "+head) + "0000" + pktLine("NAK\n") + pktLine("\x01"+pack) + "0000",
		references + pktLine("NAK\n") + pktLine("\x02remote: slow\n") + pktLine("\x03fatal: no\n") + "0000",
		references + pktLine("ERR not our ref"),
		references,
		pktLine(head+" HEAD\x00\n") + "0000" + pktLine("NAK\n") + pack,
		pktLine(head+" refs/heads/other"+capabilities) + pktLine("shallow "+head+"\n") + "0000",
		pktLine(strings.Repeat("0", 40)+" capabilities^{}"+capabilities) + "0000",
		pktLine("# service=git-upload-pack\n") + "0000" + references,
		pktLine("version 2\n") + "0000", pktLine("ERR access denied\x1b[31m\n"), "0004", "fff0", "0001", "000", "",
		pktLine(strings.Repeat("f", 64)+" HEAD\x00object-format=sha256\n") + "0000",
	} {
		f.Add([]byte(said), true)
		f.Add([]byte(said), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, named bool) { converse(t, data, named) })
}

// packedCommit is a commit's name and a pack of it with its file.
func packedCommit() (head, pack string) {
	blob := plumbing.ComputeHash(plumbing.BlobObject, []byte("hello"))
	tree := "100644 file\x00" + string(blob[:])
	objects := objectsOf("hello", tree)
	head = commitOf(objects, tree).String()
	var entries []byte
	for _, name := range slices.SortedFunc(maps.Keys(objects), func(a, b plumbing.Hash) int { return bytes.Compare(a[:], b[:]) }) {
		object := objects[name]
		entries = append(entries, packEntry(byte(object.kind), uint64(len(object.data)), nil, object.data)...)
	}
	pack = string(packOfEntries(uint32(len(objects)), entries))
	return head, pack
}

// converse has one conversation, and tells whether it ends with files.
func converse(t *testing.T, data []byte, named bool) (good bool) {
	t.Helper()
	branch := ""
	if named {
		branch = "main"
	}
	out := &remembered{}
	s := &stream{in: bytes.NewReader(data), out: out, end: func() {}, path: "/srv/mirrors.git"}
	defer s.close()
	r := &remote{config: Config{Branch: branch, MaxFiles: 10, MaxUnpacked: 1 << 16}}
	references, err := s.advertised(t.Context())
	if err != nil {
		checkWords(t, err)
		return false
	}
	commit, err := r.head(references)
	if err != nil {
		if commit != plumbing.ZeroHash {
			t.Fatalf("commit %s and the error %v", commit, err)
		}
		checkWords(t, err)
		return false
	}
	// Of a name that is none the library reads the digits before what is none.
	if digits := strings.TrimRight(commit.String(), "0"); !bytes.Contains(bytes.ToLower(data), []byte(digits)) {
		t.Fatalf("commit %s was not offered", commit)
	}
	found, err := r.fetch(t.Context(), s, commit, references.Capabilities)
	if wants := strings.Count(out.String(), "want "); wants != 1 || !strings.Contains(out.String(), "want "+commit.String()) {
		t.Fatalf("asked was %q", out.String())
	}
	if err != nil {
		checkWords(t, err)
		return false
	}
	if found == nil {
		t.Fatal("neither content nor an error")
	}
	if total, err := io.Copy(io.Discard, strings.NewReader(strings.Join(contents(t, found), ""))); err != nil || total > 1<<16 {
		t.Fatalf("%d bytes of files, %v", total, err)
	}
	return true
}

// TestConversationsEndWithFiles holds that the fuzzing begins with a conversation
// as it should be.
func TestConversationsEndWithFiles(t *testing.T) {
	head, pack := packedCommit()
	said := pktLine(head+" HEAD\x00side-band-64k shallow\n") + pktLine(head+" refs/heads/main\n") + "0000" +
		pktLine("shallow "+head) + "0000" + pktLine("NAK\n") + pktLine("\x01"+pack) + "0000"
	if !converse(t, []byte(said), true) || converse(t, []byte(said[:len(said)-30]), true) {
		t.Error("files come of what is not whole, or none of what is")
	}
}

func contents(t *testing.T, c *content) (all []string) {
	t.Helper()
	for _, text := range filesOf(t, mustRevision(t, c).Files) {
		all = append(all, text)
	}
	return all
}

// checkWords holds that an error can be shown, whoever has written parts of it.
func checkWords(t *testing.T, err error) {
	t.Helper()
	text := err.Error()
	if text == "" || len(text) > 2000 || strings.ContainsAny(text, "\x00\x1b\r") || !utf8.ValidString(text) {
		t.Fatalf("the error is %q", text)
	}
}
