package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

// restartLastGood is a restart of a node whose pool has min_members.
func (l *serialsLab) restartLastGood() {
	l.Helper()
	l.restart(time.Second)
	l.node.compiler.table.Store(nil)
}

// Who was up when a pool had min_members is known over restarts, is written when it
// changes and not otherwise, and again where it could not be.
func TestLastGoodIsKept(t *testing.T) {
	l := newSerialsLab(t, transferKeys)
	l.commit.definition.Pools[0].MinMembers = 2
	file := l.whole.file(lastGoodFile)
	if _, given := l.serve(0, "up"); given != 2 {
		t.Fatalf("%d addresses are given", given)
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"version": 1`, `"dl.example.test"`, `"one"`, `"two"`} {
		if !strings.Contains(string(written), want) {
			t.Errorf("%s lacks %s:\n%s", lastGoodFile, want, written)
		}
	}
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, given := l.serve(time.Second, "down"); given != 2 {
		t.Errorf("%d addresses are given though too few are up", given)
	}
	if after, err := os.Stat(file); err != nil || !os.SameFile(before, after) {
		t.Errorf("nothing has changed, but it is written anew: %v", err)
	}

	l.restartLastGood()
	table, given := l.serve(time.Second, "down")
	if good := table.LastGood()["dl.example.test"]; given != 2 || len(good.IPv4) != 2 {
		t.Errorf("after a restart %d addresses are given, the last good members are %v", given, good.IPv4)
	}

	l.writable(false)
	l.node.compiler.lastGood = nil
	l.serve(time.Second, "up")
	if !strings.Contains(staleText(l.node.stages), lastGoodFile) {
		t.Errorf("that it is not written is not said: %s", staleText(l.node.stages))
	}
	l.writable(true)
	l.node.compiler.retryLastGood()
	if text := staleText(l.node.stages); strings.Contains(text, lastGoodFile) {
		t.Errorf("it is written again, but %s", text)
	}
}

// What cannot be read is said, and all members are given where too few are up.
func TestLastGoodThatCannotBeRead(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "no JSON": "{", "another version": `{"version": 2}`} {
		l := newSerialsLab(t, transferKeys)
		l.commit.definition.Pools[0].MinMembers = 2
		if err := os.WriteFile(l.whole.file(lastGoodFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		l.restartLastGood()
		if !strings.Contains(staleText(l.node.stages), "all of its members are given") {
			t.Errorf("%s: it is not said: %s", name, staleText(l.node.stages))
		}
		if _, given := l.serve(time.Second, "down"); given != 2 {
			t.Errorf("%s: %d addresses are given", name, given)
		}
		if text := staleText(l.node.stages); strings.Contains(text, lastGoodFile) {
			t.Errorf("%s: it is written anew, but %s", name, text)
		}
	}
}

func staleText(s *stages) string {
	var all []string
	for _, one := range s.list() {
		all = append(all, string(one.stage)+": "+one.err.Error())
	}
	return strings.Join(all, "\n")
}
