//go:build e2e

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestEndToEndDemo starts the demonstration, types every line that it prints,
// and ends it by Ctrl-C's signal.
func TestEndToEndDemo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	need(t, "bash", "dig", "sed")
	w.start("demo", "env", "TMPDIR="+w.directory, w.program, "demo")
	w.eventually("the demonstration prints its guide", 60*time.Second, func() bool {
		return strings.Contains(w.read(w.log("demo")), "Ctrl-C ends it")
	})
	lines := typedLines(w.read(w.log("demo")))
	if len(lines) < 12 {
		t.Fatalf("the guide has only %d lines to type: %q", len(lines), lines)
	}
	// One shell types all of them. Whether what comes about by and by is there already, is
	// asked of what explains the answers.
	explain := lines[slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, " explain ") })]
	script := "set -eu\nexport GIT_CONFIG_GLOBAL=/dev/null\nexplained() { for i in {1..120}; do if " + explain +
		" | grep -q \"$1\"; then return; fi; sleep 0.5; done; echo \"no $1\"; exit 1; }\n"
	for _, line := range lines {
		script += fmt.Sprintf("echo '>>>' %q\n%s\n", line, line)
		if strings.HasPrefix(line, "kill -STOP") {
			script += "explained '^berlin .* down'\n" + lines[0] + "\n" + lines[0] + "\n" + lines[0] + "\n"
		}
		if strings.Contains(line, "git push") {
			script += "explained '^paris .*weight 0'\n"
		}
	}
	typed := exec.CommandContext(t.Context(), "bash", "-c", script)
	output, err := typed.CombinedOutput()
	if err != nil {
		t.Fatalf("typing the guide: %v\n%s", err, output)
	}
	answers := sections(string(output))
	for line, want := range map[string]string{
		"+short":        `(?m)^127\.0\.0\.1[1-5]$`,
		"+subnet":       `CLIENT-SUBNET: 133\.11\.0\.0/16/\d+`,
		"curl -I":       `(?m)^Location: http://127\.0\.0\.1[1-4]:\d+/tails/stable/tails\.img`,
		"explain":       `capped +same country`,
		"check .":       `(?m)^ok: `,
		"/api/v1/state": `"id": "paris",[^}]*"weight": 0`,
		"/metrics":      `(?m)^mirrorpool_pool_members\{pool="dl\.demo\.test",state="disabled"\} 1$`,
		"history":       `(?m)no answer within 1s`,
		"disable":       `(?m)^tokyo of dl\.demo\.test is disabled on this node until .*: a new disk`,
		"enable":        `(?m)^tokyo of dl\.demo\.test is not disabled any more`,
		"kill -STOP":    `(?m)^127\.0\.0\.1[2-5]$`,
	} {
		if got := answers.to(line); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: nothing in this matches %s:\n%s", line, want, got)
		}
	}
	if got := answers.to("kill -STOP"); strings.Contains(got, "127.0.0.11\n") {
		t.Errorf("a suspended mirror is still given:\n%s", got)
	}
	w.endsWithNothingLeft()
}

// typedLines are the lines of the guide that are commands.
func typedLines(guide string) []string {
	var lines []string
	for line := range strings.Lines(guide) {
		if command, indented := strings.CutPrefix(line, "  "); indented && !strings.HasPrefix(command, "#") {
			lines = append(lines, strings.TrimSpace(command))
		}
	}
	return lines
}

// typedSection is what one typed line printed.
type typedSection struct{ line, output string }

type typedSections []typedSection

func sections(output string) typedSections {
	var list typedSections
	for _, part := range strings.Split(output, ">>> ")[1:] {
		line, rest, _ := strings.Cut(part, "\n")
		list = append(list, typedSection{line, rest})
	}
	return list
}

func (s typedSections) to(part string) string {
	for _, one := range s {
		if strings.Contains(one.line, part) {
			return one.output
		}
	}
	return ""
}

func (w *world) endsWithNothingLeft() {
	w.Helper()
	demo := w.processes["demo"].Process.Pid
	children := w.childrenOf(demo)
	if len(children) < 5 {
		w.Errorf("the demonstration has %d processes of its own, want a mirror each", len(children))
	}
	if code := w.end("demo", syscall.SIGINT); code != 0 {
		w.Errorf("the demonstration ended with code %d:\n%s", code, lastLines(w.read(w.log("demo")), 20))
	}
	left, err := filepath.Glob(filepath.Join(w.directory, "mirrorpool-demo-*"))
	if err != nil || len(left) > 0 {
		w.Errorf("left behind: %v %v", left, err)
	}
	for _, child := range children {
		if err := syscall.Kill(child, 0); err == nil {
			w.Errorf("process %d is left behind", child)
		}
	}
}

// childrenOf reads the kernel's list of a process's children.
func (w *world) childrenOf(parent int) []int {
	w.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", parent))
	if err != nil {
		w.Fatal(err)
	}
	var children []int
	for _, task := range tasks {
		for _, field := range strings.Fields(w.read(fmt.Sprintf("/proc/%d/task/%s/children", parent, task.Name()))) {
			var child int
			if _, err := fmt.Sscan(field, &child); err != nil {
				w.Fatal(err)
			}
			children = append(children, child)
		}
	}
	return children
}
