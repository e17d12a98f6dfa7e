package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// testName is the name of a test as the documents write it.
var testName = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)(?:/[^`]*)?`")

// TestStandardsNameTestsThatExist holds the page on standards to the tests that
// it names: a promise whose test is gone is no promise.
func TestStandardsNameTestsThatExist(t *testing.T) {
	page, err := os.ReadFile("../../docs/rfcs.md")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	err = filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, declared := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllSubmatch(source, -1) {
			there[string(declared[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := testName.FindAllSubmatch(page, -1)
	if len(named) < 50 {
		t.Errorf("the page names %d tests; each line that is kept has one", len(named))
	}
	for _, one := range named {
		if !there[string(one[1])] {
			t.Errorf("%s is nowhere", one[1])
		}
	}
}
