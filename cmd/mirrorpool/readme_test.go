package main

import (
	"os"
	"strings"
	"testing"
)

// TestReadmeNamesEveryDependency holds the README's table to go.mod.
func TestReadmeNamesEveryDependency(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	modules, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	_, required, found := strings.Cut(string(modules), "require (\n")
	direct, _, closed := strings.Cut(required, ")")
	if !found || !closed {
		t.Fatal("go.mod has no list of direct dependencies")
	}
	for line := range strings.Lines(direct) {
		module := strings.Fields(line)[0]
		if !strings.Contains(string(readme), "`"+module+"`") {
			t.Errorf("%s has no line in the README's table of dependencies: why this one?", module)
		}
	}
}

// TestReadmeNamesEveryPackage holds the README's layout to the one that the
// imports are tested against.
func TestReadmeNamesEveryPackage(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range mayImport {
		folder := strings.TrimPrefix(name, "mirrorpool/")
		if folder == "pool/geo/geodata" || folder == "bench/peers/geodb" {
			continue // tools of `make geodata` and of the peers' scripts
		}
		if !strings.Contains(string(readme), "| `"+folder+"` |") {
			t.Errorf("%s has no line in the README's layout", folder)
		}
	}
}
