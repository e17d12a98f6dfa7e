package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// testName is the name of a test as the documents write it.
	testName = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)(?:/[^`]*)?`")
	// testDirectory is a directory of tests as they write it: in backquotes or
	// parentheses, or before a test.
	testDirectory = regexp.MustCompile("`([a-z/]+)`|\\(([a-z/]+)\\)|([a-z/]+):? `(?:Test|Fuzz)")
	testDeclared  = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
)

// testPlaces are the directories that have a test of a name.
func testPlaces(t *testing.T) map[string][]string {
	t.Helper()
	places := map[string][]string{}
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		directory, _ := filepath.Rel("../..", filepath.Dir(path))
		for _, declared := range testDeclared.FindAllSubmatch(source, -1) {
			places[string(declared[1])] = append(places[string(declared[1])], filepath.ToSlash(directory))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return places
}

// TestStandardsNameTestsThatExist holds the page on standards to the tests that
// it names: a promise whose test is gone is no promise. Each is in dnsserver, or in a
// directory that its line names, or the text under one of the headings over it.
func TestStandardsNameTestsThatExist(t *testing.T) {
	page, err := os.ReadFile("../../docs/rfcs.md")
	if err != nil {
		t.Fatal(err)
	}
	places := testPlaces(t)
	var chapter, section []string // directories that the text under the headings names
	named := 0
	for i, line := range strings.Split(string(page), "\n") {
		var here []string
		for _, found := range testDirectory.FindAllStringSubmatch(line, -1) {
			here = append(here, found[1]+found[2]+found[3])
		}
		switch {
		case strings.HasPrefix(line, "## "):
			chapter, section = nil, nil
		case strings.HasPrefix(line, "### "):
			// The text before the first section is the chapter's.
			if chapter == nil {
				chapter = append([]string{"dnsserver"}, section...)
			}
			section = nil
		case !strings.HasPrefix(line, "|"):
			section = append(section, here...)
		}
		for _, found := range testName.FindAllStringSubmatch(line, -1) {
			named++
			told := slices.Concat([]string{"dnsserver"}, chapter, section, here)
			switch at := places[found[1]]; {
			case at == nil:
				t.Errorf("line %d: %s is nowhere", i+1, found[1])
			case !slices.ContainsFunc(at, func(place string) bool { return slices.Contains(told, place) }):
				t.Errorf("line %d: %s is in %v, which is not said there", i+1, found[1], at)
			}
		}
	}
	if named < 50 {
		t.Errorf("the page names %d tests; each line that is kept has one", named)
	}
}
