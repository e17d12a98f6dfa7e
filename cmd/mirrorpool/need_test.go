package main

import (
	"os"
	"os/exec"
	"testing"
)

// need skips where a tool is missing, and fails in CI.
func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is missing: %v", tool, err)
			}
			t.Skipf("%s is missing; .ci/run names the Debian packages", tool)
		}
	}
}
