package main

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"mirrorpool/gitsource"
)

// panickingFiles are a repository that brings a mistake of the program to light.
type panickingFiles struct{}

func (panickingFiles) Open(string) (fs.File, error) {
	var records []int
	_ = records[len(records)] // as a slip would
	return nil, fs.ErrNotExist
}

// TestCheckPanics: check says that the mistake is the program's, and that the tree
// would be refused.
func TestCheckPanics(t *testing.T) {
	for _, quiet := range []bool{false, true} {
		var out strings.Builder
		err := printVerdict(&out, panickingFiles{}, quiet)
		if !errors.Is(err, errNo) || exitCode(err) != exitNo {
			t.Errorf("the error is %v", err)
		}
		for _, want := range []string{"internal error while reading the repository", "index out of range", ".panickingFiles.Open:"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("found %q, expected %q in it", out.String(), want)
			}
		}
	}
}

// TestPanicRefusesACommit: the commit is refused, said, and what is served goes on.
func TestPanicRefusesACommit(t *testing.T) {
	r := newRunning(t, "")
	first := r.git(r.path("checkout"), "rev-parse", "HEAD")
	r.start()
	r.serving(first)
	for _, kept := range []bool{false, true} {
		err := r.node.adopt(t.Context(), &gitsource.Revision{Commit: "deadbeef", Files: panickingFiles{}}, 1, kept)
		var refused *refusal
		if !errors.As(err, &refused) || refused.commit != "deadbeef" || !strings.Contains(err.Error(), "internal error") {
			t.Errorf("kept %v: the error is %v", kept, err)
		}
	}
	// Of no revision at all, which is outside of what is read.
	if err := r.node.adopt(t.Context(), &gitsource.Revision{Commit: "deadbeef"}, 1, false); err == nil {
		t.Error("a commit without files is taken")
	}
	r.serving(first)
}
