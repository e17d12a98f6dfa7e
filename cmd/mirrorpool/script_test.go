package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"mirrorpool": func() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the command line as a person does: one script a behaviour.
func TestScripts(t *testing.T) {
	repository, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(environment *testscript.Env) error {
			environment.Setenv("REPOSITORY", repository)
			endAtOnce(environment)
			return nil
		},
	})
}

// endAtOnce keeps programs with the race detector from waiting for a second at their end,
// in which it listens for what other goroutines still do: scripts start a hundred of them.
func endAtOnce(environment *testscript.Env) {
	environment.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
}
