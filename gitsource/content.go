package gitsource

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Revision is one commit with its files. It is immutable and safe for
// concurrent use.
type Revision struct {
	// Commit is the commit's name: 40 hexadecimal digits, lower case.
	Commit string
	// Time is when it was committed, by the committer's clock; zero if that is
	// outside of the years 1970 to 9999.
	Time time.Time
	// Author is who wrote it, "Name <address>"; Subject the message's first
	// line. Both are printable, on one line, and cut at 200 characters.
	Author, Subject string
	// Signer is who signed it; empty, for signatures are not looked at.
	Signer string
	// Files are the commit's regular files.
	Files fs.FS
}

// content is a commit as it is kept in memory and on disk: what is known of it,
// and a zip archive of its files.
type content struct {
	about   about
	archive []byte
}

// about is what is known of a commit beside its files.
type about struct {
	Commit  string    `json:"commit"`
	Time    time.Time `json:"time"`
	Author  string    `json:"author"`
	Subject string    `json:"subject"`
}

const (
	textLimit  = 200  // characters of an author or a subject
	pathLimit  = 1024 // bytes of a file's path
	depthLimit = 64   // directories inside one another

	commitLimit = 1 << 20 // bytes of a commit without its files
)

// revision opens the archive.
func (c *content) revision() (*Revision, error) {
	files, err := zip.NewReader(bytes.NewReader(c.archive), int64(len(c.archive)))
	if err != nil {
		return nil, fmt.Errorf("opening the archive of commit %s: %w", c.about.Commit, err)
	}
	return &Revision{
		Commit:  c.about.Commit,
		Time:    c.about.Time,
		Author:  c.about.Author,
		Subject: c.about.Subject,
		Files:   files,
	}, nil
}

// newContent collects the files of a commit.
func newContent(objects map[plumbing.Hash]gitObject, name plumbing.Hash, bounds limits) (*content, error) {
	commit, err := decodeCommit(objects, name)
	if err != nil {
		return nil, err
	}
	c := &content{about: about{
		Commit:  name.String(),
		Time:    sensible(commit.Committer.When.UTC()),
		Author:  tidy(fmt.Sprintf("%s <%s>", commit.Author.Name, commit.Author.Email), textLimit),
		Subject: tidy(firstLine(commit.Message), textLimit),
	}}
	var archive bytes.Buffer
	w := &treeWalk{
		objects: objects,
		bounds:  bounds,
		bytes:   bounds.unpacked,
		archive: zip.NewWriter(&archive),
		time:    c.about.Time,
	}
	if err := w.directory(commit.TreeHash, "", 0); err != nil {
		return nil, err
	}
	if err := w.archive.Close(); err != nil {
		return nil, fmt.Errorf("closing the archive: %w", err)
	}
	c.archive = archive.Bytes()
	return c, nil
}

// sensible drops a time that JSON could not hold.
func sensible(t time.Time) time.Time {
	if t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

func firstLine(message string) string {
	line, _, _ := strings.Cut(strings.TrimLeft(message, "\r\n"), "\n")
	return line
}

func decodeCommit(objects map[plumbing.Hash]gitObject, name plumbing.Hash) (*object.Commit, error) {
	data, err := find(objects, name, plumbing.CommitObject)
	if err != nil {
		return nil, err
	}
	if len(data) > commitLimit {
		return nil, tooLarge("the commit has more than %s of message and headers", byteCount(commitLimit))
	}
	encoded := new(plumbing.MemoryObject)
	encoded.SetType(plumbing.CommitObject)
	if _, err := encoded.Write(data); err != nil {
		return nil, fmt.Errorf("copying the commit: %w", err)
	}
	commit := new(object.Commit)
	if err := commit.Decode(encoded); err != nil {
		return nil, fmt.Errorf("decoding the commit: %w", shortened{err})
	}
	return commit, nil
}

// find returns the bytes of an object of the given kind.
func find(objects map[plumbing.Hash]gitObject, name plumbing.Hash, kind plumbing.ObjectType) ([]byte, error) {
	found, ok := objects[name]
	if !ok {
		return nil, fmt.Errorf("the %s %s is missing from what the remote sent", kind, name)
	}
	if found.kind != kind {
		return nil, fmt.Errorf("%s is a %s, and was expected to be a %s", name, found.kind, kind)
	}
	return found.data, nil
}

// treeWalk writes the files below a tree into an archive.
type treeWalk struct {
	objects map[plumbing.Hash]gitObject
	bounds  limits
	archive *zip.Writer
	time    time.Time
	files   int   // written
	entries int   // looked at
	bytes   int64 // left of bounds.unpacked
}

// directory writes the files of one tree. The same tree may stand in many
// places, so what counts against the limits is what is walked, not what was
// sent.
func (w *treeWalk) directory(name plumbing.Hash, prefix string, depth int) error {
	if depth > depthLimit {
		return tooLarge("%s: more than %d directories inside one another", tidy(prefix, textLimit), depthLimit)
	}
	rest, err := find(w.objects, name, plumbing.TreeObject)
	if err != nil {
		return err
	}
	seen := make(map[string]bool)
	for len(rest) > 0 {
		var entry treeEntry
		if entry, rest, err = cutEntry(rest); err != nil {
			return fmt.Errorf("decoding the directory %q: %w", prefix, err)
		}
		if w.entries++; w.entries > w.bounds.entries() {
			return tooLarge("the commit has more than the %d files and directories that go with the limit of %d files", w.bounds.entries(), w.bounds.files)
		}
		full, err := checkName(prefix, entry.name, seen)
		if err != nil {
			return err
		}
		switch entry.kind {
		case entryDirectory:
			err = w.directory(entry.hash, full, depth+1)
		case entryFile:
			err = w.file(entry.hash, full)
		case entryOther:
			// Left out: it is not a file of this repository.
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkName holds the names to what an fs.FS and an archive can hold. It
// returns the path.
func checkName(prefix string, written []byte, seen map[string]bool) (string, error) {
	if len(prefix)+1+len(written) > pathLimit {
		beginning := prefix + "/" + string(written[:min(len(written), pathLimit)])
		return "", tooLarge("%s: the path is longer than %d bytes", tidy(beginning, textLimit), pathLimit)
	}
	name := string(written)
	full := path.Join(prefix, name)
	switch {
	case seen[name]:
		return "", fmt.Errorf("%q: the name stands twice in its directory", full)
	case name == "." || strings.ContainsAny(name, "/\\\x00") || !fs.ValidPath(name):
		return "", fmt.Errorf("%q: a name with a slash, a backslash, a NUL, of dots alone or not in UTF-8 cannot be used: rename it", prefix+"/"+name)
	}
	seen[name] = true
	return full, nil
}

func (w *treeWalk) file(name plumbing.Hash, full string) error {
	blob, ok := w.objects[name]
	if !ok || blob.kind != plumbing.BlobObject {
		return fmt.Errorf("%q: its content %s is missing from what the remote sent", full, name)
	}
	if w.files++; w.files > w.bounds.files {
		return tooLarge("the commit has more than %d files", w.bounds.files)
	}
	if w.bytes -= int64(len(blob.data)); w.bytes < 0 {
		return tooLarge("the files of the commit have more than %s together", byteCount(w.bounds.unpacked))
	}
	header := &zip.FileHeader{Name: full, Method: zip.Deflate, Modified: w.time}
	header.SetMode(0o444)
	out, err := w.archive.CreateHeader(header)
	if err == nil {
		_, err = out.Write(blob.data)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("archiving %q", full), err)
	}
	return nil
}
